//! Priors: what images look like.
//!
//! A prior is a denoiser. By Tweedie's formula a network that predicts noise, score, velocity or a clean image is one;
//! so are the exact [`Gaussian`], [`Mixture`] and [`Stationary`], with which every sampler has a closed-form answer.

mod card;
mod channels;
mod conditioning;
mod gaussian;
mod measured;
mod mixture;
mod neighbours;
mod network;
mod parametrisation;
mod shown;
mod stationary;
mod tensor;
mod tiles;
mod trained_for;

pub use card::{Card, Parts, Sides};
pub use channels::AnyChannels;
pub use conditioning::Conditioning;
pub use gaussian::Gaussian;
pub use measured::Measured;
pub use mixture::Mixture;
use neighbours::informed;
pub use network::Network;
pub use parametrisation::{Factors, Parametrisation, Path};
pub(crate) use shown::Shown;
pub use stationary::Stationary;
pub(crate) use tensor::{from_tensor, in_pool, to_tensor};
pub use trained_for::TrainedFor;

use crate::Image;
use crate::level::Level;
use crate::noise_map::NoiseMap;

/// What a prior makes of a noisy image.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// `E[x0 | x]`, shaped like `x`. It is not clamped.
    pub x0: Image,
    /// Where the prior learned the variance of an ancestral step: its place between the small (0) and the large (1) variance,
    /// on a logarithmic scale (Nichol and Dhariwal 2021, eq. 15).
    pub share: Option<Image>,
}

impl From<Image> for Estimate {
    fn from(x0: Image) -> Estimate {
        Estimate { x0, share: None }
    }
}

/// The transposed derivative of one denoising: takes `v` (shaped like the clean image) to `J^T v` (shaped like `x`),
/// with `J = d x0 / d x`. It can be used once.
pub type Pullback<'a> = Box<dyn FnOnce(&Image) -> Result<Image, Error> + 'a>;

/// What images look like, asked through denoising.
///
/// Who asks calls [`Prior::denoise`] or [`Prior::denoise_with_pullback`], which hold the question against the card; who
/// makes a prior writes [`Prior::card`] and [`Prior::estimate`].
pub trait Prior: Send + Sync {
    /// What it knows.
    fn card(&self) -> &Card;

    /// `E[x0 | x]` for `x = a*x0 + b*eps`, for an `x` and a level that the card allows.
    ///
    /// `x` is `[batch, channel, height, width]` in the card's range; so is the answer.
    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error>;

    /// The same, with the pullback `v -> J^T v`; for priors whose card says that there is one.
    fn estimate_with_pullback<'a>(
        &'a self,
        _x: &Image,
        _level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        Err(Error::NoPullback)
    }

    /// `E[x0 | m]` for `m = x0 + noise`, where the noise of each pixel has a covariance of its own; for priors whose card says
    /// that they know maps. What `m` holds along a direction of infinite variance does not matter.
    fn estimate_mapped(&self, _m: &Image, _noise: &NoiseMap) -> Result<Estimate, Error> {
        Err(Error::NoMaps)
    }

    /// The prior of pictures of which this is the first guess, `[batch, channel, height, width]` in the card's range: one for
    /// batches of as many pictures of that size, which can be asked like any other. For conditional priors, whose card says
    /// what they were trained for.
    ///
    /// # Errors
    /// [`Error::NoCondition`] if it is none, [`Error::Shape`] if the guess does not fit.
    fn given(&self, _guess: &Image) -> Result<Box<dyn Prior + '_>, Error> {
        Err(Error::NoCondition)
    }

    /// The gradient of `log p(y | x)` by `x = a*x0 + b*eps`, for each picture of a batch, given what is measured of it; for
    /// priors whose card says that they know it.
    fn likelihood_score(&self, _x: &Image, _level: Level, _of: &Measured) -> Result<Image, Error> {
        Err(Error::NoLikelihood)
    }

    /// The log-density of each picture of the batch `x` at a level, up to a constant of the level; for priors that know it.
    fn log_density(&self, _x: &Image, _level: Level) -> Result<Vec<f64>, Error> {
        Err(Error::NoDensity)
    }

    /// [`Prior::estimate`], checked.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Level`] if the card does not allow the question.
    fn denoise(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        self.card().check(x, level)?;
        self.estimate(x, level)
    }

    /// [`Prior::estimate_mapped`], checked.
    ///
    /// # Errors
    /// Those of [`Card::check_mapped`].
    fn denoise_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        self.card().check_mapped(m, noise)?;
        self.estimate_mapped(m, noise)
    }

    /// [`Prior::estimate_with_pullback`], checked.
    ///
    /// # Errors
    /// Those of [`Prior::denoise`], and [`Error::NoPullback`].
    fn denoise_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        if !self.card().pullback {
            return Err(Error::NoPullback);
        }
        self.card().check(x, level)?;
        self.estimate_with_pullback(x, level)
    }
}

/// Numbers of channels, in words.
fn in_words(channels: &[usize]) -> String {
    let channels: Vec<String> = channels.iter().map(usize::to_string).collect();
    channels.join(" or ")
}

/// What to do where one of the two is complex, of real and imaginary part.
fn complex(takes: &[usize], got: usize) -> &'static str {
    match (takes, got) {
        ([2], _) => ": it is one of complex pictures (`--pictures complex`)",
        (_, 2) => ": complex ones want a prior whose description says `complex = true`",
        _ => "",
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
    /// Its pictures have other numbers of channels than those that are looked for.
    #[error(
        "the prior is one of pictures of {} channels, and {got} are looked for{}",
        in_words(.takes),
        complex(.takes, *.got)
    )]
    Channels {
        /// Those that it takes.
        takes: Vec<usize>,
        /// How many there would be.
        got: usize,
    },
    /// A noise level that the prior does not know.
    #[error("the prior knows noise of sigma {} to {}, and was asked for {asked:.6}", .knows[0], .knows[1])]
    Level {
        /// The least and the largest sigma that it knows.
        knows: [f64; 2],
        /// The sigma that was asked for.
        asked: f64,
    },
    /// The prior knows one noise level for a whole picture.
    #[error("the prior cannot be told the noise of each pixel")]
    NoMaps,
    /// The prior is not conditional.
    #[error("the prior is not shown a first guess: it was trained for pictures, not for a task")]
    NoCondition,
    /// The prior is conditional, and was asked without a first guess.
    #[error(
        "the prior was trained to undo {0}, and cannot be asked without a first guess; the method `sr3` shows it one"
    )]
    Conditional(String),
    /// The prior has no closed form of the likelihood.
    #[error("the prior does not know the likelihood of a noisy image")]
    NoLikelihood,
    /// The prior cannot be differentiated.
    #[error("the prior has no pullback")]
    NoPullback,
    /// The prior is a denoiser alone.
    #[error("the prior does not know its density, as Gaussians and their mixtures do")]
    NoDensity,
    /// The network's tensors could not be evaluated.
    #[error("the network could not be evaluated: {0}")]
    Network(String),
    /// The parameters do not describe a prior.
    #[error("not a prior: {0}")]
    Invalid(String),
}
