//! Several draws of another method, and their mean.
//!
//! A method that draws from the posterior gives one picture of many that explain the measurement. Their mean estimates
//! the posterior mean, of all estimates the one with the least squared error: where the draws agree it is as sharp as
//! they are, where they do not it commits itself to nothing. The error of `k` draws' mean is `1 + 1/k` times that of the
//! posterior mean itself, for a method that draws exactly; a single draw's is twice. How far the draws lie apart tells how
//! sure the method is.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::method::{DiffPir, Exact, Method, Restored, Settings, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Draws of a method, one after the other, each with noise of its own: draw `k` is what the method alone makes as picture
/// `k` of a batch of that seed.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    /// How many.
    pub n: usize,
    /// Of what.
    pub of: &'a Settings,
}

impl Draws<'_> {
    /// Hands each draw to `each`, with its number.
    ///
    /// # Errors
    /// [`Error::Unfit`] if there are none, or too many; those of the method.
    pub fn each(
        self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
        mut each: impl FnMut(usize, Image),
    ) -> Result<(), Error> {
        Error::unless((1..=MAX_STEPS).contains(&self.n), || {
            format!("there must be 1 to {MAX_STEPS} draws, not {}", self.n)
        })?;
        for k in 0..self.n {
            let restore = |run: &mut Run<'_>| self.of.as_dyn().restore(prior, problem, run);
            each(k, run.part((k, self.n), problem.batch(), restore)?.x);
        }
        Ok(())
    }

    /// All draws as one batch, `n` times as large as the problem's.
    ///
    /// # Errors
    /// Those of [`Draws::each`].
    pub fn batch(
        self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let mut all = Vec::new();
        self.each(prior, problem, run, |_, x| all.push(x))?;
        let views: Vec<_> = all.iter().map(|x| x.view()).collect();
        Ok(ndarray::concatenate(ndarray::Axis(0), &views).expect("draws are alike"))
    }

    /// Their mean and, of more than one, their standard deviation (Welford 1962).
    ///
    /// # Errors
    /// Those of [`Draws::each`].
    pub fn mean(
        self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let mut running = Running::default();
        self.each(prior, problem, run, |_, x| running.add(&x))?;
        Ok(running.restored())
    }
}

/// Mean and standard deviation of the pictures of a batch, as the estimate that they are draws of.
pub fn summary(batch: &Image) -> Restored {
    let mut running = Running::default();
    let pictures = batch.axis_chunks_iter(ndarray::Axis(0), 1);
    pictures.for_each(|x| running.add(&x.to_owned()));
    running.restored()
}

/// A mean and a sum of squares that take one picture after the other.
#[derive(Default)]
pub(in crate::method) struct Running {
    n: usize,
    mean: Image,
    squares: Image,
}

impl Running {
    pub(in crate::method) fn add(&mut self, x: &Image) {
        if self.n == 0 {
            self.mean = x.clone();
            self.squares = Image::zeros(x.raw_dim());
        }
        self.n += 1;
        let part = 1.0 / self.n as f32;
        ndarray::Zip::from(&mut self.mean)
            .and(&mut self.squares)
            .and(x)
            .par_for_each(|mean, squares, &x| {
                let before = x - *mean;
                *mean += before * part;
                *squares += before * (x - *mean);
            });
    }

    /// The mean, and of more than one the standard deviation.
    pub(in crate::method) fn restored(self) -> Restored {
        let degrees = self.n.saturating_sub(1);
        let std = |s: f32| (s / degrees as f32).sqrt();
        Restored {
            x: self.mean,
            std: (degrees > 0).then(|| self.squares.mapv(std)),
        }
    }
}

/// Settings of the mean of draws: by default four of [`DiffPir::fresh`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mean {
    /// How many draws.
    pub draws: usize,
    /// The method that draws them.
    pub of: Box<Settings>,
}

impl Default for Mean {
    fn default() -> Mean {
        Mean {
            draws: 4,
            of: Box::new(DiffPir::fresh().into()),
        }
    }
}

impl Tuned for Mean {
    fn tuned(task: &Task) -> Mean {
        let of = match task.pixelwise && task.maps && !task.elsewhere {
            true => Exact::tuned(&Task {
                draw: true,
                ..*task
            })
            .into(),
            false => DiffPir::tuned(task).into(),
        };
        Mean {
            of: Box::new(of),
            ..Mean::default()
        }
    }
}

impl Described for Mean {
    const CARD: Card = Card {
        summary: "the mean of several draws of another method: what they agree on, and how far they lie apart",
        paper: "Robbins 1956: the posterior mean",
    };

    fn with_steps(self, steps: usize) -> Mean {
        Mean {
            of: Box::new(self.of.with_steps(steps)),
            ..self
        }
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.draws.saturating_mul(self.of.nfe(prior))
    }
}

impl Method for Mean {
    fn needs(&self) -> Vec<Need> {
        self.of.as_dyn().needs()
    }

    fn draws(&self) -> bool {
        self.of.as_dyn().draws()
    }

    fn knows_spread(&self) -> bool {
        self.draws > 1
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let draws = Draws {
            n: self.draws,
            of: &self.of,
        };
        draws.mean(prior, problem, run)
    }
}
