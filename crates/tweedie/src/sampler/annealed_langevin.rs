//! Annealed Langevin dynamics (Song and Ermon 2019, arXiv:1907.05600, algorithm 1; with final denoising Song and Ermon 2020,
//! arXiv:2006.09011).
//!
//! ```text
//! for each level, the noisiest first:
//!     alpha = step*sigma^2
//!     repeats times:  x <- x + alpha*score(x, sigma) + sqrt(2*alpha)*z
//! x <- x + sigma^2*score(x, sigma)                                          at the last level: its estimate
//! ```
//!
//! `step` is the papers' `epsilon/sigma_L^2`, a pure number, so that levels of any unit and path will do: they are visited as
//! the VE levels of the same sigma. Above 2 it diverges. The authors begin with uniform noise in [0, 1], far from the law of the
//! first level; here with what the first level makes of mid-grey, of which as little is left.

use serde::{Deserialize, Serialize};

use super::Sampler;
use super::langevin;
use crate::Image;
use crate::grid::{Grid, MAX_STEPS, Schedule};
use crate::level::Level;
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of annealed Langevin dynamics. By default those of NCSNv2 for CIFAR-10.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnnealedLangevin {
    /// The levels that are visited.
    pub grid: Grid,
    /// Steps at each level.
    pub repeats: usize,
    /// Length of a step, for each unit of the level's variance: above 0 and below 2. With few levels 0.1 to 0.5 is right.
    pub step: f64,
    /// Whether the last level's noise is removed at the end.
    pub denoise: bool,
}

impl Default for AnnealedLangevin {
    /// `epsilon = 6.2e-6` at `sigma_L = 0.01`.
    fn default() -> AnnealedLangevin {
        AnnealedLangevin {
            grid: Grid::all(Schedule::Ve {
                sigma_min: 0.01,
                sigma_max: 50.0,
                steps: 232,
            }),
            repeats: 5,
            step: 0.062,
            denoise: true,
        }
    }
}

impl Described for AnnealedLangevin {
    const CARD: Card = Card {
        summary: "Langevin steps at each of many noise levels; slow, and never quite settled",
        paper: "Song and Ermon 2019, arXiv:1907.05600; 2020, arXiv:2006.09011",
    };

    fn with_steps(mut self, steps: usize) -> AnnealedLangevin {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        let steps = self.grid.len(prior).saturating_mul(self.repeats);
        steps + usize::from(self.denoise)
    }
}

impl AnnealedLangevin {
    /// As NCSN was published: 10 levels from 1 to 0.01, 100 steps at each (`epsilon = 2e-5`), and the noise of the last left.
    pub fn ncsn() -> AnnealedLangevin {
        AnnealedLangevin {
            grid: Grid::all(Schedule::Ve {
                sigma_min: 0.01,
                sigma_max: 1.0,
                steps: 10,
            }),
            repeats: 100,
            step: 0.2,
            denoise: false,
        }
    }

    fn levels(&self, card: &PriorCard) -> Result<Vec<Level>, Error> {
        Error::unless(self.step > 0.0 && self.step < 2.0, || {
            format!(
                "a Langevin step is above 0 and below 2 of the level's variance, not {}",
                self.step
            )
        })?;
        let levels = self.grid.levels(card)?;
        let steps = levels.len().saturating_mul(self.repeats);
        Error::unless((1..=MAX_STEPS).contains(&steps), || {
            format!("Langevin takes 1 to {MAX_STEPS} steps in all, not {steps}")
        })?;
        Ok(levels.iter().map(|l| Level::ve(l.sigma())).collect())
    }
}

impl Sampler for AnnealedLangevin {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        Ok(self.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let levels = self.levels(prior.card())?;
        run.begin(levels.len());
        for (i, &level) in levels.iter().enumerate() {
            let mut x0 = Image::default(x.raw_dim());
            for _ in 0..self.repeats {
                x0 = run.denoise(prior, &x, level)?;
                let score = level.score_from_x0(&x, &x0);
                x = langevin::step(x, &score, self.step * level.b * level.b, run);
                run.poll(&x0)?;
            }
            if self.denoise && i + 1 == levels.len() {
                x0 = run.denoise(prior, &x, level)?;
                x = x0.clone();
            }
            run.show(&x0, level)?;
        }
        Ok(x)
    }
}
