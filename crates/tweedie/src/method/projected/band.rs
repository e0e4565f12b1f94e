//! How large the forward process makes a residual (Jayaram et al. 2025, arXiv:2411.00359, equations 14 to 16).
//!
//! ```text
//! r = y - A x_s  for  x_s = a*x0 + b*z,  y = A x0 + n  with m numbers
//! mean = (1 - a)^2 |y|^2 + m*sigma_y^2 (1 - (1 - a)^2) + b^2 tr(A A^T)
//! var  = 2 (b^4 tr((A A^T)^2) + 2 b^2 sigma_y^2 tr(A A^T) + m*sigma_y^4)
//!      + 4 (1 - a)^2 (b^2 (|A^T y|^2 - sigma_y^2 tr(A A^T)) + sigma_y^2 (|y|^2 - m*sigma_y^2))
//! ```
//!
//! For data around zero: here `y` and `x` are taken around the middle of the range.

use crate::Image;
use crate::batch::dots;
use crate::level::Level;
use crate::noise::{NoiseSource, Seeded};
use crate::problem::Problem;

/// What the residual of a noisy image is, and how large the forward process would make it.
pub(super) struct Band<'a> {
    pub(super) problem: &'a Problem,
    /// The middle of the range as a measurement.
    middle: Image,
    /// `|y|^2` and `|A^T y|^2` of each picture.
    energy: Vec<f64>,
    seen: Vec<f64>,
    /// How many numbers are measured, `tr(A A^T)`, `tr((A A^T)^2)`.
    m: f64,
    trace: f64,
    trace2: f64,
    width: f64,
}

impl<'a> Band<'a> {
    pub(super) fn new(problem: &'a Problem, center: f64, width: f64) -> Band<'a> {
        let linear = problem.linear();
        let gray = Image::from_elem(linear.input().batch(problem.batch()), center as f32);
        let middle = linear.apply(&gray);
        let y = &problem.y - &middle;
        let back = linear.adjoint(&y);
        let mut band = Band {
            problem,
            energy: dots(&y, &y),
            seen: dots(&back, &back),
            middle,
            m: 0.0,
            trace: 0.0,
            trace2: 0.0,
            width,
        };
        // E |A^T z|^2 = tr(A A^T) and E |A A^T z|^2 = tr((A A^T)^2) for white z. Of signs both are exact where A A^T is diagonal, as for
        // masks and greys; single ones are always, where they are few.
        let (dims, few) = (linear.output(), linear.output().len() <= FEW);
        let probes = if few { dims.len() } else { PROBES };
        let mut noise = Seeded::new(0, "probes");
        for k in 0..probes {
            let z = match few {
                true => unit(dims.batch(1), k),
                false => {
                    let part = (1.0 / probes as f32).sqrt();
                    noise.normal(1, dims).mapv(|z| part.copysign(z))
                }
            };
            let back = linear.adjoint(&z);
            let again = linear.apply(&back);
            band.trace += dots(&back, &back)[0];
            band.trace2 += dots(&again, &again)[0];
            // What no image changes is not measured: hidden pixels.
            let measured = again.iter().filter(|&&v| v != 0.0).count() as f64;
            band.m = match few {
                true => band.m + measured.min(1.0),
                false => band.m.max(measured),
            };
        }
        band
    }

    /// `y - A x`, with `x` and `y` around the middle.
    pub(super) fn residual(&self, x: &Image, a: f64) -> Image {
        let mut r = self.problem.residual(x);
        r.scaled_add((a - 1.0) as f32, &self.middle);
        r
    }

    /// The largest `|y - A x|^2` of each picture.
    pub(super) fn edge(&self, level: Level) -> Vec<f64> {
        let (c, b) = ((1.0 - level.a).powi(2), level.b * level.b);
        let v = self.problem.sigma().powi(2);
        let white = b * b * self.trace2 + 2.0 * b * v * self.trace + self.m * v * v;
        let edge = |(energy, seen): (&f64, &f64)| {
            let mean = c * energy + self.m * v * (1.0 - c) + b * self.trace;
            let signal = b * (seen - v * self.trace) + v * (energy - self.m * v);
            mean + self.width * (2.0 * white + 4.0 * c * signal).max(0.0).sqrt()
        };
        self.energy.iter().zip(&self.seen).map(edge).collect()
    }
}

/// Up to so many numbers traces are exact.
const FEW: usize = 128;

/// Probes for a trace of more. Of `m` numbers it is off by at most about `sqrt(2/(m*PROBES))`, a quarter of the residual's own
/// deviation.
const PROBES: usize = 16;

/// A single one, at place `k`.
fn unit(dim: (usize, usize, usize, usize), k: usize) -> Image {
    let mut z = Image::zeros(dim);
    z.as_slice_mut().expect("in standard layout")[k] = 1.0;
    z
}

#[cfg(test)]
pub(super) mod tests {
    use ndarray::Array4;
    use rustfft::num_complex::Complex64;

