//! Methods: draws from the posterior, or its best estimate. One file each, written like its paper.

mod ddnm;
mod diffpir;
mod dpir;
mod dps;
mod mean;
mod tweedie;

pub use ddnm::{Ddnm, NextLevel};
pub use diffpir::{DataStep, DiffPir, Output};
pub use dpir::Dpir;
pub use dps::{Dps, StepRule};
pub use mean::Mean;
pub use tweedie::Tweedie;

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::level::{Level, Range};
use crate::prior::Prior;
use crate::problem::Problem;
use crate::registry::registry;
use crate::run::{Error, Run};
use crate::sampler::{add_noise, pure_noise};

/// A way back from a measurement to an image.
pub trait Method: Send + Sync {
    /// An image that explains the measurement and that the prior finds likely, `[batch, channel, height, width]` of the
    /// operator's input.
    fn restore(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Image, Error>;
}

registry! {
    /// A method by name, with its settings.
    dyn Method {
        DiffPir(DiffPir) = "diffpir",
        Ddnm(Ddnm) = "ddnm",
        Dps(Dps) = "dps",
        Dpir(Dpir) = "dpir",
        Mean(Mean) = "mean",
        Tweedie(Tweedie) = "tweedie",
    }
}

/// What a method starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Noise where the first level drowns any image (sigma of ten times the range or more), the guess where it does not,
    /// as with priors that know little noise only.
    #[default]
    Auto,
    /// Pure noise around the middle of the range, as most papers have it.
    Noise,
    /// The operator's first guess from the measurement, with the noise of the first level on it.
    Guess,
}

impl Start {
    /// The noisy image that the first step takes.
    pub(crate) fn draw(
        self,
        range: Range,
        problem: &Problem,
        level: Level,
        run: &mut Run<'_>,
    ) -> Image {
        let drowned = level.sigma() >= 10.0 * (2.0 * range.half);
        match self {
            Start::Auto if drowned => Start::Noise.draw(range, problem, level, run),
            Start::Noise => {
                pure_noise(range, level, problem.batch(), problem.operator.input(), run)
            }
            Start::Auto | Start::Guess => {
                let guess = problem.operator.guess(&problem.y) * level.a as f32;
                add_noise(guess, level.b, run)
            }
        }
    }
}

/// The least noise that a measurement is taken to have where a method divides by it: 0.001 for images in [0, 1]
/// (DPIR and DiffPIR). It stands for quantisation, and keeps noiseless problems well-posed.
pub(crate) fn floored_noise(problem: &Problem, range: Range) -> f64 {
    problem.sigma.max(0.001 * 2.0 * range.half)
}
