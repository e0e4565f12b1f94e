//! The data step of a splitting: an estimate brought towards the measurement.
//!
//! ```text
//! towards:  u = argmin |A u - y|^2 + rho*|u - x0|^2
//! drawn:    u ~ N(u; x0, r^2) N(y; A u, sigma_y^2)
//! ```
//!
//! For a linear operator the second is the first with `rho = (sigma_y/r)^2` of `y + sigma_y*n` and `x0 + r*z` in the places of
//! `y` and `x0` (Papandreou and Yuille 2010: perturb, then minimise): an exact draw, without any factor of a covariance.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::combine;
use crate::method::Task;
use crate::method::residual::Law;
use crate::problem::Problem;
use crate::registry::Need;
use crate::run::{Error, Run};

/// How an estimate is brought towards the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataStep {
    /// The proximal map: all the way, for linear operators.
    #[default]
    Prox,
    /// One gradient step, `x0 + J^T (y - A x0)/rho` (DiffPIR's equation 13): for operators that are not linear or whose
    /// prox is slow. It nears the prox as `rho` grows beyond `|A|^2`; smaller `rho` are raised to `|A|^2`, where the step
    /// would diverge.
    Gradient,
    /// So many gradient steps towards the proximal map, each of the inverse of `|A|^2 + rho`: for operators that are not
    /// linear, where one step goes too short a way.
    Descent {
        /// Steps, each with one application of the operator and one product with its Jacobian.
        steps: usize,
    },
}

impl DataStep {
    /// Twenty steps of a descent come as close as is of use.
    const DESCENT: DataStep = DataStep::Descent { steps: 20 };

    /// The one that suits a task.
    pub(super) fn suiting(task: &Task) -> DataStep {
        match task.linear {
            true => DataStep::Prox,
            false => DataStep::DESCENT,
        }
    }

    pub(super) fn check(self) -> Result<(), Error> {
        let DataStep::Descent { steps } = self else {
            return Ok(());
        };
        Error::unless((1..=MAX_STEPS).contains(&steps), || {
            format!("a descent takes 1 to {MAX_STEPS} steps, not {steps}")
        })
    }

    pub(super) fn needs(self) -> Vec<Need> {
        match self {
            DataStep::Prox => vec![Need::Linear],
            DataStep::Gradient | DataStep::Descent { .. } => Vec::new(),
        }
    }
}

/// A data step made ready for a problem.
pub(super) struct Data<'a> {
    pub(super) problem: &'a Problem,
    step: DataStep,
    /// `|A|^2`, for steps by gradients.
    norm2: f64,
    band: Option<Law>,
}

impl<'a> Data<'a> {
    pub(super) fn new(problem: &'a Problem, step: DataStep) -> Data<'a> {
        let norm2 = match step {
            DataStep::Prox => 0.0,
            DataStep::Gradient | DataStep::Descent { .. } => problem.norm2(),
        };
        Data {
            problem,
            step,
            norm2,
            band: None,
        }
    }

    /// The step that suits the operator: the prox of a linear one, else a descent.
    pub(super) fn suiting(problem: &'a Problem) -> Data<'a> {
        match problem.operator.linear() {
            Some(_) => Data::new(problem, DataStep::Prox),
            None => Data::new(problem, DataStep::DESCENT),
        }
    }

    /// The same, which goes no further where the residual is within so many standard deviations of its law.
    pub(super) fn within(mut self, band: Option<f64>) -> Data<'a> {
        self.band = band.map(|width| Law::new(self.problem, width));
        self
    }

    /// `argmin |A u - y|^2 + rho*|u - x0|^2`, or on the way there.
    pub(super) fn towards(&self, x0: &Image, rho: f64) -> Image {
        self.minimised(self.problem, x0, rho)
    }

    /// A draw around `x0`, which is taken to be `r` from the truth.
    pub(super) fn drawn(&self, x0: &Image, r: f64, sigma_y: f64, run: &mut Run<'_>) -> Image {
        let y = run.add_noise(self.problem.y.clone(), sigma_y);
        let mut around = run.add_noise(x0.clone(), r);
        if self.step != DataStep::Prox {
            // Beyond black and white an operator may be steeper than for any picture.
            self.problem.operator.range().clamp(&mut around);
        }
        let perturbed = Problem {
            y,
            operator: Arc::clone(&self.problem.operator),
            noise: self.problem.noise,
        };
        self.minimised(&perturbed, &around, (sigma_y / r).powi(2))
    }

    fn minimised(&self, problem: &Problem, x0: &Image, rho: f64) -> Image {
        let back = |x: &Image| problem.pull(x);
        let limited = |old: &Image, new: Image| match &self.band {
            Some(law) => law.unless_explained(problem, old, old, new),
            None => new,
        };
        match self.step {
            DataStep::Prox => limited(x0, problem.prox(x0, rho)),
            DataStep::Gradient => {
                let step = 1.0 / rho.max(self.norm2);
                limited(x0, combine(1.0, x0, step, &back(x0)))
            }
            DataStep::Descent { steps } => (0..steps).fold(x0.clone(), |x, _| {
                let step = 1.0 / (self.norm2 + rho);
                let towards = combine(rho, &(x0 - &x), 1.0, &back(&x));
                limited(&x, combine(1.0, &x, step, &towards))
            }),
        }
    }
}
