//! Group normalisation (Wu and He 2018), with the SiLU that follows it in diffusion networks in the same pass.
//!
//! A task takes one group of one image: its statistics bring it into the cache, where the passes after them find it.

use pulp::Simd;
use rayon::prelude::*;

use crate::film::Film;
use crate::shape::check;
use crate::simd::{self, Sixteen, run_sixteen, total};

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
    pub fn forward(&self, batch: usize, x: &[f32], y: &mut [f32]) {
        self.forward_concat(batch, x, &[], y);
    }

    /// The same for the channels of `a` followed by those of `b`, in each image, without putting them together first.
    ///
    /// # Panics
    /// If the lengths do not fit each other, or the groups do not divide the channels.
    pub fn forward_concat(&self, batch: usize, a: &[f32], b: &[f32], y: &mut [f32]) {
        let plane = self.plane(batch, a.len() + b.len());
        check("y", y.len(), a.len() + b.len());
        let channels = self.group_channels(batch);
        let size = channels * plane;
        if size == 0 {
            return;
        }
        let (a_len, b_len) = (a.len() / batch, b.len() / batch);
        check("a", a.len(), a_len / plane * plane * batch);
        y.par_chunks_mut(size).enumerate().for_each(|(at, y)| {
            // What of the group lies in `a`, and the rest.
            let (image, start) = (at / self.groups, at % self.groups * size);
            let (a, b) = (&a[image * a_len..][..a_len], &b[image * b_len..][..b_len]);
            let from_a = &a[start.min(a_len)..(start + size).min(a_len)];
            let from_b = &b[start.max(a_len) - a_len..(start + size).max(a_len) - a_len];
            let statistics = Statistics::of([from_a, from_b], self.eps);
            let x = from_a.chunks_exact(plane).chain(from_b.chunks_exact(plane));
            let planes: Vec<_> = y.chunks_exact_mut(plane).zip(x).enumerate().collect();
            // The last planes first, since they are still in the cache.
            for (c, (y, x)) in planes.into_iter().rev() {
                self.step(at * channels + c, statistics).apply(x, y);
            }
        });
    }

    /// The gradients, from `x` and the gradient to the output.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn gradient(&self, batch: usize, x: &[f32], dy: &[f32], to: NormGradients<'_>) {
        let plane = self.plane(batch, x.len());
        check("dy", dy.len(), x.len());
        check("dx", to.dx.len(), x.len());
        check("dscale", to.dscale.len(), self.scale.len());
        check("dshift", to.dshift.len(), self.scale.len());
        let channels = self.group_channels(batch);
        let size = channels * plane;
        if size == 0 {
            to.dscale.fill(0.0);
            to.dshift.fill(0.0);
            return;
        }
        let groups = to.dx.par_chunks_mut(size).zip(x.par_chunks(size));
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
                self.group_gradient(at * channels, x, dy, to);
            });
    }

    /// One group, whose first plane is number `first`.
    fn group_gradient(&self, first: usize, x: &[f32], dy: &[f32], to: NormGradients<'_>) {
        let NormGradients { dx, dscale, dshift } = to;
        let plane = x.len() / dscale.len();
        let statistics = Statistics::of([x, &[]], self.eps);
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
    fn plane(&self, batch: usize, len: usize) -> usize {
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

impl Statistics {
    /// Of all numbers in two slices, at least one.
    fn of(parts: [&[f32]; 2], eps: f32) -> Statistics {
        // Moments around a number of the group: around zero they would lose digits where the mean is large.
        let origin = parts[0].first().unwrap_or_else(|| &parts[1][0]);
        let moments = parts.map(|x| run_sixteen(Moments { x, origin: *origin }));
        let [sum, squares] = [0, 1].map(|k| moments[0][k] + moments[1][k]);
        let count = (parts[0].len() + parts[1].len()) as f64;
        let mean = sum / count;
        let variance = (squares / count - mean * mean).max(0.0);
        Statistics {
            mean: (f64::from(*origin) + mean) as f32,
            inverse: (1.0 / (variance + f64::from(eps)).sqrt()) as f32,
        }
    }
}

/// Sums of `x - origin` and of its square.
struct Moments<'a> {
    x: &'a [f32],
    origin: f32,
}

impl Sixteen for Moments<'_> {
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
