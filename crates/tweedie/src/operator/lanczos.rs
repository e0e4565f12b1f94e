//! Functions of the singular values of any linear operator, by Golub-Kahan bidiagonalisation.
//!
//! From `x`, Lanczos' process on `A^T A` makes orthonormal vectors `V_k` in which the operator is a small bidiagonal matrix
//! `B`; with `B = P S W^T`,
//!
//! ```text
//! V g(S) V^T x  is about  |x| V_k W g(S) W^T e_1         from v_1 = x/|x|, A V_k = U_k B
//! V g(S) U^T y  is about  |y| V_k W g(S) P^T e_1         from u_1 = y/|y|, A V_k = U_{k+1} B
//! ```
//!
//! Golub and Kahan 1965; Paige and Saunders 1982 (the second for `g = 1/s` is LSQR); Arrigo, Benzi and Fenu 2016,
//! "Computation of generalized matrix functions". The error falls as fast as polynomials can follow `g`: geometrically for
//! smooth functions, slowly where `g` jumps. It is estimated by how much the answer still changes. The vectors `V` are kept,
//! in f32, and each new one is made orthogonal to all of them (Simon and Zha 2000: one side is enough).

use std::sync::OnceLock;

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use super::cg::{self, dot};
use super::{Gain, Linear, Spectrum};
use crate::Image;
use crate::noise::{NoiseSource, Seeded};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Relative change of the answer over two steps at which it is good enough.
    pub tolerance: f64,
    /// Steps after which it has to do, each with one application of the operator and one of its adjoint.
    pub steps: usize,
}

impl Default for Params {
    /// A change of 1e-4, or 60 steps.
    fn default() -> Params {
        Params {
            tolerance: 1e-4,
            steps: 60,
        }
    }
}

impl Params {
    /// For a step among others, in which noise is added anyway: a change of 1e-2, or 16 steps.
    ///
    /// The inverse of a weak singular value is not reached then, which keeps it tame, as the limit of
    /// [`cg::Params::STEP`] does.
    pub const STEP: Params = Params {
        tolerance: 1e-2,
        steps: 16,
    };
}

/// Bytes that the vectors of one process may take: large pictures get fewer steps.
const MEMORY: usize = 2 << 30;

/// Singular values below this part of the largest are zero: operators compute in f32.
const ZERO: f64 = 1e-6;

/// The spectrum of a linear operator, as closely as [`Params`] ask.
#[derive(Debug)]
pub struct Lanczos<'a> {
    operator: &'a dyn Linear,
    params: Params,
    norm: OnceLock<f64>,
}

impl<'a> Lanczos<'a> {
    /// With the default accuracy.
    pub fn new(operator: &'a dyn Linear) -> Lanczos<'a> {
        Lanczos::with(operator, Params::default())
    }

    /// With an accuracy.
    pub fn with(operator: &'a dyn Linear, params: Params) -> Lanczos<'a> {
        Lanczos {
            operator,
            params,
            norm: OnceLock::new(),
        }
    }

    fn adjoint(&self, u: &[f64]) -> Vec<f64> {
        let u = cg::image(u, self.operator.output());
        cg::vector(&self.operator.adjoint(&u))
    }

    fn apply(&self, v: &[f32]) -> Vec<f64> {
        let v = Image::from_shape_vec(self.operator.input().batch(1), v.to_vec());
        let v = v.expect("a vector of the picture's length");
        cg::vector(&self.operator.apply(&v))
    }

    /// The answers for one picture.
    fn functions(&self, start: &[f64], back: bool, gains: &[Gain<'_>]) -> Vec<Vec<f64>> {
        let n = self.operator.input().len();
        let size = dot(start, start).sqrt();
        if size == 0.0 {
            return vec![vec![0.0; n]; gains.len()];
        }
        let most = self.params.steps.min(MEMORY / (4 * n)).max(2);
        let mut process = Process::new(self, start, size, back);
        let mut old: Vec<DVector<f64>> = Vec::new();
        loop {
            let done = !process.step() || process.vectors.len() >= most;
            if !done && process.vectors.len() % 2 == 1 {
                continue;
            }
            let new = process.coefficients(gains);
            // A function of what is not measured is zero as far as the first values reach, which tells nothing.
            let settled = !old.is_empty()
                && new.iter().zip(&old).all(|(new, old)| {
                    let padded = old.clone().resize_vertically(new.len(), 0.0);
                    let (change, size) = ((new - padded).norm(), new.norm());
                    (back || size > 0.0) && change <= self.params.tolerance * size
                });
            if done || settled {
                return new.iter().map(|c| process.combine(&(c * size))).collect();
            }
            old = new;
        }
    }

    fn each(&self, x: &Image, back: bool, gains: &[Gain<'_>]) -> Vec<Image> {
        let input = self.operator.input();
        let mut out = vec![Image::zeros(input.batch(x.dim().0)); gains.len()];
        for (i, picture) in x.axis_chunks_iter(ndarray::Axis(0), 1).enumerate() {
            let start = cg::vector(&picture.to_owned());
            for (out, answer) in out.iter_mut().zip(self.functions(&start, back, gains)) {
                let answer = cg::image(&answer, input);
                out.slice_mut(ndarray::s![i..i + 1, .., .., ..])
                    .assign(&answer);
            }
        }
        out
    }
}

impl Spectrum for Lanczos<'_> {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        self.each(x, false, gains)
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        self.each(y, true, gains)
    }

    /// From below, as twenty steps find it: closer than as many of power iteration, since they keep all that they have seen.
    fn norm(&self) -> f64 {
        *self.norm.get_or_init(|| {
            let dims = self.operator.input();
            // About a gray picture, as in `operator::norm`.
            let start = Seeded::new(0, "norm").normal(1, dims) * 0.5 + 1.0;
            let start = cg::vector(&start);
            let mut process = Process::new(self, &start, dot(&start, &start).sqrt(), false);
            let most = 20.min(MEMORY / (4 * dims.len())).max(2);
            while process.vectors.len() < most && process.step() {}
            process.matrix().singular_values().max()
        })
    }
}

/// A bidiagonalisation under way.
struct Process<'a> {
    lanczos: &'a Lanczos<'a>,
    back: bool,
    vectors: Vec<Vec<f32>>,
    /// The last left vector.
    u: Vec<f64>,
    /// The matrix: in column `k` its diagonal `alpha_k`, and the entry beside it, below (back) or above.
    alpha: Vec<f64>,
    beta: Vec<f64>,
}

impl<'a> Process<'a> {
    fn new(lanczos: &'a Lanczos<'a>, start: &[f64], size: f64, back: bool) -> Process<'a> {
        let unit: Vec<f64> = start.iter().map(|v| v / size).collect();
        let mut process = Process {
            lanczos,
            back,
            vectors: Vec::new(),
            u: Vec::new(),
            alpha: Vec::new(),
            beta: Vec::new(),
        };
        if back {
            process.u = unit;
        } else {
            process
                .vectors
                .push(unit.iter().map(|&v| v as f32).collect());
            process.u = lanczos.apply(&process.vectors[0]);
            process.alpha.push(normalise(&mut process.u));
        }
        process
    }

