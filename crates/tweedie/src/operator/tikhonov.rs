//! The classical baseline: least squares with smoothness, after Tikhonov (1963) and Wiener (1949).
//!
//! `x = argmin |A x - y|^2 + lambda*|D x|^2`, with `D` the differences between neighbouring pixels. A prior that is white
//! would be unfair to the classics: the spectrum of photographs falls like one over the squared frequency, and that of
//! images with independent differences does too. So this is the Wiener filter for that spectrum, and `lambda` has a
//! meaning: the variance of the noise divided by the variance of the differences, see [`lambda`]. On masks it is the
//! harmonic inpainting, on down-sampling the smoothest image that explains the pixels.

use super::{Boundary, Operator, cg};
use crate::{Dims, Image};

/// Standard deviation of the difference between neighbouring pixels of photographs, in image units.
///
/// Differences are far from Gaussian, with most near zero; this is their root mean square as it is in sharp
/// photographs.
pub const DIFFERENCE: f64 = 0.06;

/// The `lambda` that suits noise of standard deviation `sigma`: `(sigma/DIFFERENCE)^2`.
///
/// `sigma` is not taken below a thousandth: eight-bit files are rounded by as much, also where nothing else was added.
pub fn lambda(sigma: f64) -> f64 {
    (sigma.max(1e-3) / DIFFERENCE).powi(2)
}

/// The baseline for any operator, by conjugate gradients from its [`guess`](Operator::guess).
///
/// What neither the measurement nor the smoothness decides (the colours of a gray picture) stays as guessed.
pub fn solve<O: Operator + ?Sized>(
    operator: &O,
    y: &Image,
    lambda: f64,
    params: cg::Params,
) -> (Image, cg::Info) {
    let guess = operator.guess(y);
    let normal = |x: &Image, residual: &Image, sign: f32| {
        // sign*A^T residual + lambda D^T D x
        let mut out = operator.adjoint(residual) * sign;
        out.zip_mut_with(&roughness(x), |o, &r| *o += (lambda * f64::from(r)) as f32);
        out
    };
    let gradient = normal(&guess, &(y - &operator.apply(&guess)), -1.0);
    let (step, info) = cg::each(&gradient, operator.input(), |g| {
        let system = |x: &Image| normal(x, &operator.apply(x), 1.0);
        cg::solve(system, Image::clone, g, params)
    });
    (guess - step, info)
}

/// `D^T D x`: for each pixel, the sum of its differences to its neighbours. Nothing flows over the edge.
fn roughness(x: &Image) -> Image {
    let Dims { h, w, .. } = Dims::of(x);
    let outside = Boundary::Symmetric;
    let mut out = Image::zeros(x.dim());
    for (mut out, x) in out.outer_iter_mut().zip(x.outer_iter()) {
        for (mut out, x) in out.outer_iter_mut().zip(x.outer_iter()) {
            ndarray::Zip::indexed(&mut out).par_for_each(|(i, j), out| {
                let vertical = [-1, 1].map(|d| x[[outside.index(i as i64 + d, h), j]]);
                let horizontal = [-1, 1].map(|d| x[[i, outside.index(j as i64 + d, w)]]);
                let [a, b] = vertical;
                let [c, d] = horizontal;
                *out = 4.0 * x[[i, j]] - a - b - c - d;
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `<x, D^T D x> = |D x|^2`: catches differences across the edge and a wrong sign.
    #[test]
    fn roughness_is_the_sum_of_squared_differences() {
        let x = Image::from_shape_fn((1, 2, 4, 5), |(_, c, i, j)| {
            ((3 * c + 7 * i + j * j) as f32).sin()
        });
        let mut sum = 0.0;
        for (_, c, i, j) in ndarray::indices(x.dim()) {
            let here = x[[0, c, i, j]];
            for (k, l) in [(i + 1, j), (i, j + 1)] {
                if k < 4 && l < 5 {
                    sum += f64::from(here - x[[0, c, k, l]]).powi(2);
                }
            }
        }
        assert!((cg::dot(&x, &roughness(&x)) - sum).abs() < 1e-5 * sum);
        let flat = Image::from_elem((1, 1, 3, 1), 0.7);
        assert!(roughness(&flat).iter().all(|&r| r == 0.0));
    }
}
