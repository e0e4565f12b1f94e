//! Expectation propagation for the likelihood of rounded numbers whose errors depend on each other.
//!
//! ```text
//! P(z) = P(low <= z + e < high),  e ~ N(0, Sigma),  Sigma = sigma^2*I + beta^2*A A^T = U diag(c) U^T;      wanted: grad log P
//! ```
//!
//! Two Gaussians of one precision each stand for what the bins tell and for what `Sigma` tells; each pass takes the moments of one
//! given the other (Meng and Kabashima 2023, arXiv:2302.00919, algorithm 2). With `v` the mean variance within the bins,
//! `e_i = c_i/(1 + tau_g*c_i)` and `e` their mean:
//!
//! ```text
//! (mean, v) of N(0, 1) in (bins - z - h/tau)*sqrt(tau)
//! tau_g = tau*(1/v - 1)                        h_g = h*(1/v - 1) + mean*sqrt(tau)/v
//! tau   = mean 1/(1 + tau_g*c_i) / e           h   = U diag((e_i - e)/e) U^T h_g
//! ```
//!
//! The paper's code writes the same as differences of moments, which cancel, divides by `sigma`, and multiplies two matrices in
//! each pass. At the fixed point the gradient is `sqrt(tau)*mean`. Passes need not come to rest, as those of matrices of a low rank do
//! not: what counts is the one that moved least.

use ndarray::Array1;

use super::rows::Directions;
use crate::truncated::Truncated;

/// How long passes go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passes {
    /// So often at most.
    pub(super) most: usize,
    /// Until messages change by less than this part of themselves.
    pub(super) tolerance: f64,
}

/// The share of the messages before that is kept, against swinging.
const DAMPING: f64 = 0.02;

/// What the Gaussian side says to the bins.
#[derive(Clone, Debug)]
pub(super) struct Messages {
    h: Array1<f64>,
    tau: f64,
}

/// `Sigma` at one level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread<'a> {
    of: &'a Directions,
    /// `sigma^2`.
    noise: f64,
    /// `beta^2`.
    level: f64,
}

/// The least noise, for each unit of the mean variance: without any, precisions have no end where rows depend on each other.
const FLOOR: f64 = 1e-9;

