//! DPIR: half-quadratic splitting with a plain denoiser (Zhang et al. 2022, arXiv:2008.13751, algorithm 1).
//!
//! ```text
//! sigma_k = logspace(49/255, sigma_end, K)
//! x  = argmin_u |A u - y|^2 + alpha_k |u - z|^2,    alpha_k = 0.23*sigma_y^2/sigma_k^2
//! z  = D(x, sigma_k)                                on a picture turned or mirrored another way in each step
//! ```
//!
//! A measurement without noise is put back at the end, by one more `x`: the denoiser has no business there.
//!
//! No noise is ever added, so the result is a point estimate: fast, faithful, and smoother than a draw from the posterior.

use serde::{Deserialize, Serialize};

use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of DPIR. By default the authors' for deblurring; for super-resolution they take 24 steps that end at
/// `max(factor/255, noise)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpir {
    /// Number of steps.
    pub steps: usize,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1]: never below the noise of the measurement.
    pub sigma_end: f64,
    /// Weight of the prior against the measurement.
    pub lambda: f64,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser: its errors then do not
    /// add up in one direction.
    pub ensemble: bool,
}

impl Default for Dpir {
    fn default() -> Dpir {
        Dpir {
            steps: 8,
            sigma_start: 49.0 / 255.0,
            sigma_end: 0.001,
            lambda: 0.23,
            ensemble: true,
        }
    }
}

impl Described for Dpir {
    const CARD: Card = Card {
        summary: "data prox and plain denoising in turn: the fastest, a smooth best estimate",
        paper: "Zhang et al. 2022, arXiv:2008.13751",
    };

    fn with_steps(mut self, steps: usize) -> Dpir {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for Dpir {
    /// Holes are filled from their edges inwards, a little in each step. Where a blur has lost most frequencies for good, the
    /// prior need not hold down what little the others amplify.
    fn tuned(task: &Task) -> Dpir {
        let (steps, lambda) = match task.loss {
            loss if loss.pixels => (48, 0.23),
            loss if loss.scales => (24, 0.23),
            loss if loss.faded > 0.5 => (8, 0.10),
            loss if loss.detail => (8, 0.19),
            _ => (24, 0.23),
        };
        Dpir {
            lambda,
            steps: task.steps.unwrap_or(steps),
            ..Dpir::default()
        }
    }
}

impl Method for Dpir {
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
        let sigma_y = problem.sigma_floored(range) / range.width();
        let sigma = [self.sigma_start, self.sigma_end.max(sigma_y)];
        positive("the denoiser's last sigma", self.sigma_end)?;
        let denoiser = Denoiser::new(prior, self.steps, sigma)?.ensemble(self.ensemble);
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
