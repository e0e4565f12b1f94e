//! The walk down the levels that annealed Langevin methods share.
//!
//! ```text
//! for each level, the noisiest first:  repeats times
//!     x <- x + h*(score(x, sigma) + pull) + sqrt(2h)*z
//! ```
//!
//! Levels are visited as the VE levels of the same sigma. What pulls, and how long a step may be, is each method's own. At the end
//! the last level's noise may be removed.

use crate::Image;
use crate::grid::{Grid, MAX_STEPS};
use crate::level::Level;
use crate::method::{Restored, Start};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::run::{Error, Run};
use crate::sampler::langevin;

/// How a method walks.
pub(super) struct Ladder<'a> {
    /// The levels that are visited.
    pub(super) grid: &'a Grid,
    /// Steps at each level.
    pub(super) repeats: usize,
    /// Whether the last level's noise is removed at the end.
    pub(super) denoise: bool,
    /// What the first level is made from.
    pub(super) start: Start,
}

/// What pulls the chain towards the measurement.
pub(super) trait Pull {
    /// Comes to a level: the length of a step there.
    fn enter(&mut self, level: Level) -> f64;

    /// The score with the measurement's pull, at `x` of the level entered last.
    fn drift(&mut self, x: &Image, score: Image) -> Image;
}

impl Ladder<'_> {
    /// Evaluations of the prior.
    pub(super) fn nfe(&self, prior: &PriorCard) -> usize {
        let steps = self.grid.len(prior).saturating_mul(self.repeats);
        steps.saturating_add(usize::from(self.denoise))
    }

    /// The levels, where there are not too many steps in all.
    pub(super) fn levels(&self, card: &PriorCard) -> Result<Vec<Level>, Error> {
        let levels = self.grid.levels(card)?;
        let steps = levels.len().saturating_mul(self.repeats);
        Error::unless((1..=MAX_STEPS).contains(&steps), || {
            format!("Langevin takes 1 to {MAX_STEPS} steps in all, not {steps}")
        })?;
        Ok(levels.iter().map(|l| Level::ve(l.sigma())).collect())
    }

    /// Walks down.
    pub(super) fn descend(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        pull: &mut dyn Pull,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let levels = self.levels(prior.card())?;
        run.begin(levels.len());
        let mut x = self.start.draw(prior.card().range, problem, levels[0], run);
        for (i, &level) in levels.iter().enumerate() {
            let h = pull.enter(level);
            let mut x0 = Image::default(x.raw_dim());
            for _ in 0..self.repeats {
                x0 = run.denoise(prior, &x, level)?;
                run.poll(&x0)?;
                let drift = pull.drift(&x, level.score_from_x0(&x, &x0));
                x = langevin::step(x, &drift, h, run);
            }
            if self.denoise && i + 1 == levels.len() {
                x0 = run.denoise(prior, &x, level)?;
                x = x0.clone();
            }
            run.show(&x0, level)?;
        }
        Ok(x.into())
    }
}

/// That a step is a length at which Langevin chains do not diverge of themselves.
pub(super) fn check_step(step: f64) -> Result<(), Error> {
    Error::unless(step > 0.0 && step < 2.0, || {
        format!("a Langevin step is above 0 and below 2 of the level's variance, not {step}")
    })
}
