//! The training loop.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ndarray::{Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::events::Events;
use super::lock::Lock;
use super::maps::{NOISE_IN_FILES, as_in_a_file};
use super::objective::Task;
use super::optimizer::{Gradient, average};
use super::teacher::Class;
use super::{Error, Photos, Recipe, Scores, State, Validation, phase};
use crate::checkpoint::{self, Model, Precision};
use crate::image;
use crate::net::{Loader, Params, fits};
use crate::noise::{NoiseSource, Seeded};
use crate::prior::{Network, from_tensor, in_pool, to_tensor};
use crate::{Dims, Image, operator};

/// A training run that can be taken step by step.
#[derive(Debug)]
pub struct Session {
    recipe: Recipe,
    out: PathBuf,
    photos: Photos,
    teacher: Option<Class>,
    validation: Validation,
    state: State,
    saved: u64,
    events: Events,
    device: Device,
    _lock: Lock,
}

/// What a step did.
#[derive(Clone, Debug)]
pub struct Report {
    /// Steps done.
    pub step: u64,
    /// Mean squared error of the network's answer in this step.
    pub loss: f64,
    /// Norm of its gradient, before clipping.
    pub gradient: f64,
    /// The learning rate.
    pub rate: f64,
    /// Scores of the averaged weights, where this step validated.
    pub scores: Option<Scores>,
    /// Whether they are the best so far.
    pub best: bool,
}

impl Session {
    /// Begins, or continues what is saved in the folder `out`, which no other training may use meanwhile.
    pub fn open(recipe: Recipe, out: &Path, device: &Device) -> Result<Session, Error> {
        recipe.check()?;
        let io = |source| checkpoint::Error::Io {
            path: out.to_owned(),
            source,
        };
        std::fs::create_dir_all(out).map_err(io)?;
        let lock = Lock::take(out)?;
        image::sweep(out).map_err(io)?;
        let data = &recipe.data;
        let photos = Photos::open(&data.train, recipe.cut(), &data.scales, data.crop)?;
        let largest = recipe.data.largest_crop();
        if !photos.hold(largest) {
            return Err(Error::Data {
                path: recipe.data.train.clone(),
                reason: format!("no picture here is at least {largest}x{largest} pixels"),
            });
        }
        let teacher = recipe.teacher.as_ref();
        let teacher = teacher.map(|t| Class::open(t, device)).transpose()?;
        let validation = Validation::new(&recipe)?;
        let pictures = photos.digest();
        let state = match State::open(&out.join("state.safetensors"), &recipe, pictures)? {
            Some(state) => state,
            None => {
                let averages = recipe.optimizer.decays_at(0).len();
                State::new(first_weights(&recipe)?, averages, pictures)
            }
        };
        Ok(Session {
            out: out.to_owned(),
            photos,
            teacher,
            validation,
            saved: state.step,
            state,
            events: Events::open(out).map_err(io)?,
            device: device.clone(),
            recipe,
            _lock: lock,
        })
    }

    /// Steps done.
    pub fn step_number(&self) -> u64 {
        self.state.step
    }

    /// Whether all steps are done.
    pub fn finished(&self) -> bool {
        self.state.step >= self.recipe.optimizer.steps
    }

    /// The recipe.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The training pictures.
    pub fn photos(&self) -> &Photos {
        &self.photos
    }

    /// Pictures to train on and to validate on that could not be read, and why.
    pub fn skipped(&self) -> impl Iterator<Item = &Error> {
        let validation = self.validation.skipped().iter();
        self.photos.skipped().iter().chain(validation)
    }

    /// Takes a step; logs, validates and saves when it is time to.
    pub fn step(&mut self) -> Result<Report, Error> {
        in_pool(|| self.step_in_pool())
    }

    fn step_in_pool(&mut self) -> Result<Report, Error> {
        let n = self.state.step;
        let task = self.task(n)?;
        let mut loader = Loader::tracked(&self.state.params, &self.device);
        let net = self.recipe.network.load(&mut loader)?;
        let tracked = loader.finish()?;
        let device = self.device.clone().autodiff();
        let input = to_tensor(&task.input, &device);
        let answer = net.forward(input, task.condition());
        let (loss, slope) = task.loss(&from_tensor(answer.clone().inner())?);
        // The gradient of this product is the loss's.
        let mut grads = (answer * to_tensor(&slope, &self.device)).sum().backward();
        let gradient = Gradient::new(tracked.gradients(&mut grads).collect());
        let norm = gradient.norm();
        if !loss.is_finite() || !norm.is_finite() {
            return Err(Error::Diverged {
                step: n + 1,
                saved: self.saved,
            });
        }
        let settings = self.recipe.optimizer;
        let State {
            params,
            averages,
            adam,
            ..
        } = &mut self.state;
        adam.step(&settings, n, params, &gradient);
        for (ema, decay) in averages.iter_mut().zip(settings.decays_at(n)) {
            average(ema, params, decay);
        }
        self.state.step = n + 1;
        self.after(Report {
            step: n + 1,
            loss,
            gradient: norm,
            rate: settings.rate_at(n),
            scores: None,
            best: false,
        })
    }

