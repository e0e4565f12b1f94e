//! Back-projection: the pseudo-inverse of IDBP and RED-BP, and how its regularisation is found (Tirer and Giryes 2019,
//! arXiv:1710.06647, section IV-C).
//!
//! ```text
//! z = x + A^+ (y - A x),   A^+ = A^T (A A^T + r)^-1
//! |e|^2/sigma_y^2 >= 4 |A^+ e|^2/sigma^2,   e = y - A x
//! ```
//!
//! `z` is the prox of the data with `rho = r`; where all is measured equally well `r` is 0. The second line is the condition under which
//! IDBP's theory holds, with the margin that the authors take for networks: too small an `r` lets the pseudo-inverse amplify more noise than the denoiser, told `sigma`, removes.
//!
//! The authors begin with `r = 0.0005`, and where the condition fails at some step they raise it and begin anew, for the residual
//! of an estimate that has taken up amplified noise no longer shows it. That costs evaluations. Here `e` is what the residual of
//! the true picture is, noise: then the condition says what `r` is right before a step is made. On a blur it is half of DPIR's weight, whatever
//! the strength (measured).

use crate::Image;
use crate::noise::{NoiseSource, Seeded};
use crate::operator::cg;
use crate::problem::Problem;
use crate::run::Error;

/// The least `r`, in units of the operator's squared norm.
const LEAST: f64 = 5e-4;

/// By how much the denoiser is to outdo the noise that is left, in variance.
const MARGIN: f64 = 4.0;

/// Puts a measurement back into estimates.
pub(super) struct BackProjection<'a> {
    problem: &'a Problem,
    r: f64,
    /// White noise to try it on, and what `r` is at most, while it is to be found.
    trial: Option<(Image, f64)>,
}

impl<'a> BackProjection<'a> {
    /// With `r` in units of the operator's squared norm; none to find it.
    pub(super) fn new(problem: &'a Problem, r: Option<f64>) -> Result<BackProjection<'a>, Error> {
        let sound = r.is_none_or(|r| r > 0.0 && r.is_finite());
        Error::unless(sound, || {
            "the regularisation of a pseudo-inverse must be positive".into()
        })?;
        let norm2 = match problem.linear().isometry() {
            Some(_) => 0.0,
            None => problem.norm2(),
        };
        let wanted = r.is_none() && norm2 > 0.0 && !problem.exact();
        let noise = || Seeded::new(0, "back-projection").normal(1, problem.operator.output());
        Ok(BackProjection {
            problem,
            r: r.unwrap_or(LEAST) * norm2,
            trial: wanted.then(|| (noise(), norm2)),
        })
    }

    /// `z`, from an estimate that was denoised with `sigma`.
    pub(super) fn project(&mut self, x: &Image, sigma: f64) -> Image {
        if let Some((noise, most)) = &self.trial {
            let allowed = (sigma / self.problem.sigma()).powi(2) / MARGIN;
            while self.r < *most && amplified(self.problem, noise, self.r) > allowed {
                self.r *= 1.25;
            }
        }
        self.problem.settle(x, self.r)
    }
}

/// `|A^+ e|^2/|e|^2`.
fn amplified(problem: &Problem, e: &Image, r: f64) -> f64 {
    let squared = |x: &Image| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let linear = problem.linear();
    let nothing = Image::zeros(linear.input().batch(1));
    squared(&linear.prox_within(e, &nothing, r, cg::Params::STEP)) / squared(e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::operator::{Blur, Boundary, Kernel};

    /// On a blur `r` grows as the denoiser weakens, until the amplified noise is half of what it removes: near the values of the paper's
    /// table, 0.016 at noise of 2.83/255 and 11.4/255 more. Wrong: sigmas for variances, or a ratio upside down.
    #[test]
    fn regularisation_follows_noise_and_denoiser() {
        let dims = Dims::new(1, 48, 48);
        let blur = Blur::new(
            dims,
            Kernel::gaussian(1.6, None).unwrap(),
            Boundary::Circular,
        );
        let y = Image::from_elem(dims.batch(1), 0.5);
        let problem = Problem::new(y.clone(), Box::new(blur.unwrap()), 0.01).unwrap();
        let mut back = BackProjection::new(&problem, None).unwrap();
        for (sigma, expected) in [
            (0.2, 5e-4),
            (0.1, 1.3e-3),
            (0.049, 5.2e-3),
            (0.0139, 6.3e-2),
        ] {
            back.project(&y, sigma);
            assert!(
                back.r / expected < 1.4 && expected / back.r < 1.4,
                "{sigma}: {} for {expected}",
                back.r
            );
        }
        let mut fixed = BackProjection::new(&problem, Some(0.01)).unwrap();
        fixed.project(&y, 0.001);
        assert!((fixed.r - 0.01).abs() < 1e-6);
    }
}
