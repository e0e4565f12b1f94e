//! PnP-Flow: gradient steps, and a denoiser that is shown its own result with fresh noise (Martin et al. 2025, arXiv:2410.02423,
//! algorithm 3).
//!
//! Forward-backward splitting, in which the denoiser of a flow at each of its times takes the place of a proximal map:
//!
//! ```text
//! z  = x - (1-t)^alpha * A^T (A x - y)/|A|^2
//! x  = mean over S draws of E[x0 | a_t*z + b_t*eps]
//! ```
//!
//! The paper's time runs from noise to data, `a = t`, `b = 1 - t`. On other paths than the straight one `1 - t` is the place of
//! the same noise on it: `sigma/(1 + sigma)`, for data in [-1, 1]. The division by `|A|^2`, which the paper takes to be 1, keeps
//! the step stable for every operator. It is told no noise level: how far it trusts the measurement is in `alpha`.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, MAX_STEPS, Schedule};
use crate::level::combine;
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of PnP-Flow. By default those of the authors' code, with its `alpha` for super-resolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PnpFlow {
    /// The levels that are visited.
    pub grid: Grid,
    /// How fast steps towards the measurement shrink: 0.01 (hardly) for blurs and scattered holes, 0.3 for super-resolution,
    /// 0.5 for boxes, 0.8 for noise alone.
    pub alpha: f64,
    /// Noised copies that the denoiser sees at each level.
    pub draws: usize,
}

impl Default for PnpFlow {
    fn default() -> PnpFlow {
        PnpFlow {
            grid: Grid::all(Schedule::flow(100)),
            alpha: 0.3,
            draws: 5,
        }
    }
}

impl Described for PnpFlow {
    const CARD: Card = Card {
        summary: "gradient steps and denoising of noised copies in turn: a smooth estimate, for any differentiable operator",
        paper: "Martin et al. 2025, arXiv:2410.02423",
    };

    fn with_steps(mut self, steps: usize) -> PnpFlow {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior).saturating_mul(self.draws)
    }
}

impl Tuned for PnpFlow {
    /// One copy at each level, and steps that hardly shrink, unless there is nothing but noise to fit.
    fn tuned(task: &Task) -> PnpFlow {
        PnpFlow {
            alpha: match task.loss {
                Loss::NOTHING => 0.8,
                _ => 0.01,
            },
            draws: 1,
            ..PnpFlow::default()
        }
        .with_steps(task.steps.unwrap_or(50))
    }
}

impl Method for PnpFlow {
    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        Error::unless((1..=MAX_STEPS).contains(&self.draws), || {
            format!("there must be 1 to {MAX_STEPS} draws, not {}", self.draws)
        })?;
        Error::unless(self.alpha >= 0.0 && self.alpha.is_finite(), || {
            format!("alpha must not be negative, and not {}", self.alpha)
        })?;
        let half = prior.card().range.half;
        let levels = self.grid.levels(prior.card())?;
        let norm2 = problem.norm2();
        run.begin(levels.len());
        let mut x = problem.operator.guess(&problem.y);
        for t in levels {
            let sigma = t.sigma() / half;
            let step = (sigma / (1.0 + sigma)).powf(self.alpha) / norm2;
            let back = problem.pull(&x);
            let z = combine(1.0, &x, step, &back);
            let mut sum = Image::zeros(z.raw_dim());
            for _ in 0..self.draws {
                let noisy = run.add_noise(&z * t.a as f32, t.b);
                sum += &run.denoise(prior, &noisy, t)?;
                run.poll(&z)?;
            }
            x = sum / self.draws as f32;
            run.show(&x, t)?;
        }
        Ok(x.into())
    }
}
