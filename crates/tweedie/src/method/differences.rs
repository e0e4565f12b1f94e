//! Differences between neighbouring pixels, down and to the right, and what total variation asks of them.
//!
//! Nothing flows over the edges: the last row has no difference down, the last column none to the right. `|D|^2 <= 8`.

use ndarray::{Axis, Zip};

use crate::level::combine;
use crate::operator::cg;
use crate::problem::Problem;
use crate::{Dims, Image};

/// Two numbers at each pixel: down and to the right.
pub(super) type Field = [Image; 2];

/// The axes of the two.
const AXES: [Axis; 2] = [Axis(2), Axis(3)];

/// A bound on `|D|^2`.
pub(super) const NORM2: f64 = 8.0;

/// `D x`.
pub(super) fn differences(x: &Image) -> Field {
    AXES.map(|axis| {
        let mut d = Image::zeros(x.dim());
        let n = x.len_of(axis);
        Zip::from(d.slice_axis_mut(axis, (0..n - 1).into()))
            .and(x.slice_axis(axis, (0..n - 1).into()))
            .and(x.slice_axis(axis, (1..n).into()))
            .par_for_each(|d, &here, &next| *d = next - here);
        d
    })
}

/// `D^T p`.
pub(super) fn adjoint(p: &Field) -> Image {
    let mut out = Image::zeros(p[0].dim());
    for (axis, p) in AXES.into_iter().zip(p) {
        let n = out.len_of(axis);
        let p = p.slice_axis(axis, (0..n - 1).into());
        let mut here = out.slice_axis_mut(axis, (0..n - 1).into());
        here -= &p;
        let mut next = out.slice_axis_mut(axis, (1..n).into());
        next += &p;
    }
    out
}

/// `p + step*D x`, where longer than `limit` shortened to it: the projection of the dual of total variation.
pub(super) fn ascend(p: &mut Field, step: f64, x: &Image, limit: f64) {
    let [down, right] = differences(x);
    let [p0, p1] = p;
    let (step, limit) = (step as f32, limit as f32);
    Zip::from(p0)
        .and(p1)
        .and(&down)
        .and(&right)
        .par_for_each(|p, q, &d, &r| {
            *p += step * d;
            *q += step * r;
            let over = p.hypot(*q) / limit;
            if over > 1.0 {
                *p /= over;
                *q /= over;
            }
        });
}

/// Shortens each pair of numbers by `by`, at most to nothing: the prox of isotropic total variation.
pub(super) fn shrink([mut p, mut q]: Field, by: f64) -> Field {
    let by = by as f32;
    Zip::from(&mut p).and(&mut q).par_for_each(|p, q| {
        let length = p.hypot(*q);
        let keep = if length > by { 1.0 - by / length } else { 0.0 };
        *p *= keep;
        *q *= keep;
    });
    [p, q]
}

/// `(A^T A + rho D^T D) x = A^T y + rho D^T f`, by conjugate gradients from `x`: ADMM's step in the picture.
pub(super) fn least_squares(
    problem: &Problem,
    x: &Image,
    f: &Field,
    rho: f64,
    params: cg::Params,
) -> Image {
    let input = Dims::of(x);
    let misfit = {
        let [d0, d1] = differences(x);
        let left = [&f[0] - &d0, &f[1] - &d1];
        combine(1.0, &problem.pull(x), rho, &adjoint(&left))
    };
    let linear = problem.linear();
    let (step, _) = cg::each(&misfit, input, |misfit| {
        let normal = |v: &Image| {
            let data = linear.adjoint(&linear.apply(v));
            combine(1.0, &data, rho, &adjoint(&differences(v)))
        };
        let system = cg::shifted(normal, input, 0.0);
        let (step, info) = cg::solve(system, cg::unconditioned, cg::vector(misfit), params);
        (cg::image(&step, input), info)
    });
    x + &step
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(phase: f32) -> Image {
        Image::from_shape_fn((2, 1, 4, 5), |(n, _, i, j)| {
            (phase + (n + 7 * i + j * j) as f32).sin()
        })
    }

    /// `<D x, p> = <x, D^T p>`; catches differences across the edge, which these numbers have.
    #[test]
    fn the_adjoint_is_one() {
        let (x, p) = (picture(0.0), [picture(1.0), picture(2.0)]);
        let d = differences(&x);
        let there: f32 = d.iter().zip(&p).map(|(d, p)| (d * p).sum()).sum();
        let back = (&x * &adjoint(&p)).sum();
        assert!((there - back).abs() < 1e-5, "{there} {back}");
        let flat = Image::from_elem((1, 1, 1, 3), 0.7);
        assert!(
            differences(&flat)
                .iter()
                .all(|d| d.iter().all(|&v| v == 0.0))
        );
    }

    /// Moreau: what shrinking leaves and what the projection keeps add up. Wrong: each direction shrunk alone (anisotropic).
    #[test]
    fn shrinking_and_projecting_add_up() {
        let x = picture(0.5);
        let left = shrink(differences(&x), 0.3);
        let mut kept = [Image::zeros(x.dim()), Image::zeros(x.dim())];
        ascend(&mut kept, 1.0, &x, 0.3);
        for ((whole, left), kept) in differences(&x).iter().zip(&left).zip(&kept) {
            assert!((whole - left - kept).iter().all(|v| v.abs() < 1e-6));
        }
        let length = left[0][[0, 0, 1, 1]].hypot(left[1][[0, 0, 1, 1]]);
        let [d, r] = differences(&x).map(|d| d[[0, 0, 1, 1]]);
        assert!((length - (d.hypot(r) - 0.3).max(0.0)).abs() < 1e-6);
    }
}
