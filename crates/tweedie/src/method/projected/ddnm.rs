//! DDNM: the null space from the model, the rest from the measurement (Wang, Yu and Zhang 2023, arXiv:2212.00490,
//! algorithms 1 and 2), and DDNM+ for measurements with noise (their section 3.3).
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
//! A noisy measurement brings its noise into `x0y`, `sigma_y/s` along a singular vector of value `s`. It is part of the noise
//! that `x_s` is to have, so that only the rest is added; where it would be too much, less of the measurement is taken:
//!
//! ```text
//! x0y = x0 - V L V^T A^+(A x0 - y),   x_s = a_s*x0y + V D1 V^T z + V D2 V^T eps
//! b_s >= a_s*sigma_y/s :  L = 1                                        D1 = sqrt(b_s^2 - (a_s*sigma_y/s)^2)   D2 = 0
//! b_s <  a_s*sigma_y/s :  L = s*b_s*sqrt(1 - eta^2)/(a_s*sigma_y)      D1 = b_s*eta                           D2 = 0
//! s = 0                :                                               D1 = b_s*eta         D2 = b_s*sqrt(1 - eta^2)
//! ```
//!
//! It is DDRM with `eta_b = 1` (Kawar et al. 2022), and written once for both ([`Ddrm`](super::ddrm::Ddrm)). The released code of
//! DDNM+ leaves out the inner `V^T` for most operators, and its simplified form scales wrongly; here both are as in the paper. Its
//! time travel noises the clean estimate anew; here, as in the paper, it is the forward process. As the noise goes to zero DDNM+
//! tends to DDRM without noise and not to DDNM, whose measured part keeps some of `eps`: a measurement without noise takes the first
//! form.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::{Transition, walk};
use crate::method::projected::jumps::{Jumps, Move, downs};
use crate::method::projected::replaced::up;
use crate::method::projected::spectral::Spectral;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::lanczos;
use crate::prior::{Card as PriorCard, Estimate, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::{Renoise, Variance};

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

    /// The share of fresh noise at the next level. In the space that is not measured the posterior is DDIM's with `eta = 1`.
    fn share(self, hop: &Transition) -> f64 {
        let renoise = self.renoise().unwrap_or(Renoise::Ddim { eta: 1.0 });
        match hop.s.b {
            0.0 => 0.0,
            b => renoise.sigma(hop) / b,
        }
    }
}

/// Settings of DDNM. By default those of the authors' code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
            grid: Grid::ddpm(Subset::Uniform { steps: 100 }),
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
        summary: "projects onto the measurement at each step, as far as its noise allows: a draw with exact data",
        paper: "Wang et al. 2023, arXiv:2212.00490",
    };

    fn with_steps(mut self, steps: usize) -> Ddnm {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.jumps().evaluations(self.grid.len(prior))
    }
}

impl Tuned for Ddnm {
    fn tuned(task: &Task) -> Ddnm {
        Ddnm::default().with_steps(task.steps.unwrap_or(50))
    }
}

impl Ddnm {
    fn jumps(&self) -> Jumps {
        Jumps {
            length: self.travel_length,
            repeat: self.travel_repeat,
        }
    }

    /// From `x` at one level to the next, with all of the measurement; also the estimate that agrees with it.
    fn down(
        &self,
        hop: &Transition,
        problem: &Problem,
        x: &Image,
        (x0, eps): (&Image, &Image),
        run: &mut Run<'_>,
    ) -> (Image, Image) {
        let x0y = x0 + &problem.linear().pseudo_inverse(&problem.residual(x0));
        let next = match self.next.renoise() {
            Some(renoise) => renoise.step(hop, &x0y, eps, run),
            None => {
                let estimate = Estimate::from(x0y.clone());
                Variance::Small.step(hop, x, &estimate, run)
            }
        };
        (next, x0y)
    }
}

impl Method for Ddnm {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        self.jumps().check(levels.len())?;
        self.next.renoise().map_or(Ok(()), Renoise::check)?;
        let moves = self.jumps().moves(levels.len());
        let noisy = (!problem.exact()).then(|| Spectral::new(problem, 1.0, lanczos::Params::STEP));
        run.begin(downs(&moves));
        let mut x = self.start.draw(range, problem, levels[0], run);
        let hops: Vec<_> = walk(&levels).map(|(t, s)| Transition::new(t, s)).collect();
        for step in moves {
            x = match step {
                Move::Down(i) => {
                    let hop = &hops[i];
                    let mut x0 = run.denoise(prior, &x, hop.t)?;
                    if self.clamp {
                        range.clamp(&mut x0);
                    }
                    run.poll(&x0)?;
                    // The noise is that of x0, not of x0y: the measured part of the noise stays in x.
                    let eps = hop.t.eps_from_x0(&x, &x0);
                    let (next, x0y) = match &noisy {
                        None => self.down(hop, problem, &x, (&x0, &eps), run),
                        Some(plus) => plus.step(hop, (&x0, &eps), self.next.share(hop), run),
                    };
                    run.show(&x0y, hop.t)?;
                    next
                }
                Move::Up(from, to) => up(levels[to], levels[from], x, run),
            };
        }
        Ok(x.into())
    }
}
