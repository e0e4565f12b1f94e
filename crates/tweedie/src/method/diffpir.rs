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

use super::{Method, Start, floored_noise};
use crate::Image;
use crate::level::{Grid, Level, Schedule, Subset, combine, walk};
use crate::operator::norm;
use crate::prior::Prior;
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::{add_noise, clamp, levels, require, steps};

/// How an estimate is brought towards the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DataStep {
    /// The proximal map: all the way, for linear operators.
    #[default]
    Prox,
    /// One gradient step, `x0 + J^T (y - A x0)/rho` (the paper's equation 13): for operators that are not linear or whose
    /// prox is slow. It nears the prox as `rho` grows beyond `|A|^2`; smaller `rho` are raised to `|A|^2`, where the step
    /// would diverge.
    Gradient,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
            grid: Grid {
                schedule: Schedule::DDPM,
                subset: Subset::DiffpirQuad { steps: 100 },
            },
            lambda: 1.75,
            zeta: 0.3,
            data: DataStep::Prox,
            guidance: 1.0,
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
        needs: &[Need::Prox],
    };

    fn with_steps(mut self, steps: usize) -> DiffPir {
        self.grid.subset = self.grid.subset.with_steps(steps);
        self
    }

    fn nfe(&self) -> usize {
        steps(&self.grid)
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

    fn check(&self) -> Result<(), Error> {
        require(self.lambda > 0.0 && self.lambda.is_finite(), || {
            format!("lambda must be positive, not {}", self.lambda)
        })?;
        require((0.0..=1.0).contains(&self.zeta), || {
            format!("zeta must be between 0 and 1, not {}", self.zeta)
        })?;
        require(self.guidance.is_finite(), || {
            "guidance must be finite".into()
        })
    }

    /// The levels below the start; the rest of the grid stays as it is.
    fn levels(&self, prior: &dyn Prior) -> Result<Vec<Level>, Error> {
        let mut levels = levels(&self.grid, prior)?;
        if let Some(start) = self.start_sigma {
            levels.retain(|l| l.sigma() <= start);
            require(!levels.is_empty(), || {
                format!("no level of the grid is at or below the start, sigma {start}")
            })?;
        }
        Ok(levels)
    }

    /// The smallest `rho` that the data step takes.
    fn least_rho(&self, problem: &Problem) -> f64 {
        match self.data {
            DataStep::Prox => 0.0,
            // Power iteration comes within 2 % of the norm from below.
            DataStep::Gradient => (1.02 * norm(&*problem.operator, 20)).powi(2),
        }
    }

    fn data_step(&self, problem: &Problem, x0: &Image, rho: f64) -> Image {
        let x0y = match self.data {
            DataStep::Prox => problem.prox(x0, rho),
            DataStep::Gradient => {
                let back = problem.operator.vjp(x0, &problem.residual(x0));
                combine(1.0, x0, 1.0 / rho, &back)
            }
        };
        if self.guidance == 1.0 {
            return x0y;
        }
        combine(1.0 - self.guidance, x0, self.guidance, &x0y)
    }

    fn output(&self, problem: &Problem) -> Output {
        match self.output {
            Output::Auto if problem.sigma > 0.0 => Output::Denoised,
            Output::Auto => Output::Prox,
            chosen => chosen,
        }
    }
}

impl Method for DiffPir {
    fn restore(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        self.check()?;
        let levels = self.levels(prior)?;
        let sigma_y = floored_noise(problem, prior.range());
        let least_rho = self.least_rho(problem);
        run.begin(levels.len());
        let mut x = self.start.draw(prior.range(), problem, levels[0], run);
        for (t, s) in walk(&levels) {
            // Prior.
            let mut x0 = run.denoise(prior, &x, t)?;
            if self.clamp {
                clamp(&mut x0, prior.range());
            }
            if s == Level::CLEAN && self.output(problem) != Output::Prox {
                run.show(&x0, t)?;
                let level = self.output(problem) == Output::Level;
                return Ok(if level { x } else { x0 });
            }
            // Data.
            let rho = self.lambda * (sigma_y / t.sigma()).powi(2);
            let x0y = self.data_step(problem, &x0, rho.max(least_rho));
            // On to the next level; the step to the clean one returns x0y.
            let eps = t.eps_from_x0(&x, &x0y);
            let kept = Level {
                a: s.a,
                b: s.b * (1.0 - self.zeta).sqrt(),
            };
            x = add_noise(kept.mix(&x0y, &eps), s.b * self.zeta.sqrt(), run);
            run.show(&x0y, t)?;
        }
        Ok(x)
    }
}
