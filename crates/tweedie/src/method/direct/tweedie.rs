//! Tweedie's formula itself: one evaluation of the prior.
//!
//! A picture with Gaussian noise is a diffusion model's `x` at the level `a = 1, b = sigma`, so that its denoiser gives
//! the posterior mean `E[x0 | y]` at once: of all estimates the one with the least mean squared error, smooth where the
//! noise has hidden the detail. Robbins 1956; Efron 2011.
//!
//! Noise that grows with brightness is made equal first, and the answer brought back without bias
//! ([`stabilise`](super::stabilise)); noise that a file cut off is put back, which takes a second evaluation ([`clipping`]); noise that
//! neighbours share is made white at some levels, two evaluations each ([`correlated`]).

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::grid::MAX_STEPS;
use crate::level::Level;
use crate::method::direct::stabilise::evenly;
use crate::method::direct::{clipping, correlated};
use crate::method::{Handling, Method, Restored, Task, Tuned};
use crate::prior::{Card as PriorCard, Prior};
use crate::problem::{Noise, Problem};
use crate::registry::{Card, Described, Need};
use crate::run::{Error, Run};

/// The posterior mean of pictures with noise and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tweedie {
    /// Levels at which noise is made white that neighbours share, two evaluations each; 0 to take it for white noise, with one. Of no
    /// account for other noise.
    pub levels: usize,
}

impl Default for Tweedie {
    fn default() -> Tweedie {
        Tweedie { levels: 2 }
    }
}

impl Described for Tweedie {
    const CARD: Card = Card {
        summary: "the posterior mean of a picture that has noise only: one evaluation, two where a file cut the noise off, four where neighbours share it",
        paper: "Robbins 1956; Efron 2011; correlated noise: Kawar et al. 2021, 2022",
    };

    /// So many evaluations where neighbours share the noise: one takes it for white.
    fn with_steps(self, steps: usize) -> Tweedie {
        Tweedie {
            levels: (steps / 2).min(MAX_STEPS),
        }
    }

    fn nfe(&self, _: &PriorCard) -> usize {
        1
    }
}

impl Tuned for Tweedie {
    fn tuned(task: &Task) -> Tweedie {
        Tweedie::default().with_steps(task.steps.unwrap_or(4))
    }
}

impl Method for Tweedie {
    fn needs(&self) -> Vec<Need> {
        vec![Need::NoiseOnly]
    }

    fn draws(&self) -> bool {
        false
    }

    fn handling(&self) -> Handling {
        Handling::Any
    }

    fn solve(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Restored, Error> {
        Error::unless(self.levels <= MAX_STEPS, || {
            format!(
                "tweedie takes up to {MAX_STEPS} levels, not {}",
                self.levels
            )
        })?;
        run.begin(1);
        let noise = match problem.noise {
            Noise::Correlated(_) if self.levels > 0 => problem.noise,
            noise => noise.unshared(),
        };
        let x0 = evenly(noise, &problem.y, |y, sigma| match noise {
            Noise::Correlated(spectrum) => {
                let even = spectrum.scaled(sigma / spectrum.white);
                correlated::removed(prior, y, &even, self.levels, run)
            }
            _ => once(prior, y, sigma, run),
        })?;
        Ok(x0.into())
    }
}

/// One evaluation, or two where noise was cut off. A measurement without noise is left as it is, and so is one with less than half of what the prior knows; with
/// a little less than that the prior is asked at its least level.
fn once(prior: &dyn Prior, y: &Image, sigma: f64, run: &mut Run<'_>) -> Result<Image, Error> {
    let [least, _] = prior.card().sigma;
    if sigma == 0.0 {
        run.note("no noise: the picture is left as it is");
        return Ok(y.clone());
    }
    if sigma < 0.5 * least {
        run.note(format!(
                "the noise is far below what the prior knows (sigma {least}): the picture is left as it is"
            ));
        return Ok(y.clone());
    }
    if sigma < least {
        run.note(format!(
            "the noise is below what the prior knows: removed as if it were {least}"
        ));
    }
    let level = Level::ve(sigma.max(least));
    let x0 = run.denoise(prior, y, level)?;
    let limits = prior.card().range.limits();
    if !clipping::matters(y, limits) {
        run.show(&x0, level)?;
        return Ok(x0);
    }
    run.begin(2);
    run.show(&x0, level)?;
    run.note("the file cut noise off at black and white: put back where it is expected, and removed again");
    let whole = clipping::put_back(y, &x0, level.b, limits);
    let x0 = run.denoise(prior, &whole, level)?;
    run.show(&x0, level)?;
    Ok(x0)
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::Dims;
    use crate::operator::Identity;
    use crate::prior::{Card, Estimate, Gaussian};

    /// A Gaussian that knows no noise below 0.001.
    struct Limited(Gaussian, Card);

    impl Prior for Limited {
        fn card(&self) -> &Card {
            &self.1
        }

        fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, crate::prior::Error> {
            self.0.estimate(x, level)
        }
    }

    /// Noise around the least that a prior knows. Wrong: an error, or a stronger denoising without a word.
    #[test]
    fn little_noise_is_removed_or_left_and_said() {
        let dims = Dims::new(1, 2, 2);
        let range = crate::level::Range::IMAGE;
        let gaussian = Gaussian::new(dims, &[0.5; 4], &Array2::eye(4), range).unwrap();
        let card = Card {
            sigma: [0.001, 40.0],
            ..gaussian.card().clone()
        };
        let prior = Limited(gaussian, card);
        let y = Image::from_elem(dims.batch(1), 0.3);
        for (sigma, nfe, says) in [
            (0.0, 0, "no noise"),
            (0.0003, 0, "far below"),
            (0.0008, 1, "as if it were 0.001"),
            (0.002, 1, ""),
        ] {
            let operator = Box::new(Identity::new(dims).unwrap());
            let problem = Problem::new(y.clone(), operator, sigma).unwrap();
            let mut run = Run::new(0);
            let x = Tweedie::default()
                .restore(&prior, &problem, &mut run)
                .unwrap()
                .x;
            assert_eq!((run.nfe(), x == y), (nfe, nfe == 0), "{sigma}");
            assert_eq!(run.notes().len(), usize::from(!says.is_empty()));
            assert!(run.notes().iter().all(|note| note.contains(says)));
        }
    }
}
