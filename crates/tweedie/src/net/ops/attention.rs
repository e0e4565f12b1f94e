//! Softmax attention over positions.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use tweedie_kernels as kernels;
use tweedie_kernels::AttentionShape;

use super::memory::{dims, tensor, tensors, values};
use super::operation::{Kept, Operation, has_kernels, ternary};

/// `v softmax(k^T q/sqrt(depth))`, the softmax over keys: all `[n, heads, depth, positions]`.
pub(crate) fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    assert!(
        q.dims() == k.dims() && q.dims() == v.dims(),
        "q, k and v of the same shape"
    );
    if !has_kernels(&q) {
        return stock(q, k, v);
    }
    ternary(Attention, [q, k, v])
}

/// The same in burn's own operations.
pub(super) fn stock(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let depth = q.dims()[2] as f32;
    // Rows are keys, columns queries.
    let scores = k.swap_dims(2, 3).matmul(q) / depth.sqrt();
    v.matmul(activation::softmax(scores, 2))
}

#[derive(Clone, Debug)]
struct Attention;

fn shape(q: &FlexTensor) -> AttentionShape {
    let [n, heads, depth, tokens] = dims(q);
    AttentionShape {
        heads: n * heads,
        depth,
        tokens,
    }
}

impl Operation<3> for Attention {
    fn forward(&self, [q, k, v]: [FlexTensor; 3]) -> FlexTensor {
        tensor(dims(&q), |y| {
            kernels::attention(shape(&q), values(&q), values(&k), values(&v), y);
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
        let inputs = kept.inputs.map(|t| t.expect("kept"));
        let [q, k, v] = inputs.each_ref().map(values);
        let gradients = tensors(inputs.each_ref().map(dims), |to| {
            kernels::attention_gradient(shape(&inputs[0]), [q, k, v], values(&dy), to);
        });
        gradients.map(Some)
    }
}
