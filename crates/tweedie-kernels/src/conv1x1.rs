//! 1x1 convolution, `y[n, o, p] = bias[o] + sum over c of weight[o, c] * x[n, c, p]`, and its gradients.
//!
//! The pixels of the whole batch are one long row, cut into blocks of a few vectors.

use pulp::Simd;
use rayon::prelude::*;

use crate::gemm::{AddProduct, DEPTH, PANEL, STEP, Transpose, WIDEST, column_blocks, pack};
use crate::pixels::{self, Pixels};
use crate::scratch::Scratch;
use crate::shape::{ConvShape, check};
use crate::simd::{self, Sixteen, run_sixteen, total};

/// Output channels of one task of the weight gradient, and of a product of few vectors.
const ROWS: usize = 64;
/// It has at least this many tasks, where the pixels allow it.
const TASKS: usize = 8;
/// With more images than this the weight is packed.
const FEW: usize = 4;

/// `y = weight * x + bias`; `weight` is `[c_out, c_in]`, `y` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward(shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    forward_concat(shape, x, &[], weight, bias, y);
}

/// The same for the channels of `a` followed by those of `b`, in each image, without putting them together first; `c_in`
/// counts those of both.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward_concat(
    shape: ConvShape,
    a: &[f32],
    b: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let ConvShape { c_in, c_out, .. } = shape;
    check("x", a.len() + b.len(), shape.x_len());
    let of_image = (shape.batch * shape.plane()).max(1);
    let [from_a, from_b] = [a, b].map(|x| x.len() / of_image);
    check("a", a.len(), from_a * of_image);
    check("weight", weight.len(), c_in * c_out);
    check("y", y.len(), shape.y_len());
    if let Some(bias) = bias {
        check("bias", bias.len(), c_out);
    }
    if b.is_empty() && shape.plane() == 1 && shape.batch <= FEW {
        return few_vectors(shape, a, weight, bias, y);
    }
    let packed = pack(c_out, c_in, |o, c| weight[o * c_in + c]);
    pixels::multiply(
        shape,
        &packed,
        c_in,
        |run, c, row| match c.checked_sub(from_a) {
            None => run.gather(a, from_a, c, row),
            Some(c) => run.gather(b, from_b, c, row),
        },
        bias,
        y,
    );
}

/// Images of one pixel, as embeddings are, and so few that packing the weight would take longer than the products.
fn few_vectors(shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let ConvShape { c_in, c_out, .. } = shape;
    y.par_chunks_mut(ROWS).enumerate().for_each(|(task, y)| {
        for (i, y) in y.iter_mut().enumerate() {
            let (n, o) = ((task * ROWS + i) / c_out, (task * ROWS + i) % c_out);
            let (a, b) = (&weight[o * c_in..][..c_in], &x[n * c_in..][..c_in]);
            *y = run_sixteen(Dot { a, b }) + bias.map_or(0.0, |b| b[o]);
        }
    });
}

/// The scalar product of two vectors.
struct Dot<'a> {
    a: &'a [f32],
    b: &'a [f32],
}

impl Sixteen for Dot<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) -> f32 {
        let ((a, a_rest), (b, b_rest)) = (self.a.as_chunks::<16>(), self.b.as_chunks::<16>());
        let mut sums = [simd.splat_f32s(0.0); V];
        for (a, b) in a.iter().zip(b) {
            let (a, b) = (S::as_simd_f32s(a).0, S::as_simd_f32s(b).0);
            for k in 0..V {
                sums[k] = simd.mul_add_e_f32s(a[k], b[k], sums[k]);
            }
        }
        let rest = a_rest.iter().zip(b_rest);
        let rest: f64 = rest.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        (total::<S>(&sums) + rest) as f32
    }
}

