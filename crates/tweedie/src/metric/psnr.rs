//! Peak signal-to-noise ratio.

use ndarray::Zip;

use super::{Error, Metric, check};
use crate::Image;

/// What [`METRICS`](super::METRICS) says of [`psnr`].
pub(super) const PSNR: Metric = Metric {
    name: "psnr",
    higher_is_better: true,
    about: "peak signal-to-noise ratio in dB, over all channels, on clamped values",
    unit: "dB",
    measure: psnr,
};

/// What it says of [`psnr8`].
pub(super) const PSNR8: Metric = Metric {
    name: "psnr8",
    higher_is_better: true,
    about: "the same after rounding to 8 bits",
    unit: "dB",
    measure: psnr8,
};

/// `10 log10(1/MSE)` in dB, the mean squared error taken over all channels of a picture together, on values clamped to
/// [0, 1]; the mean over the batch. Equal pictures give infinity.
///
/// # Errors
/// [`Error`] if the shapes differ or a value is NaN.
pub fn psnr(a: &Image, b: &Image) -> Result<f64, Error> {
    mean_psnr(a, b, |v| v)
}

/// [`psnr`] after rounding both to 8 bits, as papers that measure saved files have it.
///
/// # Errors
/// [`Error`] if the shapes differ or a value is NaN.
pub fn psnr8(a: &Image, b: &Image) -> Result<f64, Error> {
    mean_psnr(a, b, |v| (v * 255.0).round() / 255.0)
}

fn mean_psnr(a: &Image, b: &Image, round: impl Fn(f64) -> f64) -> Result<f64, Error> {
    check(a, b)?;
    let value = |v: f32| round(f64::from(v).clamp(0.0, 1.0));
    let mut decibels = 0.0;
    for (a, b) in a.outer_iter().zip(b.outer_iter()) {
        let squares = Zip::from(a).and(b).fold(0.0, |sum, &a, &b| {
            let d = value(a) - value(b);
            sum + d * d
        });
        decibels -= 10.0 * (squares / a.len() as f64).log10();
    }
    Ok(decibels / a.dim().0 as f64)
}
