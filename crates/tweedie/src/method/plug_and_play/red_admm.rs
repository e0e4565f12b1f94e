//! RED by ADMM: regularisation by denoising (Romano, Elad and Milanfar 2017, arXiv:1611.02862, section 5.2.2).
//!
//! ```text
//! x = argmin_w |A w - y|^2 + p rho_k |w - (v - u)|^2,   rho_k = lambda*sigma_y^2/sigma_k^2,   p = beta/lambda
//! h = alpha x + (1 - alpha) v
//! v = (D(v, sigma_k) + p (h + u))/(1 + p)
//! u = (u + h - v)*sigma_(k+1)^2/sigma_k^2
//! ```
//!
//! The fixed points are those of [`red_sd`](super::red_sd) and [`red_fp`](super::red_fp). The third line is one step of the
//! fixed point for the prior's part, as in the authors' code. The multiplier `u` is kept in units of the penalty, and shrinks as
//! that grows.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::level::combine;
use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of RED by ADMM: the authors' for a uniform blur with noise of 1.41/255, in its light form (they also take 200 steps). For a
/// Gaussian blur they have `lambda = 0.01*4.1^2` and sigma 4.1/255.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedAdmm {
    /// Number of steps.
    pub steps: usize,
    /// Weight of the prior against the measurement, the paper's lambda times the squared sigma of its denoiser: 1 is the
    /// posterior's.
    pub lambda: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// The penalty, as a multiple of the prior's weight: the paper's `beta/lambda`.
    pub penalty: f64,
    /// Relaxation, `alpha`: 1 for none, at most 2.
    pub relaxation: f64,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for RedAdmm {
    fn default() -> RedAdmm {
        RedAdmm {
            steps: 100,
            lambda: 0.02 * 3.25 * 3.25,
            sigma_start: 3.25 / 255.0,
            sigma_end: 3.25 / 255.0,
            penalty: 1e-3 / 0.02,
            relaxation: 2.0,
            ensemble: false,
        }
    }
}

impl Described for RedAdmm {
    const CARD: Card = Card {
        summary: "data prox, one step of denoising, a multiplier: the fixed points of red-sd",
        paper: "Romano et al. 2017, arXiv:1611.02862",
    };

    fn with_steps(mut self, steps: usize) -> RedAdmm {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for RedAdmm {
    fn tuned(task: &Task) -> RedAdmm {
        RedAdmm {
            steps: task.steps.unwrap_or(50),
            lambda: 0.23,
            sigma_start: 49.0 / 255.0,
            sigma_end: task.sigma.max(0.004),
            penalty: 0.3,
            relaxation: 1.5,
            ensemble: true,
        }
    }
}

impl Method for RedAdmm {
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
        positive("the penalty", self.penalty)?;
        Error::unless(self.relaxation > 0.0 && self.relaxation <= 2.0, || {
            format!(
                "the relaxation is above 0 and at most 2, not {}",
                self.relaxation
            )
        })?;
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.ensemble(self.ensemble);
        let p = self.penalty;
        run.begin(self.steps);
        let mut v = problem.operator.guess(&problem.y);
        let mut u = Image::zeros(v.dim());
        for k in 0..self.steps {
            let rho = denoiser.rho(k, self.lambda, problem);
            let x = problem.prox(&(&v - &u), p * rho);
            run.poll(&x)?;
            let h = combine(self.relaxation, &x, 1.0 - self.relaxation, &v);
            let denoised = denoiser.apply(k, &v, run)?;
            v = combine(1.0 / (1.0 + p), &denoised, p / (1.0 + p), &(&h + &u));
            u = (u + &h - &v) * denoiser.shrinks(k) as f32;
            run.show(&v, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, v, self.lambda))
    }
}
