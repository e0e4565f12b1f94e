//! Priors: what images look like.
//!
//! A prior is a denoiser. By Tweedie's formula a network that predicts noise, score, velocity or a clean image is one;
//! so are the exact [`Gaussian`] and [`Mixture`], with which every sampler has a closed-form answer.

mod gaussian;
mod mixture;
mod stationary;

pub use gaussian::Gaussian;
pub use mixture::Mixture;
pub use stationary::Stationary;

mod network;
mod parametrisation;
mod tiles;

pub use network::Network;
pub(crate) use network::{in_pool, to_tensor};
pub use parametrisation::{Factors, Parametrisation, condition};

use crate::Image;
use crate::level::{Level, Range};

/// The transposed derivative of one denoising: takes `v` (shaped like the clean image) to `J^T v` (shaped like `x`),
/// with `J = d x0 / d x`. It can be used once.
pub type Pullback<'a> = Box<dyn FnOnce(&Image) -> Result<Image, Error> + 'a>;

/// What images look like, asked through denoising.
pub trait Prior: Send + Sync {
    /// `E[x0 | x]` for `x = a*x0 + b*eps`.
    ///
    /// `x` is `[batch, channel, height, width]` in [`Prior::range`], any size; so is the answer. It is not clamped.
    fn denoise(&self, x: &Image, level: Level) -> Result<Image, Error>;

    /// The same, with the pullback `v -> J^T v`.
    fn denoise_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Image, Pullback<'a>), Error>;

    /// Channels of its pictures.
    fn channels(&self) -> usize;

    /// The range of clean data; [0, 1] but for test fixtures.
    fn range(&self) -> Range {
        Range::IMAGE
    }

    /// The largest sigma, `b/a`, that the prior knows, in the units of its range.
    fn max_sigma(&self) -> f64 {
        f64::INFINITY
    }
}

/// Why a prior could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image's shape does not fit the prior.
    #[error("the prior takes images of {expected}, not [batch, channel, height, width] = {got:?}")]
    Shape {
        /// What would fit.
        expected: String,
        /// The shape that came.
        got: Vec<usize>,
    },
    /// The network's tensors could not be evaluated.
    #[error("the network could not be evaluated: {0}")]
    Network(String),
    /// The parameters do not describe a prior.
    #[error("not a prior: {0}")]
    Invalid(String),
}
