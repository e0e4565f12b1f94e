//! Reverse diffusion: the reverse SDE in the steps that its forward process takes (Song et al. 2021, arXiv:2011.13456,
//! appendix E).
//!
//! ```text
//! x_mean = (2 - ratio)*x + var*score,    x_s = x_mean + sqrt(var)*z
//! ```
//!
//! of the forward step `x_t = ratio*x_s + sqrt(var)*z` between the levels `s` and `t`. For VE that is `x + (sigma_t^2 -
//! sigma_s^2)*score`, for VP `(2 - sqrt(1 - beta))*x + beta*score`. The step to the clean image is its estimate, which with
//! VE is `x_mean`.

use serde::{Deserialize, Serialize};

use super::Sampler;
use crate::Image;
use crate::grid::{Grid, Schedule};
use crate::level::{Level, Transition, combine, walk};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of reverse diffusion. By default the paper's VE levels for 32x32 pixels: 1000, from 50 to 0.01.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReverseDiffusion {
    /// The levels that are visited.
    pub grid: Grid,
}

/// The VE levels of Song et al. 2021 for CIFAR-10, for data in [0, 1].
pub(super) const VE: Schedule = Schedule::Ve {
    sigma_min: 0.01,
    sigma_max: 50.0,
    steps: 1000,
};

impl Default for ReverseDiffusion {
    fn default() -> ReverseDiffusion {
        ReverseDiffusion {
            grid: Grid::all(VE),
        }
    }
}

impl Described for ReverseDiffusion {
    const CARD: Card = Card {
        summary: "the reverse SDE in the forward process's own steps, on any levels; slow, a little too varied",
        paper: "Song et al. 2021, arXiv:2011.13456",
    };

    fn with_steps(mut self, steps: usize) -> ReverseDiffusion {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

/// The step, with the estimate of the clean image at its beginning; around the middle of the range, of which `a` is left and no
/// more.
pub(super) fn step(
    hop: &Transition,
    center: f64,
    x: &Image,
    x0: &Image,
    run: &mut Run<'_>,
) -> Image {
    if hop.s == Level::CLEAN {
        return x0.clone();
    }
    let score = hop.t.score_from_x0(x, x0);
    let mut mean = combine(2.0 - hop.ratio, x, hop.var, &score);
    mean += (center * (hop.s.a - (2.0 - hop.ratio) * hop.t.a)) as f32;
    run.add_noise(mean, hop.var.sqrt())
}

impl Sampler for ReverseDiffusion {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        Ok(self.grid.levels(card)?[0])
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let levels = self.grid.levels(prior.card())?;
        let center = prior.card().range.center;
        run.begin(levels.len());
        for (t, s) in walk(&levels) {
            let x0 = run.denoise(prior, &x, t)?;
            x = step(&Transition::new(t, s), center, &x, &x0, run);
            run.show(&x0, t)?;
        }
        Ok(x)
    }
}
