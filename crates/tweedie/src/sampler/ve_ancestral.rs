//! Ancestral sampling of the VE path (Song et al. 2021, arXiv:2011.13456, appendix F).
//!
//! ```text
//! x_s = x + (sigma_t^2 - sigma_s^2)*score + sqrt(sigma_s^2*(sigma_t^2 - sigma_s^2)/sigma_t^2)*z
//! ```
//!
//! Written with the estimate of the clean image this is [`Ddpm`] with the small variance, and that is what runs here. (For
//! VP the authors' code calls ancestral what [`Ddpm`] does with the large one.)

use serde::{Deserialize, Serialize};

use super::reverse_diffusion::VE;
use super::{Ddpm, Sampler, Variance};
use crate::Image;
use crate::grid::Grid;
use crate::level::Level;
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of VE ancestral sampling. By default the paper's levels for 32x32 pixels: 1000, from 50 to 0.01.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VeAncestral {
    /// The levels that are visited.
    pub grid: Grid,
}

impl Default for VeAncestral {
    fn default() -> VeAncestral {
        VeAncestral {
            grid: Grid::all(VE),
        }
    }
}

impl Described for VeAncestral {
    const CARD: Card = Card {
        summary: "ancestral sampling on VE levels: slow, a little too uniform",
        paper: "Song et al. 2021, arXiv:2011.13456",
    };

    fn with_steps(mut self, steps: usize) -> VeAncestral {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl VeAncestral {
    fn ddpm(&self) -> Ddpm {
        Ddpm {
            grid: self.grid.clone(),
            variance: Variance::Small,
            clamp: false,
        }
    }
}

impl Sampler for VeAncestral {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        self.ddpm().first(card)
    }

    fn decode(&self, prior: &dyn Prior, x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        self.ddpm().decode(prior, x, run)
    }
}
