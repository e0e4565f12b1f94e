//! Two tensors as one, along channels.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use tweedie_kernels as kernels;

use super::memory::{dims, tensor, tensors, values};
use super::operation::{Kept, Operation, binary, has_kernels};

/// `[n, a, h, w]` and `[n, b, h, w]` to `[n, a + b, h, w]`.
pub(crate) fn concat(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    let ([n, ca, h, w], cb) = (a.dims(), b.dims()[1]);
    assert_eq!(
        b.dims(),
        [n, cb, h, w],
        "tensors that differ in channels alone"
    );
    if !has_kernels(&a) {
        return Tensor::cat(vec![a, b], 1);
    }
    binary(Concat { channels: [ca, cb] }, [a, b])
}

#[derive(Clone, Debug)]
struct Concat {
    channels: [usize; 2],
}

impl Operation<2> for Concat {
    fn forward(&self, [a, b]: [FlexTensor; 2]) -> FlexTensor {
        let [n, ca, h, w] = dims(&a);
        tensor([n, ca + dims(&b)[1], h, w], |y| {
            kernels::concat(n, values(&a), values(&b), y);
        })
    }

    fn gradients(
        &self,
        _: Kept<FlexTensor, 2>,
        dy: FlexTensor,
        _: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let [n, _, h, w] = dims(&dy);
        let shapes = self.channels.map(|c| [n, c, h, w]);
        let gradients = tensors(shapes, |[a, b]| kernels::split(n, values(&dy), a, b));
        gradients.map(Some)
    }
}
