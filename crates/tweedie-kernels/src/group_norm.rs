//! Group normalisation (Wu and He 2018), with the SiLU that follows it in diffusion networks in the same pass.
//!
//! A task takes one group of one image: its moments bring it into the cache, where the passes after them find it.

use std::ops::Range;

use rayon::prelude::*;

use crate::film::Film;
use crate::moments::{Moments, Planes, Sides};
use crate::resample::pool_plane;
use crate::scratch::Scratch;
use crate::shape::check;
use crate::simd;

/// A group normalisation of `[batch, channels, plane]`: `u = (x - mean) / sqrt(variance + eps) * scale + shift`, and SiLU
/// after it or not.
///
/// Mean and (biased) variance are those of one group of channels in one image. `scale` and `shift` are per image and
/// channel, so that a scale and shift of the noise level's (FiLM) can be multiplied into weight and bias beforehand.
#[derive(Debug, Clone, Copy)]
pub struct GroupNorm<'a> {
    /// Groups, which divide the channels.
    pub groups: usize,
    /// Added to the variance; positive.
    pub eps: f32,
    /// `[batch, channels]`
    pub scale: &'a [f32],
    /// `[batch, channels]`
    pub shift: &'a [f32],
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Where [`GroupNorm::gradient`] writes; all are overwritten.
#[derive(Debug)]
pub struct NormGradients<'a> {
    /// Gradient to `x`.
    pub dx: &'a mut [f32],
    /// Gradient to `scale`.
    pub dscale: &'a mut [f32],
    /// Gradient to `shift`.
    pub dshift: &'a mut [f32],
}

