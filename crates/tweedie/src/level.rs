//! Noise levels, schedules and time grids.
//!
//! Every diffusion, score or flow model sees a noisy image `x = a*x0 + b*eps` with `eps ~ N(0, I)`. The pair
//! `(a, b)` is a [`Level`]; a [`Schedule`] lists the levels a model was trained on, from the cleanest to the noisiest;
//! a [`Subset`] picks the few that a sampler visits. Coefficients are f64, images f32.
//!
//! Sources: Ho et al. 2020 (linear), Nichol and Dhariwal 2021 (cosine), Song et al. 2021 (VE), Karras et al. 2022 (EDM),
//! Lipman et al. 2023 (flow).

use serde::{Deserialize, Serialize};

use crate::Image;

/// The range that clean data live in: `center ± half`.
///
/// Schedules are published for data in [-1, 1] (centre 0, half-width 1). Tweedie's images are in [0, 1], so that a
/// published `b` is multiplied by `half = 0.5`, and pure noise is centred on mid-grey.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Middle of the range.
    pub center: f64,
    /// Half of its width.
    pub half: f64,
}

impl Range {
    /// Pictures in [0, 1]: the range of everything outside a network adapter.
    pub const IMAGE: Range = Range {
        center: 0.5,
        half: 0.5,
    };
    /// Data in [-1, 1], as networks and the literature have them.
    pub const NETWORK: Range = Range {
        center: 0.0,
        half: 1.0,
    };
}

/// A noise level: `x = a*x0 + b*eps`.
///
/// `a` has no unit; `b` is a standard deviation in the units of `x0` (image units outside a network adapter).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Scale of the clean image: `sqrt(abar)` for VP, 1 for VE, `1 - t` for a flow.
    pub a: f64,
    /// Standard deviation of the noise: `sqrt(1 - abar)` for VP, sigma for VE, `t` for a flow, each times the range's
    /// half-width.
    pub b: f64,
}

impl Level {
    /// The level without noise.
    pub const CLEAN: Level = Level { a: 1.0, b: 0.0 };

    /// The variance-exploding level `x = x0 + sigma*eps`.
    pub const fn ve(sigma: f64) -> Level {
        Level { a: 1.0, b: sigma }
    }

    /// The variance-preserving level of `abar` for data of half-width `half`.
    pub fn vp(abar: f64, half: f64) -> Level {
        Level {
            a: abar.sqrt(),
            b: half * (1.0 - abar).sqrt(),
        }
    }

    /// Noise relative to signal, `b/a`: the standard deviation left when `x` is scaled back to `x/a`.
    pub fn sigma(self) -> f64 {
        self.b / self.a
    }

    /// The same level for data `factor` times as wide.
    pub fn scaled(self, factor: f64) -> Level {
        Level {
            a: self.a,
            b: self.b * factor,
        }
    }

    /// `x0 = (x - b*eps)/a`.
    pub fn x0_from_eps(self, x: &Image, eps: &Image) -> Image {
        combine(1.0 / self.a, x, -self.b / self.a, eps)
    }

    /// `eps = (x - a*x0)/b`.
    pub fn eps_from_x0(self, x: &Image, x0: &Image) -> Image {
        combine(1.0 / self.b, x, -self.a / self.b, x0)
    }

    /// Tweedie's formula, `x0 = (x + b^2*score)/a`.
    pub fn x0_from_score(self, x: &Image, score: &Image) -> Image {
        combine(1.0 / self.a, x, self.b * self.b / self.a, score)
    }

    /// `score = (a*x0 - x)/b^2`.
    pub fn score_from_x0(self, x: &Image, x0: &Image) -> Image {
        let b2 = self.b * self.b;
        combine(-1.0 / b2, x, self.a / b2, x0)
    }

    /// `score = -eps/b`.
    pub fn score_from_eps(self, eps: &Image) -> Image {
        eps * (-1.0 / self.b) as f32
    }

    /// `x0` from a v-prediction `v = a*eps - b*x0` (Salimans and Ho 2022), on any path: `x0 = (a*x - b*v)/(a^2 + b^2)`.
    pub fn x0_from_v(self, x: &Image, v: &Image) -> Image {
        let n = self.a * self.a + self.b * self.b;
        combine(self.a / n, x, -self.b / n, v)
    }

    /// `v = a*eps - b*x0`, from `x` and `x0`.
    pub fn v_from_x0(self, x: &Image, x0: &Image) -> Image {
        let n = self.a * self.a + self.b * self.b;
        combine(self.a / self.b, x, -n / self.b, x0)
    }

    /// `x0` from the velocity `da*x0 + db*eps` of a path with the given [`Rate`].
    pub fn x0_from_velocity(self, rate: Rate, x: &Image, velocity: &Image) -> Image {
        let d = rate.da * self.b - self.a * rate.db;
        combine(-rate.db / d, x, self.b / d, velocity)
    }

