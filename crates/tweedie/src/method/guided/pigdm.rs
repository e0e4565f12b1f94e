//! PiGDM: guidance by the pseudo-inverse (Song et al. 2023, "Pseudoinverse-guided diffusion models for inverse problems").
//!
//! The clean image is taken for `N(x0, r^2 I)` given `x_t`, as it would be for data `N(0, h^2 I)` with `h` half of the range (a
//! `deviation` of 1).
//! Then the likelihood of `x_t` is a Gaussian:
//!
//! ```text
//! r^2 = sigma_t^2*h^2/(sigma_t^2 + h^2)                               1 - abar with VP levels
//! v   = V S (S^2 + sigma_y^2/r^2)^-1 U^T (y - A x0)                   A^+ (y - A x0) without noise
//! g   = J^T v/r^2,   J = d x0/d x_t
//! x_s = DDIM's step of x_t + weight*J^T v
//! ```
//!
//! The weight that follows from the score is `reach/r^2` ([`Weight::Score`], see [`descent`](super::descent)). The released code of
//! its authors' later work (RED-diff) takes `a_s*a_t` ([`Weight::Released`]), which does not shrink with the step: more steps
//! then pull harder. The paper writes `a_t` alone. The code knows no noise; with noise `v` is InverseBench's.
//!
//! Where the operator is not linear, `A^+` is the guess `h`, and `v = h(y) - h(A(x0))` (the paper's section 3.3, for JPEG and others;
//! [`Operator::consistent`](crate::operator::Operator::consistent)): nothing but the prior is differentiated. With noise it is made smaller by
//! `1 + sigma_y^2/r^2`, as where all singular values are 1.

use serde::{Deserialize, Serialize};

use super::descent::{Descent, Guided};
use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::{Level, Range};
use crate::method::wide::wide;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::spectrum;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// How much of `J^T v` is added.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Weight {
    /// `factor*a_s*a_t`, the released code.
    Released {
        /// 1 in the code.
        factor: f64,
    },
    /// `factor*reach/r^2`, which with a factor of 1 is the score in the step, and settles as steps become many.
    Score {
        /// 1 for the score as it is.
        factor: f64,
    },
}

/// Settings of PiGDM. By default those of the released code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pigdm {
    /// The levels that are visited.
    pub grid: Grid,
    /// How it goes on between them.
    pub descent: Descent,
    /// How much guidance there is.
    pub weight: Weight,
    /// The standard deviation that pictures are taken to have, in units of half the range; 1 in the paper. Fine detail has much less,
    /// and the less it is, the more the measurement is heeded.
    pub deviation: f64,
    /// The least noise that a measurement is taken to have, for pictures in [0, 1]; 0 for none.
    pub floor: f64,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range; not in the code.
    pub clamp: bool,
}

impl Default for Pigdm {
    fn default() -> Pigdm {
        Pigdm {
            grid: Grid::ddpm(Subset::Uniform { steps: 100 }),
            descent: Descent::Ddim { eta: 1.0 },
            weight: Weight::Released { factor: 1.0 },
            deviation: 1.0,
            floor: 0.0,
            start: Start::Guess,
            clamp: false,
        }
    }
}

impl Described for Pigdm {
    const CARD: Card = Card {
        summary: "guidance by the pseudo-inverse through the network: sharp draws in tens of steps, each with a gradient",
        paper: "Song et al. 2023, ICLR",
    };

    fn with_steps(mut self, steps: usize) -> Pigdm {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Pigdm {
    fn tuned(task: &Task) -> Pigdm {
        let steps = task.steps.unwrap_or(50);
        // What is pulled in each step does not shrink with it; with many steps it must.
        let factor = (50.0 / steps.max(1) as f64).min(1.0);
        Pigdm {
            grid: wide(steps, 0.0),
            weight: Weight::Released { factor },
            floor: 0.001,
            clamp: true,
            ..Pigdm::default()
        }
    }
}

/// The variance around the estimate that data of that deviation leave, in units of half the range.
pub(super) fn spread(deviation: f64, range: Range, level: Level) -> f64 {
    let (noise, data) = (level.sigma().powi(2), (deviation * range.half).powi(2));
    // At the noisiest levels noise^2 may be more than a number holds.
    data / (data / noise + 1.0)
}

/// That guidance with these numbers is finite.
pub(super) fn check(factor: f64, deviation: f64, floor: f64) -> Result<(), Error> {
    let sound = factor.is_finite() && deviation > 0.0 && deviation.is_finite();
    Error::unless(sound && (0.0..=1.0).contains(&floor), || {
        "the weight of guidance must be finite, the deviation of pictures positive, and the least noise 0 to 1".into()
    })
}

/// `V S (S^2 + sigma_y^2/r2)^-1 U^T residual`: what of the residual an image of variance `r2` explains.
pub(super) fn explained(problem: &Problem, residual: &Image, sigma_y: f64, r2: f64) -> Image {
    if sigma_y == 0.0 {
        return problem.linear().pseudo_inverse(residual);
    }
    let noise = sigma_y * sigma_y / r2;
    spectrum::back(&*problem.spectrum(), residual, |s| s / (s * s + noise))
}

impl Method for Pigdm {
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
        let (Weight::Released { factor } | Weight::Score { factor }) = self.weight;
        check(factor, self.deviation, self.floor)?;
        let range = prior.card().range;
        let sigma_y = problem.sigma().max(self.floor * range.width());
        let walk = Guided {
            levels: self.grid.levels(prior.card())?,
            descent: self.descent,
            start: self.start,
            clamp: self.clamp,
            differentiated: true,
        };
        walk.run(prior, problem, run, |at, x, run| {
            let r2 = spread(self.deviation, range, at.hop.t);
            let weight = match self.weight {
                Weight::Released { factor } => factor * at.hop.s.a * at.hop.t.a,
                Weight::Score { factor } => factor * at.reach / r2,
            };
            let v = match problem.operator.linear() {
                Some(_) => explained(problem, &problem.residual(at.x0), sigma_y, r2),
                None => {
                    let consistent = problem.operator.consistent(&problem.y, at.x0);
                    (consistent - at.x0) / (1.0 + sigma_y * sigma_y / r2) as f32
                }
            };
            x.scaled_add(weight as f32, &at.pull(v, run)?);
            Ok(())
        })
    }
}
