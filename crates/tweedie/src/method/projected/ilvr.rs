//! ILVR: the low frequencies of a reference picture, the rest from the model (Choi et al. 2021, arXiv:2108.02938, algorithm 1).
//!
//! ```text
//! x'  = ancestral step of x_t
//! x_s = x' - phi(x') + phi(a_s*ref + b_s*z),   phi = up(down(.)) by a factor N
//! ```
//!
//! The reference is the operator's guess, so that every operator will do: an enlarged small picture for N the factor by which it was
//! made small, a blurred one for N about the width of the blur. Detail finer than N pixels is invented.
//!
//! The authors' code takes the reference at the level of the step before; here, as in the paper, it is the one that is reached. Their
//! resizer, cubic both ways, is not a projection: `phi(phi(x))` is off by a sixth ([`LowPass::Cubic`]). Block means are one
//! ([`LowPass::Blocks`]), with which `phi(x) = phi(ref)` in the end, if no levels are left free.

use serde::{Deserialize, Serialize};

use crate::grid::{Grid, Subset};
use crate::level::{Level, combine};
use crate::method::projected::jumps::Jumps;
use crate::method::projected::replaced::{Ancestral, Place};
use crate::method::{Handling, Method, Restored, Start, Task, Tuned};
use crate::operator::{Downsample, Linear, Operator};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;
use crate::{Dims, Image};

/// What keeps the low frequencies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LowPass {
    /// Bicubic down-sampling and bicubic interpolation, as in the authors' code.
    #[default]
    Cubic,
    /// The means of blocks: an orthogonal projection.
    Blocks,
}

/// Settings of ILVR. By default those of an example of the authors': 100 steps, a factor of 32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ilvr {
    /// The levels that are visited.
    pub grid: Grid,
    /// By how much the reference is made smaller: what is finer is the model's. 4 to 64 in the paper.
    pub factor: usize,
    /// What keeps the low frequencies.
    pub low_pass: LowPass,
    /// Part of the levels, at the end, that hear nothing of the reference.
    pub free: f64,
    /// Variance of the ancestral steps.
    pub variance: Variance,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range.
    pub clamp: bool,
}

impl Default for Ilvr {
    fn default() -> Ilvr {
        Ilvr {
            grid: Grid::ddpm(Subset::Spaced { steps: 100 }),
            factor: 32,
            low_pass: LowPass::Cubic,
            free: 0.2,
            variance: Variance::Small,
            start: Start::Auto,
            clamp: true,
        }
    }
}

impl Described for Ilvr {
    const CARD: Card = Card {
        summary: "keeps the coarse content of the first guess and invents what is finer: pictures like it, not it",
        paper: "Choi et al. 2021, arXiv:2108.02938",
    };

    fn with_steps(mut self, steps: usize) -> Ilvr {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Ilvr {
    /// What was made smaller is kept as far as it goes; of other guesses what is coarser than four pixels.
    fn tuned(task: &Task) -> Ilvr {
        let factor = match task.loss.scales {
            true => task.enlarged().sqrt().round() as usize,
            false => 4,
        };
        Ilvr {
            factor: factor.max(1),
            ..Ilvr::default()
        }
        .with_steps(task.steps.unwrap_or(50))
    }
}

impl Ilvr {
    fn down(&self, dims: Dims) -> Result<Downsample, Error> {
        let down = match self.low_pass {
            LowPass::Cubic => Downsample::bicubic(dims, self.factor),
            LowPass::Blocks => Downsample::average(dims, self.factor),
        };
        down.map_err(|e| Error::Unfit(format!("the low frequencies cannot be kept: {e}")))
    }

    /// `phi(x)`.
    fn coarse(&self, down: &Downsample, x: &Image) -> Image {
        let small = down.apply(x);
        match self.low_pass {
            LowPass::Cubic => down.guess(&small),
            LowPass::Blocks => down.pseudo_inverse(&small),
        }
    }
}

impl Method for Ilvr {
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
        Error::unless((0.0..=1.0).contains(&self.free), || {
            format!(
                "the part of the levels that is left free is from 0 to 1, not {}",
                self.free
            )
        })?;
        let levels = self.grid.levels(prior.card())?;
        let down = self.down(problem.operator.input())?;
        let reference = problem.operator.guess(&problem.y);
        let guided = (levels.len() as f64 * (1.0 - self.free)).round() as usize;
        let sampler = Ancestral {
            levels: &levels,
            jumps: Jumps::NONE,
            variance: self.variance,
            clamp: self.clamp,
        };
        run.begin(sampler.steps());
        let x = self.start.draw(prior.card().range, problem, levels[0], run);
        let x = sampler.walk(prior, x, run, |x, place, run| match place {
            Place::Reached(i, Level { a, b }) if i < guided => {
                let noised = run.add_noise(&reference * a as f32, b);
                let change = combine(1.0, &noised, -1.0, &x);
                x + &self.coarse(&down, &change)
            }
            _ => x,
        })?;
        Ok(x.into())
    }
}
