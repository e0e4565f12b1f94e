//! Mean and spread of planes: what group normalisation has to know, and what a convolution finds out on its way.

use pulp::Simd;
use rayon::prelude::*;

use crate::shape::check;
use crate::simd::{Sixteen, run_sixteen, total};

/// Moments of some numbers, at least one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Their mean.
    pub mean: f64,
    /// The sum of the squares of their deviations from it.
    pub deviations: f64,
}

impl Moments {
    /// Of all numbers in `x`; zeros if there are none.
    pub fn of(x: &[f32]) -> Moments {
        let Some(&origin) = x.first() else {
            return Moments::default();
        };
        let [sum, squares] = run_sixteen(Around { x, origin });
        Moments::around(origin, sum, squares, x.len() as f64)
    }

    /// Of each plane of a tensor `[.., plane]`.
    pub(crate) fn of_planes(x: &[f32], plane: usize) -> Vec<Moments> {
        x.par_chunks_exact(plane.max(1)).map(Moments::of).collect()
    }

    /// From the sums of `x - origin` and of its square. With one of the numbers as origin no digits are lost where the mean
    /// is large.
    pub(crate) fn around(origin: f32, sum: f64, squares: f64, count: f64) -> Moments {
        Moments {
            mean: f64::from(origin) + sum / count,
            deviations: (squares - sum * sum / count).max(0.0),
        }
    }

    /// Of several sets of numbers together, each with its size (Chan, Golub and LeVeque 1983).
    pub(crate) fn merge(sets: impl Iterator<Item = (f64, Moments)> + Clone) -> Moments {
        let count: f64 = sets.clone().map(|(n, _)| n).sum();
        let mean = sets.clone().map(|(n, m)| n * m.mean).sum::<f64>() / count;
        let apart = |(n, m): (f64, Moments)| m.deviations + n * (m.mean - mean).powi(2);
        Moments {
            mean,
            deviations: sets.map(apart).sum(),
        }
    }
}

/// A tensor `[batch, channel, pixel]`, and the moments of its planes if they are known already.
#[derive(Clone, Copy, Debug)]
pub struct Planes<'a> {
    /// Its numbers.
    pub values: &'a [f32],
    /// `[batch, channel]`
    pub moments: Option<&'a [Moments]>,
}

impl Planes<'_> {
    /// Nothing to stand beside another tensor.
    pub const NONE: Planes<'static> = Planes {
        values: &[],
        moments: None,
    };
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Planes<'a> {
    fn from(values: &'a T) -> Planes<'a> {
        Planes {
            values: values.as_ref(),
            moments: None,
        }
    }
}

/// The channels of one tensor followed by those of another, in each image.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'a> {
    sides: [Planes<'a>; 2],
    /// Channels of each.
    channels: [usize; 2],
    plane: usize,
}

impl<'a> Sides<'a> {
    /// # Panics
    /// If the lengths do not fit.
    #[track_caller]
    pub(crate) fn new(batch: usize, plane: usize, sides: [Planes<'a>; 2]) -> Sides<'a> {
        let of_image = (batch * plane).max(1);
        let channels = sides.map(|side| side.values.len() / of_image);
        for (side, channels) in sides.iter().zip(channels) {
            check("x", side.values.len(), channels * of_image);
            if let Some(moments) = side.moments {
                check("moments", moments.len(), batch * channels);
            }
        }
        Sides {
            sides,
            channels,
            plane,
        }
    }

    /// The numbers from one plane on, to the end of its tensor.
    pub(crate) fn from(&self, image: usize, channel: usize) -> &'a [f32] {
        let (side, at) = self.place(image, channel);
        &self.sides[side].values[at * self.plane..]
    }

    /// One plane.
    pub(crate) fn plane(&self, image: usize, channel: usize) -> &'a [f32] {
        &self.from(image, channel)[..self.plane]
    }

    pub(crate) fn moments(&self, image: usize, channel: usize) -> Moments {
        let (side, at) = self.place(image, channel);
        match self.sides[side].moments {
            Some(moments) => moments[at],
            None => Moments::of(self.plane(image, channel)),
        }
    }

    /// Which tensor, and which of its planes.
    fn place(&self, image: usize, channel: usize) -> (usize, usize) {
        let [a, b] = self.channels;
        match channel.checked_sub(a) {
            None => (0, image * a + channel),
            Some(channel) => (1, image * b + channel),
        }
    }
}

/// Sums of `x - origin` and of its square.
struct Around<'a> {
    x: &'a [f32],
    origin: f32,
}

impl Sixteen for Around<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) -> [f64; 2] {
        let (chunks, rest) = self.x.as_chunks::<16>();
        let origin = simd.splat_f32s(self.origin);
        let mut all = [0.0; 2];
        for part in chunks.chunks(64) {
            let mut sums = [[simd.splat_f32s(0.0); V]; 2];
            for chunk in part {
                let chunk = &S::as_simd_f32s(chunk).0[..V];
                for k in 0..V {
                    let v = simd.sub_f32s(chunk[k], origin);
                    sums[0][k] = simd.add_f32s(sums[0][k], v);
                    sums[1][k] = simd.mul_add_e_f32s(v, v, sums[1][k]);
                }
            }
            // Long f32 sums lose digits: hand over to f64 now and then.
            for (all, sums) in all.iter_mut().zip(&sums) {
                *all += total::<S>(sums);
            }
        }
        for &v in rest {
            let v = f64::from(v - self.origin);
            all = [all[0] + v, all[1] + v * v];
        }
        all
    }
}
