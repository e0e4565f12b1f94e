//! Lists of noise levels.
//!
//! Sources: Ho et al. 2020 (linear), Nichol and Dhariwal 2021 (cosine), Song et al. 2021 (VE), Karras et al. 2022 (EDM),
//! Lipman et al. 2023 (flow), Esser et al. 2024 (its shift).

use serde::{Deserialize, Serialize};

use super::{Error, MAX_STEPS};
use crate::level::{Level, Range};

/// The noise levels that a model was trained on, or that a paper visits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// DDPM's linear betas, 1e-4 to 0.02 for 1000 steps, both scaled by `1000/steps` for another number.
    VpLinear {
        /// Number of levels.
        steps: usize,
    },
    /// Linear betas from any first to any last.
    Vp {
        /// The betas of the first and the last step, between 0 and 1.
        beta: [f64; 2],
        /// Number of levels.
        steps: usize,
    },
    /// Improved DDPM's cosine schedule, betas capped at 0.999.
    VpCosine {
        /// Number of levels.
        steps: usize,
    },
    /// Geometric sigmas, in image units for [`Range::IMAGE`] (NCSN, VE score SDE).
    Ve {
        /// Smallest sigma, for data in [0, 1].
        sigma_min: f64,
        /// Largest sigma, for data in [0, 1].
        sigma_max: f64,
        /// Number of levels.
        steps: usize,
    },
    /// EDM's grid, uniform in `sigma^(1/rho)`.
    Edm {
        /// Smallest sigma, for data in [-1, 1].
        sigma_min: f64,
        /// Largest sigma, for data in [-1, 1].
        sigma_max: f64,
        /// Warp; 7 in the paper.
        rho: f64,
        /// Number of levels.
        steps: usize,
    },
    /// The straight path of flow matching, `a = 1 - t`, `b = t`, at `t = i/steps` for `i = 1..=steps`.
    ///
    /// The last level is pure noise (`a = 0`), where `sigma` is infinite; it is therefore set at `t = 1 - 1e-3`.
    Flow {
        /// Number of levels.
        steps: usize,
        /// `t` becomes `shift*t/(1 + (shift - 1)*t)`: more than 1 puts more levels where there is much noise.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        shift: f64,
    },
    /// Sigmas that are listed.
    Sigmas {
        /// For data in [0, 1], in any order.
        sigmas: Vec<f64>,
    },
    /// The levels that the prior itself names.
    Native {},
}

fn one() -> f64 {
    1.0
}

fn is_one(shift: &f64) -> bool {
    *shift == 1.0
}

/// The last `t` of a flow.
const FLOW_END: f64 = 1.0 - 1e-3;

impl Schedule {
    /// DDPM's schedule of 1000 levels, that almost all restoration papers use.
    pub const DDPM: Schedule = Schedule::VpLinear { steps: 1000 };

    /// EDM's grid with the paper's constants, 0.002 to 80, `rho = 7`.
    pub const fn edm(steps: usize) -> Schedule {
        Schedule::Edm {
            sigma_min: 0.002,
            sigma_max: 80.0,
            rho: 7.0,
            steps,
        }
    }

    /// The straight path without a shift.
    pub const fn flow(steps: usize) -> Schedule {
        Schedule::Flow { steps, shift: 1.0 }
    }

    /// The same curve through another number of levels; `None` for those that are lists of what a model was trained on.
    pub(super) fn with_steps(&self, n: usize) -> Option<Schedule> {
        let mut schedule = self.clone();
        match &mut schedule {
            Schedule::Ve { steps, .. }
            | Schedule::Edm { steps, .. }
            | Schedule::Flow { steps, .. } => {
                *steps = n;
            }
            _ => return None,
        }
        Some(schedule)
    }

