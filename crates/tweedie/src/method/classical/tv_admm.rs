//! Total variation by ADMM (Goldstein and Osher 2009, "split Bregman"; Boyd et al. 2011).
//!
//! ```text
//! x = argmin |A x - y|^2/2 + weight*|D x|_1
//!
//! x = argmin |A x - y|^2/2 + rho/2 |D x - z + u|^2
//! z = shrink(D x + u, weight/rho)
//! u = u + D x - z
//! ```
//!
//! The same objective as [`tv`](super::tv). The first line is `(A^T A + rho D^T D) x = A^T y + rho D^T (z - u)`, by a few conjugate gradients from
//! the last `x`.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::level::Level;
use crate::method::classical::tv::{lambda, weight};
use crate::method::differences::{differences, least_squares, shrink};
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::cg;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of total variation by ADMM.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TvAdmm {
    /// Number of steps; none of them asks the prior.
    pub steps: usize,
    /// Weight of the total variation, in units of the noise's standard deviation.
    pub lambda: f64,
    /// The difference between neighbouring pixels that one step takes away, for images in [0, 1]: the penalty is the weight
    /// over it.
    pub difference: f64,
}

impl Default for TvAdmm {
    fn default() -> TvAdmm {
        TvAdmm {
            steps: 100,
            lambda: 0.8,
            difference: 0.1,
        }
    }
}

impl Described for TvAdmm {
    const CARD: Card = Card {
        summary: "no prior but few edges: total variation by ADMM, in fewer and longer steps",
        paper: "Goldstein and Osher 2009; Boyd et al. 2011",
    };

    fn with_steps(mut self, steps: usize) -> TvAdmm {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        0
    }
}

impl Tuned for TvAdmm {
    fn tuned(task: &Task) -> TvAdmm {
        TvAdmm {
            steps: task.steps.unwrap_or(TvAdmm::default().steps),
            lambda: lambda(task),
            ..TvAdmm::default()
        }
    }
}

/// Conjugate gradients in each step.
const FEW: cg::Params = cg::Params {
    tolerance: 1e-6,
    iterations: 10,
};

impl Method for TvAdmm {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let range = prior.card().range;
        let weight = weight(self.steps, self.lambda, problem, range)?;
        let threshold = self.difference * range.width();
        Error::unless(threshold > 0.0 && threshold.is_finite(), || {
            format!("the difference must be positive, not {}", self.difference)
        })?;
        let rho = weight / threshold;
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        let mut z = differences(&x);
        let mut u = [Image::zeros(x.dim()), Image::zeros(x.dim())];
        for _ in 0..self.steps {
            x = least_squares(problem, &x, &[&z[0] - &u[0], &z[1] - &u[1]], rho, FEW);
            let [d0, d1] = differences(&x);
            let v = [d0 + &u[0], d1 + &u[1]];
            z = shrink(v.clone(), threshold);
            u = [&v[0] - &z[0], &v[1] - &z[1]];
            run.show(&x, Level::CLEAN)?;
        }
        Ok(x.into())
    }
}
