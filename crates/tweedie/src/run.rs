//! What surrounds a running method: its noise, its watcher, and the count of network evaluations.

use std::fmt;

use crate::level::Level;
use crate::noise::{NoiseSource, Seeded};
use crate::prior::{self, Prior, Pullback};
use crate::{Dims, Image};

/// What an [`Observer`] is shown after each step. It borrows: a preview costs nothing unless it is copied.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Steps done, from 1.
    pub step: usize,
    /// Steps there are.
    pub total: usize,
    /// The noise level that the step came from; 0 for methods without levels.
    pub sigma: f64,
    /// Network evaluations so far; an evaluation with its pullback counts once.
    pub nfe: usize,
    /// The present estimate of the clean image.
    pub x0: &'a Image,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop now; the run ends with [`Error::Stopped`].
    Stop,
}

/// Watches a run and may stop it.
pub trait Observer {
    /// Called after each step.
    fn step(&mut self, progress: &Progress<'_>) -> Flow;
}

/// An observer that looks at nothing.
impl Observer for () {
    fn step(&mut self, _: &Progress<'_>) -> Flow {
        Flow::Continue
    }
}

impl<F: FnMut(&Progress<'_>) -> Flow> Observer for F {
    fn step(&mut self, progress: &Progress<'_>) -> Flow {
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
    /// The observer asked to stop.
    #[error("stopped after step {step} of {total}")]
    Stopped {
        /// Steps done.
        step: usize,
        /// Steps there were.
        total: usize,
    },
    /// The settings or the problem do not fit the method.
    #[error("{0}")]
    Unfit(String),
}

/// The surroundings of one run of a sampler or method.
pub struct Run<'a> {
    noise: Box<dyn NoiseSource + 'a>,
    observer: Box<dyn Observer + 'a>,
    nfe: usize,
    step: usize,
    total: usize,
    /// How many runs of a method count as one, and how many of them have begun.
    parts: (usize, usize),
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Run {{ step: {}/{}, nfe: {} }}",
            self.step, self.total, self.nfe
        )
    }
}

impl<'a> Run<'a> {
    /// A run with seeded noise that nobody watches.
    pub fn new(seed: u64) -> Run<'a> {
        Run::with(Seeded::new(seed), ())
    }

    /// A run with its noise source and observer.
    pub fn with(noise: impl NoiseSource + 'a, observer: impl Observer + 'a) -> Run<'a> {
        Run {
            noise: Box::new(noise),
            observer: Box::new(observer),
            nfe: 0,
            step: 0,
            total: 0,
            parts: (1, 0),
        }
    }

    /// Network evaluations so far.
    pub fn nfe(&self) -> usize {
        self.nfe
    }

    /// Says how many steps there will be.
    pub fn begin(&mut self, total: usize) {
        let (parts, begun) = self.parts;
        if begun % parts == 0 {
            (self.step, self.total) = (0, total * parts);
        }
        self.parts.1 += 1;
    }

    /// Says that so many runs of a method follow that are to be watched as one.
    pub(crate) fn in_parts(&mut self, parts: usize) {
        self.parts = (parts, 0);
    }

    /// Fresh N(0, 1) noise.
    pub fn normal(&mut self, batch: usize, dims: Dims) -> Image {
        self.noise.normal(batch, dims)
    }

    /// Fresh N(0, 1) noise, shaped like `x`.
    pub fn normal_like(&mut self, x: &Image) -> Image {
        self.noise.normal(x.dim().0, Dims::of(x))
    }

    /// The prior's estimate of the clean image, counted and checked.
    pub fn denoise(&mut self, prior: &dyn Prior, x: &Image, level: Level) -> Result<Image, Error> {
        self.nfe += 1;
        self.finite(x, level, "image")?;
        let x0 = prior.denoise(x, level).map_err(|e| self.failed(e))?;
        self.finite(&x0, level, "prior's answer")?;
        Ok(x0)
    }

    /// The same with the pullback.
    pub fn denoise_with_pullback<'p>(
        &mut self,
        prior: &'p dyn Prior,
        x: &Image,
        level: Level,
    ) -> Result<(Image, Pullback<'p>), Error> {
        self.nfe += 1;
        self.finite(x, level, "image")?;
        let (x0, pullback) = prior
            .denoise_with_pullback(x, level)
            .map_err(|e| self.failed(e))?;
        self.finite(&x0, level, "prior's answer")?;
        Ok((x0, pullback))
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
        match self.observer.step(&progress) {
            Flow::Continue => Ok(()),
            Flow::Stop => Err(Error::Stopped {
                step: self.step,
                total: self.total,
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