impl<'a> Spread<'a> {
    /// With noise of variance `noise` at a level of variance `level`.
    pub(super) fn new(of: &'a Directions, noise: f64, level: f64) -> Spread<'a> {
        let plain = Spread { of, noise, level };
        Spread {
            noise: noise.max(FLOOR * plain.mean(|c| c)),
            ..plain
        }
    }

    fn variance(&self, w: f64) -> f64 {
        self.noise + self.level * w
    }

    /// The mean of a function of the eigenvalues of `Sigma`.
    fn mean(&self, f: impl Fn(f64) -> f64) -> f64 {
        let (each, rest) = self.of.counts();
        let filled = self.of.w.iter().map(|&w| f(self.variance(w)));
        (each * filled.sum::<f64>() + rest * f(self.noise)) / self.of.m as f64
    }

    /// `U diag(f(c)) U^T v`.
    fn scaled(&self, v: &Array1<f64>, f: impl Fn(f64) -> f64) -> Array1<f64> {
        self.of.scaled(v, |w| f(self.variance(w)), f(self.noise))
    }

    /// `grad log P` at `z`, and how many passes it took. `messages` are those of a `z` nearby, if there was one, and are left for the
    /// next.
    pub(super) fn gradient(
        &self,
        z: &Array1<f64>,
        bins: &[[f64; 2]],
        passes: Passes,
        messages: &mut Option<Messages>,
    ) -> (Array1<f64>, usize) {
        let average = self.mean(|c| c);
        if average <= 0.0 {
            // Nothing is recorded and without noise: it tells nothing.
            return (Array1::zeros(z.len()), 0);
        }
        let mut to_bins = messages.take().unwrap_or_else(|| Messages {
            h: Array1::zeros(z.len()),
            tau: 1.0 / average,
        });
        let mut before: Option<(Array1<f64>, f64)> = None;
        let mut done = passes.most;
        let mut nearest = (f64::INFINITY, to_bins.clone());
        for pass in 0..passes.most {
            let (means, v) = moments(z, bins, &to_bins);
            let root = to_bins.tau.sqrt();
            let excess = 1.0 / v - 1.0;
            let mut tau_g = to_bins.tau * excess;
            let mut h_g = &to_bins.h * excess + &(&means * (root / v));
            if let Some((h, tau)) = &before {
                tau_g = damped(tau_g, *tau);
                h_g.zip_mut_with(h, |new, &old| *new = damped(*new, old));
            }
            let e = |c: f64| c / (1.0 + tau_g * c);
            let mean_e = self.mean(e);
            let mut tau = self.mean(|c| 1.0 / (1.0 + tau_g * c)) / mean_e;
            let mut h = self.scaled(&h_g, |c| (e(c) - mean_e) / mean_e);
            if pass > 0 {
                tau = damped(tau, to_bins.tau);
                h.zip_mut_with(&to_bins.h, |new, &old| *new = damped(*new, old));
            }
            let sound = tau > 0.0 && tau.is_finite() && h.iter().all(|h| h.is_finite());
            if !sound {
                // Bins so narrow beside what `Sigma` leaves that precisions have no end: the messages before are the best there are.
                done = pass;
                break;
            }
            let moved = change(&h, &to_bins.h) + ((tau - to_bins.tau) / tau).abs();
            to_bins = Messages { h, tau };
            before = Some((h_g, tau_g));
            if moved <= nearest.0 {
                nearest = (moved, to_bins.clone());
            }
            if moved < passes.tolerance {
                done = pass + 1;
                break;
            }
        }
        let (moved, nearest) = nearest;
        let (means, _) = moments(z, bins, &nearest);
        let gradient = means * nearest.tau.sqrt();
        // What grows from pass to pass is no beginning for the next.
        *messages = (moved < 1.0).then_some(nearest);
        (gradient, done)
    }
}

fn damped(new: f64, old: f64) -> f64 {
    (1.0 - DAMPING) * new + DAMPING * old
}

/// How far a message moved, as a part of itself.
fn change(new: &Array1<f64>, old: &Array1<f64>) -> f64 {
    let size = |v: f64| v.sqrt();
    let moved = size(new.iter().zip(old).map(|(a, b)| (a - b).powi(2)).sum());
    let all = size(new.iter().map(|v| v * v).sum());
    if all > 0.0 { moved / all } else { moved }
}

/// The mean of each number within its bin, as the messages have it, in their standard deviations; and the mean variance.
fn moments(z: &Array1<f64>, bins: &[[f64; 2]], to_bins: &Messages) -> (Array1<f64>, f64) {
    let root = to_bins.tau.sqrt();
    let mut variance = 0.0;
    let means = z.iter().zip(&to_bins.h).zip(bins).map(|((z, h), bin)| {
        let centre = z + h / to_bins.tau;
        let [low, high] = bin.map(|end| (end - centre) * root);
        let within = Truncated::within(low, high);
        variance += within.variance;
        within.mean
    });
    let means: Array1<f64> = means.collect();
    (means, variance / z.len() as f64)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, RngExt};
    use rand_distr::{Distribution, StandardNormal};

    use super::super::matrices::{array, correlated, gaussian, ill};
    use super::*;
    use crate::noise::generator;

    const SETTLED: Passes = Passes {
        most: 500,
        tolerance: 1e-9,
    };

    /// A measurement of `x` uniform in [0, 1] with noise of 0.1, and `x` with noise of a level on top.
    struct Case {
        a: Array2<f64>,
        directions: Directions,
        bins: Vec<[f64; 2]>,
        z: Array1<f64>,
        level: f64,
    }

    const SIGMA: f64 = 0.1;

    fn case(matrix: nalgebra::DMatrix<f64>, bits: u32, beta: f64, seed: u64) -> Case {
        let mut rng = generator(seed, "case");
        let mut normal =
            |n: usize| -> Array1<f64> { (0..n).map(|_| StandardNormal.sample(&mut rng)).collect() };
        let (m, n) = matrix.shape();
        let a = array(&matrix);
        let (noise, z) = (normal(m), normal(n));
        let x: Array1<f64> = (0..n).map(|_| rng.random::<f64>()).collect();
        let v = a.dot(&x) + noise * SIGMA;
        Case {
            z: a.dot(&(x + z * beta)),
            bins: bins(&v, bits),
            directions: Directions::of_matrix(matrix),
            a,
            level: beta * beta,
        }
    }

