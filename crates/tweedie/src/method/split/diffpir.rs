//! DiffPIR: plug-and-play restoration with a diffusion model (Zhu et al. 2023, arXiv:2305.08995, algorithm 1).
//!
//! Half-quadratic splitting with one pass per noise level. The denoiser is the prior step, a proximal map the data step;
//! what `x` then is beyond the corrected image counts as its noise, part of which is drawn anew:
//!
//! ```text
//! x0   = E[x0 | x_t]                                              prior
//! x0y  = argmin_u |A u - y|^2 + rho_t |u - x0|^2                  data,  rho_t = lambda*sigma_y^2/sigma_t^2
//! eps  = (x_t - a_t*x0y)/b_t                                      effective noise
//! x_s  = a_s*x0y + b_s*(sqrt(1 - zeta)*eps + sqrt(zeta)*z)
//! ```
//!
//! Differences from the authors' code. `sigma_y` and `sigma_t` are in one unit here; there, `sigma_y` is for [0, 1] and
//! `sigma_t` for [-1, 1], so that a `lambda` of the code is four times ours. The code's last evaluation of the network is
//! discarded and its result still carries the noise of the last level (0.01 for [-1, 1]); here the last estimate is the
//! result, as in the paper ([`Output`]). The code's `eta`, 0 in all its runs and absent from the paper, is left out.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, Schedule, Subset};
use crate::level::{Level, combine, walk};
use crate::method::split::data::Data;
use crate::method::{DataStep, Method, Restored, Start, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// What the last step returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// [`Output::Denoised`] for noisy measurements, [`Output::Prox`] for exact ones.
    #[default]
    Auto,
    /// The prior's last estimate.
    Denoised,
    /// The last data step, closest to the measurement.
    Prox,
    /// The image at the last level with its noise, as the authors' code.
    Level,
}

/// Settings of DiffPIR. The defaults are the authors' for noisy deblurring and super-resolution.
///
/// For inpainting without noise they use 20 steps with `lambda = zeta = 1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiffPir {
    /// The levels that are visited.
    pub grid: Grid,
    /// Weight of the prior against the measurement. 1 is what the derivation gives; more trusts the prior more. A quarter
    /// of the value in the authors' code.
    pub lambda: f64,
    /// Share of fresh noise at each level, 0 to 1.
    pub zeta: f64,
    /// How an estimate is brought towards the measurement.
    pub data: DataStep,
    /// How much of the data step is taken: 1 for all of it.
    pub guidance: f64,
    /// Take no data step where the residual is noise already: at most so many standard deviations above the mean of its
    /// chi-square law. None to take all.
    pub band: Option<f64>,
    /// Start no noisier than this sigma (image units): fewer levels, and a result closer to the first guess. None for the
    /// prior's noisiest level.
    pub start_sigma: Option<f64>,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range.
    pub clamp: bool,
    /// What is returned.
    pub output: Output,
}

impl Default for DiffPir {
    fn default() -> DiffPir {
        DiffPir {
            grid: Grid::ddpm(Subset::DiffpirQuad { steps: 100 }),
            lambda: 1.75,
            zeta: 0.3,
            data: DataStep::Prox,
            guidance: 1.0,
            band: None,
            start_sigma: None,
            start: Start::Guess,
            clamp: true,
            output: Output::Auto,
        }
    }
}

impl Described for DiffPir {
    const CARD: Card = Card {
        summary: "denoise, data prox, re-noise: a good first choice, at 20 to 100 evaluations",
        paper: "Zhu et al. 2023, arXiv:2305.08995",
    };

    fn with_steps(mut self, steps: usize) -> DiffPir {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.levels(prior).map_or(0, |levels| levels.len())
    }
}

/// Noise, for data in [-1, 1], that drowns the seams between patches. More would drown what they show, too, and the prior would
/// put less in its place.
const WELD: f64 = 0.02;

/// Noise, for data in [-1, 1], that leaves something of the guess. From what is not linear gradients find back only from nearby: begun
/// with noise that drowns all, development photographs lose 0.1 (blur of light) to 1.6 dB (phases behind masks).
const NEAR: f64 = 1.0;

