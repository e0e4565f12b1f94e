//! RED with the back-projection fidelity, `|(A A^T)^(-1/2) (A x - y)|^2` in the place of `|A x - y|^2` (Tirer and Giryes 2020,
//! arXiv:1906.10794, "Back-projection based fidelity term for ill-posed linear inverse problems").
//!
//! ```text
//! x = x - mu (A^+ (A x - y) + lambda (x - D(x, sigma_k))),   mu = step/(1 + lambda)
//! ```
//!
//! Its curvature is the same in all directions that are measured, so that it gets there in a fraction of RED's steps. `A^+` is
//! [`BackProjection`]'s: exact where all is measured equally well, else `A^T (A A^T + r)^-1`. A scan of the slides has `A^T` in this
//! place, which is RED-SD.

use serde::{Deserialize, Serialize};

use crate::level::combine;
use crate::method::plug_and_play::back_projection::BackProjection;
use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of RED with back-projection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedBp {
    /// Number of steps.
    pub steps: usize,
    /// Weight of the prior against the back-projected residual.
    pub lambda: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// Length of the steps, of 2 at which they become unstable.
    pub step: f64,
    /// `r` of the regularised pseudo-inverse, in units of the operator's squared norm. None to find it (see IDBP).
    pub regularisation: Option<f64>,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for RedBp {
    fn default() -> RedBp {
        RedBp {
            steps: 100,
            lambda: 0.5,
            sigma_start: 10.0 / 255.0,
            sigma_end: 10.0 / 255.0,
            step: 1.0,
            regularisation: None,
            ensemble: false,
        }
    }
}

impl Described for RedBp {
    const CARD: Card = Card {
        summary: "steps of back-projection and denoising: red-sd with a far better conditioned data term",
        paper: "Tirer and Giryes 2020, arXiv:1906.10794",
    };

    fn with_steps(mut self, steps: usize) -> RedBp {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for RedBp {
    fn tuned(task: &Task) -> RedBp {
        RedBp {
            steps: task.steps.unwrap_or(30),
            lambda: 1.0,
            step: 1.8,
            sigma_start: 49.0 / 255.0,
            sigma_end: task.sigma.max(0.004),
            ensemble: true,
            ..RedBp::default()
        }
    }
}

impl Method for RedBp {
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
        positive("the step", self.step)?;
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.ensemble(self.ensemble);
        let mu = self.step / (1.0 + self.lambda);
        let mut back = BackProjection::new(problem, self.regularisation)?;
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        for k in 0..self.steps {
            let projected = back.project(&x, denoiser.level(k).sigma());
            run.poll(&projected)?;
            let denoised = denoiser.apply(k, &x, run)?;
            let towards = combine(1.0, &(projected - &x), self.lambda, &(denoised - &x));
            x = combine(1.0, &x, mu, &towards);
            run.show(&x, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, x, 1.0))
    }
}
