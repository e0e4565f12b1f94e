//! Orthonormal rows for each channel, and a first look at what was measured by sums over many pixels.

use std::fmt;

use nalgebra::{DMatrix, DVector};
use ndarray::Axis;
use rayon::prelude::*;

use super::{Error, Gain, Linear, Loss, Operator, Spectrum, not_empty, plane};
use crate::{Dims, Image};

/// A matrix for the numbers of a plane, whose rows are orthogonal and of length 1.
pub trait OrthonormalRows: Send + Sync {
    /// What the operator is called in messages.
    const NAME: &'static str;

    /// How many there are.
    fn rows(&self) -> usize;

    /// `A x` of a plane.
    fn measure(&self, x: &[f32], y: &mut [f32]);

    /// `A^T u`.
    fn back_project(&self, u: &[f32], x: &mut [f32]);
}

/// The same orthonormal rows for each channel: `A A^T = I`, all singular values are 1, and `A^+ = A^T`. The numbers of each channel
/// are one row of the measurement.
pub struct Sensed<M> {
    input: Dims,
    by: M,
}

impl<M: OrthonormalRows> Sensed<M> {
    /// For images of these dimensions.
    pub(super) fn of(input: Dims, by: M) -> Result<Sensed<M>, Error> {
        not_empty(M::NAME, input)?;
        Ok(Sensed { input, by })
    }

    /// Planes are independent, so that several are worked on at once.
    fn planes(
        &self,
        x: &Image,
        from: Dims,
        to: Dims,
        f: impl Fn(&[f32], &mut [f32]) + Sync,
    ) -> Image {
        plane::check(x, from);
        let mut out = Image::zeros(to.batch(x.dim().0));
        let x = x.as_standard_layout();
        let planes = x.as_slice().expect("in standard layout");
        let planes = planes.par_chunks_exact(from.h * from.w);
        let outs = plane::values(&mut out).par_chunks_exact_mut(to.h * to.w);
        planes.zip(outs).for_each(|(x, out)| f(x, out));
        out
    }
}

impl<M: OrthonormalRows> Operator for Sensed<M> {
    fn name(&self) -> &'static str {
        M::NAME
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        Dims::new(self.input.c, 1, self.by.rows())
    }

    fn apply(&self, x: &Image) -> Image {
        let measure = |x: &[f32], y: &mut [f32]| self.by.measure(x, y);
        self.planes(x, self.input, self.output(), measure)
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    fn guess(&self, y: &Image) -> Image {
        back_projected(self, y)
    }

    fn loss(&self) -> Loss {
        Loss {
            mixed: true,
            ..Loss::NOTHING
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl<M: OrthonormalRows> Linear for Sensed<M> {
    fn adjoint(&self, u: &Image) -> Image {
        let back = |u: &[f32], x: &mut [f32]| self.by.back_project(u, x);
        self.planes(u, self.output(), self.input, back)
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        Some(self)
    }

    fn gram(&self) -> Option<f64> {
        Some(1.0)
    }
}

impl<M: OrthonormalRows> Spectrum for Sensed<M> {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let seen = self.adjoint(&self.apply(x));
        let weigh = |gain: &Gain<'_>| {
            let (one, rest) = (gain(1.0), gain(0.0));
            let mut out = &seen * (one - rest) as f32;
            if rest != 0.0 {
                out.scaled_add(rest as f32, x);
            }
            out
        };
        gains.iter().map(weigh).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let back = self.adjoint(y);
        let weigh = |gain: &Gain<'_>| &back * gain(1.0) as f32;
        gains.iter().map(weigh).collect()
    }

    fn norm(&self) -> f64 {
        1.0
    }
}

impl<M: OrthonormalRows> fmt::Debug for Sensed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.input.h * self.input.w;
        write!(
            f,
            "{}({}, {} of {all})",
            M::NAME,
            self.input,
            self.by.rows()
        )
    }
}

/// The brightness of each channel that explains a measurement best, by least squares, and one step of steepest descent from there:
/// `m + t A^T (y - A m)` with `t = |g|^2/|A g|^2` for `g = A^T (y - A m)`. Mid-grey where the measurement does not tell brightness.
pub(super) fn back_projected(operator: &dyn Linear, y: &Image) -> Image {
    let channels = operator.input().c;
    let flat: Vec<Image> = (0..channels).map(|c| flat(operator, c)).collect();
    let seen: Vec<Image> = flat.iter().map(|x| operator.apply(x)).collect();
    let pictures = y.axis_chunks_iter(Axis(0), 1).map(|y| {
        let y = y.to_owned();
        let levels = levels(&seen, &y);
        let mut x = Image::zeros(operator.input().batch(1));
        let mut left = y;
        for (level, (flat, seen)) in levels.iter().zip(flat.iter().zip(&seen)) {
            x.scaled_add(*level as f32, flat);
            left.scaled_add(-*level as f32, seen);
        }
        let back = operator.adjoint(&left);
        let again = operator.apply(&back);
        let length = product(&again, &again);
        if length > 0.0 {
            x.scaled_add((product(&back, &back) / length) as f32, &back);
        }
        x
    });
    let pictures: Vec<Image> = pictures.collect();
    let views: Vec<_> = pictures.iter().map(|x| x.view()).collect();
    ndarray::concatenate(Axis(0), &views).expect("pictures of one size")
}

/// A picture that is 1 in one channel.
fn flat(operator: &dyn Linear, channel: usize) -> Image {
    let mut x = Image::zeros(operator.input().batch(1));
    x.index_axis_mut(Axis(1), channel).fill(1.0);
    x
}

/// `argmin_m |y - sum_c m_c A e_c|^2`, for channels whose brightness is seen; of the others 0.5.
fn levels(seen: &[Image], y: &Image) -> Vec<f64> {
    let n = seen.len();
    let power: Vec<f64> = seen.iter().map(|s| product(s, s)).collect();
    let least = 1e-6 * power.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let is_seen: Vec<usize> = (0..n).filter(|&c| power[c] > least).collect();
    let k = is_seen.len();
    let gram = DMatrix::from_fn(k, k, |i, j| product(&seen[is_seen[i]], &seen[is_seen[j]]));
    let right = DVector::from_fn(k, |i, _| product(&seen[is_seen[i]], y));
    let mut levels = vec![0.5; n];
    if let Some(found) = gram.cholesky().map(|c| c.solve(&right)) {
        for (&c, &level) in is_seen.iter().zip(&found) {
            levels[c] = level;
        }
    }
    levels
}

fn product(a: &Image, b: &Image) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}
