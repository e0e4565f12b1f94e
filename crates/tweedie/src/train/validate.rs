//! Validation on fixed crops, noise levels and noise.

use ndarray::{Axis, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::maps::{Kind, Seen};
use super::objective::Task;
use super::session::unmeasured;
use super::{Error, Photos, Recipe, phase};
use crate::Image;
use crate::level::{Level, Range};
use crate::noise::{NoiseSource, Seeded};
use crate::operator::Pairs;
use crate::prior::{Network, Prior};

/// Fixed clean crops with fixed noise.
#[derive(Debug)]
pub struct Validation {
    crops: Image,
    noise: Image,
    /// First guesses, for a conditional network.
    guesses: Option<Image>,
    /// What is recorded, for a network that is an operator.
    pairs: Option<Pairs>,
    sigmas: Vec<f64>,
    /// The first crops as they are seen with maps of each kind.
    mapped: Vec<(Kind, Vec<Seen>)>,
    skipped: Vec<Error>,
}

/// How good a network is.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The training loss on the fixed pairs; with maps, the mean over plain levels and maps by their shares.
    pub loss: f64,
    /// Mean PSNR in dB of one denoising, at sigma 15/255, 25/255 and 50/255; NaN where training leaves that level out.
    pub psnr: [f64; 3],
    /// PSNR in dB of one estimate from what each kind of map leaves, over all its crops.
    pub mapped: Vec<(Kind, f64)>,
    /// Mean PSNR in dB, by name. Of a conditional network: of the first guess, and of one estimate that is made from it and pure noise.
    /// Of one that is an operator: of the clean picture in the place of what was recorded, and of the answer.
    pub given: Option<[(&'static str, f64); 2]>,
}

impl Scores {
    /// All numbers, by name.
    pub fn named(&self) -> Vec<(String, f64)> {
        let mut all = vec![("loss/valid".to_owned(), self.loss)];
        let levels = ["15", "25", "50"].into_iter().zip(self.psnr);
        all.extend(levels.map(|(level, psnr)| (format!("psnr/{level}"), psnr)));
        let kinds = self.mapped.iter();
        all.extend(kinds.map(|(kind, psnr)| (format!("psnr/{}", kind.name()), *psnr)));
        let given = self.given.into_iter().flatten();
        all.extend(given.map(|(what, psnr)| (format!("psnr/{what}"), psnr)));
        all
    }
}

/// Validation crops; the noise levels of the loss are spread over them.
const CROPS: usize = 96;

/// Crops of each kind of map.
const MAPPED: usize = 24;

/// Side of the crops, at most; larger than in training, since quality at the full size is what counts.
const SIDE: usize = 96;

impl Validation {
    /// Pictures that could not be read, and why.
    pub fn skipped(&self) -> &[Error] {
        &self.skipped
    }

    /// Chooses the crops and the noise, from the recipe's seed.
    pub fn new(recipe: &Recipe) -> Result<Validation, Error> {
        let facts = recipe.network.facts();
        let multiple = if facts.any_size { 1 } else { facts.multiple };
        let side = match recipe.data.sheets || recipe.condition.is_some() {
            // What the operator was built for.
            true => recipe.data.crop,
            false => SIDE.max(recipe.data.crop).next_multiple_of(multiple),
        };
        let photos = Photos::open(&recipe.data.valid, recipe.cut(), &[1], side)?;
        let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed ^ 0x7661_6c69_6461_7465);
        let mut crops = photos.crops(CROPS, side, 0.0, &mut rng);
        if let Some(shortest) = recipe.data.phase {
            crops = phase::complex(&crops, shortest, &mut rng);
        }
        let noise = Seeded::new(recipe.seed, "validation").normal(CROPS, crate::Dims::of(&crops));
        let mut sigmas = recipe.noise.draw(CROPS, &mut rng);
        let condition = recipe.condition.as_ref();
        let guesses = condition.map(|condition| condition.guesses(&crops, &mut rng));
        let guesses = guesses.transpose().map_err(unmeasured)?;
        let imitated = recipe.imitate.as_ref();
        let pairs = imitated.map(|imitated| imitated.pairs(&crops, &mut rng));
        let pairs = pairs.transpose().map_err(unmeasured)?;
        sigmas.sort_by(f64::total_cmp);
        let maps = recipe.maps.as_ref();
        let kinds = maps.into_iter().flat_map(|maps| maps.kinds.keys());
        let mapped = kinds.map(|&kind| {
            let see = |i: usize| {
                let [x0, eps] = [&crops, &noise].map(|of| of.slice(s![i..=i, .., .., ..]));
                kind.see(x0, eps, f64::INFINITY, i.is_multiple_of(2), &mut rng)
            };
            (kind, (0..MAPPED).map(see).collect())
        });
        Ok(Validation {
            mapped: mapped.collect(),
            skipped: photos.into_skipped(),
            crops,
            noise,
            guesses,
            pairs,
            sigmas,
        })
    }

    /// Scores a network.
    pub fn score(&self, recipe: &Recipe, network: &Network) -> Result<Scores, Error> {
        if let Some(pairs) = &self.pairs {
            return self.score_pairs(recipe, network, pairs);
        }
        let mut loss = 0.0;
        for i in 0..CROPS {
            let (x0, eps) = (self.picture(&self.crops, i), self.picture(&self.noise, i));
            let guess = self.guess(i);
            let task = Task::plain(recipe, &x0, &self.sigmas[i..=i], &eps).beside(guess.as_ref());
            loss += self.loss(&task, network)? / CROPS as f64;
        }
        if let Some(maps) = &recipe.maps {
            loss = (1.0 - maps.share) * loss + maps.share * self.loss_mapped(recipe, network)?;
        }
        let mut psnr = [0.0; 3];
        for (mean, sigma) in psnr.iter_mut().zip([15.0, 25.0, 50.0]) {
            *mean = self.psnr(network, sigma / 255.0)?;
        }
        let mapped = self
            .mapped
            .iter()
            .map(|(kind, seen)| Ok((*kind, self.psnr_mapped(network, seen)?)));
        Ok(Scores {
            loss,
            psnr,
            mapped: mapped.collect::<Result<_, Error>>()?,
            given: self.given(network)?,
        })
    }

    /// Scores a network that is an operator.
    fn score_pairs(
        &self,
        recipe: &Recipe,
        network: &Network,
        pairs: &Pairs,
    ) -> Result<Scores, Error> {
        let (mut loss, mut unchanged, mut answer) = (0.0, 0.0, 0.0);
        // Of data in [-1, 1], whose range is twice as wide.
        let psnr = |error: f64| -10.0 * (0.25 * error).log10() / CROPS as f64;
        for i in 0..CROPS {
            let x0 = self.picture(&self.crops, i);
            let [told, recorded] = [&pairs.told, &pairs.recorded].map(|of| self.picture(of, i));
            unchanged += psnr(mean_square(&(&x0 - &recorded)));
            let task = Task::imitated(recipe, &x0, Pairs { told, recorded });
            let error = self.loss(&task, network)?;
            answer += psnr(error);
            loss += error / CROPS as f64;
        }
        Ok(Scores {
            loss,
            psnr: [f64::NAN; 3],
            mapped: Vec::new(),
            given: Some([("unchanged", unchanged), ("answer", answer)]),
        })
    }

    fn loss(&self, task: &Task, network: &Network) -> Result<f64, Error> {
        let answer = network.answer(&task.input, task.condition())?;
        Ok(task.loss(&answer).0)
    }

    fn loss_mapped(&self, recipe: &Recipe, network: &Network) -> Result<f64, Error> {
        let mut sum = 0.0;
        for (_, seen) in &self.mapped {
            for (i, seen) in seen.iter().enumerate() {
                let x0 = self.picture(&self.crops, i);
                let task = Task::mapped(recipe, &x0, vec![seen.clone()]);
                sum += self.loss(&task, network)?;
            }
        }
        Ok(sum / (MAPPED * self.mapped.len()) as f64)
    }

    fn psnr(&self, network: &Network, sigma: f64) -> Result<f64, Error> {
        if !network.card().knows(sigma) {
            return Ok(f64::NAN);
        }
        let level = Level::ve(sigma);
        // Training data are in [-1, 1]; complex ones are so outside, too.
        let Range { center, half } = network.card().range;
        // Fewer crops than for the loss are enough: every one is seen at this level.
        let n = CROPS / 2;
        let mut sum = 0.0;
        for i in 0..n {
            let outside = |x: Image| x * half as f32 + center as f32;
            let clean = outside(self.picture(&self.crops, i));
            let x = level.mix(&clean, &self.picture(&self.noise, i));
            let x0 = match self.guess(i) {
                None => network.denoise(&x, level)?.x0,
                Some(guess) => network.given(&outside(guess))?.denoise(&x, level)?.x0,
            };
            let error = (x0 - clean).mapv(|v| v.clamp(-1.0, 1.0));
            sum -= 10.0 * mean_square(&error).log10();
        }
        Ok(sum / n as f64)
    }

    /// How close first guesses are, and the mean of what they leave open.
    fn given(&self, network: &Network) -> Result<Option<[(&'static str, f64); 2]>, Error> {
        let noisiest = Level::ve(network.card().sigma[1]);
        let (n, mut sums) = (CROPS / 2, [0.0; 2]);
        for i in 0..n {
            let Some(guess) = self.guess(i) else {
                return Ok(None);
            };
            let [clean, guess] = [self.picture(&self.crops, i), guess].map(|x| 0.5 * x + 0.5);
            let x = level_of_noise(&self.picture(&self.noise, i), noisiest);
            let mean = network.given(&guess)?.denoise(&x, noisiest)?.x0;
            for (sum, x0) in sums.iter_mut().zip([guess, mean]) {
                let error = (x0 - &clean).mapv(|v| v.clamp(-1.0, 1.0));
                *sum -= 10.0 * mean_square(&error).log10() / n as f64;
            }
        }
        let [guess, mean] = sums;
        Ok(Some([("guess", guess), ("mean", mean)]))
    }

    fn guess(&self, i: usize) -> Option<Image> {
        self.guesses
            .as_ref()
            .map(|guesses| self.picture(guesses, i))
    }

    fn psnr_mapped(&self, network: &Network, seen: &[Seen]) -> Result<f64, Error> {
        let mut sum = 0.0;
        for (i, Seen { m, noise }) in seen.iter().enumerate() {
            let [clean, m] = [&self.picture(&self.crops, i), m].map(|x| x.mapv(|v| 0.5 * v + 0.5));
            let x0 = network.denoise_mapped(&m, &noise.scaled(0.5))?.x0;
            sum += mean_square(&(x0 - clean));
        }
        Ok(-10.0 * (sum / seen.len() as f64).log10())
    }

    fn picture(&self, of: &Image, i: usize) -> Image {
        of.index_axis(Axis(0), i).insert_axis(Axis(0)).to_owned()
    }
}

/// Pure noise of a level, around the middle of the range of pictures.
fn level_of_noise(eps: &Image, level: Level) -> Image {
    eps.mapv(|z| 0.5 + level.b as f32 * z)
}

fn mean_square(x: &Image) -> f64 {
    x.iter().map(|&v| v as f64 * v as f64).sum::<f64>() / x.len() as f64
}
