//! Holes as a brush makes them.

use std::f64::consts::TAU;

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use crate::noise::generator;

/// The thinnest and the widest brush, in parts of the shorter side: 12 to 40 pixels of 256.
const BRUSH: [f64; 2] = [12.0 / 256.0, 40.0 / 256.0];

/// Corners of a stroke.
const CORNERS: std::ops::RangeInclusive<usize> = 4..=12;

/// Marks random strokes, until `hidden` of the pixels are marked, up to what the last stroke marks beyond that: polygons of 4 to 12
/// corners that turn about 72 degrees to one side and the other, drawn with a round brush (the free-form masks of Yu et al. 2019,
/// arXiv:1806.03589, algorithm 1, in parts of the picture's sides).
pub(super) fn marked((h, w): (usize, usize), hidden: f64, seed: u64) -> Array2<bool> {
    let mut marks = Array2::from_elem((h, w), false);
    let mut rng = generator(seed, "mask");
    let wanted = (hidden * (h * w) as f64) as usize;
    let mut done = 0;
    while done < wanted {
        let radius = (0.5 * h.min(w) as f64 * rng.random_range(BRUSH[0]..BRUSH[1])).max(0.5);
        let corners = corners((h, w), &mut rng);
        for pair in corners.windows(2) {
            done += line(&mut marks, pair[0], pair[1], radius, wanted - done);
            if done >= wanted {
                break;
            }
        }
    }
    marks
}

/// The corners of a stroke, rows and columns, within the picture.
fn corners((h, w): (usize, usize), rng: &mut ChaCha8Rng) -> Vec<[f64; 2]> {
    let sides = [h as f64, w as f64];
    let mean = sides[0].hypot(sides[1]) / 8.0;
    let lengths = Normal::new(mean, mean / 2.0).expect("a positive deviation");
    let mut at = sides.map(|side| rng.random_range(0.0..side));
    let mut all = vec![at];
    let start = rng.random_range(0.0..TAU);
    for k in 1..rng.random_range(CORNERS) {
        // 72 degrees, give or take 24, to the one side and the other.
        let turn = TAU / 5.0 + rng.random_range(-TAU / 15.0..TAU / 15.0);
        let angle = start + if k % 2 == 0 { -turn } else { turn };
        let length = lengths.sample(rng).clamp(0.0, 2.0 * mean);
        let step = [angle.sin(), angle.cos()].map(|part| length * part);
        at = [0, 1].map(|i| (at[i] + step[i]).clamp(0.0, sides[i] - 1.0));
        all.push(at);
    }
    all
}

/// Marks what is nearer to a line than `radius`, row by row, up to so many pixels, and says how many were new.
fn line(marks: &mut Array2<bool>, a: [f64; 2], b: [f64; 2], radius: f64, most: usize) -> usize {
    let (h, w) = marks.dim();
    let span = |i: usize, n: usize| {
        let low = (a[i].min(b[i]) - radius).floor().max(0.0) as usize;
        let high = (a[i].max(b[i]) + radius).ceil().min(n as f64 - 1.0) as usize;
        low..=high
    };
    let along = [b[0] - a[0], b[1] - a[1]];
    let square = (along[0] * along[0] + along[1] * along[1]).max(1e-9);
    let mut new = 0;
    for i in span(0, h) {
        for j in span(1, w) {
            let from = [i as f64 - a[0], j as f64 - a[1]];
            let part = ((from[0] * along[0] + from[1] * along[1]) / square).clamp(0.0, 1.0);
            let off = (from[0] - part * along[0]).hypot(from[1] - part * along[1]);
            if off <= radius && !marks[[i, j]] && new < most {
                marks[[i, j]] = true;
                new += 1;
            }
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many pixels as were asked for, in few pieces that are wide, others with another seed. Wrong: single pixels, strokes that
    /// never leave a corner.
    #[test]
    fn strokes_hide_what_is_asked_for() {
        for (size, hidden) in [
            ((64, 64), 0.3),
            ((40, 90), 0.5),
            ((3, 2), 0.5),
            ((1, 1), 0.0),
        ] {
            let marks = marked(size, hidden, 1);
            let count = marks.iter().filter(|&&m| m).count();
            assert_eq!(count, (hidden * (size.0 * size.1) as f64) as usize);
        }
        let marks = marked((128, 128), 0.3, 2);
        assert_ne!(marks, marked((128, 128), 0.3, 3));
        let pairs = |di: usize, dj: usize| {
            let both = |(i, j): (usize, usize)| marks[[i, j]] && marks[[i + di, j + dj]];
            let all = (0..120).flat_map(|i| (0..120).map(move |j| (i, j)));
            all.filter(|&at| both(at)).count() as f64 / (0.3 * 120.0 * 120.0)
        };
        assert!(pairs(0, 1) > 0.8 && pairs(1, 0) > 0.8 && pairs(4, 0) > 0.4);
    }
}
