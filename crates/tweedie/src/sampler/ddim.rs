//! DDIM: fewer and more deterministic steps with a model trained for DDPM (Song, Meng and Ermon 2021,
//! arXiv:2010.02502, eq. 12 and 16).
//!
//! ```text
//! x0  = E[x0 | x_t],  eps = (x_t - a_t*x0)/b_t
//! x_s = a_s*x0 + sqrt(b_s^2 - sig^2)*eps + sig*z
//! ```
//!
//! With `sig = 0` this is Euler's rule for the probability-flow ODE of `x/a` against `b/a`; with `sig` at `eta = 1` it is
//! DDPM with the small variance. DDRM, DDNM and DDS use another family, in which the share of fresh noise does not depend
//! on the length of the step: [`Renoise::Constant`].
//!
//! Without fresh noise it goes upwards, too (their section 4.3): `x_s` from `x_t` with `s` the noisier level.

use serde::{Deserialize, Serialize};

use super::{Sampler, no_way_back};
use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::{Level, Transition, climb, walk};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// How much of the noise is new at the next level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Renoise {
    /// DDIM: `sig = eta*sqrt(posterior variance)`, which shrinks with the step.
    Ddim {
        /// 0: no fresh noise; 1: as much as DDPM.
        eta: f64,
    },
    /// DDRM and its kin: `sig = eta*b_s`, whatever the step. With `eta > 0` draws vary less than the law they are drawn
    /// from, however many steps there are.
    Constant {
        /// Share of fresh noise, 0 to 1.
        eta: f64,
    },
}

impl Renoise {
    /// Whether `eta` makes sense.
    pub(crate) fn check(self) -> Result<(), Error> {
        let (Renoise::Ddim { eta } | Renoise::Constant { eta }) = self;
        Error::unless((0.0..=1.0).contains(&eta), || {
            format!("eta must be between 0 and 1, not {eta}")
        })
    }

    /// Standard deviation of the fresh noise of a step.
    pub fn sigma(self, hop: &Transition) -> f64 {
        match self {
            Renoise::Ddim { eta } => hop.ddim_sigma(eta),
            Renoise::Constant { eta } => eta * hop.s.b,
        }
    }

    /// To the next level, from an estimate of the clean image and one of the noise.
    pub(crate) fn step(
        self,
        hop: &Transition,
        x0: &Image,
        eps: &Image,
        run: &mut Run<'_>,
    ) -> Image {
        let fresh = self.sigma(hop);
        let mut kept = hop.s;
        kept.b = (hop.s.b * hop.s.b - fresh * fresh).max(0.0).sqrt();
        run.add_noise(kept.mix(x0, eps), fresh)
    }
}

/// Settings of DDIM. By default 100 steps without fresh noise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddim {
    /// The levels that are visited.
    pub grid: Grid,
    /// Fresh noise.
    pub renoise: Renoise,
    /// Whether estimates of the clean image are limited to its range; the noise is then estimated from the limited one.
    pub clamp: bool,
}

impl Default for Ddim {
    fn default() -> Ddim {
        Ddim {
            grid: Grid::ddpm(Subset::Uniform { steps: 100 }),
            renoise: Renoise::Ddim { eta: 0.0 },
            clamp: true,
        }
    }
}

impl Described for Ddim {
    const CARD: Card = Card {
        summary: "deterministic by default: the same noise gives the same picture, in 20 to 100 steps",
        paper: "Song et al. 2021, arXiv:2010.02502",
    };

    fn with_steps(mut self, steps: usize) -> Ddim {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Ddim {
    /// The estimates of the clean image and of the noise.
    fn look(
        &self,
        prior: &dyn Prior,
        x: &Image,
        t: Level,
        run: &mut Run<'_>,
    ) -> Result<(Image, Image), Error> {
        let mut x0 = run.denoise(prior, x, t)?;
        if self.clamp {
            prior.card().range.clamp(&mut x0);
        }
        let eps = t.eps_from_x0(x, &x0);
        Ok((x0, eps))
    }
}

impl Sampler for Ddim {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        self.renoise.check()?;
        Ok(self.grid.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        self.renoise.check()?;
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        for (t, s) in walk(&levels) {
            let (x0, eps) = self.look(prior, &x, t, run)?;
            x = self.renoise.step(&Transition::new(t, s), &x0, &eps, run);
            run.show(&x0, t)?;
        }
        Ok(x)
    }

    /// The same step upwards. The picture counts as one of the lowest level, whose noise is not to be seen.
    fn encode(&self, prior: &dyn Prior, x: &Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let (Renoise::Ddim { eta } | Renoise::Constant { eta }) = self.renoise;
        if eta != 0.0 {
            return Err(no_way_back());
        }
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len() - 1);
        let mut x = x * levels[levels.len() - 1].a as f32;
        for (t, s) in climb(&levels).skip(1) {
            let (x0, eps) = self.look(prior, &x, t, run)?;
            x = s.mix(&x0, &eps);
            run.show(&x0, t)?;
        }
        Ok(x)
    }
}
