//! The walk that guided methods share: a sampler's step, then a push towards the measurement.
//!
//! A step is linear in the estimate: `x' = A x_t + B x0`, where the noise in it is what `x_t` holds beyond `x0`. By Tweedie's
//! formula a likelihood whose score is `g = grad_x log p(y | x_t)` makes the estimate `E[x0 | x_t, y] = x0 + b_t^2/a_t*g`, so
//! that the step with it is
//!
//! ```text
//! x_s = x' + reach*g,   reach = B*b_t^2/a_t
//! ancestral (DDPM)  :  reach = var/ratio                             beta/sqrt(alpha) with VP levels
//! DDIM, kept noise c:  reach = b_t*(a_s*b_t/a_t - c)                 (b/a)*dt along a flow, where DDIM with eta 0 is Euler's rule
//! ```

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use crate::Image;
use crate::level::{Level, Range, Transition, walk};
use crate::method::{Restored, Start};
use crate::prior::{self, Card, Estimate, Prior, Pullback};
use crate::problem::Problem;
use crate::registry::Need;
use crate::run::{Error, Run};
use crate::sampler::{Renoise, Variance};

/// How a guided method goes on to the next level, before it hears the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Descent {
    /// DDPM's step.
    Ancestral {
        /// Its variance.
        variance: Variance,
    },
    /// DDIM's step.
    Ddim {
        /// Share of fresh noise, 0 to 1; 0 follows the ODE, along a flow by Euler's rule.
        eta: f64,
    },
}

impl Descent {
    /// DDPM's step with the smaller variance.
    pub const SMALL: Descent = Descent::Ancestral {
        variance: Variance::Small,
    };
    /// Along the probability-flow ODE.
    pub const ODE: Descent = Descent::Ddim { eta: 0.0 };

    /// What it asks of the prior.
    pub(super) fn needs(self) -> Option<Need> {
        let learned = Descent::Ancestral {
            variance: Variance::Learned,
        };
        (self == learned).then_some(Need::LearnedVariance)
    }

    fn check(self, card: &Card) -> Result<(), Error> {
        match self {
            Descent::Ancestral { variance } => variance.check(card),
            Descent::Ddim { eta } => Renoise::Ddim { eta }.check(),
        }
    }

    fn step(self, hop: &Transition, x: &Image, estimate: &Estimate, run: &mut Run<'_>) -> Image {
        match self {
            Descent::Ancestral { variance } => variance.step(hop, x, estimate, run),
            Descent::Ddim { eta } => {
                let eps = hop.t.eps_from_x0(x, &estimate.x0);
                Renoise::Ddim { eta }.step(hop, &estimate.x0, &eps, run)
            }
        }
    }

    /// How far a likelihood's score moves the next image.
    fn reach(self, hop: &Transition) -> f64 {
        match self {
            Descent::Ancestral { .. } => hop.var / hop.ratio,
            Descent::Ddim { eta } => {
                let Level { a, b } = hop.t;
                let fresh = hop.ddim_sigma(eta);
                let kept = (hop.s.b * hop.s.b - fresh * fresh).max(0.0).sqrt();
                b * (hop.s.a * b / a - kept)
            }
        }
    }
}

/// Where the walk is when it is to be guided.
pub(super) struct At<'a> {
    /// From `t` to `s`.
    pub(super) hop: Transition,
    /// `x_t`.
    pub(super) x: &'a Image,
    /// `E[x0 | x_t]`, within the range if it is limited.
    pub(super) x0: &'a Image,
    /// How far a score moves the next image.
    pub(super) reach: f64,
    pullback: Pullback<'a>,
    /// The estimate before it was limited, and the limits.
    limited: Option<(&'a Image, Range)>,
}

impl At<'_> {
    /// `J^T v` with `J = d x0/d x_t`, through the network and the limits, beyond which nothing changes.
    pub(super) fn pull(self, mut v: Image, run: &Run<'_>) -> Result<Image, Error> {
        if let Some((raw, range)) = self.limited {
            let (low, high) = range.limits();
            Zip::from(&mut v).and(raw).par_for_each(|v, x0| {
                if !(low..=high).contains(x0) {
                    *v = 0.0;
                }
            });
        }
        (self.pullback)(&v).map_err(|e| run.failed(e))
    }
}

/// A guided walk.
pub(super) struct Guided {
    /// From the noisiest level to the cleanest.
    pub(super) levels: Vec<Level>,
    /// How it goes on.
    pub(super) descent: Descent,
    /// What it starts from.
    pub(super) start: Start,
    /// Whether estimates are limited to the prior's range.
    pub(super) clamp: bool,
    /// Whether the network is differentiated.
    pub(super) differentiated: bool,
}

impl Guided {
    /// From noise to a picture; `guide` changes the image at each next level.
    pub(super) fn run(
        self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
        mut guide: impl FnMut(At<'_>, &mut Image, &mut Run<'_>) -> Result<(), Error>,
    ) -> Result<Restored, Error> {
        let card = prior.card();
        self.descent.check(card)?;
        run.begin(self.levels.len());
        let mut x = self.start.draw(card.range, problem, self.levels[0], run);
        for (t, s) in walk(&self.levels) {
            let hop = Transition::new(t, s);
            let (mut estimate, pullback) = match self.differentiated {
                true => run.estimate_with_pullback(prior, &x, t)?,
                false => {
                    let none: Pullback<'_> = Box::new(|_| Err(prior::Error::NoPullback));
                    (run.estimate(prior, &x, t)?, none)
                }
            };
            let raw = self.clamp.then(|| estimate.x0.clone());
            if self.clamp {
                card.range.clamp(&mut estimate.x0);
            }
            run.poll(&estimate.x0)?;
            let mut next = self.descent.step(&hop, &x, &estimate, run);
            let at = At {
                hop,
                x: &x,
                x0: &estimate.x0,
                reach: self.descent.reach(&hop),
                pullback,
                limited: raw.as_ref().map(|raw| (raw, card.range)),
            };
            guide(at, &mut next, run)?;
            x = next;
            run.show(&estimate.x0, t)?;
        }
        Ok(x.into())
    }
}
