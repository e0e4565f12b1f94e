//! 3x3 convolution with stride 1 and zero padding 1, and its gradients.
//!
//! `y[n, o] = bias[o] + sum over c of weight[o, c] * x[n, c]`, with `*` the cross-correlation of the field.
//!
//! Always by Winograd's transforms: a direct product with the shifted inputs was measured slower at any number of
//! channels, since it is the writing of the output that costs where there are few.

mod forward;
pub mod stride2;
mod sums;
mod tiles;
mod transforms;
mod weight_gradient;
mod weights;
mod winograd;

use crate::film::Film;
use crate::gemm::STEP;
use crate::group_norm::GroupNorm;
use crate::moments::{Moments, Planes, Sides};
use crate::resample::spread;
use crate::scratch::Scratch;
use crate::shape::{ConvShape, check};

use self::tiles::Grid;
use self::weights::{Direction, Filters};
use self::winograd::{F2, F4, Winograd};

/// `y = conv(x, weight) + bias`; `y` is overwritten.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward(shape: ConvShape, x: &[f32], weight: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let after = After::bias(bias);
    check_forward(shape, x.len(), weight, after, y);
    convolve(shape, x, weight, Direction::Forward, after, y);
}

/// The same, and the moments of each plane of the result, `[batch, c_out]`.
///
/// # Panics
/// If a length does not fit the shape.
pub fn forward_moments(
    shape: ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
) -> Vec<Moments> {
    let after = After::bias(Some(bias));
    check_forward(shape, x.len(), weight, after, y);
    convolve_moments(shape, Source::plain(shape, x), weight, after, y)
}

/// The same for `x` half as high and wide, `[batch, c_in, height / 2, width / 2]`, each of its pixels standing for a 2x2
/// block (nearest-neighbour upsampling before the convolution).
///
/// # Panics
/// If a length does not fit the shape, or height or width is odd.
pub fn forward_doubled(
    shape: ConvShape,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    y: &mut [f32],
) -> Vec<Moments> {
    let after = After::bias(Some(bias));
    check_even(shape, true);
    check_forward(shape, 4 * x.len(), weight, after, y);
    let source = Source {
        sides: Sides::new(shape.batch, shape.plane() / 4, [x.into(), Planes::NONE]),
        films: None,
        doubled: true,
    };
    convolve_moments(shape, source, weight, after, y)
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
        residual: Some(Residual {
            values: residual,
            doubled: false,
        }),
    };
    check_forward(shape, x.len(), weight, after, y);
    convolve(shape, x, weight, Direction::Forward, after, y);
}

/// A convolution of what a group normalisation makes of its input.
#[derive(Debug, Clone, Copy)]
pub struct NormConv<'a> {
    /// Of the convolution.
    pub shape: ConvShape,
    /// Of its input.
    pub norm: GroupNorm<'a>,
    /// `[c_out, c_in, 3, 3]`
    pub weight: &'a [f32],
    /// `[c_out]`
    pub bias: &'a [f32],
    /// What is added to the result.
    pub residual: Option<Residual<'a>>,
}

impl NormConv<'_> {
    /// Writes to `y`, which is overwritten, what becomes of the channels of one tensor followed by those of another, in
    /// each image; and finds the moments of its planes, `[batch, c_out]`.
    ///
    /// # Panics
    /// If a length does not fit the shape.
    pub fn forward(&self, x: [Planes<'_>; 2], y: &mut [f32]) -> Vec<Moments> {
        let (shape, norm) = (self.shape, &self.norm);
        let after = After {
            bias: Some(self.bias),
            residual: self.residual,
        };
        let len = x.iter().map(|x| x.values.len()).sum();
        check_forward(shape, len, self.weight, after, y);
        check("scale", norm.scale.len(), shape.batch * shape.c_in);
        if shape.batch == 1 && norm.silu && !shape.is_empty() {
            let sides = Sides::new(1, norm.plane(1, len), x);
            let source = Source {
                films: Some(norm.films(&sides)),
                sides,
                doubled: false,
            };
            return convolve_moments(shape, source, self.weight, after, y);
        }
        // The tiles of a block may come from several images, which differ in what happens to them.
        let mut normed = Scratch::take(len);
        norm.forward_concat(shape.batch, x, &mut normed);
        let source = Source::plain(shape, &normed);
        convolve_moments(shape, source, self.weight, after, y)
    }
}

