//! DAPS: each level's image is drawn from the measurement's posterior around the prior's estimate, and noised anew; nothing of
//! the level before is kept but that estimate (Zhang et al. 2025, arXiv:2407.01521, algorithm 1).
//!
//! ```text
//! x0  = the probability-flow ODE from x at sigma_k to 0.01, by Euler       or E[x0 | x], in one evaluation
//! u   ~ N(u; x0, sigma_k^2) N(y; A(u), tau^2/2)                            by Langevin steps; or exactly, with sigma_y for tau
//! x   = u + sigma_(k+1)*z
//! ```
//!
//! As in the authors' code the likelihood of the Langevin steps has the variance `tau^2/2`, where `tau` is not the noise but less:
//! sharper on purpose. Their step size lies on the limit of stability at the first level; here it is at most 0.9 of that.
//!
//! The cheap form ([`Daps::cheap`]) makes one evaluation a level and draws in closed form, by conjugate gradients where there is
//! none; with the mean in the place of the draw ([`Around::Mean`]) it is DiffPIR with fresh noise. It is the idea of FAST-DIPS and
//! others: what 4000 evaluations do, fifty do nearly as well.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, MAX_STEPS, Schedule};
use crate::level::{Level, combine, walk};
use crate::method::split::data::Data;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// How the image of a level is found around the prior's estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Around {
    /// Langevin steps, for any operator. Constants are the code's, for data in [-1, 1].
    Langevin {
        /// How many: 100, and 200 for blurs that are not linear.
        steps: usize,
        /// Their size: 1e-4 for blurs, super-resolution and scattered holes, half for shake and boxes, less for the rest.
        rate: f64,
        /// What it falls to at the last level, linearly, as a part.
        rate_end: f64,
        /// The noise they believe in.
        tau: f64,
    },
    /// A draw, exact for linear operators.
    Draw,
    /// Its mean.
    Mean,
}

/// Settings of DAPS. By default those of the authors' code with 1000 evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Daps {
    /// The levels that are visited.
    pub grid: Grid,
    /// Evaluations of the prior at each level: one for its estimate, more for the ODE.
    pub ode: usize,
    /// How a level's image is found.
    pub around: Around,
    /// What the first level is made from.
    pub start: Start,
}

impl Default for Daps {
    fn default() -> Daps {
        Daps {
            // The first 200 of 201 points between 100 and 0.1.
            grid: Grid::all(Schedule::Edm {
                sigma_min: 0.106_040_189_3,
                sigma_max: 100.0,
                rho: 7.0,
                steps: 200,
            }),
            ode: 5,
            around: Around::Langevin {
                steps: 100,
                rate: 1e-4,
                rate_end: 0.01,
                tau: 0.01,
            },
            start: Start::Noise,
        }
    }
}

impl Described for Daps {
    const CARD: Card = Card {
        summary: "draws around the prior's estimate, noised anew at each level: any differentiable operator",
        paper: "Zhang et al. 2025, arXiv:2407.01521",
    };

    fn with_steps(mut self, steps: usize) -> Daps {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior).saturating_mul(self.ode)
    }
}

impl Tuned for Daps {
    /// One evaluation a level, down to little noise, and means: the surrogate's draws are far wider than what a photograph may
    /// be, and come out as grain.
    fn tuned(task: &Task) -> Daps {
        Daps {
            grid: Grid::all(Schedule::Edm {
                sigma_min: 0.02,
                sigma_max: 80.0,
                rho: 7.0,
                steps: task.steps.unwrap_or(50),
            }),
            around: Around::Mean,
            ..Daps::cheap()
        }
    }
}

/// Where the ODE ends, for data in [-1, 1].
const END: f64 = 0.01;

impl Daps {
    /// One evaluation a level, and an exact draw.
    pub fn cheap() -> Daps {
        Daps {
            ode: 1,
            around: Around::Draw,
            ..Daps::default()
        }
    }

