//! Sums.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use tweedie_kernels as kernels;

use super::memory::{dims, tensor, values};
use super::operation::{Kept, Operation, binary, has_kernels};

/// `a + b`, of the same shape.
pub(crate) fn add(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    assert_eq!(a.dims(), b.dims(), "tensors of the same shape");
    if !has_kernels(&a) {
        return a + b;
    }
    binary(Add, [a, b])
}

#[derive(Clone, Debug)]
struct Add;

impl Operation<2> for Add {
    fn forward(&self, [a, b]: [FlexTensor; 2]) -> FlexTensor {
        tensor(dims(&a), |y| kernels::add(values(&a), values(&b), y))
    }

    fn gradients(
        &self,
        _: Kept<FlexTensor, 2>,
        dy: FlexTensor,
        _: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        [Some(dy.clone()), Some(dy)]
    }
}
