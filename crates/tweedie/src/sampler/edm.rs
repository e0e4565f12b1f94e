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
//! as the VE levels of the same sigma. Without churn it is followed upwards as well as down.

use serde::{Deserialize, Serialize};

use super::{Sampler, no_way_back};
use crate::Image;
use crate::grid::{Grid, Schedule};
use crate::level::{Level, climb, combine, walk};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

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

impl Edm {
    /// The levels, as those of the VE path.
    fn levels(&self, card: &PriorCard) -> Result<Vec<Level>, Error> {
        let levels = self.grid.levels(card)?;
        Ok(levels.iter().map(|l| Level::ve(l.sigma())).collect())
    }

    /// From one level to another, up or down; also the estimate of the clean image at the first.
    fn step(
        &self,
        prior: &dyn Prior,
        x: &Image,
        (t, s): (Level, Level),
        run: &mut Run<'_>,
    ) -> Result<(Image, Image), Error> {
        // Euler.
        let x0 = run.denoise(prior, x, t)?;
        let slope = t.eps_from_x0(x, &x0);
        let mut next = combine(1.0, x, s.b - t.b, &slope);
        // Heun.
        if self.order == Order::Heun && s.b > 0.0 {
            let there = s.eps_from_x0(&next, &run.denoise(prior, &next, s)?);
            let mean = combine(0.5, &slope, 0.5, &there);
            next = combine(1.0, x, s.b - t.b, &mean);
        }
        Ok((next, x0))
    }

    /// A draw that begins with noise around a picture, in the place of the middle of the range.
    pub(crate) fn sample_around(
        &self,
        prior: &dyn Prior,
        start: Image,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let first = self.first(prior.card())?;
        let x = run.add_noise(start, first.b);
        self.decode(prior, x, run)
    }
}

impl Sampler for Edm {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        self.check()?;
        Ok(self.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        self.check()?;
        let card = prior.card();
        let levels = self.levels(card)?;
        run.begin(levels.len());
        for (t, s) in walk(&levels) {
            // Churn: a little back up.
            let hat = Level::ve(self.churned(t.b, levels.len(), card));
            let added = (hat.b * hat.b - t.b * t.b).sqrt() * self.churn_noise;
            let xh = run.add_noise(x, added);
            let (next, x0) = self.step(prior, &xh, (hat, s), run)?;
            x = next;
            run.show(&x0, t)?;
        }
        Ok(x)
    }

    /// The same steps upwards. The picture counts as one of the lowest level, whose noise is not to be seen.
    fn encode(&self, prior: &dyn Prior, x: &Image, run: &mut Run<'_>) -> Result<Image, Error> {
        self.check()?;
        if self.churn > 0.0 {
            return Err(no_way_back());
        }
        let levels = self.levels(prior.card())?;
        run.begin(levels.len() - 1);
        let mut x = x.clone();
        for hop in climb(&levels).skip(1) {
            let (next, x0) = self.step(prior, &x, hop, run)?;
            x = next;
            run.show(&x0, hop.0)?;
        }
        Ok(x)
    }
}
