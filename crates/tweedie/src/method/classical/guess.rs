//! The operator's first guess, whatever the noise: bicubic interpolation after down-sampling, the nearest known pixel in holes,
//! grey in three channels; after a blur the measurement itself. Where most methods start, and the first column of most tables.

use serde::{Deserialize, Serialize};

use crate::method::{Handling, Method, Restored, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// The first guess. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guess {}

impl Described for Guess {
    const CARD: Card = Card {
        summary: "no prior: bicubic enlargement, the nearest pixel, grey; where the others start",
        paper: "Keys 1981",
    };

    fn with_steps(self, _: usize) -> Guess {
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        0
    }
}

impl Tuned for Guess {}

impl Method for Guess {
    fn draws(&self) -> bool {
        false
    }

    fn handling(&self) -> Handling {
        Handling::Ignored
    }

    fn solve(&self, _: &dyn Prior, problem: &Problem, _: &mut Run<'_>) -> Result<Restored, Error> {
        Ok(problem.operator.guess(&problem.y).into())
    }
}
