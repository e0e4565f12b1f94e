//! The photo network's residual block as one operation: what it computes on the way is forgotten or computed again, sums
//! are folded into the passes beside them, and the branch's two gradients meet in one.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use tweedie_kernels as kernels;
use tweedie_kernels::{ConvShape, FilmGradients, Scratch};

use super::conv::{self, to_bias, to_weight};
use super::memory::{dims, tensor, tensors, values};
use super::operation::{Kept, Operation, has_kernels, senary};
use super::{add, silu};

/// `x + conv2(silu(film(conv1(silu(x)))))`, where `film(h) = h*(1 + scale) + shift`.
///
/// `x` is `[n, c, h, w]`; `film` holds all scales, then all shifts, for whole planes, `[n, 2c, 1, 1]`, or for each of their
/// pixels, `[n, 2c, h, w]`; a convolution is its weight `[c, c, 3, 3]` and bias `[1, c, 1, 1]`.
pub(crate) fn residual_block(
    x: Tensor<4>,
    film: Tensor<4>,
    conv1: [Tensor<4>; 2],
    conv2: [Tensor<4>; 2],
) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let square = |[w, b]: &[Tensor<4>; 2]| w.dims() == [c, c, 3, 3] && b.dims() == [1, c, 1, 1];
    assert!(
        [[n, 2 * c, 1, 1], [n, 2 * c, h, w]].contains(&film.dims())
            && square(&conv1)
            && square(&conv2),
        "shapes of film, weights and biases"
    );
    if !has_kernels(&x) {
        return stock(x, film, conv1, conv2);
    }
    let ([w1, b1], [w2, b2]) = (conv1, conv2);
    senary(Block, [x, film, w1, b1, w2, b2])
}

/// The same, operation by operation.
pub(super) fn stock(
    x: Tensor<4>,
    film: Tensor<4>,
    [w1, b1]: [Tensor<4>; 2],
    [w2, b2]: [Tensor<4>; 2],
) -> Tensor<4> {
    let film = film.chunk(2, 1);
    let h = conv::stock(silu(x.clone()), w1, b1);
    let h = activation::silu(h * (film[0].clone() + 1.0) + film[1].clone());
    add(x, conv::stock(h, w2, b2))
}

#[derive(Clone, Debug)]
struct Block;

impl Operation<6> for Block {
    fn forward(&self, inputs: [FlexTensor; 6]) -> FlexTensor {
        self.forward_keeping(inputs, [false; 6]).0
    }

    fn forward_keeping(
        &self,
        inputs: [FlexTensor; 6],
        _: [bool; 6],
    ) -> (FlexTensor, Kept<FlexTensor, 6>) {
        let [x, film, w1, b1, w2, b2] = &inputs;
        let h = first_half(x, w1, b1);
        let y = second_half(x, &h, film, w2, b2);
        let [x, film, w1, _, w2, _] = inputs;
        let kept = Kept {
            inputs: [Some(x), Some(film), Some(w1), None, Some(w2), None],
            between: Some(h),
        };
        (y, kept)
    }

    fn gradients(
        &self,
        kept: Kept<FlexTensor, 6>,
        dy: FlexTensor,
        [_, _, wants_w1, wants_b1, wants_w2, wants_b2]: [bool; 6],
    ) -> [Option<FlexTensor>; 6] {
        let [Some(x), Some(film), Some(w1), _, Some(w2), _] = kept.inputs else {
            unreachable!("kept by `forward_keeping`")
        };
        let h = kept.between.expect("kept by `forward_keeping`");
        let (shape, film) = (shape(&x), Film::of(&film, &h));

        let dw2 = wants_w2.then(|| {
            let activated = tensor(dims(&h), |to| film.activate(values(&h), to));
            to_weight::<3>(&activated, &dy)
        });
        let db2 = wants_b2.then(|| to_bias(&dy));

        let mut between = Scratch::take(shape.x_len());
        kernels::conv3x3::input_gradient(shape, values(&dy), values(&w2), &mut between);
        let (dh, dfilm) = film.gradients(&h, &between);

        let dw1 = wants_w1.then(|| {
            let activated = tensor(dims(&x), |to| kernels::silu(values(&x), to));
            to_weight::<3>(&activated, &dh)
        });
        let db1 = wants_b1.then(|| to_bias(&dh));

        kernels::conv3x3::input_gradient(shape, values(&dh), values(&w1), &mut between);
        let dx = tensor(dims(&x), |dx| {
            kernels::silu_gradient_add(values(&x), &between, values(&dy), dx);
        });
        [Some(dx), Some(dfilm), dw1, db1, dw2, db2]
    }
}