    use super::*;
    use crate::Dims;
    use crate::level::Range;
    use crate::operator::{Blur, Boundary, Kernel, Mask, Operator};
    use crate::prior::Stationary;

    pub(in crate::method::projected) const DIMS: Dims = Dims::new(1, 12, 10);

    /// Independent pixels of N(0.5, 0.2^2).
    pub(in crate::method::projected) fn prior() -> Stationary {
        let power = Array4::from_elem((DIMS.h, DIMS.w, 1, 1), Complex64::from(0.04));
        Stationary::new(&[0.5], &power, Range::IMAGE).unwrap()
    }

    pub(in crate::method::projected) fn operators() -> [Box<dyn Operator>; 2] {
        let kernel = Kernel::gaussian(1.0, None).unwrap();
        let blur = Blur::new(DIMS, kernel, Boundary::Circular).unwrap();
        [
            Box::new(blur),
            Box::new(Mask::random(DIMS, 0.5, 3).unwrap()),
        ]
    }

    /// `n` measurements of one image, with noise where anything is measured; and the image, as often.
    pub(in crate::method::projected) fn measured(
        operator: Box<dyn Operator>,
        n: usize,
        sigma: f64,
    ) -> (Problem, Image) {
        let x0 = prior().sample(1, &mut Seeded::new(1, "truth"));
        let x0 = x0.broadcast(DIMS.batch(n)).unwrap().to_owned();
        let seen = operator.apply(&Image::ones(DIMS.batch(1)));
        let seen = seen.mapv(|v| f32::from(u8::from(v != 0.0)));
        let noise = Seeded::new(2, "noise").normal(n, operator.output()) * &seen;
        let y = operator.apply(&x0) + noise * sigma as f32;
        (Problem::new(y, operator, sigma).unwrap(), x0)
    }

    /// The law of the residual of noisy images, drawn a few thousand times: its mean and its deviation, with noise and without, for a
    /// blur and a mask, whose hidden pixels are not measured. Wrong: `(1 - a)^2` in the place of what it leaves of 1 before the
    /// noise; `m` the length of `y`; traces of `A` for those of `A A^T`; pictures that are not around the middle.
    #[test]
    fn the_band_is_that_of_the_forward_process() {
        let n = 3000;
        for k in 0..2 {
            for sigma in [0.0, 0.1] {
                let (problem, x0) = measured(operators().into_iter().nth(k).unwrap(), n, sigma);
                for level in [Level::vp(0.2, 0.5), Level::ve(0.3), Level::vp(0.9, 0.5)] {
                    let z = Seeded::new(3, "z").normal(n, DIMS);
                    let band = |width| Band::new(&problem, 0.5, width);
                    let r = band(0.0).residual(&level.mix(&x0, &z), level.a);
                    let squares = dots(&r, &r);
                    let mean = |v: &[f64]| v.iter().sum::<f64>() / n as f64;
                    let found = mean(&squares);
                    let spread: Vec<f64> = squares.iter().map(|s| (s - found).powi(2)).collect();
                    let (least, most) =
                        (mean(&band(0.0).edge(level)), mean(&band(1.0).edge(level)));
                    let what = format!("operator {k}, noise {sigma}, {level:?}");
                    assert!(
                        (found / least - 1.0).abs() < 0.015,
                        "{what}: {found} {least}"
                    );
                    let (found, told) = (mean(&spread).sqrt(), most - least);
                    assert!((found / told - 1.0).abs() < 0.08, "{what}: {found} {told}");
                }
            }
        }
    }
}
