//! Guidance by the true likelihood of the noisy image, of priors that know it in closed form: the control of all guided methods.
//!
//! ```text
//! g   = grad_x log p(y | x_t)
//!     = J^T A^T (A Cov[x0 | x_t] A^T + sigma_y^2)^-1 (y - A x0)        for a Gaussian prior
//! x_s = step of x_t + reach*g
//! ```
//!
//! Nothing is approximated but the steps: what is left of the distance to the posterior is the sampler's own error, and what a
//! guided method has beyond it is the price of its likelihood. It is `x + beta/sqrt(alpha)*g` on DDPM's clock.

use serde::{Deserialize, Serialize};

use super::descent::{Descent, Guided};
use crate::grid::{Grid, Subset};
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Measured, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;

/// Settings of exact guidance. By default all of DDPM's levels, with the larger variance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExactGuidance {
    /// The levels that are visited.
    pub grid: Grid,
    /// How it goes on between them.
    pub descent: Descent,
}

impl Default for ExactGuidance {
    fn default() -> ExactGuidance {
        ExactGuidance {
            grid: Grid::ddpm(Subset::All),
            descent: Descent::Ancestral {
                variance: Variance::Large,
            },
        }
    }
}

impl Described for ExactGuidance {
    const CARD: Card = Card {
        summary: "the true likelihood of the noisy image, for Gaussians and mixtures: a yardstick for guided methods",
        paper: "Song et al. 2021, arXiv:2011.13456, eq. 14",
    };

    fn with_steps(mut self, steps: usize) -> ExactGuidance {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for ExactGuidance {
    fn tuned(task: &Task) -> ExactGuidance {
        let steps = task.steps.unwrap_or(200);
        ExactGuidance::default().with_steps(steps)
    }
}

impl Method for ExactGuidance {
    fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need::Linear, Need::Likelihood];
        needs.extend(self.descent.needs());
        needs
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let measured = Measured::new(problem).map_err(|e| run.failed(e))?;
        let walk = Guided {
            levels: self.grid.levels(prior.card())?,
            descent: self.descent,
            start: Start::Noise,
            clamp: false,
            differentiated: false,
        };
        walk.run(prior, problem, run, |at, x, run| {
            let g = prior
                .likelihood_score(at.x, at.hop.t, &measured)
                .map_err(|e| run.failed(e))?;
            x.scaled_add(at.reach as f32, &g);
            Ok(())
        })
    }
}