/// `conv1(silu(x))`
fn first_half(x: &FlexTensor, weight: &FlexTensor, bias: &FlexTensor) -> FlexTensor {
    let shape = shape(x);
    let mut activated = Scratch::take(shape.x_len());
    kernels::silu(values(x), &mut activated);
    tensor(dims(x), |h| {
        let bias = Some(values(bias));
        kernels::conv3x3::forward(shape, &activated, values(weight), bias, h);
    })
}

/// `x + conv2(silu(film(h)))`
fn second_half(
    x: &FlexTensor,
    h: &FlexTensor,
    film: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
) -> FlexTensor {
    let shape = shape(x);
    let mut activated = Scratch::take(shape.x_len());
    Film::of(film, h).activate(values(h), &mut activated);
    let (weight, bias) = (values(weight), values(bias));
    tensor(dims(x), |y| {
        kernels::conv3x3::forward_add(shape, &activated, weight, bias, values(x), y);
    })
}

/// Scales and shifts.
enum Film<'a> {
    /// Of planes, `[n, c]` each.
    Planes([Scratch; 2], &'a FlexTensor),
    /// Of each pixel.
    Pixels(&'a FlexTensor),
}

impl<'a> Film<'a> {
    /// Those of `h`.
    fn of(film: &'a FlexTensor, h: &FlexTensor) -> Film<'a> {
        let [n, both, height, width] = dims(film);
        let [_, _, h_height, h_width] = dims(h);
        // One pixel is a plane.
        if (height, width) == (h_height, h_width) && height * width > 1 {
            return Film::Pixels(film);
        }
        let [mut scale, mut shift] = [(); 2].map(|()| Scratch::take(n * both / 2));
        kernels::split(n, values(film), &mut scale, &mut shift);
        Film::Planes([scale, shift], film)
    }

    /// `silu(h*(1 + scale) + shift)`
    fn activate(&self, h: &[f32], to: &mut [f32]) {
        match self {
            Film::Planes([scale, shift], _) => kernels::film_silu(h, scale, shift, to),
            Film::Pixels(film) => kernels::film_map_silu(dims(film)[0], h, values(film), to),
        }
    }

    /// The gradients to `h` and to the film, where `dy` is that to what is activated.
    fn gradients(&self, h: &FlexTensor, dy: &[f32]) -> (FlexTensor, FlexTensor) {
        let film = match self {
            Film::Planes(_, film) | Film::Pixels(film) => film,
        };
        let [n, ..] = dims(film);
        let [dh, dfilm] = tensors([dims(h), dims(film)], |[dx, to]| match self {
            Film::Planes([scale, shift], _) => {
                let [mut dscale, mut dshift] = [(); 2].map(|()| Scratch::take(scale.len()));
                let gradients = FilmGradients {
                    dx,
                    dscale: &mut dscale,
                    dshift: &mut dshift,
                };
                kernels::film_silu_gradient(values(h), scale, shift, dy, gradients);
                kernels::concat(n, &dscale, &dshift, to);
            }
            Film::Pixels(film) => {
                kernels::film_map_silu_gradient(n, values(h), values(film), dy, dx, to);
            }
        });
        (dh, dfilm)
    }
}

fn shape(x: &FlexTensor) -> ConvShape {
    let [_, c, _, _] = dims(x);
    conv::shape(dims(x), [c, c, 3, 3])
}
