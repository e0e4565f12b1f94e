//! The exact posterior of an operator that acts on each pixel alone, for a prior that is told the noise of each pixel
//! (exact posterior score: arXiv:2605.15487 and arXiv:2606.17048).
//!
//! A diffusion sample `x_t = x0 + sigma_t*eps` and a measurement `y = M x0 + n`, `n ~ N(0, r^2)`, of the same pixel are together
//! one Gaussian observation of it, with precision `P` and mean `m`:
//!
//! ```text
//! P = I/sigma_t^2 + M^T M/r^2,   m = P^-1 (x_t/sigma_t^2 + M^T y/r^2)
//! E[x0 | x_t, y] = E[x0 | m with noise of covariance P^-1] = D(m, P^-1)
//! ```
//!
//! Nothing is approximated, tuned or differentiated. At `sigma_t = infinity` it is the posterior mean, in one evaluation; and as
//! the denoiser of the posterior it is given to a sampler, which then draws from the posterior as it would from the prior.
//! The sampler begins with noise around the middle of the range, which at a finite level is not quite what the posterior looks
//! like; here it is around the posterior mean, for one evaluation more.

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, Schedule};
use crate::level::Level;
use crate::method::{Method, Restored, Task, Tuned};
use crate::noise_map::NoiseMap;
use crate::operator::Pixelwise;
use crate::prior::{self, Card as PriorCard, Estimate, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Edm;

/// What of the posterior is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Its mean, in one evaluation: the least squared error.
    Mean,
    /// A draw, as sharp as pictures are.
    Draw,
}

/// Settings of the exact posterior. By default a draw by [`Exact::edm`] of 18 steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exact {
    /// The mean, or a draw.
    pub answer: Answer,
    /// What draws: along the probability-flow ODE, or with churn the SDE.
    pub sampler: Edm,
}

impl Default for Exact {
    fn default() -> Exact {
        Exact {
            answer: Answer::Draw,
            sampler: Exact::edm(18),
        }
    }
}

impl Exact {
    /// Heun's rule on EDM's grid from 20 to 0.005, for data in [-1, 1], in the place of 80 and 0.002: far above the data's
    /// deviation a step is exact however long it is, and a posterior, which is narrower than a prior, needs the steps below.
    pub fn edm(steps: usize) -> Edm {
        Edm {
            grid: Grid::all(Schedule::Edm {
                sigma_min: 0.005,
                sigma_max: 20.0,
                rho: 7.0,
                steps,
            }),
            ..Edm::default()
        }
    }
}

impl Tuned for Exact {
    /// The mean, unless a draw is wanted, or more steps than one.
    fn tuned(task: &Task) -> Exact {
        match (task.steps, task.draw) {
            (None, true) => Exact::default(),
            (steps, false) => Exact::default().with_steps(steps.unwrap_or(1)),
            (Some(steps), true) => Exact {
                answer: Answer::Draw,
                sampler: Exact::edm(steps),
            },
        }
    }
}

impl Described for Exact {
    const CARD: Card = Card {
        summary: "the exact posterior where each pixel is measured alone: its mean in 1 evaluation, or a draw (more steps)",
        paper: "exact posterior score, 2026, arXiv:2605.15487, arXiv:2606.17048",
    };

    /// One step is the mean, more are a draw.
    fn with_steps(self, steps: usize) -> Exact {
        match steps {
            1 => Exact {
                answer: Answer::Mean,
                ..self
            },
            _ => Exact {
                answer: Answer::Draw,
                sampler: self.sampler.with_steps(steps),
            },
        }
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        match self.answer {
            Answer::Mean => 1,
            Answer::Draw => self.sampler.nfe(prior).saturating_add(1),
        }
    }
}

impl Method for Exact {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Pixelwise, Need::Maps]
    }

    fn draws(&self) -> bool {
        self.answer == Answer::Draw
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let posterior = Posterior::new(prior, problem);
        if self.answer == Answer::Mean {
            run.begin(1);
        }
        let mean = posterior.mean(run)?;
        run.show(&mean, Level::CLEAN)?;
        let x = match self.answer {
            Answer::Mean => mean,
            Answer::Draw => self.sampler.sample_around(&posterior, mean, run)?,
        };
        Ok(x.into())
    }
}

