//! Which noise levels a sampler or method visits.
//!
//! A [`Schedule`] lists the levels that a model was trained on, or that a paper walks through; a [`Subset`] picks a few of
//! them; a [`Grid`] is both, and what it gives depends on what the prior at hand knows.

mod schedule;
mod subset;

pub use schedule::Schedule;
pub use subset::Subset;

use serde::{Deserialize, Serialize};

use crate::level::Level;
use crate::prior::Card;

/// The most levels of a schedule or subset.
pub const MAX_STEPS: usize = 100_000;

/// Why a grid gives no levels.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Numbers that make no schedule.
    #[error("{schedule:?} makes no noise levels: {why}")]
    Schedule {
        /// The schedule.
        schedule: Schedule,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No level at all, or too many.
    #[error("a grid visits 1 to {MAX_STEPS} levels, not {0}")]
    Steps(usize),
    /// The prior's levels are asked for, but it has no list.
    #[error("the prior knows every level from sigma {} to {}, and names none; choose a schedule", .0[0], .0[1])]
    NotNative([f64; 2]),
    /// The prior knows none of the levels.
    #[error(
        "no level of the grid (sigma {} to {}) lies within what the prior knows (sigma {} to {})",
        .grid[0], .grid[1], .prior[0], .prior[1]
    )]
    Unknown {
        /// Least and largest sigma of the grid.
        grid: [f64; 2],
        /// Least and largest sigma of the prior.
        prior: [f64; 2],
    },
}

/// A schedule and the part of it that is visited: what a method's settings carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The levels there are.
    pub schedule: Schedule,
    /// Those that are visited.
    pub subset: Subset,
}

impl Grid {
    /// All levels of a schedule.
    pub fn all(schedule: Schedule) -> Grid {
        Grid {
            schedule,
            subset: Subset::All,
        }
    }

    /// A part of DDPM's schedule of 1000 levels, which almost all restoration papers use.
    pub fn ddpm(subset: Subset) -> Grid {
        Grid {
            schedule: Schedule::DDPM,
            subset,
        }
    }

    /// The same rule with exactly `steps` levels.
    ///
    /// A schedule that is visited whole and may be made of any number (EDM's, VE's, flow's) is made of that many; of every
    /// other, that many are picked.
    pub fn with_steps(self, steps: usize) -> Grid {
        match self.subset {
            Subset::All => match self.schedule.with_steps(steps) {
                Some(schedule) => Grid::all(schedule),
                None => Grid {
                    schedule: self.schedule,
                    subset: Subset::Spaced { steps },
                },
            },
            subset => Grid {
                schedule: self.schedule,
                subset: subset.with_steps(steps),
            },
        }
    }

    /// The levels to visit with a prior, the noisiest first: at least one, each with signal and noise.
    ///
    /// Of a schedule those within the prior's least and largest sigma count. A subset of `n` gives `n` of them; where the
    /// schedule has fewer, levels between its own are made, geometrically in `a` and `b`.
    ///
    /// # Errors
    /// [`Error`] if numbers make no schedule, or the prior knows none of the levels.
    pub fn levels(&self, card: &Card) -> Result<Vec<Level>, Error> {
        self.schedule.check()?;
        let mut all = match self.schedule {
            Schedule::Native {} => {
                let mut levels = card.levels.clone().ok_or(Error::NotNative(card.sigma))?;
                levels.sort_by(|p, q| p.sigma().total_cmp(&q.sigma()));
                levels
            }
            _ => self.schedule.within(card.range, card.sigma),
        };
        let ends = |levels: &[Level]| {
            let sigma = |l: Option<&Level>| l.map_or(f64::NAN, |l| l.sigma());
            [sigma(levels.first()), sigma(levels.last())]
        };
        let grid = ends(&all);
        all.retain(|l| l.a > 0.0 && l.b > 0.0 && card.knows(l.sigma()));
        if all.is_empty() {
            return Err(Error::Unknown {
                grid,
                prior: card.sigma,
            });
        }
        let steps = self.subset.steps().unwrap_or(all.len());
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(Error::Steps(steps));
        }
        let positions = self.subset.positions(all.len());
        Ok(positions.into_iter().map(|p| at(&all, p)).collect())
    }

    /// How many levels are visited with a prior; 0 where [`Grid::levels`] fails.
    pub fn len(&self, card: &Card) -> usize {
        self.levels(card).map_or(0, |levels| levels.len())
    }
}

/// The level at a position in a list, between two of them if it is no whole number.
fn at(levels: &[Level], position: f64) -> Level {
    let below = (position.floor() as usize).min(levels.len() - 1);
    let part = position - below as f64;
    let (p, q) = (levels[below], levels[(below + 1).min(levels.len() - 1)]);
    if part <= 0.0 {
        return p;
    }
    let between = |p: f64, q: f64| p * (q / p).powf(part);
    Level {
        a: between(p.a, q.a),
        b: between(p.b, q.b),
    }
}
