//! EDM: the probability-flow ODE in sigma, by Euler or Heun, with optional churn (Karras et al. 2022,
//! arXiv:2206.00364, algorithm 2).
//!
//! ```text
//! sh   = sigma*(1 + gamma);  xh = x + sqrt(sh^2 - sigma^2)*S_noise*z         churn
//! d    = (xh - D(xh, sh))/sh
//! x    = xh + (next - sh)*d                                                  Euler
//! d'   = (x - D(x, next))/next;  x = xh + (next - sh)*(d + d')/2             Heun, but for the last step
//! ```
//!
//! The ODE lives in `x/a` against `sigma = b/a`, in which all paths are alike: levels of VP or flow schedules are visited
//! as the VE levels of the same sigma.

use serde::{Deserialize, Serialize};

use super::Sampler;
use crate::grid::{Grid, Schedule};
use crate::level::{Level, combine, walk};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};
use crate::{Dims, Image};

/// The rule that follows the ODE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// First order, one evaluation a step.
    Euler,
    /// Second order, two evaluations a step but for the last.
    Heun,
}

/// Settings of EDM. By default as published: 18 steps from 80 to 0.002 by Heun's rule (35 evaluations), no churn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Edm {
    /// The levels that are visited.
    pub grid: Grid,
    /// Euler or Heun.
    pub order: Order,
    /// `S_churn`: total amount of noise that is added on the way; 0 for none.
    pub churn: f64,
    /// `S_tmin`: churn only above this sigma, for data in [-1, 1].
    pub churn_min: f64,
    /// `S_tmax`: churn only below this sigma, for data in [-1, 1]; none for no limit.
    pub churn_max: Option<f64>,
    /// `S_noise`: standard deviation of the noise that is added.
    pub churn_noise: f64,
}

impl Default for Edm {
    fn default() -> Edm {
        Edm {
            grid: Grid::all(Schedule::edm(18)),
            order: Order::Heun,
            churn: 0.0,
            churn_min: 0.0,
            churn_max: None,
            churn_noise: 1.0,
        }
    }
}

impl Described for Edm {
    const CARD: Card = Card {
        summary: "second-order steps through the probability-flow ODE; few evaluations",
        paper: "Karras et al. 2022, arXiv:2206.00364",
    };

    fn with_steps(mut self, steps: usize) -> Edm {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        let n = self.grid.len(prior);
        match self.order {
            Order::Euler => n,
            Order::Heun => (2 * n).saturating_sub(1),
        }
    }
}

impl Edm {
    /// The sigma that a step is churned up to.
    fn churned(&self, sigma: f64, steps: usize, prior: &PriorCard) -> f64 {
        let half = prior.range.half;
        let max = self.churn_max.unwrap_or(f64::INFINITY);
        if (self.churn_min * half..=max * half).contains(&sigma) {
            let gamma = (self.churn / steps as f64).min(std::f64::consts::SQRT_2 - 1.0);
            // A prior is not asked beyond what it knows; the grid itself is within that.
            (sigma * (1.0 + gamma)).min(prior.sigma[1].max(sigma))
        } else {
            sigma
        }
    }

    fn check(&self) -> Result<(), Error> {
        let ok = self.churn >= 0.0 && self.churn_noise >= 0.0;
        Error::unless(ok, || "churn and its noise must not be negative".into())
    }
}

impl Sampler for Edm {
    fn sample(
        &self,
        prior: &dyn Prior,
        batch: usize,
        dims: Dims,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let start = Image::from_elem(dims.batch(batch), prior.card().range.center as f32);
        self.sample_around(prior, start, run)
    }
}

impl Edm {
    /// A draw that begins with noise around a picture, in the place of the middle of the range.
    pub(crate) fn sample_around(
        &self,
        prior: &dyn Prior,
        start: Image,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        self.check()?;
        let card = prior.card();
        let levels: Vec<Level> = self
            .grid
            .levels(card)?
            .iter()
            .map(|l| Level::ve(l.sigma()))
            .collect();
        run.begin(levels.len());
        let mut x = run.add_noise(start, levels[0].b);
        for (t, s) in walk(&levels) {
            // Churn: a little back up.
            let hat = Level::ve(self.churned(t.b, levels.len(), card));
            let added = (hat.b * hat.b - t.b * t.b).sqrt() * self.churn_noise;
            let xh = run.add_noise(x, added);
            // Euler.
            let x0 = run.denoise(prior, &xh, hat)?;
            let slope = hat.eps_from_x0(&xh, &x0);
            x = combine(1.0, &xh, s.b - hat.b, &slope);
            // Heun.
            if self.order == Order::Heun && s.b > 0.0 {
                let there = s.eps_from_x0(&x, &run.denoise(prior, &x, s)?);
                let mean = combine(0.5, &slope, 0.5, &there);
                x = combine(1.0, &xh, s.b - hat.b, &mean);
            }
            run.show(&x0, t)?;
        }
        Ok(x)
    }
}
