//! Objectives: at which noise levels a network is asked, and what it should have answered.
//!
//! Whatever the parametrisation, the network's target is `(x0 - skip*x)/out`, and the loss its mean squared error. With
//! the EDM parametrisation that is EDM's weighted loss (Karras et al. 2022, eq. 8: `lambda*out^2 = 1`); with `eps` and
//! the `ddpm` law it is DDPM's simple loss (Ho et al. 2020, eq. 14); with `eps` and the `ve` law NCSN's denoising score
//! matching, whose weight `sigma^2` makes `sigma*score + eps` of the score's error (Song and Ermon 2019, eq. 6); with
//! `velocity` and the `flow` law flow matching on the straight path (Lipman et al. 2023, eq. 23).

use ndarray::Axis;
use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::Recipe;
use super::maps::{Seen, weight};
use crate::Image;
use crate::grid::Schedule;
use crate::level::Range;
use crate::net::Condition;
use crate::noise_map::NoiseMap;
use crate::operator::Pairs;
use crate::prior::Shown;

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
    /// NCSN: a level, uniform among those of a geometric ladder.
    Ve {
        /// Smallest sigma; 0.02 for the paper's 0.01 of data in [0, 1].
        min: f64,
        /// Largest sigma.
        max: f64,
        /// Number of levels.
        steps: usize,
    },
    /// None: of networks that are operators.
    None {},
    /// Flow matching: a time, uniform on the straight path from data to noise, `sigma = t/(1 - t)`; the ends are cut off
    /// where `sigma` is beyond these.
    Flow {
        /// Smallest sigma.
        min: f64,
        /// Largest sigma.
        max: f64,
    },
}

impl NoiseLaw {
    /// Smallest and largest sigma.
    pub fn bounds(&self) -> [f64; 2] {
        match *self {
            NoiseLaw::LogNormal { min, max, .. }
            | NoiseLaw::Ve { min, max, .. }
            | NoiseLaw::Flow { min, max } => [min, max],
            NoiseLaw::None {} => [1.0; 2],
            NoiseLaw::Ddpm { steps } => {
                let levels = Schedule::VpLinear { steps }.levels(Range::NETWORK);
                [levels[0].sigma(), levels[steps - 1].sigma()]
            }
        }
    }

    /// Whether the numbers make a distribution.
    pub(super) fn check(&self) -> Result<(), String> {
        let [least, most] = match *self {
            // Its levels are made below, once it is known to be sound.
            NoiseLaw::Ddpm { .. } | NoiseLaw::None {} => [1.0, 2.0],
            _ => self.bounds(),
        };
        let bounded = 0.0 < least && least < most && most < 1e6;
        let sound = match *self {
            NoiseLaw::LogNormal {
                mean, std, uniform, ..
            } => mean.is_finite() && (0.0..100.0).contains(&std) && (0.0..=1.0).contains(&uniform),
            NoiseLaw::Ddpm { steps } | NoiseLaw::Ve { steps, .. } => (2..=100_000).contains(&steps),
            NoiseLaw::Flow { .. } | NoiseLaw::None {} => true,
        };
        if sound && bounded {
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
            NoiseLaw::None {} => vec![1.0; n],
            NoiseLaw::Ddpm { steps } => {
                let levels = Schedule::VpLinear { steps }.levels(Range::NETWORK);
                (0..n)
                    .map(|_| levels[rng.random_range(0..steps)].sigma())
                    .collect()
            }
            NoiseLaw::Ve { min, max, steps } => (0..n)
                .map(|_| {
                    let place = rng.random_range(0..steps) as f64 / (steps - 1) as f64;
                    min * (max / min).powf(place)
                })
                .collect(),
            NoiseLaw::Flow { min, max } => (0..n)
                .map(|_| {
                    let t: f64 = rng.random();
                    (t / (1.0 - t)).clamp(min, max)
                })
                .collect(),
        }
    }
}

