//! RePaint: the measured part is replaced by a noisy copy of the measurement at each level, and each stretch of levels is walked many
//! times, so that the rest comes to agree with it (Lugmayr et al. 2022, arXiv:2201.09865, algorithm 1 and section 4.2).
//!
//! ```text
//! x'  = ancestral step of x_t
//! x_s = (I - A^+ A) x' + A^+ (a_s*y + b_s*A z)
//! and every so many levels back up:  x_t = ratio*x_s + sqrt(var)*z
//! ```
//!
//! Both forms in which it was published are here. Algorithm 1 goes back one level, `U` times at each, and replaces after each step:
//! [`Replace::After`] with jumps of length 1. The released code goes back ten levels, ten times, and replaces before each step:
//! [`Replace::Before`]. It never replaces after the last one, so that known pixels are the network's; here the measurement is in its
//! place at the end. The paper is about masks; any operator with a pseudo-inverse will do.
//!
//! The more often a stretch is walked, the closer the law comes to the posterior's, at that many times the cost.

use serde::{Deserialize, Serialize};

use crate::grid::{Grid, Subset};
use crate::level::Level;
use crate::method::projected::jumps::Jumps;
use crate::method::projected::replaced::{Ancestral, Place, noised_data};
use crate::method::{Handling, Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;

/// When the measured part is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replace {
    /// Before each step but the first: the authors' code.
    #[default]
    Before,
    /// After each step, at the level that is reached: the paper's algorithm.
    After,
}

/// Settings of RePaint. By default those of the authors' code: 250 levels, and from each tenth ten levels back, nine times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RePaint {
    /// The levels that are visited.
    pub grid: Grid,
    /// How many levels to go back up, after each so many levels down.
    pub jump_length: usize,
    /// How often each stretch is walked; 1 for no jumps. More costs as much more.
    pub jump_repeat: usize,
    /// When the measured part is replaced.
    pub replace: Replace,
    /// Variance of the ancestral steps.
    pub variance: Variance,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range.
    pub clamp: bool,
}

impl Default for RePaint {
    fn default() -> RePaint {
        RePaint {
            grid: Grid::ddpm(Subset::Spaced { steps: 250 }),
            jump_length: 10,
            jump_repeat: 10,
            replace: Replace::Before,
            variance: Variance::Small,
            start: Start::Auto,
            clamp: true,
        }
    }
}

impl Described for RePaint {
    const CARD: Card = Card {
        summary: "replaces the measured part at each level and goes back, again and again, until the rest agrees: costly",
        paper: "Lugmayr et al. 2022, arXiv:2201.09865",
    };

    fn with_steps(mut self, steps: usize) -> RePaint {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.jumps().evaluations(self.grid.len(prior))
    }
}

impl Tuned for RePaint {
    fn tuned(task: &Task) -> RePaint {
        RePaint {
            jump_length: 1,
            jump_repeat: 4,
            replace: Replace::After,
            ..RePaint::default()
        }
        .with_steps(task.steps.unwrap_or(25))
    }
}

impl RePaint {
    fn jumps(&self) -> Jumps {
        Jumps {
            length: self.jump_length,
            repeat: self.jump_repeat,
        }
    }
}

impl Method for RePaint {
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
        self.jumps().check(levels.len())?;
        let sampler = Ancestral {
            levels: &levels,
            jumps: self.jumps(),
            variance: self.variance,
            clamp: self.clamp,
        };
        run.begin(sampler.steps());
        let x = self.start.draw(prior.card().range, problem, levels[0], run);
        let mut begun = false;
        let x = sampler.walk(prior, x, run, |x, place, run| {
            let first = !std::mem::replace(&mut begun, true);
            match (place, self.replace) {
                (Place::Asked(t), Replace::Before) if !first => noised_data(problem, x, t, run),
                (Place::Reached(_, s), Replace::After) => noised_data(problem, x, s, run),
                (Place::Reached(_, Level::CLEAN), _) => noised_data(problem, x, Level::CLEAN, run),
                _ => x,
            }
        })?;
        Ok(x.into())
    }
}
