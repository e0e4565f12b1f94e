//! PnP-HQS: half-quadratic splitting with a denoiser for the prior's prox (Zoran and Weiss 2011; Zhang et al. 2017,
//! arXiv:1704.03264, "Learning deep CNN denoiser prior for image restoration").
//!
//! ```text
//! x = argmin_u |A u - y|^2 + rho_k |u - z|^2,   rho_k = lambda*sigma_y^2/sigma_k^2
//! z = D(x, sigma_k)
//! ```
//!
//! The plain alternation. With one strength it ends between data and prior, where `z` and `x` still differ, and PnP-ADMM goes on;
//! with a ladder, whose penalty grows, the gap closes. DPIR is this with a ladder from 49/255 to the noise and turned pictures.

use serde::{Deserialize, Serialize};

use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of PnP-HQS: those of Zhang et al. 2017, 30 steps from 49/255 down to the noise of a clean picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PnpHqs {
    /// Number of steps.
    pub steps: usize,
    /// Weight of the prior against the measurement: 1 is the posterior's, DPIR has 0.23.
    pub lambda: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// How much of the denoiser's answer is taken, above 0 to 1.
    pub share: f64,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for PnpHqs {
    fn default() -> PnpHqs {
        PnpHqs {
            steps: 30,
            lambda: 1.0,
            sigma_start: 49.0 / 255.0,
            sigma_end: 1.0 / 255.0,
            share: 1.0,
            ensemble: false,
        }
    }
}

impl Described for PnpHqs {
    const CARD: Card = Card {
        summary: "data prox and denoising in turn, at one strength or down a ladder: the plain form of dpir",
        paper: "Zoran and Weiss 2011; Zhang et al. 2017, arXiv:1704.03264",
    };

    fn with_steps(mut self, steps: usize) -> PnpHqs {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for PnpHqs {
    fn tuned(task: &Task) -> PnpHqs {
        PnpHqs {
            steps: task.steps.unwrap_or(30),
            lambda: 0.23,
            sigma_start: 49.0 / 255.0,
            sigma_end: task.sigma.max(0.004),
            ..PnpHqs::default()
        }
    }
}

impl Method for PnpHqs {
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
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.share(self.share)?.ensemble(self.ensemble);
        run.begin(self.steps);
        let mut z = problem.operator.guess(&problem.y);
        for k in 0..self.steps {
            let x = problem.prox(&z, denoiser.rho(k, self.lambda, problem));
            run.poll(&x)?;
            z = denoiser.apply(k, &x, run)?;
            run.show(&z, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, z, self.lambda))
    }
}
