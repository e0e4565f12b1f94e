//! Gradient of a 3x3 convolution to its filters, in the Winograd domain: for each point the product of the transformed
//! output gradient and the transformed input, summed over all tiles.
//!
//! A task owns up to 64 by 64 channels and a part of the tiles, and keeps its sums in the cache. The parts depend on the
//! shape alone and are added in order, so the result does not depend on the number of threads.

use std::marker::PhantomData;
use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::elementwise::Identity;
use crate::gemm::{AddProduct, DEPTH, PANEL, STEP, Transpose, column_blocks};
use crate::scratch::Scratch;
use crate::shape::ConvShape;
use crate::shared::Shared;
use crate::simd::{self, load, store};

use super::tiles::{Grid, Map, PHASES, Reach};
use super::transforms::{Input, OutputAdjoint, Rows, column};
use super::winograd::{POINTS, Winograd};

/// Channels of one task, on either side.
const CHANNELS: usize = 64;
/// Taps of a task's filters, `[o][c][9]`, with room for the most.
const TASK_TAPS: usize = CHANNELS * CHANNELS * 9;
/// At least this many tasks, where the tiles allow it.
const TASKS: usize = 8;

/// `dw = sum over images and pixels of dy * x`.
pub(super) fn weight_gradient<F: Winograd>(
    shape: ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) {
    let plan = Plan::<F>::new(shape);
    let mut parts = Scratch::take(plan.tasks() * TASK_TAPS);
    parts
        .par_chunks_mut(TASK_TAPS)
        .enumerate()
        .for_each(|(index, dw)| {
            let task = plan.task(index);
            let mut sum = Scratch::take(Plan::<F>::PRODUCTS * task.c_padded() * task.o_padded());
            plan.accumulate(&task, x, dy, &mut sum);
            simd::run(Finish::<F> {
                sum: &sum,
                task,
                dw,
                family: PhantomData,
            });
        });
    dw.par_chunks_mut(9 * shape.c_in)
        .enumerate()
        .for_each(|(o, dw)| plan.add_parts(o, &parts, dw));
}

/// How the work is cut.
struct Plan<F> {
    shape: ConvShape,
    grid: Grid,
    /// Channel blocks of input and output, and parts of the tiles.
    ins: usize,
    outs: usize,
    parts: usize,
    family: PhantomData<F>,
}

/// What one task works on.
struct Task {
    ins: Range<usize>,
    outs: Range<usize>,
    tiles: Range<usize>,
}

impl Task {
    /// Its input channels, filled up to whole vectors.
    fn c_padded(&self) -> usize {
        self.ins.len().next_multiple_of(STEP)
    }

    /// Its output channels, filled up to whole panels.
    fn o_padded(&self) -> usize {
        self.outs.len().next_multiple_of(PANEL)
    }
}

/// Working memory of one task.
struct Memory {
    /// Sixteen transformed input channels: `[point][channel][tile]`, a line between points.
    rows: Scratch,
    /// `[point][column block][tile][channel]`
    inputs: Scratch,
    /// `[point][channel][tile]`, a line between points.
    outputs: Scratch,
    phases: Scratch,
}

/// Distance between the points of so many channels.
fn stride(channels: usize) -> usize {
    channels * DEPTH + STEP
}

impl<F: Winograd> Plan<F> {
    const PRODUCTS: usize = F::A * F::A;

    fn new(shape: ConvShape) -> Self {
        let grid = Grid::new(shape, F::M);
        let (ins, outs) = (
            shape.c_in.div_ceil(CHANNELS),
            shape.c_out.div_ceil(CHANNELS),
        );
        let parts = TASKS.div_ceil(ins * outs).min(grid.tiles().div_ceil(DEPTH));
        Self {
            shape,
            grid,
            ins,
            outs,
            parts,
            family: PhantomData,
        }
    }

    fn tasks(&self) -> usize {
        self.ins * self.outs * self.parts
    }

    fn task(&self, index: usize) -> Task {
        let (part, pair) = (index % self.parts, index / self.parts);
        let (ins, outs) = (pair % self.ins * CHANNELS, pair / self.ins * CHANNELS);
        let (tiles, blocks) = (self.grid.tiles(), self.grid.tiles().div_ceil(DEPTH));
        let start = |part: usize| (part * blocks / self.parts * DEPTH).min(tiles);
        Task {
            ins: ins..self.shape.c_in.min(ins + CHANNELS),
            outs: outs..self.shape.c_out.min(outs + CHANNELS),
            tiles: start(part)..start(part + 1),
        }
    }

    /// Adds up `[point][column block][o][c]` for one task.
    fn accumulate(&self, task: &Task, x: &[f32], dy: &[f32], sum: &mut [f32]) {
        let (c_padded, o_padded) = (task.c_padded(), task.o_padded());
        // Channels that only fill up a vector or panel keep what was there before: nobody reads their sums.
        let mut memory = Memory {
            rows: Scratch::take(Self::PRODUCTS * stride(STEP)),
            inputs: Scratch::take(Self::PRODUCTS * c_padded * DEPTH),
            outputs: Scratch::take(Self::PRODUCTS * stride(o_padded)),
            phases: Scratch::take(PHASES),
        };
        for first in task.tiles.clone().step_by(DEPTH) {
            let len = DEPTH.min(task.tiles.end - first);
            self.read_input(task, first, len, x, &mut memory);
            self.read_output(task, first, len, dy, &mut memory);
            for a in 0..Self::PRODUCTS {
                let outputs = &memory.outputs[a * stride(o_padded)..][..o_padded * DEPTH];
                for (at, width) in column_blocks(c_padded) {
                    let inputs = &memory.inputs[(a * c_padded + at) * DEPTH..][..width * DEPTH];
                    let out = &mut sum[(a * c_padded + at) * o_padded..][..width * o_padded];
                    simd::run(AddProduct {
                        a: outputs,
                        b: inputs,
                        out,
                        width,
                        fresh: first == task.tiles.start,
                    });
                }
            }
        }
    }

