//! SiLU, alone and after a feature-wise scale and shift.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use tweedie_kernels as kernels;
use tweedie_kernels::FilmGradients;

use super::memory::{dims, tensor, tensors, values};
use super::operation::{Kept, Operation, has_kernels, ternary, unary};

/// `x*sigmoid(x)`.
pub(crate) fn silu(x: Tensor<4>) -> Tensor<4> {
    if !has_kernels(&x) {
        return activation::silu(x);
    }
    unary(Silu, x)
}

/// `silu(x*(1 + scale) + shift)`, with `scale` and `shift` `[n, c, 1, 1]`.
pub(crate) fn film_silu(x: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>) -> Tensor<4> {
    if !has_kernels(&x) {
        return film_silu_stock(x, scale, shift);
    }
    let [n, c, _, _] = x.dims();
    let [scale, shift] = [scale, shift].map(|t| t.expand([n, c, 1, 1]));
    ternary(FilmSilu, [x, scale, shift])
}

pub(super) fn film_silu_stock(x: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>) -> Tensor<4> {
    activation::silu(x * (scale + 1.0) + shift)
}

#[derive(Clone, Debug)]
struct Silu;

impl Operation<1> for Silu {
    fn forward(&self, [x]: [FlexTensor; 1]) -> FlexTensor {
        tensor(dims(&x), |y| kernels::silu(values(&x), y))
    }

    fn keeps(&self, wanted: [bool; 1]) -> [bool; 1] {
        wanted
    }

    fn gradients(
        &self,
        Kept { inputs: [x], .. }: Kept<FlexTensor, 1>,
        dy: FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        let x = x.expect("kept");
        [Some(tensor(dims(&x), |dx| {
            kernels::silu_gradient(values(&x), values(&dy), dx)
        }))]
    }
}

#[derive(Clone, Debug)]
struct FilmSilu;

impl Operation<3> for FilmSilu {
    fn forward(&self, [x, scale, shift]: [FlexTensor; 3]) -> FlexTensor {
        tensor(dims(&x), |y| {
            kernels::film_silu(values(&x), values(&scale), values(&shift), y);
        })
    }

    fn keeps(&self, _: [bool; 3]) -> [bool; 3] {
        [true; 3]
    }

    fn gradients(
        &self,
        kept: Kept<FlexTensor, 3>,
        dy: FlexTensor,
        _: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let [x, scale, shift] = kept.inputs.map(|t| t.expect("kept"));
        let shapes = [&x, &scale, &shift].map(dims);
        let (x, scale, shift, dy) = (values(&x), values(&scale), values(&shift), values(&dy));
        let gradients = tensors(shapes, |[dx, dscale, dshift]| {
            let to = FilmGradients { dx, dscale, dshift };
            kernels::film_silu_gradient(x, scale, shift, dy, to);
        });
        gradients.map(Some)
    }
}
