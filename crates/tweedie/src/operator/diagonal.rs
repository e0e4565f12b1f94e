//! Blurs that a transform diagonalises: everything in closed form, all inside the transform in f64.

use std::f64::consts::PI;
use std::fmt;

use ndarray::Array2;
use rayon::prelude::*;

use super::convolve::Convolver;
use super::plane::Sample;
use super::{Boundary, Kernel};
use crate::fft::{Basis2, Complex};

/// A blur of planes with its eigenvectors.
pub(crate) enum Diagonal {
    /// Circular boundary, any kernel: Fourier.
    Fourier(Box<Convolver>),
    /// Symmetric boundary and a kernel that is even in both directions: cosines. The eigenvalues are real.
    Cosine {
        /// The transform.
        basis: Basis2,
        /// The eigenvalues, laid out as the transform's coefficients.
        values: Vec<f64>,
    },
}

impl Diagonal {
    /// Fourier, for planes of `h` by `w`.
    pub(crate) fn fourier(h: usize, w: usize, kernel: &Kernel) -> Diagonal {
        Diagonal::Fourier(Box::new(Convolver::new(h, w, kernel, Boundary::Circular)))
    }

    /// Cosines, for planes of `h` by `w`. Right for a kernel that is even in both directions.
    ///
    /// The eigenvalue at frequency (u, v) is `sum_ab k(a, b) cos(pi v a/h) cos(pi u b/w)`, with a and b from the origin.
    pub(crate) fn cosine(h: usize, w: usize, kernel: &Kernel) -> Diagonal {
        let (oy, ox) = kernel.origin();
        let (kh, kw) = kernel.size();
        let wave = |n: usize, taps: usize, origin: usize| {
            Array2::from_shape_fn((n, taps), |(k, tap)| {
                let distance = tap.abs_diff(origin);
                // The product is reduced exactly, so that the angle stays small.
                let turn = (k * distance) % (2 * n);
                (PI * turn as f64 / n as f64).cos()
            })
        };
        let columns = wave(h, kh, oy).dot(kernel.taps());
        let values = wave(w, kw, ox).dot(&columns.t());
        let values = values.as_standard_layout().into_owned();
        Diagonal::Cosine {
            basis: Basis2::cosine(h, w),
            values: values.into_raw_vec_and_offset().0,
        }
    }

    /// `y = A x`.
    pub(crate) fn apply<S: Sample>(&self, x: &[S], y: &mut [S]) {
        match self {
            Diagonal::Fourier(convolver) => convolver.apply(x, y),
            Diagonal::Cosine { .. } => self.filter(x, y, |k, _| k),
        }
    }

    /// `x = A^T u`.
    pub(crate) fn adjoint<S: Sample>(&self, u: &[S], x: &mut [S]) {
        match self {
            Diagonal::Fourier(convolver) => convolver.adjoint(u, x),
            Diagonal::Cosine { .. } => self.filter(u, x, |k, _| k),
        }
    }

    /// The largest absolute eigenvalue: the norm of the blur.
    pub(crate) fn norm(&self) -> f64 {
        match self {
            Diagonal::Fourier(convolver) => convolver.norm(),
            Diagonal::Cosine { values, .. } => values.iter().map(|k| k.abs()).fold(0.0, f64::max),
        }
    }

    /// Which part of the eigenvalues is absolutely smaller than this.
    pub(crate) fn below(&self, size: f64) -> f64 {
        match self {
            Diagonal::Fourier(convolver) => convolver.below(size),
            Diagonal::Cosine { values, .. } => {
                values.iter().filter(|k| k.abs() < size).count() as f64 / values.len() as f64
            }
        }
    }

    /// `out = F^-1 [ m(k, l) F x ]`, with `k` the blur's eigenvalue and `l >= 0` that of `D^T D`, the squared differences
    /// of neighbours under the same boundary.
    pub(crate) fn filter<S: Sample>(
        &self,
        x: &[S],
        out: &mut [S],
        m: impl Fn(Complex, f64) -> Complex + Sync,
    ) {
        self.filters(x, &mut [out], &[&m]);
    }

