//! PnP-ADMM: the alternating direction method of multipliers with a denoiser for the prior's prox, where plug and play began
//! (Venkatakrishnan, Bouman and Wohlberg 2013; Chan, Wang and Elgendy 2017, arXiv:1605.01710, for a ladder of penalties).
//!
//! ```text
//! u = argmin_v |A v - y|^2 + rho_k |v - (x - w)|^2,   rho_k = lambda*sigma_y^2/sigma_k^2
//! x = D(u + w, sigma_k)
//! w = (w + beta (u - x))*sigma_(k+1)^2/sigma_k^2
//! ```
//!
//! The multiplier `w` adds up what data and prior disagree on, until they agree; without it (`beta = 0`) this is PnP-HQS, which ends
//! between the two. It is kept in units of the penalty, and shrinks as that grows. With a denoiser of one strength the fixed points
//! are those of PnP-PGD with `g = 1/rho` and of PnP-DRS.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::method::plug_and_play::denoiser::{Denoiser, positive, with_multiplier};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of PnP-ADMM. The papers' depend on their denoisers; these are a middle of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PnpAdmm {
    /// Number of steps.
    pub steps: usize,
    /// Weight of the prior against the measurement: 1 is the posterior's, DPIR has 0.23.
    pub lambda: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// Length of the multiplier's steps: 0 for none (PnP-HQS), below 2.
    pub relaxation: f64,
    /// How much of the denoiser's answer is taken, above 0 to 1.
    pub share: f64,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for PnpAdmm {
    fn default() -> PnpAdmm {
        PnpAdmm {
            steps: 50,
            lambda: 1.0,
            sigma_start: 10.0 / 255.0,
            sigma_end: 10.0 / 255.0,
            relaxation: 1.0,
            share: 1.0,
            ensemble: false,
        }
    }
}

impl Described for PnpAdmm {
    const CARD: Card = Card {
        summary: "data prox, denoising, a multiplier: the first plug-and-play method",
        paper: "Venkatakrishnan et al. 2013; Chan et al. 2017, arXiv:1605.01710",
    };

    fn with_steps(mut self, steps: usize) -> PnpAdmm {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for PnpAdmm {
    fn tuned(task: &Task) -> PnpAdmm {
        let (lambda, sigma_end) = with_multiplier(task);
        PnpAdmm {
            steps: task.steps.unwrap_or(30),
            lambda,
            sigma_start: 49.0 / 255.0,
            sigma_end,
            ensemble: true,
            ..PnpAdmm::default()
        }
    }
}

impl Method for PnpAdmm {
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
        Error::unless((0.0..2.0).contains(&self.relaxation), || {
            format!(
                "the relaxation is 0 or more and below 2, not {}",
                self.relaxation
            )
        })?;
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.share(self.share)?.ensemble(self.ensemble);
        let beta = self.relaxation as f32;
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        let mut w = Image::zeros(x.dim());
        for k in 0..self.steps {
            let u = problem.prox(&(&x - &w), denoiser.rho(k, self.lambda, problem));
            run.poll(&u)?;
            x = denoiser.apply(k, &(&u + &w), run)?;
            w.scaled_add(beta, &(u - &x));
            w *= denoiser.shrinks(k) as f32;
            run.show(&x, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, x, self.lambda))
    }
}
