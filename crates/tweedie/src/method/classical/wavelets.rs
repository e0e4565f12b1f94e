//! Orthonormal wavelets, and the tight frame of all their shifts.
//!
//! ```text
//! low[i] = c sum_k h[k] x[s i + d k],   high[i] = c sum_k g[k] x[s i + d k],   g[k] = (-1)^k h[T-1-k]
//! ```
//!
//! round the edges; along columns, then rows, then the same of the lowest quarter. With `s = 2`, `d = 1`, `c = 1` the transform is
//! orthonormal (Mallat 1989). With `s = 1`, `d = 2^level`, `c = 1/sqrt(2)` nothing is thrown away: the coefficients of all shifts, at
//! level `j` shrunk `2^(j+1)` times, with `W^T W = 1` ("a trous"; Coifman and Donoho 1995). Pictures are mirrored outwards first, so
//! that neither the edges meet nor the size matters.
//!
//! The crate `dwt` is the nearest to this; it has two families, powers of two and one dimension.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::operator::Boundary;

/// Daubechies' wavelets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// One vanishing moment: steps.
    Haar,
    /// Four, with eight taps.
    #[default]
    Db4,
    /// Eight, with sixteen taps.
    Db8,
}

impl Family {
    /// The low-pass filter (Daubechies 1992, "Ten lectures on wavelets", table 6.1).
    #[allow(
        clippy::excessive_precision,
        reason = "the table's digits, from which the tests' moments follow"
    )]
    fn low(self) -> &'static [f32] {
        match self {
            Family::Haar => &[std::f32::consts::FRAC_1_SQRT_2; 2],
            Family::Db4 => &[
                0.230377813309,
                0.714846570553,
                0.630880767930,
                -0.027983769417,
                -0.187034811719,
                0.030841381836,
                0.032883011667,
                -0.010597401785,
            ],
            Family::Db8 => &[
                0.054415842243,
                0.312871590914,
                0.675630736297,
                0.585354683654,
                -0.015829105256,
                -0.284015542962,
                0.000472484574,
                0.128747426620,
                -0.017369301002,
                -0.044088253931,
                0.013981027917,
                0.008746094047,
                -0.004870352993,
                -0.000391740373,
                0.000675449406,
                -0.000117476784,
            ],
        }
    }
}

/// A transform of pictures of any size.
#[derive(Clone, Debug)]
pub(super) struct Bank {
    low: Vec<f32>,
    high: Vec<f32>,
    levels: usize,
    redundant: bool,
}

impl Bank {
    /// With so many levels, as far as a picture has them; redundant for the mean over all shifts.
    pub(super) fn new(family: Family, levels: usize, redundant: bool) -> Bank {
        let scale = if redundant { 0.5_f32.sqrt() } else { 1.0 };
        let low: Vec<f32> = family.low().iter().map(|h| h * scale).collect();
        let sign = |k: usize| if k.is_multiple_of(2) { 1.0 } else { -1.0 };
        let high = low.iter().rev().enumerate().map(|(k, h)| sign(k) * h);
        Bank {
            high: high.collect(),
            low,
            levels,
            redundant,
        }
    }

    /// The picture with every detail's coefficient brought nearer to 0 by `threshold`, that of an orthonormal transform.
    pub(super) fn shrink(&self, x: &Image, threshold: f64) -> Image {
        let (n, c, h, w) = x.dim();
        let levels = self.levels.min(h.max(w).ilog2() as usize);
        let margin = 1 << levels;
        let planes: Vec<Array2<f32>> = (0..n * c)
            .into_par_iter()
            .map(|i| {
                let plane = x.slice(s![i / c, i % c, .., ..]);
                let wide = widened(plane, margin);
                let shrunk = self.shrunk(wide, 0, levels, threshold as f32);
                shrunk
                    .slice(s![margin..margin + h, margin..margin + w])
                    .to_owned()
            })
            .collect();
        let mut out = Image::zeros(x.dim());
        for (i, plane) in planes.iter().enumerate() {
            out.slice_mut(s![i / c, i % c, .., ..]).assign(plane);
        }
        out
    }

    /// The same from one level on, round the edges.
    fn shrunk(&self, x: Array2<f32>, level: usize, levels: usize, threshold: f32) -> Array2<f32> {
        if level == levels {
            return x;
        }
        let threshold_here = match self.redundant {
            true => threshold / (2 << level) as f32,
            false => threshold,
        };
        let [low, high] = self.split(&x, level).map(transposed);
        let [ll, lh] = self.split(&low, level);
        let details = [lh].into_iter().chain(self.split(&high, level));
        let mut details = details.map(|d| d.mapv(|v| v - v.clamp(-threshold_here, threshold_here)));
        let mut next = || details.next().expect("three bands of details");
        let (lh, hl, hh) = (next(), next(), next());
        let ll = self.shrunk(ll, level + 1, levels, threshold);
        let low = transposed(self.joined(&ll, &lh, level));
        let high = transposed(self.joined(&hl, &hh, level));
        self.joined(&low, &high, level)
    }

    /// Distance between outputs, and between taps.
    fn strides(&self, level: usize) -> (usize, usize) {
        match self.redundant {
            true => (1, 1 << level),
            false => (2, 1),
        }
    }

