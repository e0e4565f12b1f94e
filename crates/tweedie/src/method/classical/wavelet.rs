//! Few wavelet coefficients: the sparsest picture that explains the measurement (Donoho and Johnstone 1994 for noise; Daubechies, Defrise
//! and De Mol 2004 for any operator; by FISTA, Beck and Teboulle 2009).
//!
//! ```text
//! x = argmin |A x - y|^2/2 + weight*|W x|_1         details only
//!
//! u = W^T shrink(W (z + g A^T (y - A z)), g*weight_k),   g = 1/|A|^2,   z by FISTA's momentum
//! ```
//!
//! With an orthonormal `W` the shrinking is the prox of the sum, and where nothing but noise is to be removed one step is the answer. The
//! redundant `W` (`cycle_spin`) sees the picture in all positions at once, which is the mean of the results from all shifts
//! (Coifman and Donoho 1995): no blocks, about 1 dB better, and no longer exactly a prox. The weight comes down to its own from a
//! large one, geometrically over the first half of the steps: so holes are filled from coarse to fine.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::Level;
use crate::method::accelerated::Accelerated;
use crate::method::classical::wavelets::{Bank, Family};
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of wavelet sparsity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wavelet {
    /// Number of steps; none of them asks the prior.
    pub steps: usize,
    /// Weight of the coefficients, in units of the noise's standard deviation.
    pub lambda: f64,
    /// Which wavelets.
    pub family: Family,
    /// Scales, of which the coarsest is twice as wide as the one before it.
    pub levels: usize,
    /// Whether all shifts are averaged.
    pub cycle_spin: bool,
}

impl Default for Wavelet {
    fn default() -> Wavelet {
        Wavelet {
            steps: 100,
            lambda: 1.4,
            family: Family::Db4,
            levels: 4,
            cycle_spin: true,
        }
    }
}

impl Described for Wavelet {
    const CARD: Card = Card {
        summary: "no prior but few wavelet coefficients, orthonormal or averaged over shifts",
        paper: "Donoho and Johnstone 1994; Coifman and Donoho 1995; Daubechies et al. 2004",
    };

    fn with_steps(mut self, steps: usize) -> Wavelet {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        0
    }
}

impl Tuned for Wavelet {
    /// For noise alone one step is the answer.
    fn tuned(task: &Task) -> Wavelet {
        let (steps, lambda) = match task.loss {
            Loss::NOTHING => (1, 1.4),
            _ => (60, (5.0 * task.sigma).clamp(0.08, 1.4)),
        };
        Wavelet {
            steps: task.steps.unwrap_or(steps),
            lambda,
            ..Wavelet::default()
        }
    }
}

impl Wavelet {
    fn check(&self) -> Result<(), Error> {
        Error::unless((1..=MAX_STEPS).contains(&self.steps), || {
            format!("wavelets take 1 to {MAX_STEPS} steps, not {}", self.steps)
        })?;
        Error::unless((1..=10).contains(&self.levels), || {
            format!("wavelets have 1 to 10 levels, not {}", self.levels)
        })?;
        Error::unless(self.lambda > 0.0 && self.lambda.is_finite(), || {
            format!("lambda must be positive, not {}", self.lambda)
        })
    }

    /// The weight in step `k`, on its way from `first` to `last`.
    fn weight(&self, k: usize, first: f64, last: f64) -> f64 {
        let part = (2.0 * (k + 1) as f64 / self.steps as f64).min(1.0);
        last * (first / last).max(1.0).powf(1.0 - part)
    }
}

impl Method for Wavelet {
    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let range = prior.card().range;
        let bank = Bank::new(self.family, self.levels, self.cycle_spin);
        let norm2 = problem.norm2();
        let last = self.lambda * problem.sigma_floored(range);
        // Half of the range is more than any detail has.
        let first = 0.5 * range.width() * norm2;
        run.begin(self.steps);
        let mut fista = Accelerated::from(problem.operator.guess(&problem.y), 1.0 / norm2);
        for k in 0..self.steps {
            let threshold = self.weight(k, first, last) / norm2;
            let u: Image = bank.shrink(&fista.descended(problem), threshold);
            fista.moved(u);
            run.show(fista.estimate(), Level::CLEAN)?;
        }
        Ok(fista.into_estimate().into())
    }
}
