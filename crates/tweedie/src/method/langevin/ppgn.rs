//! The update of plug-and-play generative networks, which its authors call an approximate Metropolis-adjusted Langevin algorithm
//! (Nguyen et al. 2017, arXiv:1612.00005, eq. 5), for images and a denoiser `R`.
//!
//! ```text
//! x <- x + e1*(R(x) - x) + e2*A^T(y - A x)/sigma_y^2 + e3*z
//! e1 = prior*h/sigma^2,  e2 = data*h,  e3 = noise*sqrt(2h)
//! ```
//!
//! No step is ever rejected, and the three are chosen freely: with all of `prior`, `data` and `noise` 1 this is PnP-ULA without
//! bounds ([`PnpUla`](super::pnp_ula::PnpUla)), else the law is a tempered one, `noise` less than 1 for a posterior that is
//! narrower than it should be, 0 for its peak. The authors' constants (1e-5, 1, 1e-17, on features of a network, with the
//! step divided by its mean) all but leave out the noise; so does the default here. Their term that keeps the context of a hole is
//! the measurement's own.

use serde::{Deserialize, Serialize};

use super::drift::Drift;
use crate::grid::MAX_STEPS;
use crate::level::combine;
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of the PPGN update. By default that of a Langevin chain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ppgn {
    /// Number of steps.
    pub steps: usize,
    /// `h`, as a part of `1/(|A|^2/sigma_y^2 + 1/sigma^2)` with the weights; stable below 2.
    pub step: f64,
    /// The noise that the denoiser removes, for pictures in [0, 1].
    pub sigma: f64,
    /// Weight of the prior.
    pub prior: f64,
    /// Weight of the measurement.
    pub data: f64,
    /// How much noise is added, 1 for a Langevin chain and 0 for none.
    pub noise: f64,
    /// The least noise that a measurement is taken to have, for pictures in [0, 1].
    pub floor: f64,
}

impl Default for Ppgn {
    fn default() -> Ppgn {
        Ppgn {
            steps: 200,
            step: 0.9,
            sigma: 5.0 / 255.0,
            prior: 1.0,
            data: 1.0,
            noise: 1.0,
            floor: 0.001,
        }
    }
}

impl Described for Ppgn {
    const CARD: Card = Card {
        summary: "denoiser, data gradient and noise, each by a weight of its own: a tempered chain, nothing is rejected",
        paper: "Nguyen et al. 2017, arXiv:1612.00005",
    };

    fn with_steps(mut self, steps: usize) -> Ppgn {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for Ppgn {
    /// Little noise, as the authors have it: the way to a peak of the posterior. Of a blur the prior takes too much, so that it
    /// has less weight there.
    fn tuned(task: &Task) -> Ppgn {
        let (sigma, noise, prior, steps) = match task.loss {
            Loss::NOTHING => (0.06, 0.3, 1.0, 40),
            loss if loss.detail => (0.03, 0.0, 0.4, 60),
            _ => (0.03, 0.1, 1.0, 60),
        };
        Ppgn {
            steps: task.steps.unwrap_or(steps),
            sigma,
            noise: if task.draw { 1.0 } else { noise },
            prior,
            floor: 0.02,
            ..Ppgn::default()
        }
    }
}

impl Ppgn {
    fn check(&self) -> Result<(), Error> {
        Error::unless((1..=MAX_STEPS).contains(&self.steps), || {
            format!("PPGN takes 1 to {MAX_STEPS} steps, not {}", self.steps)
        })?;
        Error::unless(self.step > 0.0 && self.step < 2.0, || {
            format!("the step of PPGN is above 0 and below 2, not {}", self.step)
        })?;
        Error::unless(self.noise >= 0.0 && self.noise.is_finite(), || {
            format!("the noise of PPGN is 0 or more, not {}", self.noise)
        })
    }
}

impl Method for Ppgn {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn draws(&self) -> bool {
        self.noise > 0.0
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let (sigmas, weights) = ([self.sigma, self.floor], [self.data, self.prior]);
        let drift = Drift::new(prior.card(), problem, sigmas, weights)?;
        let h = self.step / (drift.data_bound + drift.prior_bound);
        run.begin(self.steps);
        let mut x = problem.classical();
        for _ in 0..self.steps {
            let (gradient, x0) = drift.at(prior, problem, &x, run)?;
            let moved = combine(1.0, &x, h, &gradient);
            x = run.add_noise(moved, self.noise * (2.0 * h).sqrt());
            run.show(&x0, drift.level)?;
        }
        Ok(x.into())
    }
}