    fn bins(v: &Array1<f64>, bits: u32) -> Vec<[f64; 2]> {
        let half = f64::from(1 << (bits - 1));
        let ends = v
            .iter()
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &v| {
                [a.min(v), b.max(v)]
            });
        let step = (ends[1] - ends[0]) / (2.0 * half);
        let bin = |&v: &f64| {
            let q = (v / step).floor().clamp(-half, half - 1.0);
            [
                if q == -half {
                    f64::NEG_INFINITY
                } else {
                    q * step
                },
                if q == half - 1.0 {
                    f64::INFINITY
                } else {
                    (q + 1.0) * step
                },
            ]
        };
        v.iter().map(bin).collect()
    }

    impl Case {
        fn spread(&self) -> Spread<'_> {
            Spread::new(&self.directions, SIGMA * SIGMA, self.level)
        }

        fn propagated(&self, passes: Passes) -> (Array1<f64>, usize) {
            self.spread()
                .gradient(&self.z, &self.bins, passes, &mut None)
        }

        /// The formula of orthogonal rows.
        fn diagonal(&self) -> Array1<f64> {
            let variance =
                |row: ndarray::ArrayView1<'_, f64>| SIGMA * SIGMA + self.level * row.dot(&row);
            let each = self.z.iter().zip(&self.bins).zip(self.a.outer_iter());
            each.map(|((z, bin), row)| {
                let s = variance(row).sqrt();
                let [low, high] = bin.map(|end| (end - z) / s);
                Truncated::within(low, high).mean / s
            })
            .collect()
        }

        /// The gradient by a Gibbs chain over the errors in their bins: in each number's mean given all others it hears no chance
        /// but theirs.
        fn sampled(&self, sweeps: usize) -> Array1<f64> {
            let m = self.z.len();
            let sigma =
                self.a.dot(&self.a.t()) * self.level + Array2::<f64>::eye(m) * SIGMA.powi(2);
            let inverse = nalgebra::DMatrix::from_fn(m, m, |i, j| sigma[[i, j]])
                .try_inverse()
                .unwrap();
            let precision = array(&inverse);
            let ends: Vec<[f64; 2]> = self
                .bins
                .iter()
                .zip(&self.z)
                .map(|(b, z)| b.map(|e| e - z))
                .collect();
            let inside = |&[low, high]: &[f64; 2]| match (low.is_finite(), high.is_finite()) {
                (true, true) => 0.5 * (low + high),
                (true, false) => low.max(0.0) + 0.1,
                _ => high.min(0.0) - 0.1,
            };
            let mut e: Array1<f64> = ends.iter().map(inside).collect();
            let (mut rng, mut sum) = (generator(1, "gibbs"), Array1::zeros(m));
            for sweep in 0..sweeps {
                for i in 0..m {
                    let row = precision.row(i);
                    let s = 1.0 / row[i].sqrt();
                    let mean = e[i] - row.dot(&e) / row[i];
                    let [low, high] = ends[i].map(|end| (end - mean) / s);
                    if sweep >= sweeps / 10 {
                        sum[i] += Truncated::within(low, high).mean / s;
                    }
                    e[i] = mean + s * draw(low, high, &mut rng);
                }
            }
            sum / (sweeps - sweeps / 10) as f64
        }

        /// How far `A^T g` is off, relative to the truth, and its cosine.
        fn off(&self, g: &Array1<f64>, truth: &Array1<f64>) -> (f64, f64) {
            let (p, q) = (self.a.t().dot(g), self.a.t().dot(truth));
            let size = |v: &Array1<f64>| v.dot(v).sqrt();
            (
                size(&(&p - &q)) / size(&q),
                p.dot(&q) / (size(&p) * size(&q)),
            )
        }
    }

    /// A draw of N(0, 1) in an interval (Robert 1995).
    fn draw(low: f64, high: f64, rng: &mut impl Rng) -> f64 {
        if low + high < 0.0 || low == f64::NEG_INFINITY {
            return -draw(-high, -low, rng);
        }
        let rate = 0.5 * (low + (low * low + 4.0).sqrt());
        loop {
            let (t, kept) = if low < 0.0 && high - low > 1.5 {
                (StandardNormal.sample(rng), 1.0)
            } else if high - low < 2.0 / rate {
                let t = low + (high - low) * rng.random::<f64>();
                let nearest = low.max(0.0);
                (t, (0.5 * (nearest * nearest - t * t)).exp())
            } else {
                let t = low - rng.random::<f64>().ln() / rate;
                (t, (-0.5 * (t - rate).powi(2)).exp())
            };
            if t >= low && t <= high && rng.random::<f64>() < kept {
                return t;
            }
        }
    }

    /// Where `A A^T` is a multiple of the identity one pass gives what orthogonal rows have, whether that is known or found. Wrong: a
    /// precision that begins at 1, which takes several.
    #[test]
    fn orthogonal_rows_take_one_pass() {
        let (m, n) = (30, 50);
        let svd = gaussian(m, n, 1).svd(true, true);
        let rows = svd.u.unwrap() * svd.v_t.unwrap() * (n as f64 / m as f64).sqrt();
        for bits in 1..=3 {
            for beta in [0.02, 0.5, 20.0] {
                let mut case = case(rows.clone(), bits, beta, 5);
                let once = Passes {
                    most: 1,
                    tolerance: 1e-9,
                };
                let expected = case.diagonal();
                let near = |g: Array1<f64>| {
                    let off = (g - &expected).mapv(f64::abs).sum();
                    assert!(
                        off < 1e-9 * expected.mapv(f64::abs).sum(),
                        "{bits}, {beta}: {off}"
                    );
                };
                near(case.propagated(once).0);
                case.directions = Directions {
                    u: None,
                    w: Array1::from_elem(1, n as f64 / m as f64),
                    m,
                };
                near(case.propagated(once).0);
            }
        }
    }

    /// Rows that are alike, empty or too many, without noise: passes end, and gradients are numbers. Wrong: precisions without end.
    #[test]
    fn rows_may_depend_on_each_other() {
        let mut alike = gaussian(48, 64, 1);
        for j in 0..64 {
            alike[(7, j)] = alike[(3, j)];
            alike[(9, j)] = 0.0;
        }
        let mut spread = gaussian(48, 64, 2);
        for (i, mut row) in spread.row_iter_mut().enumerate() {
            row *= 10f64.powf(-3.0 + 6.0 * i as f64 / 47.0);
        }
        let low = gaussian(48, 5, 3) * gaussian(5, 64, 4);
        for matrix in [alike, spread, low, gaussian(90, 40, 5), ill(48, 64, 1e9, 6)] {
            for bits in 1..=3 {
                for beta in [20.0, 0.3, 0.01] {
                    let case = case(matrix.clone(), bits, beta, 5);
                    let spread = Spread::new(&case.directions, 0.0, case.level);
                    let passes = Passes {
                        most: 50,
                        tolerance: 1e-4,
                    };
                    let mut messages = None;
                    for _ in 0..3 {
                        let (g, _) = spread.gradient(&case.z, &case.bins, passes, &mut messages);
                        assert!(g.iter().all(|g| g.is_finite()), "{bits}, {beta}");
                    }
                }
            }
        }
    }

    /// Against a chain that draws from the truth: EP's gradients are much closer to it than those of orthogonal rows. Wrong: messages
    /// of the pass before, a rest that is not counted, passes that divide by the noise.
    #[test]
    fn gradients_are_those_of_a_chain() {
        for (matrix, bits, beta, diagonal, propagated) in [
            (gaussian(50, 100, 1), 1, 1.0, 0.25, 0.05),
            (correlated(50, 100, 0.8, 2), 2, 0.2, 0.3, 0.08),
            (ill(50, 100, 1e3, 3), 2, 1.0, 0.9, 0.25),
            // More numbers than the picture has: not all directions are filled.
            (gaussian(60, 40, 4), 2, 0.5, 0.15, 0.08),
        ] {
            let case = case(matrix, bits, beta, 7);
            let truth = case.sampled(6000);
            let (off, _) = case.off(&case.diagonal(), &truth);
            assert!(off > diagonal, "{bits}, {beta}: {off}");
            let (g, passes) = case.propagated(SETTLED);
            let (off, cosine) = case.off(&g, &truth);
            assert!(
                off < propagated && cosine > 0.97,
                "{bits}, {beta}: {off} {cosine}"
            );
            assert!(passes < 200, "{passes}");
        }
    }

    /// Prints how far gradients are off, for each kind of matrix: the table of docs/quantised-sensing.md.
    #[test]
    #[ignore = "a table, which takes a minute: run with --ignored --nocapture"]
    fn table_of_gradients() {
        println!(
            "| matrix | bits | beta | orthogonal rows | 1 pass | 5 passes | settled (passes) |"
        );
        println!("|---|---|---|---|---|---|---|");
        let kinds = [
            ("Gaussian", gaussian(50, 100, 3)),
            ("correlated 0.4", correlated(50, 100, 0.4, 3)),
            ("correlated 0.8", correlated(50, 100, 0.8, 3)),
            ("condition 1e3", ill(50, 100, 1e3, 3)),
            ("condition 1e6", ill(50, 100, 1e6, 3)),
        ];
        for (name, matrix) in kinds {
            for (bits, beta) in [(1, 1.0), (1, 0.2), (2, 1.0), (2, 0.2)] {
                let case = case(matrix.clone(), bits, beta, 11);
                let truth = case.sampled(100_000);
                let after = |most| {
                    let passes = Passes {
                        most,
                        tolerance: 1e-6,
                    };
                    let (g, done) = case.propagated(passes);
                    (case.off(&g, &truth).0, done)
                };
                let (off, cosine) = case.off(&case.diagonal(), &truth);
                let (settled, passes) = after(300);
                println!(
                    "| {name} | {bits} | {beta} | {off:.2} ({cosine:.3}) | {:.2} | {:.3} | {settled:.3} ({passes}) |",
                    after(1).0,
                    after(5).0
                );
            }
        }
    }
}
