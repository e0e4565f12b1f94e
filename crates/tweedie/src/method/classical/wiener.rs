//! What a careful tool without a prior makes of it: the yardstick of tables.
//!
//! Where there is noise, the Wiener filter for the spectrum of photographs ([`tikhonov`](crate::operator::tikhonov)); else
//! the operator's first guess: bicubic interpolation, the nearest known pixel, plain grey.

use serde::{Deserialize, Serialize};

use crate::method::{Method, Restored, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// The classical baseline. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Classical {}

impl Described for Classical {
    const CARD: Card = Card {
        summary: "no prior: Wiener filter, interpolation, nearest pixel; what others are compared with",
        paper: "Wiener 1949; Tikhonov 1963",
    };

    fn with_steps(self, _: usize) -> Classical {
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        0
    }
}

impl Tuned for Classical {}

impl Method for Classical {
    fn draws(&self) -> bool {
        false
    }

    fn solve(&self, _: &dyn Prior, problem: &Problem, _: &mut Run<'_>) -> Result<Restored, Error> {
        Ok(problem.classical().into())
    }
}
