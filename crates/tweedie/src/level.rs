//! Noise levels.
//!
//! Every diffusion, score or flow model sees a noisy image `x = a*x0 + b*eps` with `eps ~ N(0, I)`. The pair
//! `(a, b)` is a [`Level`]; which of them a method visits says a [`Grid`](crate::grid::Grid). Coefficients are f64, images
//! f32.

use serde::{Deserialize, Serialize};

use crate::Image;

/// The range that clean data live in: `center ± half`.
///
/// Schedules are published for data in [-1, 1] (centre 0, half-width 1). Tweedie's images are in [0, 1], so that a
/// published `b` is multiplied by `half = 0.5`, and pure noise is centred on mid-grey.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Middle of the range.
    pub center: f64,
    /// Half of its width.
    pub half: f64,
}

impl Range {
    /// Pictures in [0, 1]: the range of everything outside a network adapter.
    pub const IMAGE: Range = Range {
        center: 0.5,
        half: 0.5,
    };
    /// Data in [-1, 1], as networks and the literature have them.
    pub const NETWORK: Range = Range {
        center: 0.0,
        half: 1.0,
    };

    /// Its width, `2*half`.
    pub fn width(self) -> f64 {
        2.0 * self.half
    }

    /// Its ends, the lower first.
    pub fn limits(self) -> (f32, f32) {
        let (low, high) = (self.center - self.half, self.center + self.half);
        (low as f32, high as f32)
    }

    /// Limits a clean image to the range.
    pub fn clamp(self, x0: &mut Image) {
        let (low, high) = self.limits();
        x0.par_mapv_inplace(|v| v.clamp(low, high));
    }
}

/// A noise level: `x = a*x0 + b*eps`.
///
/// `a` has no unit; `b` is a standard deviation in the units of `x0` (image units outside a network adapter).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Scale of the clean image: `sqrt(abar)` for VP, 1 for VE, `1 - t` for a flow.
    pub a: f64,
    /// Standard deviation of the noise: `sqrt(1 - abar)` for VP, sigma for VE, `t` for a flow, each times the range's
    /// half-width.
    pub b: f64,
}

impl Level {
    /// The level without noise.
    pub const CLEAN: Level = Level { a: 1.0, b: 0.0 };

    /// The variance-exploding level `x = x0 + sigma*eps`.
    pub const fn ve(sigma: f64) -> Level {
        Level { a: 1.0, b: sigma }
    }

    /// The variance-preserving level of `abar` for data of half-width `half`.
    pub fn vp(abar: f64, half: f64) -> Level {
        Level {
            a: abar.sqrt(),
            b: half * (1.0 - abar).sqrt(),
        }
    }

    /// Noise relative to signal, `b/a`: the standard deviation left when `x` is scaled back to `x/a`.
    pub fn sigma(self) -> f64 {
        self.b / self.a
    }

    /// The same level for data `factor` times as wide.
    pub fn scaled(self, factor: f64) -> Level {
        Level {
            a: self.a,
            b: self.b * factor,
        }
    }

    /// `x0 = (x - b*eps)/a`.
    pub fn x0_from_eps(self, x: &Image, eps: &Image) -> Image {
        combine(1.0 / self.a, x, -self.b / self.a, eps)
    }

    /// `eps = (x - a*x0)/b`.
    pub fn eps_from_x0(self, x: &Image, x0: &Image) -> Image {
        combine(1.0 / self.b, x, -self.a / self.b, x0)
    }

    /// The score `grad log p(x) = (a*x0 - x)/b^2`: Tweedie's formula.
    pub fn score_from_x0(self, x: &Image, x0: &Image) -> Image {
        let variance = self.b * self.b;
        combine(-1.0 / variance, x, self.a / variance, x0)
    }

    /// `a*x0 + b*eps`: the noisy image.
    pub fn mix(self, x0: &Image, eps: &Image) -> Image {
        combine(self.a, x0, self.b, eps)
    }
}

/// `p*x + q*y`, in one pass.
pub(crate) fn combine(p: f64, x: &Image, q: f64, y: &Image) -> Image {
    let (p, q) = (p as f32, q as f32);
    ndarray::Zip::from(x)
        .and(y)
        .par_map_collect(|&x, &y| p * x + q * y)
}

/// The Markov step between two levels of one forward process, `x_t = ratio*x_s + sqrt(var)*z`, and what Bayes' rule
/// makes of it.
///
/// With VP levels `ratio^2 = alpha_t`, `var = beta_t` and `posterior_var` is the "beta tilde" of DDPM.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    /// The noisier level.
    pub t: Level,
    /// The cleaner level.
    pub s: Level,
    /// `a_t/a_s`.
    pub ratio: f64,
    /// Variance of `x_t` given `x_s`.
    pub var: f64,
    /// Variance of `x_s` given `x_t` and `x0`.
    pub posterior_var: f64,
}

impl Transition {
    /// From the noisier `t` to the cleaner `s`.
    pub fn new(t: Level, s: Level) -> Transition {
        let ratio = t.a / s.a;
        // sigma_t^2 - sigma_s^2 as a product: the plain difference of squares loses digits.
        let (st, ss) = (t.sigma(), s.sigma());
        let var = t.a * t.a * (st - ss) * (st + ss);
        Transition {
            t,
            s,
            ratio,
            var,
            posterior_var: var * (s.b * s.b) / (t.b * t.b),
        }
    }

    /// Mean of `x_s` given `x_t` and `x0` (Ho et al. 2020, eq. 7).
    pub fn posterior_mean(&self, x: &Image, x0: &Image) -> Image {
        let bt2 = self.t.b * self.t.b;
        combine(
            self.ratio * self.s.b * self.s.b / bt2,
            x,
            self.s.a * self.var / bt2,
            x0,
        )
    }

    /// Standard deviation of the fresh noise of DDIM at `eta`: `eta*sqrt(posterior_var)` (Song et al. 2021, eq. 16).
    pub fn ddim_sigma(&self, eta: f64) -> f64 {
        eta * self.posterior_var.sqrt()
    }
}

/// The pairs (from, to) of a walk through `levels` that ends at [`Level::CLEAN`].
pub fn walk(levels: &[Level]) -> impl Iterator<Item = (Level, Level)> + '_ {
    let next = levels.iter().skip(1).copied().chain([Level::CLEAN]);
    levels.iter().copied().zip(next)
}

/// The same walk back up, from [`Level::CLEAN`] to the first of `levels`.
pub fn climb(levels: &[Level]) -> impl Iterator<Item = (Level, Level)> + '_ {
    let up = levels.iter().rev().copied();
    std::iter::once(Level::CLEAN).chain(up.clone()).zip(up)
}
