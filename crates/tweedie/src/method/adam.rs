//! Adam's steps (Kingma and Ba 2015), without decay of weights: for a picture that is optimised (RED-diff), or for a walk whose
//! steps along the gradient `g_k` of step `k` become steps along Adam's, number by number (AdamDPS: Belardi, Lovelace, Weinberger and
//! Gomes 2026, arXiv:2603.16797):
//!
//! ```text
//! m = beta1*m + (1 - beta1)*g_k,   v = beta2*v + (1 - beta2)*g_k^2
//! direction = m/(1 - beta1^k) / (sqrt(v/(1 - beta2^k)) + 1e-8)
//! ```

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::run::Error;

/// Adam's two rates of forgetting.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Moments {
    /// Of the gradient; 0 remembers nothing.
    pub beta1: f64,
    /// Of its square.
    pub beta2: f64,
}

impl Default for Moments {
    /// The authors' defaults. What they found best for pictures is lower: 0.5 to 0.7, and 0.6 to 0.8.
    fn default() -> Moments {
        Moments {
            beta1: 0.9,
            beta2: 0.995,
        }
    }
}

impl Moments {
    pub(super) fn check(self) -> Result<(), Error> {
        let [p, q] = [self.beta1, self.beta2].map(|beta| (0.0..1.0).contains(&beta));
        Error::unless(p && q, || "Adam's betas are from 0 to less than 1".into())
    }
}

/// What Adam remembers.
#[derive(Debug, Default)]
pub(super) struct Memory {
    steps: i32,
    moments: Option<(Image, Image)>,
}

impl Memory {
    /// Adam's direction for the next gradient: each number about as large as one.
    pub(super) fn direction(&mut self, rates: Moments, gradient: &Image) -> Image {
        let Moments { beta1, beta2 } = rates;
        self.steps = self.steps.saturating_add(1);
        let none = || (Image::zeros(gradient.dim()), Image::zeros(gradient.dim()));
        let (m, v) = self.moments.get_or_insert_with(none);
        let unbiased = |beta: f64| (1.0 / (1.0 - beta.powi(self.steps))) as f32;
        let (p, q) = (unbiased(beta1), unbiased(beta2));
        let (b1, b2) = (beta1 as f32, beta2 as f32);
        Zip::from(m)
            .and(v)
            .and(gradient)
            .par_map_collect(|m, v, &g| {
                *m = b1 * *m + (1.0 - b1) * g;
                *v = b2 * *v + (1.0 - b2) * g * g;
                p * *m / ((q * *v).sqrt() + 1e-8)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three gradients of one number, by hand: of the mean and the mean square that Adam remembers. Wrong: moments that are not made
    /// up for their start at 0, the root of the second left out.
    #[test]
    fn adam_remembers() {
        let rates = Moments {
            beta1: 0.5,
            beta2: 0.75,
        };
        let mut memory = Memory::default();
        let mut next =
            |g: f32| memory.direction(rates, &Image::from_elem((1, 1, 1, 1), g))[[0, 0, 0, 0]];
        assert!((next(2.0) - 1.0).abs() < 1e-6);
        // m = .5*1 - .5*4 = -1.5, v = .75*1 + .25*16 = 4.75; over .75 and 1 - .75^2.
        let expected = (-1.5 / 0.75) / (4.75f32 / 0.4375).sqrt();
        assert!((next(-4.0) - expected).abs() < 1e-6);
        let expected = (-0.75 / 0.875) / (3.5625f32 / 0.578_125).sqrt();
        assert!((next(0.0) - expected).abs() < 1e-6);
    }
}
