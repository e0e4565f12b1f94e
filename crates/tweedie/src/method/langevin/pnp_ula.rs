//! PnP-ULA: a Langevin chain in the posterior, with a denoiser in the place of the prior's score (Laumont et al. 2022,
//! arXiv:2103.04715, algorithms 1 and 2), also with the stabilised steps of SK-ROCK (Pereyra, Vargas Mieles and Zygalakis 2020,
//! arXiv:1906.11925).
//!
//! ```text
//! g(x) = A^T(y - A x)/sigma_y^2 + alpha*(D_e(x) - x)/e                  L_y = |A|^2/sigma_y^2,  L_e = alpha/e
//! plain      x <- x + d*(g(x) + (P(x) - x)/lambda) + sqrt(2d)*z        1/lambda = 4 L_y + 2 L_e,  d < 1/(3(L_y + 1/lambda + L_e))
//! projected  x <- P(x + d*g(x) + sqrt(2d)*z)                           d < 1/(L_y + L_e)
//! SK-ROCK    x <- P(s stages along g, see `sk_rock.rs`)                d < about 2 s^2/(L_y + L_e)
//! ```
//!
//! `P` puts numbers beyond three times the range back to there. The chain draws from the posterior of the prior smoothed by
//! noise of variance `e`, a little too widely for steps that are not short; the answer is the mean of what comes after the
//! burn-in. `L_e` takes the denoiser's residual for one that does not change faster than the image does, as the authors
//! trained theirs to.

use serde::{Deserialize, Serialize};

use super::drift::Drift;
use super::sk_rock;
use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::Range;
use crate::method::direct::draws::Running;
use crate::method::{Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::langevin;

/// How a step is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Scheme {
    /// With a pull back into the bounds.
    Plain,
    /// Put back into the bounds: steps nine times as long.
    Projected,
    /// So many evaluations a step, which is about their square times as long.
    SkRock {
        /// Evaluations a step: 2 to 50.
        stages: usize,
    },
}

/// What is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// The mean of the chain after its burn-in.
    Mean,
    /// The mean of the denoiser's estimates along it: of the same pictures, with less chance in it.
    Denoised,
    /// The last estimate: a draw.
    Draw,
}

/// Settings of PnP-ULA. By default the projected chain of the paper's practical form.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PnpUla {
    /// How a step is made.
    pub scheme: Scheme,
    /// Number of steps.
    pub steps: usize,
    /// Length of a step, as a part of the longest that is stable.
    pub step: f64,
    /// The noise that the denoiser removes, for pictures in [0, 1]: more moves faster and blurs more.
    pub sigma: f64,
    /// Weight of the prior.
    pub alpha: f64,
    /// The least noise that a measurement is taken to have, for pictures in [0, 1].
    pub floor: f64,
    /// The part of the steps that is not kept, below 1.
    pub burn_in: f64,
    /// What is returned.
    pub kept: Kept,
}

impl Default for PnpUla {
    fn default() -> PnpUla {
        PnpUla {
            scheme: Scheme::Projected,
            steps: 5000,
            step: 0.9,
            sigma: 5.0 / 255.0,
            alpha: 1.0,
            floor: 0.001,
            burn_in: 0.2,
            kept: Kept::Mean,
        }
    }
}

impl Described for PnpUla {
    const CARD: Card = Card {
        summary: "a Langevin chain with a denoiser for the score: posterior mean and spread, in many small steps",
        paper: "Laumont et al. 2022, arXiv:2103.04715; Pereyra et al. 2020, arXiv:1906.11925",
    };

    fn with_steps(mut self, steps: usize) -> PnpUla {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        match self.scheme {
            Scheme::SkRock { stages } => self.steps.saturating_mul(stages),
            _ => self.steps,
        }
    }
}

impl Tuned for PnpUla {
    /// With a denoiser for more noise the chain moves faster, and a hundred steps from the classical estimate are enough.
    fn tuned(task: &Task) -> PnpUla {
        let (sigma, steps) = match task.loss {
            Loss::NOTHING => (0.07, 60),
            _ => (0.05, 100),
        };
        PnpUla {
            steps: task.steps.unwrap_or(steps),
            sigma,
            floor: 0.02,
            kept: if task.draw {
                Kept::Draw
            } else {
                Kept::Denoised
            },
            ..PnpUla::default()
        }
    }
}

