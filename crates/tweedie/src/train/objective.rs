//! Objectives: at which noise levels a network is asked, and what it should have answered.
//!
//! Whatever the parametrisation, the network's target is `(x0 - skip*x)/out`, and the loss its mean squared error. With
//! the EDM parametrisation that is EDM's weighted loss (Karras et al. 2022, eq. 8: `lambda*out^2 = 1`); with `eps` and
//! the `ddpm` law it is DDPM's simple loss (Ho et al. 2020, eq. 14).

use ndarray::Axis;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::Recipe;
use crate::Image;
use crate::grid::Schedule;
use crate::level::Range;

/// Distribution of the noise levels of training, as sigma for data in [-1, 1].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "law", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NoiseLaw {
    /// EDM: `ln sigma ~ N(mean, std^2)`; a share of the draws is uniform in `ln sigma` instead, for the far levels.
    LogNormal {
        /// -1.2 in the paper.
        mean: f64,
        /// 1.2 in the paper.
        std: f64,
        /// Share of draws that are uniform in `ln sigma`.
        uniform: f64,
        /// Smallest sigma.
        min: f64,
        /// Largest sigma.
        max: f64,
    },
    /// DDPM: a time index, uniform among the levels of the linear schedule.
    Ddpm {
        /// Number of levels, 1000 in the paper.
        steps: usize,
    },
}

impl NoiseLaw {
    /// Smallest and largest sigma.
    pub fn bounds(&self) -> [f64; 2] {
        match *self {
            NoiseLaw::LogNormal { min, max, .. } => [min, max],
            NoiseLaw::Ddpm { steps } => {
                let levels = Schedule::VpLinear { steps }.levels(Range::NETWORK);
                [levels[0].sigma(), levels[steps - 1].sigma()]
            }
        }
    }

    /// Whether the numbers make a distribution.
    pub(super) fn check(&self) -> Result<(), String> {
        let sound = match *self {
            NoiseLaw::LogNormal {
                mean,
                std,
                uniform,
                min,
                max,
            } => {
                mean.is_finite()
                    && (0.0..100.0).contains(&std)
                    && (0.0..=1.0).contains(&uniform)
                    && 0.0 < min
                    && min < max
                    && max < 1e6
            }
            NoiseLaw::Ddpm { steps } => (2..=100_000).contains(&steps),
        };
        if sound {
            Ok(())
        } else {
            Err(format!("`noise` makes no distribution: {self:?}"))
        }
    }

    /// `n` noise levels.
    pub fn draw(&self, n: usize, rng: &mut impl Rng) -> Vec<f64> {
        match *self {
            NoiseLaw::LogNormal {
                mean,
                std,
                uniform,
                min,
                max,
            } => (0..n)
                .map(|_| {
                    let ln_sigma = if rng.random::<f64>() < uniform {
                        min.ln() + rng.random::<f64>() * (max / min).ln()
                    } else {
                        let z: f64 = StandardNormal.sample(rng);
                        mean + std * z
                    };
                    ln_sigma.exp().clamp(min, max)
                })
                .collect(),
            NoiseLaw::Ddpm { steps } => {
                let levels = Schedule::VpLinear { steps }.levels(Range::NETWORK);
                (0..n)
                    .map(|_| levels[rng.random_range(0..steps)].sigma())
                    .collect()
            }
        }
    }
}

/// What a network is shown, and what it should answer.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// `input*(x0 + sigma*eps)`.
    pub(super) input: Image,
    /// The noise level of each picture, as the network is told it.
    pub(super) condition: Vec<f32>,
    /// `(x0 - skip*x)/out`.
    pub(super) target: Image,
}

/// The recipe's task of clean pictures `x0` in [-1, 1] at the given levels and noise.
pub(super) fn task(recipe: &Recipe, x0: &Image, sigmas: &[f64], noise: &Image) -> Task {
    let mut input = Image::zeros(x0.raw_dim());
    let mut target = Image::zeros(x0.raw_dim());
    for (i, &sigma) in sigmas.iter().enumerate() {
        let f = recipe.parametrisation.factors(sigma);
        let (of_x0, of_eps) = f.target(sigma);
        ndarray::Zip::from(input.index_axis_mut(Axis(0), i))
            .and(target.index_axis_mut(Axis(0), i))
            .and(x0.index_axis(Axis(0), i))
            .and(noise.index_axis(Axis(0), i))
            .for_each(|input, target, &x0, &eps| {
                *input = (f.input * (x0 as f64 + sigma * eps as f64)) as f32;
                *target = (of_x0 * x0 as f64 + of_eps * eps as f64) as f32;
            });
    }
    Task {
        input,
        condition: sigmas
            .iter()
            .map(|&sigma| recipe.conditioning.of(sigma, Range::NETWORK))
            .collect(),
        target,
    }
}
