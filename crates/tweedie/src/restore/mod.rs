//! The whole job: a picture in, its noise estimated, a method chosen, restored, checked, a picture out, with a report.
//!
//! What the command does, and whatever else restores pictures for people. [`Job::prepare`] does all that can be done, and
//! refuses all that can be refused, before the work; [`Ready::run`] is the work.
//!
//! ```no_run
//! use tweedie::prior::{Network, Prior};
//! use tweedie::restore::Job;
//! use tweedie::{Device, checkpoint::Model};
//!
//! let picture = tweedie::image::read("noisy.png")?;
//! let prior = Network::new(&Model::photo()?, &Device::default())?;
//! let job = Job::new(toml::from_str("kind = 'identity'")?);
//! let (restored, report) = job.prepare(&picture, prior.card())?.run(&prior, ())?;
//! println!("{}: sigma {}", report.method, report.sigma);
//! tweedie::image::write("clean.png", &restored, &Default::default(), tweedie::image::Overwrite::Refuse)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compression;
mod degrade;
mod frame;
mod guard;
mod measurement;
mod noise;
mod record;
mod recorded;
mod regions;
mod seen;
mod together;

pub use crate::memory::{NoRoom, ensure};
pub use degrade::{Degraded, degrade, preview};
pub use measurement::{Made, Measurement, ReadError, is_array, npz, write_made, write_npy};
pub use record::record;
pub use together::{apart, together};

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use ndarray::s;
use serde::Serialize;

use crate::image::{Jpeg, Picture};
use crate::method::{self, Draws, Handling, Restored, Settings, Task};
use crate::noise::Seeded;
use crate::operator::{self, Operator, Spec};
use crate::prior::{self, Card, Prior, in_pool};
use crate::problem::{Noise, Problem};
use crate::run::{self, Observer, Run};
use crate::{Dims, Image, noise_level, recommend};
use frame::Frame;
use regions::Region;

/// How to restore a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// What the camera did.
    pub spec: Spec,
    /// Dimensions of the clean picture, where what was recorded does not tell them.
    pub size: Option<Dims>,
    /// The numbers that stand for black and white of the clean picture in the units of the measurement.
    pub range: [f64; 2],
    /// The noise in the measurement, for pictures in [0, 1]; `None` to estimate it.
    pub noise: Option<Noise>,
    /// The method.
    pub method: Choice,
    /// How many noise levels to visit; `None` for as many as suit the method.
    pub steps: Option<usize>,
    /// Decides all that is random.
    pub seed: u64,
    /// How many draws from the posterior are wanted; `None` for the best estimate.
    pub samples: Option<usize>,
    /// Whether what is known of the picture (pixels beside the holes, the grey of a picture that wants colours, what a mosaic
    /// recorded) may be changed, to remove its noise. If not it is returned as it was.
    pub denoise_known: bool,
    /// How much of the restoration is taken, from 0 (the measurement) to 1, where both are of one size.
    pub strength: f64,
}

/// Which method.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// The one that suits the task best: the result closest to the truth.
    Best,
    /// The one whose result looks most like a photograph, at the cost of being further from the truth on average.
    Texture,
    /// One by name, with the settings that suit the task.
    Named(String),
    /// These settings.
    Settings(Box<Settings>),
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The method's name.
    pub method: &'static str,
    /// Evaluations of the prior.
    pub nfe: usize,
    /// How long the method took.
    pub seconds: f64,
    /// Standard deviation of the noise in the measurement, for pictures in [0, 1]; 0 where there is none to speak of.
    pub sigma: f64,
    /// Whether it was estimated.
    pub sigma_estimated: bool,
    /// What was assumed, dropped or limited, a line each.
    pub notes: Vec<String>,
}