    /// The velocity `da*x0 + db*eps` from `x` and `x0`.
    pub fn velocity_from_x0(self, rate: Rate, x: &Image, x0: &Image) -> Image {
        let d = rate.da * self.b - self.a * rate.db;
        combine(rate.db / self.b, x, d / self.b, x0)
    }

    /// `a*x0 + b*eps`: the noisy image.
    pub fn mix(self, x0: &Image, eps: &Image) -> Image {
        combine(self.a, x0, self.b, eps)
    }
}

/// Time derivatives of a [`Level`], which a velocity depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// `da/dt`.
    pub da: f64,
    /// `db/dt`.
    pub db: f64,
}

impl Rate {
    /// The straight path `a = 1 - t`, `b = half*t`.
    pub fn straight(half: f64) -> Rate {
        Rate { da: -1.0, db: half }
    }
}

/// `p*x + q*y`, in one pass.
pub(crate) fn combine(p: f64, x: &Image, q: f64, y: &Image) -> Image {
    let (p, q) = (p as f32, q as f32);
    ndarray::Zip::from(x)
        .and(y)
        .par_map_collect(|&x, &y| p * x + q * y)
}

/// The Markov step between two levels of one forward process, `x_t = ratio*x_s + sqrt(var)*z`, and what Bayes' rule
/// makes of it.
///
/// With VP levels `ratio^2 = alpha_t`, `var = beta_t` and `posterior_var` is the "beta tilde" of DDPM.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    /// The noisier level.
    pub t: Level,
    /// The cleaner level.
    pub s: Level,
    /// `a_t/a_s`.
    pub ratio: f64,
    /// Variance of `x_t` given `x_s`.
    pub var: f64,
    /// Variance of `x_s` given `x_t` and `x0`.
    pub posterior_var: f64,
}

impl Transition {
    /// From the noisier `t` to the cleaner `s`.
    pub fn new(t: Level, s: Level) -> Transition {
        let ratio = t.a / s.a;
        // sigma_t^2 - sigma_s^2 as a product: the plain difference of squares loses digits.
        let (st, ss) = (t.sigma(), s.sigma());
        let var = t.a * t.a * (st - ss) * (st + ss);
        Transition {
            t,
            s,
            ratio,
            var,
            posterior_var: var * (s.b * s.b) / (t.b * t.b),
        }
    }

    /// Mean of `x_s` given `x_t` and `x0` (Ho et al. 2020, eq. 7).
    pub fn posterior_mean(&self, x: &Image, x0: &Image) -> Image {
        let bt2 = self.t.b * self.t.b;
        combine(
            self.ratio * self.s.b * self.s.b / bt2,
            x,
            self.s.a * self.var / bt2,
            x0,
        )
    }

    /// Standard deviation of the fresh noise of DDIM at `eta`: `eta*sqrt(posterior_var)` (Song et al. 2021, eq. 16).
    pub fn ddim_sigma(&self, eta: f64) -> f64 {
        eta * self.posterior_var.sqrt()
    }
}

/// The noise levels that a model was trained on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// DDPM's linear betas, 1e-4 to 0.02 for 1000 steps, both scaled by `1000/steps` for another number.
    VpLinear {
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
    },
}

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

    /// Number of levels.
    pub fn len(&self) -> usize {
        match *self {
            Schedule::VpLinear { steps }
            | Schedule::VpCosine { steps }
            | Schedule::Ve { steps, .. }
            | Schedule::Edm { steps, .. }
            | Schedule::Flow { steps } => steps,
        }
    }

    /// Whether there is no level at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The levels for data in `range`, by 0-based time index: the cleanest first, the noisiest last.
    pub fn levels(&self, range: Range) -> Vec<Level> {
        let half = range.half;
        match *self {
            Schedule::VpLinear { steps } => abar_levels(linear_betas(steps), half),
            Schedule::VpCosine { steps } => abar_levels(cosine_betas(steps), half),
            Schedule::Ve {
                sigma_min,
                sigma_max,
                steps,
            } => (0..steps)
                .map(|i| sigma_min * (sigma_max / sigma_min).powf(fraction(i, steps)))
                .map(|sigma| Level::ve(sigma * 2.0 * half))
                .collect(),
            Schedule::Edm {
                sigma_min,
                sigma_max,
                rho,
                steps,
            } => {
                let (lo, hi) = (sigma_min.powf(1.0 / rho), sigma_max.powf(1.0 / rho));
                (0..steps)
                    .map(|i| (lo + fraction(i, steps) * (hi - lo)).powf(rho))
                    .map(|sigma| Level::ve(sigma * half))
                    .collect()
            }
            Schedule::Flow { steps } => (1..=steps)
                .map(|i| (i as f64 / steps as f64).min(1.0 - 1e-3))
                .map(|t| Level {
                    a: 1.0 - t,
                    b: half * t,
                })
                .collect(),
        }
    }
}

/// `i` of `n` points on [0, 1].
fn fraction(i: usize, n: usize) -> f64 {
    if n > 1 {
        i as f64 / (n - 1) as f64
    } else {
        1.0
    }
}

