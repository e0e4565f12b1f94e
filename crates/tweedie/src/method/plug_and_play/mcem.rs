//! Noise that was rounded with the picture: the noisy picture before the rounding drawn anew, and denoised, by Monte Carlo EM.
//!
//! ```text
//! w  ~  N(x, sigma^2)  given that its rounded numbers lie in their intervals      (a step of imputation, by Gibbs sampling)
//! x  =  mean of D(w, told*sigma) over the steps so far                            (the posterior mean of white noise)
//! ```
//!
//! A JPEG of a noisy picture is no picture with Gaussian noise: rounding has made most coefficients of the noise zero and some a step,
//! which a denoiser takes for detail, and has taken the noise of the colours between samples. Before the rounding the noise was
//! white. So what the rounding hid is filled in, as data are that are missing (Tanner and Wong 1987; Wei and Tanner 1990, Monte Carlo
//! EM): the denoiser is shown white noise as it knows it, and what of it was imputed is averaged away. Draws come in pairs with
//! opposite noise, each laid down another way; of each pair much that was drawn cancels.
//!
//! Imputation around the mean, in the place of a draw of the picture, makes `w` a little less noisy than it was: hence `told`.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::Level;
use crate::method::direct::stabilise::evenly;
use crate::method::plug_and_play::symmetry::Symmetry;
use crate::method::{Handling, Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::{Noise, Problem};
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of Monte Carlo EM, chosen on photographs that no table reports (docs/noise.md).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mcem {
    /// Number of evaluations: the first of the measurement as it is, the others of imputed pictures.
    pub steps: usize,
    /// Sweeps of the Gibbs sampler for each.
    pub sweeps: usize,
    /// The noise that the denoiser is told, in units of that of the measurement.
    pub told: f64,
}

impl Default for Mcem {
    fn default() -> Mcem {
        Mcem {
            steps: 7,
            sweeps: 2,
            told: 0.95,
        }
    }
}

impl Described for Mcem {
    const CARD: Card = Card {
        summary: "noise that was rounded (JPEG): the noisy picture before it drawn anew, and denoised",
        paper: "Wei and Tanner 1990",
    };

    fn with_steps(mut self, steps: usize) -> Mcem {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for Mcem {
    fn tuned(task: &Task) -> Mcem {
        Mcem::default().with_steps(task.steps.unwrap_or(7))
    }
}

/// Noise that is less than this part of what rounding makes cannot be told from it.
const LEAST: f64 = 0.3;

impl Mcem {
    fn check(&self) -> Result<(), Error> {
        Error::unless((1..=MAX_STEPS).contains(&self.steps), || {
            format!("mcem takes 1 to {MAX_STEPS} steps, not {}", self.steps)
        })?;
        Error::unless((1..=100).contains(&self.sweeps), || {
            format!("mcem takes 1 to 100 sweeps, not {}", self.sweeps)
        })?;
        Error::unless(self.told > 0.0 && self.told.is_finite(), || {
            "the noise that mcem tells the denoiser must be positive".into()
        })
    }

    /// The picture without noise of this law, by one evaluation.
    fn denoised(
        &self,
        prior: &dyn Prior,
        w: &Image,
        noise: Noise,
        way: Symmetry,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let [least, most] = prior.card().sigma;
        evenly(noise, w, |w, sigma| {
            let level = Level::ve((self.told * sigma).clamp(least, most));
            let x = way.back(&run.denoise(prior, &way.there(w), level)?);
            run.show(&x, level)?;
            Ok(x)
        })
    }
}

impl Method for Mcem {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Intervals]
    }

    fn draws(&self) -> bool {
        false
    }

    fn handling(&self) -> Handling {
        Handling::Any
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let operator = problem.operator.quantised();
        let operator = operator.expect("a method that needs intervals is given some");
        let intervals = operator.intervals(&problem.y);
        let rounding = LEAST * operator.coarseness();
        let noise = match problem.sigma() < rounding {
            true => Noise::White(rounding),
            false => problem.noise,
        };
        run.begin(self.steps);
        let guess = problem.operator.guess(&problem.y);
        let mut x = self.denoised(prior, &guess, noise, Symmetry::nth(0), run)?;
        let mut normals = Vec::new();
        for k in 1..self.steps {
            match k % 2 {
                1 => normals = (0..=self.sweeps).map(|_| run.normal_like(&x)).collect(),
                _ => normals.iter_mut().for_each(|n| *n *= -1.0),
            }
            let sigma = x.mapv(|v| noise.variance(v.into()).sqrt() as f32);
            let mut w = &x + &(&sigma * &normals[0]);
            for normal in &normals[1..] {
                w = intervals.drawn(&x, &sigma, &w, normal);
            }
            let z = self.denoised(prior, &w, noise, Symmetry::nth(k), run)?;
            // The first two stand for nothing but where to begin.
            let share = 1.0 / (k as f32 - 1.0).max(1.0);
            x.zip_mut_with(&z, |x, &z| *x += share * (z - *x));
        }
        Ok(x.into())
    }
}
