//! PnP-DRS: Douglas-Rachford splitting with a denoiser for the prior's prox (Buzzard et al. 2018, "Plug-and-play unplugged",
//! arXiv:1705.08983, as consensus equilibrium; Ryu et al. 2019, arXiv:1905.05406).
//!
//! ```text
//! u = argmin_v |A v - y|^2 + rho_k |v - z|^2,   rho_k = lambda*sigma_y^2/sigma_k^2
//! x = D(2u - z, sigma_k)
//! z = u + beta (x - u) + (z - u)*sigma_(k+1)^2/sigma_k^2
//! ```
//!
//! With one strength the last line is `z + beta (x - u)`; `z - u` is the multiplier in units of the penalty, which shrinks as that
//! grows. PnP-ADMM is the same with data and prior in the other order. The fixed points are its and PnP-PGD's with `g = 1/rho`.

use serde::{Deserialize, Serialize};

use crate::method::direct::exact;
use crate::method::plug_and_play::denoiser::{Denoiser, positive, with_multiplier};
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of PnP-DRS. The papers' depend on their denoisers; these are a middle of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PnpDrs {
    /// Number of steps.
    pub steps: usize,
    /// Weight of the prior against the measurement: 1 is the posterior's, DPIR has 0.23.
    pub lambda: f64,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1].
    pub sigma_end: f64,
    /// Length of the steps: above 0, below 2.
    pub relaxation: f64,
    /// How much of the denoiser's answer is taken, above 0 to 1.
    pub share: f64,
    /// Whether it starts from the mean of the exact posterior, for one evaluation more, in the place of the operator's guess: where
    /// each pixel is measured alone and the prior is told the noise of each.
    pub from_mean: bool,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for PnpDrs {
    fn default() -> PnpDrs {
        PnpDrs {
            steps: 50,
            lambda: 1.0,
            sigma_start: 10.0 / 255.0,
            sigma_end: 10.0 / 255.0,
            relaxation: 1.0,
            share: 1.0,
            from_mean: false,
            ensemble: false,
        }
    }
}

impl Described for PnpDrs {
    const CARD: Card = Card {
        summary: "reflections through data prox and denoiser: pnp-admm in the other order",
        paper: "Buzzard et al. 2018, arXiv:1705.08983; Ryu et al. 2019, arXiv:1905.05406",
    };

    fn with_steps(mut self, steps: usize) -> PnpDrs {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps + usize::from(self.from_mean)
    }
}

impl Tuned for PnpDrs {
    /// From the exact mean half as strong a denoiser begins: it has less to find, and would forget what lies farther away than
    /// its guesses reach. Of few sums over many pixels a picture emerges slowly: twice the steps are worth 2 dB where there is a
    /// tenth of the numbers, and nothing where there is a quarter.
    fn tuned(task: &Task) -> PnpDrs {
        let (lambda, sigma_end) = with_multiplier(task);
        let from_mean = task.pixelwise && task.maps && task.loss.pixels;
        let few = task.loss.mixed && task.input.len() > 6 * task.output.len();
        PnpDrs {
            steps: task.steps.unwrap_or(if few { 60 } else { 30 }),
            lambda,
            sigma_start: if from_mean { 25.0 } else { 49.0 } / 255.0,
            sigma_end,
            from_mean,
            ensemble: true,
            ..PnpDrs::default()
        }
    }
}

impl Method for PnpDrs {
    fn needs(&self) -> Vec<Need> {
        match self.from_mean {
            true => vec![Need::Pixelwise, Need::Maps],
            false => vec![Need::Linear],
        }
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
        Error::unless(self.relaxation > 0.0 && self.relaxation < 2.0, || {
            format!(
                "the relaxation is above 0 and below 2, not {}",
                self.relaxation
            )
        })?;
        let denoiser = Denoiser::new(prior, self.steps, [self.sigma_start, self.sigma_end])?;
        let denoiser = denoiser.share(self.share)?.ensemble(self.ensemble);
        let beta = self.relaxation as f32;
        run.begin(self.steps);
        let mut z = match self.from_mean {
            true => exact::mean(prior, problem, run)?,
            false => problem.operator.guess(&problem.y),
        };
        let mut x = z.clone();
        for k in 0..self.steps {
            let u = problem.prox(&z, denoiser.rho(k, self.lambda, problem));
            run.poll(&u)?;
            x = denoiser.apply(k, &(&u * 2.0 - &z), run)?;
            let multiplier = (z - &u) * denoiser.shrinks(k) as f32;
            z = &u + &((&x - &u) * beta) + multiplier;
            run.show(&x, denoiser.level(k))?;
        }
        Ok(denoiser.settled(problem, x, self.lambda))
    }
}
