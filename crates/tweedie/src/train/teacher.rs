//! A teacher for pictures whose error is no noise.
//!
//! Plug-and-play methods show a denoiser pictures that are wrong in other ways: blurred, ringing, hardly wrong at all. Training
//! shows noise alone, so that what a network answers there is left to chance; one that learned what files do to noise takes
//! smooth lights and shadows for noise that was cut off, and drives them to white and black. In a share of the crops the network
//! is therefore shown a clean or blurred crop with less noise than it is told, and should answer what another network answers,
//! which is known to be steady there.

use std::path::PathBuf;

use ndarray::{Array2, ArrayViewMut2, Axis};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::Image;
use crate::checkpoint::Model;
use crate::level::Level;
use crate::prior::{Network, Prior};

/// Whom to ask, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Teacher {
    /// Its model; relative to the recipe.
    pub model: PathBuf,
    /// Share of the crops that are told one level.
    pub share: f64,
}

/// A teacher's network.
#[derive(Debug)]
pub(super) struct Class {
    network: Network,
    share: f64,
}

/// Passes of the blur, at most.
const PASSES: usize = 12;

impl Class {
    pub(super) fn open(teacher: &Teacher, device: &burn::tensor::Device) -> Result<Class, Error> {
        let fail = |reason: String| Error::Data {
            path: teacher.model.clone(),
            reason,
        };
        let model = Model::open(&teacher.model).map_err(|e| fail(e.to_string()))?;
        Ok(Class {
            network: Network::new(&model, device)?,
            share: teacher.share,
        })
    }

    /// By chance makes picture `i` of a task a lesson: what it is shown, and by the teacher's answer what its noise is.
    pub(super) fn teach(
        &self,
        x0: &mut Image,
        noise: &mut Image,
        (i, sigma): (usize, f64),
        rng: &mut impl Rng,
    ) -> Result<(), Error> {
        if rng.random::<f64>() >= self.share {
            return Ok(());
        }
        // None at all for half of them.
        let left = (rng.random::<f64>() - 0.5).max(0.0) * 2.0 * sigma;
        let mut shown = x0.index_axis(Axis(0), i).to_owned();
        if rng.random::<bool>() {
            let passes = rng.random_range(1..=PASSES);
            shown.outer_iter_mut().for_each(|plane| blur(plane, passes));
        }
        shown.scaled_add(left as f32, &noise.index_axis(Axis(0), i));
        let shown = shown.insert_axis(Axis(0));
        // The network's data lie in [-1, 1], a prior's pictures in [0, 1].
        let asked = shown.mapv(|v| 0.5 * v + 0.5);
        let answer = self.network.denoise(&asked, Level::ve(0.5 * sigma))?.x0;
        let answer = answer.mapv(|v| 2.0 * v - 1.0);
        let error = (&shown - &answer).mapv(|v| v / sigma as f32);
        x0.index_axis_mut(Axis(0), i)
            .assign(&answer.index_axis(Axis(0), 0));
        noise
            .index_axis_mut(Axis(0), i)
            .assign(&error.index_axis(Axis(0), 0));
        Ok(())
    }
}

/// Means of neighbours with weights 1, 2, 1 each way, again and again.
fn blur(mut plane: ArrayViewMut2<'_, f32>, passes: usize) {
    for pass in 0..2 * passes {
        let axis = Axis(pass % 2);
        let last = plane.len_of(axis) - 1;
        let before: Array2<f32> = plane.to_owned();
        for (k, mut line) in plane.axis_iter_mut(axis).enumerate() {
            let neighbours =
                [k.saturating_sub(1), (k + 1).min(last)].map(|k| before.index_axis(axis, k));
            line.mapv_inplace(|v| 0.5 * v);
            neighbours
                .iter()
                .for_each(|neighbour| line.scaled_add(0.25, neighbour));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// What is taught is a picture with noise, like any other, whose clean version is the teacher's answer; the other pictures of
    /// a batch stay, and without a share all do. Wrong: an answer for the level of pictures in [-1, 1] or of those in [0, 1].
    #[test]
    fn a_lesson_is_a_pair_that_the_teacher_made() {
        let network = Network::new(&Model::photo().unwrap(), &Default::default()).unwrap();
        let mut class = Class {
            network,
            share: 1.0,
        };
        let clean = Image::from_shape_fn((2, 3, 16, 16), |(_, c, y, x)| {
            0.8 * ((c + y) as f32 / 4.0).sin() * (x as f32 / 5.0).cos()
        });
        let sigma = 0.4;
        for seed in 0..4 {
            let (mut x0, mut noise) = (clean.clone(), Image::ones(clean.raw_dim()));
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            class
                .teach(&mut x0, &mut noise, (1, sigma), &mut rng)
                .unwrap();
            let first = |x: &Image| x.index_axis(Axis(0), 0).to_owned();
            assert_eq!(first(&x0), first(&clean));
            assert!(first(&noise).iter().all(|&v| v == 1.0));
            let shown = &x0 + &(noise * sigma as f32);
            let second = shown.index_axis(Axis(0), 1).insert_axis(Axis(0));
            let asked = second.mapv(|v| 0.5 * v + 0.5);
            let answer = class.network.denoise(&asked, Level::ve(0.2)).unwrap().x0;
            let off = answer.mapv(|v| 2.0 * v - 1.0) - x0.index_axis(Axis(0), 1);
            assert!(off.iter().all(|v| v.abs() < 1e-5));
        }
        class.share = 0.0;
        let (mut x0, mut noise) = (clean.clone(), Image::ones(clean.raw_dim()));
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        class
            .teach(&mut x0, &mut noise, (0, sigma), &mut rng)
            .unwrap();
        assert_eq!(x0, clean);
    }
}
