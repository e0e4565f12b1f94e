//! Half-quadratic splitting as one diffusion step: the prior takes the image to the next level, and a data step brings it towards
//! a measurement that is as noisy as that level (the "y_t" form of the comparison in DiffPIR's code, Zhu et al. 2023,
//! arXiv:2305.08995).
//!
//! ```text
//! z   = step of x_t                                                   ancestral
//! y_s = a_s*y + b_s*A z'                                              fresh noise z'; white: b_s*z'
//! x_s = argmin_u |y_s - A u|^2 + rho |u - z|^2,   rho = lambda*sigma_y^2/v,   v = var/ratio^2
//! ```
//!
//! or a gradient step from `z`, `x_s = z + rate*(v/(lambda*sigma_y^2))*A^T (y_s - A z)`; where that would diverge, of the inverse of
//! `|A|^2`. `q(A x_s | y)` has the noise `b_s*A z'`; papers and code draw white noise, which is the same for orthonormal rows
//! alone. The code takes the measurement at level `t` ([`MeasuredAt::This`]) and a rate of 0.35.

use serde::{Deserialize, Serialize};

use super::descent::{Descent, Guided};
use super::huber::felt;
use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::Level;
use crate::method::wide::wide;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// How an image is brought towards the noisy measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Towards {
    /// The proximal map.
    Prox,
    /// A gradient step.
    Gradient {
        /// How much of it is taken: 1 in the paper, 0.35 in the code.
        rate: f64,
    },
}

/// The level of the noisy measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasuredAt {
    /// The one that the image has come to.
    Next,
    /// The one that it came from, as in the code.
    This,
}

/// Settings of the splitting. By default the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hqs {
    /// The levels that are visited.
    pub grid: Grid,
    /// How it goes on between them.
    pub descent: Descent,
    /// Weight of the prior against the measurement.
    pub lambda: f64,
    /// How an image is brought towards the measurement.
    pub towards: Towards,
    /// The level of the measurement.
    pub measured_at: MeasuredAt,
    /// Whether the measurement's own noise is white, as published; else it is that of an image, as the operator records it.
    pub white: bool,
    /// Residuals beyond so many standard deviations of the noisy measurement count by their size and not by its square, in gradient
    /// steps. None for the squares alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub huber: Option<f64>,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range.
    pub clamp: bool,
}

impl Default for Hqs {
    fn default() -> Hqs {
        Hqs {
            grid: Grid::ddpm(Subset::All),
            descent: Descent::SMALL,
            lambda: 1.0,
            towards: Towards::Prox,
            measured_at: MeasuredAt::Next,
            white: false,
            huber: None,
            start: Start::Auto,
            clamp: true,
        }
    }
}

impl Described for Hqs {
    const CARD: Card = Card {
        summary: "half-quadratic splitting in each diffusion step, against a measurement as noisy as the image",
        paper: "Zhu et al. 2023, arXiv:2305.08995 (its comparison)",
    };

    fn with_steps(mut self, steps: usize) -> Hqs {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Hqs {
    fn tuned(task: &Task) -> Hqs {
        Hqs {
            grid: wide(task.steps.unwrap_or(50), 0.0),
            ..Hqs::default()
        }
    }
}

impl Hqs {
    fn check(&self) -> Result<(), Error> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let rate = match self.towards {
            Towards::Prox => 1.0,
            Towards::Gradient { rate } => rate,
        };
        let sound = [self.lambda, rate, self.huber.unwrap_or(1.0)].map(positive);
        Error::unless(sound == [true; 3], || {
            "lambda, rate and Huber's threshold must be positive".into()
        })
    }

    /// The measurement as noisy as a level.
    fn noisy(&self, problem: &Problem, level: Level, run: &mut Run<'_>) -> Image {
        let y = &problem.y * level.a as f32;
        match (level.b, self.white) {
            (0.0, _) => y,
            (b, true) => run.add_noise(y, b),
            (b, false) => {
                let z = run.normal(problem.batch(), problem.operator.input());
                y + &problem.operator.apply(&z) * b as f32
            }
        }
    }
}

impl Method for Hqs {
    fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need::Linear];
        needs.extend(self.descent.needs());
        needs
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let sigma_y = problem.sigma_floored(prior.card().range);
        let norm2 = match self.towards {
            Towards::Prox => 0.0,
            Towards::Gradient { .. } => problem.norm2(),
        };
        let walk = Guided {
            levels: self.grid.levels(prior.card())?,
            descent: self.descent,
            start: self.start,
            clamp: self.clamp,
            differentiated: false,
        };
        walk.run(prior, problem, run, |at, x, run| {
            let level = match self.measured_at {
                MeasuredAt::Next => at.hop.s,
                MeasuredAt::This => at.hop.t,
            };
            let rho = self.lambda * (sigma_y * at.hop.ratio).powi(2) / at.hop.var;
            let y = self.noisy(problem, level, run);
            match self.towards {
                Towards::Prox => {
                    *x =
                        problem
                            .linear()
                            .prox_within(&y, x, rho, crate::operator::cg::Params::STEP);
                }
                Towards::Gradient { rate } => {
                    let length = if rate / rho < 2.0 / norm2 {
                        rate / rho
                    } else {
                        1.0 / norm2
                    };
                    let threshold = self.huber.map(|d| d * sigma_y.hypot(level.b));
                    let residual = felt(&(y - problem.operator.apply(x)), threshold);
                    x.scaled_add(length as f32, &problem.linear().adjoint(&residual));
                }
            }
            Ok(())
        })
    }
}
