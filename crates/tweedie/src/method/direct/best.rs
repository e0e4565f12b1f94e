//! Several runs of another method, of which the one that explains the measurement best is kept.
//!
//! Where a problem has many answers that look right from afar (phase retrieval: the picture, its mirror image and mixtures of both),
//! a run may end in one that is none, and says so by its residual `|y - A(x)|`. DPS and DAPS report the best of four runs of phase
//! retrieval; they choose by the truth or the residual, here nobody knows the truth. Of a batch each picture has its own best run.

use ndarray::Axis;
use serde::{Deserialize, Serialize};

use crate::batch::norms;
use crate::method::{Daps, Draws, Method, Restored, Settings, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of the best of several runs: by default four, as for phase retrieval, of the cheap form of DAPS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Best {
    /// How many runs.
    pub runs: usize,
    /// The method that runs.
    pub of: Box<Settings>,
}

impl Default for Best {
    fn default() -> Best {
        Best {
            runs: 4,
            of: Box::new(Daps::cheap().into()),
        }
    }
}

impl Tuned for Best {
    fn tuned(task: &Task) -> Best {
        Best {
            of: Box::new(Daps::tuned(task).into()),
            ..Best::default()
        }
    }
}

impl Described for Best {
    const CARD: Card = Card {
        summary: "several runs of another method, of which the one that explains the measurement best is kept",
        paper: "Chung et al. 2023, arXiv:2209.14687; Zhang et al. 2025, arXiv:2407.01521",
    };

    fn with_steps(self, steps: usize) -> Best {
        Best {
            of: Box::new(self.of.with_steps(steps)),
            ..self
        }
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.runs.saturating_mul(self.of.nfe(prior))
    }
}

impl Method for Best {
    fn needs(&self) -> Vec<Need> {
        self.of.as_dyn().needs()
    }

    fn draws(&self) -> bool {
        self.of.as_dyn().draws()
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let draws = Draws {
            n: self.runs,
            of: &self.of,
        };
        let mut best: Option<(Vec<f64>, crate::Image)> = None;
        draws.each(prior, problem, run, |_, x| {
            let left = norms(&problem.residual(&x));
            let Some((least, kept)) = &mut best else {
                best = Some((left, x));
                return;
            };
            for (n, left) in left.into_iter().enumerate() {
                if left < least[n] {
                    least[n] = left;
                    let picture = x.index_axis(Axis(0), n);
                    kept.index_axis_mut(Axis(0), n).assign(&picture);
                }
            }
        })?;
        let (_, x) = best.expect("there is a run at least");
        Ok(x.into())
    }
}
