//! The denoiser that is plugged in: how strong it is in each step, and how it is asked.
//!
//! ```text
//! D_k(x) = (1 - share)*x + share*T^-1(D(T(x), sigma_k)),   sigma_k = logspace(start, end, K)
//! ```
//!
//! A ladder of strengths (start above end) is DPIR's; proofs of convergence are for one strength alone (start = end) and for
//! denoisers that never spread two pictures. A network may; taken in shares it does so less (Ryu et al. 2019, arXiv:1905.05406). `T`
//! is none, or another one of the eight ways to lay down a picture in each step: the denoiser's errors then do not add up.

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::{Level, combine};
use crate::method::plug_and_play::symmetry::Symmetry;
use crate::method::{Restored, Task};
use crate::operator::Loss;
use crate::prior::Prior;
use crate::problem::Problem;
use crate::run::{Error, Run};

/// A prior as the denoiser of so many steps.
pub(super) struct Denoiser<'a> {
    prior: &'a dyn Prior,
    sigmas: Vec<f64>,
    share: f64,
    ensemble: bool,
}

impl<'a> Denoiser<'a> {
    /// With sigmas for images in [0, 1], the strongest first, within what the prior knows.
    pub(super) fn new(
        prior: &'a dyn Prior,
        steps: usize,
        sigma: [f64; 2],
    ) -> Result<Denoiser<'a>, Error> {
        Error::unless((1..=MAX_STEPS).contains(&steps), || {
            format!("this method takes 1 to {MAX_STEPS} steps, not {steps}")
        })?;
        positive("the denoiser's sigma", sigma[0])?;
        positive("the denoiser's sigma", sigma[1])?;
        let card = prior.card();
        let sigma = sigma.map(|s| s * card.range.width());
        Ok(Denoiser {
            prior,
            sigmas: ladder(steps, sigma, card.sigma),
            share: 1.0,
            ensemble: false,
        })
    }

    /// Of which only a share is taken.
    pub(super) fn share(self, share: f64) -> Result<Denoiser<'a>, Error> {
        Error::unless(share > 0.0 && share <= 1.0, || {
            format!("the denoiser's share is above 0 and at most 1, not {share}")
        })?;
        Ok(Denoiser { share, ..self })
    }

    /// Which is shown the picture another way in each step.
    pub(super) fn ensemble(self, ensemble: bool) -> Denoiser<'a> {
        Denoiser { ensemble, ..self }
    }

    /// Its level in step `k`.
    pub(super) fn level(&self, k: usize) -> Level {
        Level::ve(self.sigmas[k])
    }

    /// `D_k(x)`.
    pub(super) fn apply(&self, k: usize, x: &Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let way = Symmetry::nth(if self.ensemble { k } else { 0 });
        let denoised = way.back(&run.denoise(self.prior, &way.there(x), self.level(k))?);
        Ok(match self.share {
            1.0 => denoised,
            share => combine(1.0 - share, x, share, &denoised),
        })
    }

    /// The weight of the prior against the measurement in step `k`, `lambda*sigma_y^2/sigma_k^2`: with a `lambda` of 1 that of
    /// the posterior.
    pub(super) fn rho(&self, k: usize, lambda: f64, problem: &Problem) -> f64 {
        let sigma_y = problem.sigma_floored(self.prior.card().range);
        lambda * (sigma_y / self.sigmas[k]).powi(2)
    }

    /// `sigma_(k+1)^2/sigma_k^2`: what becomes of a multiplier that is kept in units of the penalty.
    pub(super) fn shrinks(&self, k: usize) -> f64 {
        let next = (k + 1).min(self.sigmas.len() - 1);
        (self.sigmas[next] / self.sigmas[k]).powi(2)
    }

    /// The last estimate, with a measurement without noise put back: the denoiser had no business there.
    pub(super) fn settled(&self, problem: &Problem, x: Image, lambda: f64) -> Restored {
        match problem.operator.linear() {
            Some(_) if problem.exact() => {
                let rho = self.rho(self.sigmas.len() - 1, lambda, problem);
                problem.settle(&x, rho).into()
            }
            _ => x.into(),
        }
    }
}

/// The prior's weight and the weakest strength for a task, where a multiplier adds up what data and prior disagree on. It takes the
/// data at their word, and with a blur that leaves most frequencies a little it follows their noise: there the prior weighs more,
/// and ends above the noise.
pub(super) fn with_multiplier(task: &Task) -> (f64, f64) {
    let (lambda, above) = match task.loss {
        Loss::NOTHING => (2.0, 1.0),
        loss if loss.detail && loss.faded <= 0.5 => (0.5, 2.0),
        _ => (0.23, 1.0),
    };
    (lambda, (above * task.sigma).max(0.004))
}

/// That a setting is a positive number.
pub(super) fn positive(what: &str, v: f64) -> Result<(), Error> {
    Error::unless(v > 0.0 && v.is_finite(), || {
        format!("{what} must be positive, not {v}")
    })
}

/// Sigmas from the strongest down, each the same factor below the last; all alike where the strongest is below the weakest, as
/// with a measurement noisier than that.
fn ladder(steps: usize, [start, end]: [f64; 2], [least, most]: [f64; 2]) -> Vec<f64> {
    let end = end.max(least).min(most);
    let start = start.min(most).max(end);
    let last = steps.saturating_sub(1).max(1) as f64;
    (0..steps)
        .map(|k| start * (end / start).powf(k as f64 / last))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DPIR's published ladder for 8 steps at noise 7.65/255, with its weights; a linear ladder would have 43.1 in the second
    /// place.
    #[test]
    fn ladder_as_published() {
        let ladder = ladder(8, [49.0 / 255.0, 7.65 / 255.0], [0.0, f64::INFINITY]);
        let published = [49.0, 37.58, 28.82, 22.11, 16.96, 13.01, 9.97, 7.65];
        for (sigma, expected) in ladder.iter().zip(published) {
            assert!(
                (sigma * 255.0 - expected).abs() < 0.006,
                "{sigma} {expected}"
            );
        }
        let weights = ladder.iter().map(|s| 0.23 * (7.65 / 255.0 / s).powi(2));
        let published = [
            0.005606, 0.00953, 0.0162, 0.02754, 0.04682, 0.07959, 0.1353, 0.23,
        ];
        for (alpha, expected) in weights.zip(published) {
            assert!((alpha / expected - 1.0).abs() < 1e-3, "{alpha} {expected}");
        }
    }
}
