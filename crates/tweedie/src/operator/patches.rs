//! Filling large holes with what lies elsewhere in the picture.
//!
//! Every patch that overlaps a hole looks for the one of the known part that is most like it, and each hidden pixel becomes the
//! mean of what the patches over it say, by turns, from the coarsest of a pyramid to the finest (Wexler, Shechtman and Irani
//! 2007, "Space-time completion of video"). What is like what is found by guessing, and asking neighbours (Barnes et al. 2009,
//! "PatchMatch"). Patches are compared by colour and by how much goes on in them, so that a smooth patch is no match for grass
//! of the same mean (Newson et al. 2017, "Non-local patch-based image inpainting", IPOL 7). In the end each pixel is that of
//! the best patch alone, which is as sharp as the picture, and patches are [joined](seams) without seams.

use ndarray::{Array2, ArrayView4, Axis};
use rayon::prelude::*;

use super::{nearest, seams};
use crate::Image;

/// A patch has `2*REACH + 1` pixels a side.
const REACH: usize = 3;
const SIDE: usize = 2 * REACH + 1;

/// Colours, and how much they change along rows and columns.
type Features = [f32; 5];

/// How much a difference of activity counts against one of colour.
const ACTIVITY: f32 = 7.0;

/// Holes of the coarsest level are about so deep.
const COARSEST: f32 = 3.0;

/// Turns of matching and averaging, at the coarsest and the finest level.
const TURNS: [usize; 2] = [12, 4];

/// Rounds of guessing and asking neighbours in a turn.
const ROUNDS: usize = 6;

/// Fewer places to take from are none.
const FEWEST: usize = 64;

/// Whether there are patches to take from that hold no hidden pixel.
pub(crate) fn enough(hidden: &Array2<bool>) -> bool {
    let (h, w) = hidden.dim();
    let near = dilated(hidden.iter().copied().collect::<Vec<_>>().as_slice(), h, w);
    (0..h * w).filter(|&i| !near[i] && inside(i, h, w)).count() >= FEWEST
}

/// Pictures with what lies elsewhere in them in the place of their hidden pixels, `[height, width]`; as they are where there is
/// too little to take from.
pub(crate) fn filled(mut x: Image, hidden: &Array2<bool>) -> Image {
    for mut picture in x.axis_chunks_iter_mut(Axis(0), 1) {
        if let Some(from) = sources(picture.view(), hidden) {
            let hidden: Vec<bool> = hidden.iter().copied().collect();
            let picture = picture.index_axis_mut(Axis(0), 0);
            seams::joined(picture, &hidden, &from);
        }
    }
    x
}

/// From where each pixel is best taken, by rows: a known pixel's index, its own if it is known; `None` if there is too little to
/// take from.
fn sources(x: ArrayView4<'_, f32>, hidden: &Array2<bool>) -> Option<Vec<usize>> {
    let mut levels = pyramid(x, hidden);
    if levels[0].places.len() < FEWEST {
        return None;
    }
    let coarsest = levels.len() - 1;
    let mut matches = levels[coarsest].peeled();
    for i in (0..=coarsest).rev() {
        let (finer, coarser) = levels.split_at_mut(i + 1);
        let level = &mut finer[i];
        if let Some(coarser) = coarser.first() {
            matches = level.refined(coarser, &matches);
        }
        let more = (TURNS[0] - TURNS[1]) * i / coarsest.max(1);
        for turn in 0..TURNS[1] + more {
            level.average(&matches);
            level.search(&mut matches, turn);
        }
    }
    Some(levels[0].best(&matches))
}

/// The picture and ever smaller ones, until the holes are shallow or too little is left.
fn pyramid(x: ArrayView4<'_, f32>, hidden: &Array2<bool>) -> Vec<Level> {
    let mut depth = nearest::depth(hidden.mapv(|h| !h).view());
    let mut levels = vec![Level::finest(x, hidden)];
    while depth > COARSEST {
        match levels.last().and_then(Level::halved) {
            Some(coarser) => levels.push(coarser),
            None => break,
        }
        depth /= 2.0;
    }
    levels
}

