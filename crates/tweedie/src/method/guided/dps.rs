//! DPS: a sampler steered by the gradient of the residual through the network (Chung et al. 2023, arXiv:2209.14687,
//! algorithm 1).
//!
//! ```text
//! x0  = E[x0 | x_t]
//! r   = y - A(x0)
//! x'  = step of x_t with x0                       ancestral; with DDIM's, eta 0, along a flow by Euler's rule
//! x_s = x' - step rule, along grad_x |r|^2 = -2 J^T A^T r
//! ```
//!
//! Six rules for the length of that step are in use; see [`StepRule`]. Their published constants are for data in
//! [-1, 1] and levels of the VP kind. With `h` the half-width of the range, `x = h*x_net + center` and `r = h*r_net`:
//! steps that normalise by the residual or the gradient scale with `h`, a plain multiple of the gradient of `|r|^2` does
//! not change, and the likelihood's is free of units once written with the variance of the transition. Pictures of a batch
//! do not see each other.
//!
//! The authors' networks also learn the variance of the ancestral step; here it is fixed ([`Descent`]).

use serde::{Deserialize, Serialize};

use super::descent::{At, Descent, Guided};
use super::huber::{felt, sizes};
use crate::Image;
use crate::batch::{add_each, norms};
use crate::grid::{Grid, Subset};
use crate::method::adam::{Memory, Moments};
use crate::method::wide::wide;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// How far a step goes along the gradient. Constants are those of the literature, for data in [-1, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepRule {
    /// `scale * grad |r|`, the authors' code.
    ResidualNorm {
        /// 0.3 for super-resolution and deblurring, 0.5 for inpainting, 1 for phase retrieval.
        scale: f64,
    },
    /// `zeta/|r| * grad |r|^2`, the paper's algorithm: twice the rule of the code at equal constants.
    PaperNorm {
        /// Half of the code's scale.
        zeta: f64,
    },
    /// `zeta * grad |r|^2`, the algorithm read with a constant step size.
    SquaredNorm {
        /// Stable below about the inverse of the operator's squared norm.
        zeta: f64,
    },
    /// `zeta * G/|G|` with `G = grad |r|^2`: steps of constant length.
    NormalizedGradient {
        /// Length of the step.
        zeta: f64,
    },
    /// `var/(2*sigma_y^2*ratio) * grad |r|^2`: the score of `N(y; A x0, sigma_y^2)` in the ancestral step. Needs noise in
    /// the measurement, and is unstable with very little.
    Likelihood,
    /// `length` times Adam's direction for `grad |r|`: each number moves about as far (AdamDPS, [`Moments`]).
    Adam {
        /// How far, over `ratio`; 0.03 to 0.1 was best for the authors' pictures and 100 steps.
        length: f64,
        /// What is remembered of earlier gradients.
        #[serde(default)]
        moments: Moments,
    },
}

impl StepRule {
    fn check(self, problem: &Problem) -> Result<(), Error> {
        if let StepRule::Adam { moments, .. } = self {
            moments.check()?;
        }
        match self {
            StepRule::ResidualNorm { scale: length }
            | StepRule::PaperNorm { zeta: length }
            | StepRule::SquaredNorm { zeta: length }
            | StepRule::NormalizedGradient { zeta: length }
            | StepRule::Adam { length, .. } => Error::unless(length.is_finite(), || {
                "the step size of DPS must be finite".into()
            }),
            StepRule::Likelihood => Error::unless(!problem.exact(), || {
                "the likelihood rule of DPS needs a measurement with noise; choose another rule"
                    .into()
            }),
        }
    }

    /// The factor of `J^T A^T r = -grad |r|^2 / 2`, or of Adam's direction, from the norms of `r` and of that direction.
    fn factor(self, half: f64, at: &Place, sigma_y: f64, r: f64, direction: f64) -> f64 {
        // Neither norm has a derivative at 0, where there is nothing left to do.
        let over = |norm: f64| if norm < 1e-12 { 0.0 } else { 1.0 / norm };
        match self {
            StepRule::ResidualNorm { scale } => half * scale * over(r),
            StepRule::PaperNorm { zeta } => half * 2.0 * zeta * over(r),
            StepRule::SquaredNorm { zeta } => 2.0 * zeta,
            StepRule::NormalizedGradient { zeta } => half * zeta * over(direction),
            StepRule::Likelihood => at.reach / (sigma_y * sigma_y),
            StepRule::Adam { length, .. } => half * length / at.ratio,
        }
    }
}

