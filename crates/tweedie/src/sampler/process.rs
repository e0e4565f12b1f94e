//! The forward processes of score SDEs in continuous time (Song et al. 2021, arXiv:2011.13456, section 3.4).
//!
//! ```text
//! dx = f(u)*x du + g(u) dw,    u from 0 (clean) to 1 (noise),    x_u = a(u)*x0 + b(u)*eps
//! VP      f = -beta/2,  g^2 = beta,                   a = exp(-B/2),  b = sqrt(1 - exp(-B))     B = integral of beta
//! sub-VP  f = -beta/2,  g^2 = beta*(1 - exp(-2B)),    a = exp(-B/2),  b = 1 - exp(-B)
//! VE      f = 0,        g^2 = 2*ln(max/min)*sigma^2,  a = 1,          b = sigma = min*(max/min)^u
//! ```
//!
//! with `b` and `g` for data in [-1, 1], but for VE. As in the authors' code VE counts the noise of `u = 0`, which strictly
//! the process does not add.

use serde::{Deserialize, Serialize};

use crate::grid::{self, MAX_STEPS};
use crate::level::{Level, Range};
use crate::prior::Card as PriorCard;
use crate::run::Error;

/// How a picture becomes noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Process {
    /// The variance stays.
    Vp {
        /// `beta` at 0 and at 1: 0.1 and 20 in the paper.
        beta: [f64; 2],
    },
    /// It never exceeds VP's.
    SubVp {
        /// `beta` at 0 and at 1: 0.1 and 20 in the paper.
        beta: [f64; 2],
    },
    /// The variance grows.
    Ve {
        /// Sigma at 0 and at 1, for data in [0, 1]: 0.01 and 50 in the paper for 32x32 pixels.
        sigma: [f64; 2],
    },
}

impl Process {
    /// The paper's VP process.
    pub const VP: Process = Process::Vp { beta: [0.1, 20.0] };

    /// The level at time `u`.
    pub fn level(self, u: f64, range: Range) -> Level {
        let half = range.half;
        match self {
            Process::Vp { beta } => Level::vp((-integral(beta, u)).exp(), half),
            Process::SubVp { beta } => Level {
                a: (-0.5 * integral(beta, u)).exp(),
                b: -(-integral(beta, u)).exp_m1() * half,
            },
            Process::Ve { sigma: [min, max] } => {
                Level::ve(min * (max / min).powf(u) * range.width())
            }
        }
    }

    /// `f` and `g^2` at time `u`.
    pub fn rates(self, u: f64, range: Range) -> (f64, f64) {
        let at = |[first, last]: [f64; 2]| first + u * (last - first);
        let unit = range.half * range.half;
        match self {
            Process::Vp { beta } => (-0.5 * at(beta), at(beta) * unit),
            Process::SubVp { beta } => {
                let kept = -(-2.0 * integral(beta, u)).exp_m1();
                (-0.5 * at(beta), at(beta) * kept * unit)
            }
            Process::Ve { sigma: [min, max] } => {
                let sigma = self.level(u, range).b;
                (0.0, 2.0 * (max / min).ln() * sigma * sigma)
            }
        }
    }

    /// The time at which a sigma is reached.
    fn time(self, sigma: f64, range: Range) -> f64 {
        let s = sigma / range.half;
        // `B` from sigma, then `u` from `B = first*u + (last - first)*u^2/2`.
        let solve = |[first, last]: [f64; 2], b: f64| {
            2.0 * b / (first + (first * first + 2.0 * (last - first) * b).sqrt())
        };
        match self {
            Process::Vp { beta } => solve(beta, (s * s).ln_1p()),
            Process::SubVp { beta } => solve(beta, 2.0 * (0.5 * s).asinh()),
            Process::Ve { sigma: [min, max] } => {
                (sigma / range.width() / min).ln() / (max / min).ln()
            }
        }
    }

    /// `steps` times from 1 down to the paper's end, 1e-3 or for VE 1e-5, as far as the prior knows their levels.
    pub(super) fn times(self, steps: usize, card: &PriorCard) -> Result<Vec<f64>, Error> {
        let (ends, least) = match self {
            Process::Vp { beta } | Process::SubVp { beta } => (beta, 1e-3),
            Process::Ve { sigma } => (sigma, 1e-5),
        };
        let [first, last] = ends;
        Error::unless(first > 0.0 && first < last && last.is_finite(), || {
            format!("the ends of a process rise from a positive number, not from {first} to {last}")
        })?;
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(grid::Error::Steps(steps).into());
        }
        let time = |sigma: f64| match sigma {
            0.0 => 0.0,
            sigma if sigma.is_infinite() => 1.0,
            sigma => self.time(sigma, card.range),
        };
        let low = time(card.sigma[0]).max(least);
        let high = time(card.sigma[1]).min(1.0);
        if low > high {
            let sigma = |u| self.level(u, card.range).sigma();
            return Err(grid::Error::Unknown {
                grid: [sigma(least), sigma(1.0)],
                prior: card.sigma,
            }
            .into());
        }
        let gap = (high - low) / steps.saturating_sub(1).max(1) as f64;
        Ok((0..steps).map(|i| high - i as f64 * gap).collect())
    }
}

/// The integral of a `beta` that rises linearly.
fn integral([first, last]: [f64; 2], u: f64) -> f64 {
    first * u + 0.5 * (last - first) * u * u
}

/// The pairs (from, to) of a walk through times that ends at 0.
pub(super) fn spans(times: &[f64]) -> impl Iterator<Item = (f64, f64)> + '_ {
    let next = times.iter().skip(1).copied().chain([0.0]);
    times.iter().copied().zip(next)
}