impl Scheme {
    /// The longest step that is stable.
    fn longest(self, drift: &Drift) -> f64 {
        let (l_y, l_e) = (drift.data_bound, drift.prior_bound);
        match self {
            Scheme::Plain => 1.0 / (3.0 * (l_y + pull_back(drift) + l_e)),
            Scheme::Projected => 1.0 / (l_y + l_e),
            Scheme::SkRock { stages } => sk_rock::longest(stages) / (l_y + l_e),
        }
    }
}

/// `1/lambda` at its bound.
fn pull_back(drift: &Drift) -> f64 {
    4.0 * drift.data_bound + 2.0 * drift.prior_bound
}

/// Within three times the range.
fn project(range: Range, mut x: Image) -> Image {
    let wide = Range {
        half: 3.0 * range.half,
        ..range
    };
    wide.clamp(&mut x);
    x
}

impl PnpUla {
    fn check(&self) -> Result<(), Error> {
        Error::unless((1..=MAX_STEPS).contains(&self.steps), || {
            format!("PnP-ULA takes 1 to {MAX_STEPS} steps, not {}", self.steps)
        })?;
        Error::unless(self.step > 0.0 && self.step <= 1.0, || {
            format!(
                "a step is a part of the longest that is stable, above 0 and up to 1, not {}",
                self.step
            )
        })?;
        Error::unless((0.0..1.0).contains(&self.burn_in), || {
            format!(
                "the burn-in is a part of the steps, below 1, not {}",
                self.burn_in
            )
        })?;
        match self.scheme {
            Scheme::SkRock { stages } => Error::unless((2..=50).contains(&stages), || {
                format!("SK-ROCK has 2 to 50 stages, not {stages}")
            }),
            _ => Ok(()),
        }
    }

    /// A step of length `d`; also the denoiser's estimate at its beginning.
    fn step(
        &self,
        (prior, problem, drift): (&dyn Prior, &Problem, &Drift),
        x: Image,
        d: f64,
        run: &mut Run<'_>,
    ) -> Result<(Image, Image), Error> {
        let range = prior.card().range;
        if let Scheme::SkRock { stages } = self.scheme {
            let q = run.normal_like(&x) * (2.0 * d).sqrt() as f32;
            let gradient = |x: &Image, run: &mut Run<'_>| drift.at(prior, problem, x, run);
            let (x, x0) = sk_rock::step(stages, x, &q, d, gradient, run)?;
            return Ok((project(range, x), x0));
        }
        let (mut gradient, x0) = drift.at(prior, problem, &x, run)?;
        if self.scheme == Scheme::Plain {
            let outside = project(range, x.clone()) - &x;
            gradient.scaled_add(pull_back(drift) as f32, &outside);
        }
        let moved = langevin::step(x, &gradient, d, run);
        Ok(match self.scheme {
            Scheme::Plain => (moved, x0),
            _ => (project(range, moved), x0),
        })
    }
}

impl Method for PnpUla {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn knows_spread(&self) -> bool {
        self.kept == Kept::Mean
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let card = prior.card();
        let drift = Drift::new(card, problem, [self.sigma, self.floor], [1.0, self.alpha])?;
        let d = self.step * self.scheme.longest(&drift);
        let burnt = (self.burn_in * self.steps as f64) as usize;
        run.begin(self.steps);
        let mut x = problem.classical();
        let mut running = Running::default();
        for k in 0..self.steps {
            let (next, x0) = self.step((prior, problem, &drift), x, d, run)?;
            x = next;
            run.show(&x0, drift.level)?;
            match self.kept {
                _ if k < burnt => {}
                Kept::Mean => running.add(&x),
                Kept::Denoised => running.add(&x0),
                Kept::Draw if k + 1 == self.steps => running.add(&x0),
                Kept::Draw => {}
            }
        }
        let std_is_known = self.knows_spread();
        let Restored { x, std } = running.restored();
        Ok(Restored {
            x,
            std: std.filter(|_| std_is_known),
        })
    }
}
