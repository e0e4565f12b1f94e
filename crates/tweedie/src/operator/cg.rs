//! Conjugate gradients: pseudo-inverse, prox and baseline of any operator that has an adjoint.
//!
//! Hestenes and Stiefel 1952. Each picture of a batch is solved on its own, so that its result does not depend on the
//! others. Images are f32; inner products and step sizes are f64, summed in a fixed order.

use ndarray::Axis;
use rayon::prelude::*;

use super::{Operator, plane};
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

/// How it went; of a batch, the worst.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Info {
    /// Iterations made, each with one application of the system.
    pub iterations: usize,
    /// Relative residual reached, by the recurrence.
    pub residual: f64,
    /// Whether the tolerance was reached.
    pub converged: bool,
}

impl Info {
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
/// `precondition` applies an approximate inverse of `S`, symmetric and positive definite; the identity if there is none
/// better. Where `S` is singular, `x` has no part in its null space as long as `b` has none.
pub fn solve(
    system: impl Fn(&Image) -> Image,
    precondition: impl Fn(&Image) -> Image,
    b: &Image,
    params: Params,
) -> (Image, Info) {
    let mut x = Image::zeros(b.dim());
    let size = dot(b, b).sqrt();
    let mut info = Info {
        converged: true,
        ..Info::default()
    };
    if size == 0.0 {
        return (x, info);
    }
    let mut r = b.as_standard_layout().into_owned();
    let mut p = precondition(&r);
    let mut rz = dot(&r, &p);
    loop {
        info.residual = dot(&r, &r).sqrt() / size;
        info.converged = info.residual <= params.tolerance;
        if info.converged || info.iterations >= params.iterations {
            break;
        }
        let sp = system(&p);
        let curvature = dot(&p, &sp);
        // Zero only where round-off is all that is left; NaN if the input holds one.
        if !(curvature > 0.0 && rz > 0.0) {
            break;
        }
        let step = rz / curvature;
        axpy(&mut x, step, &p);
        axpy(&mut r, -step, &sp);
        let z = precondition(&r);
        let old = std::mem::replace(&mut rz, dot(&r, &z));
        scale_and_add(&mut p, rz / old, &z);
        info.iterations += 1;
    }
    (x, info)
}

/// `argmin_x |A x - y|^2 + rho*|x - z|^2`.
///
/// Solved for the correction of `z`, so that nothing is divided by `rho`: with `r = y - A z`, in the measurement's space
/// `x = z + A^T q`, `(A A^T + rho) q = r` if that is no larger than the image's, else `x = z + d`,
/// `(A^T A + rho) d = A^T r`.
pub fn prox<O: Operator + ?Sized>(
    operator: &O,
    y: &Image,
    z: &Image,
    rho: f64,
    params: Params,
) -> (Image, Info) {
    let residual = y - &operator.apply(z);
    let dual = operator.output().len() <= operator.input().len();
    let (correction, info) = each(&residual, operator.input(), |r| {
        if dual {
            let system = |q: &Image| shifted(operator.apply(&operator.adjoint(q)), rho, q);
            let (q, info) = solve(system, Image::clone, r, params);
            (operator.adjoint(&q), info)
        } else {
            let system = |d: &Image| shifted(operator.adjoint(&operator.apply(d)), rho, d);
            solve(system, Image::clone, &operator.adjoint(r), params)
        }
    });
    (z + &correction, info)
}

/// The smallest of the least-squares solutions of `A x = y`: from zero, on `A^T A x = A^T y`.
///
/// On an ill-conditioned operator the iteration limit regularises, as it does in LSQR.
pub fn pseudo_inverse<O: Operator + ?Sized>(
    operator: &O,
    y: &Image,
    params: Params,
) -> (Image, Info) {
    each(y, operator.input(), |y| {
        let system = |x: &Image| operator.adjoint(&operator.apply(x));
        solve(system, Image::clone, &operator.adjoint(y), params)
    })
}

/// Runs `f` for each picture of a batch and puts the answers, of dimensions `to`, together.
pub(crate) fn each(batch: &Image, to: Dims, f: impl Fn(&Image) -> (Image, Info)) -> (Image, Info) {
    let mut out = Image::zeros(to.batch(batch.dim().0));
    let mut worst = Info {
        converged: true,
        ..Info::default()
    };
    let pictures = batch.axis_chunks_iter(Axis(0), 1);
    for (picture, mut out) in pictures.zip(out.axis_chunks_iter_mut(Axis(0), 1)) {
        let (x, info) = f(&picture.to_owned());
        worst = worst.worse(info);
        out.assign(&x);
    }
    (out, worst)
}

/// `s + rho*x`.
fn shifted(mut s: Image, rho: f64, x: &Image) -> Image {
    axpy(&mut s, rho, x);
    s
}

/// Numbers summed by one task; fixed, so that the sum does not depend on the number of threads.
const BLOCK: usize = 1 << 14;

/// The inner product, in f64.
pub(crate) fn dot(x: &Image, y: &Image) -> f64 {
    let (x, y) = (x.as_standard_layout(), y.as_standard_layout());
    let (x, y) = (slice(&x), slice(&y));
    let sums: Vec<f64> = x
        .par_chunks(BLOCK)
        .zip(y.par_chunks(BLOCK))
        .map(|(x, y)| x.iter().zip(y).map(|(&x, &y)| x as f64 * y as f64).sum())
        .collect();
    sums.iter().sum()
}

/// `x += a*y`.
fn axpy(x: &mut Image, a: f64, y: &Image) {
    in_blocks(x, y, |x, y| (x as f64 + a * y as f64) as f32);
}

/// `p = z + a*p`.
fn scale_and_add(p: &mut Image, a: f64, z: &Image) {
    in_blocks(p, z, |p, z| (z as f64 + a * p as f64) as f32);
}

fn in_blocks(x: &mut Image, y: &Image, f: impl Fn(f32, f32) -> f32 + Sync) {
    if !x.is_standard_layout() {
        *x = x.as_standard_layout().into_owned();
    }
    let y = y.as_standard_layout();
    plane::values(x)
        .par_chunks_mut(BLOCK)
        .zip(slice(&y).par_chunks(BLOCK))
        .for_each(|(x, y)| x.iter_mut().zip(y).for_each(|(x, &y)| *x = f(*x, y)));
}

fn slice<'a>(x: &'a ndarray::CowArray<'_, f32, ndarray::Ix4>) -> &'a [f32] {
    x.as_slice().expect("in standard layout")
}
