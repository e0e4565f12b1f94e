//! SDEdit: the first guess, with so much noise that its faults drown, and back (Meng et al. 2022, arXiv:2108.01073, algorithms 1 to 3).
//!
//! ```text
//! x_t0 = a_t0*guess + b_t0*z           at a level of some sigma
//! x_s  = ancestral step of x_t         down to the clean image
//! ```
//!
//! No data term: what the guess has beyond the noise stays, what it lacks the model adds, and nobody asks whether it explains the
//! measurement. More noise gives a likelier picture that is less like the guess. The paper repeats all of it from the result, and so
//! can this. Of a mask the known pixels are put in their place at each level, as noisy as the level that is reached (the authors' code:
//! as the level before, with one draw of noise for all).

use serde::{Deserialize, Serialize};

use crate::grid::{Grid, Subset};
use crate::method::projected::jumps::Jumps;
use crate::method::projected::replaced::{Ancestral, Place, noised_data};
use crate::method::{Handling, Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;

/// Settings of SDEdit. By default those of the authors' code: half of DDPM's thousand levels, three times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SdEdit {
    /// The levels that are visited, as far as they are below `sigma`.
    pub grid: Grid,
    /// How much noise the guess is given, in image units.
    pub sigma: f64,
    /// How often, each time from the result before.
    pub repeat: usize,
    /// Variance of the ancestral steps.
    pub variance: Variance,
    /// Whether the prior's estimates are limited to its range; not in the paper or the code.
    pub clamp: bool,
}

impl Default for SdEdit {
    fn default() -> SdEdit {
        SdEdit {
            grid: Grid::ddpm(Subset::All),
            // Index 499 of DDPM's levels: abar 0.0786, sigma 3.42 for [-1, 1].
            sigma: 1.72,
            repeat: 3,
            variance: Variance::Small,
            clamp: false,
        }
    }
}

impl Described for SdEdit {
    const CARD: Card = Card {
        summary: "noise on the first guess, and back: no data term, any operator; faults of the guess that drown are mended",
        paper: "Meng et al. 2022, arXiv:2108.01073",
    };

    fn with_steps(mut self, steps: usize) -> SdEdit {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.repeat
            .saturating_mul(self.grid.len(&self.below(prior)))
    }
}

impl Tuned for SdEdit {
    fn tuned(task: &Task) -> SdEdit {
        SdEdit {
            sigma: 0.15,
            repeat: 1,
            ..SdEdit::default()
        }
        .with_steps(task.steps.unwrap_or(20))
    }
}

impl SdEdit {
    /// What a prior of this card knows up to `sigma`.
    fn below(&self, prior: &PriorCard) -> PriorCard {
        let [low, high] = prior.sigma;
        PriorCard {
            sigma: [low, high.min(self.sigma * prior.range.width())],
            ..prior.clone()
        }
    }
}

impl Method for SdEdit {
    fn needs(&self) -> Vec<Need> {
        match self.variance {
            Variance::Learned => vec![Need::LearnedVariance],
            _ => Vec::new(),
        }
    }

    fn handling(&self) -> Handling {
        Handling::Ignored
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let card = prior.card();
        let levels = self.grid.levels(&self.below(card))?;
        let jumps = Jumps {
            length: 1,
            repeat: self.repeat,
        };
        jumps.check(levels.len())?;
        let sampler = Ancestral {
            levels: &levels,
            jumps: Jumps::NONE,
            variance: self.variance,
            clamp: self.clamp,
        };
        run.begin(self.repeat * sampler.steps());
        let known = problem.operator.mask().is_some();
        let mut x = Start::Guess.draw(card.range, problem, levels[0], run);
        for round in 0..self.repeat {
            if round > 0 {
                x = run.add_noise(x * levels[0].a as f32, levels[0].b);
            }
            x = sampler.walk(prior, x, run, |x, place, run| match place {
                Place::Reached(_, s) if known => noised_data(problem, x, s, run),
                _ => x,
            })?;
        }
        Ok(x.into())
    }
}