    /// Crops, levels and noise of step `n`.
    fn task(&self, n: u64) -> Result<Task, Error> {
        let data = &self.recipe.data;
        let mut rng = ChaCha8Rng::seed_from_u64(self.recipe.seed);
        rng.set_stream(n + 1);
        let (batch, crop) = data.crops_of(n);
        let mut x0 = self.photos.crops(batch, crop, data.jitter, &mut rng);
        if let Some(shortest) = data.phase {
            x0 = phase::complex(&x0, shortest, &mut rng);
        }
        if let Some(imitated) = &self.recipe.imitate {
            let pairs = imitated.pairs(&x0, &mut rng).map_err(unmeasured)?;
            return Ok(Task::imitated(&self.recipe, &x0, pairs));
        }
        let sigmas = self.recipe.noise.draw(batch, &mut rng);
        let mut noise = Seeded::new(rng.random(), "training").normal(batch, Dims::of(&x0));
        if let Some(maps) = self.recipe.maps.as_ref().filter(|maps| maps.due(n)) {
            let seen = (0..batch).map(|i| {
                let (x0, eps) = (
                    x0.slice(s![i..=i, .., .., ..]),
                    noise.slice(s![i..=i, .., .., ..]),
                );
                // The first evaluation of a restoration has no sample beside the measurement.
                let beside = match rng.random::<bool>() {
                    true => f64::INFINITY,
                    false => sigmas[i],
                };
                let rounded = rng.random::<f64>() < data.rounded;
                maps.kind(&mut rng).see(x0, eps, beside, rounded, &mut rng)
            });
            return Ok(Task::mapped(&self.recipe, &x0, seen.collect()));
        }
        for (i, &sigma) in sigmas.iter().enumerate() {
            if rng.random::<f64>() < data.grey {
                make_grey(&mut x0, &mut noise, i);
            }
            if rng.random::<f64>() < data.rounded && NOISE_IN_FILES.contains(&sigma) {
                round(&x0, sigma, &mut noise, i);
            }
            if let Some(teacher) = &self.teacher {
                teacher.teach(&mut x0, &mut noise, (i, sigma), &mut rng)?;
            }
        }
        let condition = self.recipe.condition.as_ref();
        let guesses = condition.map(|condition| condition.guesses(&x0, &mut rng));
        let guesses = guesses.transpose().map_err(unmeasured)?;
        Ok(Task::plain(&self.recipe, &x0, &sigmas, &noise).beside(guesses.as_ref()))
    }

    fn after(&mut self, mut report: Report) -> Result<Report, Error> {
        let every = self.recipe.schedule.clone();
        let due = |interval: u64| report.step.is_multiple_of(interval) || self.finished();
        let mut scalars = Vec::new();
        if due(every.log) {
            let named = [
                ("loss/train", report.loss),
                ("gradient", report.gradient),
                ("rate", report.rate),
            ];
            scalars.extend(named.map(|(name, value)| (name.to_owned(), value)));
        }
        let (validate, save) = (due(every.validate), due(every.save));
        if validate {
            let (scores, network) = self.best_average()?;
            scalars.extend(scores.named());
            scalars.retain(|(_, value)| !value.is_nan());
            if scores.loss < self.state.best {
                self.state.best = scores.loss;
                report.best = true;
                network.save(&self.best_path(), Precision::F32)?;
            }
            report.scores = Some(scores);
        }
        if !scalars.is_empty() {
            self.events
                .scalars(report.step, &scalars)
                .map_err(|source| checkpoint::Error::Io {
                    path: self.out.clone(),
                    source,
                })?;
        }
        if save || report.best {
            self.save()?;
        }
        Ok(report)
    }

    /// Saves the state now.
    pub fn save(&mut self) -> Result<(), Error> {
        let path = self.out.join("state.safetensors");
        self.state.save(&path, &self.recipe)?;
        self.saved = self.state.step;
        Ok(())
    }

    /// Where the best model so far is kept.
    pub fn best_path(&self) -> PathBuf {
        self.out.join("best.safetensors")
    }

    /// The averaged weights as a model; the first average, where there are several.
    pub fn model(&self) -> Model {
        self.average(0)
    }

