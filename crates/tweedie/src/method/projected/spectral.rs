//! The step of DDRM, and of DDNM+, which is DDRM with `eta_b = 1`: each singular value by itself.
//!
//! In the singular vectors of `A = U S V^T`, with `x0` and `e` the prior's estimates of image and noise, `y_i = (U^T y)_i/s` a
//! measurement of `x0_i` with noise `sigma_y/s`, and `tau = b_s/a_s` the noise of the next level (Kawar et al. 2022, eq. 7 and 8):
//!
//! ```text
//! (a) s = 0            :  x_i/a_s = x0_i + tau*(sqrt(1 - eta^2)*e_i + eta*z)
//! (b) tau <  sigma_y/s :  x_i/a_s = x0_i + tau*(sqrt(1 - eta^2)*(y_i - x0_i)/(sigma_y/s) + eta*z)
//! (c) tau >= sigma_y/s :  x_i/a_s = x0_i + eta_b*(y_i - x0_i) + sqrt(tau^2 - eta_b^2*(sigma_y/s)^2)*z
//! ```
//!
//! In (c) the measurement's noise is part of the noise that `x` is to have. The boundary belongs to (c), as in the paper: at the
//! last step of a measurement without noise `tau = sigma_y = 0`, and only so `A x = y`. The released code has strict inequalities on
//! both sides and takes (a) there. In products with `V` and `U^T`, with `r = y - A x0`:
//!
//! ```text
//! x_s = a_s*(x0 + V g(S) U^T r) + V d(S) V^T z + V k(S) V^T e
//! ```

use crate::Image;
use crate::level::{Level, Transition};
use crate::operator::{AnySpectrum, lanczos, spectrum};
use crate::problem::Problem;
use crate::run::Run;

/// Singular values below this part of the largest tell nothing: what they let through was a thousandth.
const LEAST: f64 = 1e-3;

/// A problem in the singular vectors of its operator.
pub(super) struct Spectral<'a> {
    problem: &'a Problem,
    values: AnySpectrum<'a>,
    least: f64,
    sigma_y: f64,
    eta_b: f64,
}

impl<'a> Spectral<'a> {
    /// With a share of the measurement, `eta_b`; where the operator has no closed form, its spectrum is found as closely as
    /// `params` ask.
    pub(super) fn new(problem: &'a Problem, eta_b: f64, params: lanczos::Params) -> Spectral<'a> {
        let values = problem.spectrum_within(params);
        Spectral {
            problem,
            least: LEAST * values.norm(),
            values,
            sigma_y: problem.sigma(),
            eta_b,
        }
    }

    fn seen(&self, s: f64) -> bool {
        s > self.least
    }

    /// From the prior's estimates `x0` and `eps` to the next level, with a share `eta` of fresh noise; also the estimate of the
    /// image that goes with it.
    pub(super) fn step(
        &self,
        hop: &Transition,
        (x0, eps): (&Image, &Image),
        eta: f64,
        run: &mut Run<'_>,
    ) -> (Image, Image) {
        let Level { a, b } = hop.s;
        let (tau, kept) = (hop.s.sigma(), (1.0 - eta * eta).max(0.0).sqrt());
        let noise = |s: f64| self.sigma_y / s;
        let towards = |s: f64| match s {
            _ if !self.seen(s) => 0.0,
            _ if tau >= noise(s) => self.eta_b / s,
            _ => tau * kept / self.sigma_y,
        };
        let fresh = |s: f64| match s {
            _ if self.seen(s) && tau >= noise(s) => {
                a * (tau * tau - (self.eta_b * noise(s)).powi(2))
                    .max(0.0)
                    .sqrt()
            }
            _ => b * eta,
        };
        let old = |s: f64| if self.seen(s) { 0.0 } else { b * kept };
        let x0y = x0 + &spectrum::back(&*self.values, &self.problem.residual(x0), towards);
        if b == 0.0 {
            return (x0y.clone(), x0y);
        }
        let z = run.normal_like(x0);
        let mut next = &x0y * a as f32;
        next += &spectrum::image(&*self.values, &z, fresh);
        if kept > 0.0 {
            next += &spectrum::image(&*self.values, eps, old);
        }
        (next, x0y)
    }

    /// The noisy image of a first level, around a guess `x0`: what is measured better than the level's noise from the measurement,
    /// with the rest of that noise.
    pub(super) fn start(&self, level: Level, x0: &Image, run: &mut Run<'_>) -> Image {
        let tau = level.sigma();
        let better = |s: f64| self.seen(s) && tau > self.sigma_y / s;
        let towards = |s: f64| if better(s) { 1.0 / s } else { 0.0 };
        let fresh = |s: f64| match better(s) {
            true => (tau * tau - (self.sigma_y / s).powi(2)).sqrt(),
            false => tau,
        };
        let mut x = x0 + &spectrum::back(&*self.values, &self.problem.residual(x0), towards);
        let z = run.normal_like(x0);
        x += &spectrum::image(&*self.values, &z, fresh);
        x * level.a as f32
    }
}