/// What is added to the sums, on their way to memory.
#[derive(Clone, Copy, Default)]
struct After<'a> {
    /// `[c_out]`
    bias: Option<&'a [f32]>,
    residual: Option<Residual<'a>>,
}

impl<'a> After<'a> {
    fn bias(bias: Option<&'a [f32]>) -> After<'a> {
        After {
            bias,
            residual: None,
        }
    }
}

/// What is added to the result of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct Residual<'a> {
    /// In the shape of the output; or half as high and wide.
    pub values: &'a [f32],
    /// Whether it is half as high and wide, each of its pixels to be added to a 2x2 block.
    pub doubled: bool,
}

impl Residual<'_> {
    /// Pixels of its planes.
    fn plane(&self, shape: ConvShape) -> usize {
        shape.plane() / if self.doubled { 4 } else { 1 }
    }
}

/// What a convolution reads.
struct Source<'a> {
    /// Two tensors only if the batch is one image.
    sides: Sides<'a>,
    /// What happens to each channel of the only image on the way; SiLU is part of it.
    films: Option<Vec<Film>>,
    /// Whether the tensor is half as high and wide, each of its pixels standing for a 2x2 block.
    doubled: bool,
}

impl<'a> Source<'a> {
    fn plain(shape: ConvShape, x: &'a [f32]) -> Source<'a> {
        Source {
            sides: Sides::new(shape.batch, shape.plane(), [x.into(), Planes::NONE]),
            films: None,
            doubled: false,
        }
    }
}

/// Half the resolution is that of whole 2x2 blocks.
#[track_caller]
fn check_even(shape: ConvShape, doubled: bool) {
    let ConvShape { height, width, .. } = shape;
    assert!(
        !doubled || (height.is_multiple_of(2) && width.is_multiple_of(2)),
        "{height}x{width} pixels are no 2x2 blocks"
    );
}

#[track_caller]
fn check_forward(shape: ConvShape, x: usize, weight: &[f32], after: After<'_>, y: &[f32]) {
    check("x", x, shape.x_len());
    check("weight", weight.len(), 9 * shape.c_in * shape.c_out);
    check("y", y.len(), shape.y_len());
    if let Some(bias) = after.bias {
        check("bias", bias.len(), shape.c_out);
    }
    if let Some(residual) = after.residual {
        let expected = shape.batch * shape.c_out * residual.plane(shape);
        check("residual", residual.values.len(), expected);
        check_even(shape, residual.doubled);
    }
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
    let filters = Filters {
        shape,
        weight,
        direction,
    };
    run(Source::plain(shape, x), filters, after, None, y);
}

/// A convolution, and the moments of each plane of the result.
fn convolve_moments(
    shape: ConvShape,
    source: Source<'_>,
    weight: &[f32],
    after: After<'_>,
    y: &mut [f32],
) -> Vec<Moments> {
    let filters = Filters {
        shape,
        weight,
        direction: Direction::Forward,
    };
    if shape.batch == 1 && !shape.is_empty() {
        let mut moments = vec![Moments::default(); shape.c_out];
        run(source, filters, after, Some(&mut moments), y);
        return moments;
    }
    // A block of tiles may lie in several images.
    run(source, filters, after, None, y);
    Moments::of_planes(y, shape.plane())
}

fn run(
    source: Source<'_>,
    filters: Filters<'_>,
    after: After<'_>,
    moments: Option<&mut [Moments]>,
    y: &mut [f32],
) {
    let shape = filters.shape;
    if shape.is_empty() {
        // Without inputs there is nothing to sum.
        match after.residual {
            Some(residual) if residual.doubled => {
                spread(shape.height / 2, shape.width / 2, 1.0, residual.values, y);
            }
            Some(residual) => y.copy_from_slice(residual.values),
            None => y.fill(0.0),
        }
        for (i, y) in y.chunks_mut(shape.plane().max(1)).enumerate() {
            let bias = after.bias.map_or(0.0, |b| b[i % shape.c_out]);
            y.iter_mut().for_each(|y| *y += bias);
        }
    } else if prefers_f2(shape) {
        forward::convolve::<F2>(source, filters, after, moments, y);
    } else {
        forward::convolve::<F4>(source, filters, after, moments, y);
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
