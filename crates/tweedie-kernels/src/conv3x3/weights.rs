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

    /// Output channels `first..first + len` as `G g G^T`: `[a][panel][c_in][PANEL]`; they are filled up with zeros to
    /// whole panels.
    pub(super) fn pack<F: Winograd>(&self, first: usize, len: usize) -> Packed {
        let part = len.next_multiple_of(PANEL) * self.shape.c_in;
        // The odd line keeps the numbers of different products out of the same cache sets.
        let stride = part + STEP;
        let mut memory = Scratch::take(F::A * F::A * stride);
        simd::run(Pack::<F> {
            shape: self.shape,
            weight: self.weight,
            direction: self.direction,
            first,
            out: &mut memory,
            family: PhantomData,
        });
        Packed {
            memory,
            part,
            stride,
        }
    }
}

/// Some filters in the Winograd domain.
pub(super) struct Packed {
    memory: Scratch,
    part: usize,
    stride: usize,
}

impl Packed {
    /// All panels for product `a`.
    pub(super) fn panels(&self, a: usize) -> &[f32] {
        &self.memory[a * self.stride..][..self.part]
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
        let stride = self.out.len() / (F::A * F::A);
        let mut taps = [0.0_f32; 9 * LANES];
        for panel in 0..(stride - STEP) / (c_in * PANEL) {
            for c in (0..c_in).step_by(CHANNELS) {
                let count = CHANNELS.min(c_in - c);
                self.read(simd, self.first + panel * PANEL, c, count, &mut taps);
                let at = (panel * c_in + c) * PANEL;
                transform::<S, F>(simd, &taps, count * PANEL, &mut self.out[at..], stride);
            }
        }
    }
}

impl<F: Winograd> Pack<'_, F> {
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
        let ConvShape { c_in, c_out, .. } = self.shape;
        for r in (0..PANEL).step_by(4) {
            let mut starts = [None; 4];
            for i in 0..4 {
                let o = o + r + i;
                // Where the filter from channel `c` to channel `o` begins.
                starts[i] = (o < c_out).then_some(match self.direction {
                    Direction::Forward => (o * c_in + c) * 9,
                    Direction::Back => (c * c_out + o) * 9,
                });
            }
            match self.direction {
                Direction::Forward => {
                    let rows = Quad {
                        weight: self.weight,
                        starts,
                        columns: 9 * count,
                    };
                    rows.transpose(simd, |column| PLACES[column] + r, taps);
                }
                Direction::Back => {
                    for i in 0..count {
                        // Where the next filters are: too far apart for the machine to foresee.
                        let ahead = ((c + CHANNELS + i) * c_out + o + r) * 9;
                        for line in (0..4 * 9 + STEP).step_by(STEP) {
                            prefetch(self.weight, ahead + line);
                        }
                        let next = |start: Option<usize>| start.map(|at| at + i * c_out * 9);
                        let [a, b, c, d] = starts;
                        let starts = [next(a), next(b), next(c), next(d)];
                        let rows = Quad {
                            weight: self.weight,
                            starts,
                            columns: 9,
                        };
                        rows.transpose(simd, |k| (8 - k) * LANES + i * PANEL + r, taps);
                    }
                }
            }
        }
    }
}

/// Lanes that are transformed together.
const LANES: usize = CHANNELS * PANEL;

/// Where column `9 i + k` of a row of filters goes: tap `k` of channel `i`.
const PLACES: [usize; 9 * CHANNELS] = {
    let mut places = [0; 9 * CHANNELS];
    let mut column = 0;
    while column < 9 * CHANNELS {
        places[column] = column % 9 * LANES + column / 9 * PANEL;
        column += 1;
    }
    places
};

/// Four rows of a weight, each from its start on; zeros where there is none.
struct Quad<'a> {
    weight: &'a [f32],
    starts: [Option<usize>; 4],
    columns: usize,
}

impl Quad<'_> {
    /// Writes the four numbers of every column to where `place` says.
    #[inline(always)]
    fn transpose<S: Simd>(&self, simd: S, place: impl Fn(usize) -> usize, to: &mut [f32]) {
        if S::F32_LANES < 4 {
            for column in 0..self.columns {
                for (i, start) in self.starts.iter().enumerate() {
                    to[place(column) + i] = start.map_or(0.0, |at| self.weight[at + column]);
                }
            }
            return;
        }
        for first in (0..self.columns).step_by(S::F32_LANES) {
            let mut rows = [simd.splat_f32s(0.0); 4];
            for i in 0..4 {
                if let Some(start) = self.starts[i] {
                    rows[i] = self.row::<S>(start + first);
                }
            }
            let rows = transpose_quads(simd, rows);
            for j in 0..4 {
                let mut pieces = [0.0; 16];
                store::<S>(&mut pieces, rows[j]);
                for (g, piece) in pieces[..S::F32_LANES].as_chunks::<4>().0.iter().enumerate() {
                    let column = first + 4 * g + j;
                    if column < self.columns {
                        to[place(column)..][..4].copy_from_slice(piece);
                    }
                }
            }
        }
    }

    /// A vector of the weight, which may reach beyond its end.
    #[inline(always)]
    fn row<S: Simd>(&self, at: usize) -> S::f32s {
        let rest = &self.weight[at..];
        if rest.len() >= S::F32_LANES {
            return load::<S>(rest);
        }
        let mut lanes = [0.0; 16];
        lanes[..rest.len()].copy_from_slice(rest);
        load::<S>(&lanes)
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
