//! Explicit Runge-Kutta rules of fixed steps.
//!
//! ```text
//! k_1 = f(x, 0),  k_i = f(x + c_i*k_(i-1), c_i),  next = x + sum w_i k_i
//! ```
//!
//! with `f` the way of a whole step at the slope of a place on it, from 0 at its beginning to 1 at its end: in all four
//! rules each slope is taken where the one before leads.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::level::combine;
use crate::run::Error;

/// How an ordinary differential equation is followed over a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// First order, one evaluation a step.
    Euler,
    /// Second order, two evaluations: the slope at half the way.
    Midpoint,
    /// Second order, two evaluations: the mean of the slopes at both ends.
    Heun,
    /// Fourth order, four evaluations (Kutta 1901).
    Rk4,
}

impl Rule {
    /// `(c, w)` of each slope.
    fn stages(self) -> &'static [(f64, f64)] {
        match self {
            Rule::Euler => &[(0.0, 1.0)],
            Rule::Midpoint => &[(0.0, 0.0), (0.5, 1.0)],
            Rule::Heun => &[(0.0, 0.5), (1.0, 0.5)],
            Rule::Rk4 => &[
                (0.0, 1.0 / 6.0),
                (0.5, 1.0 / 3.0),
                (0.5, 1.0 / 3.0),
                (1.0, 1.0 / 6.0),
            ],
        }
    }

    /// Evaluations a step.
    pub fn evaluations(self) -> usize {
        self.stages().len()
    }

    /// A step from `x`, where `way(x, c)` is that of a whole step at the slope of `x` at place `c`.
    pub(super) fn step(
        self,
        x: &Image,
        mut way: impl FnMut(&Image, f64) -> Result<Image, Error>,
    ) -> Result<Image, Error> {
        let mut next = x.clone();
        let mut last: Option<Image> = None;
        for &(c, w) in self.stages() {
            let k = match &last {
                None => way(x, c)?,
                Some(k) => way(&combine(1.0, x, c, k), c)?,
            };
            next.scaled_add(w as f32, &k);
            last = Some(k);
        }
        Ok(next)
    }
}