    fn check(&self) -> Result<(), Error> {
        let counts = |n: usize| (1..=MAX_STEPS).contains(&n);
        let mut ok = counts(self.ode);
        if let Around::Langevin {
            steps,
            rate,
            rate_end,
            tau,
        } = self.around
        {
            ok &= counts(steps) && rate >= 0.0 && rate_end >= 0.0 && tau > 0.0;
            ok &= rate.is_finite() && rate_end.is_finite() && tau.is_finite();
        }
        Error::unless(ok, || {
            format!("steps of DAPS are 1 to {MAX_STEPS}, its rates and tau positive")
        })
    }

    /// Where the ODE leads from `x`.
    fn estimate(
        &self,
        prior: &dyn Prior,
        mut x: Image,
        sigma: f64,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let card = prior.card();
        let end = (END * card.range.half).max(card.sigma[0]).min(sigma);
        let curve = |i: usize| {
            let part = i as f64 / self.ode as f64;
            (sigma.powf(1.0 / 7.0) * (1.0 - part) + end.powf(1.0 / 7.0) * part).powi(7)
        };
        for i in 0..self.ode {
            let (from, to) = (curve(i), curve(i + 1));
            let level = Level::ve(if i == 0 { sigma } else { from });
            let x0 = run.denoise(prior, &x, level)?;
            if self.ode == 1 || end == sigma {
                x = x0;
            } else {
                x = combine(to / from, &x, 1.0 - to / from, &x0);
            }
        }
        Ok(x)
    }
}

/// What a Langevin step needs to know.
struct Langevin<'a> {
    problem: &'a Problem,
    norm2: f64,
    half: f64,
    tau: f64,
}

impl Langevin<'_> {
    /// So many steps of this size around `x0`. `sigma`, `tau` and sizes are for data in [-1, 1].
    fn draw(&self, x0: &Image, sigma: f64, rate: f64, steps: usize, run: &mut Run<'_>) -> Image {
        let likelihood = 2.0 / (self.tau * self.tau);
        let curvature = likelihood * self.norm2 + 1.0 / (sigma * sigma);
        let rate = rate.min(0.9 * 2.0 / curvature);
        (0..steps).fold(x0.clone(), |u, _| {
            let residual = self.problem.residual(&u);
            let back = self.problem.operator.vjp(&u, &residual);
            let inwards = rate / (sigma * sigma);
            let next = combine(1.0 - inwards, &u, inwards, x0);
            let next = combine(1.0, &next, rate * likelihood, &back);
            run.add_noise(next, self.half * (2.0 * rate).sqrt())
        })
    }
}

impl Method for Daps {
    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let range = prior.card().range;
        let half = range.half;
        let sigmas = self
            .grid
            .levels(prior.card())?
            .into_iter()
            .map(Level::sigma);
        let levels: Vec<Level> = sigmas.map(Level::ve).collect();
        let sigma_y = problem.sigma_floored(range);
        let data = Data::suiting(problem);
        let norm2 = problem.norm2();
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (k, (t, s)) in walk(&levels).enumerate() {
            let x0 = self.estimate(prior, x, t.b, run)?;
            run.poll(&x0)?;
            let u = match self.around {
                Around::Draw => data.drawn(&x0, t.b, sigma_y, run),
                Around::Mean => data.towards(&x0, (sigma_y / t.b).powi(2)),
                Around::Langevin {
                    steps,
                    rate,
                    rate_end,
                    tau,
                } => {
                    let part = k as f64 / (levels.len() + 1) as f64;
                    let rate = rate * (1.0 + part * (rate_end - 1.0));
                    let langevin = Langevin {
                        problem,
                        norm2,
                        half,
                        tau,
                    };
                    langevin.draw(&x0, t.b / half, rate, steps, run)
                }
            };
            run.show(&u, t)?;
            x = run.add_noise(u, s.b);
        }
        Ok(x.into())
    }
}