/// A picture of a pyramid.
struct Level {
    h: usize,
    w: usize,
    hidden: Vec<bool>,
    features: Vec<Features>,
    /// Middles of patches that lie within the picture and are known.
    places: Vec<u32>,
    /// Which pixels are such middles.
    is_place: Vec<bool>,
    /// Middles of patches with a hidden pixel.
    targets: Vec<u32>,
    /// Number of each target, by pixel.
    number: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// For each target a place, and how unlike it is.
struct Matches {
    place: Vec<u32>,
    cost: Vec<f32>,
}

impl Level {
    fn new(h: usize, w: usize, hidden: Vec<bool>, features: Vec<Features>) -> Level {
        let near = dilated(&hidden, h, w);
        let is_place: Vec<bool> = (0..h * w).map(|i| inside(i, h, w) && !near[i]).collect();
        let all = |of: &[bool]| (0..h * w).filter(|&i| of[i]).map(|i| i as u32).collect();
        let targets: Vec<u32> = all(&near);
        let mut number = vec![NONE; h * w];
        for (k, &t) in targets.iter().enumerate() {
            number[t as usize] = k as u32;
        }
        Level {
            places: all(&is_place),
            is_place,
            targets,
            number,
            h,
            w,
            hidden,
            features,
        }
    }

    fn finest(x: ArrayView4<'_, f32>, hidden: &Array2<bool>) -> Level {
        let (_, c, h, w) = x.dim();
        let picture = x.index_axis(Axis(0), 0);
        let hidden: Vec<bool> = hidden.iter().copied().collect();
        let mut features = vec![[0.0; 5]; h * w];
        for (i, f) in features.iter_mut().enumerate() {
            for k in 0..c.min(3) {
                f[k] = picture[[k, i / w, i % w]];
            }
        }
        let known = |i: usize| !hidden[i];
        let steps = |i: usize, j: usize, inside: bool| match inside && known(i) && known(j) {
            true => (0..3)
                .map(|k| (features[i][k] - features[j][k]).abs())
                .sum(),
            false => 0.0,
        };
        let activity: Vec<[f32; 3]> = (0..h * w)
            .map(|i| {
                let right = i % w + 1 < w;
                let below = i + w < h * w;
                let weight = if known(i) { 1.0 } else { 0.0 };
                [steps(i, i + 1, right), steps(i, i + w, below), weight]
            })
            .collect();
        let around = boxed(&activity, h, w, 4);
        for (f, a) in features.iter_mut().zip(&around) {
            let n = a[2].max(1.0);
            (f[3], f[4]) = (a[0] / n * ACTIVITY / 3.0, a[1] / n * ACTIVITY / 3.0);
        }
        Level::new(h, w, hidden, features)
    }

    /// Of half the size; `None` where too little would be left.
    fn halved(&self) -> Option<Level> {
        let (h, w) = (self.h / 2, self.w / 2);
        if h.min(w) < 3 * SIDE {
            return None;
        }
        let block = |i: usize| {
            let at = 2 * (i / w) * self.w + 2 * (i % w);
            [at, at + 1, at + self.w, at + self.w + 1]
        };
        let hidden: Vec<bool> = (0..h * w)
            .map(|i| block(i).iter().any(|&j| self.hidden[j]))
            .collect();
        let features = (0..h * w)
            .map(|i| {
                std::array::from_fn(|k| {
                    block(i).iter().map(|&j| self.features[j][k]).sum::<f32>() / 4.0
                })
            })
            .collect();
        let level = Level::new(h, w, hidden, features);
        (level.places.len() >= FEWEST).then_some(level)
    }

