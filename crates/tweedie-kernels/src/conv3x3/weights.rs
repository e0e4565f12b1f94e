//! Filters in the Winograd domain, packed in the order in which the products read them.

use std::marker::PhantomData;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::gemm::PANEL;
use crate::scratch::Scratch;
use crate::shape::ConvShape;
use crate::simd::{self, load, store};

use super::transforms::column;
use super::winograd::{POINTS, Winograd};

/// Output channels that are multiplied and transformed back together.
pub(super) const GROUP: usize = 4 * PANEL;
/// Input channels that are transformed together.
const CHANNELS: usize = 16;

/// Which convolution the filters are for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Direction {
    /// The convolution itself.
    Forward,
    /// Its gradient to the input: filters turned by half a turn, input and output channels exchanged.
    Back,
}

/// `G g G^T` as `[group][a][panel of the group][c_in][PANEL]`; output channels are filled up with zeros to whole panels.
pub(super) struct Packed {
    memory: Scratch,
    c_in: usize,
    points: usize,
}

impl Packed {
    /// Packs a weight `[c_out, c_in, 3, 3]`, or `[c_in, c_out, 3, 3]` on the way back: `shape` is that of the
    /// convolution to be run with the result.
    pub(super) fn new<F: Winograd>(shape: ConvShape, weight: &[f32], direction: Direction) -> Self {
        let (points, c_in) = (F::A * F::A, shape.c_in);
        let mut memory = Scratch::take(points * c_in * shape.c_out.next_multiple_of(PANEL));
        memory
            .par_chunks_mut(points * c_in * GROUP)
            .enumerate()
            .for_each(|(group, out)| {
                simd::run(Pack::<F> {
                    shape,
                    weight,
                    direction,
                    first: group * GROUP,
                    out,
                    family: PhantomData,
                });
            });
        Self {
            memory,
            c_in,
            points,
        }
    }

    /// Group `g`: all its panels for product `a`.
    pub(super) fn panels(&self, group: usize, a: usize) -> &[f32] {
        let size = self.points * self.c_in * GROUP;
        let group = &self.memory[group * size..self.memory.len().min((group + 1) * size)];
        let part = group.len() / self.points;
        &group[a * part..(a + 1) * part]
    }
}

struct Pack<'a, F> {
    shape: ConvShape,
    weight: &'a [f32],
    direction: Direction,
    /// First output channel.
    first: usize,
    out: &'a mut [f32],
    family: PhantomData<F>,
}

impl<F: Winograd> WithSimd for Pack<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let c_in = self.shape.c_in;
        let plane = self.out.len() / (F::A * F::A);
        let mut taps = [[0.0_f32; CHANNELS * PANEL]; 9];
        for panel in 0..plane / (c_in * PANEL) {
            for c in (0..c_in).step_by(CHANNELS) {
                let count = CHANNELS.min(c_in - c);
                self.read(self.first + panel * PANEL, c, count, &mut taps);
                let at = (panel * c_in + c) * PANEL;
                transform::<S, F>(simd, &taps, count * PANEL, &mut self.out[at..], plane);
            }
        }
    }
}

impl<F: Winograd> Pack<'_, F> {
    /// Filters from output channels `o..o + PANEL` and input channels `c..c + count`, taps apart.
    #[inline(always)]
    fn read(&self, o: usize, c: usize, count: usize, taps: &mut [[f32; CHANNELS * PANEL]; 9]) {
        let ConvShape { c_in, c_out, .. } = self.shape;
        for r in 0..PANEL {
            for i in 0..count {
                let lane = i * PANEL + r;
                if o + r >= c_out {
                    taps.iter_mut().for_each(|tap| tap[lane] = 0.0);
                } else if self.direction == Direction::Forward {
                    let at = ((o + r) * c_in + c + i) * 9;
                    let filter = &self.weight[at..at + 9];
                    (0..9).for_each(|k| taps[k][lane] = filter[k]);
                } else {
                    let at = ((c + i) * c_out + o + r) * 9;
                    let filter = &self.weight[at..at + 9];
                    (0..9).for_each(|k| taps[k][lane] = filter[8 - k]);
                }
            }
        }
    }
}

/// `G g G^T` on `len` lanes.
#[inline(always)]
fn transform<S: Simd, F: Winograd>(
    simd: S,
    taps: &[[f32; CHANNELS * PANEL]; 9],
    len: usize,
    out: &mut [f32],
    plane: usize,
) {
    for lane in (0..len).step_by(S::F32_LANES) {
        let mut half = [[simd.splat_f32s(0.0); POINTS]; 3];
        for i in 0..3 {
            let row = |j: usize| load::<S>(&taps[3 * i + j][lane..]);
            half[i] = F::weight(simd, [row(0), row(1), row(2)]);
        }
        for b in 0..F::A {
            let u = F::weight(simd, column(&half, b));
            for a in 0..F::A {
                put::<S>(&mut out[(a * F::A + b) * plane + lane..], len - lane, u[a]);
            }
        }
    }
}

/// Writes at most `room` numbers: an odd channel fills only half of a wide vector.
#[inline(always)]
fn put<S: Simd>(out: &mut [f32], room: usize, value: S::f32s) {
    if room >= S::F32_LANES {
        store::<S>(out, value);
    } else {
        let mut lanes = [0.0; 16];
        store::<S>(&mut lanes, value);
        out[..room].copy_from_slice(&lanes[..room]);
    }
}