    fn read_input(&self, task: &Task, first: usize, len: usize, x: &[f32], memory: &mut Memory) {
        let block = self
            .grid
            .block(Map::plain(self.shape.c_in), Reach::Halo, first, len, DEPTH);
        let c_padded = task.c_padded();
        for group in (0..c_padded).step_by(STEP) {
            let rows = Shared::new(&mut memory.rows);
            for (i, c) in task.ins.clone().skip(group).take(STEP).enumerate() {
                simd::run(Input::<F, Identity> {
                    block: &block,
                    x: &x[c * self.shape.plane()..],
                    before: Identity,
                    phases: &mut memory.phases,
                    out: Rows {
                        memory: rows,
                        at: i * DEPTH,
                        stride: stride(STEP),
                    },
                    family: PhantomData,
                });
            }
            let (at, width) = column_blocks(c_padded)
                .find(|(at, width)| (*at..at + width).contains(&group))
                .expect("the column blocks cover all channels");
            for a in 0..Self::PRODUCTS {
                simd::run(Transpose {
                    from: &memory.rows[a * stride(STEP)..][..STEP * DEPTH],
                    to: &mut memory.inputs[(a * c_padded + at) * DEPTH..][..width * DEPTH],
                    width,
                    at: group - at,
                });
            }
        }
    }

    fn read_output(&self, task: &Task, first: usize, len: usize, dy: &[f32], memory: &mut Memory) {
        let block = self
            .grid
            .block(Map::plain(self.shape.c_out), Reach::Tile, first, len, DEPTH);
        let outputs = Shared::new(&mut memory.outputs);
        for (i, o) in task.outs.clone().enumerate() {
            simd::run(OutputAdjoint::<F> {
                block: &block,
                dy: &dy[o * self.shape.plane()..],
                phases: &mut memory.phases,
                out: Rows {
                    memory: outputs,
                    at: i * DEPTH,
                    stride: stride(task.o_padded()),
                },
                family: PhantomData,
            });
        }
    }

    /// Adds up the parts of one output channel: `dw` is `[c_in, 3, 3]`.
    fn add_parts(&self, o: usize, parts: &[f32], dw: &mut [f32]) {
        dw.fill(0.0);
        for (block, dw) in dw.chunks_mut(9 * CHANNELS).enumerate() {
            let first = (o / CHANNELS * self.ins + block) * self.parts;
            for part in 0..self.parts {
                let from = (first + part) * TASK_TAPS + o % CHANNELS * dw.len();
                let part = &parts[from..from + dw.len()];
                dw.iter_mut().zip(part).for_each(|(dw, part)| *dw += part);
            }
        }
    }
}

/// `G^T u G` for all filters of a task.
struct Finish<'a, F> {
    /// As [`Plan::accumulate`] leaves it.
    sum: &'a [f32],
    task: Task,
    /// `[o][c][9]`
    dw: &'a mut [f32],
    family: PhantomData<F>,
}

impl<F: Winograd> WithSimd for Finish<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for (at, width) in column_blocks(self.task.c_padded()) {
            for o in 0..self.task.outs.len() {
                for c in (0..width).step_by(S::F32_LANES) {
                    let filters = self.filters(simd, (at, width), o, c);
                    self.put::<S>(o, at + c, filters);
                }
            }
        }
    }
}

impl<F: Winograd> Finish<'_, F> {
    /// The nine taps of the input channels from `at + c` on.
    #[inline(always)]
    fn filters<S: Simd>(
        &self,
        simd: S,
        (at, width): (usize, usize),
        o: usize,
        c: usize,
    ) -> [S::f32s; 9] {
        let (c_padded, o_padded) = (self.task.c_padded(), self.task.o_padded());
        let zero = simd.splat_f32s(0.0);
        let mut half = [[zero; 3]; POINTS];
        for a in 0..F::A {
            let mut row = [zero; POINTS];
            for b in 0..F::A {
                let from = ((a * F::A + b) * c_padded + at) * o_padded + o * width + c;
                row[b] = load::<S>(&self.sum[from..]);
            }
            half[a] = F::weight_adjoint(simd, row);
        }
        let mut taps = [zero; 9];
        for j in 0..3 {
            let g = F::weight_adjoint(simd, column(&half, j));
            for i in 0..3 {
                taps[3 * i + j] = g[i];
            }
        }
        taps
    }

    /// Writes a vector of filters from input channel `c` on.
    #[inline(always)]
    fn put<S: Simd>(&mut self, o: usize, c: usize, filters: [S::f32s; 9]) {
        let mut taps = [[0.0; STEP]; 9];
        for k in 0..9 {
            store::<S>(&mut taps[k], filters[k]);
        }
        let c_in = self.task.ins.len();
        let to = &mut self.dw[(o * c_in + c.min(c_in)) * 9..(o + 1) * c_in * 9];
        for (lane, filter) in to
            .as_chunks_mut::<9>()
            .0
            .iter_mut()
            .take(S::F32_LANES)
            .enumerate()
        {
            for k in 0..9 {
                filter[k] = taps[k][lane];
            }
        }
    }
}
