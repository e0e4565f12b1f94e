//! The probability-flow ODE of a score SDE in continuous time (Song et al. 2021, arXiv:2011.13456, section 4.3).
//!
//! ```text
//! dx/du = f(u)*x - g(u)^2/2*score(x, u)
//! ```
//!
//! from `u = 1` down, by the rule of Euler or another; the last step, to `u = 0`, is Euler's, and by default goes to the
//! estimate of the clean image (the paper's noise removal). It has the marginals of [`EulerMaruyama`](super::EulerMaruyama),
//! draws no noise, and is followed upwards, too. On lists of levels [`Flow`](super::Flow) and [`Edm`](super::Edm) follow
//! the same curves; those in time are longer where `beta` is small, and want more steps.

use serde::{Deserialize, Serialize};

use super::process::spans;
use super::{Process, Rule, Sampler};
use crate::Image;
use crate::level::{Level, combine};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of the probability flow. By default the paper's VP process in 100 steps by Heun's rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbabilityFlow {
    /// The process whose marginals it has.
    pub process: Process,
    /// Number of steps.
    pub steps: usize,
    /// The rule that follows the ODE.
    pub rule: Rule,
    /// Whether the last step goes to the estimate of the clean image.
    pub denoise: bool,
}

impl Default for ProbabilityFlow {
    fn default() -> ProbabilityFlow {
        ProbabilityFlow {
            process: Process::VP,
            steps: 100,
            rule: Rule::Heun,
            denoise: true,
        }
    }
}

impl Described for ProbabilityFlow {
    const CARD: Card = Card {
        summary: "the reverse SDE's ODE in continuous time, deterministic: VP, sub-VP or VE",
        paper: "Song et al. 2021, arXiv:2011.13456",
    };

    fn with_steps(mut self, steps: usize) -> ProbabilityFlow {
        self.steps = steps;
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        let steps = self.process.times(self.steps, prior).map_or(0, |t| t.len());
        let before = steps.saturating_sub(1) * self.rule.evaluations();
        before + steps.min(1)
    }
}

impl ProbabilityFlow {
    /// From one time to another, up or down; also the estimate of the clean image at the first.
    fn step(
        &self,
        prior: &dyn Prior,
        x: &Image,
        (u, next): (f64, f64),
        run: &mut Run<'_>,
    ) -> Result<(Image, Image), Error> {
        let range = prior.card().range;
        let rule = match next > 0.0 {
            true => self.rule,
            false => Rule::Euler,
        };
        // Around the middle of the range, of which `a` is left and no more.
        let middle = |u| (self.process.level(u, range).a * range.center) as f32;
        let mut seen = None;
        let around = rule.step(&(x - middle(u)), |around, c| {
            let (at, h) = ((1.0 - c) * u + c * next, next - u);
            let level = self.process.level(at, range);
            let (f, g2) = self.process.rates(at, range);
            let x = around + middle(at);
            let x0 = run.denoise(prior, &x, level)?;
            let score = level.score_from_x0(&x, &x0);
            seen.get_or_insert(x0);
            Ok(combine(h * f, around, -0.5 * h * g2, &score))
        })?;
        let x0 = seen.expect("every rule has a slope");
        run.show(&x0, self.process.level(u, range))?;
        Ok((around + middle(next), x0))
    }
}

impl Sampler for ProbabilityFlow {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        let times = self.process.times(self.steps, card)?;
        Ok(self.process.level(times[0], card.range))
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let times = self.process.times(self.steps, prior.card())?;
        run.begin(times.len());
        for span in spans(&times) {
            let (next, x0) = self.step(prior, &x, span, run)?;
            x = match span.1 == 0.0 && self.denoise {
                true => x0,
                false => next,
            };
        }
        Ok(x)
    }

    /// The same steps upwards. The picture counts as one of the last time, whose noise is not to be seen.
    fn encode(&self, prior: &dyn Prior, x: &Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let times = self.process.times(self.steps, prior.card())?;
        let last = times[times.len() - 1];
        run.begin(times.len() - 1);
        let mut x = x * self.process.level(last, prior.card().range).a as f32;
        for (next, u) in spans(&times)
            .take(times.len() - 1)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            x = self.step(prior, &x, (u, next), run)?.0;
        }
        Ok(x)
    }
}
