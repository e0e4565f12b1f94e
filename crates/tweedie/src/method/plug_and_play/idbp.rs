//! IDBP: iterative denoising and back-projections (Tirer and Giryes 2019, arXiv:1710.06647; for super-resolution arXiv:1811.12866).
//!
//! ```text
//! x = D(z, sigma_y + delta_k)
//! z = x + A^+ (y - A x)
//! ```
//!
//! Proximal gradient with step 1 on the back-projection fidelity `|(A A^T)^(-1/2) (A x - y)|^2`: what is measured is put back,
//! what is not is the denoiser's. `A^+` is [`BackProjection`]'s, with the paper's automatic tuning. The result is `x` where there
//! is noise, else `z`. DDNM is the same with a diffusion model's levels and fresh noise.

use serde::{Deserialize, Serialize};

use crate::method::plug_and_play::back_projection::BackProjection;
use crate::method::plug_and_play::denoiser::Denoiser;
use crate::method::{Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::Problem;
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// Settings of IDBP: the authors' with a network as the denoiser. For super-resolution they take a ladder from 12 to 1 times the
/// factor/255; the ladder here is one of what is denoised beyond the noise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Idbp {
    /// Number of steps.
    pub steps: usize,
    /// What is denoised beyond the noise in the first step, for images in [0, 1].
    pub delta_start: f64,
    /// And in the last.
    pub delta_end: f64,
    /// `r` of the regularised pseudo-inverse, in units of the operator's squared norm. None to find it.
    pub regularisation: Option<f64>,
    /// Whether pictures are turned and mirrored, one of eight ways in each step, for the denoiser.
    pub ensemble: bool,
}

impl Default for Idbp {
    fn default() -> Idbp {
        Idbp {
            steps: 30,
            delta_start: 10.0 / 255.0,
            delta_end: 10.0 / 255.0,
            regularisation: None,
            ensemble: false,
        }
    }
}

impl Described for Idbp {
    const CARD: Card = Card {
        summary: "denoise, then put the measurement back by its pseudo-inverse; tunes itself to the noise",
        paper: "Tirer and Giryes 2019, arXiv:1710.06647",
    };

    fn with_steps(mut self, steps: usize) -> Idbp {
        self.steps = steps;
        self
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        self.steps
    }
}

impl Tuned for Idbp {
    fn tuned(task: &Task) -> Idbp {
        Idbp {
            steps: task.steps.unwrap_or(30),
            delta_start: 49.0 / 255.0,
            delta_end: 1.0 / 255.0,
            ensemble: true,
            ..Idbp::default()
        }
    }
}

impl Method for Idbp {
    fn needs(&self) -> Vec<Need> {
        vec![Need::Linear]
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
        let noise = problem.sigma() / prior.card().range.width();
        let sigma = [self.delta_start, self.delta_end].map(|delta| noise + delta);
        let denoiser = Denoiser::new(prior, self.steps, sigma)?.ensemble(self.ensemble);
        let mut back = BackProjection::new(problem, self.regularisation)?;
        run.begin(self.steps);
        let mut z = problem.operator.guess(&problem.y);
        let mut x = z.clone();
        for k in 0..self.steps {
            x = denoiser.apply(k, &z, run)?;
            z = back.project(&x, denoiser.level(k).sigma());
            run.show(&x, denoiser.level(k))?;
        }
        Ok(if problem.exact() { z } else { x }.into())
    }
}
