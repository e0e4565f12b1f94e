//! Group normalisation.

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, activation};
use tweedie_kernels::{GroupNorm, NormGradients};

use super::features::{Features, Found};
use super::memory::{dims, tensor, tensors, values};
use super::operation::{Kept, Operation, has_kernels, ternary};
use super::regroup::{average_pool, check_blocks, spread};

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
    x: impl Into<Features>,
    scale: Tensor<4>,
    shift: Tensor<4>,
) -> Tensor<4> {
    normalise(norm, x.into(), [scale, shift], false)
}

/// The means of 2x2 blocks of the result of [`group_norm`].
pub(crate) fn group_norm_pool(
    norm: Norm,
    x: impl Into<Features>,
    scale: Tensor<4>,
    shift: Tensor<4>,
) -> Tensor<4> {
    normalise(norm, x.into(), [scale, shift], true)
}

fn normalise(norm: Norm, x: Features, affine: [Tensor<4>; 2], pool: bool) -> Tensor<4> {
    let Features { tensor: x, moments } = x;
    let [n, c, h, w] = x.dims();
    norm.check(c);
    if pool {
        check_blocks(h, w);
    }
    if !has_kernels(&x) {
        let [scale, shift] = affine;
        let y = norm.stock(x, scale, shift);
        return if pool { average_pool(y) } else { y };
    }
    let [scale, shift] = affine.map(|t| t.expand([n, c, 1, 1]));
    let op = Normalise {
        norm,
        known: moments,
        pool,
    };
    ternary(op, [x, scale, shift])
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

    /// Groups must divide the channels.
    pub(super) fn check(self, channels: usize) {
        assert!(
            channels.is_multiple_of(self.groups),
            "{channels} channels are no {} groups",
            self.groups
        );
    }

    /// To `x`, scale and shift, with what is known of `x`.
    pub(super) fn gradients(
        &self,
        [x, scale, shift]: [&FlexTensor; 3],
        known: &Found,
        dy: &FlexTensor,
    ) -> [FlexTensor; 3] {
        let kernel = self.kernel(scale, shift);
        tensors([x, scale, shift].map(dims), |[dx, dscale, dshift]| {
            let to = NormGradients { dx, dscale, dshift };
            kernel.gradient(dims(x)[0], known.planes(x), values(dy), to);
        })
    }

    pub(super) fn kernel<'a>(&self, scale: &'a FlexTensor, shift: &'a FlexTensor) -> GroupNorm<'a> {
        GroupNorm {
            groups: self.groups,
            eps: self.eps,
            scale: values(scale),
            shift: values(shift),
            silu: self.silu,
        }
    }
}

/// A normalisation of a tensor of which something may be known.
#[derive(Clone, Debug)]
struct Normalise {
    norm: Norm,
    known: Found,
    /// Whether means of 2x2 blocks are taken of the result.
    pool: bool,
}

impl Operation<3> for Normalise {
    fn forward(&self, [x, scale, shift]: [FlexTensor; 3]) -> FlexTensor {
        let kernel = self.norm.kernel(&scale, &shift);
        let ([n, c, h, w], planes) = (dims(&x), self.known.planes(&x));
        if self.pool {
            let half = [h / 2, w / 2];
            return tensor([n, c, half[0], half[1]], |y| {
                kernel.forward_pool(n, half, planes, y);
            });
        }
        tensor([n, c, h, w], |y| kernel.forward(n, planes, y))
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
        let dy = if self.pool { spread(dy, 0.25) } else { dy };
        let gradients = self.norm.gradients([&x, &scale, &shift], &self.known, &dy);
        gradients.map(Some)
    }
}
