//! PnP-FISTA: accelerated gradient steps with a denoiser in the place of the prox (Kamilov et al. 2017, "A plug-and-play priors
//! approach for solving nonlinear imaging inverse problems").
//!
//! ```text
//! u  = D(z + g*J^T (y - A(z)), sigma_k),   g = step/|A|^2
//! t' = (1 + sqrt(1 + 4 t^2))/2
//! z  = u + (t - 1)/t' (u - u_old)
//! ```
//!
//! The fixed points are PnP-PGD's, and what it asks of the operator; it is sooner there. The momentum begins anew where it leads
//! uphill ([`accelerated`](crate::method::accelerated)): a network may spread two pictures, and with plain momentum that may
//! diverge. A library takes `(k + a - 1)/(k + a)` for the momentum, which tends to 1 so fast that it is 50 to 1000 times farther
//! from the end.

use serde::{Deserialize, Serialize};

use crate::method::accelerated::Accelerated;
use crate::method::plug_and_play::denoiser::{Denoiser, positive};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of PnP-FISTA. The papers' depend on their denoisers; these are a middle of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PnpFista {
    /// Number of steps.
    pub steps: usize,
    /// Length of the gradient steps, in units of the inverse of the operator's squared norm: at most 1.
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

impl Default for PnpFista {
    fn default() -> PnpFista {
        PnpFista {
            steps: 100,
            step: 1.0,
            sigma_start: 5.0 / 255.0,
            sigma_end: 5.0 / 255.0,
            share: 1.0,
            ensemble: false,
        }
    }
}

impl Described for PnpFista {
    const CARD: Card = Card {
        summary: "gradient step, denoising, momentum: any differentiable operator, sooner than pnp-pgd",
        paper: "Kamilov et al. 2017; Beck and Teboulle 2009",
    };

    fn with_steps(mut self, steps: usize) -> PnpFista {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for PnpFista {
    /// Momentum carries too far what a strong denoiser has taken: the ladder begins low, and with noise there is none.
    fn tuned(task: &Task) -> PnpFista {
        PnpFista {
            steps: task.steps.unwrap_or(40),
            sigma_start: if task.sigma > 0.0 { task.sigma } else { 0.05 },
            sigma_end: task.sigma.max(0.004),
            ensemble: true,
            ..PnpFista::default()
        }
    }
}

impl Method for PnpFista {
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
        let mut fista = Accelerated::from(problem.operator.guess(&problem.y), g);
        for k in 0..self.steps {
            let u = denoiser.apply(k, &fista.descended(problem), run)?;
            fista.moved(u);
            run.show(fista.estimate(), denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, fista.into_estimate(), 1.0))
    }
}
