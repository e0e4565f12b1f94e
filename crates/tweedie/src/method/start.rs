//! What a method starts from.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::level::{Level, Range};
use crate::problem::Problem;
use crate::run::Run;

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
    /// The operator's first guess from the measurement, with the noise of the first level: what the guess already has of
    /// the measurement's noise is counted (DiffPIR's code).
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
        match self {
            Start::Auto if drowned(range, level) => Start::Noise.draw(range, problem, level, run),
            Start::Noise => run.pure_noise(range, level, problem.batch(), problem.operator.input()),
            Start::Auto | Start::Guess => {
                let guess = problem.operator.guess(&problem.y) * level.a as f32;
                // Of variance b^2, the guess has a^2 sigma_y^2 already.
                let has = level.a * problem.sigma();
                let sigma = (level.b - has).max(0.0) * (level.b + has);
                run.add_noise(guess, sigma.sqrt())
            }
        }
    }

    /// The clean image that the noise of the first level lies around.
    pub(crate) fn around(self, range: Range, problem: &Problem, level: Level) -> Image {
        match self {
            Start::Auto if !drowned(range, level) => problem.operator.guess(&problem.y),
            Start::Guess => problem.operator.guess(&problem.y),
            Start::Auto | Start::Noise => {
                let dims = problem.operator.input().batch(problem.batch());
                Image::from_elem(dims, range.center as f32)
            }
        }
    }
}

/// Whether a level leaves nothing of any image.
fn drowned(range: Range, level: Level) -> bool {
    level.sigma() >= 10.0 * range.width()
}
