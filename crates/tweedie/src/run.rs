//! What surrounds a running method: its noise, its watcher, the count of network evaluations, and what is to be said.

use std::fmt;
use std::ops::ControlFlow;

use crate::level::{Level, Range};
use crate::noise::{NoiseSource, Seeded};
use crate::noise_map::NoiseMap;
use crate::prior::{self, Estimate, Prior, Pullback};
use crate::registry::Need;
use crate::{Dims, Image, grid};

/// What an [`Observer`] is shown after each step. It borrows: a preview costs nothing unless it is copied.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Steps done, from 1.
    pub step: usize,
    /// Steps there are; `None` where the method finds out on the way.
    pub total: Option<usize>,
    /// The noise level that the step came from; 0 for methods without levels.
    pub sigma: f64,
    /// Network evaluations so far; an evaluation with its pullback counts once.
    pub nfe: usize,
    /// The present estimate of the clean image.
    pub x0: &'a Image,
}

/// Watches a run and may stop it.
pub trait Observer {
    /// Called after each step. `Break` ends the run with [`Error::Stopped`].
    fn step(&mut self, progress: &Progress<'_>) -> ControlFlow<()>;

    /// Called now and then within long steps, which have no estimate to show.
    fn poll(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// An observer that looks at nothing.
impl Observer for () {
    fn step(&mut self, _: &Progress<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Observer for &mut (dyn Observer + Send) {
    fn step(&mut self, progress: &Progress<'_>) -> ControlFlow<()> {
        (**self).step(progress)
    }

    fn poll(&mut self) -> ControlFlow<()> {
        (**self).poll()
    }
}

impl<F: FnMut(&Progress<'_>) -> ControlFlow<()>> Observer for F {
    fn step(&mut self, progress: &Progress<'_>) -> ControlFlow<()> {
        self(progress)
    }
}

/// Why a run ended without a result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The prior failed.
    #[error("step {step}: {source}")]
    Prior {
        /// The step, from 1.
        step: usize,
        /// What the prior said.
        source: prior::Error,
    },
    /// A number became NaN or infinite.
    #[error(
        "step {step} (sigma {sigma:.4}): the {what} is no longer finite; a smaller step size or another method may help"
    )]
    NotFinite {
        /// The step, from 1.
        step: usize,
        /// The noise level.
        sigma: f64,
        /// Which image.
        what: &'static str,
    },
    /// The observer stopped the run.
    #[error("stopped after step {step}{}", of_total(*total))]
    Stopped {
        /// Steps done.
        step: usize,
        /// Steps there were.
        total: Option<usize>,
        /// The estimate of the clean image at that time.
        x0: Box<Image>,
    },
    /// The prior or the operator cannot do what the method needs.
    #[error("{}", lacks(*need, who, fitting))]
    Lacks {
        /// What is needed.
        need: Need,
        /// Who lacks it.
        who: String,
        /// The methods that would do.
        fitting: Vec<&'static str>,
    },
    /// The grid has no levels for this prior.
    #[error(transparent)]
    Grid(#[from] grid::Error),
    /// Settings that do not work, or not with this problem.
    #[error("{0}")]
    Unfit(String),
}

fn of_total(total: Option<usize>) -> String {
    total.map_or(String::new(), |total| format!(" of {total}"))
}

fn lacks(need: Need, who: &str, fitting: &[&str]) -> String {
    let instead = match fitting {
        [] => "no method would do".to_owned(),
        some => format!("these would do: {}", some.join(", ")),
    };
    format!(
        "with these settings the method needs {}, which {who} does not have; {instead}",
        need.in_words()
    )
}

impl Error {
    /// The same, of an estimate that was kept what `f` makes of it.
    pub(crate) fn with_estimate(mut self, f: impl FnOnce(Image) -> Image) -> Error {
        if let Error::Stopped { x0, .. } = &mut self {
            **x0 = f(std::mem::take(x0));
        }
        self
    }

    /// An error unless `ok`.
    pub(crate) fn unless(ok: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
        if ok {
            Ok(())
        } else {
            Err(Error::Unfit(what()))
        }
    }
}

/// The surroundings of one run of a method or sampler.
pub struct Run<'a> {
    noise: Box<dyn NoiseSource + 'a>,
    observer: Box<dyn Observer + 'a>,
    nfe: usize,
    step: usize,
    total: Option<usize>,
    /// Which part of how many the present one is, counted over all nested ones.
    part: (usize, usize),
    notes: Vec<String>,
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("nfe", &self.nfe)
            .field("step", &self.step)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl<'a> Run<'a> {
    /// A run that nobody watches, with the noise that the seed's stream "method" gives.
    pub fn new(seed: u64) -> Run<'a> {
        Run::with(Seeded::new(seed, "method"), ())
    }

    /// A run with its noise source and observer.
    pub fn with(noise: impl NoiseSource + 'a, observer: impl Observer + 'a) -> Run<'a> {
        Run {
            noise: Box::new(noise),
            observer: Box::new(observer),
            nfe: 0,
            step: 0,
            total: None,
            part: (0, 1),
            notes: Vec::new(),
        }
    }

    /// Network evaluations so far.
    pub fn nfe(&self) -> usize {
        self.nfe
    }

    /// What was assumed, dropped or limited on the way, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Says something that the user ought to know; what was said before is not repeated.
    pub fn note(&mut self, line: impl Into<String>) {
        let line = line.into();
        if !self.notes.contains(&line) {
            self.notes.push(line);
        }
    }

    /// Says how many steps there will be; `None` where that is not known.
    pub fn begin(&mut self, total: impl Into<Option<usize>>) {
        let (done, parts) = self.part;
        let total = total.into();
        self.step = done * total.unwrap_or(0);
        self.total = total.map(|total| total * parts);
    }

    /// Runs `work` as part number `i` of `n`, which are watched as one. Its noise is that of a run whose first picture comes
    /// after those of the parts before it, of `batch` pictures each; so also of parts within parts, no two of which share any.
    pub fn part<T>(
        &mut self,
        (i, n): (usize, usize),
        batch: usize,
        work: impl FnOnce(&mut Run<'a>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let whole = self.part;
        self.part = (whole.0 * n + i, whole.1 * n);
        self.noise.restart(self.part.0 * batch);
        let result = work(self);
        self.part = whole;
        result
    }

    /// Fresh N(0, 1) noise.
    pub fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        self.noise.normal(batch, dims)
    }

    /// Fresh N(0, 1) noise, shaped like `x`.
    pub fn normal_like(&mut self, x: &Image) -> Image {
        self.noise.normal(x.dim().0, Dims::of(x))
    }

    /// Noise around the middle of the range: what remains of any image at a very noisy level.
    pub fn pure_noise(&mut self, range: Range, level: Level, batch: usize, dims: Dims) -> Image {
        let mut x = self.normal(batch, dims);
        let (center, b) = ((level.a * range.center) as f32, level.b as f32);
        x.mapv_inplace(|z| center + b * z);
        x
    }

    /// `x + sigma*z` with fresh noise, which is drawn only where there is some to add.
    pub fn add_noise(&mut self, mut x: Image, sigma: f64) -> Image {
        if sigma > 0.0 {
            let z = self.normal_like(&x);
            x.scaled_add(sigma as f32, &z);
        }
        x
    }

    /// The prior's estimate of the clean image, counted and checked.
    pub fn denoise(&mut self, prior: &dyn Prior, x: &Image, level: Level) -> Result<Image, Error> {
        Ok(self.estimate(prior, x, level)?.x0)
    }

    /// The same with all that the prior says.
    pub fn estimate(
        &mut self,
        prior: &dyn Prior,
        x: &Image,
        level: Level,
    ) -> Result<Estimate, Error> {
        self.nfe += 1;
        self.finite(x, level, "image")?;
        let estimate = prior.denoise(x, level).map_err(|e| self.failed(e))?;
        self.finite(&estimate.x0, level, "prior's answer")?;
        Ok(estimate)
    }

    /// The prior's estimate of the clean image from `m`, whose noise is that of the map.
    pub fn denoise_mapped(
        &mut self,
        prior: &dyn Prior,
        m: &Image,
        noise: &NoiseMap,
    ) -> Result<Image, Error> {
        self.nfe += 1;
        self.finite(m, Level::CLEAN, "image")?;
        let estimate = prior.denoise_mapped(m, noise).map_err(|e| self.failed(e))?;
        self.finite(&estimate.x0, Level::CLEAN, "prior's answer")?;
        Ok(estimate.x0)
    }

    /// The same with the pullback.
    pub fn estimate_with_pullback<'p>(
        &mut self,
        prior: &'p dyn Prior,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'p>), Error> {
        self.nfe += 1;
        self.finite(x, level, "image")?;
        let (estimate, pullback) = prior
            .denoise_with_pullback(x, level)
            .map_err(|e| self.failed(e))?;
        self.finite(&estimate.x0, level, "prior's answer")?;
        Ok((estimate, pullback))
    }

