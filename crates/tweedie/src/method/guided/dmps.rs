//! DMPS: a likelihood of the noisy image in closed form (Meng and Kabashima 2022, arXiv:2211.12343), without the network's gradient.
//!
//! If nothing were known of pictures, the clean image given `x_t` would be `N(x_t/a_t, sigma_t^2 I)`. Then
//!
//! ```text
//! g   = 1/a_t * V S (sigma_y^2 + sigma_t^2 S^2)^-1 U^T (y - A x_t/a_t)
//! x_s = step of x_t + lambda*reach*g
//! ```
//!
//! with the ancestral step on DDPM's clock, where `reach = beta/sqrt(alpha)`, and Euler's along a flow, `(b/a)*dt` (the flow
//! version of the authors' slides). At noisy levels pictures are known to vary less than that, so that the measurement is
//! heeded too little; `lambda` makes up for it. The authors' code takes `g` at the image that was just drawn
//! ([`Where::Drawn`]), with the coefficients of `t`. What is measured moves by `lambda*reach/b_t^2` of the way to where the measurement has
//! it; a step that would go beyond twice the way is left unguided, which along a flow is the first alone.

use serde::{Deserialize, Serialize};

use super::descent::{Descent, Guided};
use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::Level;
use crate::method::wide::wide;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::{AnySpectrum, spectrum};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Where the score is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Where {
    /// At `x_t`, as in the paper.
    Here,
    /// At the next image, before it is guided, as in the code.
    Drawn,
}

/// Settings of DMPS. By default those of the authors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dmps {
    /// The levels that are visited.
    pub grid: Grid,
    /// How it goes on between them.
    pub descent: Descent,
    /// Weight of the measurement; 1 is what the derivation gives, and 2 too much.
    pub lambda: f64,
    /// Where the score is taken.
    pub at: Where,
    /// The least noise that a measurement is taken to have, for pictures in [0, 1]; 0 for none.
    pub floor: f64,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range.
    pub clamp: bool,
}

impl Default for Dmps {
    fn default() -> Dmps {
        Dmps {
            grid: Grid::ddpm(Subset::All),
            descent: Descent::SMALL,
            lambda: 1.75,
            at: Where::Here,
            floor: 0.0,
            start: Start::Auto,
            clamp: true,
        }
    }
}

impl Described for Dmps {
    const CARD: Card = Card {
        summary: "a noisy image's likelihood in closed form: guided draws without the network's gradient",
        paper: "Meng and Kabashima 2022, arXiv:2211.12343",
    };

    fn with_steps(mut self, steps: usize) -> Dmps {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Dmps {
    fn tuned(task: &Task) -> Dmps {
        Dmps {
            grid: wide(task.steps.unwrap_or(50), 0.0),
            floor: 0.001,
            ..Dmps::default()
        }
    }
}

/// The gradient of `log N(y; A x/a, sigma_y^2 + sigma_t^2 A A^T)` by `x`.
fn score(values: &AnySpectrum<'_>, problem: &Problem, sigma_y: f64, t: Level, x: &Image) -> Image {
    let residual = problem.residual(&(x / t.a as f32));
    let [noise, known] = [sigma_y * sigma_y, t.sigma().powi(2)];
    spectrum::back(&**values, &residual, |s| s / (noise + known * s * s) / t.a)
}

impl Method for Dmps {
    fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need::Linear];
        needs.extend(self.descent.needs());
        needs
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        Error::unless((0.0..2.0).contains(&self.lambda), || {
            format!("lambda is from 0 to less than 2, not {}", self.lambda)
        })?;
        Error::unless(self.floor >= 0.0 && self.floor.is_finite(), || {
            "the least noise of DMPS must be finite and not below 0".into()
        })?;
        let sigma_y = problem.sigma().max(self.floor * prior.card().range.width());
        let values = problem.spectrum();
        let walk = Guided {
            levels: self.grid.levels(prior.card())?,
            descent: self.descent,
            start: self.start,
            clamp: self.clamp,
            differentiated: false,
        };
        walk.run(prior, problem, run, |at, x, _| {
            let weight = self.lambda * at.reach;
            if weight < 2.0 * at.hop.t.b.powi(2) {
                let point = match self.at {
                    Where::Here => at.x,
                    Where::Drawn => &*x,
                };
                let g = score(&values, problem, sigma_y, at.hop.t, point);
                x.scaled_add(weight as f32, &g);
            }
            Ok(())
        })
    }
}
