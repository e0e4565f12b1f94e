//! The gradient of a posterior's logarithm, with the prior smoothed by a little noise so that a denoiser knows its score.
//!
//! ```text
//! grad log p(x|y) = A^T(y - A x)/sigma_y^2 + weight*(D(x) - x)/e,    e = sigma^2, the denoiser's variance
//! ```

use crate::Image;
use crate::level::{Level, combine};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::run::{Error, Run};

/// What pulls a chain.
pub(super) struct Drift {
    /// The level that the denoiser is told.
    pub(super) level: Level,
    /// Precision of the measurement, `1/sigma_y^2`, times its weight.
    data: f64,
    /// `weight/e`.
    prior: f64,
    /// `|A|^2/sigma_y^2`, with the weight: how fast the data's part changes.
    pub(super) data_bound: f64,
    /// The same of the prior's part, where the denoiser's residual does not change faster than the image.
    pub(super) prior_bound: f64,
}

impl Drift {
    /// With a denoiser for `sigma`, for pictures in [0, 1], as near as the prior knows it; a measurement counts as noisy as
    /// `floor` at least. Weights are 1 for the posterior.
    pub(super) fn new(
        card: &PriorCard,
        problem: &Problem,
        [sigma, floor]: [f64; 2],
        [data, prior]: [f64; 2],
    ) -> Result<Drift, Error> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        Error::unless(
            [sigma, floor, data, prior].into_iter().all(positive),
            || {
                "the denoiser's sigma, the floor of the noise and the weights must be positive"
                    .into()
            },
        )?;
        let width = card.range.width();
        let sigma = (sigma * width).clamp(card.sigma[0], card.sigma[1]);
        let sigma_y = problem.sigma().max(floor * width);
        let data = data / (sigma_y * sigma_y);
        let prior = prior / (sigma * sigma);
        let norm2 = problem.norm2();
        Ok(Drift {
            level: Level::ve(sigma),
            data,
            prior,
            data_bound: norm2 * data,
            prior_bound: prior,
        })
    }

    /// The gradient at `x`, and the denoiser's estimate.
    pub(super) fn at(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        x: &Image,
        run: &mut Run<'_>,
    ) -> Result<(Image, Image), Error> {
        let x0 = run.denoise(prior, x, self.level)?;
        run.poll(&x0)?;
        let mut gradient = combine(self.prior, &x0, -self.prior, x);
        let back = problem.pull(x);
        gradient.scaled_add(self.data as f32, &back);
        Ok((gradient, x0))
    }
}
