//! OT-ODE: PiGDM's likelihood along the ODE of a flow, from part of the way (Pokle et al. 2023, arXiv:2310.04432; the
//! constants are those of its version in PnP-Flow's code, Martin et al. 2024).
//!
//! ```text
//! x   = a_0*guess(y) + b_0*z,   a_0 = start
//! x0  = E[x0 | x_t]
//! g   = J^T A^T (r^2 A A^T + sigma_y^2)^-1 (y - A x0),   r^2 = sigma_t^2*h^2/(sigma_t^2 + h^2)
//! x_s = Euler's step of x_t along the flow + gamma*(b_t/a_t)*dt*g
//! ```
//!
//! `gamma` is 1, or `sqrt(a/(a^2 + b^2))`. The code starts from `A^T y`; here it is the operator's guess, which for masks and
//! orthogonal rows is at least as close.

use serde::{Deserialize, Serialize};

use super::descent::{Descent, Guided};
use super::pigdm::{check, explained, spread};
use crate::grid::{Grid, Schedule};
use crate::level::{Level, Range};
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// How the guidance is weighed along the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gamma {
    /// 1 everywhere, as in the paper.
    Constant,
    /// `sqrt(a/(a^2 + b^2))` for data of half-width 1: less at the noisier levels.
    Rising,
}

/// Settings of OT-ODE. By default the paper's: from a fifth of the way, in steps of a hundredth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OtOde {
    /// The levels that are visited; those noisier than the start are left out.
    pub grid: Grid,
    /// Where on the way from noise (0) to picture (1) it starts.
    pub start: f64,
    /// How the guidance is weighed.
    pub gamma: Gamma,
    /// The standard deviation that pictures are taken to have, in units of half the range; 1 in the paper.
    pub deviation: f64,
    /// The least noise that a measurement is taken to have, for pictures in [0, 1]; 0 for none.
    pub floor: f64,
    /// Whether the prior's estimates are limited to its range; not in the code.
    pub clamp: bool,
}

impl Default for OtOde {
    fn default() -> OtOde {
        OtOde {
            grid: Grid::all(Schedule::flow(80)),
            start: 0.2,
            gamma: Gamma::Constant,
            deviation: 1.0,
            floor: 0.0,
            clamp: false,
        }
    }
}

impl Described for OtOde {
    const CARD: Card = Card {
        summary: "PiGDM's guidance along a flow's straight path, from part of the way: no noise of its own after the start",
        paper: "Pokle et al. 2023, arXiv:2310.04432",
    };

    fn with_steps(mut self, steps: usize) -> OtOde {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.levels(prior).map_or(0, |levels| levels.len())
    }
}

impl Tuned for OtOde {
    /// From further on where the guess holds all there is, as after a blur or noise; and of noise alone fine detail, which varies
    /// little, is all that is in doubt.
    fn tuned(task: &Task) -> OtOde {
        let lost = task.loss.pixels || task.loss.scales || task.loss.colours;
        OtOde {
            start: if lost { 0.2 } else { 0.4 },
            deviation: if task.loss == Loss::NOTHING { 0.3 } else { 1.0 },
            floor: 0.001,
            clamp: true,
            ..OtOde::default()
        }
        .with_steps(task.steps.unwrap_or(40))
    }
}

impl OtOde {
    /// As many levels as the grid has, between the start and the picture.
    fn levels(&self, card: &PriorCard) -> Result<Vec<Level>, Error> {
        Error::unless(self.start > 0.0 && self.start < 1.0, || {
            format!("OT-ODE starts between 0 and 1, not at {}", self.start)
        })?;
        let first = card.range.half * (1.0 - self.start) / self.start;
        let mut within = card.clone();
        within.sigma[1] = within.sigma[1].min(first.max(within.sigma[0]));
        Ok(self.grid.levels(&within)?)
    }

    fn weight(&self, range: Range, Level { a, b }: Level) -> f64 {
        let b = b / range.half;
        match self.gamma {
            Gamma::Constant => 1.0,
            Gamma::Rising => (a / (a * a + b * b)).sqrt(),
        }
    }
}

impl Method for OtOde {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Pullback, Need::Linear]
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        check(1.0, self.deviation, self.floor)?;
        let range = prior.card().range;
        let sigma_y = problem.sigma().max(self.floor * range.width());
        let walk = Guided {
            levels: self.levels(prior.card())?,
            descent: Descent::ODE,
            start: Start::Guess,
            clamp: self.clamp,
            differentiated: true,
        };
        walk.run(prior, problem, run, |at, x, run| {
            let r2 = spread(self.deviation, range, at.hop.t);
            let weight = self.weight(range, at.hop.t) * at.reach / r2;
            let v = explained(problem, &problem.residual(at.x0), sigma_y, r2);
            x.scaled_add(weight as f32, &at.pull(v, run)?);
            Ok(())
        })
    }
}
