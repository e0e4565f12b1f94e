//! One sweep of ADMM for a picture with small total variation (Boyd et al. 2011, section 6.4.1), which goes on where the last one
//! ended: the data step of DiffusionMBIR and of DDS for volumes.
//!
//! ```text
//! minimise 1/2 |y - A x|^2 + lambda*|D x|_1                     D: differences of neighbouring pixels
//! x = CG for (A^T A + rho D^T D) x = A^T y + rho D^T (d - u)     from the prior's estimate
//! d = soft(D x + u, lambda/rho),   u = u + D x - d
//! ```
//!
//! In the papers `D` runs across slices, of which a picture has one; here it runs along both sides of the picture.

use ndarray::Zip;

use crate::Image;
use crate::method::differences::{Field, differences, least_squares};
use crate::operator::cg;
use crate::problem::Problem;

/// The two variables that are kept from one sweep to the next, each with the differences down and to the right.
pub(super) struct Sweeps {
    d: Field,
    u: Field,
}

impl Sweeps {
    /// Nothing is known yet.
    pub(super) fn new(problem: &Problem) -> Sweeps {
        let none = || Image::zeros(problem.operator.input().batch(problem.batch()));
        Sweeps {
            d: [none(), none()],
            u: [none(), none()],
        }
    }

    /// From the prior's estimate `x0` to the next image.
    pub(super) fn next(
        &mut self,
        problem: &Problem,
        x0: &Image,
        (rho, lambda): (f64, f64),
        params: cg::Params,
    ) -> Image {
        let missing = [&self.d[0] - &self.u[0], &self.d[1] - &self.u[1]];
        let x = least_squares(problem, x0, &missing, rho, params);
        let threshold = (lambda / rho) as f32;
        for (k, slopes) in differences(&x).iter().enumerate() {
            Zip::from(&mut self.d[k])
                .and(&mut self.u[k])
                .and(slopes)
                .par_for_each(|d, u, &slope| {
                    let v = slope + *u;
                    *d = v.signum() * (v.abs() - threshold).max(0.0);
                    *u = v - *d;
                });
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::operator::Identity;

    /// Sweeps from wherever converge to the picture of least total variation: an edge keeps its place, loses `lambda` of height
    /// for each side's width, and noise of less than that is gone. Wrong: `u` forgotten between sweeps, which stays noisy; a
    /// threshold of `lambda` for `lambda/rho`.
    #[test]
    fn sweeps_converge_to_the_total_variation() {
        let dims = Dims::new(1, 1, 8);
        let y = [0.03, -0.02, 0.01, -0.02, 1.02, 0.97, 1.01, 1.0];
        let y = Image::from_shape_vec(dims.batch(1), y.to_vec()).unwrap();
        let problem = Problem::new(y, Box::new(Identity::new(dims).unwrap()), 0.1).unwrap();
        let mut sweeps = Sweeps::new(&problem);
        let mut x = Image::zeros(dims.batch(1));
        for _ in 0..300 {
            x = sweeps.next(&problem, &x, (1.0, 0.2), cg::Params::default());
        }
        // Two flat parts of four pixels with means 0 and 1; each is drawn 0.2/4 towards the other.
        assert_eq!(problem.operator.input(), dims);
        for (i, &v) in x.iter().enumerate() {
            let expected = if i < 4 { 0.05 } else { 0.95 };
            assert!((v - expected).abs() < 1e-3, "{x:?}");
        }
    }
}
