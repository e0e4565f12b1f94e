//! RED by the fixed point: regularisation by denoising (Romano, Elad and Milanfar 2017, arXiv:1611.02862, section 5.2.3).
//!
//! ```text
//! x = clip(argmin_u |A u - y|^2 + rho_k |u - D(x, sigma_k)|^2),   rho_k = lambda*sigma_y^2/sigma_k^2
//! ```
//!
//! The root of RED's gradient ([`red_sd`](super::red_sd)) with the denoised picture held fixed: `(A^T A/sigma_y^2 + lambda') x =
//! A^T y/sigma_y^2 + lambda' D(x)`. With a prox in closed form a step costs no more than one of descent and goes much farther.
//! The same iteration as PnP-HQS, which ends after the denoiser where this ends after the data.

use serde::{Deserialize, Serialize};

use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of RED by the fixed point: the authors' for a uniform blur with noise of 1.41/255, in its light form (they also take 200
/// steps). For a Gaussian blur they have `lambda = 0.01*4.1^2` and sigma 4.1/255.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedFp {
    /// Number of steps.
    pub steps: usize,
    /// Weight of the prior against the measurement, the paper's lambda times the squared sigma of its denoiser: 1 is the
    /// posterior's.
    pub lambda: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// Whether estimates are limited to the prior's range.
    pub clamp: bool,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for RedFp {
    fn default() -> RedFp {
        RedFp {
            steps: 100,
            lambda: 0.02 * 3.25 * 3.25,
            sigma_start: 3.25 / 255.0,
            sigma_end: 3.25 / 255.0,
            clamp: true,
            ensemble: false,
        }
    }
}

impl Described for RedFp {
    const CARD: Card = Card {
        summary: "data prox of the denoised picture, over and over: sooner there than red-sd",
        paper: "Romano et al. 2017, arXiv:1611.02862",
    };

    fn with_steps(mut self, steps: usize) -> RedFp {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for RedFp {
    fn tuned(task: &Task) -> RedFp {
        RedFp {
            steps: task.steps.unwrap_or(30),
            lambda: 0.23,
            sigma_start: 49.0 / 255.0,
            sigma_end: task.sigma.max(0.004),
            ensemble: true,
            ..RedFp::default()
        }
    }
}

impl Method for RedFp {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

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
        let range = prior.card().range;
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.ensemble(self.ensemble);
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        for k in 0..self.steps {
            let denoised = denoiser.apply(k, &x, run)?;
            x = problem.prox(&denoised, denoiser.rho(k, self.lambda, problem));
            if self.clamp {
                range.clamp(&mut x);
            }
            run.show(&x, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, x, self.lambda))
    }
}