    /// That the numbers make a schedule of bounded length.
    ///
    /// # Errors
    /// [`Error::Schedule`] says what is wrong.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |why| {
            Err(Error::Schedule {
                schedule: self.clone(),
                why,
            })
        };
        let positive = |v: &f64| *v > 0.0 && v.is_finite();
        let steps = match self {
            Schedule::VpLinear { steps }
            | Schedule::Vp { steps, .. }
            | Schedule::VpCosine { steps }
            | Schedule::Ve { steps, .. }
            | Schedule::Edm { steps, .. }
            | Schedule::Flow { steps, .. } => *steps,
            Schedule::Sigmas { sigmas } => sigmas.len(),
            Schedule::Native {} => 1,
        };
        if !(1..=MAX_STEPS).contains(&steps) {
            return wrong("it must have 1 to 100000 levels");
        }
        match self {
            Schedule::Vp { beta: [lo, hi], .. } if !(0.0 < *lo && lo <= hi && *hi < 1.0) => {
                wrong("betas rise, between 0 and 1")
            }
            Schedule::Ve {
                sigma_min,
                sigma_max,
                ..
            }
            | Schedule::Edm {
                sigma_min,
                sigma_max,
                ..
            } if !(positive(sigma_min) && positive(sigma_max) && sigma_min <= sigma_max) => {
                wrong("sigmas rise from a positive one to a finite one")
            }
            Schedule::Edm { rho, .. } if !positive(rho) => wrong("rho is positive"),
            Schedule::Flow { shift, .. } if !positive(shift) => wrong("the shift is positive"),
            Schedule::Sigmas { sigmas } if !sigmas.iter().all(positive) => {
                wrong("sigmas are positive and finite")
            }
            _ => Ok(()),
        }
    }

    /// The levels for data in `range`, by 0-based time index: the cleanest first, the noisiest last. None for
    /// [`Schedule::Native`], which only a prior knows.
    pub fn levels(&self, range: Range) -> Vec<Level> {
        self.within(range, [0.0, f64::INFINITY])
    }

    /// The same for a model that knows the sigmas from `least` to `most` (in the units of `range`): curves of sigma (EDM,
    /// VE, flow) end there, as in EDM's own code; lists do not heed it.
    pub(super) fn within(&self, range: Range, known: [f64; 2]) -> Vec<Level> {
        let half = range.half;
        match *self {
            Schedule::VpLinear { steps } => {
                let scale = 1000.0 / steps as f64;
                abar_levels(line([1e-4 * scale, 0.02 * scale], steps), half)
            }
            Schedule::Vp { beta, steps } => abar_levels(line(beta, steps), half),
            Schedule::VpCosine { steps } => abar_levels(cosine_betas(steps), half),
            Schedule::Ve {
                sigma_min,
                sigma_max,
                steps,
            } => {
                let unit = 2.0 * half;
                let ends = limited([sigma_min, sigma_max], known.map(|sigma| sigma / unit));
                ve_levels(line(ends.map(f64::ln), steps).map(f64::exp), unit)
            }
            Schedule::Edm {
                sigma_min,
                sigma_max,
                rho,
                steps,
            } => {
                let ends = limited([sigma_min, sigma_max], known.map(|sigma| sigma / half));
                let roots = line(ends.map(|sigma| sigma.powf(1.0 / rho)), steps);
                ve_levels(roots.map(|root| root.powf(rho)), half)
            }
            Schedule::Flow { steps, shift } => {
                flow_levels(steps, shift, half, known.map(|sigma| sigma / half))
            }
            Schedule::Sigmas { ref sigmas } => {
                let mut sigmas = sigmas.clone();
                sigmas.sort_by(f64::total_cmp);
                sigmas.dedup();
                ve_levels(sigmas.into_iter(), 2.0 * half)
            }
            Schedule::Native {} => Vec::new(),
        }
    }
}

/// The part of a curve's sigmas that a model knows; all of them if it knows none, for the error to say.
fn limited([lo, hi]: [f64; 2], [least, most]: [f64; 2]) -> [f64; 2] {
    let ends = [lo.max(least), hi.min(most)];
    if ends[0] <= ends[1] { ends } else { [lo, hi] }
}

/// `n` points from the first to the last end.
fn line([first, last]: [f64; 2], n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| first + fraction(i, n) * (last - first))
}

/// Levels of sigmas that are published in this unit.
fn ve_levels(sigmas: impl Iterator<Item = f64>, unit: f64) -> Vec<Level> {
    sigmas.map(|sigma| Level::ve(sigma * unit)).collect()
}

/// Levels of the straight path, between the sigmas that are known (for data of half-width 1).
fn flow_levels(steps: usize, shift: f64, half: f64, known: [f64; 2]) -> Vec<Level> {
    let [least, known] = known.map(|sigma| match sigma.is_finite() {
        true => sigma / (1.0 + sigma),
        false => 1.0,
    });
    let (end, scale) = match known < FLOW_END {
        true => (known, known),
        false => (FLOW_END, 1.0),
    };
    // Where the first levels would be cleaner than what is known, all are moved a little.
    let first = {
        let t = 1.0 / steps as f64;
        scale * shift * t / (1.0 + (shift - 1.0) * t)
    };
    let lift = |t: f64| match first < least && first < end {
        true => least + (t - first) / (end - first) * (end - least).max(0.0),
        false => t,
    };
    let at = |i: usize| {
        let t = i as f64 / steps as f64;
        let t = shift * t / (1.0 + (shift - 1.0) * t);
        let t = lift((t * scale).min(end));
        Level {
            a: 1.0 - t,
            b: half * t,
        }
    };
    (1..=steps).map(at).collect()
}

/// `i` of `n` points on [0, 1].
pub(super) fn fraction(i: usize, n: usize) -> f64 {
    if n > 1 {
        i as f64 / (n - 1) as f64
    } else {
        1.0
    }
}

fn cosine_betas(steps: usize) -> impl Iterator<Item = f64> {
    let f = |u: f64| {
        ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2)
            .cos()
            .powi(2)
    };
    let t = move |i: usize| i as f64 / steps as f64;
    (0..steps).map(move |i| 1.0 - f(t(i + 1)) / f(t(i)))
}

/// The levels of a chain of betas, each capped at 0.999.
fn abar_levels(betas: impl Iterator<Item = f64>, half: f64) -> Vec<Level> {
    betas
        .scan(1.0, |abar, beta| {
            *abar *= 1.0 - beta.min(0.999);
            Some(Level::vp(*abar, half))
        })
        .collect()
}
