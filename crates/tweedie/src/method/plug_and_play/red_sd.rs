//! RED by steepest descent: regularisation by denoising (Romano, Elad and Milanfar 2017, arXiv:1611.02862, section 5.2.1).
//!
//! ```text
//! g = A^T (A x - y)/sigma_y^2 + lambda/sigma_k^2 (x - D(x, sigma_k))
//! x = clip(x - mu g),   mu = step/(|A|^2/sigma_y^2 + lambda/sigma_k^2)
//! ```
//!
//! By Tweedie's formula `(D(x) - x)/sigma^2` is the score of noisy pictures, so that with `lambda = 1` this climbs their
//! posterior's density (Reehorst and Schniter 2019, arXiv:1806.02296). The energy that gave RED its name,
//! `x^T (x - D(x))`, has that gradient only where the denoiser's Jacobian is symmetric and `J x = D(x)`, as no network's is.
//!
//! In the authors' code sigmas are for [0, 255], and lambda is ours over the squared sigma of the denoiser, which is free of units.
//! Its `mu = 2/(1/sigma_y^2 + lambda)` takes `|A|` for 1 and lies on the edge of stability; here it is 1.9 and the norm is known. Its objective as
//! printed has twice the lambda of its gradient.

use serde::{Deserialize, Serialize};

use crate::level::combine;
use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of RED by steepest descent: the authors' for a uniform blur with noise of 1.41/255, in its light form (they also take 1500
/// steps). For a Gaussian blur they have `lambda = 0.01*4.1^2` and sigma 4.1/255.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedSd {
    /// Number of steps.
    pub steps: usize,
    /// Weight of the prior against the measurement, the paper's lambda times the squared sigma of its denoiser: 1 is the
    /// posterior's.
    pub lambda: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// Length of the steps, of 2 at which they become unstable.
    pub step: f64,
    /// Whether estimates are limited to the prior's range.
    pub clamp: bool,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for RedSd {
    fn default() -> RedSd {
        RedSd {
            steps: 500,
            lambda: 0.02 * 3.25 * 3.25,
            sigma_start: 3.25 / 255.0,
            sigma_end: 3.25 / 255.0,
            step: 1.9,
            clamp: true,
            ensemble: false,
        }
    }
}

impl Described for RedSd {
    const CARD: Card = Card {
        summary: "gradient of the data and of the denoised difference: any differentiable operator, hundreds of steps",
        paper: "Romano et al. 2017, arXiv:1611.02862",
    };

    fn with_steps(mut self, steps: usize) -> RedSd {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for RedSd {
    /// A step goes as far into holes as the prior weighs against the data, and without noise that is hardly at all: there it weighs as
    /// much.
    fn tuned(task: &Task) -> RedSd {
        let (lambda, sigma_start, least) = match task.loss {
            Loss::NOTHING => (3.0, task.sigma, 0.004),
            loss if loss.pixels && task.sigma == 0.0 => (400.0, 0.1, 0.01),
            _ => (0.3, 0.05, 0.004),
        };
        let sigma_end = task.sigma.max(least);
        RedSd {
            steps: task.steps.unwrap_or(50),
            lambda,
            sigma_start: sigma_start.max(sigma_end),
            sigma_end,
            ensemble: true,
            ..RedSd::default()
        }
    }
}

impl Method for RedSd {
    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        positive("lambda", self.lambda)?;
        positive("the step", self.step)?;
        let range = prior.card().range;
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.ensemble(self.ensemble);
        let norm2 = problem.norm2();
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        for k in 0..self.steps {
            let rho = denoiser.rho(k, self.lambda, problem);
            let mu = self.step / (norm2 + rho);
            let smoother = denoiser.apply(k, &x, run)? - &x;
            let towards = combine(1.0, &problem.pull(&x), rho, &smoother);
            x = combine(1.0, &x, mu, &towards);
            if self.clamp {
                range.clamp(&mut x);
            }
            run.show(&x, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, x, self.lambda))
    }
}
