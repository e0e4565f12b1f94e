//! Maps of noise as they occur: what the network is told of each pixel in a step of training.
//!
//! Each is made as a restoration makes it: an operator that acts on every pixel alone, with singular values `s` along some
//! directions, measured with noise of deviation `r`, beside a diffusion sample of level `sigma_t`. What is known of a pixel
//! along a direction is then one Gaussian observation of variance `1/(1/sigma_t^2 + s^2/r^2)`.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView4, Axis, s};
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::noise_map::{Basis, NoiseMap};

/// What kind of map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Random pixels are missing, from 2 to 98 of a hundred.
    Pixels,
    /// Boxes, strokes, lines of text and half pictures are missing, or all but them.
    Holes,
    /// One colour a pixel is known, by a Bayer pattern.
    Mosaic,
    /// A weighted sum of the colours is known.
    Grey,
    /// Noise that grows with brightness, `a + b*x`.
    Bright,
    /// Noise that changes smoothly over the picture.
    Smooth,
}

/// The part of training that is told maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maps {
    /// Share of steps whose crops are told maps.
    pub share: f64,
    /// What the network is told of a number that is known; if nothing is said, the smallest sigma of training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<f64>,
    /// How often each kind is drawn, relative to the others.
    pub kinds: BTreeMap<Kind, f64>,
}

/// Below this deviation, for data in [-1, 1], errors count less and less: what is left to say is noise.
const FLOOR: f64 = 0.02;

impl Maps {
    pub(super) fn check(&self) -> Result<(), String> {
        let weights = self.kinds.values();
        let sound = (0.0..=1.0).contains(&self.share)
            && weights.clone().all(|w| (0.0..=1e6).contains(w))
            && weights.sum::<f64>() > 0.0;
        match sound {
            true => Ok(()),
            false => Err("`maps` needs a share from 0 to 1, and kinds with weights >= 0".into()),
        }
    }

    /// Whether step `n` (from 0) is told maps.
    pub(super) fn due(&self, n: u64) -> bool {
        let before = |n: u64| (n as f64 * self.share).floor();
        before(n + 1) > before(n)
    }

    /// A kind at random.
    pub(super) fn kind(&self, rng: &mut impl Rng) -> Kind {
        let mut u = rng.random::<f64>() * self.kinds.values().sum::<f64>();
        for (&kind, &weight) in &self.kinds {
            if u < weight {
                return kind;
            }
            u -= weight;
        }
        *self.kinds.keys().last().expect("checked")
    }
}

/// How much the error along a direction of this variance counts.
pub(super) fn weight(variance: f32) -> f32 {
    let v = f64::from(variance);
    match v.is_infinite() {
        true => 1.0,
        false => (v / (v + FLOOR * FLOOR)) as f32,
    }
}

/// A crop as the network is to see it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// `x0 + noise`, `[1, 3, h, w]`; 0 along directions of which nothing is known.
    pub(super) m: Image,
    /// The noise that it is told.
    pub(super) noise: NoiseMap,
}

/// What is measured of a crop: along each direction the variance of its noise, infinite for nothing.
struct Measured {
    basis: Basis,
    variance: Image,
}

impl Kind {
    /// Its name, as recipes have it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Pixels => "pixels",
            Kind::Holes => "holes",
            Kind::Mosaic => "mosaic",
            Kind::Grey => "grey",
            Kind::Bright => "bright",
            Kind::Smooth => "smooth",
        }
    }

    /// A crop `[1, 3, h, w]` in [-1, 1] seen through such a map, with noise of unit variance `eps`. `beside` is the level of
    /// a diffusion sample, or infinity for none.
    pub(super) fn see(
        self,
        x0: ArrayView4<'_, f32>,
        eps: ArrayView4<'_, f32>,
        beside: f64,
        rounded: bool,
        rng: &mut impl Rng,
    ) -> Seen {
        let Measured { basis, variance } = self.measured(x0, rng);
        let (x0, eps) = (basis.coordinates(&x0.to_owned()), eps.to_owned());
        let precision = 1.0 / (beside * beside);
        let variance = variance.mapv(|v| (1.0 / (precision + 1.0 / f64::from(v))) as f32);
        let mut m = Image::zeros(x0.raw_dim());
        ndarray::Zip::from(&mut m)
            .and(&x0)
            .and(&eps)
            .and(&variance)
            .for_each(|m, &x0, &eps, &v| {
                *m = match v.is_infinite() {
                    true => 0.0,
                    false => x0 + v.sqrt() * eps,
                }
            });
        if rounded && beside.is_infinite() && basis == Basis::Channels {
            m.mapv_inplace(as_in_a_file);
        }
        Seen {
            m: basis.picture(&m),
            noise: NoiseMap::new(variance, basis),
        }
    }

    fn measured(self, x0: ArrayView4<'_, f32>, rng: &mut impl Rng) -> Measured {
        let (_, c, h, w) = x0.dim();
        let known = known_variance(rng);
        let of_mask = |mask: Array2<bool>| Measured {
            basis: Basis::Channels,
            variance: Image::from_shape_fn((1, c, h, w), |(_, _, y, x)| match mask[[y, x]] {
                true => known,
                false => f32::INFINITY,
            }),
        };
        match self {
            Kind::Pixels => {
                // Even in the logit: few pixels are as frequent as few holes.
                let logit = rng.random_range(-4.0..4.0_f64);
                let share = 1.0 / (1.0 + (-logit).exp());
                of_mask(Array2::from_shape_fn((h, w), |_| {
                    rng.random::<f64>() < share
                }))
            }
            Kind::Holes => of_mask(holes(h, w, rng)),
            Kind::Mosaic => {
                let [dy, dx] = [rng.random_range(0..2), rng.random_range(0..2)];
                let variance = Image::from_shape_fn((1, c, h, w), |(_, i, y, x)| {
                    let (y, x) = ((y + dy) % 2, (x + dx) % 2);
                    match i == y + x {
                        true => known,
                        false => f32::INFINITY,
                    }
                });
                Measured {
                    basis: Basis::Channels,
                    variance,
                }
            }
            Kind::Grey => grey(known, (h, w), rng),
            Kind::Bright => {
                let [a, b] = [(0.004, 0.2), (0.01, 0.8)].map(|range| log_uniform(range, rng));
                let variance =
                    |&x: &f32| a * a + b * b * (0.5 * f64::from(x) + 0.5).clamp(0.0, 1.0);
                Measured {
                    basis: Basis::Channels,
                    variance: x0.map(|x| variance(x) as f32),
                }
            }
            Kind::Smooth => {
                let logs = smooth((h, w), rng);
                let [middle, spread] = [rng.random_range(-3.5..-0.5), rng.random_range(0.2..1.2)];
                Measured {
                    basis: Basis::Channels,
                    variance: Image::from_shape_fn((1, c, h, w), |(_, _, y, x)| {
                        (2.0 * (middle + spread * logs[[y, x]])).exp() as f32
                    }),
                }
            }
        }
    }
}

