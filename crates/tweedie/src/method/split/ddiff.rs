//! DDiff: DiffPIR with a dual variable (Kim, Levy and Wetzstein, CVPR 2026, arXiv:2505.17353, equations 6 and 10 to 12).
//!
//! What the data step changes time and again is remembered, and changed beforehand: DiffPIR's splitting becomes ADMM.
//!
//! ```text
//! x0  = E[x0 | x_t]                                                  prior
//! x0y = argmin_v |A v - y|^2 + rho_t |v - (x0 - u)|^2                data,  rho_t as in DiffPIR
//! eps = (x_t - a_t*x0y)/b_t
//! x_s = a_s*(x0y + u) + b_s*(sqrt(1 - zeta)*eps + sqrt(zeta)*z)      noised, so that the prior sees what it knows
//! u   = rho_t/rho_s*(u + dual*(x0y - x0))                            dual
//! ```
//!
//! With `dual = 0` it is DiffPIR. Differences from the authors' code. Its data step is a gradient step of constant length, whose
//! weight does not depend on the level; here it is the prox, whose `rho` grows from level to level, and with it the scaled dual
//! has to shrink (Boyd et al. 2011, section 3.4.1): `rescale`, without which what was learned at high levels, where the
//! measurement decides all, overshoots at low ones. Where the code keeps noise it takes DDIM's share; here, DiffPIR's.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, Subset};
use crate::level::{Level, combine, walk};
use crate::method::{DiffPir, Method, Restored, Task, Tuned};
use crate::operator::Loss;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of DDiff. By default as published: all 1000 levels, fresh noise at each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddiff {
    /// How much of what the data step changes the dual takes up: 1 in the paper, 0 for DiffPIR.
    pub dual: f64,
    /// Whether the dual shrinks as the prior's weight grows.
    pub rescale: bool,
    /// The splitting that it is added to.
    pub split: DiffPir,
}

impl Default for Ddiff {
    fn default() -> Ddiff {
        Ddiff {
            dual: 1.0,
            rescale: true,
            split: DiffPir {
                grid: Grid::ddpm(Subset::All),
                ..DiffPir::fresh()
            },
        }
    }
}

impl Described for Ddiff {
    const CARD: Card = Card {
        summary: "DiffPIR with a dual variable, which remembers what the data step corrects: closer to the measurement",
        paper: "Kim et al. 2026, arXiv:2505.17353",
    };

    fn with_steps(mut self, steps: usize) -> Ddiff {
        self.split = self.split.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.split.nfe(prior)
    }
}

impl Tuned for Ddiff {
    /// DiffPIR's, with a fifth of the dual: on photographs that is sharper at nearly the same error, and more is sharper still
    /// but noisier. Of noise alone the dual takes up the noise, so that the prior must weigh more.
    fn tuned(task: &Task) -> Ddiff {
        let split = DiffPir::tuned(task);
        match task.loss {
            Loss::NOTHING => Ddiff {
                split: DiffPir {
                    lambda: 3.0,
                    ..split
                },
                ..Ddiff::default()
            },
            _ => Ddiff {
                dual: 0.2,
                rescale: true,
                split,
            },
        }
    }
}

impl Method for Ddiff {
    fn needs(&self) -> Vec<Need> {
        self.split.needs()
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let split = &self.split;
        split.check()?;
        Error::unless(self.dual.is_finite(), || "the dual must be finite".into())?;
        let range = prior.card().range;
        let levels = split.levels(prior.card())?;
        let sigma_y = problem.sigma_floored(range);
        let data = split.ready(problem);
        run.begin(levels.len());
        let mut x = split.start.draw(range, problem, levels[0], run);
        let mut u = Image::zeros(x.raw_dim());
        for (t, s) in walk(&levels) {
            let mut x0 = run.denoise(prior, &x, t)?;
            if split.clamp {
                range.clamp(&mut x0);
            }
            let rho = split.lambda * (sigma_y / t.sigma()).powi(2);
            if s == Level::CLEAN {
                run.show(&x0, t)?;
                return Ok(split.last(&data, x, x0, rho).into());
            }
            run.poll(&x0)?;
            let x0y = split.data_step(&data, &(&x0 - &u), rho);
            x = split.onward((t, s), &x, &x0y, &(&x0y + &u), run);
            let scale = match self.rescale {
                true => (s.sigma() / t.sigma()).powi(2),
                false => 1.0,
            };
            let step = combine(self.dual, &x0y, -self.dual, &x0);
            u = combine(scale, &u, scale, &step);
            run.show(&x0y, t)?;
        }
        unreachable!("a walk ends at the clean level")
    }
}