    /// Several filters of one plane, which is transformed once.
    pub(crate) fn filters<S: Sample>(
        &self,
        x: &[S],
        outs: &mut [&mut [S]],
        filters: &[&(dyn Fn(Complex, f64) -> Complex + Sync)],
    ) {
        match self {
            Diagonal::Fourier(convolver) => {
                let (fft, otf) = (convolver.fft(), convolver.otf());
                let (h, w) = (fft.height(), fft.width());
                let (lv, lu) = (roughness(h, 2.0), roughness(w, 2.0));
                let spectrum = fft.forward(x, w);
                for (mut spectrum, (out, m)) in copies(spectrum, outs.iter_mut().zip(filters)) {
                    spectrum
                        .par_chunks_mut(h)
                        .zip(otf.par_chunks(h))
                        .zip(&lu)
                        .for_each(|((column, k), lu)| {
                            for ((s, &k), lv) in column.iter_mut().zip(k).zip(&lv) {
                                *s *= m(k, lu + lv);
                            }
                        });
                    fft.inverse(spectrum, out, w, |to, v| *to = S::of(v));
                }
            }
            Diagonal::Cosine { basis, values } => {
                let (h, w) = (basis.vertical.len(), basis.horizontal.len());
                let (lv, lu) = (roughness(h, 1.0), roughness(w, 1.0));
                let coefficients = basis.forward(x);
                for (mut coefficients, (out, m)) in
                    copies(coefficients, outs.iter_mut().zip(filters))
                {
                    coefficients
                        .par_chunks_mut(h)
                        .zip(values.par_chunks(h))
                        .zip(&lu)
                        .for_each(|((column, k), lu)| {
                            for ((s, &k), lv) in column.iter_mut().zip(k).zip(&lv) {
                                *s *= m(Complex::from(k), lu + lv).re;
                            }
                        });
                    basis.inverse(coefficients, out, |to, v| *to = S::of(v));
                }
            }
        }
    }

    /// `z += A^T (A A^T + rho)^-1 (y - A z)`: the prox, in the form that divides nothing by `rho`.
    pub(crate) fn prox(&self, y: &[f32], z: &mut [f32], rho: f64) {
        let add = |z: &mut f32, v: f64| *z = (f64::from(*z) + v) as f32;
        match self {
            Diagonal::Fourier(convolver) => {
                let (fft, otf) = (convolver.fft(), convolver.otf());
                let w = fft.width();
                let mut s = fft.forward(y, w);
                let zs = fft.forward(z, w);
                let correct = |((s, z), k): ((&mut Complex, &Complex), &Complex)| {
                    *s = k.conj() * (*s - k * z) / (k.norm_sqr() + rho);
                };
                s.par_iter_mut().zip(&zs).zip(otf).for_each(correct);
                drop(zs);
                fft.inverse(s, z, w, add);
            }
            Diagonal::Cosine { basis, values } => {
                let mut s = basis.forward(y);
                let zs = basis.forward(z);
                let correct = |((s, z), k): ((&mut f64, &f64), &f64)| {
                    *s = k * (*s - k * z) / (k * k + rho);
                };
                s.par_iter_mut().zip(&zs).zip(values).for_each(correct);
                drop(zs);
                basis.inverse(s, z, add);
            }
        }
    }
}

/// `value` for each of `of`: copies, and itself for the last.
fn copies<T: Clone, U>(
    value: T,
    of: impl ExactSizeIterator<Item = U>,
) -> impl Iterator<Item = (T, U)> {
    std::iter::repeat_n(value, of.len()).zip(of)
}

impl fmt::Debug for Diagonal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Diagonal::Fourier(convolver) => write!(f, "Fourier({:?})", convolver.fft()),
            Diagonal::Cosine { basis, .. } => write!(f, "Cosine({basis:?})"),
        }
    }
}

/// Eigenvalues `2 - 2 cos(period pi k/n)` of the squared first differences of `n` values: `period` 2 if they are joined
/// into a ring, 1 if they end.
fn roughness(n: usize, period: f64) -> Vec<f64> {
    (0..n)
        .map(|k| {
            // 2 - 2 cos t = 4 sin^2(t/2), which keeps its digits where t is small.
            let sine = (period * PI * k as f64 / n as f64 / 2.0).sin();
            4.0 * sine * sine
        })
        .collect()
}
