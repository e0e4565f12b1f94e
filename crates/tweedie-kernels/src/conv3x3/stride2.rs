//! The 3x3 convolution with stride 2 and zero padding 1, and its gradients.
//!
//! Each 2x2 block of pixels becomes four channels: on those it is a convolution with stride 1, whose nine filters of four
//! channels hold the nine taps, one each, and zeros. Where Winograd's transforms save three quarters of the products they
//! come to as many as a direct convolution would need, at the speed of the matrix product.
//!
//! A shape's height and width are those of the input; the output's are half of it, rounded up.

use rayon::prelude::*;

use crate::scratch::Scratch;
use crate::shape::{ConvShape, check};

/// `y[i, j] = bias + sum over taps of weight[a, b] * x[2 i + a - 1, 2 j + b - 1]`; `y` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward(shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let folded = folded(shape);
    check("x", x.len(), shape.x_len());
    check("y", y.len(), folded.y_len());
    let mut blocks = Scratch::take(folded.x_len());
    fold(shape, x, &mut blocks);
    super::forward(folded, &blocks, &spread(shape, weight), bias, y);
}

/// `dx`, the gradient to the input, from `dy`, that to the output; `dx` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn input_gradient(shape: ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    let folded = folded(shape);
    check("dx", dx.len(), shape.x_len());
    let mut blocks = Scratch::take(folded.x_len());
    super::input_gradient(folded, dy, &spread(shape, weight), &mut blocks);
    unfold(shape, &blocks, dx);
}

/// `dw`, the gradient to the weight, from the input and the gradient to the output; `dw` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let folded = folded(shape);
    check("x", x.len(), shape.x_len());
    check("dw", dw.len(), 9 * shape.c_in * shape.c_out);
    let mut blocks = Scratch::take(folded.x_len());
    fold(shape, x, &mut blocks);
    let mut spread = Scratch::take(9 * folded.c_in * folded.c_out);
    super::weight_gradient(folded, &blocks, dy, &mut spread);
    let filters = dw.chunks_exact_mut(9).zip(spread.chunks_exact(36));
    for (dw, spread) in filters {
        for tap in 0..9 {
            dw[tap] = spread[place(tap)];
        }
    }
}

/// The convolution of blocks with stride 1.
fn folded(shape: ConvShape) -> ConvShape {
    ConvShape {
        c_in: 4 * shape.c_in,
        height: shape.height.div_ceil(2),
        width: shape.width.div_ceil(2),
        ..shape
    }
}

/// Where tap `3 a + b` lies in a pair's four filters `[4][3][3]`: row `2 i + a - 1` is row `(a + 1) % 2` of the block
/// before `i` if `a` is 0, of block `i` else.
fn place(tap: usize) -> usize {
    let [(parity_a, block_a), (parity_b, block_b)] =
        [tap / 3, tap % 3].map(|k| ((k + 1) % 2, k.div_ceil(2)));
    (2 * parity_a + parity_b) * 9 + 3 * block_a + block_b
}

/// The filters of the convolution of blocks.
fn spread(shape: ConvShape, weight: &[f32]) -> Scratch {
    check("weight", weight.len(), 9 * shape.c_in * shape.c_out);
    let mut spread = Scratch::take(4 * weight.len());
    spread.fill(0.0);
    let filters = spread.chunks_exact_mut(36).zip(weight.chunks_exact(9));
    for (spread, weight) in filters {
        for tap in 0..9 {
            spread[place(tap)] = weight[tap];
        }
    }
    spread
}

/// `[planes, height, width]` to `[planes, 4, height / 2, width / 2]`; the last block of an odd side is filled up with
/// zeros.
fn fold(shape: ConvShape, x: &[f32], blocks: &mut [f32]) {
    let ConvShape { height, width, .. } = shape;
    let (down, across) = (height.div_ceil(2), width.div_ceil(2));
    blocks
        .par_chunks_mut((4 * down * across).max(1))
        .zip(x.par_chunks(shape.plane().max(1)))
        .for_each(|(blocks, x)| {
            if height % 2 == 1 {
                blocks[2 * down * across..].fill(0.0);
            }
            for (row, x) in x.chunks_exact(width).enumerate() {
                let at = (2 * (row % 2) * down + row / 2) * across;
                let (even, odd) = blocks[at..].split_at_mut(down * across);
                let (pairs, last) = x.as_chunks::<2>();
                for ((even, odd), pair) in even.iter_mut().zip(&mut *odd).zip(pairs) {
                    [*even, *odd] = *pair;
                }
                if let [last] = last {
                    (even[across - 1], odd[across - 1]) = (*last, 0.0);
                }
            }
        });
}

/// The reverse of [`fold`].
fn unfold(shape: ConvShape, blocks: &[f32], x: &mut [f32]) {
    let ConvShape { height, width, .. } = shape;
    let (down, across) = (height.div_ceil(2), width.div_ceil(2));
    x.par_chunks_mut(shape.plane().max(1))
        .zip(blocks.par_chunks((4 * down * across).max(1)))
        .for_each(|(x, blocks)| {
            for (row, x) in x.chunks_exact_mut(width).enumerate() {
                let at = (2 * (row % 2) * down + row / 2) * across;
                let (even, odd) = blocks[at..].split_at(down * across);
                let (pairs, last) = x.as_chunks_mut::<2>();
                for ((even, odd), pair) in even.iter().zip(odd).zip(pairs) {
                    *pair = [*even, *odd];
                }
                if let [last] = last {
                    *last = even[across - 1];
                }
            }
        });
}
