//! Total variation by the primal-dual method (Rudin, Osher and Fatemi 1992; Chambolle and Pock 2011).
//!
//! ```text
//! x = argmin |A x - y|^2/2 + weight*|D x|_1,        |D x|_1 = sum over pixels and channels of |(D x)_pixel|
//!
//! p = proj_{|p| <= weight}(p + s D v)
//! q = (q + s (A v - y))/(1 + s)
//! x' = x - t (D^T p + A^T q),   v = 2x' - x,   s t (|D|^2 + |A|^2) <= 1
//! ```
//!
//! Both `D` and `A` are on the dual side, so that any linear operator will do, with its norm and no prox. Where the prox has a closed form,
//! putting it in the place of `q` saves a few steps in a hundred (measured), which is not worth a second algorithm.
//!
//! `t` is for primal and dual numbers of one size; the dual ones are as large as the weight, so that a small weight wants long
//! primal steps.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::{Level, Range, combine};
use crate::method::differences::{NORM2, adjoint, ascend};
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of total variation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tv {
    /// Number of steps; none of them asks the prior.
    pub steps: usize,
    /// Weight of the total variation, in units of the noise's standard deviation.
    pub lambda: f64,
}

impl Default for Tv {
    fn default() -> Tv {
        Tv {
            steps: 300,
            lambda: 0.8,
        }
    }
}

impl Described for Tv {
    const CARD: Card = Card {
        summary: "no prior but few edges: total variation by Chambolle and Pock",
        paper: "Rudin et al. 1992; Chambolle and Pock 2011",
    };

    fn with_steps(mut self, steps: usize) -> Tv {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        0
    }
}

impl Tuned for Tv {
    fn tuned(task: &Task) -> Tv {
        Tv {
            steps: task.steps.unwrap_or(Tv::default().steps),
            lambda: lambda(task),
        }
    }
}

/// The weight that suits a task, in units of the noise: where something is to be found again it is known from many pixels, and the
/// less the noise the less it is to be smoothed. Where places of the spectrum are missing it has to find these too (0.6 dB more on two
/// heads in MRI, a quarter of the columns and a noise of 0.02, than with the weight of other tasks).
pub(super) fn lambda(task: &Task) -> f64 {
    match task.loss {
        Loss::NOTHING => 0.8,
        loss if loss.frequencies => (10.0 * task.sigma).clamp(0.05, 0.3),
        _ => (4.0 * task.sigma).clamp(0.05, 0.8),
    }
}

/// That the settings make sense; the weight of the total variation.
pub(super) fn weight(
    steps: usize,
    lambda: f64,
    problem: &Problem,
    range: Range,
) -> Result<f64, Error> {
    Error::unless((1..=MAX_STEPS).contains(&steps), || {
        format!("total variation takes 1 to {MAX_STEPS} steps, not {steps}")
    })?;
    Error::unless(lambda > 0.0 && lambda.is_finite(), || {
        format!("lambda must be positive, not {lambda}")
    })?;
    Ok(lambda * problem.sigma_floored(range))
}

impl Method for Tv {
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
        let norm2 = problem.norm2() + NORM2;
        // At a weight of 0.04 the steps are of one length.
        let ratio = (0.03 * range.width() / weight).max(0.7);
        let (t, s) = (ratio / norm2.sqrt(), 1.0 / (ratio * norm2.sqrt()));
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        let mut v = x.clone();
        let mut p = [Image::zeros(x.dim()), Image::zeros(x.dim())];
        let mut q = Image::zeros(problem.y.dim());
        for _ in 0..self.steps {
            ascend(&mut p, s, &v, weight);
            q = combine(1.0 / (1.0 + s), &q, -s / (1.0 + s), &problem.residual(&v));
            let back = adjoint(&p) + problem.linear().adjoint(&q);
            let next = combine(1.0, &x, -t, &back);
            v = combine(2.0, &next, -1.0, &x);
            x = next;
            run.show(&x, Level::CLEAN)?;
        }
        Ok(x.into())
    }
}
