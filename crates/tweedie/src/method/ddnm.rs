//! DDNM: the null space from the model, the rest from the measurement (Wang, Yu and Zhang 2023, arXiv:2212.00490,
//! algorithms 1 and 2).
//!
//! ```text
//! x0  = E[x0 | x_t],  eps = (x_t - a_t*x0)/b_t
//! x0y = x0 - A^+(A x0 - y)                          what y tells is put in its place: A x0y = y
//! x_s = a_s*x0y + b_s*(eta*z + sqrt(1 - eta^2)*eps)
//! ```
//!
//! The transition is that of the authors' code; the paper's own is the DDPM posterior with `x0y` in the place of `x0`
//! ([`NextLevel::Posterior`]).
//!
//! A noisy measurement must not be matched exactly, as its noise would be taken for image and amplified where the operator
//! is weak. There the projection becomes the proximal map with `rho = sigma_y^2/sigma_t^2`: at noisy levels it is the
//! projection, and at the last ones it leaves the denoiser's estimate alone. With `sigma_y = 0` it is the paper's. (The
//! paper's own treatment of noise, DDNM+, needs the singular vectors of the operator.)

use serde::{Deserialize, Serialize};

use super::{Method, Start};
use crate::Image;
use crate::level::{Grid, Level, Schedule, Subset, Transition};
use crate::prior::Prior;
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::{Renoise, Variance, add_noise, clamp, levels, require, steps};

/// How a step goes on to the next level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NextLevel {
    /// The authors' code: a fixed share `eta` of fresh noise.
    Constant {
        /// 0.85 in the code.
        eta: f64,
    },
    /// DDIM's share of fresh noise, with which the result tends to a draw from the posterior as steps become many.
    Ddim {
        /// 0 to 1.
        eta: f64,
    },
    /// The paper: the DDPM posterior given `x0y`.
    Posterior,
}

impl NextLevel {
    fn renoise(self) -> Option<Renoise> {
        match self {
            NextLevel::Constant { eta } => Some(Renoise::Constant { eta }),
            NextLevel::Ddim { eta } => Some(Renoise::Ddim { eta }),
            NextLevel::Posterior => None,
        }
    }
}

/// Settings of DDNM. By default those of the authors' code.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddnm {
    /// The levels that are visited.
    pub grid: Grid,
    /// How a step goes on.
    pub next: NextLevel,
    /// Time travel: how many levels to go back up, after each so many levels down.
    pub travel_length: usize,
    /// Time travel: how often each stretch is walked; 1 for no travel. More costs as much more.
    pub travel_repeat: usize,
    /// What the first level is made from.
    pub start: Start,
    /// Whether the prior's estimates are limited to its range; not in the paper or the code.
    pub clamp: bool,
}

impl Default for Ddnm {
    fn default() -> Ddnm {
        Ddnm {
            grid: Grid {
                schedule: Schedule::DDPM,
                subset: Subset::Uniform { steps: 100 },
            },
            next: NextLevel::Constant { eta: 0.85 },
            travel_length: 1,
            travel_repeat: 1,
            start: Start::Auto,
            clamp: false,
        }
    }
}

impl Described for Ddnm {
    const CARD: Card = Card {
        summary: "projects onto the measurement at each step: exact data, for problems with little noise",
        paper: "Wang et al. 2023, arXiv:2212.00490",
        needs: &[Need::PseudoInverse, Need::Prox],
    };

    fn with_steps(mut self, steps: usize) -> Ddnm {
        self.grid.subset = self.grid.subset.with_steps(steps);
        self
    }

    fn nfe(&self) -> usize {
        self.moves(steps(&self.grid))
            .iter()
            .filter(|m| matches!(m, Move::Down(_)))
            .count()
    }
}

/// One move through the list of levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    /// From the level of this index to the one after it, or to the clean image.
    Down(usize),
    /// From the level of the first index back up to the earlier one.
    Up(usize, usize),
}

impl Ddnm {
    /// The walk down `n` levels, with each stretch of `travel_length` repeated (algorithm 2; where it may turn back is as
    /// in RePaint, Lugmayr et al. 2022).
    fn moves(&self, n: usize) -> Vec<Move> {
        let length = self.travel_length.max(1);
        let mut left: Vec<usize> = (0..n)
            .map(|below| {
                // `below` levels are still below; one may turn back at every `length`-th that has as many above it.
                let turns = below % length == 0 && below + length < n;
                if turns {
                    self.travel_repeat.saturating_sub(1)
                } else {
                    0
                }
            })
            .collect();
        let mut moves = Vec::new();
        let mut at = 0;
        while at < n {
            let below = n - 1 - at;
            if left[below] > 0 {
                left[below] -= 1;
                moves.push(Move::Up(at, at - length));
                at -= length;
            } else {
                moves.push(Move::Down(at));
                at += 1;
            }
        }
        moves
    }

    fn check(&self) -> Result<(), Error> {
        require(self.travel_length > 0 && self.travel_repeat > 0, || {
            "travel length and repeat start at 1, for no travel".into()
        })?;
        self.next.renoise().map_or(Ok(()), Renoise::check)
    }

    /// Puts into `x0` what the measurement tells.
    fn data_step(&self, problem: &Problem, x0: &Image, t: Level) -> Image {
        if problem.sigma > 0.0 {
            return problem.prox(x0, (problem.sigma / t.sigma()).powi(2));
        }
        x0 + &problem.operator.pseudo_inverse(&problem.residual(x0))
    }

    fn down(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        hop: &Transition,
        x: &Image,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        let mut x0 = run.denoise(prior, x, hop.t)?;
        if self.clamp {
            clamp(&mut x0, prior.range());
        }
        let x0y = self.data_step(problem, &x0, hop.t);
        let next = match self.next.renoise() {
            // The noise is that of x0, not of x0y: the measured part of the noise stays in x.
            Some(renoise) => renoise.step(hop, &x0y, &hop.t.eps_from_x0(x, &x0), run),
            None => Variance::Small.step(hop, x, &x0y, run),
        };
        run.show(&x0y, hop.t)?;
        Ok(next)
    }
}

impl Method for Ddnm {
    fn restore(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Image, Error> {
        self.check()?;
        let levels = levels(&self.grid, prior)?;
        let moves = self.moves(levels.len());
        run.begin(moves.iter().filter(|m| matches!(m, Move::Down(_))).count());
        let mut x = self.start.draw(prior.range(), problem, levels[0], run);
        for step in moves {
            x = match step {
                Move::Down(i) => {
                    let s = levels.get(i + 1).copied().unwrap_or(Level::CLEAN);
                    self.down(prior, problem, &Transition::new(levels[i], s), &x, run)?
                }
                Move::Up(from, to) => {
                    let hop = Transition::new(levels[to], levels[from]);
                    add_noise(x * hop.ratio as f32, hop.var.sqrt(), run)
                }
            };
        }
        Ok(x)
    }
}
