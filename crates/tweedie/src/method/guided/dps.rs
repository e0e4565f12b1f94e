//! DPS: ancestral sampling steered by the gradient of the residual through the network (Chung et al. 2023,
//! arXiv:2209.14687, algorithm 1).
//!
//! ```text
//! x0  = E[x0 | x_t]
//! r   = y - A(x0)
//! x'  = ancestral step of x_t with x0
//! x_s = x' - step rule, along grad_x |r|^2 = -2 J^T A^T r
//! ```
//!
//! Five rules for the length of that step are in use; see [`StepRule`]. Their published constants are for data in
//! [-1, 1] and levels of the VP kind. With `h` the half-width of the range, `x = h*x_net + center` and `r = h*r_net`:
//! steps that normalise by the residual or the gradient scale with `h`, a plain multiple of the gradient of `|r|^2` does
//! not change, and the likelihood's is free of units once written with the variance of the transition. Pictures of a batch
//! do not see each other.
//!
//! The authors' networks also learn the variance of the ancestral step; here it is fixed ([`Variance`]).

use ndarray::{Axis, Zip};
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::{Level, Range, Transition, walk};
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Estimate, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;

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
}

impl StepRule {
    fn check(self, problem: &Problem) -> Result<(), Error> {
        match self {
            StepRule::ResidualNorm { scale: length }
            | StepRule::PaperNorm { zeta: length }
            | StepRule::SquaredNorm { zeta: length }
            | StepRule::NormalizedGradient { zeta: length } => {
                Error::unless(length.is_finite(), || {
                    "the step size of DPS must be finite".into()
                })
            }
            StepRule::Likelihood => Error::unless(!problem.exact(), || {
                "the likelihood rule of DPS needs a measurement with noise; choose another rule"
                    .into()
            }),
        }
    }

    /// The factor of `J^T A^T r = -grad |r|^2 / 2`, from the norms of `r` and of that direction.
    fn factor(self, half: f64, hop: &Transition, sigma_y: f64, r: f64, direction: f64) -> f64 {
        // Neither norm has a derivative at 0, where there is nothing left to do.
        let over = |norm: f64| if norm < 1e-12 { 0.0 } else { 1.0 / norm };
        match self {
            StepRule::ResidualNorm { scale } => half * scale * over(r),
            StepRule::PaperNorm { zeta } => half * 2.0 * zeta * over(r),
            StepRule::SquaredNorm { zeta } => 2.0 * zeta,
            StepRule::NormalizedGradient { zeta } => half * zeta * over(direction),
            StepRule::Likelihood => hop.var / (sigma_y * sigma_y * hop.ratio),
        }
    }
}

/// Settings of DPS. By default as published for super-resolution and deblurring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dps {
    /// The levels that are visited.
    pub grid: Grid,
    /// Length of the steps towards the measurement.
    pub rule: StepRule,
    /// Variance of the ancestral steps.
    pub variance: Variance,
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
            variance: Variance::Small,
            start: Start::Auto,
            clamp: true,
        }
    }
}

impl Described for Dps {
    const CARD: Card = Card {
        summary: "gradient of the residual through the network: any differentiable operator, but 1000 costly steps",
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
    /// The authors' scale of 0.3 is for a thousand steps on 256x256 pixels. The way to go is shared by the steps and grows
    /// with the root of the number of pixels; with few steps, four times as far is better.
    fn tuned(task: &Task) -> Dps {
        let steps = task.steps.unwrap_or(50);
        let side = ((task.input.h * task.input.w) as f64).sqrt();
        let scale = 4.0 * 0.3 * (1000.0 / steps as f64) * (side / 256.0);
        Dps {
            rule: StepRule::ResidualNorm { scale },
            ..Dps::default()
        }
        .with_steps(steps)
    }
}

impl Dps {
    /// `x0`, the residual `y - A(x0)` and `J^T A^T r`, through network and clamp.
    fn descent(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        x: &Image,
        t: Level,
        run: &mut Run<'_>,
    ) -> Result<(Estimate, Image, Image), Error> {
        let range = prior.card().range;
        let (mut estimate, pullback) = run.estimate_with_pullback(prior, x, t)?;
        let raw = estimate.x0.clone();
        if self.clamp {
            range.clamp(&mut estimate.x0);
        }
        let residual = problem.residual(&estimate.x0);
        let mut cotangent = problem.operator.vjp(&estimate.x0, &residual);
        if self.clamp {
            block_outside(&mut cotangent, &raw, range);
        }
        let direction = pullback(&cotangent).map_err(|e| run.failed(e))?;
        Ok((estimate, residual, direction))
    }
}

/// The derivative of the clamp: 0 outside of the range.
fn block_outside(cotangent: &mut Image, raw: &Image, range: Range) {
    let (low, high) = range.limits();
    Zip::from(cotangent).and(raw).par_for_each(|c, v| {
        if !(low..=high).contains(v) {
            *c = 0.0;
        }
    });
}

/// The Euclidean norm of each picture of a batch.
fn norms(x: &Image) -> impl Iterator<Item = f64> + '_ {
    x.axis_iter(Axis(0)).map(|picture| {
        picture
            .iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>()
            .sqrt()
    })
}

impl Method for Dps {
    fn needs(&self) -> Vec<Need> {
        match self.variance {
            Variance::Learned => vec![Need::Pullback, Need::LearnedVariance],
            _ => vec![Need::Pullback],
        }
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.rule.check(problem)?;
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (t, s) in walk(&levels) {
            let hop = Transition::new(t, s);
            let (estimate, residual, direction) = self.descent(prior, problem, &x, t, run)?;
            x = self.variance.step(&hop, &x, &estimate, run);
            let lengths = norms(&residual).zip(norms(&direction));
            for (n, (r, d)) in lengths.enumerate() {
                let factor = self.rule.factor(range.half, &hop, problem.sigma(), r, d);
                let along = direction.index_axis(Axis(0), n);
                x.index_axis_mut(Axis(0), n)
                    .scaled_add(factor as f32, &along);
            }
            run.show(&estimate.x0, t)?;
        }
        Ok(x.into())
    }
}
