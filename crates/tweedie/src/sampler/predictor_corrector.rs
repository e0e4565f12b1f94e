//! Predictor-corrector sampling (Song et al. 2021, arXiv:2011.13456, algorithms 2 and 3): Langevin steps that bring `x` closer to
//! the law of its level, before a step to the next.
//!
//! ```text
//! repeats times:  h = 2*alpha*(snr*|z|/|score|)^2,  x <- x + h*score + sqrt(2h)*z          alpha = (a_t/a_s)^2
//! x <- predictor of x from t to s
//! ```
//!
//! The corrector comes first, as in the authors' code; the paper's listing has it after the predictor. Norms are those of each
//! picture (in the code their means over the batch), so that pictures do not see each other. `alpha` is 1 for VE and
//! `1 - beta` for VP. Without a predictor it is annealed Langevin dynamics with another length of steps. The end is the
//! estimate of the clean image.

use serde::{Deserialize, Serialize};

use super::reverse_diffusion::{self, VE};
use super::{Sampler, Variance};
use crate::Image;
use crate::batch::{add_each, norms};
use crate::grid::{Grid, MAX_STEPS};
use crate::level::{Level, Transition, walk};
use crate::prior::{Card as PriorCard, Estimate, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// How the next level is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predictor {
    /// [`ReverseDiffusion`](super::ReverseDiffusion)'s step.
    ReverseDiffusion,
    /// [`VeAncestral`](super::VeAncestral)'s, DDPM's with the small variance.
    Ancestral,
    /// Not at all: the corrector finds the law of the new level by itself.
    None,
}

/// How long a corrector's step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorrectorStep {
    /// `2*alpha*(snr*|z|/|score|)^2`.
    Snr,
    /// `2*alpha*(snr*b)^2`: that of NCSN, which the authors' code calls "ald".
    Level,
}

/// Settings of predictor-corrector sampling. By default those for CIFAR-10: reverse diffusion on VE levels, one corrector step
/// of `snr` 0.16. For larger pictures 0.17 (64 pixels a side) and 0.075 (256, two thousand levels).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PredictorCorrector {
    /// The levels that are visited.
    pub grid: Grid,
    /// How the next level is reached.
    pub predictor: Predictor,
    /// Steps of the corrector at each level.
    pub repeats: usize,
    /// How long they are.
    pub step: CorrectorStep,
    /// What of the noise a corrector's step adds, as a share of the score's.
    pub snr: f64,
}

impl Default for PredictorCorrector {
    fn default() -> PredictorCorrector {
        PredictorCorrector {
            grid: Grid::all(VE),
            predictor: Predictor::ReverseDiffusion,
            repeats: 1,
            step: CorrectorStep::Snr,
            snr: 0.16,
        }
    }
}

impl Described for PredictorCorrector {
    const CARD: Card = Card {
        summary: "Langevin steps between those of the reverse SDE: closer to the law, for twice the cost",
        paper: "Song et al. 2021, arXiv:2011.13456",
    };

    fn with_steps(mut self, steps: usize) -> PredictorCorrector {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        let levels = self.grid.len(prior);
        let predicted = match self.predictor {
            Predictor::None => levels.min(1),
            _ => levels,
        };
        levels
            .saturating_mul(self.repeats)
            .saturating_add(predicted)
    }
}

impl PredictorCorrector {
    fn levels(&self, card: &PriorCard) -> Result<Vec<Level>, Error> {
        Error::unless(self.snr > 0.0 && self.snr < 1.0, || {
            format!(
                "the corrector's snr is above 0 and below 1, not {}",
                self.snr
            )
        })?;
        let levels = self.grid.levels(card)?;
        let steps = levels.len().saturating_mul(self.repeats);
        Error::unless(steps <= MAX_STEPS, || {
            format!("the corrector takes up to {MAX_STEPS} steps in all, not {steps}")
        })?;
        Ok(levels)
    }

    /// A Langevin step at the level that the hop comes from; also the estimate of the clean image before it.
    fn correct(
        &self,
        prior: &dyn Prior,
        mut x: Image,
        hop: &Transition,
        run: &mut Run<'_>,
    ) -> Result<(Image, Image), Error> {
        let x0 = run.denoise(prior, &x, hop.t)?;
        let score = hop.t.score_from_x0(&x, &x0);
        let z = run.normal_like(&x);
        let alpha = hop.ratio * hop.ratio;
        let length = |(z, score): (f64, f64)| match self.step {
            // Where there is no slope there is nowhere to go.
            CorrectorStep::Snr if score < 1e-12 => 0.0,
            CorrectorStep::Snr => 2.0 * alpha * (self.snr * z / score).powi(2),
            CorrectorStep::Level => 2.0 * alpha * (self.snr * hop.t.b).powi(2),
        };
        let steps: Vec<f64> = norms(&z)
            .into_iter()
            .zip(norms(&score))
            .map(length)
            .collect();
        add_each(&mut x, &steps, &score);
        let noise: Vec<f64> = steps.iter().map(|h| (2.0 * h).sqrt()).collect();
        add_each(&mut x, &noise, &z);
        Ok((x, x0))
    }

    /// The step to the next level.
    fn predict(
        &self,
        prior: &dyn Prior,
        x: Image,
        hop: &Transition,
        run: &mut Run<'_>,
    ) -> Result<(Image, Option<Image>), Error> {
        let last = hop.s == Level::CLEAN;
        if self.predictor == Predictor::None && !last {
            return Ok((x, None));
        }
        let x0 = run.denoise(prior, &x, hop.t)?;
        let next = match self.predictor {
            _ if last => x0.clone(),
            Predictor::ReverseDiffusion => {
                reverse_diffusion::step(hop, prior.card().range.center, &x, &x0, run)
            }
            Predictor::Ancestral => Variance::Small.step(hop, &x, &Estimate::from(x0.clone()), run),
            Predictor::None => x,
        };
        Ok((next, Some(x0)))
    }
}

impl Sampler for PredictorCorrector {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        Ok(self.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let levels = self.levels(prior.card())?;
        run.begin(levels.len());
        for (t, s) in walk(&levels) {
            let hop = Transition::new(t, s);
            let mut seen = None;
            for _ in 0..self.repeats {
                let (corrected, x0) = self.correct(prior, x, &hop, run)?;
                (x, seen) = (corrected, Some(x0));
            }
            let (next, x0) = self.predict(prior, x, &hop, run)?;
            x = next;
            run.show(x0.as_ref().or(seen.as_ref()).unwrap_or(&x), t)?;
        }
        Ok(x)
    }
}
