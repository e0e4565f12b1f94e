//! Adam with warm-up, cosine decay, gradient clipping and an exponential moving average of the weights.

use burn::tensor::TensorData;
use ndarray::parallel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::net::Params;

/// How the weights move.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Steps in all.
    pub steps: u64,
    /// Largest learning rate.
    pub rate: f64,
    /// Learning rate at the end.
    #[serde(default)]
    pub final_rate: f64,
    /// Steps of linear warm-up.
    #[serde(default)]
    pub warmup: u64,
    /// Largest norm of the gradient; larger ones are scaled down.
    pub clip: f64,
    /// Decay of the weights' moving average, which is warmed up as `(1 + n)/(10 + n)`.
    pub ema: f64,
    /// Decay of a second average, of another length; the one that validates better is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_ema: Option<f64>,
}

impl Optimizer {
    pub(super) fn check(&self) -> Result<(), String> {
        let sound = self.steps > 0
            && self.rate > 0.0
            && self.rate.is_finite()
            && (0.0..=self.rate).contains(&self.final_rate)
            && self.clip > 0.0
            && self.decays().all(|decay| (0.0..1.0).contains(&decay));
        if sound {
            Ok(())
        } else {
            Err(format!(
                "`optimizer` needs steps > 0, rate > 0, 0 <= final_rate <= rate, clip > 0, 0 <= ema < 1 for each average: {self:?}"
            ))
        }
    }

    /// The learning rate of step `n`, from 0.
    pub fn rate_at(&self, n: u64) -> f64 {
        if n < self.warmup {
            return self.rate * (n + 1) as f64 / self.warmup as f64;
        }
        let span = self.steps.saturating_sub(self.warmup).max(1);
        let done = ((n - self.warmup) as f64 / span as f64).min(1.0);
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.final_rate + (self.rate - self.final_rate) * cosine
    }

    /// The decay of each average.
    fn decays(&self) -> impl Iterator<Item = f64> {
        [self.ema].into_iter().chain(self.slow_ema)
    }

    /// The decay of each average after step `n`, from 0.
    pub fn decays_at(&self, n: u64) -> Vec<f64> {
        let warm = (1 + n) as f64 / (10 + n) as f64;
        self.decays().map(|decay| decay.min(warm)).collect()
    }
}

/// Adam's moments (Kingma and Ba 2015), with beta (0.9, 0.999) and epsilon 1e-8.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    /// Mean gradient.
    pub mean: Params,
    /// Mean squared gradient.
    pub square: Params,
}

const BETA: (f64, f64) = (0.9, 0.999);
const EPSILON: f32 = 1e-8;

impl Adam {
    /// No gradient seen yet.
    pub fn new(params: &Params) -> Adam {
        let zeros: Params = params
            .iter()
            .map(|(name, array)| {
                let mut zero = array.clone();
                zero.values.fill(0.0);
                (name.clone(), zero)
            })
            .collect();
        Adam {
            mean: zeros.clone(),
            square: zeros,
        }
    }

    /// Moves `params` by step `n` (from 0).
    pub fn step(
        &mut self,
        settings: &Optimizer,
        n: u64,
        params: &mut Params,
        gradient: &Gradient<'_>,
    ) {
        let norm = gradient.norm;
        let scale = if norm > settings.clip {
            settings.clip / norm
        } else {
            1.0
        } as f32;
        let correct = |beta: f64| 1.0 - beta.powf((n + 1) as f64);
        let rate = (settings.rate_at(n) * correct(BETA.1).sqrt() / correct(BETA.0)) as f32;
        let epsilon = EPSILON * correct(BETA.1).sqrt() as f32;
        for (name, g) in &gradient.arrays {
            let Some(g) = g else { continue };
            let (p, m, v) = (
                &mut params
                    .get_mut(*name)
                    .expect("gradients name parameters")
                    .values,
                &mut self
                    .mean
                    .get_mut(*name)
                    .expect("moments mirror parameters")
                    .values,
                &mut self
                    .square
                    .get_mut(*name)
                    .expect("moments mirror parameters")
                    .values,
            );
            (p, m, v, values(g))
                .into_par_iter()
                .with_min_len(1 << 14)
                .for_each(|(p, m, v, &g)| {
                    let g = g * scale;
                    *m += (1.0 - BETA.0 as f32) * (g - *m);
                    *v += (1.0 - BETA.1 as f32) * (g * g - *v);
                    *p -= rate * *m / (v.sqrt() + epsilon);
                });
        }
    }
}

/// The gradient to every array of a network by name; an array that the loss does not depend on has none.
#[derive(Debug)]
pub struct Gradient<'a> {
    arrays: Vec<(&'a str, Option<TensorData>)>,
    norm: f64,
}

impl<'a> Gradient<'a> {
    /// Takes the arrays, all of f32.
    pub fn new(arrays: Vec<(&'a str, Option<TensorData>)>) -> Gradient<'a> {
        // Parts of a fixed size, added up in order: the same bits at any number of threads.
        let parts: Vec<&[f32]> = arrays
            .iter()
            .flat_map(|(_, g)| g.iter().flat_map(|g| values(g).chunks(1 << 14)))
            .collect();
        let sums: Vec<f64> = parts.into_par_iter().map(sum_of_squares).collect();
        Gradient {
            norm: sums.iter().sum::<f64>().sqrt(),
            arrays,
        }
    }

    /// Its Euclidean norm; not finite if any of its numbers is not.
    pub fn norm(&self) -> f64 {
        self.norm
    }
}

/// In eight sums, which are independent of each other and so need not wait for each other.
fn sum_of_squares(part: &[f32]) -> f64 {
    let (eights, rest) = part.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for (sum, &v) in sums.iter_mut().zip(eight) {
            *sum += f64::from(v) * f64::from(v);
        }
    }
    let rest = rest.iter().map(|&v| f64::from(v) * f64::from(v));
    sums.into_iter().chain(rest).sum()
}

fn values(gradient: &TensorData) -> &[f32] {
    gradient
        .as_slice()
        .expect("gradients are f32, like the weights")
}

/// Moves the average `ema` towards `params`, which has the same arrays.
pub(super) fn average(ema: &mut Params, params: &Params, decay: f64) {
    let keep = decay as f32;
    for (name, e) in ema {
        let p = params.get(name).expect("the average mirrors the weights");
        (&mut e.values, &p.values)
            .into_par_iter()
            .with_min_len(1 << 14)
            .for_each(|(e, &p)| *e = p + keep * (*e - p));
    }
}