/// The mean of the posterior, for methods that start from it and need what [`Exact`] needs.
pub(in crate::method) fn mean(
    prior: &dyn Prior,
    problem: &Problem,
    run: &mut Run<'_>,
) -> Result<Image, Error> {
    Posterior::new(prior, problem).mean(run)
}

/// The law of a picture given the measurement, as a prior.
struct Posterior<'a> {
    prior: &'a dyn Prior,
    card: PriorCard,
    pixels: Pixelwise,
    /// `M^T y` along the directions.
    measured: Image,
    /// Variance of the measurement's noise.
    variance: f64,
}

impl<'a> Posterior<'a> {
    fn new(prior: &'a dyn Prior, problem: &Problem) -> Posterior<'a> {
        let linear = problem.linear();
        let pixels = Pixelwise::of(linear).expect("the method's need");
        Posterior {
            prior,
            card: PriorCard {
                pullback: false,
                variance: false,
                ..prior.card().clone()
            },
            measured: pixels.basis.coordinates(&linear.adjoint(&problem.y)),
            pixels,
            variance: problem.sigma() * problem.sigma(),
        }
    }

    /// The mean, in one evaluation.
    fn mean(&self, run: &mut Run<'_>) -> Result<Image, Error> {
        let (m, noise) = self.observed(None);
        run.denoise_mapped(self.prior, &m, &noise)
    }

    /// All that is known of a picture: by the measurement, and by a sample `x` of a level, if there is one.
    fn observed(&self, sample: Option<(&Image, f64)>) -> (Image, NoiseMap) {
        let center = self.card.range.center as f32;
        let (x, precision) = match sample {
            Some((x, sigma)) => (x.clone(), 1.0 / (sigma * sigma)),
            None => (Image::from_elem(self.measured.raw_dim(), center), 0.0),
        };
        let mut m = self.pixels.basis.coordinates(&x);
        let mut variance = Image::zeros(self.pixels.singular.raw_dim());
        Zip::from(&mut variance)
            .and(&self.pixels.singular)
            .par_for_each(|v, &s| *v = self.observation(s, precision).variance() as f32);
        let singular = self.pixels.singular.broadcast(m.raw_dim());
        Zip::from(&mut m)
            .and(&self.measured)
            .and(singular.expect("one picture for all"))
            .par_for_each(|m, &measured, &s| {
                let x = f64::from(*m);
                *m = self.observation(s, precision).mean(x, f64::from(measured)) as f32;
            });
        let noise = NoiseMap::new(variance, self.pixels.basis.clone());
        (self.pixels.basis.picture(&m), noise)
    }

    fn observation(&self, singular: f32, precision: f64) -> Observation {
        Observation {
            square: f64::from(singular).powi(2),
            noise: self.variance,
            precision,
        }
    }
}

/// What is known of one number.
struct Observation {
    /// The squared singular value.
    square: f64,
    /// Variance of the measurement's noise.
    noise: f64,
    /// Precision of the sample.
    precision: f64,
}

impl Observation {
    /// `1/P`, where a measurement without noise leaves none.
    fn variance(&self) -> f64 {
        match self.square > 0.0 {
            true => self.noise / (self.precision * self.noise + self.square),
            false => 1.0 / self.precision,
        }
    }

    /// `m`, for a sample `x` and the measurement `s*(s*x0 + n)`; where nothing is known, the sample.
    fn mean(&self, x: f64, measured: f64) -> f64 {
        match self.square > 0.0 {
            true => {
                (self.precision * self.noise * x + measured)
                    / (self.precision * self.noise + self.square)
            }
            false => x,
        }
    }
}

impl Prior for Posterior<'_> {
    fn card(&self) -> &PriorCard {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, prior::Error> {
        let x = x / level.a as f32;
        let (m, noise) = self.observed(Some((&x, level.sigma())));
        self.prior.denoise_mapped(&m, &noise)
    }
}
