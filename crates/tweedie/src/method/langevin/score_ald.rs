//! Score-ALD: ancestral sampling with a pull towards the measurement, whose noise is taken to be larger than it is (after Jalal
//! et al. 2021, arXiv:2108.01368; in this form as Chung et al. 2023, arXiv:2209.14687, and others compare with it).
//!
//! ```text
//! x'  = ancestral step of x_t
//! x_s = x' - w_t*A^T(A(x_t) - y),    w_t = 1/(sigma_y^2 + gamma_t^2)
//! ```
//!
//! The measurement is held against the noisy `x_t`, hence the `gamma_t`, which the paper leaves open. Two schedules are given:
//! a constant `gamma^2` (units of data in [-1, 1], by default `|A|^2`; below half of that it diverges), and one that follows
//! the step's own variance and the noise that `x_t` brings into the residual, `w_t = var/(sigma_y^2 + |A|^2*b_t^2/a_t^2)`, which is
//! stable on any grid. Around the middle of the range, at which data in [-1, 1] are 0: `A` is given `x_t + (1 - a_t)*middle`.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::{Transition, walk};
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::{Loss, norm};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;

/// How strongly the measurement pulls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weight {
    /// `1/(sigma_y^2 + gamma2)` in each step, for data in [-1, 1].
    Constant {
        /// `gamma^2`; none for `|A|^2`.
        gamma2: Option<f64>,
    },
    /// `scale*var/(sigma_y^2 + |A|^2*b_t^2/a_t^2)`, with the variance of the step.
    Clock {
        /// 1 for the likelihood of the noisy image, up to 2.
        scale: f64,
    },
}

/// Settings of Score-ALD. By default a thousand steps with a constant `gamma^2 = |A|^2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreAld {
    /// The levels that are visited.
    pub grid: Grid,
    /// How strongly the measurement pulls.
    pub weight: Weight,
    /// Variance of the ancestral steps.
    pub variance: Variance,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range.
    pub clamp: bool,
}

impl Default for ScoreAld {
    fn default() -> ScoreAld {
        ScoreAld {
            grid: Grid::ddpm(Subset::All),
            weight: Weight::Constant { gamma2: None },
            variance: Variance::Large,
            start: Start::Noise,
            clamp: false,
        }
    }
}

impl Described for ScoreAld {
    const CARD: Card = Card {
        summary: "ancestral sampling with a pull of the noisy image towards the measurement; cheap steps, many of them",
        paper: "Jalal et al. 2021, arXiv:2108.01368",
    };

    fn with_steps(mut self, steps: usize) -> ScoreAld {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for ScoreAld {
    /// Where there is noise alone a constant weight keeps too much of it.
    fn tuned(task: &Task) -> ScoreAld {
        let (weight, steps) = match task.loss {
            Loss::NOTHING => (Weight::Clock { scale: 1.0 }, 60),
            _ => (Weight::Constant { gamma2: None }, 100),
        };
        ScoreAld {
            weight,
            variance: Variance::Small,
            clamp: true,
            ..ScoreAld::default()
        }
        .with_steps(task.steps.unwrap_or(steps))
    }
}

impl ScoreAld {
    fn check(&self, sigma2: f64, norm2: f64) -> Result<(), Error> {
        match self.weight {
            // Each step takes (I - w A^T A) of the error.
            Weight::Constant {
                gamma2: Some(gamma2),
            } => Error::unless(gamma2 >= 0.0 && norm2 < 2.0 * (sigma2 + gamma2), || {
                format!(
                    "with gamma^2 = {gamma2} Score-ALD diverges; it must be above {:.3}",
                    (0.5 * norm2 - sigma2).max(0.0)
                )
            }),
            Weight::Clock { scale } => Error::unless(scale > 0.0 && scale <= 2.0, || {
                format!("the scale of the clock's weight is above 0 and up to 2, not {scale}")
            }),
            Weight::Constant { gamma2: None } => Ok(()),
        }
    }
}

impl Method for ScoreAld {
    fn needs(&self) -> Vec<Need> {
        match self.variance {
            Variance::Learned => vec![Need::Linear, Need::LearnedVariance],
            _ => vec![Need::Linear],
        }
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let range = prior.card().range;
        let sigma2 = (problem.sigma() / range.half).powi(2);
        // An operator that sees nothing pulls nowhere, with any weight.
        let norm2 = norm(problem.linear(), 50).powi(2).max(1e-12);
        self.check(sigma2, norm2)?;
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (t, s) in walk(&levels) {
            let hop = Transition::new(t, s);
            let mut estimate = run.estimate(prior, &x, t)?;
            if self.clamp {
                range.clamp(&mut estimate.x0);
            }
            let weight = match self.weight {
                Weight::Constant { gamma2 } => 1.0 / (sigma2 + gamma2.unwrap_or(norm2)),
                Weight::Clock { scale } => {
                    let noise = problem.sigma().powi(2) + norm2 * t.sigma().powi(2);
                    scale * hop.var / noise
                }
            };
            let middle = ((1.0 - t.a) * range.center) as f32;
            let residual: Image = problem.residual(&(&x + middle));
            let pull = problem.linear().adjoint(&residual);
            x = self.variance.step(&hop, &x, &estimate, run);
            x.scaled_add(weight as f32, &pull);
            run.show(&estimate.x0, t)?;
        }
        Ok(x.into())
    }
}