impl Tuned for DiffPir {
    /// Few steps with fresh noise. Colours of large areas are decided at high noise levels, and nothing else is missing from a
    /// grey picture: so the grid is EDM's, and ends early, at the noise that there is to remove.
    ///
    /// What fills a large hole is there from the start, and only its seams are to be welded.
    fn tuned(task: &Task) -> DiffPir {
        let only_colours = Loss {
            colours: true,
            ..Loss::NOTHING
        };
        if task.loss == only_colours {
            let end = match task.sigma {
                0.0 => 0.3,
                sigma => (2.0 * sigma).clamp(0.02, 0.3),
            };
            return DiffPir {
                grid: Grid::all(Schedule::Edm {
                    sigma_min: end,
                    sigma_max: 20.0,
                    rho: 7.0,
                    steps: task.steps.unwrap_or(15),
                }),
                ..DiffPir::fresh()
            };
        }
        if task.elsewhere && !task.draw {
            return DiffPir {
                grid: Grid::all(Schedule::Edm {
                    sigma_min: 0.01,
                    sigma_max: WELD,
                    rho: 3.0,
                    steps: task.steps.unwrap_or(2),
                }),
                ..DiffPir::fresh()
            };
        }
        if !task.linear {
            return DiffPir {
                grid: Grid::all(Schedule::Edm {
                    sigma_min: 0.02,
                    sigma_max: NEAR,
                    rho: 7.0,
                    steps: task.steps.unwrap_or(30),
                }),
                data: DataStep::suiting(task),
                ..DiffPir::fresh()
            };
        }
        DiffPir {
            data: DataStep::suiting(task),
            ..DiffPir::fresh()
        }
        .with_steps(task.steps.unwrap_or(30))
    }
}

impl DiffPir {
    /// With all noise fresh and the weight of the derivation: with few steps closer to the truth than the authors'
    /// settings, since errors do not add up, and less dependent on `lambda`.
    pub fn fresh() -> DiffPir {
        DiffPir {
            lambda: 1.0,
            zeta: 1.0,
            ..DiffPir::default()
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        Error::unless(self.lambda > 0.0 && self.lambda.is_finite(), || {
            format!("lambda must be positive, not {}", self.lambda)
        })?;
        Error::unless((0.0..=1.0).contains(&self.zeta), || {
            format!("zeta must be between 0 and 1, not {}", self.zeta)
        })?;
        self.data.check()?;
        Error::unless(self.guidance.is_finite(), || {
            "guidance must be finite".into()
        })?;
        Error::unless(self.band.is_none_or(f64::is_finite), || {
            "the band must be finite".into()
        })
    }

    /// The levels below the start; the rest of the grid stays as it is.
    pub(super) fn levels(&self, prior: &PriorCard) -> Result<Vec<Level>, Error> {
        let mut levels = self.grid.levels(prior)?;
        if let Some(start) = self.start_sigma {
            levels.retain(|l| l.sigma() <= start);
            Error::unless(!levels.is_empty(), || {
                format!("no level of the grid is at or below the start, sigma {start}")
            })?;
        }
        Ok(levels)
    }

    /// The data step, made ready.
    pub(super) fn ready<'a>(&self, problem: &'a Problem) -> Data<'a> {
        Data::new(problem, self.data).within(self.band)
    }

    /// As much of the data step as is taken.
    pub(super) fn data_step(&self, data: &Data<'_>, x0: &Image, rho: f64) -> Image {
        let x0y = data.towards(x0, rho);
        if self.guidance == 1.0 {
            return x0y;
        }
        combine(1.0 - self.guidance, x0, self.guidance, &x0y)
    }

    /// To the next level: around `clean`, with some of the noise that `x` has beyond `x0y`.
    pub(super) fn onward(
        &self,
        (t, s): (Level, Level),
        x: &Image,
        x0y: &Image,
        clean: &Image,
        run: &mut Run<'_>,
    ) -> Image {
        let eps = t.eps_from_x0(x, x0y);
        let kept = Level {
            a: s.a,
            b: s.b * (1.0 - self.zeta).sqrt(),
        };
        run.add_noise(kept.mix(clean, &eps), s.b * self.zeta.sqrt())
    }

    /// From the prior's last estimate, or the image `x` that it was made from, to the result.
    pub(super) fn last(&self, data: &Data<'_>, x: Image, x0: Image, rho: f64) -> Image {
        let problem = data.problem;
        match self.output {
            Output::Level => x,
            Output::Denoised => x0,
            Output::Auto if !problem.exact() => x0,
            Output::Auto if self.data == DataStep::Prox && self.guidance == 1.0 => {
                problem.settle(&x0, rho)
            }
            Output::Auto | Output::Prox => self.data_step(data, &x0, rho),
        }
    }
}

impl Method for DiffPir {
    fn needs(&self) -> Vec<Need> {
        self.data.needs()
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let range = prior.card().range;
        let levels = self.levels(prior.card())?;
        let sigma_y = problem.sigma_floored(range);
        let data = self.ready(problem);
        run.begin(levels.len());
        let mut x = self.start.draw(range, problem, levels[0], run);
        for (t, s) in walk(&levels) {
            // Prior.
            let mut x0 = run.denoise(prior, &x, t)?;
            if self.clamp {
                range.clamp(&mut x0);
            }
            let rho = self.lambda * (sigma_y / t.sigma()).powi(2);
            if s == Level::CLEAN {
                run.show(&x0, t)?;
                return Ok(self.last(&data, x, x0, rho).into());
            }
            run.poll(&x0)?;
            // Data.
            let x0y = self.data_step(&data, &x0, rho);
            // On to the next level.
            x = self.onward((t, s), &x, &x0y, &x0y, run);
            run.show(&x0y, t)?;
        }
        unreachable!("a walk ends at the clean level")
    }
}