/// Why a picture could not be restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operator does not fit the picture.
    #[error(transparent)]
    Operator(#[from] operator::Error),
    /// The noise could not be estimated.
    #[error("the noise level cannot be estimated here ({0}); state it")]
    Noise(#[from] noise_level::Error),
    /// There is no picture to estimate the noise from.
    #[error(
        "the measurement is no picture from which noise could be estimated; state it (--noise, 0 for none)"
    )]
    NoPicture,
    /// Other units than those of pictures in [0, 1] were stated for what is not linear.
    #[error(
        "`{0}` is not linear: its measurement cannot be brought to pictures in [0, 1]; leave `range` out and scale the picture first"
    )]
    Units(&'static str),
    /// A black other than 0 was stated for real and imaginary parts.
    #[error(
        "a complex picture has no black, so that its `range` starts at 0 and not at {0}; state [0, the largest magnitude]"
    )]
    Black(f64),
    /// The method failed or was stopped.
    #[error(transparent)]
    Run(#[from] run::Error),
    /// The prior is one of other pictures.
    #[error(transparent)]
    Prior(#[from] prior::Error),
    /// The picture and what is made of it do not fit into memory.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Draws were asked for of a method that makes none.
    #[error(
        "{name} gives the same answer each time, and no draws; {}",
        would_draw(fitting)
    )]
    NoDraws {
        /// The method.
        name: &'static str,
        /// The methods that draw, of those that fit.
        fitting: Vec<&'static str>,
    },
    /// A part of the restoration was asked for where the measurement is no picture to blend with.
    #[error(
        "the measurement is no whole picture of the result's size to blend with; leave the strength at 1"
    )]
    NoBlend,
    /// No method of that name.
    #[error("there is no method `{0}`; there are {list}", list = Settings::NAMES.join(", "))]
    Method(String),
}

/// Images of the size of the result, or of the largest part of it, that restoring holds at once, the network's own left out.
const COPIES: usize = 10;

/// Images of the size of the result that are held whatever part of it is restored.
const KEPT: usize = 4;

/// Passes that bring colours of a known grey into the range of pictures: of the two sets each is convex, and the nearest point of
/// either in turn leads to one in both.
const INTO_RANGE: usize = 10;

/// Noise of this standard deviation is seen where it is left: then that is said.
const VISIBLE: f64 = 2.0 / 255.0;

impl Job {
    /// With noise estimated, the best method, seed 0.
    pub fn new(spec: Spec) -> Job {
        Job {
            spec,
            size: None,
            range: [0.0, 1.0],
            noise: None,
            method: Choice::Best,
            steps: None,
            samples: None,
            seed: 0,
            denoise_known: false,
            strength: 1.0,
        }
    }

    /// Makes operator and problem, estimates the noise, chooses the method, for a prior of this card.
    ///
    /// # Errors
    /// [`Error`]: whatever can be known before the work.
    pub fn prepare(&self, picture: &Picture, card: &Card) -> Result<Ready, Error> {
        let mut notes = picture.notes.clone();
        let filled = picture.hidden_filled();
        let behind = matches!(filled, Cow::Owned(_)).then(|| {
            let picture = with_channels(picture, &self.spec, &mut Vec::new());
            picture.pixels
        });
        let picture = with_channels(&filled, &self.spec, &mut notes);
        let behind = behind.filter(|pixels| Dims::of(pixels) == picture.dims());
        let spec = self.spec.undone().in_file(&picture);
        let frame = self.frame(&picture, &spec);
        notes.extend(frame.as_ref().map(Frame::told));
        let picture = frame.as_ref().map_or(picture, Frame::content);
        let (input, told) = self.clean_size(&spec, picture.dims())?;
        let copies = COPIES + self.samples.unwrap_or(0);
        let may_be_parts = matches!(spec, Spec::Mask(_)) && !self.denoise_known;
        let at_first = if may_be_parts { KEPT } else { copies };
        ensure(at_first * input.len())?;
        let (picture, operator) = match told && self.range == recorded::UNIT {
            true => (picture.clone(), spec.build_for(&picture, &mut notes)?),
            false => {
                let operator = spec.build(input)?;
                let picture = recorded::understood(&picture, operator.as_ref(), self.range)?;
                match told {
                    true => (picture.clone(), spec.build_for(&picture, &mut notes)?),
                    false => (picture, operator),
                }
            }
        };
        let regions = match (operator.mask(), card.parts) {
            (Some(mask), Some(parts)) if may_be_parts => regions::around(mask, parts),
            _ => Vec::new(),
        };
        let largest = regions
            .iter()
            .map(|[rows, columns]| rows.len() * columns.len());
        let largest = largest.max().map_or(input.len(), |n| n * input.c);
        ensure(copies * largest)?;
        let (operator, noise) = self.measured(&picture, operator, &mut notes)?;
        let rounded = operator.quantised().is_some() || operator.binned().is_some();
        let estimated = self.noise.is_none() && (!rounded || noise != Noise::Exact);
        let problem = Problem::new(picture.pixels.clone(), operator, noise)?;
        let task = Task {
            maps: card.maps,
            conditional: card.condition.is_some(),
            draw: self.samples.is_some(),
            ..Task::of(&problem, self.steps)
        };
        let settings = self.settings(&task)?;
        settings.as_dyn().check(card, &problem)?;
        if settings.nfe(card) > 0 {
            card.check_channels(input.c)?;
        }
        if self.samples.is_some() && !settings.as_dyn().draws() {
            let fitting = method::fitting(card, problem.operator.as_ref());
            let draws = |name: &&str| {
                let settings = Settings::tuned(name, &task).expect("a listed name");
                settings.as_dyn().draws()
            };
            return Err(Error::NoDraws {
                name: settings.name(),
                fitting: fitting.into_iter().filter(draws).collect(),
            });
        }
        let ready = Ready {
            picture,
            frame,
            behind,
            regions,
            problem,
            settings,
            samples: self.samples,
            notes,
            estimated,
            seed: self.seed,
            denoise_known: self.denoise_known,
            strength: self.strength,
        };
        match self.strength < 1.0 && !ready.measures_whole() {
            true => Err(Error::NoBlend),
            false => Ok(ready),
        }
    }

