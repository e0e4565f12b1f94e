//! Conjugate gradients: pseudo-inverse, prox and baseline of any linear operator.
//!
//! Hestenes and Stiefel 1952. The vectors are f64, since in f32 the directions soon lose their conjugacy and an
//! ill-conditioned system stalls; operators see them rounded to f32. Each picture of a batch is solved on its own, so
//! that its result does not depend on the others. Sums are taken in a fixed order.

use ndarray::Axis;
use rayon::prelude::*;

use super::Linear;
use crate::{Dims, Image};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Params {
    /// Relative residual, `|b - S x|/|b|`, at which the solution is good enough.
    pub tolerance: f64,
    /// Iterations after which it has to do.
    pub iterations: usize,
}

impl Default for Params {
    /// A relative residual of 1e-6, or 200 iterations.
    fn default() -> Params {
        Params {
            tolerance: 1e-6,
            iterations: 200,
        }
    }
}

impl Params {
    /// For a data step among others. Within the tolerance, the correction of `z` is off by at most
    /// `1e-3 |y - A z|/(2 sqrt(rho))`; with `rho` around `(sigma_y/sigma)^2`, as the methods have it, and a residual that is
    /// mostly noise, that is a thousandth of the `sigma` that the denoiser removes next. Measured for hand-held shake on
    /// 512x512 pixels: 2e-5 of the range at sigma 0.05, at half of the iterations that the default takes; at sigma 0.19 the
    /// limit comes first, at about 1e-3. At the noisiest levels `rho` is tiny, the prox nearly the inverse of the blur, and
    /// the limit keeps it tame.
    pub const STEP: Params = Params {
        tolerance: 1e-3,
        iterations: 60,
    };
}

/// How it went; of a batch, the worst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Info {
    /// Iterations made, each with one application of the system.
    pub iterations: usize,
    /// Relative residual reached, by the recurrence.
    pub residual: f64,
    /// Whether the tolerance was reached.
    pub converged: bool,
}

impl Info {
    /// Nothing done, nothing left to do.
    const DONE: Info = Info {
        iterations: 0,
        residual: 0.0,
        converged: true,
    };

    fn worse(self, other: Info) -> Info {
        Info {
            iterations: self.iterations.max(other.iterations),
            residual: self.residual.max(other.residual),
            converged: self.converged && other.converged,
        }
    }
}

/// `x` with `S x = b`, for a symmetric positive semi-definite `S`, starting from zero.
///
/// `system(v, out)` writes `S v`. `precondition(r, out)` writes an approximate inverse of `S`, symmetric and positive
/// definite, times `r`; [`unconditioned`] if there is none better. Where `S` is singular, `x` has no part in its null
/// space as long as `b` has none.
pub fn solve(
    system: impl Fn(&[f64], &mut [f64]),
    precondition: impl Fn(&[f64], &mut [f64]),
    b: Vec<f64>,
    params: Params,
) -> (Vec<f64>, Info) {
    let n = b.len();
    let mut x = vec![0.0; n];
    let mut info = Info::DONE;
    let size = dot(&b, &b).sqrt();
    if size == 0.0 {
        return (x, info);
    }
    let (mut r, mut work, mut p) = (b, vec![0.0; n], vec![0.0; n]);
    precondition(&r, &mut p);
    let mut rz = dot(&r, &p);
    loop {
        info.residual = dot(&r, &r).sqrt() / size;
        info.converged = info.residual <= params.tolerance;
        if info.converged || info.iterations >= params.iterations {
            break;
        }
        system(&p, &mut work);
        let curvature = dot(&p, &work);
        // Zero only where round-off is all that is left; NaN if the input holds one.
        if !(curvature > 0.0 && rz > 0.0) {
            break;
        }
        let step = rz / curvature;
        each_pair(&mut x, &p, |x, p| x + step * p);
        each_pair(&mut r, &work, |r, sp| r - step * sp);
        precondition(&r, &mut work);
        let old = std::mem::replace(&mut rz, dot(&r, &work));
        let turn = rz / old;
        each_pair(&mut p, &work, |p, z| z + turn * p);
        info.iterations += 1;
    }
    (x, info)
}

/// No preconditioner: `out = r`.
pub fn unconditioned(r: &[f64], out: &mut [f64]) {
    out.copy_from_slice(r);
}

/// `argmin_x |A x - y|^2 + rho*|x - z|^2`.
///
/// Solved for the correction of `z`, so that nothing is divided by `rho`: with `r = y - A z`, in the measurement's space
/// `x = z + A^T q`, `(A A^T + rho) q = r` if that is no larger than the image's, else `x = z + d`,
/// `(A^T A + rho) d = A^T r`.
pub fn prox<O: Linear + ?Sized>(
    operator: &O,
    y: &Image,
    z: &Image,
    rho: f64,
    params: Params,
) -> (Image, Info) {
    let residual = y - &operator.apply(z);
    let (input, output) = (operator.input(), operator.output());
    if output.len() > input.len() {
        let (correction, info) = normal(operator, &residual, rho, params);
        return (z + &correction, info);
    }
    let (correction, info) = each(&residual, input, |r| {
        let normal = |q: &Image| operator.apply(&operator.adjoint(q));
        let system = shifted(normal, output, rho);
        let (q, info) = solve(system, unconditioned, vector(r), params);
        (operator.adjoint(&image(&q, output)), info)
    });
    (z + &correction, info)
}