    /// One more right vector; whether there was one.
    fn step(&mut self) -> bool {
        if self.u.iter().all(|&v| v == 0.0) {
            return false;
        }
        let mut v = self.lanczos.adjoint(&self.u);
        let before = dot(&v, &v).sqrt();
        // Twice is enough (Parlett 1998).
        for _ in 0..2 {
            for old in &self.vectors {
                let along: f64 = v.iter().zip(old).map(|(v, &o)| v * f64::from(o)).sum();
                v.iter_mut()
                    .zip(old)
                    .for_each(|(v, &o)| *v -= along * f64::from(o));
            }
        }
        let length = normalise(&mut v);
        let scale = self.alpha.iter().copied().fold(before, f64::max);
        if length <= ZERO * scale {
            return false;
        }
        let v: Vec<f32> = v.iter().map(|&v| v as f32).collect();
        let mut u = self.lanczos.apply(&v);
        u.iter_mut()
            .zip(&self.u)
            .for_each(|(new, old)| *new -= length * old);
        let next = normalise(&mut u);
        let (diagonal, beside) = if self.back {
            (length, next)
        } else {
            (next, length)
        };
        self.alpha.push(diagonal);
        self.beta.push(beside);
        if next <= ZERO * scale {
            u.fill(0.0);
        }
        self.u = u;
        self.vectors.push(v);
        true
    }

    fn matrix(&self) -> DMatrix<f64> {
        let k = self.vectors.len();
        if self.back {
            DMatrix::from_fn(k + 1, k, |i, j| match i {
                _ if i == j => self.alpha[j],
                _ if i == j + 1 => self.beta[j],
                _ => 0.0,
            })
        } else {
            DMatrix::from_fn(k, k, |i, j| match j {
                _ if i == j => self.alpha[j],
                _ if j == i + 1 => self.beta[i],
                _ => 0.0,
            })
        }
    }

    /// `W g(S) P^T e_1` (back) or `W g(S) W^T e_1`.
    fn coefficients(&self, gains: &[Gain<'_>]) -> Vec<DVector<f64>> {
        if self.vectors.is_empty() {
            return vec![DVector::zeros(0); gains.len()];
        }
        let svd = self.matrix().svd(true, true);
        let (p, wt) = (svd.u.expect("asked for"), svd.v_t.expect("asked for"));
        let first = |i: usize| if self.back { p[(0, i)] } else { wt[(i, 0)] };
        let zero = ZERO * svd.singular_values.max();
        gains
            .iter()
            .map(|gain| {
                let weights =
                    svd.singular_values
                        .iter()
                        .enumerate()
                        .map(|(i, &s)| match s <= zero {
                            true if self.back => 0.0,
                            true => gain(0.0) * first(i),
                            false => gain(s) * first(i),
                        });
                let weights = DVector::from_iterator(svd.singular_values.len(), weights);
                wt.tr_mul(&weights)
            })
            .collect()
    }

    /// `V_k c`.
    fn combine(&self, c: &DVector<f64>) -> Vec<f64> {
        let mut out = vec![0.0; self.lanczos.operator.input().len()];
        for (v, &c) in self.vectors.iter().zip(c.iter()) {
            out.iter_mut()
                .zip(v)
                .for_each(|(out, &v)| *out += c * f64::from(v));
        }
        out
    }
}

/// Scales to length one, and gives the length; nothing is left as it is.
fn normalise(v: &mut [f64]) -> f64 {
    let length = dot(v, v).sqrt();
    if length > 0.0 {
        v.iter_mut().for_each(|v| *v /= length);
    }
    length
}
