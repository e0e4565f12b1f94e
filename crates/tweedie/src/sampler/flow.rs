//! The flow: the probability-flow ODE along straight lines from level to level (Lipman et al. 2023, arXiv:2210.02747; Liu et
//! al. 2023, arXiv:2209.03003), by Euler's rule, the midpoint rule, Heun's or the classical one of fourth order.
//!
//! ```text
//! x_c = (a_t + c*(a_s - a_t))*x0 + (b_t + c*(b_s - b_t))*eps,    c from 0 at the level t to 1 at the next, s
//! dx/dc = (a_s - a_t)*E[x0 | x_c] + (b_s - b_t)*E[eps | x_c]
//! ```
//!
//! On the levels of a flow, `a = 1 - t` and `b = t`, this is its velocity `E[eps - x0 | x]`, and Euler's rule the sampler of
//! flow-matching papers. Any other list of levels is walked along the chords of its path, of which the rules know nothing
//! and keep their order; Euler's is then DDIM.
//!
//! The noise of a clean image cannot be told: a slope at the clean end is taken just before it, at a two-thousandth of the
//! step's noise or the least that the prior knows, and a step that is not much longer than that goes to the estimate of the
//! clean image.

use serde::{Deserialize, Serialize};

use super::{Rule, Sampler};
use crate::Image;
use crate::grid::{Grid, Schedule, Subset};
use crate::level::{Level, climb, combine, walk};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of the flow. By default 20 steps along the straight path by the midpoint rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flow {
    /// The levels that are visited.
    pub grid: Grid,
    /// The rule that follows the ODE.
    pub rule: Rule,
}

impl Default for Flow {
    fn default() -> Flow {
        Flow {
            // Every 25th of so many, so that there are as many as are asked for, however little noise the prior knows.
            grid: Grid {
                schedule: Schedule::flow(500),
                subset: Subset::Trailing { steps: 20 },
            },
            rule: Rule::Midpoint,
        }
    }
}

impl Described for Flow {
    const CARD: Card = Card {
        summary: "the flow's ODE by rules of order 1, 2 and 4; deterministic, and on any levels",
        paper: "Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2023, arXiv:2209.03003",
    };

    fn with_steps(mut self, steps: usize) -> Flow {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        let levels = self.grid.levels(prior).unwrap_or_default();
        let hops = walk(&levels).map(|hop| self.rule_for(hop, prior).evaluations());
        hops.sum()
    }
}

/// The least noise that is told on a step between these levels.
fn least((t, s): (Level, Level), prior: &PriorCard) -> f64 {
    prior.sigma[0].max(5e-4 * t.sigma().max(s.sigma()))
}

impl Flow {
    /// Euler's for a step at the clean end that is within what the prior does not know.
    fn rule_for(&self, (t, s): (Level, Level), prior: &PriorCard) -> Rule {
        let at_the_end = t == Level::CLEAN || s == Level::CLEAN;
        match at_the_end && t.sigma().max(s.sigma()) <= 2.0 * least((t, s), prior) {
            true => Rule::Euler,
            false => self.rule,
        }
    }

    /// From one level to another, up or down.
    fn step(
        &self,
        prior: &dyn Prior,
        x: &Image,
        (t, s): (Level, Level),
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let (da, db) = (s.a - t.a, s.b - t.b);
        let least = least((t, s), prior.card());
        let mut seen = None;
        let next = self.rule_for((t, s), prior.card()).step(x, |x, c| {
            let a = (1.0 - c) * t.a + c * s.a;
            let b = ((1.0 - c) * t.b + c * s.b).max(least * a);
            let x0 = run.denoise(prior, x, Level { a, b })?;
            let eps = Level { a, b }.eps_from_x0(x, &x0);
            let way = combine(da, &x0, db, &eps);
            seen.get_or_insert(x0);
            Ok(way)
        })?;
        run.show(&seen.expect("every rule has a slope"), t)?;
        Ok(next)
    }
}

impl Sampler for Flow {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        Ok(self.grid.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        walk(&levels).try_fold(x, |x, hop| self.step(prior, &x, hop, run))
    }

    /// The same steps upwards.
    fn encode(&self, prior: &dyn Prior, x: &Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        climb(&levels).try_fold(x.clone(), |x, hop| self.step(prior, &x, hop, run))
    }
}
