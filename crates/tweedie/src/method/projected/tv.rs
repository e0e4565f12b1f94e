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

use ndarray::{Axis, Slice, Zip};

use crate::Image;
use crate::operator::cg;
use crate::problem::Problem;

/// The two variables that are kept from one sweep to the next, each with the differences down and to the right.
pub(super) struct Sweeps {
    d: [Image; 2],
    u: [Image; 2],
}

/// The two axes of a picture.
const AXES: [Axis; 2] = [Axis(2), Axis(3)];

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
        let linear = problem.linear();
        // With x = x0 + e: (A^T A + rho D^T D) e = A^T (y - A x0) + rho D^T (d - u - D x0).
        let mut right = linear.adjoint(&problem.residual(x0));
        for (k, axis) in AXES.into_iter().enumerate() {
            let missing = &self.d[k] - &self.u[k] - &difference(x0, axis);
            right.scaled_add(rho as f32, &transposed(&missing, axis));
        }
        let dims = problem.operator.input();
        let (change, _) = cg::each(&right, dims, |right| {
            let normal = |x: &Image| {
                let mut out = linear.adjoint(&linear.apply(x));
                for axis in AXES {
                    out.scaled_add(rho as f32, &transposed(&difference(x, axis), axis));
                }
                out
            };
            let system = cg::shifted(normal, dims, 0.0);
            let (x, info) = cg::solve(system, cg::unconditioned, cg::vector(right), params);
            (cg::image(&x, dims), info)
        });
        let x = x0 + &change;
        let threshold = (lambda / rho) as f32;
        for (k, axis) in AXES.into_iter().enumerate() {
            let slopes = difference(&x, axis);
            Zip::from(&mut self.d[k])
                .and(&mut self.u[k])
                .and(&slopes)
                .par_for_each(|d, u, &slope| {
                    let v = slope + *u;
                    *d = v.signum() * (v.abs() - threshold).max(0.0);
                    *u = v - *d;
                });
        }
        x
    }
}

/// `D x` along an axis: the next pixel minus this one; 0 at the edge.
fn difference(x: &Image, axis: Axis) -> Image {
    let mut out = Image::zeros(x.raw_dim());
    let n = x.len_of(axis);
    if n > 1 {
        let (here, next) = (Slice::from(..n - 1), Slice::from(1..));
        let mut slopes = out.slice_axis_mut(axis, here);
        slopes.assign(&x.slice_axis(axis, next));
        slopes -= &x.slice_axis(axis, here);
    }
    out
}

/// `D^T v` along an axis, for `v` of 0 at the edge.
fn transposed(v: &Image, axis: Axis) -> Image {
    let mut out = v.mapv(|v| -v);
    let n = v.len_of(axis);
    if n > 1 {
        let mut later = out.slice_axis_mut(axis, Slice::from(1..));
        later += &v.slice_axis(axis, Slice::from(..n - 1));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dims;
    use crate::noise::{NoiseSource, Seeded};
    use crate::operator::Identity;

    /// `<D x, v> = <x, D^T v>`. Wrong: a difference across the edge, a sign.
    #[test]
    fn differences_have_their_transpose() {
        let dims = Dims::new(2, 5, 4);
        let [x, v] = [1, 2].map(|seed| Seeded::new(seed, "test").normal(1, dims));
        for axis in AXES {
            // Only differences are transposed.
            let v = difference(&v, axis);
            let left: f32 = (&difference(&x, axis) * &v).sum();
            let right: f32 = (&x * &transposed(&v, axis)).sum();
            assert!((left - right).abs() < 1e-4, "{left} {right}");
        }
    }

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
