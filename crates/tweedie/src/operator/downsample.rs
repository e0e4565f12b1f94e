//! Down-sampling that treats rows and columns alike: antialiased bicubic and average pooling.

use std::f64::consts::PI;

use rayon::prelude::*;

use super::axis::{self, Axis};
use super::{Error, Operator, cg, not_empty, plane};
use crate::fft::{Basis2, Line};
use crate::{Dims, Image};

/// `Y = V X H^T`, for each channel: a smaller image by an integer factor, `ceil(side/factor)` pixels a side.
///
/// `A A^T` is the Kronecker product of the small matrices `V V^T` and `H H^T`, so that their eigenvectors give prox and
/// pseudo-inverse exactly. Where a side is divisible by the factor these are cosines, since filter and boundary are
/// symmetric; pooling's are the pixels; else they are computed, up to a side of 256. Beyond that, conjugate gradients
/// do: the singular values lie within a factor of two along each side, so that they need about a dozen steps.
#[derive(Debug)]
pub struct Downsample {
    input: Dims,
    factor: usize,
    vertical: Side,
    horizontal: Side,
    /// Eigenvectors of `A A^T`.
    basis: Option<Basis2>,
}

/// One axis.
#[derive(Debug)]
struct Side {
    down: Axis,
    up: Axis,
    /// Eigenvalues of `M M^T`, in the order of the basis; empty if there is none.
    values: Vec<f64>,
}

/// Small sides up to this long get computed eigenvectors. Beyond it conjugate gradients are as fast as the matrix.
const DENSE: usize = 256;

/// Factors are 1 to this.
pub(crate) const MAX_FACTOR: usize = 256;

/// That a factor is one.
pub(crate) fn check_factor(factor: usize) -> Result<(), Error> {
    if (1..=MAX_FACTOR).contains(&factor) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "images are made smaller by a whole factor from 1 to {MAX_FACTOR}, not by {factor}"
    )))
}

impl Downsample {
    /// Antialiased bicubic: MATLAB's `imresize(x, 1/factor, 'bicubic')` before its rounding, Keys' cubic with a = -0.5,
    /// the edge repeated outside.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] for a factor outside 1..=256.
    pub fn bicubic(input: Dims, factor: usize) -> Result<Downsample, Error> {
        Downsample::new(input, factor, |n| {
            side(Axis::bicubic_down(n, factor), n.is_multiple_of(factor))
        })
    }

    /// Means of `factor` by `factor` pixels; blocks at the far edges have what is left.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] for a factor outside 1..=256.
    pub fn average(input: Dims, factor: usize) -> Result<Downsample, Error> {
        Downsample::new(input, factor, |n| {
            let down = Axis::pool(n, factor);
            let squares = |i| down.row(i).iter().map(|(_, w)| w * w).sum();
            let values = (0..down.outputs()).map(squares).collect();
            let line = Line::Pixels(down.outputs());
            (Side::new(down, values), Some(line))
        })
    }

    fn new(
        input: Dims,
        factor: usize,
        side: impl Fn(usize) -> (Side, Option<Line>),
    ) -> Result<Downsample, Error> {
        check_factor(factor)?;
        not_empty("down-sampling", input)?;
        let ((vertical, v), (horizontal, h)) = (side(input.h), side(input.w));
        let basis = v.zip(h).map(|(vertical, horizontal)| Basis2 {
            vertical,
            horizontal,
        });
        Ok(Downsample {
            input,
            factor,
            vertical,
            horizontal,
            basis,
        })
    }

    /// `z += A^T Q (weight (Q^T (y - A z) Q))`, with `weight` given the eigenvalue of `A A^T`.
    fn correct(&self, basis: &Basis2, y: &[f32], z: &mut [f32], weight: impl Fn(f64) -> f64) {
        let (v, h) = (&self.vertical, &self.horizontal);
        let mut residual: Vec<f64> = y.iter().map(|&y| f64::from(y)).collect();
        axis::apply(&v.down, &h.down, z, &mut residual, |r, az| *r -= az);
        let mut coefficients = basis.forward(&residual);
        for (column, &lh) in coefficients.chunks_exact_mut(v.values.len()).zip(&h.values) {
            for (c, &lv) in column.iter_mut().zip(&v.values) {
                *c *= weight(lv * lh);
            }
        }
        basis.inverse(coefficients, &mut residual, |to, value| *to = value);
        axis::apply(&v.up, &h.up, &residual, z, |z, d| {
            *z = (f64::from(*z) + d) as f32;
        });
    }
}

