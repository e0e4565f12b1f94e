//! MCG: an ancestral step, a step along the gradient of the residual through the network, and the measured part put in its place
//! (Chung, Sim, Ryu and Ye 2022, arXiv:2206.00941, algorithm 1).
//!
//! ```text
//! x0  = E[x0 | x_t],  r = y - A x0
//! x'  = ancestral step of x_t - w*grad_x |r|
//! x_s = (I - A^+ A) x' + A^+ y_s,   y_s = a_s*y + b_s*A z
//! ```
//!
//! The gradient moves what is not measured; of what is, the last line keeps nothing, so that the paper's factor `I - A^+ A` before
//! the gradient changes nothing and is left out. The paper has the gradient of `|r|^2`, the authors' code that of `|r|`, whose length
//! does not depend on how far there is to go: with their `w = 1` and data in [-1, 1] it goes on pushing where the measurement is
//! explained already, and ends far from the posterior. The gradient of `|r|^2` with the weight `zeta/|r|` is the same with `w = 2 zeta`.
//!
//! Where the operator is not linear there is no measured part to replace, and no noise of it. Then `x_s = x' + a_s*(c - x0)` with `c`
//! the estimate made consistent with the measurement, `x0 + h(y) - h(A(x0))` ([`Operator::consistent`](crate::operator::Operator::consistent)): of a linear operator
//! that replaces the mean of the measured part, and keeps its noise.
//!
//! The code puts in the measurement at the level of the step before ([`NoisedAt::Asked`]). Here the estimate is limited to its range
//! for the ancestral step alone, and the gradient is that of the unlimited one.

use serde::{Deserialize, Serialize};

use crate::batch::{add_each, dots};
use crate::grid::{Grid, Subset};
use crate::level::{Transition, walk};
use crate::method::projected::replaced::noised_data;
use crate::method::{Handling, Method, NoisedAt, Restored, Start, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;

/// Settings of MCG. By default those of the authors' code for inpainting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mcg {
    /// The levels that are visited.
    pub grid: Grid,
    /// `w`, for data in [-1, 1]; 1 for inpainting, 0.1 for colourisation. With 0 it is projection.
    pub weight: f64,
    /// Variance of the ancestral steps.
    pub variance: Variance,
    /// How noisy what is put in is.
    pub noised: NoisedAt,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range.
    pub clamp: bool,
}

impl Default for Mcg {
    fn default() -> Mcg {
        Mcg {
            grid: Grid::ddpm(Subset::All),
            weight: 1.0,
            variance: Variance::Small,
            noised: NoisedAt::Reached,
            start: Start::Auto,
            clamp: true,
        }
    }
}

impl Described for Mcg {
    const CARD: Card = Card {
        summary: "projection, and a gradient through the network for what is not measured: the seams of the one, the cost of the other",
        paper: "Chung et al. 2022, arXiv:2206.00941",
    };

    fn with_steps(mut self, steps: usize) -> Mcg {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Mcg {
    fn tuned(task: &Task) -> Mcg {
        Mcg::default().with_steps(task.steps.unwrap_or(50))
    }
}

impl Method for Mcg {
    fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need::Pullback];
        needs.extend((self.variance == Variance::Learned).then_some(Need::LearnedVariance));
        needs
    }

    fn handling(&self) -> Handling {
        Handling::Ignored
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        Error::unless(self.weight.is_finite(), || {
            "the weight of MCG must be finite".into()
        })?;
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (t, s) in walk(&levels) {
            let (mut estimate, pullback) = run.estimate_with_pullback(prior, &x, t)?;
            let residual = problem.residual(&estimate.x0);
            let pulled = pullback(&problem.operator.vjp(&estimate.x0, &residual));
            let direction = pulled.map_err(|e| run.failed(e))?;
            if self.clamp {
                range.clamp(&mut estimate.x0);
            }
            x = self
                .variance
                .step(&Transition::new(t, s), &x, &estimate, run);
            // Where nothing is left of the residual its norm has no derivative.
            let factor = |square: f64| match square.sqrt() {
                norm if norm < 1e-12 => 0.0,
                norm => range.half * self.weight / norm,
            };
            let factors: Vec<f64> = dots(&residual, &residual).into_iter().map(factor).collect();
            add_each(&mut x, &factors, &direction);
            let noised = match self.noised {
                NoisedAt::Reached => s,
                NoisedAt::Asked => t,
            };
            if problem.operator.linear().is_some() {
                x = noised_data(problem, x, noised, run);
            } else {
                // The last step ends at an estimate, and the gradient has moved that too.
                let seen = if s.b > 0.0 {
                    estimate.x0.clone()
                } else {
                    x.clone()
                };
                let consistent = problem.operator.consistent(&problem.y, &seen);
                x.scaled_add(s.a as f32, &(consistent - seen));
            }
            run.show(&estimate.x0, t)?;
        }
        Ok(x.into())
    }
}