    /// What was put around a picture and is none of it, unless size or units are stated.
    fn frame(&self, picture: &Picture, spec: &Spec) -> Option<Frame> {
        let told = self.size.is_none() && self.range == recorded::UNIT;
        told.then(|| Frame::around(picture, spec)).flatten()
    }

    /// Dimensions of the clean picture, and whether what was recorded tells them; else they must have been stated.
    fn clean_size(&self, spec: &Spec, recorded: Dims) -> Result<(Dims, bool), Error> {
        // As it is undone, which may take what lies beyond the edges, too, or as it was made.
        let told = spec.input_for(recorded);
        let made_of = self.spec.input_for(recorded).ok();
        let differs = |size: &Dims| {
            let told = told.as_ref().ok().copied();
            ![told, made_of].contains(&Some(*size))
        };
        match self.size.filter(differs) {
            Some(size) => {
                operator::check_len(size)?;
                Ok((size, false))
            }
            None => Ok((told?, true)),
        }
    }

    /// The noise, stated or estimated, and the operator, as far as the picture does not contradict them; with what is worth
    /// saying.
    fn measured(
        &self,
        picture: &Picture,
        operator: Box<dyn Operator>,
        notes: &mut Vec<String>,
    ) -> Result<(Box<dyn Operator>, Noise), Error> {
        let noise = match self.noise {
            Some(noise) => noise,
            // What is known of rounded numbers is no noise, but an interval for each.
            None if operator.quantised().is_some() => Noise::Exact,
            None if !self.spec.records_pictures()
                && operator.noise_in(&picture.pixels).is_none() =>
            {
                return Err(Error::NoPicture);
            }
            None => noise::estimate(picture, operator.as_ref(), notes)?,
        };
        let estimated = self.noise.is_none();
        let (operator, noise) = guard::checked(operator, noise, estimated, &picture.pixels, notes);
        notes.extend(noise::compressed(picture, operator.as_ref(), noise));
        if estimated
            && self.chosen_freely()
            && let Some(before) = compression::before(picture, operator.as_ref(), noise, notes)
        {
            return Ok(before);
        }
        if operator.quantised().is_some()
            && let Some(quality) = picture.jpeg.as_ref().and_then(Jpeg::quality)
        {
            notes.push(format!("JPEG quality about {quality:.0}"));
        }
        Ok((operator, noise))
    }

    /// Whether the best estimate is wanted, by whatever method and steps.
    fn chosen_freely(&self) -> bool {
        let best = matches!(self.method, Choice::Best | Choice::Texture);
        best && self.samples.is_none() && self.steps != Some(1)
    }

