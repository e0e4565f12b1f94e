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
        join(&a, &b)
    }

    fn gradients(
        &self,
        _: Kept<FlexTensor, 2>,
        dy: FlexTensor,
        _: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        part(&dy, self.channels).map(Some)
    }
}

/// Shape of the concatenation.
pub(super) fn dims_of(a: &FlexTensor, b: &FlexTensor) -> [usize; 4] {
    let [n, ca, h, w] = dims(a);
    [n, ca + dims(b)[1], h, w]
}

/// Two tensors as one.
pub(super) fn join(a: &FlexTensor, b: &FlexTensor) -> FlexTensor {
    tensor(dims_of(a, b), |y| {
        kernels::concat(dims(a)[0], values(a), values(b), y);
    })
}

/// One tensor as two of so many channels.
pub(super) fn part(y: &FlexTensor, channels: [usize; 2]) -> [FlexTensor; 2] {
    let [n, _, h, w] = dims(y);
    let shapes = channels.map(|c| [n, c, h, w]);
    tensors(shapes, |[a, b]| kernels::split(n, values(y), a, b))
}
