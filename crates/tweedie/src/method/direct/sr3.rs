//! SR3: draws from a posterior that was learned (Saharia et al. 2021, "Image Super-Resolution via Iterative Refinement",
//! arXiv:2104.07636, algorithm 2; with any operator in the place of down-sampling, Saharia et al. 2022, arXiv:2111.05826).
//!
//! The prior is conditional: a network that was trained on pairs is shown the operator's first guess `g` of the picture beside the
//! noisy one, and answers what both say of it,
//!
//! ```text
//! E[x0 | x_t, g],   g = guess(y):   of a small picture, bicubic interpolation to the result's size
//! ```
//!
//! That is the denoiser of the posterior itself: any sampler of the prior draws from it, unchanged, and at the noisiest level,
//! where `x_t` tells nothing, one evaluation is its mean. Nothing is guided or projected. For that, the network knows one task
//! alone, and how well the result explains the measurement is left to what it learned.
//!
//! SR3 draws ancestrally from a network that is told a level of noise, clipping its estimates: by default 100 of the levels of its
//! schedule, of which there are 2000 with betas from 1e-6 to 0.01.

use serde::{Deserialize, Serialize};

use crate::Dims;
use crate::grid::{Grid, Schedule, Subset};
use crate::level::Level;
use crate::method::direct::exact::{Answer, Exact};
use crate::method::{Handling, Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};
use crate::sampler::{Ddpm, Settings};

/// Settings of SR3. By default a draw by 100 ancestral steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sr3 {
    /// The mean, in one evaluation, or a draw.
    pub answer: Answer,
    /// What draws: any sampler of the prior.
    pub sampler: Box<Settings>,
}

/// Where SR3's chain of 2000 levels begins and ends.
const BETA: [f64; 2] = [1e-6, 1e-2];

/// EDM's largest sigma, for data in [-1, 1]: all that a prior without limits needs be asked for the mean.
const NOISIEST: f64 = 80.0;

impl Default for Sr3 {
    fn default() -> Sr3 {
        let schedule = Schedule::Vp {
            beta: BETA,
            steps: 2000,
        };
        let ancestral = Ddpm {
            grid: Grid {
                schedule,
                subset: Subset::Spaced { steps: 100 },
            },
            ..Ddpm::default()
        };
        Sr3 {
            answer: Answer::Draw,
            sampler: Box::new(ancestral.into()),
        }
    }
}

impl Tuned for Sr3 {
    /// The mean, unless a draw is wanted, or more steps than one; draws follow the probability-flow ODE, as those of [`Exact`].
    fn tuned(task: &Task) -> Sr3 {
        let draw = |steps| Sr3 {
            answer: Answer::Draw,
            sampler: Box::new(Exact::edm(steps).into()),
        };
        match (task.steps, task.draw) {
            (None | Some(1), false) => Sr3 {
                answer: Answer::Mean,
                ..draw(18)
            },
            (steps, _) => draw(steps.unwrap_or(18)),
        }
    }
}

impl Described for Sr3 {
    const CARD: Card = Card {
        summary: "a conditional prior, trained for the task: its mean in 1 evaluation, or a draw by any sampler (more steps)",
        paper: "Saharia et al. 2021, arXiv:2104.07636",
    };

    /// One step is the mean, more are a draw.
    fn with_steps(self, steps: usize) -> Sr3 {
        match steps {
            1 => Sr3 {
                answer: Answer::Mean,
                ..self
            },
            _ => Sr3 {
                answer: Answer::Draw,
                sampler: Box::new(self.sampler.with_steps(steps)),
            },
        }
    }

    fn nfe(&self, prior: &PriorCard) -> usize {
        match self.answer {
            Answer::Mean => 1,
            Answer::Draw => self.sampler.nfe(prior),
        }
    }
}

impl Method for Sr3 {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Condition]
    }

    fn draws(&self) -> bool {
        self.answer == Answer::Draw
    }

    /// How noisy measurements are the network learned; it is not told.
    fn handling(&self) -> Handling {
        Handling::Ignored
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        let trained = prior.card().condition.as_ref().expect("the method's need");
        if !trained.knows_noise(problem.sigma()) {
            let [least, most] = trained.noise.map(|sigma| 255.0 * sigma);
            run.note(format!(
                "the prior was trained for noise of {least:.1} to {most:.1}/255, and this is {:.1}/255: what differs is taken for \
                 the picture",
                255.0 * problem.sigma()
            ));
        }
        let guess = problem.operator.guess(&problem.y);
        let posterior = prior.given(&guess).map_err(|e| run.failed(e))?;
        let (n, dims) = (problem.batch(), Dims::of(&guess));
        let x = match self.answer {
            Answer::Mean => {
                run.begin(1);
                let card = posterior.card();
                let noisiest = Level::ve(card.sigma[1].min(NOISIEST * card.range.half));
                let x = run.pure_noise(card.range, noisiest, n, dims);
                let mean = run.denoise(posterior.as_ref(), &x, noisiest)?;
                run.show(&mean, noisiest)?;
                mean
            }
            Answer::Draw => self
                .sampler
                .as_dyn()
                .sample(posterior.as_ref(), n, dims, run)?,
        };
        Ok(x.into())
    }
}