    /// The method with its settings.
    fn settings(&self, task: &Task) -> Result<Settings, Error> {
        Ok(match &self.method {
            Choice::Best => recommend::method(task),
            Choice::Texture => recommend::textured(task),
            Choice::Named(name) => {
                Settings::tuned(name, task).ok_or_else(|| Error::Method(name.clone()))?
            }
            Choice::Settings(settings) => match self.steps {
                Some(n) => settings.as_ref().clone().with_steps(n),
                None => settings.as_ref().clone(),
            },
        })
    }
}

fn would_draw(fitting: &[&str]) -> String {
    match fitting {
        [] => "no method draws here".to_owned(),
        some => format!("these do: {}", some.join(", ")),
    }
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Solved {
    /// The estimate; of draws their mean, with their standard deviation.
    pub restored: Restored,
    /// The draws, if they were wanted, as a batch.
    pub samples: Option<Image>,
}

impl Solved {
    fn of(samples: &[Image]) -> Solved {
        let views: Vec<_> = samples.iter().map(|x| x.view()).collect();
        let samples = ndarray::concatenate(ndarray::Axis(0), &views).expect("draws are alike");
        Solved {
            restored: method::summary(&samples),
            samples: Some(samples),
        }
    }
}

/// A job of which only the work is left.
#[derive(Debug)]
pub struct Ready {
    picture: Picture,
    /// What surrounds the measurement in its file.
    frame: Option<Frame>,
    /// The measurement with the colours that the file has where it is transparent; `None` if nowhere.
    behind: Option<Image>,
    problem: Problem,
    /// The parts of the picture that are restored, each by itself; none for the whole.
    regions: Vec<Region>,
    settings: Settings,
    samples: Option<usize>,
    notes: Vec<String>,
    estimated: bool,
    seed: u64,
    denoise_known: bool,
    strength: f64,
}

impl Ready {
    /// Dimensions of the result.
    pub fn output(&self) -> Dims {
        let whole = self.frame.as_ref().map(|frame| frame.whole().dims());
        whole.unwrap_or_else(|| self.restored())
    }

    /// Dimensions of what is restored.
    fn restored(&self) -> Dims {
        let operator = &self.problem.operator;
        let picture = operator.margins().within(operator.input());
        picture.expect("margins lie around a picture")
    }

    /// The method that was chosen, with its settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Evaluations of a prior of this card in all.
    pub fn nfe(&self, card: &Card) -> usize {
        let each = self.settings.nfe(card) * self.samples.unwrap_or(1);
        each * self.regions.len().max(1)
    }

    /// What can be seen without a prior: the operator's first guess, in the place of the result.
    pub fn preview(&self) -> Image {
        self.framed(seen::at_first(
            self.problem.operator.as_ref(),
            &self.problem.y,
        ))
    }

    /// An image like the result, a draw or a spread as there is to see of it: of complex pictures the magnitude.
    pub fn seen(&self, x: Image) -> Image {
        seen::seen(self.problem.operator.as_ref(), x)
    }

    /// The problem that it solves.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Restores the picture. What travels with it (depth, alpha, profile) is kept.
    ///
    /// # Errors
    /// [`Error::Run`] if the method fails or the observer stops it.
    pub fn run(
        self,
        prior: &dyn Prior,
        observer: impl Observer + Send,
    ) -> Result<(Picture, Report), Error> {
        let (solved, report) = self.solve(prior, observer)?;
        let picture = self.frame.as_ref().map_or(&self.picture, Frame::whole);
        let result = self.result(picture, solved.restored.x);
        Ok((result, report))
    }

    /// A result as a picture: what travels with the measurement is kept, and what was filled is opaque. Of complex pictures
    /// it is the magnitude.
    pub fn result(&self, measured: &Picture, x: Image) -> Picture {
        let mut result = measured.with_pixels(self.seen(x));
        let mask = self.problem.operator.mask();
        if let (Some(alpha), Some(mask)) = (&mut result.alpha, mask) {
            let filled = mask.hidden();
            alpha.zip_mut_with(&filled, |alpha, &filled| {
                *alpha = if filled { 1.0 } else { *alpha };
            });
        }
        result
    }

    /// The same as an image, with its spread where the method knows it, and the draws where they are wanted.
    ///
    /// # Errors
    /// Those of [`Ready::run`].
    pub fn solve(
        &self,
        prior: &dyn Prior,
        observer: impl Observer + Send,
    ) -> Result<(Solved, Report), Error> {
        in_pool(|| self.solve_in_pool(prior, observer))
    }

    fn solve_in_pool(
        &self,
        prior: &dyn Prior,
        observer: impl Observer,
    ) -> Result<(Solved, Report), Error> {
        let begun = Instant::now();
        let mut run = Run::with(Seeded::new(self.seed, "method"), observer);
        let margins = self.problem.operator.margins();
        let mut noise = self.problem.noise;
        let keep = |x: Image| {
            let x = margins.crop(self.with_known(&x).unwrap_or(x));
            self.framed(self.blended(x))
        };
        let stopped = |e: run::Error| e.with_estimate(|x| self.framed(margins.crop(x)));
        let restored = match self.samples {
            None => {
                let result = self.guarded(prior, &mut run);
                let (Restored { x, std }, used) = result.map_err(stopped)?;
                noise = used;
                Solved {
                    samples: None,
                    restored: Restored {
                        x: keep(x),
                        std: std.map(|std| self.framed_spread(margins.crop(std))),
                    },
                }
            }
            Some(n) => {
                let draws = Draws {
                    n,
                    of: &self.settings,
                };
                let all = self.in_regions(&mut run, |problem, run| {
                    draws.batch(prior, problem, run).map(Restored::from)
                });
                let all = all.map_err(stopped)?;
                let draws = all.x.axis_chunks_iter(ndarray::Axis(0), 1);
                Solved::of(&draws.map(|x| keep(x.to_owned())).collect::<Vec<_>>())
            }
        };
        let mut notes = self.notes.clone();
        notes.extend_from_slice(run.notes());
        if self.keeps_known() && self.problem.sigma() > VISIBLE {
            notes.push("what is known keeps its noise, unless it is to be denoised too".into());
        }
        let report = Report {
            method: self.settings.name(),
            nfe: run.nfe(),
            seconds: begun.elapsed().as_secs_f64(),
            sigma: noise.level(&self.problem.y),
            sigma_estimated: self.estimated,
            notes,
        };
        Ok((restored, report))
    }

    /// The estimate; if it overshoots, made again with less weight on the data, and with the noise that this was taken for.
    fn guarded(
        &self,
        prior: &dyn Prior,
        run: &mut Run<'_>,
    ) -> Result<(Restored, Noise), run::Error> {
        let method = self.settings.as_dyn();
        let weighs = method.handling() != Handling::Ignored;
        let mut restored =
            self.in_regions(run, |problem, run| method.restore(prior, problem, run))?;
        let mut weaker = None;
        for again in 0.. {
            let problem = weaker.as_ref().unwrap_or(&self.problem);
            let Some(why) = guard::overshot(problem, &restored.x, again > 0) else {
                break;
            };
            if again == guard::AGAIN || !weighs {
                run.note(format!("the result overshoots ({why}): do not trust it"));
                break;
            }
            let problem = problem.with_noise(guard::weaker(problem.noise, &problem.y));
            run.note(format!(
                "the result overshot ({why}), as with a wrong {}: made again, the noise taken for {:.1}/255",
                problem.operator.name(),
                problem.sigma() * 255.0
            ));
            restored = method.restore(prior, &problem, run)?;
            weaker = Some(problem);
        }
        let problem = weaker.as_ref().unwrap_or(&self.problem);
        if !self.keeps_known()
            && let Some(line) = guard::unexplained(problem, &restored.x)
        {
            run.note(line);
        }
        Ok((restored, problem.noise))
    }

    /// Whether the measurement is itself a picture of the result's size, without holes.
    fn measures_whole(&self) -> bool {
        let loss = self.problem.operator.loss();
        self.restored() == Dims::of(&self.problem.y) && !loss.pixels && !loss.frequencies
    }

    /// Restores each region by itself, or the whole where there are none.
    fn in_regions(
        &self,
        run: &mut Run<'_>,
        restore: impl Fn(&Problem, &mut Run<'_>) -> Result<Restored, run::Error>,
    ) -> Result<Restored, run::Error> {
        let mask = self.problem.operator.mask();
        let (Some(mask), false) = (mask, self.regions.is_empty()) else {
            return restore(&self.problem, run);
        };
        let mut whole: Option<Restored> = None;
        for (i, region) in self.regions.iter().enumerate() {
            let [rows, columns] = region;
            let inside = s![.., .., rows.clone(), columns.clone()];
            let problem = Problem {
                y: self.problem.y.slice(inside).to_owned(),
                operator: Arc::new(mask.part(region)),
                noise: self.problem.noise,
            };
            let part = (i, self.regions.len());
            let Restored { x, std } = run.part(part, 1, |run| restore(&problem, run))?;
            let whole = whole.get_or_insert_with(|| self.untouched(x.dim().0, std.is_some()));
            whole.x.slice_mut(inside).assign(&x);
            if let (Some(whole), Some(std)) = (&mut whole.std, std) {
                whole.slice_mut(inside).assign(&std);
            }
        }
        Ok(whole.expect("there is a region"))
    }

    /// So many pictures as they were measured, of which is known that they are right.
    fn untouched(&self, n: usize, spread: bool) -> Restored {
        let Dims { c, h, w } = self.problem.operator.input();
        let y = self.problem.y.broadcast((n, c, h, w));
        Restored {
            x: y.expect("one picture").to_owned(),
            std: spread.then(|| Image::zeros((n, c, h, w))),
        }
    }

    /// Whether what is known of the picture is returned as it was: where pixels or colours are missing and nothing else.
    pub fn keeps_known(&self) -> bool {
        let operator = &self.problem.operator;
        let loss = operator.loss();
        let only_missing = (loss.pixels || loss.colours) && !loss.detail && !loss.scales;
        let isometry = operator.linear().and_then(|linear| linear.isometry());
        only_missing && isometry.is_some() && !self.denoise_known
    }

    /// What was restored, in the frame that its file has around it.
    fn framed(&self, x: Image) -> Image {
        match &self.frame {
            Some(frame) => frame.with(x),
            None => x,
        }
    }

    fn framed_spread(&self, std: Image) -> Image {
        match &self.frame {
            Some(frame) => frame.with_spread(std),
            None => std,
        }
    }

    /// As much of the restoration as is wanted, the rest from the measurement.
    fn blended(&self, x: Image) -> Image {
        match self.strength {
            1.0 => x,
            strength => &self.problem.y + &((x - &self.problem.y) * strength as f32),
        }
    }

    /// `x` with what is known put back, where it is to be; also what is known and cannot be seen.
    fn with_known(&self, x: &Image) -> Option<Image> {
        let linear = self.problem.operator.linear()?;
        let known = self.behind.as_ref().unwrap_or(&self.problem.y);
        self.keeps_known().then(|| {
            let mut x = linear.project(known, x);
            if linear.loss().colours {
                // Colours beyond black and white would be cut off in a file, and their grey with them.
                for _ in 0..INTO_RANGE {
                    linear.range().clamp(&mut x);
                    x = linear.project(known, &x);
                }
            }
            x
        })
    }
}

/// A measurement of one channel may come as a picture of three that are equal; one that is grey, also with colours.
fn with_channels(picture: &Picture, spec: &Spec, notes: &mut Vec<String>) -> Picture {
    let channels = picture.dims().c;
    match spec.channels_recorded() {
        Some(1) if channels != 1 => {}
        Some(3) => return picture.with_file_channels(),
        _ => return picture.clone(),
    }
    let axis = ndarray::Axis(1);
    let planes = &picture.pixels;
    let first = planes.slice_axis(axis, (0..1).into());
    let equal = planes.axis_chunks_iter(axis, 1).all(|c| c == first);
    let (one, note) = match equal {
        true => (first.to_owned(), "channels are equal: taken as one"),
        false if spec.records_grey() => {
            let mean = planes.mean_axis(axis).expect("there are channels");
            (
                mean.insert_axis(axis),
                "channels differ: their mean is taken as the grey",
            )
        }
        false => return picture.clone(),
    };
    notes.push(format!("the picture's {channels} {note}"));
    picture.with_pixels(one)
}
