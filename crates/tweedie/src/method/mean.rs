//! The mean of several draws.
//!
//! A method that draws from the posterior gives one picture of many that explain the measurement. Their mean estimates
//! the posterior mean, of all estimates the one with the least squared error: where the draws agree it is as sharp as
//! they are, where they do not it commits itself to nothing. The error of `k` draws' mean is `1 + 1/k` times that of the
//! posterior mean itself, for a method that draws exactly; a single draw's is twice.

use serde::{Deserialize, Serialize};

use super::{DiffPir, Method, Settings};
use crate::Image;
use crate::prior::Prior;
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};
use crate::sampler::require;

/// Settings of the mean of draws: by default four of [`DiffPir::fresh`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mean {
    /// How many draws.
    pub draws: usize,
    /// The method that draws them, one after the other, each with noise of its own.
    pub of: Box<Settings>,
}

impl Default for Mean {
    fn default() -> Mean {
        Mean {
            draws: 4,
            of: Box::new(DiffPir::fresh().into()),
        }
    }
}

impl Described for Mean {
    const CARD: Card = Card {
        summary: "the mean of several draws of another method: what they agree on",
        paper: "Robbins 1956: the posterior mean",
        needs: &[],
    };

    fn with_steps(self, steps: usize) -> Mean {
        Mean {
            of: Box::new(self.of.with_steps(steps)),
            ..self
        }
    }

    fn nfe(&self) -> usize {
        self.draws * self.of.nfe()
    }
}

impl Method for Mean {
    fn restore(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        require(self.draws > 0, || "a mean needs at least one draw".into())?;
        let method = self.of.as_dyn();
        run.in_parts(self.draws);
        let mut sum = method.restore(prior, problem, run)?;
        for _ in 1..self.draws {
            sum += &method.restore(prior, problem, run)?;
        }
        run.in_parts(1);
        Ok(sum / self.draws as f32)
    }
}
