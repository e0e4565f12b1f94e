//! Flower: denoise, refine by the measurement with the uncertainty that the denoiser leaves, and go on along the path (Pourya et
//! al. 2026, arXiv:2509.26287).
//!
//! ```text
//! x0  = E[x0 | x_t]
//! m   = argmin |A u - y|^2/sigma_y^2 + |u - x0|^2/r_t^2        or a draw of the Gaussian of which it is the mean
//! x_s = a_s*m + b_s*z
//! ```
//!
//! with `r^2 = (1-t)^2/(t^2 + (1-t)^2)` in the paper's time, from noise to data: what is left of the variance of white data of
//! deviation 1 (in [-1, 1]) at that level, `r = b/sqrt(a^2 + b^2)`. DiffPIR with fresh noise takes `b/a` in its place, which is
//! the same where there is little noise, and trusts the measurement more where there is much. The same settings serve all tasks.
//! With draws it is nearly an exact sampler of the posterior of Gaussians.

use serde::{Deserialize, Serialize};

use crate::grid::{Grid, Schedule};
use crate::level::walk;
use crate::method::split::data::Data;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of Flower. By default those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flower {
    /// The levels that are visited.
    pub grid: Grid,
    /// Whether the refined image is drawn, in the place of its mean.
    pub draw: bool,
    /// What the first level is made from.
    pub start: Start,
}

impl Default for Flower {
    fn default() -> Flower {
        Flower {
            grid: Grid::all(Schedule::flow(100)),
            draw: false,
            start: Start::Noise,
        }
    }
}

impl Described for Flower {
    const CARD: Card = Card {
        summary: "denoise, refine with the uncertainty that is left, re-noise: a nearly exact draw, or a best estimate",
        paper: "Pourya et al. 2026, arXiv:2509.26287",
    };

    fn with_steps(mut self, steps: usize) -> Flower {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Flower {
    /// Without draws in the refinement also where a draw is wanted: photographs vary less than white noise, and its uncertainty
    /// comes out as grain.
    fn tuned(task: &Task) -> Flower {
        Flower::default().with_steps(task.steps.unwrap_or(50))
    }
}

impl Method for Flower {
    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        let sigma_y = problem.sigma_floored(range);
        let data = Data::suiting(problem);
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (t, s) in walk(&levels) {
            let x0 = run.denoise(prior, &x, t)?;
            run.poll(&x0)?;
            let r = t.b / t.a.hypot(t.b / range.half);
            let m = match self.draw {
                true => data.drawn(&x0, r, sigma_y, run),
                false => data.towards(&x0, (sigma_y / r).powi(2)),
            };
            run.show(&m, t)?;
            x = run.add_noise(m * s.a as f32, s.b);
        }
        Ok(x.into())
    }
}
