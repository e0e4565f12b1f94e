//! Signals with heavy-tailed steps, and a Gibbs sampler for what is known of them (Bohra et al. 2023, "Bayesian inversion for
//! nonlinear imaging models using deep generative priors", and the statistical benchmark after it).
//!
//! Each step is a Gaussian of random variance `w`: Laplace's where `w` is exponential, Student's where `1/w` is of a Gamma law.
//! Given all `w` the signal is Gaussian, given the signal they are drawn one by one; so posterior and denoiser are averages of
//! Gaussians over a chain.

use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, InverseGaussian, StandardNormal};
use tweedie::level::Level;
use tweedie::operator::Operator;
use tweedie::prior::{Card, Error, Estimate, Prior, Pullback};
use tweedie::{Dims, Image};

use crate::reference::{Case, measured};
use crate::{NETWORK, Result};

/// Numbers of a signal.
const N: usize = 64;
/// The deviation of its first number.
const FIRST: f64 = 0.2;
/// The scale of its steps.
const SCALE: f64 = 0.03;
/// Draws of a chain that are thrown away, and that count, in one denoising.
const CHAIN: [usize; 2] = [20, 60];

/// The law of the steps.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Law {
    Laplace,
    /// Three degrees of freedom.
    Student,
}

impl Law {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Law::Laplace => "Laplace",
            Law::Student => "Student-t",
        }
    }

    /// A variance, for a step of this size; of the law itself if there is none.
    fn variance(self, step: Option<f64>, rng: &mut ChaCha8Rng) -> f64 {
        let exponential = |rng: &mut ChaCha8Rng| -(1.0 - rng.random::<f64>()).ln();
        match (self, step) {
            (Law::Laplace, None) => 2.0 * SCALE * SCALE * exponential(rng),
            (Law::Laplace, Some(step)) => {
                let mean = 1.0 / (SCALE * step.abs().max(1e-9));
                let inverse = InverseGaussian::new(mean, 1.0 / (SCALE * SCALE));
                1.0 / inverse.expect("positive").sample(rng).max(1e-9)
            }
            (Law::Student, None) => {
                // chi^2 of three degrees.
                let normal = |rng: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(rng) };
                let chi: f64 = (0..3).map(|_| normal(rng).powi(2)).sum();
                3.0 * SCALE * SCALE / chi.max(1e-9)
            }
            (Law::Student, Some(step)) => {
                let gamma = exponential(rng) + exponential(rng);
                (3.0 * SCALE * SCALE + step * step) / 2.0 / gamma.max(1e-9)
            }
        }
    }
}

/// The prior; its denoiser is a chain whose chance is always the same, so that it is a function.
#[derive(Debug)]
pub(crate) struct Heavy {
    law: Law,
    card: Card,
}

/// A positive definite matrix with three diagonals, factored: `L L^T`.
struct Factor {
    diagonal: [f64; N],
    below: [f64; N],
}

impl Factor {
    /// Of the precision of a signal whose steps have these variances, and of `extra` on the diagonal.
    fn new(variances: &[f64; N], extra: f64) -> Factor {
        let mut factor = Factor {
            diagonal: [0.0; N],
            below: [0.0; N],
        };
        for i in 0..N {
            let next = variances.get(i + 1).map_or(0.0, |w| 1.0 / w);
            let mut d = 1.0 / variances[i] + next + extra;
            if i > 0 {
                factor.below[i] = -1.0 / variances[i] / factor.diagonal[i - 1];
                d -= factor.below[i].powi(2);
            }
            factor.diagonal[i] = d.sqrt();
        }
        factor
    }

    /// `L^-1 b`.
    fn down(&self, b: &[f64; N]) -> [f64; N] {
        let mut x = *b;
        for i in 0..N {
            let before = if i > 0 { self.below[i] * x[i - 1] } else { 0.0 };
            x[i] = (x[i] - before) / self.diagonal[i];
        }
        x
    }

    /// `L^-T b`.
    fn up(&self, b: &[f64; N]) -> [f64; N] {
        let mut x = *b;
        for i in (0..N).rev() {
            let after = if i + 1 < N {
                self.below[i + 1] * x[i + 1]
            } else {
                0.0
            };
            x[i] = (x[i] - after) / self.diagonal[i];
        }
        x
    }
}

fn normal(rng: &mut ChaCha8Rng) -> [f64; N] {
    std::array::from_fn(|_| StandardNormal.sample(rng))
}

/// The variances of the steps of a signal.
fn variances(law: Law, x: &[f64; N], rng: &mut ChaCha8Rng) -> [f64; N] {
    std::array::from_fn(|i| match i {
        0 => FIRST * FIRST,
        _ => law.variance(Some(x[i] - x[i - 1]), rng),
    })
}

impl Heavy {
    pub(crate) fn new(law: Law) -> Heavy {
        Heavy {
            law,
            card: Card::exact(Dims::new(1, 1, N), NETWORK),
        }
    }

    /// Draws of the prior.
    pub(crate) fn draws(&self, n: usize, seed: u64) -> Image {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut out = Image::zeros((n, 1, 1, N));
        for mut row in out.outer_iter_mut() {
            let mut x = 0.0;
            for (i, v) in row.iter_mut().enumerate() {
                let w = match i {
                    0 => FIRST * FIRST,
                    _ => self.law.variance(None, &mut rng),
                };
                let z: f64 = StandardNormal.sample(&mut rng);
                x += w.sqrt() * z;
                *v = x as f32;
            }
        }
        out
    }

