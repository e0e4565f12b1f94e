//! Structural similarity.
//!
//! Wang, Bovik, Sheikh and Simoncelli 2004, "Image quality assessment: from error visibility to structural similarity",
//! eq. 13, with the paper's constants: Gaussian window of 11x11 and sigma 1.5, K1 = 0.01, K2 = 0.03, L = 1. The mean is
//! over the positions where the window fits; colour is three pictures, averaged.

use ndarray::{Array2, ArrayView2, Axis, s};

use super::{Error, Metric, check, check_side};
use crate::Image;

/// What [`METRICS`](super::METRICS) says of it.
pub(super) const SSIM: Metric = Metric {
    name: "ssim",
    higher_is_better: true,
    about: "structural similarity (Wang et al. 2004), 11x11 Gaussian window, mean over channels",
    unit: "",
    measure: ssim,
};

/// Side of the window, and so the shortest side of a picture.
pub const SSIM_WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// Mean structural similarity over channels and pictures, at most 1.
///
/// # Errors
/// [`Error`] if the shapes differ, a value is NaN, or a side is under 11.
pub fn ssim(a: &Image, b: &Image) -> Result<f64, Error> {
    check(a, b)?;
    check_side("ssim", SSIM_WINDOW, a)?;
    let window = window();
    let mut sum = 0.0;
    for (a, b) in a.outer_iter().zip(b.outer_iter()) {
        for (a, b) in a.outer_iter().zip(b.outer_iter()) {
            sum += of_plane(&plane(a), &plane(b), &window);
        }
    }
    Ok(sum / (a.dim().0 * a.dim().1) as f64)
}

/// Clamped, in f64: variances are differences of near-equal numbers.
fn plane(x: ArrayView2<'_, f32>) -> Array2<f64> {
    x.mapv(|v| f64::from(v).clamp(0.0, 1.0))
}

fn of_plane(a: &Array2<f64>, b: &Array2<f64>, window: &[f64]) -> f64 {
    let mean_a = smooth(a, window);
    let mean_b = smooth(b, window);
    let mut total = smooth(&(a * a), window) - &mean_a * &mean_a;
    total += &(smooth(&(b * b), window) - &mean_b * &mean_b);
    let cross = smooth(&(a * b), window) - &mean_a * &mean_b;

    let mut sum = 0.0;
    ndarray::Zip::from(&mean_a)
        .and(&mean_b)
        .and(&total)
        .and(&cross)
        .for_each(|&ma, &mb, &var, &cov| {
            let luminance = (2.0 * ma * mb + C1) / (ma * ma + mb * mb + C1);
            sum += luminance * (2.0 * cov + C2) / (var + C2);
        });
    sum / mean_a.len() as f64
}

/// One side of the separable window, of sum 1.
fn window() -> Vec<f64> {
    let middle = (SSIM_WINDOW / 2) as f64;
    let weights: Vec<f64> = (0..SSIM_WINDOW)
        .map(|i| (-(i as f64 - middle).powi(2) / (2.0 * SIGMA * SIGMA)).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|w| w / sum).collect()
}

/// Weighted mean at each position where the window fits.
fn smooth(x: &Array2<f64>, window: &[f64]) -> Array2<f64> {
    smooth_along(&smooth_along(x, window, Axis(0)), window, Axis(1))
}

fn smooth_along(x: &Array2<f64>, window: &[f64], axis: Axis) -> Array2<f64> {
    let length = x.len_of(axis) + 1 - window.len();
    let mut shape = x.raw_dim();
    shape[axis.0] = length;
    let mut out = Array2::zeros(shape);
    for (i, &weight) in window.iter().enumerate() {
        let part = match axis.0 {
            0 => x.slice(s![i..i + length, ..]),
            _ => x.slice(s![.., i..i + length]),
        };
        out.scaled_add(weight, &part);
    }
    out
}
