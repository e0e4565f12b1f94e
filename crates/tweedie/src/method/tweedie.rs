//! Tweedie's formula itself: one evaluation of the prior.
//!
//! A picture with Gaussian noise is a diffusion model's `x` at the level `a = 1, b = sigma`, so that its denoiser gives
//! the posterior mean `E[x0 | y]` at once: of all estimates the one with the least mean squared error, smooth where the
//! noise has hidden the detail. Robbins 1956; Efron 2011.

use serde::{Deserialize, Serialize};

use super::Method;
use crate::Image;
use crate::level::Level;
use crate::prior::Prior;
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};
use crate::sampler::require;

/// The posterior mean of pictures with noise and nothing else. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tweedie {}

impl Described for Tweedie {
    const CARD: Card = Card {
        summary: "one evaluation: the posterior mean of a picture that has noise only",
        paper: "Robbins 1956; Efron 2011",
        needs: &[],
    };

    fn with_steps(self, _: usize) -> Tweedie {
        self
    }

    fn nfe(&self) -> usize {
        1
    }
}

impl Method for Tweedie {
    fn restore(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        require(problem.operator.is_identity(), || {
            "`tweedie` removes noise only; for other degradations choose diffpir or dpir".into()
        })?;
        run.begin(1);
        if problem.sigma == 0.0 {
            return Ok(problem.y.clone());
        }
        let level = Level::ve(problem.sigma);
        let x0 = run.denoise(prior, &problem.y, level)?;
        run.show(&x0, level)?;
        Ok(x0)
    }
}
