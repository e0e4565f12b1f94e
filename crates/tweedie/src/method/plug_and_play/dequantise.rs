//! Dequantisation: rounded numbers put where they are expected in their intervals, given what a denoiser makes of the picture.
//!
//! ```text
//! b = how far a decoded picture is off, about
//! x = the decoded picture
//! z   = D(x + t_k*n, sqrt(sigma_k^2 + t_k^2)),   sigma_k from start*b to end*b,  t_k = jitter*sigma_k,  n fresh or, every other
//!                                                time, that of the step before with the other sign
//! x_c = E[c | c in its interval, c ~ N(z_c, (spread*b)^2)]      for each coefficient c
//! ```
//!
//! The answer is the mean of the last `kept` `x` and `z`, moved into the intervals where the mean is not: what another encoder makes of
//! it are the numbers in the file again.
//!
//! Plug-and-play restoration (Venkatakrishnan et al. 2013) with intervals as the data. Projections onto them, as since Zakhor
//! 1992, put every number that the denoiser moves too far on the border of its interval, where it hardly ever was; the mean of
//! the truncated Gaussian is about 1 dB better. The noise hides the edges of blocks from the denoiser, and the mean over several
//! draws of it is nearer to the mean of all pictures that the file may have been made of. Signs in turn are worth as much as half again
//! as many steps.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::Level;
use crate::method::plug_and_play::symmetry::Symmetry;
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of dequantisation, chosen on photographs that no table reports (docs/jpeg.md); all but the first two in units of the error of a decoded picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dequantise {
    /// Number of steps.
    pub steps: usize,
    /// Which part of the steps, the last ones, the answer is the mean of: above 0, to 1 for all.
    pub kept: f64,
    /// What the picture is taken to be off in the first step.
    pub sigma_start: f64,
    /// And in the last.
    pub sigma_end: f64,
    /// Noise that is added, for each sigma that the picture is taken to be off.
    pub jitter: f64,
    /// How far the denoiser's answer is taken to be off.
    pub spread: f64,
}

impl Default for Dequantise {
    fn default() -> Dequantise {
        Dequantise {
            steps: 24,
            kept: 0.83,
            sigma_start: 0.70,
            sigma_end: 0.60,
            jitter: 2.2,
            spread: 1.5,
        }
    }
}

impl Described for Dequantise {
    const CARD: Card = Card {
        summary: "rounded numbers (JPEG) put where they are expected in their intervals, by denoising",
        paper: "Venkatakrishnan et al. 2013; Zakhor 1992",
    };

    fn with_steps(mut self, steps: usize) -> Dequantise {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for Dequantise {
    fn tuned(task: &Task) -> Dequantise {
        // Where there was noise besides, a third of the steps wins nearly as much.
        let steps = if task.sigma > 0.0 { 8 } else { 24 };
        Dequantise::default().with_steps(task.steps.unwrap_or(steps))
    }
}

impl Dequantise {
    fn check(&self) -> Result<(), Error> {
        let positive = |v: f64| v > 0.0 && v.is_finite();
        Error::unless((1..=MAX_STEPS).contains(&self.steps), || {
            format!(
                "dequantise takes 1 to {MAX_STEPS} steps, not {}",
                self.steps
            )
        })?;
        let sizes = [self.sigma_start, self.sigma_end, self.spread];
        Error::unless(
            sizes.into_iter().all(positive) && self.jitter >= 0.0 && self.jitter.is_finite(),
            || {
                "the sigmas and the spread of dequantise must be positive, its jitter 0 or more"
                    .into()
            },
        )?;
        Error::unless(self.kept > 0.0 && self.kept <= 1.0, || {
            format!(
                "dequantise keeps a part of its steps, above 0 and up to 1, not {}",
                self.kept
            )
        })
    }

    /// What the picture is taken to be off in step `k`.
    fn sigma(&self, k: usize) -> f64 {
        let last = self.steps.saturating_sub(1).max(1) as f64;
        self.sigma_start * (self.sigma_end / self.sigma_start).powf(k as f64 / last)
    }
}

impl Method for Dequantise {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Intervals]
    }

    fn draws(&self) -> bool {
        false
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let PriorCard {
            sigma: [least, most],
            ..
        } = *prior.card();
        let operator = problem.operator.quantised();
        let operator = operator.expect("a method that needs intervals is given some");
        let intervals = operator.intervals(&problem.y);
        let off = operator.coarseness();
        let kept = ((self.kept * self.steps as f64).round() as usize).clamp(1, self.steps);
        run.begin(self.steps);
        let mut x = problem.operator.guess(&problem.y);
        let mut sum = Image::zeros(x.dim());
        let mut noise = sum.clone();
        for k in 0..self.steps {
            let sigma = off * self.sigma(k);
            let jitter = self.jitter * sigma;
            let level = Level::ve(sigma.hypot(jitter).clamp(least, most));
            // Of what the denoiser makes of noise and its opposite much cancels in the mean.
            noise = match k % 2 {
                0 => run.normal_like(&x),
                _ => -noise,
            };
            let noisy = x + &noise * jitter as f32;
            let way = Symmetry::nth(k);
            let z = way.back(&run.denoise(prior, &way.there(&noisy), level)?);
            x = intervals.expected(&z, self.spread * off, problem.sigma());
            run.show(&x, level)?;
            if k + kept >= self.steps {
                let share = 0.5 / kept as f32;
                sum.scaled_add(share, &x);
                sum.scaled_add(share, &z);
            }
        }
        if !problem.exact() {
            return Ok(sum.into());
        }
        let (x, outside) = intervals.nearest(&sum);
        if outside > 0 {
            run.note(format!(
                "{outside} of the file's numbers contradict the others, for pictures between black and white: not kept"
            ));
        }
        Ok(x.into())
    }
}
