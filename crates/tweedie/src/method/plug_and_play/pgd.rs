//! PnP-PGD: proximal gradient steps (ISTA) with a denoiser in the place of the prox (Kamilov et al. 2017, "A plug-and-play priors
//! approach for solving nonlinear imaging inverse problems"; Ryu et al. 2019, arXiv:1905.05406, "PnP-FBS").
//!
//! ```text
//! v = x + g*J^T (y - A(x)),   g = step/|A|^2
//! x = D(v, sigma_k)
//! ```
//!
//! It asks of the operator no more than its gradient, so that it need not be linear. The data weigh as the noise says where
//! `g = sigma_k^2/sigma_y^2`, but `step` is below 2, beyond which the iteration is unstable. With a denoiser of one strength PnP-ADMM and
//! PnP-DRS have the same fixed points, with `rho = 1/g`.

use serde::{Deserialize, Serialize};

use crate::level::combine;
use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of PnP-PGD. The papers' depend on their denoisers; these are a middle of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PnpPgd {
    /// Number of steps.
    pub steps: usize,
    /// Length of the gradient steps, in units of the inverse of the operator's squared norm: below 2.
    pub step: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// How much of the denoiser's answer is taken, above 0 to 1.
    pub share: f64,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for PnpPgd {
    fn default() -> PnpPgd {
        PnpPgd {
            steps: 100,
            step: 1.0,
            sigma_start: 5.0 / 255.0,
            sigma_end: 5.0 / 255.0,
            share: 1.0,
            ensemble: false,
        }
    }
}

impl Described for PnpPgd {
    const CARD: Card = Card {
        summary: "gradient step and denoising in turn (ISTA): any differentiable operator, but slow for blurs",
        paper: "Kamilov et al. 2017; Ryu et al. 2019, arXiv:1905.05406",
    };

    fn with_steps(mut self, steps: usize) -> PnpPgd {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for PnpPgd {
    /// A blur comes back slowly, and what the denoiser takes meanwhile it takes in each step: there it is no stronger than the noise.
    fn tuned(task: &Task) -> PnpPgd {
        let sigma_end = task.sigma.max(0.004);
        let (step, sigma_start) = match task.loss {
            Loss::NOTHING => (1.0, sigma_end),
            loss if loss.detail => (1.8, 2.0 * sigma_end),
            _ => (1.8, 49.0 / 255.0),
        };
        PnpPgd {
            steps: task.steps.unwrap_or(50),
            step,
            sigma_start,
            sigma_end,
            ensemble: true,
            ..PnpPgd::default()
        }
    }
}

impl Method for PnpPgd {
    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        positive("the step", self.step)?;
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.share(self.share)?.ensemble(self.ensemble);
        let g = self.step / problem.norm2();
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        for k in 0..self.steps {
            let v = combine(1.0, &x, g, &problem.pull(&x));
            x = denoiser.apply(k, &v, run)?;
            run.show(&x, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, x, 1.0))
    }
}