impl Side {
    fn new(down: Axis, values: Vec<f64>) -> Side {
        Side {
            up: down.transpose(),
            down,
            values,
        }
    }
}

/// A side with the eigenvectors of its `M M^T`.
fn side(down: Axis, divisible: bool) -> (Side, Option<Line>) {
    let n = down.outputs();
    if divisible {
        let values = cosine_values(&down.transpose());
        return (Side::new(down, values), Some(Line::cosine(n)));
    }
    if n > DENSE {
        return (Side::new(down, Vec::new()), None);
    }
    let gram = nalgebra::DMatrix::from_row_slice(n, n, &down.gram());
    let eigen = nalgebra::SymmetricEigen::new(gram);
    let rows = eigen.eigenvectors.transpose().as_slice().to_vec();
    let values = eigen.eigenvalues.as_slice().to_vec();
    (Side::new(down, values), Some(Line::Dense { n, rows }))
}

/// The eigenvalues of `M M^T` if its eigenvectors are the cosines `c_k(i) = cos(pi k (i + 1/2)/n)`: the Rayleigh
/// quotients `|M^T c_k|^2/|c_k|^2`.
fn cosine_values(up: &Axis) -> Vec<f64> {
    let n = up.inputs();
    (0..n)
        .into_par_iter()
        .map(|k| {
            let cosine: Vec<f64> = (0..n)
                .map(|i| {
                    // Reduced exactly, so that the angle stays small.
                    let turn = (k * (2 * i + 1)) % (4 * n);
                    (PI * turn as f64 / (2 * n) as f64).cos()
                })
                .collect();
            let square = |j: usize| {
                let sum: f64 = up.row(j).iter().map(|&(i, w)| w * cosine[i]).sum();
                sum * sum
            };
            let size: f64 = cosine.iter().map(|c| c * c).sum();
            (0..up.outputs()).map(square).sum::<f64>() / size
        })
        .collect()
}

impl Operator for Downsample {
    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        let (v, h) = (&self.vertical.down, &self.horizontal.down);
        Dims::new(self.input.c, v.outputs(), h.outputs())
    }

    fn apply(&self, x: &Image) -> Image {
        plane::map(x, self.input, self.output(), |x, y| {
            let (v, h) = (&self.vertical.down, &self.horizontal.down);
            axis::apply(v, h, x, y, |to, value| *to = value as f32);
        })
    }

    fn adjoint(&self, u: &Image) -> Image {
        plane::map(u, self.output(), self.input, |u, x| {
            let (v, h) = (&self.vertical.up, &self.horizontal.up);
            axis::apply(v, h, u, x, |to, value| *to = value as f32);
        })
    }

    fn pseudo_inverse(&self, y: &Image) -> Image {
        let Some(basis) = &self.basis else {
            return cg::pseudo_inverse(self, y, cg::Params::default()).0;
        };
        let zero = Image::zeros(self.input.batch(y.dim().0));
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let least = 1e-12 * most(&self.vertical.values) * most(&self.horizontal.values);
        plane::update(&zero, self.input, y, self.output(), |y, z| {
            // Only where a last, partial row repeats what the others say is an eigenvalue zero.
            self.correct(basis, y, z, |l| if l > least { 1.0 / l } else { 0.0 });
        })
    }

    /// `z + A^T (A A^T + rho)^-1 (y - A z)`.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        let Some(basis) = &self.basis else {
            return cg::prox(self, y, z, rho, params).0;
        };
        plane::update(z, self.input, y, self.output(), |y, z| {
            self.correct(basis, y, z, |l| 1.0 / (l + rho));
        })
    }

    /// Bicubic interpolation, pixel centres where the down-sampling has them: small pixel `i` lies on
    /// `(i + 1/2) factor - 1/2`.
    fn guess(&self, y: &Image) -> Image {
        let offset = (self.factor as f64 - 1.0) / 2.0;
        let up = |side: &Axis| Axis::bicubic_up(side.outputs(), side.inputs(), self.factor, offset);
        let (v, h) = (up(&self.vertical.down), up(&self.horizontal.down));
        plane::map(y, self.output(), self.input, |y, x| {
            axis::apply(&v, &h, y, x, |to, value| *to = value as f32);
        })
    }

    fn gram(&self) -> Option<f64> {
        let value = |side: &Side| {
            let first = *side.values.first()?;
            let same = |v: &f64| (v - first).abs() <= 1e-12 * first;
            side.values.iter().all(same).then_some(first)
        };
        self.basis.as_ref()?;
        Some(value(&self.vertical)? * value(&self.horizontal)?)
    }
}
