//! What there is to restore, as far as a choice of method and settings depends on it.

use crate::Dims;
use crate::operator::{Loss, Mask, Operator};
use crate::problem::Problem;

/// A task, for the settings that suit it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task {
    /// What the operator takes from the picture.
    pub loss: Loss,
    /// Whether it takes nothing, and records the picture itself.
    pub only_noise: bool,
    /// Whether it is to fill a hole so large that it is best filled with what lies elsewhere in the picture.
    pub elsewhere: bool,
    /// Whether the operator is linear.
    pub linear: bool,
    /// Whether it acts on each pixel alone.
    pub pixelwise: bool,
    /// Whether it records rounded numbers, of which intervals are known.
    pub quantised: bool,
    /// How far rounding puts such a picture off, for pictures in [0, 1]; 0 if nothing is rounded.
    pub rounding: f64,
    /// Whether the prior can be told the noise of each pixel.
    pub maps: bool,
    /// Whether the prior is conditional: shown a first guess, and trained for this task.
    pub conditional: bool,
    /// Whether a draw from the posterior is wanted in the place of the best estimate.
    pub draw: bool,
    /// Standard deviation of the noise in the measurement, for pictures in [0, 1]; 0 for none.
    pub sigma: f64,
    /// The clean image's dimensions.
    pub input: Dims,
    /// The measurement's.
    pub output: Dims,
    /// How many noise levels to visit; `None` for as many as suit the method.
    pub steps: Option<usize>,
}

impl Task {
    /// The task of a problem.
    pub fn of(problem: &Problem, steps: Option<usize>) -> Task {
        Task {
            sigma: problem.sigma(),
            steps,
            ..Task::exact(problem.operator.as_ref())
        }
    }

    /// How many times more pixels the picture has than the measurement.
    pub fn enlarged(&self) -> f64 {
        let pixels = |dims: Dims| (dims.h * dims.w) as f64;
        pixels(self.input) / pixels(self.output)
    }

    /// The task of an exact measurement by an operator: its best estimate, for a prior that knows no maps of noise.
    pub fn exact(operator: &dyn Operator) -> Task {
        Task {
            loss: operator.loss(),
            only_noise: operator.only_noise(),
            elsewhere: operator.mask().is_some_and(Mask::fills_from_elsewhere),
            linear: operator.linear().is_some(),
            pixelwise: operator.linear().is_some_and(|linear| linear.pixelwise()),
            quantised: operator.quantised().is_some(),
            rounding: operator.quantised().map_or(0.0, |q| q.coarseness()),
            maps: false,
            conditional: false,
            draw: false,
            sigma: 0.0,
            input: operator.input(),
            output: operator.output(),
            steps: None,
        }
    }
}
