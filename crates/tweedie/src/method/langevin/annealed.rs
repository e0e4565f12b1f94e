//! Posterior sampling by annealed Langevin dynamics (Jalal et al. 2021, arXiv:2108.01368), as NCSN samples its prior.
//!
//! ```text
//! for each level, the noisiest first:  repeats times
//!     x <- x + h*(score(x, sigma) + pull) + sqrt(2h)*z,    h = step*sigma^2
//! likelihood  pull = g/(sigma_y^2 + |A|^2*sigma^2),  h <= 0.5/(1/sigma^2 + |A|^2/(sigma_y^2 + |A|^2*sigma^2))
//! matched     pull = mse*|score|/|g|*g,  g = A^T(y - A x),  h <= sigma^2/(1 + mse)                 the authors' code
//! ```
//!
//! Levels are visited as the VE levels of the same sigma. The authors' ladder has 2311 of them from 232 to 0.0066 for magnitudes
//! of MRI about 1, of which the first half is skipped; they take 3 steps at each and 4 at the last 511, here all have as many.
//! The paper's own pull divides by `sigma_y^2 + gamma_t^2` with a `gamma_t` to be chosen; with the noise that `x` brings into the
//! residual in its place, as above, there is nothing to choose. The code's pull is five times the prior's, with steps of
//! `1.15*sigma^2`: that holds with their network, whose answer is bounded whatever it is asked, and diverges with others; so steps
//! are limited. At the end the last level's noise may be removed, which the authors' code does not do.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::batch::{add_each, norms};
use crate::grid::{Grid, Schedule};
use crate::level::Level;
use crate::method::langevin::ladder::{self, Ladder, check_step};
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// How strongly the measurement pulls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Pull {
    /// A multiple of the prior's pull, whatever the residual.
    Matched {
        /// 5 in the authors' code.
        mse: f64,
    },
    /// The gradient of the measurement's log-likelihood given the noisy image.
    Likelihood,
}

/// Settings of posterior sampling by annealed Langevin dynamics. By default the authors' ladder, with the paper's kind of pull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Annealed {
    /// The levels that are visited.
    pub grid: Grid,
    /// Steps at each level.
    pub repeats: usize,
    /// Length of a step, for each unit of the level's variance: above 0 and below 2.
    pub step: f64,
    /// How strongly the measurement pulls.
    pub pull: Pull,
    /// Whether the last level's noise is removed at the end.
    pub denoise: bool,
    /// What the first level is made from.
    pub start: Start,
}

impl Default for Annealed {
    /// `epsilon = 5e-5` at `sigma_L = 0.0066`; the 1156th of the 2311 levels is 1.23.
    fn default() -> Annealed {
        Annealed {
            grid: Grid::all(Schedule::Ve {
                sigma_min: 0.0066,
                sigma_max: 1.23,
                steps: 1155,
            }),
            repeats: 3,
            step: 1.148,
            pull: Pull::Likelihood,
            denoise: false,
            start: Start::Noise,
        }
    }
}

impl Described for Annealed {
    const CARD: Card = Card {
        summary: "annealed Langevin steps in the posterior; slow, robust where a little noise may stay",
        paper: "Jalal et al. 2021, arXiv:2108.01368",
    };

    fn with_steps(mut self, steps: usize) -> Annealed {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.ladder().nfe(prior)
    }
}

impl Tuned for Annealed {
    /// A short ladder from the first guess, in steps short enough that a level keeps no more noise than the prior is told.
    fn tuned(task: &Task) -> Annealed {
        Annealed {
            grid: Grid::all(Schedule::Ve {
                sigma_min: (0.4 * task.sigma).clamp(0.02, 0.1),
                sigma_max: 0.3,
                steps: task.steps.unwrap_or(33),
            }),
            repeats: 3,
            step: 0.1,
            pull: Pull::Likelihood,
            denoise: true,
            start: Start::Guess,
        }
    }
}

impl Annealed {
    fn ladder(&self) -> Ladder<'_> {
        Ladder {
            grid: &self.grid,
            repeats: self.repeats,
            denoise: self.denoise,
            start: self.start,
        }
    }

    fn check(&self) -> Result<(), Error> {
        check_step(self.step)?;
        match self.pull {
            Pull::Matched { mse } => Error::unless(mse > 0.0 && mse.is_finite(), || {
                format!("the measurement's pull is a positive multiple of the prior's, not {mse}")
            }),
            Pull::Likelihood => Ok(()),
        }
    }

    /// The step's length at a level, and for the likelihood the precision of the residual.
    fn lengths(&self, level: Level, problem: &Problem, norm2: f64) -> (f64, f64) {
        let variance = level.b * level.b;
        let precision = 1.0 / (problem.sigma().powi(2) + norm2 * variance);
        let h = self.step * variance;
        match self.pull {
            Pull::Matched { mse } => (h.min(variance / (1.0 + mse)), precision),
            Pull::Likelihood => (h.min(0.5 / (1.0 / variance + norm2 * precision)), precision),
        }
    }
}

impl Method for Annealed {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let mut pulled = Pulled {
            settings: self,
            problem,
            norm2: problem.norm2(),
            precision: 0.0,
        };
        self.ladder().descend(prior, problem, &mut pulled, run)
    }
}

/// The pull at the present level.
struct Pulled<'a> {
    settings: &'a Annealed,
    problem: &'a Problem,
    norm2: f64,
    precision: f64,
}

impl ladder::Pull for Pulled<'_> {
    fn enter(&mut self, level: Level) -> f64 {
        let (h, precision) = self.settings.lengths(level, self.problem, self.norm2);
        self.precision = precision;
        h
    }

    fn drift(&mut self, x: &Image, score: Image) -> Image {
        let g = self.problem.pull(x);
        let factors: Vec<f64> = match self.settings.pull {
            Pull::Likelihood => vec![self.precision; x.dim().0],
            Pull::Matched { mse } => {
                let pairs = norms(&score).into_iter().zip(norms(&g));
                // Where the measurement is met it does not pull.
                let factor = |(s, g): (f64, f64)| if g < 1e-12 { 0.0 } else { mse * s / g };
                pairs.map(factor).collect()
            }
        };
        let mut drift = score;
        add_each(&mut drift, &factors, &g);
        drift
    }
}
