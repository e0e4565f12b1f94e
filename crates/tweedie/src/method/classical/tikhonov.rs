//! Least squares with smoothness (Tikhonov 1963), which is the Wiener filter (1949) for the spectrum of photographs.
//!
//! ```text
//! x = argmin |A x - y|^2 + lambda |D x|^2,   lambda = (sigma_y/difference)^2
//! ```
//!
//! See [`operator::tikhonov`](crate::operator::tikhonov). `classical` is this where there is noise, and the first guess where there is none.

use serde::{Deserialize, Serialize};

use crate::method::{Method, Restored, Tuned};
use crate::operator::tikhonov;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of Tikhonov's method.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tikhonov {
    /// Standard deviation of the difference between neighbouring pixels that is expected, for images in [0, 1]: less is
    /// smoother.
    pub difference: f64,
}

impl Default for Tikhonov {
    fn default() -> Tikhonov {
        Tikhonov {
            difference: tikhonov::DIFFERENCE,
        }
    }
}

impl Described for Tikhonov {
    const CARD: Card = Card {
        summary: "no prior but smoothness: the Wiener filter for photographs",
        paper: "Wiener 1949; Tikhonov 1963",
    };

    fn with_steps(self, _: usize) -> Tikhonov {
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        0
    }
}

impl Tuned for Tikhonov {}

impl Method for Tikhonov {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        _: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let sound = self.difference > 0.0 && self.difference.is_finite();
        Error::unless(sound, || {
            format!(
                "the expected difference must be positive, not {}",
                self.difference
            )
        })?;
        let range = prior.card().range;
        let difference = self.difference * range.width();
        let lambda = (problem.sigma_floored(range) / difference).powi(2);
        Ok(problem.linear().tikhonov(&problem.y, lambda).into())
    }
}
