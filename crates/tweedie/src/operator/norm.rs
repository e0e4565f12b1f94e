//! The norm of an operator.

use super::{Operator, cg};
use crate::Image;
use crate::noise::{NoiseSource, Seeded};

/// `|A|`, the largest singular value, from below by power iteration on `A^T A`.
///
/// Twenty iterations come within a few percent, a hundred within a few thousandths where the largest singular values lie
/// close together, as those of a blur do. Where a step size must be safe, allow for it: 2 % is usual after twenty.
pub fn norm(operator: &dyn Operator, iterations: usize) -> f64 {
    // Noise about a gray picture: the largest singular vector of most operators has no change of sign.
    let mut x = Seeded::new(0).normal(1, operator.input()) * 0.5 + 1.0;
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
        let ax = operator.apply(&unit);
        value = dot(&ax).sqrt();
        x = operator.adjoint(&ax);
    }
    value
}
