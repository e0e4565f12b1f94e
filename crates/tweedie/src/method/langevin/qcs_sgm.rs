//! QCS-SGM: compressed sensing from rounded measurements by annealed Langevin steps in the posterior (Meng and Kabashima 2022,
//! arXiv:2211.13006).
//!
//! ```text
//! y = Q(A x + n);   for each level beta, the noisiest first:  repeats times
//!     x <- x + h*(score(x, beta) + weight*A^T g) + sqrt(2h)*z
//! s_m = sqrt(sigma^2 + beta^2*|a_m|^2),    low, high = the ends of bin m, less (A x)_m, over s_m
//! g_m = (phi(low) - phi(high))/(Phi(high) - Phi(low))/s_m                   of numbers that are not rounded (y_m - (A x)_m)/s_m^2
//! h   = min(step*beta^2, 0.5/(1/beta^2 + |diag(1/s) A|^2))
//! ```
//!
//! `A^T g` is the gradient of the measurement's log-likelihood given the noisy `x`, if `A A^T` is diagonal: rows that are orthogonal,
//! as long random ones nearly are. Where they are not, [`QcsSgmPlus`](super::QcsSgmPlus) is right. The ratio is written so that it
//! holds in the tails (`truncated`): the authors' code limits the probabilities to 1e-6, so that what is violated most does not
//! pull at all. Its steps, of `2*beta^2`, hold with a network whose answers are bounded; here they are limited to half of
//! what is stable. The authors begin with uniform noise in [0, 1], here the chain begins with that of the first level; they leave
//! the last level's noise, which `denoise` removes.

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use super::ladder::{self, Ladder, check_step};
use super::rows::{Record, lengths2, measurements, pictures};
use crate::Image;
use crate::grid::{Grid, Schedule};
use crate::level::Level;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::noise::{NoiseSource, Seeded};
use crate::operator::Linear;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::truncated::Truncated;

/// Settings of QCS-SGM. By default those of the paper for MNIST.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QcsSgm {
    /// The levels that are visited.
    pub grid: Grid,
    /// Steps at each level.
    pub repeats: usize,
    /// Length of a step, for each unit of the level's variance, above 0 and up to 2; longer ones than are stable are shortened.
    pub step: f64,
    /// Weight of the measurement, 1 for the posterior.
    pub weight: f64,
    /// Whether the last level's noise is removed at the end.
    pub denoise: bool,
    /// What the first level is made from.
    pub start: Start,
}

/// The paper's ladder, for data in [0, 1].
pub(super) fn ladder(steps: usize) -> Grid {
    Grid::all(Schedule::Ve {
        sigma_min: 0.01,
        sigma_max: 50.0,
        steps,
    })
}

impl Default for QcsSgm {
    /// `epsilon = 2e-4` at `sigma_L = 0.01`.
    fn default() -> QcsSgm {
        QcsSgm {
            grid: ladder(232),
            repeats: 5,
            step: 2.0,
            weight: 1.0,
            denoise: false,
            start: Start::Noise,
        }
    }
}

impl Described for QcsSgm {
    const CARD: Card = Card {
        summary: "compressed sensing, also from a few bits a number, by annealed Langevin steps; for rows that are nearly orthogonal",
        paper: "Meng and Kabashima 2022, arXiv:2211.13006",
    };

    fn with_steps(mut self, steps: usize) -> QcsSgm {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.ladder().nfe(prior)
    }
}

impl Tuned for QcsSgm {
    fn tuned(task: &Task) -> QcsSgm {
        QcsSgm {
            grid: ladder(task.steps.unwrap_or(100)),
            repeats: 3,
            denoise: true,
            ..QcsSgm::default()
        }
    }
}

impl QcsSgm {
    fn ladder(&self) -> Ladder<'_> {
        Ladder {
            grid: &self.grid,
            repeats: self.repeats,
            denoise: self.denoise,
            start: self.start,
        }
    }
}

impl Method for QcsSgm {
    fn needs(&self) -> Vec<Need> {
        vec![Need::LinearBeforeRounding]
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        check_sensing_step(self.step)?;
        check_weight("the weight of the measurement", self.weight)?;
        let (operator, record) = Record::of(problem)?;
        let mut pull = Diagonal {
            settings: self,
            lengths2: lengths2(operator, "qcs-sgm")?,
            gram: operator.gram(),
            operator,
            record,
            noise: problem.sigma().powi(2),
            variances: Vec::new(),
            steepest: Seeded::new(0, "norm").normal(1, operator.input()),
        };
        self.ladder().descend(prior, problem, &mut pull, run)
    }
}

pub(super) fn check_sensing_step(step: f64) -> Result<(), Error> {
    match step {
        // The published one.
        2.0 => Ok(()),
        _ => check_step(step),
    }
}

pub(super) fn check_weight(what: &str, weight: f64) -> Result<(), Error> {
    Error::unless(weight > 0.0 && weight.is_finite(), || {
        format!("{what} is a positive number, not {weight}")
    })
}

/// The pull of numbers whose errors do not depend on each other.
struct Diagonal<'a> {
    settings: &'a QcsSgm,
    operator: &'a dyn Linear,
    record: Record,
    /// `|a_m|^2`.
    lengths2: Vec<f64>,
    gram: Option<f64>,
    /// `sigma^2`.
    noise: f64,
    /// `s_m^2` of the present level.
    variances: Vec<f64>,
    /// About the image that the likelihood changes fastest along.
    steepest: Image,
}