    /// The first matches of the coarsest level, with which its hidden pixels are filled layer by layer from the edge.
    fn peeled(&mut self) -> Matches {
        let mut matches = self.guessed();
        let mut filled: Vec<bool> = self.hidden.iter().map(|h| !h).collect();
        let mut round = 100;
        while filled.iter().any(|f| !f) {
            let layer: Vec<usize> = (0..self.h * self.w)
                .filter(|&i| !filled[i] && self.beside(i, &filled))
                .collect();
            let of: Vec<usize> = layer.iter().map(|&i| self.number[i] as usize).collect();
            for _ in 0..ROUNDS {
                self.improve(&mut matches, &of, Some(&filled), round);
                round += 1;
            }
            for i in layer {
                let k = self.number[i] as usize;
                self.features[i] = self.features[matches.place[k] as usize];
                filled[i] = true;
            }
        }
        matches.cost.fill(f32::INFINITY);
        self.search(&mut matches, 50);
        matches
    }

    /// Whether a pixel has a neighbour that is set.
    fn beside(&self, i: usize, set: &[bool]) -> bool {
        let (y, x) = (i / self.w, i % self.w);
        (y > 0 && set[i - self.w])
            || (y + 1 < self.h && set[i + self.w])
            || (x > 0 && set[i - 1])
            || (x + 1 < self.w && set[i + 1])
    }

    /// Places by chance.
    fn guessed(&self) -> Matches {
        let n = self.targets.len();
        let place = (0..n).map(|k| self.places[chance(k as u64, self.places.len())]);
        Matches {
            place: place.collect(),
            cost: vec![f32::INFINITY; n],
        }
    }

    /// What was found for the picture of half the size, in this one.
    fn refined(&self, coarse: &Level, found: &Matches) -> Matches {
        let mut matches = self.guessed();
        for (k, &t) in self.targets.iter().enumerate() {
            let (y, x) = (t as usize / self.w, t as usize % self.w);
            let (cy, cx) = ((y / 2).min(coarse.h - 1), (x / 2).min(coarse.w - 1));
            let number = coarse.number[cy * coarse.w + cx];
            let Some(&place) = found.place.get(number as usize) else {
                continue;
            };
            let place = place as usize;
            let row = 2 * (place / coarse.w) + y % 2;
            let column = 2 * (place % coarse.w) + x % 2;
            let place = row * self.w + column;
            if row < self.h && column < self.w && self.is_place[place] {
                matches.place[k] = place as u32;
            }
        }
        matches
    }

    /// Looks for better places for the patches as they are now.
    fn search(&self, matches: &mut Matches, turn: usize) {
        matches.cost.fill(f32::INFINITY);
        let all: Vec<usize> = (0..self.targets.len()).collect();
        for round in 0..ROUNDS {
            self.improve(matches, &all, None, turn * ROUNDS + round);
        }
    }

    /// One round of asking neighbours and guessing, for some of the targets; only `valid` pixels are compared, if not all. All
    /// see the round before, so that nothing depends on who is first.
    fn improve(&self, matches: &mut Matches, of: &[usize], valid: Option<&[bool]>, round: usize) {
        let one = |&k: &usize| self.better(matches, k, valid, round);
        let found: Vec<(u32, f32)> = of.par_iter().map(one).collect();
        for (&k, (place, cost)) in of.iter().zip(found) {
            (matches.place[k], matches.cost[k]) = (place, cost);
        }
    }

