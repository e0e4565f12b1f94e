//! Tweedie's formula itself: one evaluation of the prior.
//!
//! A picture with Gaussian noise is a diffusion model's `x` at the level `a = 1, b = sigma`, so that its denoiser gives
//! the posterior mean `E[x0 | y]` at once: of all estimates the one with the least mean squared error, smooth where the
//! noise has hidden the detail. Robbins 1956; Efron 2011.

use serde::{Deserialize, Serialize};

use super::{Method, Restored, Tuned};
use crate::level::Level;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// The posterior mean of pictures with noise and nothing else. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tweedie {}

impl Described for Tweedie {
    const CARD: Card = Card {
        summary: "one evaluation: the posterior mean of a picture that has noise only",
        paper: "Robbins 1956; Efron 2011",
    };

    fn with_steps(self, _: usize) -> Tweedie {
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        1
    }
}

impl Tuned for Tweedie {}

impl Method for Tweedie {
    fn needs(&self) -> Vec<Need> {
        vec![Need::NoiseOnly]
    }

    /// A measurement without noise, or with less than the prior knows, is left as it is.
    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        run.begin(1);
        let [least, _] = prior.card().sigma;
        if problem.exact() {
            run.note("no noise: the picture is left as it is");
            return Ok(problem.y.clone().into());
        }
        if problem.sigma() < least {
            run.note(format!(
                "the noise is below what the prior knows (sigma {least}): the picture is left as it is"
            ));
            return Ok(problem.y.clone().into());
        }
        let level = Level::ve(problem.sigma());
        let x0 = run.denoise(prior, &problem.y, level)?;
        run.show(&x0, level)?;
        Ok(x0.into())
    }
}
