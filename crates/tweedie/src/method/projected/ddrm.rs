//! DDRM: a draw along the singular vectors of the operator, each with noise that its measurement already has (Kawar, Elad, Ermon
//! and Song 2022, arXiv:2201.11793, equations 6 to 8).
//!
//! ```text
//! x0  = E[x0 | x_t],  eps = (x_t - a_t*x0)/b_t,  tau = b_s/a_s
//! not measured              :  x_s/a_s = x0 + tau*(sqrt(1 - eta^2)*eps + eta*z)
//! measured worse than tau   :  x_s/a_s = x0 + tau*(sqrt(1 - eta^2)*(A^+ y - x0)*s/sigma_y + eta*z)
//! measured as well or better:  x_s/a_s = (1 - eta_b)*x0 + eta_b*A^+ y + sqrt(tau^2 - eta_b^2*(sigma_y/s)^2)*z
//! ```
//!
//! each line for the singular vectors whose measurement has noise `sigma_y/s` of that size. The step is that of DDNM+, which is this
//! one with `eta_b = 1`; its file has the boundaries and what the released code does at them. The first image is drawn in the same way,
//! around the measurement where it is better than the first level's noise.
//!
//! The paper needs the operator's singular value decomposition. Here it is asked for two products only, `V g(S) V^T x` and
//! `V g(S) U^T y`, which a Lanczos process gives for any linear operator, so that every one will do.
//!
//! The share of fresh noise is constant, which draws too narrow a law, of about two thirds of the posterior's variance in 100 steps.

use serde::{Deserialize, Serialize};

use crate::grid::{Grid, Subset};
use crate::level::{Transition, walk};
use crate::method::projected::spectral::Spectral;
use crate::method::wide::wide;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::lanczos;
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of DDRM. By default those of the paper: 20 steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ddrm {
    /// The levels that are visited.
    pub grid: Grid,
    /// Share of fresh noise where nothing, or too little, is measured; 0.85 in the paper.
    pub eta: f64,
    /// Share of the measurement where it is better than the level; 1 in the paper.
    pub eta_b: f64,
    /// How closely the spectrum of an operator without closed form is found.
    pub spectrum: lanczos::Params,
    /// Whether the prior's estimates are limited to its range; not in the paper or the code.
    pub clamp: bool,
}

impl Default for Ddrm {
    fn default() -> Ddrm {
        Ddrm {
            grid: Grid::ddpm(Subset::Uniform { steps: 20 }),
            eta: 0.85,
            eta_b: 1.0,
            spectrum: lanczos::Params::STEP,
            clamp: false,
        }
    }
}

impl Described for Ddrm {
    const CARD: Card = Card {
        summary: "a draw along the operator's singular vectors, with noise in mind: any linear operator, in 20 steps",
        paper: "Kawar et al. 2022, arXiv:2201.11793",
    };

    fn with_steps(mut self, steps: usize) -> Ddrm {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.grid.len(prior)
    }
}

impl Tuned for Ddrm {
    /// EDM's levels, which the photo prior knows evenly. Of exact pixels with holes between them all noise is fresh, so that the holes
    /// hear of the pixels more often, and there are more levels.
    fn tuned(task: &Task) -> Ddrm {
        let holes = task.loss.pixels && task.sigma == 0.0;
        Ddrm {
            grid: wide(task.steps.unwrap_or(if holes { 40 } else { 20 }), 0.0),
            eta: if holes { 1.0 } else { 0.85 },
            ..Ddrm::default()
        }
    }
}

impl Ddrm {
    fn check(&self) -> Result<(), Error> {
        let shares = [self.eta, self.eta_b];
        Error::unless(shares.iter().all(|e| (0.0..=1.0).contains(e)), || {
            format!(
                "eta and eta_b must be between 0 and 1, not {} and {}",
                self.eta, self.eta_b
            )
        })?;
        let lanczos::Params { tolerance, steps } = self.spectrum;
        Error::unless(tolerance >= 0.0 && steps > 0, || {
            format!(
                "a spectrum takes a tolerance of 0 or more and a step or more, not {tolerance} and {steps}"
            )
        })
    }
}

impl Method for Ddrm {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let range = prior.card().range;
        let levels = self.grid.levels(prior.card())?;
        let spectral = Spectral::new(problem, self.eta_b, self.spectrum);
        run.begin(levels.len());
        let around = Start::Auto.around(range, problem, levels[0]);
        let mut x = spectral.start(levels[0], &around, run);
        for (t, s) in walk(&levels) {
            let mut x0 = run.denoise(prior, &x, t)?;
            if self.clamp {
                range.clamp(&mut x0);
            }
            run.poll(&x0)?;
            let eps = t.eps_from_x0(&x, &x0);
            let (next, x0y) = spectral.step(&Transition::new(t, s), (&x0, &eps), self.eta, run);
            x = next;
            run.show(&x0y, t)?;
        }
        Ok(x.into())
    }
}
