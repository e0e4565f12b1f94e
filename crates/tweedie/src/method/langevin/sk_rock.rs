//! SK-ROCK: a Langevin step of several stages, stable for about the square of their number (Pereyra, Vargas Mieles and
//! Zygalakis 2020, arXiv:1906.11925, after Abdulle, Almuslimani and Vilmart 2018).
//!
//! ```text
//! q = sqrt(2d)*z,  x_1 = x + w_1/w_0*d*g(x + s*w_1/2*q) + s*w_1/w_0*q
//! x_j = mu_j*d*g(x_(j-1)) + nu_j*x_(j-1) + (1 - nu_j)*x_(j-2),   j = 2..s
//! w_0 = 1 + eta/s^2,  w_1 = T_s(w_0)/T_s'(w_0),  mu_j = 2 w_1 T_(j-1)(w_0)/T_j(w_0),  nu_j = 2 w_0 T_(j-1)(w_0)/T_j(w_0)
//! ```
//!
//! with Chebyshev's polynomials `T_j`, here of numbers above 1: `T_j(w) = cosh(j*arccosh(w))`. The noise is drawn once.

use crate::Image;
use crate::level::combine;
use crate::run::{Error, Run};

/// Damping.
const ETA: f64 = 0.05;

/// The longest step that is stable, in units of the inverse of the gradient's Lipschitz constant.
pub(super) fn longest(stages: usize) -> f64 {
    (stages as f64 - 0.5).powi(2) * (2.0 - 4.0 * ETA / 3.0) - 1.5
}

/// `s` stages from `x` with the noise `q`; also the estimate of the first.
pub(super) fn step(
    s: usize,
    x: Image,
    q: &Image,
    d: f64,
    gradient: impl Fn(&Image, &mut Run<'_>) -> Result<(Image, Image), Error>,
    run: &mut Run<'_>,
) -> Result<(Image, Image), Error> {
    let n = s as f64;
    let w0 = 1.0 + ETA / (n * n);
    let angle = w0.acosh();
    let t = |j: usize| (j as f64 * angle).cosh();
    let w1 = t(s) * angle.sinh() / (n * (n * angle).sinh());
    let (g, x0) = gradient(&combine(1.0, &x, 0.5 * n * w1, q), run)?;
    let mut now = combine(1.0, &x, d * w1 / w0, &g);
    now.scaled_add((n * w1 / w0) as f32, q);
    let mut before = x;
    for j in 2..=s {
        let ratio = t(j - 1) / t(j);
        let (mu, nu) = (2.0 * w1 * ratio, 2.0 * w0 * ratio);
        let (g, _) = gradient(&now, run)?;
        let mut next = combine(nu, &now, 1.0 - nu, &before);
        next.scaled_add((mu * d) as f32, &g);
        before = std::mem::replace(&mut now, next);
    }
    Ok((now, x0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::Zeros;

    /// The bounds of the specification, and what they mean: for a gradient `-x` a step of that length shrinks, one a tenth
    /// longer grows. Wrong: the bound of a plain Langevin step, a damping that is forgotten.
    #[test]
    fn steps_are_stable_up_to_the_bound() {
        for (stages, bound) in [(5, 37.6), (10, 173.0), (15, 405.0)] {
            assert!((longest(stages) / bound - 1.0).abs() < 0.005, "{stages}");
        }
        let shrinks = |part: f64| {
            let one = Image::ones((1, 1, 1, 1));
            let back = |x: &Image, _: &mut Run<'_>| Ok((-x, x.clone()));
            let mut run = Run::with(Zeros, ());
            let d = part * longest(15);
            let (x, _) = step(15, one.clone(), &(one * 0.0), d, back, &mut run).unwrap();
            x[[0, 0, 0, 0]].abs()
        };
        assert!((1..=100).all(|k| shrinks(f64::from(k) / 100.0) < 1.0));
        assert!(shrinks(1.1) > 1.0);
    }
}
