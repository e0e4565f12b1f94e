//! Filters in the Winograd domain, packed in the order in which the products read them.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::gemm::{PANEL, STEP};
use crate::scratch::Scratch;
use crate::shape::ConvShape;
use crate::simd::{self, load, prefetch, store, transpose_quads};

use super::transforms::column;
use super::winograd::{POINTS, Winograd};

/// Output channels that are multiplied and transformed back together.
pub(super) const GROUP: usize = 8 * PANEL;
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

/// The filters of a convolution, which are transformed a group of output channels at a time.
///
/// A weight is `[c_out, c_in, 3, 3]`, or `[c_in, c_out, 3, 3]` on the way back: `shape` is that of the convolution to be
/// run with the result.
#[derive(Clone, Copy)]
pub(super) struct Filters<'a> {
    pub(super) shape: ConvShape,
    pub(super) weight: &'a [f32],
    pub(super) direction: Direction,
}

impl Filters<'_> {
    /// Number of groups.
    pub(super) fn groups(&self) -> usize {
        self.shape.c_out.div_ceil(GROUP)
    }

    /// The output channels of a group.
    pub(super) fn channels(&self, group: usize) -> Range<usize> {
        group * GROUP..self.shape.c_out.min((group + 1) * GROUP)
    }

    /// Those from and to some channels as `G g G^T`: `[a][panel][input channel][PANEL]`; output channels are filled up with
    /// zeros to whole panels.
    pub(super) fn pack<F: Winograd>(&self, outs: Range<usize>, ins: Range<usize>) -> Packed {
        let depth = ins.len();
        let part = outs.len().next_multiple_of(PANEL) * depth;
        // The odd line keeps the numbers of different products out of the same cache sets.
        let stride = part + STEP;
        let mut memory = Scratch::take(F::A * F::A * stride);
        simd::run(Pack::<F> {
            filters: *self,
            outs,
            ins,
            out: &mut memory,
            family: PhantomData,
        });
        Packed {
            memory,
            depth,
            part,
            stride,
        }
    }
}

/// Some filters in the Winograd domain.
pub(super) struct Packed {
    memory: Scratch,
    /// Number of input channels.
    depth: usize,
    part: usize,
    stride: usize,
}

impl Packed {
    /// The number of input channels, and all panels for product `a`.
    pub(super) fn panels(&self, a: usize) -> (usize, &[f32]) {
        (self.depth, &self.memory[a * self.stride..][..self.part])
    }
}

struct Pack<'a, F> {
    filters: Filters<'a>,
    /// Output and input channels.
    outs: Range<usize>,
    ins: Range<usize>,
    out: &'a mut [f32],
    family: PhantomData<F>,
}

impl<F: Winograd> WithSimd for Pack<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let depth = self.ins.len();
        let stride = self.out.len() / (F::A * F::A);
        let mut taps = [0.0_f32; 9 * LANES];
        for (panel, o) in self.outs.step_by(PANEL).enumerate() {
            for c in (0..depth).step_by(CHANNELS) {
                let count = CHANNELS.min(depth - c);
                self.filters
                    .read(simd, o, self.ins.start + c, count, &mut taps);
                let at = (panel * depth + c) * PANEL;
                transform::<S, F>(simd, &taps, count * PANEL, &mut self.out[at..], stride);
            }
        }
    }
}

