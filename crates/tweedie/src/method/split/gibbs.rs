//! Split Gibbs sampling, PnP-DM: the posterior of an image and of a copy of it that is a little off, drawn in turn (Wu et al.
//! 2024, arXiv:2405.18782; Vono, Dobigeon and Chainais 2019; Coeurdoux, Dobigeon and Chainais 2024).
//!
//! ```text
//! p(x, z | y) ~ p(x) N(z; x, rho^2) N(y; A z, sigma_y^2)
//! z ~ N(z; x, rho^2) N(y; A z, sigma_y^2)                        data: exact for linear operators
//! x ~ p(x) N(z; x, rho^2)                                        prior: the reverse diffusion from z, at the level rho, to 0
//! ```
//!
//! The prior step asks what a diffusion model knows: which clean images a noisy one may have come from. Both steps are exact but
//! for the number of levels in the second, so that in the long run `x` is a draw from the posterior for noise of covariance
//! `sigma_y^2 + rho^2 A A^T`; as the coupling `rho` goes to 0 that is the posterior itself, while the walk becomes slower. So it
//! begins wide, and shrinks. Slow, and the honest reference for the others.
//!
//! Of the authors' two ways back from `rho` this is the stochastic one, by DDPM's steps; the deterministic one maps `z` to one image
//! and does not draw from its law. It begins at `rho` itself, not at the nearest level of a grid below.

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::{Grid, MAX_STEPS, Schedule};
use crate::level::{Level, Transition, walk};
use crate::method::direct::draws::Running;
use crate::method::split::data::Data;
use crate::method::{Answer, DataStep, Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Estimate, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::Variance;

/// Settings of split Gibbs sampling. By default those of the authors' code for deblurring and super-resolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SplitGibbs {
    /// How often both are drawn.
    pub iterations: usize,
    /// The coupling at first, for data in [-1, 1].
    pub coupling_start: f64,
    /// What remains of it from one iteration to the next.
    pub decay: f64,
    /// What it does not fall below, for data in [-1, 1].
    pub coupling_end: f64,
    /// The way back of the prior step: the levels of this grid that lie below the coupling.
    pub levels: Grid,
    /// The last draw, or the mean of those after the first `burn_in`, with their deviation.
    pub answer: Answer,
    /// Iterations that do not count in the mean.
    pub burn_in: usize,
}

impl Default for SplitGibbs {
    fn default() -> SplitGibbs {
        SplitGibbs {
            iterations: 100,
            coupling_start: 10.0,
            decay: 0.9,
            coupling_end: 0.3,
            levels: Grid::all(Schedule::edm(100)),
            answer: Answer::Draw,
            burn_in: 40,
        }
    }
}

impl Described for SplitGibbs {
    const CARD: Card = Card {
        summary: "draws an image and a copy in turn, by prior and by data: slow, and exact in the limit",
        paper: "Wu et al. 2024, arXiv:2405.18782",
    };

    fn with_steps(mut self, steps: usize) -> SplitGibbs {
        self.iterations = steps;
        self
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        let levels = self.levels.levels(prior).unwrap_or_default();
        match self.check() {
            Ok(()) => (0..self.iterations)
                .map(|k| 1 + below(&levels, self.coupling(k, prior)).len())
                .sum(),
            Err(_) => 0,
        }
    }
}

impl Tuned for SplitGibbs {
    /// About a hundred evaluations: a short way back, and a coupling that falls to the noise of a clean photograph.
    fn tuned(task: &Task) -> SplitGibbs {
        let iterations = task.steps.unwrap_or(20);
        let (start, end) = (10.0, 0.05_f64);
        SplitGibbs {
            iterations,
            coupling_start: start,
            // It is there after nine tenths of the iterations.
            decay: (end / start).powf(1.0 / (0.9 * iterations as f64).max(1.0)),
            coupling_end: end,
            levels: Grid::all(Schedule::Edm {
                sigma_min: 0.02,
                sigma_max: 80.0,
                rho: 7.0,
                steps: 12,
            }),
            ..SplitGibbs::default()
        }
    }
}

impl SplitGibbs {
    fn check(&self) -> Result<(), Error> {
        Error::unless((1..=MAX_STEPS).contains(&self.iterations), || {
            format!(
                "there are 1 to {MAX_STEPS} iterations, not {}",
                self.iterations
            )
        })?;
        let positive = |v: f64| v > 0.0 && v.is_finite();
        let couplings = [self.coupling_start, self.coupling_end, self.decay];
        Error::unless(
            couplings.into_iter().all(positive) && self.decay <= 1.0,
            || "couplings are positive, and decay to 1 times themselves at most".into(),
        )?;
        let kept = self.answer == Answer::Draw || self.burn_in < self.iterations;
        Error::unless(kept, || {
            format!("of {} iterations none is left", self.iterations)
        })
    }

    /// The coupling of an iteration, within what the prior knows.
    fn coupling(&self, k: usize, prior: &PriorCard) -> f64 {
        let decayed = self.coupling_start * self.decay.powf(k as f64);
        let [least, most] = prior.sigma;
        (decayed.max(self.coupling_end) * prior.range.half)
            .min(most)
            .max(least)
    }
}

/// The levels, the noisiest first, that lie below a coupling.
fn below(levels: &[Level], rho: f64) -> &[Level] {
    &levels[levels.partition_point(|l| l.sigma() >= rho)..]
}

/// A draw of what `x`, noisy as the first level says, may have come from.
fn back(prior: &dyn Prior, mut x: Image, way: &[Level], run: &mut Run<'_>) -> Result<Image, Error> {
    for (t, s) in walk(way) {
        let x0: Estimate = run.denoise(prior, &x, t)?.into();
        run.poll(&x0.x0)?;
        x = Variance::Small.step(&Transition::new(t, s), &x, &x0, run);
    }
    Ok(x)
}

impl Method for SplitGibbs {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
    }

    fn draws(&self) -> bool {
        self.answer == Answer::Draw
    }

    fn knows_spread(&self) -> bool {
        self.answer == Answer::Mean && self.burn_in + 1 < self.iterations
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        self.check()?;
        let card = prior.card();
        let levels = self.levels.levels(card)?;
        let sigma_y = problem.sigma_floored(card.range);
        let data = Data::new(problem, DataStep::Prox);
        run.begin(self.iterations);
        let mut x = problem.operator.guess(&problem.y);
        let mut running = Running::default();
        for k in 0..self.iterations {
            let rho = self.coupling(k, card);
            let z = data.drawn(&x, rho, sigma_y, run);
            let first = [Level::ve(rho)].into_iter();
            let rest = below(&levels, rho).iter().map(|l| Level::ve(l.sigma()));
            x = back(prior, z, &first.chain(rest).collect::<Vec<_>>(), run)?;
            if self.answer == Answer::Mean && k >= self.burn_in {
                running.add(&x);
            }
            run.show(&x, Level::ve(rho))?;
        }
        Ok(match self.answer {
            Answer::Draw => x.into(),
            Answer::Mean => running.restored(),
        })
    }
}
