//! The reverse SDE by the rule of Euler and Maruyama (Song et al. 2021, arXiv:2011.13456, eq. 6 and appendix D).
//!
//! ```text
//! x_mean = x + h*(-f(u)*x + g(u)^2*score(x, u)),    x = x_mean + g(u)*sqrt(h)*z
//! ```
//!
//! with the process `f`, `g` as [`Process`] has it, in continuous time. The last step adds no noise, and by default goes to
//! the estimate of the clean image, whatever its length: VE ends at a level whose noise can be seen. The authors' code takes
//! steps of `1/N` on `N` times from 1 to 1e-3; here a step is as long as the times are apart, which for a thousand of them
//! is the same.

use serde::{Deserialize, Serialize};

use super::process::spans;
use super::{Process, Sampler};
use crate::Image;
use crate::level::{Level, combine};
use crate::prior::{Card as PriorCard, Prior};
use crate::registry::{Card, Described};
use crate::run::{Error, Run};

/// Settings of Euler-Maruyama. By default the paper's VP process in 1000 steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EulerMaruyama {
    /// The process that is run backwards.
    pub process: Process,
    /// Number of steps.
    pub steps: usize,
    /// Whether the last step goes to the estimate of the clean image.
    pub denoise: bool,
}

impl Default for EulerMaruyama {
    fn default() -> EulerMaruyama {
        EulerMaruyama {
            process: Process::VP,
            steps: 1000,
            denoise: true,
        }
    }
}

impl Described for EulerMaruyama {
    const CARD: Card = Card {
        summary: "the reverse SDE in small steps of continuous time: VP, sub-VP or VE; slow",
        paper: "Song et al. 2021, arXiv:2011.13456",
    };

    fn with_steps(mut self, steps: usize) -> EulerMaruyama {
        self.steps = steps;
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        self.process.times(self.steps, prior).map_or(0, |t| t.len())
    }
}

impl Sampler for EulerMaruyama {
    fn first(&self, card: &PriorCard) -> Result<Level, Error> {
        let times = self.process.times(self.steps, card)?;
        Ok(self.process.level(times[0], card.range))
    }

    fn decode(&self, prior: &dyn Prior, mut x: Image, run: &mut Run<'_>) -> Result<Image, Error> {
        let range = prior.card().range;
        let times = self.process.times(self.steps, prior.card())?;
        run.begin(times.len());
        for (i, (u, next)) in spans(&times).enumerate() {
            let last = i + 1 == times.len();
            let level = self.process.level(u, range);
            let (f, g2) = self.process.rates(u, range);
            let h = u - next;
            let x0 = run.denoise(prior, &x, level)?;
            // Around the middle of the range, of which `a` is left and no more.
            let (here, there) = (
                level.a * range.center,
                self.process.level(next, range).a * range.center,
            );
            let mut mean = combine(1.0 - h * f, &x, h * g2, &level.score_from_x0(&x, &x0));
            mean += (there - (1.0 - h * f) * here) as f32;
            x = match last {
                false => run.add_noise(mean, (h * g2).sqrt()),
                true if self.denoise => x0.clone(),
                true => mean,
            };
            run.show(&x0, level)?;
        }
        Ok(x)
    }
}