    /// The best place for a target among its own, those that its neighbours suggest, and guesses nearer and nearer around it.
    fn better(
        &self,
        before: &Matches,
        k: usize,
        valid: Option<&[bool]>,
        round: usize,
    ) -> (u32, f32) {
        let t = self.targets[k] as usize;
        let (y, x) = ((t / self.w) as isize, (t % self.w) as isize);
        let mut best = (before.place[k], before.cost[k]);
        if best.1.is_infinite() {
            best.1 = self.cost(t, best.0 as usize, valid, f32::INFINITY);
        }
        let (h, w) = (self.h as isize, self.w as isize);
        let consider = |best: &mut (u32, f32), row: isize, column: isize| {
            if row < 0 || column < 0 || row >= h || column >= w {
                return;
            }
            let place = (row * w + column) as usize;
            if self.is_place[place] && place as u32 != best.0 {
                let cost = self.cost(t, place, valid, best.1);
                if cost < best.1 {
                    *best = (place as u32, cost);
                }
            }
        };
        let far = [1, 4, 2, 1, 8, 1][round % 6];
        for (dy, dx) in [(-far, 0), (far, 0), (0, -far), (0, far)] {
            let (ny, nx) = (y + dy, x + dx);
            if ny < 0 || nx < 0 || ny >= h || nx >= w {
                continue;
            }
            let number = self.number[(ny * w + nx) as usize];
            if let Some(&place) = before.place.get(number as usize) {
                let place = place as isize;
                consider(&mut best, place / w - dy, place % w - dx);
            }
        }
        let mut seed = (round as u64) << 40 | t as u64;
        let mut radius = h.max(w);
        while radius >= 1 {
            let (py, px) = (best.0 as isize / w, best.0 as isize % w);
            let side = 2 * radius as usize + 1;
            seed = scrambled(seed);
            let dy = chance(seed, side) as isize - radius;
            seed = scrambled(seed);
            let dx = chance(seed, side) as isize - radius;
            consider(&mut best, py + dy, px + dx);
            radius /= 2;
        }
        best
    }

    /// How unlike the patches around two pixels are, a pixel; at least `enough` if it is that.
    fn cost(&self, t: usize, place: usize, valid: Option<&[bool]>, enough: f32) -> f32 {
        let (y, x) = ((t / self.w) as isize, (t % self.w) as isize);
        let reach = REACH as isize;
        let rows = (-reach).max(-y)..=reach.min(self.h as isize - 1 - y);
        let columns = (-reach).max(-x)..=reach.min(self.w as isize - 1 - x);
        let (mut sum, mut n) = (0.0, 0);
        let limit = enough * (SIDE * SIDE) as f32;
        for dy in rows {
            for dx in columns.clone() {
                let step = dy * self.w as isize + dx;
                let at = (t as isize + step) as usize;
                if valid.is_some_and(|valid| !valid[at]) {
                    continue;
                }
                let (a, b) = (
                    &self.features[at],
                    &self.features[(place as isize + step) as usize],
                );
                sum += a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
                n += 1;
            }
            if sum > limit {
                return f32::INFINITY;
            }
        }
        match n {
            0 => 0.0,
            n => sum / n as f32,
        }
    }

    /// Each hidden pixel as the patches over it say, the better ones more.
    fn average(&mut self, matches: &Matches) {
        let scale = quantile(&matches.cost, 0.75).max(1e-6);
        let pixels: Vec<usize> = (0..self.h * self.w).filter(|&i| self.hidden[i]).collect();
        let one = |&i: &usize| {
            let (mut sum, mut weights) = ([0.0; 5], 0.0);
            self.votes(matches, i, |source, cost| {
                let weight = match cost.is_finite() {
                    true => (-cost / (2.0 * scale)).exp().max(1e-6),
                    false => 1.0,
                };
                for (sum, f) in sum.iter_mut().zip(&self.features[source]) {
                    *sum += weight * f;
                }
                weights += weight;
            });
            sum.map(|s| s / weights)
        };
        let means: Vec<Features> = pixels.par_iter().map(one).collect();
        for (i, mean) in pixels.into_iter().zip(means) {
            self.features[i] = mean;
        }
    }

    /// For each pixel the one that the best patch over it says; itself if it is known.
    fn best(&self, matches: &Matches) -> Vec<usize> {
        let one = |i: usize| {
            let mut best = (i, f32::INFINITY);
            if self.hidden[i] {
                self.votes(matches, i, |source, cost| {
                    if cost < best.1 {
                        best = (source, cost);
                    }
                });
            }
            best.0
        };
        (0..self.h * self.w).map(one).collect()
    }

