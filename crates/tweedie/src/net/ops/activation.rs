//! SiLU.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use tweedie_kernels as kernels;

use super::memory::{dims, tensor, values};
use super::operation::{Kept, Operation, has_kernels, unary};

/// `x*sigmoid(x)`.
pub(crate) fn silu(x: Tensor<4>) -> Tensor<4> {
    if !has_kernels(&x) {
        return activation::silu(x);
    }
    unary(Silu, x)
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
