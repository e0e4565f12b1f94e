//! Back-projection: the pseudo-inverse of IDBP and RED-BP, and how its regularisation is found (Tirer and Giryes 2019,
//! arXiv:1710.06647, section IV-C).
//!
//! ```text
//! z = x + A^+ (y - A x),   A^+ = A^T (A A^T + r)^-1
//! |y - A x|^2/sigma_y^2 >= ratio*|z - x|^2/(sigma_y + delta)^2
//! ```
//!
//! `z` is the prox of the data with `rho = r`; where all is measured equally well `r` is 0. The second line is the condition under which
//! IDBP's theory holds: too small an `r` lets the pseudo-inverse amplify the noise. The authors begin with `r = 0.0005`, add to it
//! where the condition does not hold, with 4 for the ratio where the denoiser is a network, and begin anew; here the iteration goes on from where it is, since
//! denoising forgets a start and each evaluation counts, and `r` grows by a quarter each time.

use crate::Image;
use crate::problem::Problem;
use crate::run::Error;

/// The least `r`, in units of the operator's squared norm.
const LEAST: f64 = 5e-4;

/// How much of its bound the condition leaves.
const RATIO: f64 = 4.0;

/// Puts a measurement back into estimates.
pub(super) struct BackProjection<'a> {
    problem: &'a Problem,
    r: f64,
    /// What `r` is at most, while it is to be found.
    most: Option<f64>,
}

impl<'a> BackProjection<'a> {
    /// With `r` in units of the operator's squared norm; none to find it. It is one for all pictures of a batch.
    pub(super) fn new(problem: &'a Problem, r: Option<f64>) -> Result<BackProjection<'a>, Error> {
        let sound = r.is_none_or(|r| r > 0.0 && r.is_finite());
        Error::unless(sound, || {
            "the regularisation of a pseudo-inverse must be positive".into()
        })?;
        let norm2 = match problem.linear().isometry() {
            Some(_) => 0.0,
            None => problem.norm2(),
        };
        Ok(BackProjection {
            problem,
            r: r.unwrap_or(LEAST) * norm2,
            most: (r.is_none() && norm2 > 0.0 && !problem.exact()).then_some(norm2),
        })
    }

    /// `z`, from an estimate that was denoised with `sigma`.
    pub(super) fn project(&mut self, x: &Image, sigma: f64) -> Image {
        let squared = |x: &Image| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        let left = squared(&self.problem.residual(x)) / self.problem.sigma().powi(2);
        loop {
            let z = self.problem.settle(x, self.r);
            let holds = |z: &Image| left >= RATIO * squared(&(z - x)) / (sigma * sigma);
            match self.most {
                Some(most) if self.r < most && !holds(&z) => self.r *= 1.25,
                _ => return z,
            }
        }
    }
}
