//! Validation on fixed crops, noise levels and noise.

use ndarray::Axis;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::objective::task;
use super::{Error, Photos, Recipe};
use crate::Image;
use crate::level::Level;
use crate::noise::{NoiseSource, Seeded};
use crate::prior::{Network, Prior};

/// Fixed clean crops with fixed noise.
#[derive(Debug)]
pub struct Validation {
    crops: Image,
    noise: Image,
    sigmas: Vec<f64>,
}

/// How good a network is.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The training loss on the fixed pairs.
    pub loss: f64,
    /// Mean PSNR in dB of one denoising, at sigma 15/255, 25/255 and 50/255; NaN where training leaves that level out.
    pub psnr: [f64; 3],
}

/// Validation crops; the noise levels of the loss are spread over them.
const CROPS: usize = 96;

/// Side of the crops, at most; larger than in training, since quality at the full size is what counts.
const SIDE: usize = 96;

impl Validation {
    /// Chooses the crops and the noise, from the recipe's seed.
    pub fn new(recipe: &Recipe) -> Result<Validation, Error> {
        let facts = recipe.network.facts();
        let multiple = if facts.any_size { 1 } else { facts.multiple };
        let side = SIDE.max(recipe.data.crop).next_multiple_of(multiple);
        let photos = Photos::open(&recipe.data.valid, &[1], side)?;
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed ^ 0x7661_6c69_6461_7465);
        let crops = photos.crops(CROPS, side, &mut rng);
        let noise = Seeded::new(recipe.seed, "validation").normal(CROPS, crate::Dims::of(&crops));
        let mut sigmas = recipe.noise.draw(CROPS, &mut rng);
        sigmas.sort_by(f64::total_cmp);
        Ok(Validation {
            crops,
            noise,
            sigmas,
        })
    }

    /// Scores a network.
    pub fn score(&self, recipe: &Recipe, network: &Network) -> Result<Scores, Error> {
        let mut loss = 0.0;
        for i in 0..CROPS {
            let (x0, eps) = (self.picture(&self.crops, i), self.picture(&self.noise, i));
            let task = task(recipe, &x0, &self.sigmas[i..=i], &eps);
            let answer = network.answer(&task.input, &task.condition)?;
            loss += mean_square(&(&answer - &task.target)) / CROPS as f64;
        }
        let mut psnr = [0.0; 3];
        for (mean, sigma) in psnr.iter_mut().zip([15.0, 25.0, 50.0]) {
            *mean = self.psnr(network, sigma / 255.0)?;
        }
        Ok(Scores { loss, psnr })
    }

    fn psnr(&self, network: &Network, sigma: f64) -> Result<f64, Error> {
        if !network.card().knows(sigma) {
            return Ok(f64::NAN);
        }
        let level = Level::ve(sigma);
        // Fewer crops than for the loss are enough: every one is seen at this level.
        let n = CROPS / 2;
        let mut sum = 0.0;
        for i in 0..n {
            let clean = self.picture(&self.crops, i).mapv(|v| 0.5 * v + 0.5);
            let x = level.mix(&clean, &self.picture(&self.noise, i));
            let error = (network.denoise(&x, level)?.x0 - clean).mapv(|v| v.clamp(-1.0, 1.0));
            sum -= 10.0 * mean_square(&error).log10();
        }
        Ok(sum / n as f64)
    }

    fn picture(&self, of: &Image, i: usize) -> Image {
        of.index_axis(Axis(0), i).insert_axis(Axis(0)).to_owned()
    }
}

pub(super) fn mean_square(x: &Image) -> f64 {
    x.iter().map(|&v| v as f64 * v as f64).sum::<f64>() / x.len() as f64
}