    /// Calls `each` with the Gaussians of a chain: of `x0` given the variances, and `seen`, which is `x0` with noise of this
    /// precision.
    fn chain(&self, seen: &[f64; N], precision: f64, mut each: impl FnMut(&Factor, &[f64; N])) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut x = *seen;
        for k in 0..CHAIN[0] + CHAIN[1] {
            let factor = Factor::new(&variances(self.law, &x, &mut rng), precision);
            let pull: [f64; N] = std::array::from_fn(|i| precision * seen[i]);
            let half = factor.down(&pull);
            if k >= CHAIN[0] {
                each(&factor, &factor.up(&half));
            }
            let z = normal(&mut rng);
            x = factor.up(&std::array::from_fn(|i| half[i] + z[i]));
        }
    }

    /// What a picture's row says of `x0`, and how precisely.
    fn seen(row: &[f32], level: Level) -> ([f64; N], f64) {
        let seen = std::array::from_fn(|i| f64::from(row[i]) / level.a);
        (seen, (level.a / level.b).powi(2))
    }

    fn rows(&self, x: &Image, each: impl Fn(usize, &[f32]) -> [f64; N] + Sync) -> Image {
        use rayon::prelude::*;
        let n = x.dim().0;
        let x = x.as_standard_layout();
        let flat = x.as_slice().expect("in order");
        let rows: Vec<[f64; N]> = (0..n)
            .into_par_iter()
            .map(|k| each(k, &flat[k * N..(k + 1) * N]))
            .collect();
        Image::from_shape_fn((n, 1, 1, N), |(k, _, _, i)| rows[k][i] as f32)
    }

    /// A case, with draws of the posterior by the same chain with the measurement's precision.
    pub(crate) fn case(
        self: &Arc<Heavy>,
        name: &str,
        operator: Box<dyn Operator>,
        sigma: f64,
    ) -> Result<Case> {
        let problem = measured(&self.draws(1, 11), operator, sigma)?;
        let a = problem.operator.linear().ok_or("a linear operator")?;
        let unit = Image::from_shape_fn((N, 1, 1, N), |(k, _, _, i)| f32::from(k == i));
        let columns = a.apply(&unit);
        let a_matrix = DMatrix::from_fn(columns.len() / N, N, |i, k| {
            f64::from(
                *columns
                    .index_axis(ndarray::Axis(0), k)
                    .iter()
                    .nth(i)
                    .expect("a number"),
            )
        });
        let y = DVector::from_iterator(problem.y.len(), problem.y.iter().map(|&v| f64::from(v)));
        let seen = a_matrix.transpose() * &a_matrix / (sigma * sigma);
        let pull = a_matrix.transpose() * y / (sigma * sigma);
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        let guess = problem.operator.guess(&problem.y);
        let mut x: [f64; N] = std::array::from_fn(|i| f64::from(guess[[0, 0, 0, i]]));
        // Of each ten draws the last.
        const DRAWS: usize = 2000;
        let mut law = Image::zeros((DRAWS, 1, 1, N));
        for k in 0..(DRAWS + 100) * 10 {
            let w = variances(self.law, &x, &mut rng);
            let mut precision = seen.clone();
            for i in 0..N {
                precision[(i, i)] += 1.0 / w[i];
                if i + 1 < N {
                    precision[(i, i)] += 1.0 / w[i + 1];
                    precision[(i, i + 1)] -= 1.0 / w[i + 1];
                    precision[(i + 1, i)] -= 1.0 / w[i + 1];
                }
            }
            let factor = precision.cholesky().ok_or("a precision")?;
            let z = DVector::from_row_slice(&normal(&mut rng));
            let noise = factor.l().transpose().solve_upper_triangular(&z);
            let draw = factor.solve(&pull) + noise.ok_or("a regular factor")?;
            x = std::array::from_fn(|i| draw[i]);
            if k >= 1000 && k % 10 == 9 {
                let row = (k - 1000) / 10;
                (0..N).for_each(|i| law[[row, 0, 0, i]] = x[i] as f32);
            }
        }
        Ok(Case {
            name: name.to_owned(),
            prior: self.clone(),
            problem,
            law,
        })
    }
}

impl Prior for Heavy {
    fn card(&self) -> &Card {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> std::result::Result<Estimate, Error> {
        let x0 = self.rows(x, |_, row| {
            let (seen, precision) = Heavy::seen(row, level);
            let mut sum = [0.0; N];
            self.chain(&seen, precision, |_, mean| {
                sum.iter_mut()
                    .zip(mean)
                    .for_each(|(s, m)| *s += m / CHAIN[1] as f64);
            });
            sum
        });
        Ok(x0.into())
    }

    /// `J = a/b^2 * Cov(x0 | x)`, the covariance that of the chain: the mean of those within, and that of the means.
    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> std::result::Result<(Estimate, Pullback<'a>), Error> {
        let estimate = self.estimate(x, level)?;
        let (x, x0) = (x.clone(), estimate.x0.clone());
        let pullback = move |v: &Image| {
            let v = v.as_standard_layout();
            let flat = v.as_slice().expect("in order");
            let scale = level.a / (level.b * level.b) / CHAIN[1] as f64;
            Ok(self.rows(&x, |k, row| {
                let (seen, precision) = Heavy::seen(row, level);
                let v: [f64; N] = std::array::from_fn(|i| f64::from(flat[k * N + i]));
                let mut sum = [0.0; N];
                self.chain(&seen, precision, |factor, mean| {
                    let within = factor.up(&factor.down(&v));
                    let off: [f64; N] =
                        std::array::from_fn(|i| mean[i] - f64::from(x0[[k, 0, 0, i]]));
                    let along: f64 = off.iter().zip(&v).map(|(o, v)| o * v).sum();
                    for i in 0..N {
                        sum[i] += scale * (within[i] + along * off[i]);
                    }
                });
                sum
            }))
        };
        Ok((estimate, Box::new(pullback)))
    }
}
