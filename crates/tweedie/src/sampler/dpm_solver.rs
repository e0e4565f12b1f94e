//! DPM-Solver++(2M): the probability-flow ODE in the logarithm of signal over noise, of second order with one evaluation a
//! step (Lu et al. 2022, arXiv:2211.01095, algorithm 2).
//!
//! ```text
//! lambda = ln(a/b),  h = lambda_s - lambda_t,  h' = the h of the step before
//! D   = x0 + h/(2h')*(x0 - x0')                        x0' = the estimate of the step before
//! x_s = b_s/b_t*x + a_s*(1 - exp(-h))*D
//! ```
//!
//! The first step, and the last, to the clean image where `h` is infinite, take `D = x0`: then it is DDIM. The sign of `h` does
//! not matter, so that it is followed upwards, too.

use serde::{Deserialize, Serialize};

use super::Sampler;
use crate::Image;
use crate::grid::{Grid, Schedule};
use crate::level::{Level, climb, combine, walk};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of DPM-Solver++(2M). By default 20 steps on EDM's levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DpmSolver {
    /// The levels that are visited.
    pub grid: Grid,
    /// Whether estimates of the clean image are limited to its range, as the authors do where few steps are far apart.
    pub clamp: bool,
}

impl Default for DpmSolver {
    fn default() -> DpmSolver {
        DpmSolver {
            grid: Grid::all(Schedule::edm(20)),
            clamp: false,
        }
    }
}

impl Described for DpmSolver {
    const CARD: Card = Card {
        summary: "second order at one evaluation a step: good from 10 to 20 steps on; deterministic",
        paper: "Lu et al. 2022, arXiv:2211.01095",
    };

    fn with_steps(mut self, steps: usize) -> DpmSolver {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl DpmSolver {
    /// Follows the levels, up or down.
    fn follow(
        &self,
        prior: &dyn Prior,
        mut x: Image,
        hops: impl Iterator<Item = (Level, Level)>,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let mut before: Option<(Image, f64)> = None;
        for (t, s) in hops {
            let mut x0 = run.denoise(prior, &x, t)?;
            if self.clamp {
                prior.card().range.clamp(&mut x0);
            }
            let h = (t.sigma() / s.sigma()).ln();
            let extrapolated = match &before {
                Some((x0_before, h_before)) if s.b > 0.0 => {
                    let r = 0.5 * h / h_before;
                    combine(1.0 + r, &x0, -r, x0_before)
                }
                _ => x0.clone(),
            };
            let gain = s.a * (1.0 - s.sigma() / t.sigma());
            x = combine(s.b / t.b, &x, gain, &extrapolated);
            run.show(&x0, t)?;
            before = Some((x0, h));
        }
        Ok(x)
    }
}

impl Sampler for DpmSolver {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        Ok(self.grid.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        self.follow(prior, x, walk(&levels), run)
    }

    /// The picture counts as one of the lowest level, whose noise is not to be seen.
    fn encode(&self, prior: &dyn Prior, x: &Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len() - 1);
        let x = x * levels[levels.len() - 1].a as f32;
        self.follow(prior, x, climb(&levels).skip(1), run)
    }
}
