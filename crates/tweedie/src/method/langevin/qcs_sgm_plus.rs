//! QCS-SGM+: compressed sensing from rounded measurements through any matrix, by annealed Langevin steps in the posterior (Meng and
//! Kabashima 2023, arXiv:2302.00919).
//!
//! ```text
//! y = Q(A x + n);   for each level beta, the noisiest first:  repeats times
//!     x <- x + h*(score(x, beta) + A^T g) + sqrt(2h)*z
//! g = the gradient of log P(A x + e in the bins),  e ~ N(0, sigma^2*I + beta^2*A A^T),  by expectation propagation
//!                                        of numbers that are not rounded (sigma^2*I + beta^2*A A^T)^-1 (y - A x), exactly
//! h = min(step*beta^2, 0.5/(1/beta^2 + max w/(sigma^2 + beta^2*w))),   w the eigenvalues of A A^T
//! ```
//!
//! Where the rows of `A` are orthogonal and of one length it is [`QcsSgm`](super::QcsSgm). The pull is limited to the prior's, picture
//! by picture (`cap`): where passes have not come to rest, as those of ill-conditioned matrices have not after the five of the authors'
//! code, it is of no use and may be huge. The code multiplies it to half the norm of the prior's whatever it is (`matched`, over the
//! batch; here over each picture), which is no longer the posterior.

use ndarray::Array1;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::expectation::{Messages, Passes, Spread};
use super::ladder::{self, Ladder};
use super::qcs_sgm::{check_sensing_step, check_weight, ladder};
use super::rows::{Directions, Record, measurements, pictures};
use crate::Image;
use crate::batch::{add_each, norms};
use crate::grid::Grid;
use crate::level::Level;
use crate::method::{Method, Restored, Start, Task, Tuned};
use crate::operator::{AnySpectrum, Linear, spectrum};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// How strongly the measurement pulls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SensingPull {
    /// As the likelihood says, but not more than `cap` times the prior.
    Capped {
        /// 1.
        cap: f64,
    },
    /// A multiple of the prior's pull, whatever the likelihood says.
    Matched {
        /// 0.5 in the authors' code for MNIST, 0.3 for CelebA.
        gamma: f64,
    },
}

/// Settings of QCS-SGM+. By default the paper's ladder for MNIST, with the likelihood's own pull and passes until they rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QcsSgmPlus {
    /// The levels that are visited.
    pub grid: Grid,
    /// Steps at each level.
    pub repeats: usize,
    /// Length of a step, for each unit of the level's variance, above 0 and up to 2; longer ones than are stable are shortened.
    pub step: f64,
    /// How strongly the measurement pulls.
    pub pull: SensingPull,
    /// Passes of expectation propagation at each step, at most: 1 to 1000. 5 in the authors' code.
    pub passes: usize,
    /// Passes end where messages change by less than this part of themselves.
    pub tolerance: f64,
    /// Whether the last level's noise is removed at the end.
    pub denoise: bool,
    /// What the first level is made from.
    pub start: Start,
}

impl Default for QcsSgmPlus {
    /// `epsilon = 2e-4` at `sigma_L = 0.01`.
    fn default() -> QcsSgmPlus {
        QcsSgmPlus {
            grid: ladder(232),
            repeats: 5,
            step: 2.0,
            pull: SensingPull::Capped { cap: 1.0 },
            passes: 50,
            tolerance: 1e-4,
            denoise: false,
            start: Start::Noise,
        }
    }
}

impl Described for QcsSgmPlus {
    const CARD: Card = Card {
        summary: "compressed sensing, also from a few bits a number, through any matrix, by annealed Langevin steps",
        paper: "Meng and Kabashima 2023, arXiv:2302.00919",
    };

    fn with_steps(mut self, steps: usize) -> QcsSgmPlus {
        self.grid = self.grid.with_steps(steps);
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.ladder().nfe(prior)
    }
}

impl Tuned for QcsSgmPlus {
    fn tuned(task: &Task) -> QcsSgmPlus {
        QcsSgmPlus {
            grid: ladder(task.steps.unwrap_or(100)),
            repeats: 3,
            denoise: true,
            ..QcsSgmPlus::default()
        }
    }
}