    /// Ends a step: shows the estimate and hears whether to go on.
    pub fn show(&mut self, x0: &Image, level: Level) -> Result<(), Error> {
        self.step += 1;
        let progress = Progress {
            step: self.step,
            total: self.total,
            sigma: level.sigma(),
            nfe: self.nfe,
            x0,
        };
        let flow = self.observer.step(&progress);
        self.go_on(flow, x0)
    }

    /// Within a long step: hears whether to go on. `x0` is the present estimate, which is kept if not.
    pub fn poll(&mut self, x0: &Image) -> Result<(), Error> {
        let flow = self.observer.poll();
        self.go_on(flow, x0)
    }

    fn go_on(&self, flow: ControlFlow<()>, x0: &Image) -> Result<(), Error> {
        match flow {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped {
                step: self.step,
                total: self.total,
                x0: Box::new(x0.clone()),
            }),
        }
    }

    /// Turns a prior's error into one that names the step.
    pub fn failed(&self, source: prior::Error) -> Error {
        Error::Prior {
            step: self.step + 1,
            source,
        }
    }

    fn finite(&self, x: &Image, level: Level, what: &'static str) -> Result<(), Error> {
        // A sum is finite only if all its terms are (or nearly overflow), and is much faster than a search.
        if x.sum().is_finite() || x.iter().all(|v| v.is_finite()) {
            return Ok(());
        }
        Err(Error::NotFinite {
            step: self.step + 1,
            sigma: level.sigma(),
            what,
        })
    }
}
