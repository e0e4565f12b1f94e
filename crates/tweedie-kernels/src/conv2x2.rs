//! The 2x2 convolution with stride 2, transposed: each pixel becomes a block of 2x2 pixels. And its gradients.
//!
//! A 1x1 convolution to four times the channels, whose pixels are then put side by side. A weight is
//! `[c_in, c_out, 2, 2]`; a shape's height and width are those of the input, and the output is twice as high and wide.

use crate::conv1x1;
use crate::scratch::Scratch;
use crate::shape::{ConvShape, check};
use crate::shuffle::{pixel_shuffle, pixel_unshuffle};

/// `y[o, 2 i + a, 2 j + b] = bias[o] + sum over c of weight[c, o, a, b] * x[c, i, j]`; `y` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward(shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if let Some(bias) = bias {
        check("bias", bias.len(), shape.c_out);
    }
    let bias: Option<Vec<f32>> = bias.map(|b| b.iter().flat_map(|&b| [b; 4]).collect());
    let wide = wide(shape);
    let mut pixels = Scratch::take(wide.y_len());
    let weight = transposed(shape, weight);
    conv1x1::forward(wide, x, &weight, bias.as_deref(), &mut pixels);
    pixel_shuffle(shape.height, shape.width, &pixels, y);
}

/// `dx`, the gradient to the input, from `dy`, that to the output; `dx` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn input_gradient(shape: ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    let pixels = unshuffled(shape, dy);
    conv1x1::input_gradient(wide(shape), &pixels, &transposed(shape, weight), dx);
}

/// `dw`, the gradient to the weight, from the input and the gradient to the output; `dw` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    check("dw", dw.len(), 4 * shape.c_in * shape.c_out);
    let pixels = unshuffled(shape, dy);
    let mut transposed = Scratch::take(dw.len());
    conv1x1::weight_gradient(wide(shape), x, &pixels, &mut transposed);
    transpose(&transposed, shape.c_in, dw);
}

/// The 1x1 convolution.
fn wide(shape: ConvShape) -> ConvShape {
    ConvShape {
        c_out: 4 * shape.c_out,
        ..shape
    }
}

fn unshuffled(shape: ConvShape, dy: &[f32]) -> Scratch {
    let mut pixels = Scratch::take(wide(shape).y_len());
    pixel_unshuffle(shape.height, shape.width, dy, &mut pixels);
    pixels
}

/// The 1x1 convolution's weight, `[4 c_out, c_in]`.
fn transposed(shape: ConvShape, weight: &[f32]) -> Scratch {
    check("weight", weight.len(), 4 * shape.c_in * shape.c_out);
    let mut transposed = Scratch::take(weight.len());
    transpose(weight, 4 * shape.c_out, &mut transposed);
    transposed
}

/// A matrix with so many columns, transposed.
fn transpose(from: &[f32], columns: usize, to: &mut [f32]) {
    let rows = from.len() / columns.max(1);
    for (column, to) in to.chunks_exact_mut(rows.max(1)).enumerate() {
        for (row, to) in to.iter_mut().enumerate() {
            *to = from[row * columns + column];
        }
    }
}
