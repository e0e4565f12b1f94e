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

use super::{Sampler, add_noise, clamp, levels, pure_noise, steps};
use crate::level::{Grid, Schedule, Subset, Transition, walk};
use crate::prior::Prior;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};
use crate::{Dims, Image};

/// The variance of an ancestral step, which the model does not tell (Ho et al. 2020, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// "beta tilde": right where the data are a single point, always a little too small.
    Small,
    /// "beta": right where the data are white noise, a little too large.
    Large,
}

impl Variance {
    /// The variance of the step.
    pub fn of(self, hop: &Transition) -> f64 {
        match self {
            Variance::Small => hop.posterior_var,
            Variance::Large => hop.var,
        }
    }

    /// The ancestral step; the one to the clean image adds no noise.
    pub(crate) fn step(self, hop: &Transition, x: &Image, x0: &Image, run: &mut Run<'_>) -> Image {
        let sigma = if hop.s.b > 0.0 {
            self.of(hop).sqrt()
        } else {
            0.0
        };
        add_noise(hop.posterior_mean(x, x0), sigma, run)
    }
}

/// Settings of DDPM. By default as published: all 1000 levels of the linear schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
            grid: Grid {
                schedule: Schedule::DDPM,
                subset: Subset::All,
            },
            variance: Variance::Small,
            clamp: true,
        }
    }
}

impl Described for Ddpm {
    const CARD: Card = Card {
        summary: "ancestral sampling: slow, and closest to the model's law",
        paper: "Ho et al. 2020, arXiv:2006.11239",
        needs: &[],
    };

    fn with_steps(mut self, steps: usize) -> Ddpm {
        self.grid.subset = self.grid.subset.with_steps(steps);
        self
    }

    fn nfe(&self) -> usize {
        steps(&self.grid)
    }
}

impl Sampler for Ddpm {
    fn sample(
        &self,
        prior: &dyn Prior,
        batch: usize,
        dims: Dims,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let levels = levels(&self.grid, prior)?;
        run.begin(levels.len());
        let mut x = pure_noise(prior.range(), levels[0], batch, dims, run);
        for (t, s) in walk(&levels) {
            let mut x0 = run.denoise(prior, &x, t)?;
            if self.clamp {
                clamp(&mut x0, prior.range());
            }
            x = self.variance.step(&Transition::new(t, s), &x, &x0, run);
            run.show(&x0, t)?;
        }
        Ok(x)
    }
}