/// Noise levels, for data in [-1, 1], of pictures that are seen as files keep them. A network that is told of less noise than two
/// steps of a file, and shown the steps, takes faint stars for them.
pub(super) const NOISE_IN_FILES: std::ops::Range<f64> = 4.0 / 255.0..1.0;

/// A number of [-1, 1] as a file of 8 bits keeps it.
pub(super) fn as_in_a_file(v: f32) -> f32 {
    ((v * 127.5 + 127.5).round().clamp(0.0, 255.0) - 127.5) / 127.5
}

fn log_uniform((low, high): (f64, f64), rng: &mut impl Rng) -> f64 {
    (low.ln() + rng.random::<f64>() * (high / low).ln()).exp()
}

/// The variance of what is known: none for half of the crops.
fn known_variance(rng: &mut impl Rng) -> f32 {
    match rng.random::<bool>() {
        true => 0.0,
        false => log_uniform((0.004, 0.8), rng).powi(2) as f32,
    }
}

/// One sum of the colours: their mean, their luma, or any.
fn grey(known: f32, (h, w): (usize, usize), rng: &mut impl Rng) -> Measured {
    let weights: [f64; 3] = match rng.random_range(0..3) {
        0 => [1.0; 3],
        1 => [0.299, 0.587, 0.114],
        _ => std::array::from_fn(|_| rng.random::<f64>() + 0.02),
    };
    let rows = directions(weights);
    // The noise is that of the direction of unit length.
    let variance = Image::from_shape_fn((1, 3, h, w), |(_, i, _, _)| match i {
        0 => known,
        _ => f32::INFINITY,
    });
    Measured {
        basis: Basis::One(rows),
        variance,
    }
}

/// Three orthonormal directions, the first along `weights`.
fn directions(weights: [f64; 3]) -> Array2<f32> {
    let unit = |v: [f64; 3]| {
        let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        v.map(|v| v / norm)
    };
    let cross = |a: [f64; 3], b: [f64; 3]| {
        std::array::from_fn(|i| {
            let (j, k) = ((i + 1) % 3, (i + 2) % 3);
            a[j] * b[k] - a[k] * b[j]
        })
    };
    let first = unit(weights);
    let least = (0..3).min_by(|&i, &j| first[i].abs().total_cmp(&first[j].abs()));
    let mut axis = [0.0; 3];
    axis[least.expect("three")] = 1.0;
    let second = unit(cross(first, axis));
    let third = cross(first, second);
    let rows = [first, second, third];
    Array2::from_shape_fn((3, 3), |(i, j)| rows[i][j] as f32)
}

/// A smooth field of unit size: normal numbers on a coarse grid, interpolated.
fn smooth((h, w): (usize, usize), rng: &mut impl Rng) -> Array2<f64> {
    let cells = rng.random_range(1..5);
    let knots: Array2<f64> =
        Array2::from_shape_fn((cells + 1, cells + 1), |_| StandardNormal.sample(&mut *rng));
    let place = |i: usize, n: usize| {
        let at = i as f64 / n as f64 * cells as f64;
        (at.floor() as usize, at.fract())
    };
    Array2::from_shape_fn((h, w), |(y, x)| {
        let ((y, fy), (x, fx)) = (place(y, h), place(x, w));
        let row = |y: usize| knots[[y, x]] * (1.0 - fx) + knots[[y, x + 1]] * fx;
        row(y) * (1.0 - fy) + row(y + 1) * fy
    })
}

