//! Mean absolute error.

use super::{Error, Metric, check};
use crate::Image;

/// What [`METRICS`](super::METRICS) says of it.
pub(super) const MAE: Metric = Metric {
    name: "mae",
    higher_is_better: false,
    about: "mean absolute error, over all channels, on clamped values, in 1/255 of the range",
    unit: "/255",
    measure: mae,
};

/// The mean of `|a - b|` over all values, clamped to [0, 1], times 255.
///
/// # Errors
/// [`Error`] if the shapes differ or a value is NaN.
fn mae(a: &Image, b: &Image) -> Result<f64, Error> {
    check(a, b)?;
    let value = |v: &f32| f64::from(v.clamp(0.0, 1.0));
    let sum: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| (value(a) - value(b)).abs())
        .sum();
    Ok(255.0 * sum / a.len() as f64)
}