fn linear_betas(steps: usize) -> Vec<f64> {
    let scale = 1000.0 / steps as f64;
    let (lo, hi) = (1e-4 * scale, 0.02 * scale);
    (0..steps)
        .map(|i| (lo + fraction(i, steps) * (hi - lo)).min(0.999))
        .collect()
}

fn cosine_betas(steps: usize) -> Vec<f64> {
    let f = |u: f64| {
        ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2)
            .cos()
            .powi(2)
    };
    let t = |i: usize| i as f64 / steps as f64;
    (0..steps)
        .map(|i| (1.0 - f(t(i + 1)) / f(t(i))).min(0.999))
        .collect()
}

fn abar_levels(betas: Vec<f64>, half: f64) -> Vec<Level> {
    betas
        .into_iter()
        .scan(1.0, |abar, beta| {
            *abar *= 1.0 - beta;
            Some(Level::vp(*abar, half))
        })
        .collect()
}

/// Which of a schedule's levels a sampler visits, always from the noisiest down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Subset {
    /// Every level.
    All,
    /// guided-diffusion's spacing: `steps` indices from 0 to the last, evenly.
    Spaced {
        /// Number of levels.
        steps: usize,
    },
    /// DDIM, DDRM and DDNM: every `T/steps`-th index from 0.
    Uniform {
        /// Number of levels.
        steps: usize,
    },
    /// DDIM's quadratic grid, which starts at 0.8 T.
    DdimQuad {
        /// Number of levels.
        steps: usize,
    },
    /// DiffPIR's quadratic grid: dense at little noise, sparse at much.
    DiffpirQuad {
        /// Number of levels.
        steps: usize,
    },
    /// DiffPIR's uniform grid: every `T/steps`-th index from the last, and index 0.
    DiffpirUniform {
        /// Number of levels.
        steps: usize,
    },
}

impl Subset {
    /// The same rule with another number of steps. `All` becomes `Spaced`.
    pub fn with_steps(self, steps: usize) -> Subset {
        match self {
            Subset::All | Subset::Spaced { .. } => Subset::Spaced { steps },
            Subset::Uniform { .. } => Subset::Uniform { steps },
            Subset::DdimQuad { .. } => Subset::DdimQuad { steps },
            Subset::DiffpirQuad { .. } => Subset::DiffpirQuad { steps },
            Subset::DiffpirUniform { .. } => Subset::DiffpirUniform { steps },
        }
    }

    /// The indices into a schedule of `total` levels, decreasing and without repeats.
    pub fn indices(self, total: usize) -> Vec<usize> {
        let last = total.saturating_sub(1);
        let mut indices: Vec<usize> = match self {
            Subset::All => (0..total).collect(),
            Subset::Spaced { steps } => (0..steps.min(total))
                .map(|i| (fraction(i, steps.min(total)) * last as f64).round_ties_even() as usize)
                .collect(),
            Subset::Uniform { steps } => {
                (0..total).step_by((total / steps.max(1)).max(1)).collect()
            }
            Subset::DdimQuad { steps } => (0..steps)
                .map(|i| (fraction(i, steps) * (0.8 * total as f64).sqrt()).powi(2) as usize)
                .collect(),
            Subset::DiffpirQuad { steps } => (0..steps)
                .map(|i| {
                    let q = (fraction(i, steps) * (total * total) as f64).sqrt() as usize;
                    last - q.min(last)
                })
                .collect(),
            Subset::DiffpirUniform { steps } => {
                let stride = (total / steps.max(1)).max(1);
                (0..steps)
                    .map(|i| last.saturating_sub(i * stride))
                    .chain([0])
                    .collect()
            }
        };
        indices.retain(|&i| i < total);
        indices.sort_unstable_by(|p, q| q.cmp(p));
        indices.dedup();
        indices
    }
}

/// A schedule and the part of it that is visited: what a method's settings carry.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// The levels there are.
    pub schedule: Schedule,
    /// Those that are visited.
    pub subset: Subset,
}

impl Grid {
    /// The levels to visit for data in `range`, the noisiest first, none noisier than `max_sigma`.
    ///
    /// There is always at least one level.
    pub fn levels(&self, range: Range, max_sigma: f64) -> Vec<Level> {
        let mut all = self.schedule.levels(range);
        let usable = all.partition_point(|l| l.sigma() <= max_sigma * (1.0 + 1e-9));
        all.truncate(usable.max(1));
        self.subset
            .indices(all.len())
            .into_iter()
            .map(|i| all[i])
            .collect()
    }
}

/// The pairs (from, to) of a walk through `levels` that ends at [`Level::CLEAN`].
pub fn walk(levels: &[Level]) -> impl Iterator<Item = (Level, Level)> + '_ {
    let next = levels.iter().skip(1).copied().chain([Level::CLEAN]);
    levels.iter().copied().zip(next)
}
