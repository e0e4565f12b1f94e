//! How close a restoration is to the truth.
//!
//! All metrics take two batches of pictures of one shape, `[n, channel, height, width]` in [0, 1] (values outside are
//! clamped), and give the mean over the pictures. [`compare`] gives them all; [`METRICS`] lists them by name.
//!
//! ```
//! use tweedie::{Image, metric};
//!
//! let truth = Image::from_elem((1, 3, 32, 32), 0.5);
//! let restored = Image::from_elem((1, 3, 32, 32), 0.6);
//! let metrics = metric::compare(&restored, &truth)?;
//! assert!((metrics.psnr - 20.0).abs() < 1e-4);
//! # Ok::<(), metric::Error>(())
//! ```

mod aligned;
#[cfg(feature = "lpips")]
mod lpips;
mod mae;
mod papers;
mod psnr;
mod ssim;

pub use aligned::aligned;
#[cfg(feature = "lpips")]
pub use lpips::{LPIPS_MIN_SIDE, lpips};
pub use papers::{luma, without_border};
pub use psnr::{psnr, psnr8};
pub use ssim::{SSIM_WINDOW, ssim};

use serde::Serialize;

use crate::{Dims, Image};

/// Why two pictures cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Their shapes differ.
    #[error(
        "pictures of one size are compared, not {left_batch} of {left} with {right_batch} of {right} (channels x height x width)"
    )]
    Shape {
        /// Pictures on the left.
        left_batch: usize,
        /// Their dimensions.
        left: Dims,
        /// Pictures on the right.
        right_batch: usize,
        /// Their dimensions.
        right: Dims,
    },
    /// Nothing to compare.
    #[error("there are no pixels to compare")]
    Empty,
    /// A NaN or infinite value.
    #[error("a picture holds NaN or infinite values")]
    NotFinite,
    /// Too small for the metric.
    #[error("{metric} takes pictures of at least {least}x{least} pixels, not {width}x{height}")]
    TooSmall {
        /// Its name.
        metric: &'static str,
        /// Shortest side.
        least: usize,
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Neither grey nor RGB.
    #[error("{metric} takes pictures of 1 or 3 channels, not {channels}")]
    Channels {
        /// Its name.
        metric: &'static str,
        /// Channels.
        channels: usize,
    },
    /// The network of the metric could not be evaluated.
    #[error("the network of {metric} could not be evaluated: {detail}")]
    Network {
        /// Its name.
        metric: &'static str,
        /// What went wrong.
        detail: String,
    },
}

/// A metric and what to know about it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name on the command line.
    pub name: &'static str,
    /// Whether a larger number is a closer picture.
    pub higher_is_better: bool,
    /// What it measures, in a line.
    pub about: &'static str,
    /// Its unit; empty if it has none.
    pub unit: &'static str,
    /// Computes it, averaged over the batch.
    pub measure: fn(&Image, &Image) -> Result<f64, Error>,
}

impl Metric {
    /// What it finds; `None` for pictures that are too small for it, or have other channels than it takes.
    ///
    /// # Errors
    /// [`Error`] if the shapes differ or a value is NaN.
    pub fn of(&self, a: &Image, b: &Image) -> Result<Option<f64>, Error> {
        if_it_fits((self.measure)(a, b))
    }
}

/// All metrics; each says what it is in its own file.
pub const METRICS: &[Metric] = &[
    psnr::PSNR,
    psnr::PSNR8,
    ssim::SSIM,
    mae::MAE,
    #[cfg(feature = "lpips")]
    lpips::LPIPS,
];

/// The metric of a name.
pub fn by_name(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|m| m.name == name)
}

/// What [`compare`] found. JSON has no infinity: there an infinite PSNR is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Metrics {
    /// Peak signal-to-noise ratio in dB; infinite for equal pictures.
    pub psnr: f64,
    /// Structural similarity, 1 for equal pictures; `None` for pictures with a side under 11.
    pub ssim: Option<f64>,
    /// LPIPS distance, 0 for equal pictures; `None` for pictures with a side under 31, for channels other than 1 or 3,
    /// or without the feature `lpips`.
    pub lpips: Option<f64>,
}

/// Compares restorations with the truth by PSNR, SSIM and LPIPS, as far as their size allows.
///
/// # Errors
/// [`Error`] if the shapes differ or a value is NaN.
pub fn compare(a: &Image, b: &Image) -> Result<Metrics, Error> {
    Ok(Metrics {
        psnr: psnr(a, b)?,
        ssim: if_it_fits(ssim(a, b))?,
        #[cfg(feature = "lpips")]
        lpips: if_it_fits(lpips(a, b))?,
        #[cfg(not(feature = "lpips"))]
        lpips: None,
    })
}

fn if_it_fits(result: Result<f64, Error>) -> Result<Option<f64>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::TooSmall { .. } | Error::Channels { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Checks that two batches can be compared at all.
fn check(a: &Image, b: &Image) -> Result<(), Error> {
    if a.dim() != b.dim() {
        return Err(Error::Shape {
            left_batch: a.dim().0,
            left: Dims::of(a),
            right_batch: b.dim().0,
            right: Dims::of(b),
        });
    }
    if a.is_empty() {
        return Err(Error::Empty);
    }
    if !a.iter().chain(b).all(|v| v.is_finite()) {
        return Err(Error::NotFinite);
    }
    Ok(())
}

/// Checks that both sides reach `least`.
fn check_side(metric: &'static str, least: usize, x: &Image) -> Result<(), Error> {
    let Dims { h, w, .. } = Dims::of(x);
    if h.min(w) >= least {
        return Ok(());
    }
    Err(Error::TooSmall {
        metric,
        least,
        width: w,
        height: h,
    })
}
