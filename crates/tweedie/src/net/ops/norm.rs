//! Group normalisation.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use tweedie_kernels::{GroupNorm, NormGradients};

use super::concat::{self, concat};
use super::memory::{dims, tensor, tensors, values};
use super::operation::{Kept, Operation, has_kernels, quaternary, ternary};

/// What a group normalisation is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    /// Groups, which divide the channels.
    pub(crate) groups: usize,
    /// Added to the variance.
    pub(crate) eps: f32,
    /// Whether SiLU follows.
    pub(crate) silu: bool,
}

/// `(x - mean)/sqrt(variance + eps)*scale + shift`, then SiLU if `norm` says so: `[n, c, h, w]`, `scale` and `shift`
/// `[n, c, 1, 1]` or `[1, c, 1, 1]`.
pub(crate) fn group_norm(
    norm: Norm,
    x: Tensor<4>,
    scale: Tensor<4>,
    shift: Tensor<4>,
) -> Tensor<4> {
    let [n, c, _, _] = x.dims();
    assert!(
        c.is_multiple_of(norm.groups),
        "{c} channels are no {} groups",
        norm.groups
    );
    if !has_kernels(&x) {
        return norm.stock(x, scale, shift);
    }
    let [scale, shift] = [scale, shift].map(|t| t.expand([n, c, 1, 1]));
    ternary(norm, [x, scale, shift])
}

/// [`group_norm`] of the channels of `a` followed by those of `b`.
pub(crate) fn group_norm_concat(
    norm: Norm,
    [a, b]: [Tensor<4>; 2],
    scale: Tensor<4>,
    shift: Tensor<4>,
) -> Tensor<4> {
    let ([n, ca, ..], [_, cb, ..]) = (a.dims(), b.dims());
    if !has_kernels(&a) || !(ca + cb).is_multiple_of(norm.groups) {
        return group_norm(norm, concat(a, b), scale, shift);
    }
    let [scale, shift] = [scale, shift].map(|t| t.expand([n, ca + cb, 1, 1]));
    quaternary(OfConcat(norm), [a, b, scale, shift])
}

impl Norm {
    /// The same in burn's own operations.
    pub(super) fn stock(self, x: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        let x = x.reshape([n, self.groups, c / self.groups * h * w]);
        let x = x.clone() - x.mean_dim(2);
        let variance = (x.clone() * x.clone()).mean_dim(2);
        let x = (x / (variance + self.eps).sqrt()).reshape([n, c, h, w]);
        let u = x * scale + shift;
        if self.silu { activation::silu(u) } else { u }
    }

    fn kernel<'a>(&self, scale: &'a FlexTensor, shift: &'a FlexTensor) -> GroupNorm<'a> {
        GroupNorm {
            groups: self.groups,
            eps: self.eps,
            scale: values(scale),
            shift: values(shift),
            silu: self.silu,
        }
    }
}

impl Operation<3> for Norm {
    fn forward(&self, [x, scale, shift]: [FlexTensor; 3]) -> FlexTensor {
        let kernel = self.kernel(&scale, &shift);
        tensor(dims(&x), |y| kernel.forward(dims(&x)[0], values(&x), y))
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
        let kernel = self.kernel(&scale, &shift);
        let gradients = tensors([&x, &scale, &shift].map(dims), |[dx, dscale, dshift]| {
            let to = NormGradients { dx, dscale, dshift };
            kernel.gradient(dims(&x)[0], values(&x), values(&dy), to);
        });
        gradients.map(Some)
    }
}

/// A group normalisation of two tensors beside each other.
#[derive(Clone, Copy, Debug)]
struct OfConcat(Norm);

impl Operation<4> for OfConcat {
    fn forward(&self, [a, b, scale, shift]: [FlexTensor; 4]) -> FlexTensor {
        let kernel = self.0.kernel(&scale, &shift);
        tensor(concat::dims_of(&a, &b), |y| {
            kernel.forward_concat(dims(&a)[0], values(&a), values(&b), y);
        })
    }

    fn keeps(&self, _: [bool; 4]) -> [bool; 4] {
        [true; 4]
    }

    fn gradients(
        &self,
        kept: Kept<FlexTensor, 4>,
        dy: FlexTensor,
        _: [bool; 4],
    ) -> [Option<FlexTensor>; 4] {
        let [a, b, scale, shift] = kept.inputs.map(|t| t.expect("kept"));
        let inputs = [concat::join(&a, &b), scale, shift];
        let kept = Kept {
            inputs: inputs.map(Some),
            between: None,
        };
        let [dx, dscale, dshift] = self.0.gradients(kept, dy, [true; 3]);
        let [da, db] = concat::part(&dx.expect("wanted"), [&a, &b].map(|t| dims(t)[1]));
        [Some(da), Some(db), dscale, dshift]
    }
}
