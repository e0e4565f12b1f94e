//! Projection, or replacement: after each ancestral step the measured part of the image is replaced by a copy of the measurement,
//! as noisy as the level (Song et al. 2021, arXiv:2011.13456, appendix I.2 and I.3, inpainting and colourisation).
//!
//! ```text
//! x'  = ancestral step of x_t
//! x_s = (I - A^+ A) x' + A^+ y_s,   y_s = a_s*y + b_s*A z
//! ```
//!
//! Their two cases are `A` a mask, and `A` the grey of a pixel, the first of three orthonormal channels: `A^+ A` is then the rotation,
//! the overwriting of that channel and the rotation back. Any operator with a pseudo-inverse will do. It is RePaint without jumps.
//!
//! The authors' code puts in the measurement at the level of the step before, so that the result keeps a little of its noise
//! ([`NoisedAt::Asked`]), and takes the result's other pixels from an image that is noisy already; here the level is the one that is
//! reached, and at the end the measurement is in its place exactly. The unknown part does not hear what is put in beside it before the
//! next step, and is too smooth where they meet: a bias that RePaint's jumps remove.

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

/// How noisy the copy of the measurement is that is put in after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoisedAt {
    /// As the level that is reached.
    #[default]
    Reached,
    /// As the level that the step came from: the authors' code.
    Asked,
}

/// Settings of projection. By default 1000 steps of DDPM, as published for VP levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Projection {
    /// The levels that are visited.
    pub grid: Grid,
    /// Variance of the ancestral steps.
    pub variance: Variance,
    /// How noisy what is put in is.
    pub noised: NoisedAt,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range; not in the paper.
    pub clamp: bool,
}

impl Default for Projection {
    fn default() -> Projection {
        Projection {
            grid: Grid::ddpm(Subset::All),
            variance: Variance::Large,
            noised: NoisedAt::Reached,
            start: Start::Auto,
            clamp: false,
        }
    }
}

impl Described for Projection {
    const CARD: Card = Card {
        summary: "the measured part replaced after each step by a noisy copy of the measurement: simple, with seams",
        paper: "Song et al. 2021, arXiv:2011.13456",
    };

    fn with_steps(mut self, steps: usize) -> Projection {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Projection {
    fn tuned(task: &Task) -> Projection {
        Projection {
            variance: Variance::Small,
            ..Projection::default()
        }
        .with_steps(task.steps.unwrap_or(100))
    }
}

impl Method for Projection {
    fn needs(&self) -> Vec<Need> {
        match self.variance {
            Variance::Learned => vec![Need::Linear, Need::LearnedVariance],
            _ => vec![Need::Linear],
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
        let levels = self.grid.levels(prior.card())?;
        let sampler = Ancestral {
            levels: &levels,
            jumps: Jumps::NONE,
            variance: self.variance,
            clamp: self.clamp,
        };
        run.begin(sampler.steps());
        let x = self.start.draw(prior.card().range, problem, levels[0], run);
        let x = sampler.walk(prior, x, run, |x, place, run| match place {
            Place::Asked(..) => x,
            Place::Reached(i, s) => {
                let noised = match self.noised {
                    NoisedAt::Reached => s,
                    NoisedAt::Asked => levels[i],
                };
                noised_data(problem, x, noised, run)
            }
        })?;
        Ok(x.into())
    }
}
