//! Two switches for steps along a gradient of the data.
//!
//! **Moments** (AdamDPS: Belardi, Lovelace, Weinberger and Gomes 2026, arXiv:2603.16797): a step along the gradient `g_k` of step `k`
//! becomes one along Adam's, number by number,
//!
//! ```text
//! m = beta1*m + (1 - beta1)*g_k,   v = beta2*v + (1 - beta2)*g_k^2
//! direction = m/(1 - beta1^k) / (sqrt(v/(1 - beta2^k)) + 1e-8)
//! ```
//!
//! **Huber's data term** (Huber 1964): residuals beyond a threshold count by their size, not by its square, so that dead pixels and
//! other outliers pull no harder than the threshold.

use ndarray::{Axis, Zip};
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

/// What Adam remembers on a walk.
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

/// The residual as a data term feels it, its derivative: as it is, or with Huber's threshold, limited to it.
pub(super) fn felt(residual: &Image, threshold: Option<f64>) -> Image {
    match threshold {
        None => residual.clone(),
        Some(d) => residual.mapv(|r| r.clamp(-d as f32, d as f32)),
    }
}

/// The root of twice the data term, of each picture of a batch: the norm of the residual, if there is no threshold.
pub(super) fn sizes(residual: &Image, threshold: Option<f64>) -> Vec<f64> {
    let term = |r: f32| {
        let r = f64::from(r).abs();
        match threshold {
            Some(d) if r > d => d * (2.0 * r - d),
            _ => r * r,
        }
    };
    residual
        .axis_iter(Axis(0))
        .map(|picture| picture.iter().map(|&r| term(r)).sum::<f64>().sqrt())
        .collect()
}

/// `x + factor*direction`, each picture of the batch with a factor of its own.
pub(super) fn push(x: &mut Image, factors: impl IntoIterator<Item = f64>, direction: &Image) {
    for (n, factor) in factors.into_iter().enumerate() {
        let along = direction.index_axis(Axis(0), n);
        x.index_axis_mut(Axis(0), n)
            .scaled_add(factor as f32, &along);
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

    /// The data term's derivative is what it feels, and its size that of the residual where there are no outliers.
    #[test]
    fn hubers_term_and_its_derivative() {
        let of = |r: f32| Image::from_elem((1, 1, 1, 1), r);
        let term = |r: f32| sizes(&of(r), Some(0.5))[0].powi(2) / 2.0;
        for r in [-3.0, -0.75, -0.25, 0.125, 0.625, 2.0] {
            let slope = (term(r + 1e-3) - term(r - 1e-3)) / 2e-3;
            let felt = felt(&of(r), Some(0.5))[[0, 0, 0, 0]];
            assert!(
                (slope - f64::from(felt)).abs() < 1e-3,
                "{r}: {slope} {felt}"
            );
        }
        assert_eq!(sizes(&of(-0.375), Some(0.5)), sizes(&of(-0.375), None));
    }
}
