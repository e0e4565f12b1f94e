//! Langevin dynamics at one noise level: a chain that forgets where it began, unadjusted (ULA) or with the acceptance test of
//! Metropolis and Hastings (MALA; Roberts and Tweedie 1996, who are not those of the formula).
//!
//! ```text
//! p = x + h*score(x) + sqrt(2h)*z,    h = step*sigma^2                                                      ULA: x <- p
//! log a = log pi(p) - log pi(x) - (|x - p - h*score(p)|^2 - |p - x - h*score(x)|^2)/(4h)
//! x <- p with probability min(1, a)                                                                         MALA
//! ```
//!
//! `pi` is the law of pictures with the level's noise. ULA has a variance of `s^2/(1 - h/(2 s^2))` in the place of `s^2`; MALA
//! has the right one, for priors that know their density. By default the noise is removed at the end.

use serde::{Deserialize, Serialize};

use super::Sampler;
use crate::batch::norms;
use crate::grid::{Error as GridError, MAX_STEPS};
use crate::level::{Level, combine};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};
use crate::{Dims, Image};

/// Which steps are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Acceptance {
    /// All: ULA.
    Always,
    /// As many as keep the law: MALA. The prior must know its density, as the exact ones do.
    Metropolis,
}

/// Settings of Langevin dynamics at one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Langevin {
    /// The level, for pictures in [0, 1].
    pub sigma: f64,
    /// Number of steps.
    pub steps: usize,
    /// Length of a step, for each unit of the level's variance: above 0 and below 2.
    pub step: f64,
    /// Which steps are taken.
    pub acceptance: Acceptance,
    /// Whether the noise is removed at the end.
    pub denoise: bool,
}

impl Default for Langevin {
    fn default() -> Langevin {
        Langevin {
            sigma: 0.1,
            steps: 500,
            step: 0.3,
            acceptance: Acceptance::Always,
            denoise: true,
        }
    }
}

impl Described for Langevin {
    const CARD: Card = Card {
        summary: "a Langevin chain at one noise level, ULA or MALA: for experiments; slow to move",
        paper: "Roberts and Tweedie 1996",
    };

    fn with_steps(mut self, steps: usize) -> Langevin {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps.saturating_add(1)
    }
}

/// `x + h*score + sqrt(2h)*z`: a step of ULA.
pub(crate) fn step(x: Image, score: &Image, h: f64, run: &mut Run<'_>) -> Image {
    run.add_noise(combine(1.0, &x, h, score), (2.0 * h).sqrt())
}

/// A place of the chain with what the prior says of it.
struct Place {
    x: Image,
    x0: Image,
    score: Image,
    /// For MALA.
    log_density: Vec<f64>,
}

impl Langevin {
    fn place(
        &self,
        prior: &dyn Prior,
        x: Image,
        level: Level,
        run: &mut Run<'_>,
    ) -> Result<Place, Error> {
        let x0 = run.denoise(prior, &x, level)?;
        let log_density = match self.acceptance {
            Acceptance::Always => Vec::new(),
            Acceptance::Metropolis => prior.log_density(&x, level).map_err(|e| run.failed(e))?,
        };
        Ok(Place {
            score: level.score_from_x0(&x, &x0),
            x,
            x0,
            log_density,
        })
    }
}

/// Which pictures of the batch go from `here` to `there`.
fn accepted(here: &Place, there: &Place, h: f64, run: &mut Run<'_>) -> Vec<bool> {
    let back = norms(&(&here.x - &combine(1.0, &there.x, h, &there.score)));
    let forth = norms(&(&there.x - &combine(1.0, &here.x, h, &here.score)));
    // Half the square of two normal numbers is the negative logarithm of a uniform one.
    let z = norms(&run.normal(back.len(), Dims::new(2, 1, 1)));
    (0..back.len())
        .map(|n| {
            let moves = back[n] * back[n] - forth[n] * forth[n];
            let log_a = there.log_density[n] - here.log_density[n] - moves / (4.0 * h);
            -0.5 * z[n] * z[n] < log_a
        })
        .collect()
}

impl Sampler for Langevin {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        Error::unless(self.sigma > 0.0 && self.sigma.is_finite(), || {
            format!(
                "the sigma of a Langevin chain is positive, not {}",
                self.sigma
            )
        })?;
        Error::unless(self.step > 0.0 && self.step < 2.0, || {
            format!(
                "a Langevin step is above 0 and below 2 of the level's variance, not {}",
                self.step
            )
        })?;
        if !(1..=MAX_STEPS).contains(&self.steps) {
            return Err(GridError::Steps(self.steps).into());
        }
        Ok(Level::ve(self.sigma * card.range.width()))
    }

    fn decode(&self, prior: &dyn Prior, x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let level = self.first(prior.card())?;
        let h = self.step * level.b * level.b;
        run.begin(self.steps);
        let mut here = self.place(prior, x, level, run)?;
        let (mut taken, mut proposed) = (0, 0);
        for _ in 0..self.steps {
            let x = step(here.x.clone(), &here.score, h, run);
            let mut there = self.place(prior, x, level, run)?;
            if self.acceptance == Acceptance::Metropolis {
                let accepted = accepted(&here, &there, h, run);
                taken += accepted.iter().filter(|taken| **taken).count();
                proposed += accepted.len();
                there.keep(&here, &accepted);
            }
            here = there;
            run.show(&here.x0, level)?;
        }
        if proposed > 0 {
            run.note(format!(
                "accepted {:.0} % of the steps",
                100.0 * taken as f64 / proposed as f64
            ));
        }
        Ok(if self.denoise { here.x0 } else { here.x })
    }
}

impl Place {
    /// Puts back the pictures that were not to move.
    fn keep(&mut self, here: &Place, accepted: &[bool]) {
        for n in (0..accepted.len()).filter(|&n| !accepted[n]) {
            let pairs = [
                (&mut self.x, &here.x),
                (&mut self.x0, &here.x0),
                (&mut self.score, &here.score),
            ];
            for (to, from) in pairs {
                to.index_axis_mut(ndarray::Axis(0), n)
                    .assign(&from.index_axis(ndarray::Axis(0), n));
            }
            self.log_density[n] = here.log_density[n];
        }
    }
}
