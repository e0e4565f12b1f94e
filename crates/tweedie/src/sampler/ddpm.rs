//! DDPM: ancestral sampling (Ho, Jain and Abbeel 2020, arXiv:2006.11239, algorithm 2).
//!
//! Each step draws from the forward process run backwards, with the clean image replaced by its estimate:
//!
//! ```text
//! x0  = E[x0 | x_t]
//! x_s = posterior mean(x_t, x0) + sqrt(var)*z        no noise in the step to the clean image
//! ```
//!
//! With all levels of a VP schedule the mean is the paper's `(x - beta/sqrt(1-abar)*eps)/sqrt(alpha)`; with some of them
//! it is that of the respaced chain. Written with [`Transition`], the step is the same on VE and flow levels.

use serde::{Deserialize, Serialize};

use super::Sampler;
use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::{Level, Transition, walk};
use crate::prior::{Card as PriorCard, Estimate, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// The variance of an ancestral step (Ho et al. 2020, section 3.2; Nichol and Dhariwal 2021, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// "beta tilde": right where the data are a single point, always a little too small.
    Small,
    /// "beta": right where the data are white noise, a little too large.
    Large,
    /// What the prior learned, between the two; for priors whose card says that they did.
    Learned,
}

impl Variance {
    /// The variance of the step, but for a learned one.
    fn of(self, hop: &Transition) -> f64 {
        match self {
            Variance::Small | Variance::Learned => hop.posterior_var,
            Variance::Large => hop.var,
        }
    }

    /// That the prior has what is asked of it.
    pub(crate) fn check(self, prior: &PriorCard) -> Result<(), Error> {
        Error::unless(self != Variance::Learned || prior.variance, || {
            "the prior has not learned a variance; choose small or large".into()
        })
    }

    /// The ancestral step with an estimate, whose `x0` may have been changed; the one to the clean image adds no noise.
    pub(crate) fn step(
        self,
        hop: &Transition,
        x: &Image,
        estimate: &Estimate,
        run: &mut Run<'_>,
    ) -> Image {
        let mut mean = hop.posterior_mean(x, &estimate.x0);
        if hop.s.b == 0.0 {
            return mean;
        }
        match (self, &estimate.share) {
            (Variance::Learned, Some(share)) => {
                let (small, large) = (hop.posterior_var.ln(), hop.var.ln());
                let z = run.normal_like(x);
                ndarray::Zip::from(&mut mean)
                    .and(&z)
                    .and(share)
                    .par_for_each(|m, &z, &v| {
                        let v = f64::from(v);
                        let sigma = (0.5 * (v * large + (1.0 - v) * small)).exp();
                        *m += sigma as f32 * z;
                    });
                mean
            }
            _ => run.add_noise(mean, self.of(hop).sqrt()),
        }
    }
}

/// Settings of DDPM. By default as published: all 1000 levels of the linear schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddpm {
    /// The levels that are visited.
    pub grid: Grid,
    /// Variance of the steps.
    pub variance: Variance,
    /// Whether estimates of the clean image are limited to its range.
    pub clamp: bool,
}

impl Default for Ddpm {
    fn default() -> Ddpm {
        Ddpm {
            grid: Grid::ddpm(Subset::All),
            variance: Variance::Small,
            clamp: true,
        }
    }
}

impl Described for Ddpm {
    const CARD: Card = Card {
        summary: "ancestral sampling: slow, and closest to the model's law",
        paper: "Ho et al. 2020, arXiv:2006.11239",
    };

    fn with_steps(mut self, steps: usize) -> Ddpm {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Sampler for Ddpm {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        self.variance.check(card)?;
        Ok(self.grid.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        self.variance.check(prior.card())?;
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        for (t, s) in walk(&levels) {
            let mut estimate = run.estimate(prior, &x, t)?;
            if self.clamp {
                range.clamp(&mut estimate.x0);
            }
            x = self
                .variance
                .step(&Transition::new(t, s), &x, &estimate, run);
            run.show(&estimate.x0, t)?;
        }
        Ok(x)
    }
}