    /// The low and the high half of all columns.
    fn split(&self, x: &Array2<f32>, level: usize) -> [Array2<f32>; 2] {
        let (stride, dilation) = self.strides(level);
        let (n, width) = x.dim();
        [&self.low, &self.high].map(|filter| {
            let mut out = Array2::zeros((n / stride, width));
            for (i, mut row) in out.outer_iter_mut().enumerate() {
                for (k, &tap) in filter.iter().enumerate() {
                    row.scaled_add(tap, &x.row((stride * i + dilation * k) % n));
                }
            }
            out
        })
    }

    /// The transpose of [`Bank::split`].
    fn joined(&self, low: &Array2<f32>, high: &Array2<f32>, level: usize) -> Array2<f32> {
        let (stride, dilation) = self.strides(level);
        let (rows, width) = low.dim();
        let n = rows * stride;
        let mut out = Array2::zeros((n, width));
        for i in 0..rows {
            for (k, (&h, &g)) in self.low.iter().zip(&self.high).enumerate() {
                let mut row = out.row_mut((stride * i + dilation * k) % n);
                row.scaled_add(h, &low.row(i));
                row.scaled_add(g, &high.row(i));
            }
        }
        out
    }
}

fn transposed(x: Array2<f32>) -> Array2<f32> {
    x.t().as_standard_layout().into_owned()
}

/// A picture mirrored outwards by the margin, and on to a multiple of it.
fn widened(x: ArrayView2<'_, f32>, margin: usize) -> Array2<f32> {
    let (h, w) = x.dim();
    let size = |n: usize| (n + 2 * margin).next_multiple_of(margin);
    let at = |i: usize, n: usize| Boundary::Symmetric.index(i as i64 - margin as i64, n);
    Array2::from_shape_fn((size(h), size(w)), |(i, j)| x[[at(i, h), at(j, w)]])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [(Family, usize); 3] = [(Family::Haar, 1), (Family::Db4, 4), (Family::Db8, 8)];

    fn plane() -> Array2<f32> {
        Array2::from_shape_fn((32, 16), |(i, j)| {
            ((3 * i + i * i + 7 * j * j) as f32).sin()
        })
    }

    /// What makes them Daubechies' wavelets: orthonormal shifts, and as many vanishing moments as half of the taps. A digit wrong
    /// in the sixth place fails.
    #[test]
    fn filters_are_orthonormal_with_vanishing_moments() {
        for (family, moments) in FAMILIES {
            let bank = Bank::new(family, 1, false);
            let h: Vec<f64> = bank.low.iter().map(|&v| f64::from(v)).collect();
            for shift in (0..h.len()).step_by(2) {
                let product: f64 = h.iter().zip(&h[shift..]).map(|(a, b)| a * b).sum();
                let expected = if shift == 0 { 1.0 } else { 0.0 };
                assert!(
                    (product - expected).abs() < 1e-6,
                    "{family:?} {shift}: {product}"
                );
            }
            for moment in 0..moments {
                let of = |(k, &g): (usize, &f32)| {
                    (k as f64 / h.len() as f64).powi(moment as i32) * f64::from(g)
                };
                let sum: f64 = bank.high.iter().enumerate().map(of).sum();
                assert!(sum.abs() < 1e-6, "{family:?} {moment}: {sum}");
            }
            assert_eq!(h.len(), 2 * moments);
        }
    }

    /// Without a threshold nothing changes, in both transforms: `W^T W = 1`. Wrong: a frame without its `1/sqrt(2)`.
    #[test]
    fn what_is_split_is_joined() {
        for (family, _) in FAMILIES {
            for redundant in [false, true] {
                let bank = Bank::new(family, 3, redundant);
                let back = bank.shrunk(plane(), 0, 3, 0.0) - plane();
                assert!(
                    back.iter().all(|v| v.abs() < 1e-5),
                    "{family:?} {redundant}"
                );
            }
        }
    }

    /// The frame's answer is the mean of the orthonormal answers over all shifts. Wrong: one threshold for all levels, or one
    /// that shrinks by the root of 2 a level.
    #[test]
    fn the_frame_is_the_mean_over_shifts() {
        let x = plane();
        let (h, w) = x.dim();
        let rolled = |x: &Array2<f32>, a: usize, b: usize| {
            Array2::from_shape_fn((h, w), |(i, j)| x[[(i + a) % h, (j + b) % w]])
        };
        for (family, levels) in [(Family::Haar, 3), (Family::Db4, 2)] {
            let orthonormal = Bank::new(family, levels, false);
            let frame = Bank::new(family, levels, true).shrunk(x.clone(), 0, levels, 0.4);
            let mut mean = Array2::<f32>::zeros((h, w));
            let all = 1 << levels;
            for (a, b) in (0..all).flat_map(|a| (0..all).map(move |b| (a, b))) {
                let shrunk = orthonormal.shrunk(rolled(&x, a, b), 0, levels, 0.4);
                mean.scaled_add(1.0 / (all * all) as f32, &rolled(&shrunk, h - a, w - b));
            }
            assert!((frame - &mean).iter().all(|v| v.abs() < 1e-5), "{family:?}");
            assert!((mean - &x).iter().any(|v| v.abs() > 0.05));
        }
    }
}