impl Filters<'_> {
    /// Filters from output channels `o..o + PANEL` and input channels `c..c + count`, taps apart: number `k * LANES +
    /// i * PANEL + r` is tap `k` from input channel `c + i` to output channel `o + r`.
    #[inline(always)]
    fn read<S: Simd>(
        &self,
        simd: S,
        o: usize,
        c: usize,
        count: usize,
        taps: &mut [f32; 9 * LANES],
    ) {
        if S::F32_LANES < 4 || count < CHANNELS || o + PANEL > self.shape.c_out {
            return self.read_some(o, c, count, taps);
        }
        match self.direction {
            Direction::Forward => {
                let row = |r: usize| self.some::<CHANNELS>(o + r, c);
                let [a, b, c, d] = [row(0), row(1), row(2), row(3)];
                let rows = [a, b, c, d, row(4), row(5), row(6), row(7)];
                for i in (0..CHANNELS).step_by(2) {
                    spread(simd, |one, r| &rows[r][i + one], |k| k, i, taps);
                }
            }
            Direction::Back => {
                for i in (0..CHANNELS).step_by(2) {
                    // Where the next filters are: too far apart for the machine to foresee.
                    for ahead in [c + i + CHANNELS, c + i + CHANNELS + 1] {
                        for line in (0..PANEL * 9 + STEP).step_by(STEP) {
                            prefetch(self.weight, 9 * self.place(o, ahead) + line);
                        }
                    }
                    let rows = [self.some::<PANEL>(o, c + i), self.some(o, c + i + 1)];
                    spread(simd, |one, r| &rows[one][r], |k| 8 - k, i, taps);
                }
            }
        }
    }

    /// The same where the shape does not have all of these channels: zeros in place of missing output channels.
    fn read_some(&self, o: usize, c: usize, count: usize, taps: &mut [f32; 9 * LANES]) {
        for i in 0..count {
            for r in 0..PANEL {
                let mut filter = [0.0; 9];
                if o + r < self.shape.c_out {
                    [filter] = *self.some(o + r, c + i);
                }
                if self.direction == Direction::Back {
                    filter.reverse();
                }
                for k in 0..9 {
                    taps[k * LANES + i * PANEL + r] = filter[k];
                }
            }
        }
    }

    /// So many filters as they follow each other in memory, the first from input channel `c` to output channel `o`.
    #[inline(always)]
    fn some<const N: usize>(&self, o: usize, c: usize) -> &[[f32; 9]; N] {
        let filters = &self.weight.as_chunks::<9>().0[self.place(o, c)..][..N];
        filters.try_into().expect("a slice of that length")
    }

    /// Number of that filter.
    #[inline(always)]
    fn place(&self, o: usize, c: usize) -> usize {
        match self.direction {
            Direction::Forward => o * self.shape.c_in + c,
            Direction::Back => c * self.shape.c_out + o,
        }
    }
}

/// Lanes that are transformed together.
const LANES: usize = CHANNELS * PANEL;

/// Reads channels `i` and `i + 1`: `filter` is that of one of them and an output channel of the panel, `tap` the place of
/// its number `k`.
///
/// Four numbers of each of these sixteen filters are put into lanes so that 4x4 transposes sort them.
#[inline(always)]
fn spread<'a, S: Simd>(
    simd: S,
    filter: impl Fn(usize, usize) -> &'a [f32; 9],
    tap: impl Fn(usize) -> usize,
    i: usize,
    taps: &mut [f32; 9 * LANES],
) {
    // The ninth comes with three that are there already.
    for (from, fresh) in [(0, 0), (4, 0), (5, 3)] {
        for first in (0..2 * PANEL).step_by(S::F32_LANES) {
            let mut rows = [simd.splat_f32s(0.0); 4];
            for r in 0..4 {
                let mut quads = [[0.0; 4]; 2 * PANEL / 4];
                for g in 0..S::F32_LANES / 4 {
                    let quad = first / 4 + g;
                    let filter = filter(quad / 2, quad % 2 * 4 + r);
                    quads[g].copy_from_slice(&filter[from..from + 4]);
                }
                rows[r] = load::<S>(quads.as_flattened());
            }
            let columns = transpose_quads(simd, rows);
            for j in fresh..4 {
                let at = tap(from + j) * LANES + i * PANEL + first;
                store::<S>(&mut taps[at..], columns[j]);
            }
        }
    }
}

/// `G g G^T` on `len` lanes.
#[inline(always)]
fn transform<S: Simd, F: Winograd>(
    simd: S,
    taps: &[f32; 9 * LANES],
    len: usize,
    out: &mut [f32],
    stride: usize,
) {
    for lane in (0..len).step_by(S::F32_LANES) {
        let mut half = [[simd.splat_f32s(0.0); POINTS]; 3];
        for i in 0..3 {
            let row = |j: usize| load::<S>(&taps[(3 * i + j) * LANES + lane..]);
            half[i] = F::weight(simd, [row(0), row(1), row(2)]);
        }
        for b in 0..F::A {
            let u = F::weight(simd, column(&half, b));
            for a in 0..F::A {
                put::<S>(&mut out[(a * F::A + b) * stride + lane..], len - lane, u[a]);
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