/// What a rule may know of the step: its `reach` and `ratio`.
struct Place {
    reach: f64,
    ratio: f64,
}

/// Settings of DPS. By default as published for super-resolution and deblurring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dps {
    /// The levels that are visited.
    pub grid: Grid,
    /// Length of the steps towards the measurement.
    pub rule: StepRule,
    /// How it goes on between them.
    pub descent: Descent,
    /// Residuals beyond so many standard deviations of the noise (at least 0.001 of the range) count by their size and not by
    /// its square; 1.345 gives up 5 % where there are no outliers. None for the squares alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub huber: Option<f64>,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range. Where that happens, no gradient flows.
    pub clamp: bool,
}

impl Default for Dps {
    fn default() -> Dps {
        Dps {
            grid: Grid::ddpm(Subset::All),
            rule: StepRule::ResidualNorm { scale: 0.3 },
            descent: Descent::SMALL,
            huber: None,
            start: Start::Auto,
            clamp: true,
        }
    }
}

impl Described for Dps {
    const CARD: Card = Card {
        summary: "gradient of the residual through the network: any differentiable operator, but each step costs three",
        paper: "Chung et al. 2023, arXiv:2209.14687",
    };

    fn with_steps(mut self, steps: usize) -> Dps {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Dps {
    /// Adam's step along VE levels: its length asks neither how large the operator is nor how many pixels there are. In the VP
    /// image a step of one length moves the picture `1/a^2` times as far, and at the noisiest levels spoils its colours. Below the
    /// noise of the measurement there is nothing to be fitted but that noise, so that the walk ends a little above it.
    fn tuned(task: &Task) -> Dps {
        let steps = task.steps.unwrap_or(50);
        Dps {
            grid: wide(steps, 1.25 * task.sigma),
            rule: StepRule::Adam {
                // The way to go is shared by the steps.
                length: 0.06 * (50.0 / steps.max(1) as f64).min(5.0),
                moments: Moments {
                    beta1: 0.6,
                    beta2: 0.75,
                },
            },
            ..Dps::default()
        }
    }
}

impl Dps {
    fn check(&self, problem: &Problem) -> Result<(), Error> {
        let usable = self.huber.is_none_or(|d| d > 0.0 && d.is_finite());
        Error::unless(usable, || "Huber's threshold must be positive".into())?;
        self.rule.check(problem)
    }
}

impl Method for Dps {
    fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need::Pullback];
        needs.extend(self.descent.needs());
        needs
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check(problem)?;
        let range = prior.card().range;
        let threshold = self.huber.map(|d| d * problem.sigma_floored(range));
        let mut memory = Memory::default();
        let walk = Guided {
            levels: self.grid.levels(prior.card())?,
            descent: self.descent,
            start: self.start,
            clamp: self.clamp,
            differentiated: true,
        };
        walk.run(prior, problem, run, |at: At<'_>, x, run| {
            let place = Place {
                reach: at.reach,
                ratio: at.hop.ratio,
            };
            let residual = problem.residual(at.x0);
            let r = sizes(&residual, threshold);
            let pulled = problem.operator.vjp(at.x0, &felt(&residual, threshold));
            let mut direction = at.pull(pulled, run)?;
            if let StepRule::Adam { moments, .. } = self.rule {
                direction = memory.direction(moments, &over(direction, &r));
            }
            let along = norms(&direction);
            let factor = |(&r, &d)| self.rule.factor(range.half, &place, problem.sigma(), r, d);
            let factors: Vec<f64> = r.iter().zip(&along).map(factor).collect();
            add_each(x, &factors, &direction);
            Ok(())
        })
    }
}

/// Each picture divided by its number; those whose number is 0 are none.
fn over(mut x: Image, by: &[f64]) -> Image {
    for (mut picture, &by) in x.outer_iter_mut().zip(by) {
        let factor = if by < 1e-12 { 0.0 } else { 1.0 / by };
        picture.mapv_inplace(|v| v * factor as f32);
    }
    x
}
