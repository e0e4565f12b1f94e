//! DPIR: half-quadratic splitting with a plain denoiser (Zhang et al. 2022, arXiv:2008.13751, algorithm 1).
//!
//! ```text
//! sigma_k = logspace(49/255, sigma_end, K)
//! x  = argmin_u |A u - y|^2 + alpha_k |u - z|^2,    alpha_k = 0.23*sigma_y^2/sigma_k^2
//! z  = D(x, sigma_k)                                on a picture turned or mirrored another way in each step
//! ```
//!
//! A measurement without noise is put back at the end, by one more `x`: the denoiser has no business there.
//!
//! No noise is ever added, so the result is a point estimate: fast, faithful, and smoother than a draw from the posterior.

use serde::{Deserialize, Serialize};

use crate::grid::MAX_STEPS;
use crate::level::Level;
use crate::method::plug_and_play::symmetry::Symmetry;
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of DPIR. By default the authors' for deblurring; for super-resolution they take 24 steps that end at
/// `max(factor/255, noise)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpir {
    /// Number of steps.
    pub steps: usize,
    /// Strongest denoising, for images in [0, 1].
    pub sigma_start: f64,
    /// Weakest denoising, for images in [0, 1]: never below the noise of the measurement.
    pub sigma_end: f64,
    /// Weight of the prior against the measurement.
    pub lambda: f64,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser: its errors then do not
    /// add up in one direction.
    pub ensemble: bool,
}

impl Default for Dpir {
    fn default() -> Dpir {
        Dpir {
            steps: 8,
            sigma_start: 49.0 / 255.0,
            sigma_end: 0.001,
            lambda: 0.23,
            ensemble: true,
        }
    }
}

impl Described for Dpir {
    const CARD: Card = Card {
        summary: "data prox and plain denoising in turn: the fastest, a smooth best estimate",
        paper: "Zhang et al. 2022, arXiv:2008.13751",
    };

    fn with_steps(mut self, steps: usize) -> Dpir {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for Dpir {
    /// Holes are filled from their edges inwards, a little in each step. Where a blur has lost most frequencies for good, the
    /// prior need not hold down what little the others amplify.
    fn tuned(task: &Task) -> Dpir {
        let (steps, lambda) = match task.loss {
            loss if loss.pixels => (48, 0.23),
            loss if loss.scales => (24, 0.23),
            loss if loss.faded > 0.5 => (8, 0.10),
            loss if loss.detail => (8, 0.19),
            _ => (24, 0.23),
        };
        Dpir {
            lambda,
            steps: task.steps.unwrap_or(steps),
            ..Dpir::default()
        }
    }
}

impl Dpir {
    fn check(&self) -> Result<(), Error> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let steps = (1..=MAX_STEPS).contains(&self.steps);
        Error::unless(steps, || {
            format!("DPIR takes 1 to {MAX_STEPS} steps, not {}", self.steps)
        })?;
        Error::unless(
            positive(self.sigma_start) && positive(self.sigma_end) && positive(self.lambda),
            || "the sigmas and lambda of DPIR must be positive".into(),
        )
    }

    /// The sigmas of the denoiser, from the strongest down, in the units of a range that is `width` wide.
    ///
    /// With a measurement noisier than `sigma_start` all are alike.
    fn ladder(&self, width: f64, sigma_y: f64, [least, most]: [f64; 2]) -> Vec<f64> {
        let end = (self.sigma_end * width).max(sigma_y).max(least).min(most);
        let start = (self.sigma_start * width).min(most).max(end);
        let last = self.steps.saturating_sub(1).max(1) as f64;
        (0..self.steps)
            .map(|k| start * (end / start).powf(k as f64 / last))
            .collect()
    }
}

impl Method for Dpir {
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
        self.check()?;
        let PriorCard { range, sigma, .. } = *prior.card();
        let sigma_y = problem.sigma_floored(range);
        let ladder = self.ladder(range.width(), sigma_y, sigma);
        let rho = |sigma: f64| self.lambda * (sigma_y / sigma).powi(2);
        run.begin(ladder.len());
        let mut z = problem.operator.guess(&problem.y);
        for (k, &sigma) in ladder.iter().enumerate() {
            let level = Level::ve(sigma);
            let x = problem.prox(&z, rho(sigma));
            run.poll(&x)?;
            let way = Symmetry::nth(if self.ensemble { k } else { 0 });
            z = way.back(&run.denoise(prior, &way.there(&x), level)?);
            run.show(&z, level)?;
        }
        Ok(match ladder.last() {
            Some(&sigma) if problem.exact() => problem.settle(&z, rho(sigma)).into(),
            _ => z.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published ladder for 8 steps at noise 7.65/255; a linear ladder would have 43.1 in the second place.
    #[test]
    fn ladder_as_published() {
        let ladder = Dpir::default().ladder(1.0, 7.65 / 255.0, [0.0, f64::INFINITY]);
        let published = [49.0, 37.58, 28.82, 22.11, 16.96, 13.01, 9.97, 7.65];
        for (sigma, expected) in ladder.iter().zip(published) {
            assert!(
                (sigma * 255.0 - expected).abs() < 0.006,
                "{sigma} {expected}"
            );
        }
        let weights = ladder.iter().map(|s| 0.23 * (7.65 / 255.0 / s).powi(2));
        let published = [
            0.005606, 0.00953, 0.0162, 0.02754, 0.04682, 0.07959, 0.1353, 0.23,
        ];
        for (alpha, expected) in weights.zip(published) {
            assert!((alpha / expected - 1.0).abs() < 1e-3, "{alpha} {expected}");
        }
    }
}