/// Power iterations at each level: from level to level the steepest image hardly changes.
const ITERATIONS: usize = 12;

impl Diagonal<'_> {
    /// `|diag(1/s) A|^2`.
    fn steepness(&mut self) -> f64 {
        if let Some(gram) = self.gram {
            return gram * inverse(self.variances[0]);
        }
        let mut value = 0.0;
        for _ in 0..ITERATIONS {
            let size = self
                .steepest
                .iter()
                .map(|v| f64::from(v * v))
                .sum::<f64>()
                .sqrt();
            if size == 0.0 {
                return 0.0;
            }
            self.steepest.mapv_inplace(|v| (f64::from(v) / size) as f32);
            let mut seen = pictures(&self.operator.apply(&self.steepest));
            value = 0.0;
            for (v, s2) in seen[0].iter_mut().zip(&self.variances) {
                value += *v * *v * inverse(*s2);
                *v *= inverse(*s2);
            }
            self.steepest = self.operator.adjoint(&measurements(self.operator, &seen));
        }
        // It comes from below.
        1.05 * value
    }
}

/// Of a row without noise and without length nothing is learned.
fn inverse(variance: f64) -> f64 {
    if variance > 0.0 { 1.0 / variance } else { 0.0 }
}

impl ladder::Pull for Diagonal<'_> {
    fn enter(&mut self, level: Level) -> f64 {
        let variance = level.b * level.b;
        let of = |length2: &f64| self.noise + variance * length2;
        self.variances = self.lengths2.iter().map(of).collect();
        let weight = self.settings.weight;
        let safe = 0.5 / (1.0 / variance + weight * self.steepness());
        (self.settings.step * variance).min(safe)
    }

    fn drift(&mut self, x: &Image, score: Image) -> Image {
        let seen = pictures(&self.operator.apply(x));
        let each = |(i, z): (usize, Vec<f64>)| match &self.record {
            Record::Bins(bins) => of_bins(&z, &bins[i], &self.variances),
            Record::Numbers(y) => {
                let numbers = z.iter().zip(&y[i]).zip(&self.variances);
                numbers.map(|((z, y), s2)| (y - z) * inverse(*s2)).collect()
            }
        };
        let g: Vec<Vec<f64>> = seen.into_iter().enumerate().map(each).collect();
        let pull = self.operator.adjoint(&measurements(self.operator, &g));
        let mut drift = score;
        let weight = self.settings.weight as f32;
        Zip::from(&mut drift)
            .and(&pull)
            .for_each(|d, &p| *d += weight * p);
        drift
    }
}

/// The gradient of `sum log P(low_m <= z_m + N(0, s_m^2) < high_m)`.
fn of_bins(z: &[f64], bins: &[[f64; 2]], variances: &[f64]) -> Vec<f64> {
    let each = z.iter().zip(bins).zip(variances);
    each.map(|((z, bin), &s2)| {
        if s2 <= 0.0 {
            return 0.0;
        }
        let s = s2.sqrt();
        let [low, high] = bin.map(|end| (end - z) / s);
        Truncated::within(low, high).mean / s
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gradients are those of the log-likelihood, by differences, for 1, 2 and 3 bits, near and far from the bins; of narrow bins
    /// those of numbers that are not rounded. Wrong: probabilities that are limited, which give 0 where a bin is far.
    #[test]
    fn gradients_are_those_of_the_likelihood() {
        let none = f64::INFINITY;
        let ends = [-none, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, none];
        let variances = [0.3, 2.0, 1e-4, 400.0];
        for (i, &low) in ends.iter().enumerate() {
            for &high in &ends[i + 1..] {
                for z in [-4.0, -0.3, 0.0, 1.7, 3.5] {
                    let bins = [[low, high]; 4];
                    let likelihood = |z: f64| -> Vec<f64> {
                        let mass = |s2: &f64| {
                            let [l, u] = [low, high].map(|end| (end - z) / s2.sqrt());
                            Truncated::within(l, u).log_mass
                        };
                        variances.iter().map(mass).collect()
                    };
                    let found = of_bins(&[z; 4], &bins, &variances);
                    for (k, g) in found.iter().enumerate() {
                        let s = variances[k].sqrt();
                        let e = 1e-4 * s;
                        let slope = (likelihood(z + e)[k] - likelihood(z - e)[k]) / (2.0 * e);
                        let off = (slope - g).abs() * s;
                        // Far bins have large log-masses, of which differences lose digits.
                        let size = likelihood(z)[k].abs();
                        assert!(
                            off < 1e-6 + 1e-11 * size,
                            "[{low}, {high}], {z}: {slope} {g}"
                        );
                    }
                }
            }
        }
        let narrow = of_bins(&[0.3; 2], &[[0.9999, 1.0001]; 2], &[0.5, 0.02]);
        for (g, s2) in narrow.iter().zip([0.5, 0.02]) {
            assert!((g - 0.7 / s2).abs() < 1e-5 * g, "{g}");
        }
        assert_eq!(of_bins(&[0.1], &[[0.0, none]], &[0.0]), [0.0]);
    }
}