    fn average(&self, i: usize) -> Model {
        Model {
            spec: self.recipe.spec(),
            params: self.state.averages[i].clone(),
        }
    }

    /// The average that validates best, with its scores.
    fn best_average(&self) -> Result<(Scores, Model), Error> {
        let scored = (0..self.state.averages.len()).map(|i| {
            let model = self.average(i);
            let network = Network::of(&model, &self.device)?;
            Ok((self.validation.score(&self.recipe, &network)?, model))
        });
        let scored: Vec<_> = scored.collect::<Result<_, Error>>()?;
        let best = scored
            .into_iter()
            .min_by(|(a, _), (b, _)| a.loss.total_cmp(&b.loss));
        Ok(best.expect("there is an average"))
    }

    /// The present weights (not their average).
    pub fn params(&self) -> &Params {
        &self.state.params
    }
}

/// Random weights, or those of the model that the recipe starts from.
fn first_weights(recipe: &Recipe) -> Result<Params, Error> {
    let Some(path) = &recipe.from else {
        return Ok(recipe.network.init(recipe.seed)?);
    };
    let fail = |reason: String| Error::Data {
        path: path.clone(),
        reason,
    };
    let Model { spec, mut params } = Model::open(path).map_err(|e| fail(e.to_string()))?;
    let wanted = recipe.spec();
    for (what, same) in [
        (
            "network",
            recipe.renamed.is_some()
                || !recipe.without.is_empty()
                || spec.network == wanted.network,
        ),
        (
            "parametrisation",
            spec.parametrisation == wanted.parametrisation,
        ),
        ("conditioning", spec.conditioning == wanted.conditioning),
        ("data", spec.data == wanted.data),
        ("mean", spec.mean() == wanted.mean()),
    ] {
        if !same {
            return Err(fail(format!("this model's {what} is not the recipe's")));
        }
    }
    for part in &recipe.without {
        let before = params.len();
        params.retain(|name, _| !is_in(name, part));
        if params.len() == before {
            return Err(fail(format!("this model has no `{part}` to be without")));
        }
    }
    if recipe.renamed.is_some() || !recipe.without.is_empty() {
        let renamed = recipe.renamed.clone().unwrap_or_default();
        params = grown(params, &renamed, recipe.network.init(recipe.seed)?);
    }
    recipe
        .network
        .shapes()
        .and_then(|shapes| fits(&params, &shapes))
        .map_err(|e| fail(e.to_string()))?;
    Ok(params)
}

/// Whether an array belongs to a part of a network.
fn is_in(name: &str, part: &str) -> bool {
    name.strip_prefix(part)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// A recipe's operator was built for every size of crop before.
pub(super) fn unmeasured(e: operator::Error) -> Error {
    Error::Recipe(format!("crops cannot be measured: {e}"))
}

/// A model's arrays by their new names, and those of a new network that it lacks.
fn grown(model: Params, renamed: &BTreeMap<String, String>, new: Params) -> Params {
    let rename = |name: String| {
        let part = |(old, new): (&String, &String)| {
            let rest = name.strip_prefix(old.as_str())?.strip_prefix('.')?;
            Some(format!("{new}.{rest}"))
        };
        renamed.iter().find_map(part).unwrap_or(name)
    };
    let known: Params = model.into_iter().map(|(k, v)| (rename(k), v)).collect();
    let mut all = new;
    let added: Vec<_> = all.keys().filter(|k| !known.contains_key(*k)).collect();
    log::info!(
        "{} arrays start as in a new network: {added:?}",
        added.len()
    );
    all.extend(known);
    all
}

/// Limits and rounds picture `i` with its noise as a file does: the noise that is left.
fn round(x0: &Image, sigma: f64, noise: &mut Image, i: usize) {
    let mut noise = noise.index_axis_mut(Axis(0), i);
    let sigma = sigma as f32;
    noise.zip_mut_with(&x0.index_axis(Axis(0), i), |eps, &x0| {
        *eps = (as_in_a_file(x0 + sigma * *eps) - x0) / sigma;
    });
}

/// Makes picture `i` grey, with the same noise in all channels: what a grey photograph looks like to the network.
fn make_grey(x0: &mut Image, noise: &mut Image, i: usize) {
    let mut picture = x0.index_axis_mut(Axis(0), i);
    let mean = picture.mean_axis(Axis(0)).expect("a picture has channels");
    picture.outer_iter_mut().for_each(|mut c| c.assign(&mean));
    let mut noise = noise.index_axis_mut(Axis(0), i);
    let first = noise.index_axis(Axis(0), 0).to_owned();
    noise.outer_iter_mut().for_each(|mut c| c.assign(&first));
}