/// The smallest of the least-squares solutions of `A x = y`: from zero, on `A^T A x = A^T y`.
///
/// On an ill-conditioned operator the iteration limit regularises, as it does in LSQR.
pub fn pseudo_inverse<O: Linear + ?Sized>(
    operator: &O,
    y: &Image,
    params: Params,
) -> (Image, Info) {
    normal(operator, y, 0.0, params)
}

/// `d` with `(A^T A + rho) d = A^T r`, from zero in the image's space.
///
/// With `r = y - A z` the iterates `z + d` are those of conjugate gradients from `z` for `argmin |A x - y|^2 + rho*|x - z|^2`, also
/// where they are stopped early (DDS).
pub fn normal<O: Linear + ?Sized>(
    operator: &O,
    r: &Image,
    rho: f64,
    params: Params,
) -> (Image, Info) {
    let input = operator.input();
    each(r, input, |r| {
        let normal = |x: &Image| operator.adjoint(&operator.apply(x));
        let right = vector(&operator.adjoint(r));
        let (x, info) = solve(shifted(normal, input, rho), unconditioned, right, params);
        (image(&x, input), info)
    })
}

/// Runs `f` for each picture of a batch and puts the answers, of dimensions `to`, together.
pub(crate) fn each(batch: &Image, to: Dims, f: impl Fn(&Image) -> (Image, Info)) -> (Image, Info) {
    let mut out = Image::zeros(to.batch(batch.dim().0));
    let mut worst = Info::DONE;
    let pictures = batch.axis_chunks_iter(Axis(0), 1);
    for (picture, mut out) in pictures.zip(out.axis_chunks_iter_mut(Axis(0), 1)) {
        let (x, info) = f(&picture.to_owned());
        worst = worst.worse(info);
        out.assign(&x);
    }
    (out, worst)
}

/// `v -> f(v) + rho*v` on vectors, for a map of images of dimensions `dims` to themselves.
pub(crate) fn shifted(
    f: impl Fn(&Image) -> Image,
    dims: Dims,
    rho: f64,
) -> impl Fn(&[f64], &mut [f64]) {
    move |v, out| {
        let image = f(&image(v, dims));
        for ((out, &f), &v) in out.iter_mut().zip(&image).zip(v) {
            *out = f64::from(f) + rho * v;
        }
    }
}

/// One picture as a vector.
pub(crate) fn vector(x: &Image) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

/// One picture from a vector.
pub(crate) fn image(x: &[f64], dims: Dims) -> Image {
    let values = x.iter().map(|&v| v as f32).collect();
    Image::from_shape_vec(dims.batch(1), values).expect("a vector of the picture's length")
}

/// Numbers summed by one task; fixed, so that the sum does not depend on the number of threads.
const BLOCK: usize = 1 << 14;

/// The inner product.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let sums: Vec<f64> = x
        .par_chunks(BLOCK)
        .zip(y.par_chunks(BLOCK))
        .map(|(x, y)| x.iter().zip(y).map(|(x, y)| x * y).sum())
        .collect();
    sums.iter().sum()
}

/// `x = f(x, y)`, number by number.
fn each_pair(x: &mut [f64], y: &[f64], f: impl Fn(f64, f64) -> f64 + Sync) {
    x.par_chunks_mut(BLOCK)
        .zip(y.par_chunks(BLOCK))
        .for_each(|(x, y)| x.iter_mut().zip(y).for_each(|(x, &y)| *x = f(*x, y)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A diagonal system with few different values is solved in as many steps, exactly; a preconditioner that knows it,
    /// in one. Steepest descent would need hundreds.
    #[test]
    fn as_many_steps_as_different_eigenvalues() {
        let values: Vec<f64> = (0..1000).map(|i| [1.0, 40.0, 1e4][i % 3]).collect();
        let b: Vec<f64> = (0..1000).map(|i| (i as f64).sin()).collect();
        let system = |v: &[f64], out: &mut [f64]| {
            (0..1000).for_each(|i| out[i] = values[i] * v[i]);
        };
        let inverse = |v: &[f64], out: &mut [f64]| {
            (0..1000).for_each(|i| out[i] = v[i] / values[i]);
        };
        let params = Params {
            tolerance: 1e-9,
            iterations: 200,
        };
        let (x, info) = solve(system, unconditioned, b.clone(), params);
        assert!(info.converged && info.iterations == 3, "{info:?}");
        let right = |(i, x): (usize, &f64)| (x * values[i] - b[i]).abs() < 1e-8;
        assert!(x.iter().enumerate().all(right));
        let (_, info) = solve(system, inverse, b.clone(), params);
        assert!(info.converged && info.iterations == 1, "{info:?}");
        let (x, info) = solve(system, unconditioned, vec![0.0; 1000], params);
        assert!(info == Info::DONE && x.iter().all(|&v| v == 0.0));
    }

    /// A system that is singular outside `b` is solved within it; the limit on iterations is kept and told.
    #[test]
    fn singular_and_unfinished() {
        let system = |v: &[f64], out: &mut [f64]| {
            out.copy_from_slice(&[v[0], 2.0 * v[1], 3.0 * v[2], 0.0]);
        };
        let (x, info) = solve(
            system,
            unconditioned,
            vec![1.0, 1.0, 1.0, 0.0],
            Params::default(),
        );
        assert!(info.converged && x[3] == 0.0 && (x[2] - 1.0 / 3.0).abs() < 1e-6);
        let params = Params {
            iterations: 1,
            ..Params::default()
        };
        let (_, info) = solve(system, unconditioned, vec![1.0, 1.0, 1.0, 0.0], params);
        assert!(!info.converged && info.iterations == 1 && info.residual > 1e-6);
    }
}
