//! DDS: a few steps of conjugate gradients from the clean estimate towards the measurement, at each level (Chung, Lee and Ye 2024,
//! arXiv:2303.05754, algorithms 1 and 2).
//!
//! ```text
//! x0  = E[x0 | x_t],  eps = (x_t - a_t*x0)/b_t
//! x0y = M steps of CG from x0 on  A^T A x = A^T y                                a measurement without noise
//!                              or (I + gamma A^T A) x = x0 + gamma A^T y         one with noise
//! x_s = a_s*x0y + b_s*(eta*z + sqrt(1 - eta^2)*eps)
//! ```
//!
//! Few steps go where the measurement tells most and leave the rest to the prior; with as many as `A` has singular values it is the
//! projection of DDNM, or the prox of DiffPIR with `rho = 1/gamma`. For volumes the paper's data step is a sweep of ADMM with total
//! variation ([`Correction::Variation`]).
//!
//! The transition is that of the authors' code; the paper has DDIM's variance ([`Renoise`]). The code goes on to the last level without
//! noise and without scaling, and evaluates there once more ([`Dds::abrupt`]); it corrects the last estimate too, which the paper does
//! not. Its inner products are not conjugated and its noisy right side mixes real and complex numbers; neither matters for pictures.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, MAX_STEPS, Schedule, Subset};
use crate::level::{Level, Transition, walk};
use crate::method::projected::tv::Sweeps;
use crate::method::wide::wide;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::cg;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Renoise;

/// How an estimate is brought towards the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Correction {
    /// Conjugate gradients, weighted against the prior where there is noise.
    Gradients {
        /// `gamma`, the weight of a measurement with noise against the prior's estimate; 1 in the code.
        gamma: f64,
        /// Whether `gamma` is in units of `sigma_t^2/sigma_y^2`, what the level leaves open against the measurement's noise, as
        /// DiffPIR's weight is; in the code it is the same at all levels.
        #[serde(default)]
        by_level: bool,
    },
    /// A sweep of ADMM with total variation, with noise or without.
    Variation {
        /// Weight of the splitting; 10 in the code.
        rho: f64,
        /// Weight of the total variation, for images in [0, 1]; 0.04 in the code.
        lambda: f64,
    },
}

impl Correction {
    /// Conjugate gradients with the same `gamma` at all levels.
    pub const fn constant(gamma: f64) -> Correction {
        Correction::Gradients {
            gamma,
            by_level: false,
        }
    }
}

/// Settings of DDS. By default those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dds {
    /// The levels that are visited.
    pub grid: Grid,
    /// How an estimate is brought towards the measurement.
    pub correction: Correction,
    /// Steps of conjugate gradients at each level.
    pub iterations: usize,
    /// Fresh noise.
    pub renoise: Renoise,
    /// Whether the step to the last level adds no noise and does not scale, as in the authors' code.
    pub abrupt: bool,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range; not in the paper or the code.
    pub clamp: bool,
}

impl Default for Dds {
    fn default() -> Dds {
        Dds {
            grid: Grid::ddpm(Subset::Uniform { steps: 50 }),
            correction: Correction::constant(1.0),
            iterations: 5,
            renoise: Renoise::Constant { eta: 0.85 },
            abrupt: false,
            start: Start::Auto,
            clamp: false,
        }
    }
}

impl Described for Dds {
    const CARD: Card = Card {
        summary: "a few conjugate gradients towards the measurement at each level: any linear operator, cheap, tame where ill-posed",
        paper: "Chung et al. 2024, arXiv:2303.05754",
    };

    fn with_steps(mut self, steps: usize) -> Dds {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Dds {
    /// With noise a `gamma` of 5 on EDM's levels: 1 leaves an enlarged or blurred picture too soft, 30 amplifies its noise.
    ///
    /// Where each number that was recorded tells of the whole picture, the measurement leaves little open: from a noise of 4 on EDM's
    /// levels win 3 dB over DDPM's, most of which lie where the picture is drowned (two slices of heads at four times, three
    /// photographs at a quarter; models/brain, docs/mri.md). Which constant suits depends on the noise there, 6 and more at 0.005,
    /// less than 0.5 at 0.05; a weight that follows the levels, with all noise fresh, is before each of them.
    fn tuned(task: &Task) -> Dds {
        let usual = Dds::default();
        let noisy = task.sigma > 0.0;
        let levels = |sigma_max, steps| {
            Grid::all(Schedule::Edm {
                sigma_min: 0.01,
                sigma_max,
                rho: 7.0,
                steps: task.steps.unwrap_or(steps),
            })
        };
        match (task.loss.mixed || task.loss.frequencies, noisy) {
            (true, false) => Dds {
                grid: levels(4.0, 50),
                iterations: 10,
                ..usual
            },
            (true, true) => Dds {
                grid: levels(1.5, 50),
                correction: Correction::Gradients {
                    gamma: 2.0,
                    by_level: true,
                },
                iterations: 10,
                renoise: Renoise::Constant { eta: 1.0 },
                ..usual
            },
            (false, false) => usual.with_steps(task.steps.unwrap_or(50)),
            (false, true) => Dds {
                grid: wide(task.steps.unwrap_or(20), 0.0),
                correction: Correction::constant(5.0),
                ..usual
            },
        }
    }
}

impl Dds {
    fn check(&self) -> Result<(), Error> {
        self.renoise.check()?;
        Error::unless((1..=MAX_STEPS).contains(&self.iterations), || {
            format!(
                "conjugate gradients take 1 to {MAX_STEPS} steps, not {}",
                self.iterations
            )
        })?;
        let positive = |weight: f64| weight > 0.0 && weight.is_finite();
        match self.correction {
            Correction::Gradients { gamma, .. } => Error::unless(positive(gamma), || {
                format!("gamma must be positive, not {gamma}")
            }),
            Correction::Variation { rho, lambda } => {
                Error::unless(positive(rho) && lambda >= 0.0, || {
                    format!("rho must be positive and lambda not negative, not {rho} and {lambda}")
                })
            }
        }
    }

    /// The estimate at the level `t` that is closer to the measurement.
    fn corrected(&self, problem: &Problem, x0: &Image, t: Level, sweeps: &mut Sweeps) -> Image {
        let params = cg::Params {
            tolerance: 1e-6,
            iterations: self.iterations,
        };
        match self.correction {
            Correction::Gradients { gamma, by_level } => {
                let rho = match by_level {
                    _ if problem.exact() => 0.0,
                    true => (problem.sigma() / t.sigma()).powi(2) / gamma,
                    false => 1.0 / gamma,
                };
                x0 + &cg::normal(problem.linear(), &problem.residual(x0), rho, params).0
            }
            Correction::Variation { rho, lambda } => {
                sweeps.next(problem, x0, (rho, lambda), params)
            }
        }
    }
}

impl Method for Dds {
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
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        let mut sweeps = Sweeps::new(problem);
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (i, (t, s)) in walk(&levels).enumerate() {
            let mut x0 = run.denoise(prior, &x, t)?;
            if self.clamp {
                range.clamp(&mut x0);
            }
            run.poll(&x0)?;
            let eps = t.eps_from_x0(&x, &x0);
            let x0y = self.corrected(problem, &x0, t, &mut sweeps);
            run.show(&x0y, t)?;
            let last = i + 2 == levels.len();
            x = match self.abrupt && last {
                true => x0y,
                false => self.renoise.step(&Transition::new(t, s), &x0y, &eps, run),
            };
        }
        Ok(x.into())
    }
}
