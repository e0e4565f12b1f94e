//! Runs of pixels of the whole batch, moved between memory and lanes.

use rayon::prelude::*;

use crate::gemm::{Product, STEP, WIDEST};
use crate::scratch::Scratch;
use crate::shape::ConvShape;
use crate::shared::Shared;
use crate::simd::{self, prefetch};

/// Tasks that a product is cut into, where there are so many blocks of pixels ..
const TASKS: usize = 16;
/// .. and the most blocks of a task: longer runs in memory, until the working memory leaves the cache.
const BLOCKS: usize = 4;

/// Channels that are at least so many pixels apart are too far apart for the machine to foresee the next one.
const FAR: usize = 1 << 12;

/// `y[n, o, p] = bias[o] + sum over k < depth of packed[o, k] * g[k, p]`, where `gather(run, k, row)` fills in `g`.
pub(crate) fn multiply(
    shape: ConvShape,
    packed: &[f32],
    depth: usize,
    gather: impl Fn(&Pixels, usize, &mut [f32]) + Sync,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let c_out = shape.c_out;
    let total = shape.batch * shape.plane();
    let blocks = (total / (TASKS * WIDEST)).clamp(1, BLOCKS);
    let y = Shared::new(y);
    (0..total.div_ceil(blocks * WIDEST))
        .into_par_iter()
        .for_each(|task| {
            let first = task * blocks * WIDEST;
            let last = total.min(first + blocks * WIDEST);
            let runs: Vec<_> = (first..last)
                .step_by(WIDEST)
                .map(|at| Pixels::new(shape, at, WIDEST))
                .collect();
            let mut inputs = Scratch::take(runs.len() * depth * WIDEST);
            let mut outputs = Scratch::take(runs.len() * c_out * WIDEST);
            for k in 0..depth {
                for (run, rows) in runs.iter().zip(inputs.chunks_exact_mut(depth * WIDEST)) {
                    gather(run, k, &mut rows[k * run.width()..(k + 1) * run.width()]);
                }
            }
            let products = inputs
                .chunks_exact(depth * WIDEST)
                .zip(outputs.chunks_exact_mut(c_out * WIDEST));
            for (run, (inputs, outputs)) in runs.iter().zip(products) {
                let (b, out) = (
                    &inputs[..depth * run.width()],
                    &mut outputs[..c_out * run.width()],
                );
                simd::run(Product {
                    a: packed,
                    b,
                    out,
                    depth,
                    width: run.width(),
                    fresh: true,
                });
            }
            for o in 0..c_out {
                let bias = bias.map_or(0.0, |b| b[o]);
                for (run, rows) in runs.iter().zip(outputs.chunks_exact(c_out * WIDEST)) {
                    run.scatter(
                        &rows[o * run.width()..(o + 1) * run.width()],
                        bias,
                        &y,
                        c_out,
                        o,
                    );
                }
            }
        });
}

/// A run of pixels, numbered through the batch.
pub(crate) struct Pixels {
    pub(crate) len: usize,
    first: usize,
    plane: usize,
}

impl Pixels {
    /// At most `most` pixels from `first` on.
    pub(crate) fn new(shape: ConvShape, first: usize, most: usize) -> Self {
        let plane = shape.plane();
        Self {
            first,
            len: most.min(shape.batch * plane - first),
            plane,
        }
    }

    /// Lanes: whole vectors.
    pub(crate) fn width(&self) -> usize {
        self.len.next_multiple_of(STEP)
    }

    /// The pieces of the run in each image: image, pixel in its plane, lane in the run, length.
    #[inline(always)]
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let mut lane = 0;
        std::iter::from_fn(move || {
            let (image, pixel) = (
                (self.first + lane) / self.plane,
                (self.first + lane) % self.plane,
            );
            let len = (self.plane - pixel).min(self.len - lane);
            lane += len;
            (len > 0).then_some((image, pixel, lane - len, len))
        })
    }

    /// Reads one channel of a tensor of so many; lanes beyond the run become zero.
    pub(crate) fn gather(&self, x: &[f32], channels: usize, c: usize, lanes: &mut [f32]) {
        for (image, pixel, lane, len) in self.pieces() {
            let at = (image * channels + c) * self.plane + pixel;
            if self.plane >= FAR {
                // The channel after next.
                for line in (0..len).step_by(STEP) {
                    prefetch(x, at + 2 * self.plane + line);
                }
            }
            lanes[lane..lane + len].copy_from_slice(&x[at..at + len]);
        }
        lanes[self.len..].fill(0.0);
    }

    /// Writes `lanes + bias` to one channel of a tensor of so many.
    #[inline(always)]
    #[expect(
        unsafe_code,
        reason = "every task writes its own pixels, which interleave with others'"
    )]
    pub(crate) fn scatter(
        &self,
        lanes: &[f32],
        bias: f32,
        y: &Shared<'_>,
        channels: usize,
        c: usize,
    ) {
        for (image, pixel, lane, len) in self.pieces() {
            let at = (image * channels + c) * self.plane + pixel;
            // The channel after next: too far apart for the machine to foresee.
            for line in (0..len).step_by(STEP) {
                y.prefetch(at + 2 * self.plane + line);
            }
            // SAFETY: runs of different tasks do not overlap, and a task holds one piece at a time.
            let y = unsafe { y.part(at, len) };
            for (y, value) in y.iter_mut().zip(&lanes[lane..lane + len]) {
                *y = value + bias;
            }
        }
    }
}