impl QcsSgmPlus {
    fn ladder(&self) -> Ladder<'_> {
        Ladder {
            grid: &self.grid,
            repeats: self.repeats,
            denoise: self.denoise,
            start: self.start,
        }
    }

    fn check(&self) -> Result<(), Error> {
        check_sensing_step(self.step)?;
        match self.pull {
            SensingPull::Capped { cap } => check_weight("the cap of the measurement's pull", cap)?,
            SensingPull::Matched { gamma } => {
                check_weight("the multiple of the prior's pull", gamma)?;
            }
        }
        check_weight("the tolerance of the passes", self.tolerance)?;
        Error::unless((1..=1000).contains(&self.passes), || {
            format!(
                "expectation propagation takes 1 to 1000 passes, not {}",
                self.passes
            )
        })
    }
}

impl Method for QcsSgmPlus {
    fn needs(&self) -> Vec<Need> {
        vec![Need::LinearBeforeRounding]
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let (operator, record) = Record::of(problem)?;
        let data = match record {
            Record::Bins(bins) => Data::Bins {
                messages: vec![None; bins.len()],
                bins,
                directions: Directions::of(operator, "qcs-sgm+")?,
                operator,
            },
            Record::Numbers(_) => Data::Numbers {
                problem,
                spectrum: problem.spectrum(),
            },
        };
        let most = match &data {
            Data::Bins { directions, .. } => directions.most(),
            Data::Numbers { spectrum, .. } => spectrum.norm().powi(2),
        };
        let mut pull = Dependent {
            settings: self,
            data,
            most,
            noise: problem.sigma().powi(2),
            level: 1.0,
        };
        self.ladder().descend(prior, problem, &mut pull, run)
    }
}

enum Data<'a> {
    Bins {
        operator: &'a dyn Linear,
        directions: Directions,
        bins: Vec<Vec<[f64; 2]>>,
        messages: Vec<Option<Messages>>,
    },
    Numbers {
        problem: &'a Problem,
        spectrum: AnySpectrum<'a>,
    },
}

/// The pull of numbers whose errors depend on each other.
struct Dependent<'a> {
    settings: &'a QcsSgmPlus,
    data: Data<'a>,
    /// The largest eigenvalue of `A A^T`.
    most: f64,
    /// `sigma^2`.
    noise: f64,
    /// `beta^2`.
    level: f64,
}

impl Dependent<'_> {
    /// `A^T g`.
    fn gradient(&mut self, x: &Image) -> Image {
        let (noise, level) = (self.noise, self.level);
        match &mut self.data {
            Data::Numbers { problem, spectrum } => {
                let precision = |s: f64| match s > 0.0 {
                    true => s / (noise + level * s * s),
                    false => 0.0,
                };
                spectrum::back(&**spectrum, &problem.residual(x), precision)
            }
            Data::Bins {
                operator,
                directions,
                bins,
                messages,
            } => {
                let passes = Passes {
                    most: self.settings.passes,
                    tolerance: self.settings.tolerance,
                };
                let spread = Spread::new(directions, noise, level);
                let seen = pictures(&operator.apply(x)).into_par_iter();
                let each = (seen, bins, messages).into_par_iter();
                let each = each.map(|(z, bins, messages)| {
                    let (g, _) = spread.gradient(&Array1::from(z), bins, passes, messages);
                    g.to_vec()
                });
                let g: Vec<Vec<f64>> = each.collect();
                operator.adjoint(&measurements(*operator, &g))
            }
        }
    }
}

impl ladder::Pull for Dependent<'_> {
    fn enter(&mut self, level: Level) -> f64 {
        self.level = level.b * level.b;
        let steepness = self.most / (self.noise + self.level * self.most).max(f64::MIN_POSITIVE);
        let safe = 0.5 / (1.0 / self.level + steepness);
        (self.settings.step * self.level).min(safe)
    }

    fn drift(&mut self, x: &Image, score: Image) -> Image {
        let g = self.gradient(x);
        let pairs = norms(&score).into_iter().zip(norms(&g));
        let factors: Vec<f64> = pairs
            .map(|(s, g)| match self.settings.pull {
                SensingPull::Capped { cap } if g > cap * s => cap * s / g,
                SensingPull::Capped { .. } => 1.0,
                // Where the measurement is met it does not pull.
                SensingPull::Matched { .. } if g < 1e-12 => 0.0,
                SensingPull::Matched { gamma } => gamma * s / g,
            })
            .collect();
        let mut drift = score;
        add_each(&mut drift, &factors, &g);
        drift
    }
}
