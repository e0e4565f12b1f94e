//! The classical baseline: least squares with smoothness, after Tikhonov (1963) and Wiener (1949).
//!
//! `x = argmin |A x - y|^2 + lambda*|D x|^2`, with `D` the differences between neighbouring pixels. A prior that is white
//! would be unfair to the classics: the spectrum of photographs falls like one over the squared frequency, and that of
//! images with independent differences does too. So this is the Wiener filter for that spectrum, and `lambda` has a
//! meaning: the variance of the noise divided by the variance of the differences, see [`lambda`]. On masks it is the
//! harmonic inpainting, on down-sampling the smoothest image that explains the pixels.

use super::{Boundary, Linear, cg};
use crate::{Dims, Image};

/// Standard deviation of the difference between neighbouring pixels that the baseline expects, in image units.
///
/// Measured: the root mean square over the 68 photographs of BSD68 is 0.073. Deblurring is best at a little more, 0.08 to
/// 0.12 (five of those photographs, three kernels, noise of 0.01 and 0.05): their spectrum is not exactly that of this
/// prior.
pub const DIFFERENCE: f64 = 0.1;

/// The `lambda` that suits noise of standard deviation `sigma`: `(sigma/DIFFERENCE)^2`.
///
/// `sigma` is not taken below a thousandth: eight-bit files are rounded by as much, also where nothing else was added.
pub fn lambda(sigma: f64) -> f64 {
    (sigma.max(1e-3) / DIFFERENCE).powi(2)
}

/// The baseline for any operator, by conjugate gradients from its [`guess`](super::Operator::guess).
///
/// What neither the measurement nor the smoothness decides (the colours of a gray picture) stays as guessed.
pub fn solve<O: Linear + ?Sized>(
    operator: &O,
    y: &Image,
    lambda: f64,
    params: cg::Params,
) -> (Image, cg::Info) {
    let input = operator.input();
    let guess = operator.guess(y);
    // Half of the objective's gradient, with misfit = A x - y.
    let gradient = |x: &Image, misfit: &Image| {
        let mut out = operator.adjoint(misfit);
        out.zip_mut_with(&roughness(x), |o, &r| *o += (lambda * f64::from(r)) as f32);
        out
    };
    let start = gradient(&guess, &(operator.apply(&guess) - y));
    let (step, info) = cg::each(&start, input, |g| {
        let normal = |x: &Image| gradient(x, &operator.apply(x));
        let system = cg::shifted(normal, input, 0.0);
        let (step, info) = cg::solve(system, cg::unconditioned, cg::vector(g), params);
        (cg::image(&step, input), info)
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
                let here = x[[i, j]];
                *out = [-1, 1]
                    .map(|d| {
                        let (row, column) = (i as i64 + d, j as i64 + d);
                        let vertical = here - x[[outside.index(row, h), j]];
                        let horizontal = here - x[[i, outside.index(column, w)]];
                        vertical + horizontal
                    })
                    .iter()
                    .sum();
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
        let product = cg::dot(&cg::vector(&x), &cg::vector(&roughness(&x)));
        assert!((product - sum).abs() < 1e-5 * sum);
        let flat = Image::from_elem((1, 1, 3, 1), 0.7);
        assert!(roughness(&flat).iter().all(|&r| r == 0.0));
    }
}