/// `dx`, the gradient to the input, from `dy`, that to the output; `dx` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn input_gradient(shape: ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    let ConvShape { c_in, c_out, .. } = shape;
    check("dy", dy.len(), shape.y_len());
    check("weight", weight.len(), c_in * c_out);
    check("dx", dx.len(), shape.x_len());
    let packed = pack(c_in, c_out, |c, o| weight[o * c_in + c]);
    let gather = |run: &Pixels, o, row: &mut [f32]| run.gather(dy, c_out, o, row);
    pixels::multiply(shape.transposed(), &packed, c_out, gather, None, dx);
}

/// `dw`, the gradient to the weight, from the input and the gradient to the output; `dw` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    check("x", x.len(), shape.x_len());
    check("dy", dy.len(), shape.y_len());
    check("dw", dw.len(), shape.c_in * shape.c_out);
    if shape.is_empty() {
        return dw.fill(0.0);
    }
    let c_padded = shape.c_in.next_multiple_of(STEP);
    let groups = shape.c_out.div_ceil(ROWS);
    let blocks = (shape.batch * shape.plane()).div_ceil(DEPTH);
    let parts = TASKS.div_ceil(groups).min(blocks);
    // One part of one group: [column block][o][c]
    let room = c_padded * shape.c_out.min(ROWS).next_multiple_of(PANEL);
    let mut sums = Scratch::take(groups * parts * room);
    sums.par_chunks_mut(room)
        .enumerate()
        .for_each(|(task, sum)| {
            let (group, part) = (task / parts, task % parts);
            let outs = group * ROWS..shape.c_out.min((group + 1) * ROWS);
            let first = part * blocks / parts;
            for block in first..(part + 1) * blocks / parts {
                accumulate(shape, x, dy, outs.clone(), block, sum, block == first);
            }
        });
    dw.par_chunks_mut(shape.c_in)
        .enumerate()
        .for_each(|(o, dw)| {
            let (group, row) = (o / ROWS, o % ROWS);
            let rows = (shape.c_out - group * ROWS)
                .min(ROWS)
                .next_multiple_of(PANEL);
            dw.fill(0.0);
            for sum in sums[group * parts * room..(group + 1) * parts * room].chunks_exact(room) {
                for (at, width) in column_blocks(c_padded) {
                    let sum = &sum[at * rows + row * width..][..width];
                    dw[at..]
                        .iter_mut()
                        .zip(sum)
                        .for_each(|(dw, sum)| *dw += sum);
                }
            }
        });
}

/// Adds the pixels of one block to the sums of some output channels, or starts them if `fresh`.
fn accumulate(
    shape: ConvShape,
    x: &[f32],
    dy: &[f32],
    outs: std::ops::Range<usize>,
    block: usize,
    sum: &mut [f32],
    fresh: bool,
) {
    let pixels = Pixels::new(shape, block * DEPTH, DEPTH);
    let rows = outs.len().next_multiple_of(PANEL);
    let c_padded = shape.c_in.next_multiple_of(STEP);
    // Rows that only fill up a panel or vector keep what was there before: nobody reads their sums.
    let mut outputs = Scratch::take(rows * DEPTH);
    let mut inputs = Scratch::take(c_padded * DEPTH);
    let mut columns = Scratch::take(WIDEST * DEPTH);
    for (row, o) in outputs.chunks_exact_mut(DEPTH).zip(outs) {
        pixels.gather(dy, shape.c_out, o, row);
    }
    for (row, c) in inputs.chunks_exact_mut(DEPTH).zip(0..shape.c_in) {
        pixels.gather(x, shape.c_in, c, row);
    }
    for (at, width) in column_blocks(c_padded) {
        for group in (0..width).step_by(STEP) {
            let from = &inputs[(at + group) * DEPTH..][..STEP * DEPTH];
            let to = &mut columns[..width * DEPTH];
            simd::run(Transpose {
                from,
                to,
                width,
                at: group,
            });
        }
        simd::run(AddProduct {
            a: &outputs,
            b: &columns[..width * DEPTH],
            out: &mut sum[at * rows..][..width * rows],
            width,
            fresh,
        });
    }
}