/// What a network is shown and told, and what it should answer.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// `input*(x0 + sigma*eps)`, and after its channels those of the first guess of a conditional network.
    pub(super) input: Image,
    told: Told,
    /// `(x0 - skip*x)/out`.
    target: Image,
    /// The noise of each crop, where it is told maps.
    noise: Vec<NoiseMap>,
}

#[derive(Clone, Debug)]
enum Told {
    Levels(Vec<f32>),
    Map(Image),
}

impl Task {
    /// The recipe's task of clean pictures `x0` in [-1, 1] at the given levels and noise.
    pub(super) fn plain(recipe: &Recipe, x0: &Image, sigmas: &[f64], noise: &Image) -> Task {
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
        let level = |&sigma: &f64| recipe.conditioning.of(sigma, Range::NETWORK);
        Task {
            input,
            told: Told::Levels(sigmas.iter().map(level).collect()),
            target,
            noise: Vec::new(),
        }
    }

    /// The recipe's task of clean pictures `x0` in [-1, 1], each seen with a map of noise: what a plain task is along each
    /// direction of each pixel.
    pub(super) fn mapped(recipe: &Recipe, x0: &Image, seen: Vec<Seen>) -> Task {
        let (mut inputs, mut maps, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let mut noises = Vec::new();
        for (x0, Seen { m, noise }) in x0.outer_iter().zip(&seen) {
            let shown = Shown::new(recipe.parametrisation, m, noise, recipe.spec().told());
            inputs.push(shown.input());
            targets.push(shown.target(&x0.insert_axis(Axis(0)).to_owned()));
            maps.push(shown.map);
            noises.push(shown.noise);
        }
        Task {
            input: stacked(&inputs),
            told: Told::Map(stacked(&maps)),
            target: stacked(&targets),
            noise: noises,
        }
    }

    /// The task of an operator that learns from clean pictures in [-1, 1] and what was recorded of them.
    pub(super) fn imitated(recipe: &Recipe, x0: &Image, Pairs { told, recorded }: Pairs) -> Task {
        let [only, _] = recipe.noise.bounds();
        let level = recipe.conditioning.of(only, Range::NETWORK);
        let task = Task {
            input: x0.clone(),
            told: Told::Levels(vec![level; x0.dim().0]),
            target: recorded,
            noise: Vec::new(),
        };
        task.beside(Some(&told))
    }

    /// The same where the network is shown first guesses as well, if there are any.
    pub(super) fn beside(mut self, guesses: Option<&Image>) -> Task {
        if let Some(guesses) = guesses {
            let both = ndarray::concatenate(Axis(1), &[self.input.view(), guesses.view()]);
            self.input = both.expect("of one size");
        }
        self
    }

    /// What the network is told.
    pub(super) fn condition(&self) -> Condition<'_> {
        match &self.told {
            Told::Levels(levels) => Condition::Levels(levels),
            Told::Map(map) => Condition::Map(map),
        }
    }

    /// The loss of an answer, and its gradient.
    pub(super) fn loss(&self, answer: &Image) -> (f64, Image) {
        let mut gradient = answer - &self.target;
        let mut sum = 0.0;
        for (i, mut error) in gradient.outer_iter_mut().enumerate() {
            let whole = error.view().insert_axis(Axis(0)).to_owned();
            let weighed = match self.noise.get(i) {
                Some(noise) => noise.filter(&whole, weight),
                None => whole.clone(),
            };
            let product = |(&a, &b): (&f32, &f32)| f64::from(a) * f64::from(b);
            sum += whole.iter().zip(&weighed).map(product).sum::<f64>();
            error.assign(&weighed.index_axis(Axis(0), 0));
        }
        let n = answer.len() as f64;
        gradient *= (2.0 / n) as f32;
        (sum / n, gradient)
    }
}

/// Pictures as a batch.
fn stacked(pictures: &[Image]) -> Image {
    let views: Vec<_> = pictures.iter().map(|p| p.view()).collect();
    ndarray::concatenate(Axis(0), &views).expect("crops are alike")
}