/// Which pixels are known where shapes are missing.
fn holes(h: usize, w: usize, rng: &mut impl Rng) -> Array2<bool> {
    let mut known = Array2::from_elem((h, w), true);
    for _ in 0..rng.random_range(1..4) {
        match rng.random_range(0..5) {
            0 | 1 => cut_box(&mut known, rng),
            2 => cut_half(&mut known, rng),
            3 => cut_strokes(&mut known, rng),
            _ => cut_text(&mut known, rng),
        }
    }
    // Seldom the other way round: of the picture there is what the shapes cover.
    if rng.random::<f64>() < 0.1 {
        known.mapv_inplace(|k| !k);
    }
    known
}

/// From a few pixels to all of a crop's side.
fn length(limit: usize, rng: &mut impl Rng) -> usize {
    let most = (limit as f64).max(3.0);
    (log_uniform((3.0, most + 0.5), rng) as usize).clamp(1, limit)
}

fn cut_box(known: &mut Array2<bool>, rng: &mut impl Rng) {
    let (h, w) = known.dim();
    let [height, width] = [h, w].map(|limit| length(limit, rng));
    // Boxes reach over the edges too.
    let top = rng.random_range(0..h + height) as isize - height as isize;
    let left = rng.random_range(0..w + width) as isize - width as isize;
    let ends = |start: isize, length: usize, limit: usize| {
        let end = (start + length as isize).clamp(0, limit as isize) as usize;
        start.clamp(0, limit as isize) as usize..end
    };
    let (rows, columns) = (ends(top, height, h), ends(left, width, w));
    known.slice_mut(s![rows, columns]).fill(false);
}

fn cut_half(known: &mut Array2<bool>, rng: &mut impl Rng) {
    let (h, w) = known.dim();
    let axis = rng.random_range(0..2);
    let limit = [h, w][axis];
    let at = rng.random_range(limit / 4..=limit - limit / 4);
    let (before, after) = known.view_mut().split_at(Axis(axis), at);
    match rng.random::<bool>() {
        true => before.into_iter().for_each(|k| *k = false),
        false => after.into_iter().for_each(|k| *k = false),
    }
}

/// A pen that wanders.
fn cut_strokes(known: &mut Array2<bool>, rng: &mut impl Rng) {
    let (h, w) = known.dim();
    for _ in 0..rng.random_range(1..5) {
        let mut at = [rng.random_range(0..h) as f64, rng.random_range(0..w) as f64];
        let radius = log_uniform((0.6, 6.0), rng);
        let mut angle = rng.random_range(0.0..std::f64::consts::TAU);
        for _ in 0..rng.random_range(h / 4..2 * h) {
            dot(known, at, radius);
            angle += 0.25 * rng.random_range(-1.0..1.0);
            at = [at[0] + angle.sin(), at[1] + angle.cos()];
        }
    }
}

fn dot(known: &mut Array2<bool>, at: [f64; 2], radius: f64) {
    let (h, w) = known.dim();
    let around = |at: f64, limit: usize| {
        let low = (at - radius).ceil().max(0.0) as usize;
        low..((at + radius).floor() + 1.0).clamp(0.0, limit as f64) as usize
    };
    for (y, x) in around(at[0], h).flat_map(|y| around(at[1], w).map(move |x| (y, x))) {
        if (y as f64 - at[0]).hypot(x as f64 - at[1]) <= radius {
            known[[y, x]] = false;
        }
    }
}

/// Rows of strokes of the size of letters.
fn cut_text(known: &mut Array2<bool>, rng: &mut impl Rng) {
    let (h, w) = known.dim();
    let size = log_uniform((5.0, 0.3 * h as f64 + 6.0), rng);
    let pen = (0.09 * size).max(0.6);
    let [top, left] = [h, w].map(|limit| rng.random_range(0.0..0.7 * limit as f64));
    for line in 0..rng.random_range(1..4) {
        let baseline = top + 1.5 * size * line as f64;
        for letter in 0..rng.random_range(2..12) {
            let corner = [baseline, left + 0.75 * size * letter as f64];
            cut_letter(known, corner, size, pen, rng);
        }
    }
}

/// Two or three straight strokes between the corners of a letter's box.
fn cut_letter(known: &mut Array2<bool>, corner: [f64; 2], size: f64, pen: f64, rng: &mut impl Rng) {
    for _ in 0..rng.random_range(2..4) {
        let mut end = || {
            let [y, x] = [0.5, 0.3].map(|step| step * f64::from(rng.random_range(0..3)));
            [corner[0] + y * size, corner[1] + x * size]
        };
        let [from, to] = [end(), end()];
        let steps = (2.0 * size / pen).ceil() as usize;
        for i in 0..=steps {
            let part = i as f64 / steps as f64;
            dot(
                known,
                [0, 1].map(|k| from[k] + part * (to[k] - from[k])),
                pen,
            );
        }
    }
}