impl GroupNorm<'_> {
    /// Writes to `y`, which is overwritten, what becomes of `batch` images in `x`.
    ///
    /// # Panics
    /// If the lengths do not fit each other, or the groups do not divide the channels.
    pub fn forward<'a>(&self, batch: usize, x: impl Into<Planes<'a>>, y: &mut [f32]) {
        self.forward_concat(batch, [x.into(), Planes::NONE], y);
    }

    /// The same for the channels of one tensor followed by those of another, in each image, without putting them together
    /// first.
    ///
    /// # Panics
    /// If the lengths do not fit each other, or the groups do not divide the channels.
    pub fn forward_concat(&self, batch: usize, x: [Planes<'_>; 2], y: &mut [f32]) {
        check("y", y.len(), x.iter().map(|x| x.values.len()).sum());
        self.each_plane(batch, x, y, Film::apply);
    }

    /// The means of 2x2 blocks of the result: `x` is `[batch, channels, 2 height, 2 width]`, `y` is
    /// `[batch, channels, height, width]` and overwritten.
    ///
    /// # Panics
    /// If the lengths do not fit each other, or the groups do not divide the channels.
    pub fn forward_pool(
        &self,
        batch: usize,
        [height, width]: [usize; 2],
        x: Planes<'_>,
        y: &mut [f32],
    ) {
        check("y", y.len(), self.scale.len() * height * width);
        check("x", x.values.len(), 4 * y.len());
        self.each_plane(batch, [x, Planes::NONE], y, |film, x, y| {
            let mut rows = Scratch::take(4 * width);
            for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(4 * width)) {
                film.apply(x, &mut rows);
                pool_plane(width, 0.25, &rows, y);
            }
        });
    }

    /// Does to each plane what `write` says.
    fn each_plane(
        &self,
        batch: usize,
        x: [Planes<'_>; 2],
        y: &mut [f32],
        write: impl Fn(Film, &[f32], &mut [f32]) + Sync,
    ) {
        let plane = self.plane(batch, x.iter().map(|x| x.values.len()).sum());
        let x = Sides::new(batch, plane, x);
        let channels = self.group_channels(batch);
        let to = y.len().checked_div(self.scale.len()).unwrap_or(0);
        if channels * to == 0 {
            return;
        }
        let groups = y.par_chunks_mut(channels * to);
        groups.enumerate().for_each(|(at, y)| {
            let (image, of) = self.group(at, channels);
            let statistics = self.statistics(&x, image, of.clone());
            let planes: Vec<_> = y.chunks_exact_mut(to).zip(of).enumerate().collect();
            // The last planes first, since they are still in the cache.
            for (c, (y, channel)) in planes.into_iter().rev() {
                let film = self.step(at * channels + c, statistics);
                write(film, x.plane(image, channel), y);
            }
        });
    }

    /// What becomes of each plane of a single image.
    pub(crate) fn films(&self, x: &Sides<'_>) -> Vec<Film> {
        let channels = self.group_channels(1);
        let of_group = |at: usize| {
            let (image, of) = self.group(at, channels);
            let statistics = self.statistics(x, image, of.clone());
            of.map(move |c| self.step(c, statistics))
        };
        let groups = (0..self.groups).into_par_iter();
        groups.flat_map_iter(of_group).collect()
    }

    /// Image and channels of a group of the batch.
    fn group(&self, at: usize, channels: usize) -> (usize, Range<usize>) {
        let first = at % self.groups * channels;
        (at / self.groups, first..first + channels)
    }

    fn statistics(&self, x: &Sides<'_>, image: usize, of: Range<usize>) -> Statistics {
        let count = of.len() as f64;
        let planes: Vec<_> = of.map(|c| x.moments(image, c)).collect();
        let size = x.plane(image, 0).len() as f64;
        let all = Moments::merge(planes.into_iter().map(|m| (size, m)));
        let variance = all.deviations / (count * size);
        Statistics {
            mean: all.mean as f32,
            inverse: (1.0 / (variance + f64::from(self.eps)).sqrt()) as f32,
        }
    }

    /// The gradients, from `x` and the gradient to the output.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn gradient<'a>(
        &self,
        batch: usize,
        x: impl Into<Planes<'a>>,
        dy: &[f32],
        to: NormGradients<'_>,
    ) {
        let x = x.into();
        let plane = self.plane(batch, x.values.len());
        check("dy", dy.len(), x.values.len());
        check("dx", to.dx.len(), x.values.len());
        let sides = Sides::new(batch, plane, [x, Planes::NONE]);
        check("dscale", to.dscale.len(), self.scale.len());
        check("dshift", to.dshift.len(), self.scale.len());
        let channels = self.group_channels(batch);
        let size = channels * plane;
        if size == 0 {
            to.dscale.fill(0.0);
            to.dshift.fill(0.0);
            return;
        }
        let groups = to.dx.par_chunks_mut(size).zip(x.values.par_chunks(size));
        let groups = groups.zip(dy.par_chunks(size));
        let sums = to
            .dscale
            .par_chunks_mut(channels)
            .zip(to.dshift.par_chunks_mut(channels));
        groups
            .zip(sums)
            .enumerate()
            .for_each(|(at, (((dx, x), dy), (dscale, dshift)))| {
                let to = NormGradients { dx, dscale, dshift };
                let (image, of) = self.group(at, channels);
                let statistics = self.statistics(&sides, image, of);
                self.group_gradient(at * channels, statistics, [x, dy], to);
            });
    }

    /// One group, whose first plane is number `first`.
    fn group_gradient(
        &self,
        first: usize,
        statistics: Statistics,
        [x, dy]: [&[f32]; 2],
        to: NormGradients<'_>,
    ) {
        let NormGradients { dx, dscale, dshift } = to;
        let plane = x.len() / dscale.len();
        let inverse = f64::from(statistics.inverse);
        // Of the gradient to the normalised x: its sum, and that of its product with the normalised x.
        let mut total = [0.0; 2];
        for c in 0..dscale.len() {
            let of = c * plane..(c + 1) * plane;
            let film = self.step(first + c, statistics);
            let [by_x, plain] = film.gradient(&x[of.clone()], &dy[of.clone()], &mut dx[of]);
            let factor = f64::from(film.factor);
            total = [total[0] + factor * plain, total[1] + factor * by_x];
            (dscale[c], dshift[c]) = ((by_x * inverse) as f32, plain as f32);
        }
        let count = x.len() as f64;
        let plain = (total[0] / count) as f32;
        let by_x = (total[1] * inverse * inverse / count) as f32;
        let mean = statistics.mean;
        simd::run(
            #[inline(always)]
            || {
                dx.iter_mut()
                    .zip(x)
                    .for_each(|(dx, x)| *dx -= plain + (x - mean) * by_x);
            },
        );
    }

    /// All that happens to plane `at` of the batch.
    fn step(&self, at: usize, statistics: Statistics) -> Film {
        Film {
            center: statistics.mean,
            factor: statistics.inverse * self.scale[at],
            shift: self.shift[at],
            silu: self.silu,
        }
    }

    fn group_channels(&self, batch: usize) -> usize {
        (self.scale.len() / self.groups)
            .checked_div(batch)
            .unwrap_or(0)
    }

    /// Pixels of a plane; checks all sizes.
    #[track_caller]
    pub(crate) fn plane(&self, batch: usize, len: usize) -> usize {
        let planes = self.scale.len();
        assert!(
            self.groups > 0 && planes.is_multiple_of(self.groups * batch.max(1)),
            "{planes} channels of {batch} images are no {} groups",
            self.groups
        );
        check("shift", self.shift.len(), planes);
        let plane = len.checked_div(planes).unwrap_or(0);
        check("x", len, planes * plane);
        plane
    }
}

/// Of one group.
#[derive(Clone, Copy)]
struct Statistics {
    mean: f32,
    /// One over the deviation.
    inverse: f32,
}
