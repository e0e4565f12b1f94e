//! 3x3 convolution with stride 1 and zero padding 1, and its gradients.
//!
//! `y[n, o] = bias[o] + sum over c of weight[o, c] * x[n, c]`, with `*` the cross-correlation of the field.
//!
//! Always by Winograd's transforms: a direct product with the shifted inputs was measured slower at any number of
//! channels, since it is the writing of the output that costs where there are few.

mod forward;
mod tiles;
mod transforms;
mod weight_gradient;
mod weights;
mod winograd;

use crate::gemm::STEP;
use crate::shape::{ConvShape, check};

use self::tiles::Grid;
use self::weights::Direction;
use self::winograd::{F2, F4, Winograd};

/// `y = conv(x, weight) + bias`; `y` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward(shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    check("x", x.len(), shape.x_len());
    check("weight", weight.len(), 9 * shape.c_in * shape.c_out);
    check("y", y.len(), shape.y_len());
    if let Some(bias) = bias {
        check("bias", bias.len(), shape.c_out);
    }
    convolve(shape, x, weight, Direction::Forward, bias, y);
}

/// `dx`, the gradient to the input, from `dy`, that to the output; `dx` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn input_gradient(shape: ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    check("dy", dy.len(), shape.y_len());
    check("weight", weight.len(), 9 * shape.c_in * shape.c_out);
    check("dx", dx.len(), shape.x_len());
    convolve(shape.transposed(), dy, weight, Direction::Back, None, dx);
}

/// `dw`, the gradient to the weight, from the input and the gradient to the output; `dw` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn weight_gradient(shape: ConvShape, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    check("x", x.len(), shape.x_len());
    check("dy", dy.len(), shape.y_len());
    check("dw", dw.len(), 9 * shape.c_in * shape.c_out);
    if shape.is_empty() {
        dw.fill(0.0);
    } else if prefers_f2(shape) {
        weight_gradient::weight_gradient::<F2>(shape, x, dy, dw);
    } else {
        weight_gradient::weight_gradient::<F4>(shape, x, dy, dw);
    }
}

fn convolve(
    shape: ConvShape,
    x: &[f32],
    weight: &[f32],
    direction: Direction,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    if shape.is_empty() {
        let bias = |o: usize| bias.map_or(0.0, |b| b[o]);
        y.chunks_mut(shape.plane().max(1))
            .enumerate()
            .for_each(|(i, y)| y.fill(bias(i % shape.c_out)));
    } else if prefers_f2(shape) {
        forward::convolve::<F2>(shape, x, weight, direction, bias, y);
    } else {
        forward::convolve::<F4>(shape, x, weight, direction, bias, y);
    }
}

/// Small tiles for small maps: large ones hang over the edge, leave lanes empty, and have 36 filters to transform, each
/// of which costs about as much as its product with four tiles.
fn prefers_f2(shape: ConvShape) -> bool {
    fn cost<F: Winograd>(shape: ConvShape) -> usize {
        F::A * F::A * (Grid::new(shape, F::M).tiles().next_multiple_of(STEP) + 4)
    }
    cost::<F2>(shape) < cost::<F4>(shape)
}
