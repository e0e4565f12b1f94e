//! The norm of an operator.

use super::{Linear, Operator, cg};
use crate::Image;
use crate::noise::{NoiseSource, Seeded};

/// `|A|`, the largest singular value, from below by power iteration on `A^T A`.
///
/// Twenty iterations come within a few percent, a hundred within a few thousandths where the largest singular values lie
/// close together, as those of a blur do. Where a step size must be safe, allow for it: 2 % is usual after twenty.
pub fn norm(operator: &dyn Linear, iterations: usize) -> f64 {
    let forward = |v: &Image| operator.apply(v);
    iterate(operator, forward, |u| operator.adjoint(u), iterations)
}

/// `|J|` with `J = dA/dx` at `x`, for any operator: as [`norm`], with products `J v` by differences in f32, a thousandth of
/// the range wide. Of rounded numbers no difference tells; their derivative is taken for that of what is rounded: of a JPEG a change of
/// basis, whose norm is 1.
pub fn norm_at(operator: &dyn Operator, x: &Image, iterations: usize) -> f64 {
    if let Some(linear) = operator.linear() {
        return norm(linear, iterations);
    }
    if operator.quantised().is_some() {
        return 1.0;
    }
    if let Some(binned) = operator.binned() {
        return norm(binned.before(), iterations);
    }
    let here = operator.apply(x);
    let forward = |v: &Image| {
        let step = 1e-3 / v.iter().fold(1e-12_f32, |m, v| m.max(v.abs()));
        (operator.apply(&(x + &(v * step))) - &here) / step
    };
    iterate(operator, forward, |u| operator.vjp(x, u), iterations)
}

fn iterate(
    operator: &dyn Operator,
    forward: impl Fn(&Image) -> Image,
    back: impl Fn(&Image) -> Image,
    iterations: usize,
) -> f64 {
    // Noise about a gray picture: the largest singular vector of most operators has no change of sign.
    let mut x = Seeded::new(0, "norm").normal(1, operator.input()) * 0.5 + 1.0;
    let dot = |x: &Image| {
        let x = cg::vector(x);
        cg::dot(&x, &x)
    };
    let mut value = 0.0;
    for _ in 0..iterations {
        let size = dot(&x).sqrt();
        if size == 0.0 {
            break;
        }
        let unit: Image = x * (1.0 / size) as f32;
        let ax = forward(&unit);
        value = dot(&ax).sqrt();
        x = back(&ax);
    }
    value
}
