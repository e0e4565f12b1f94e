//! RED-diff: a picture optimised until it explains the measurement and the prior finds no noise in it (Mardani et al. 2024,
//! arXiv:2305.04391, algorithm 1).
//!
//! A variational posterior with all its mass at `mu`: at each level, from the noisiest down, one step of Adam on
//!
//! ```text
//! x_t = a_t*mu + b_t*z,   eps = (x_t - a_t*E[x0 | x_t])/b_t
//! L   = 1/2*mean (y - A(mu))^2 + w_t*mean (eps - z)*mu,      w_t = lambda*sigma_t
//! ```
//!
//! where `eps - z` counts as constant, so that nothing is differentiated but `A`. As in the authors' code both terms are means,
//! over the measurement and over the picture. What comes out is a mode, not a draw: seeds differ by what is left of `z` alone.
//!
//! Constants are those of the code, for data in [-1, 1]: with `h` the half-width of the range the gradient for such data is
//! `(A^T (A mu - y)/m + lambda*sigma_t*(eps - z)/n)/h`, and a step of Adam is `h` times as long.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::combine;
use crate::method::adam::{Memory, Moments};
use crate::method::residual::Law;
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of RED-diff. By default those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedDiff {
    /// The levels that are visited, one step each.
    pub grid: Grid,
    /// Weight of the prior against the measurement; 1 in the code for holes with noise.
    pub lambda: f64,
    /// Length of a step, for data in [-1, 1]; 0.25 to 0.5 in several of the code's scripts.
    pub rate: f64,
    /// Leave the measurement alone where the residual is noise already: at most so many standard deviations above the mean of
    /// its chi-square law. None to pull always.
    pub band: Option<f64>,
}

impl Default for RedDiff {
    fn default() -> RedDiff {
        RedDiff {
            grid: Grid::ddpm(Subset::Uniform { steps: 100 }),
            lambda: 0.25,
            rate: 0.1,
            band: None,
        }
    }
}

impl Described for RedDiff {
    const CARD: Card = Card {
        summary: "gradient steps on a picture, with the prior's opinion of noised copies: any differentiable operator",
        paper: "Mardani et al. 2024, arXiv:2305.04391",
    };

    fn with_steps(mut self, steps: usize) -> RedDiff {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for RedDiff {
    /// The prior weighs as the noise's variance says, since the loss does not know it, and steps are half as long as in the code,
    /// so that less of the last ones' noise is left.
    fn tuned(task: &Task) -> RedDiff {
        RedDiff {
            lambda: (125.0 * task.sigma * task.sigma).clamp(0.05, 5.0),
            rate: 0.05,
            ..RedDiff::default()
        }
        .with_steps(task.steps.unwrap_or(100))
    }
}

/// What Adam forgets, in the authors' code.
const MOMENTS: Moments = Moments {
    beta1: 0.9,
    beta2: 0.99,
};

impl Method for RedDiff {
    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        Error::unless(self.lambda >= 0.0 && self.lambda.is_finite(), || {
            format!("lambda must not be negative, and not {}", self.lambda)
        })?;
        Error::unless(self.rate.is_finite(), || "the rate must be finite".into())?;
        let half = prior.card().range.half;
        let levels = self.grid.levels(prior.card())?;
        let law = self.band.map(|width| Law::new(problem, width));
        let (mut mu, batch) = (problem.operator.guess(&problem.y), problem.batch());
        let [n, m] = [&mu, &problem.y].map(|x| (x.len() / batch) as f64);
        let mut adam = Memory::default();
        run.begin(levels.len());
        for t in levels {
            let z = run.normal_like(&mu);
            let x = t.mix(&mu, &z);
            let x0 = run.denoise(prior, &x, t)?;
            let regulariser = t.eps_from_x0(&x, &x0) - z;
            let mut pull = problem.pull(&mu);
            if let Some(law) = &law {
                let none = Image::zeros(pull.raw_dim());
                pull = law.unless_explained(problem, &mu, &none, pull);
            }
            let weight = self.lambda * t.sigma() / n;
            let gradient = combine(weight / half, &regulariser, -1.0 / (m * half), &pull);
            let direction = adam.direction(MOMENTS, &gradient);
            mu.scaled_add(-(self.rate * half) as f32, &direction);
            run.show(&mu, t)?;
        }
        Ok(mu.into())
    }
}
