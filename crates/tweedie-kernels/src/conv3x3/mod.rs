//! 3x3 convolution with stride 1 and zero padding 1, and its gradients.
//!
//! `y[n, o] = bias[o] + sum over c of weight[o, c] * x[n, c]`, with `*` the cross-correlation of the field.
//!
//! Always by Winograd's transforms: a direct product with the shifted inputs was measured slower at any number of
//! channels, since it is the writing of the output that costs where there are few.

mod forward;
pub mod stride2;
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
    let after = After {
        bias,
        residual: None,
    };
    forward_after(shape, x, weight, after, y);
}

/// `y = conv(x, weight) + bias + residual`; `y` is overwritten, `residual` has its shape.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward_add(
    shape: ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    residual: &[f32],
    y: &mut [f32],
) {
    let after = After {
        bias: Some(bias),
        residual: Some(residual),
    };
    forward_after(shape, x, weight, after, y);
}

/// What is added to the sums, on their way to memory.
#[derive(Clone, Copy, Default)]
struct After<'a> {
    /// `[c_out]`
    bias: Option<&'a [f32]>,
    /// In the shape of the output.
    residual: Option<&'a [f32]>,
}

fn forward_after(shape: ConvShape, x: &[f32], weight: &[f32], after: After<'_>, y: &mut [f32]) {
    check("x", x.len(), shape.x_len());
    check("weight", weight.len(), 9 * shape.c_in * shape.c_out);
    check("y", y.len(), shape.y_len());
    if let Some(bias) = after.bias {
        check("bias", bias.len(), shape.c_out);
    }
    if let Some(residual) = after.residual {
        check("residual", residual.len(), shape.y_len());
    }
    convolve(shape, x, weight, Direction::Forward, after, y);
}

/// `dx`, the gradient to the input, from `dy`, that to the output; `dx` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn input_gradient(shape: ConvShape, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    check("dy", dy.len(), shape.y_len());
    check("weight", weight.len(), 9 * shape.c_in * shape.c_out);
    check("dx", dx.len(), shape.x_len());
    let (shape, after) = (shape.transposed(), After::default());
    convolve(shape, dy, weight, Direction::Back, after, dx);
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
    after: After<'_>,
    y: &mut [f32],
) {
    if shape.is_empty() {
        // Without inputs there is nothing to sum.
        match after.residual {
            Some(residual) => y.copy_from_slice(residual),
            None => y.fill(0.0),
        }
        for (i, y) in y.chunks_mut(shape.plane().max(1)).enumerate() {
            let bias = after.bias.map_or(0.0, |b| b[i % shape.c_out]);
            y.iter_mut().for_each(|y| *y += bias);
        }
    } else if prefers_f2(shape) {
        forward::convolve::<F2>(shape, x, weight, direction, after, y);
    } else {
        forward::convolve::<F4>(shape, x, weight, direction, after, y);
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