    /// Tells `vote` of each patch over a hidden pixel which pixel it would have there, and how good it is.
    fn votes(&self, matches: &Matches, i: usize, mut vote: impl FnMut(usize, f32)) {
        let (y, x) = (i / self.w, i % self.w);
        for row in y.saturating_sub(REACH)..(y + REACH + 1).min(self.h) {
            for column in x.saturating_sub(REACH)..(x + REACH + 1).min(self.w) {
                let t = row * self.w + column;
                let k = self.number[t] as usize;
                let source = matches.place[k] as usize + i - t;
                vote(source, matches.cost[k]);
            }
        }
    }
}

/// Whether the patch around a pixel lies in the picture.
fn inside(i: usize, h: usize, w: usize) -> bool {
    let (y, x) = (i / w, i % w);
    y >= REACH && x >= REACH && y + REACH < h && x + REACH < w
}

/// The pixels up to `REACH` rows and columns from one that is set.
fn dilated(set: &[bool], h: usize, w: usize) -> Vec<bool> {
    let values: Vec<[f32; 3]> = set.iter().map(|&s| [f32::from(s), 0.0, 0.0]).collect();
    boxed(&values, h, w, REACH)
        .iter()
        .map(|v| v[0] > 0.5)
        .collect()
}

/// Sums over the pixels up to `reach` rows and columns away.
fn boxed(values: &[[f32; 3]], h: usize, w: usize, reach: usize) -> Vec<[f32; 3]> {
    let add = |a: [f32; 3], b: &[f32; 3]| [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
    let rows: Vec<[f32; 3]> = (0..h * w)
        .map(|i| {
            let (y, x) = (i / w, i % w);
            let near = x.saturating_sub(reach)..(x + reach + 1).min(w);
            values[y * w..][near].iter().fold([0.0; 3], add)
        })
        .collect();
    (0..h * w)
        .map(|i| {
            let (y, x) = (i / w, i % w);
            let near = y.saturating_sub(reach)..(y + reach + 1).min(h);
            near.map(|y| &rows[y * w + x]).fold([0.0; 3], add)
        })
        .collect()
}

/// The value below which a part of them lies.
fn quantile(values: &[f32], part: f64) -> f32 {
    let mut values: Vec<f32> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return 1.0;
    }
    let at = ((values.len() - 1) as f64 * part) as usize;
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

/// A number below `n` that looks like chance (splitmix64, Steele et al. 2014).
fn chance(seed: u64, n: usize) -> usize {
    (scrambled(seed) % n as u64) as usize
}

fn scrambled(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stripes go on through a hole of 30 pixels a side, as they are. Wrong: the nearest pixel, or a mean of patches.
    #[test]
    fn texture_goes_on() {
        let stripes = |i: usize, j: usize| match (i + 2 * j) % 12 < 6 {
            true => 0.8,
            false => 0.2 + 0.002 * j as f32,
        };
        let whole = Image::from_shape_fn((1, 3, 120, 110), |(_, _, i, j)| stripes(i, j));
        let inside = |i: usize, j: usize| (40..70).contains(&i) && (38..68).contains(&j);
        let hidden = Array2::from_shape_fn((120, 110), |(i, j)| inside(i, j));
        let mut holed = whole.clone();
        for ((_, _, i, j), v) in holed.indexed_iter_mut() {
            *v = if hidden[[i, j]] { 0.5 } else { *v };
        }
        let filled = filled(holed, &hidden);
        let off = (&filled - &whole).mapv(f32::abs);
        assert!(off.sum() / (3.0 * 900.0) < 0.03, "{}", off.sum() / 2700.0);
    }

    /// Where there is nothing to take from, the picture stays as it is, whatever its size.
    #[test]
    fn too_little_to_take_from() {
        for (h, w) in [(1, 1), (5, 40), (30, 30)] {
            let x = Image::from_elem((2, 1, h, w), 0.3);
            let hidden = Array2::from_shape_fn((h, w), |(i, j)| i + j > 0);
            assert_eq!(filled(x.clone(), &hidden), x);
        }
    }
}
