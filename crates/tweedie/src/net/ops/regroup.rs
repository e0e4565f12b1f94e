//! Changes of resolution that are linear and have each other for adjoints: 2x2 blocks of pixels to channels and back,
//! 2x2 blocks summed up and pixels repeated.

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use tweedie_kernels as kernels;

use super::memory::{dims, tensor, values};
use super::operation::{Kept, Operation, has_kernels, unary};

/// `[n, c, 2h, 2w]` to `[n, 4c, h, w]`; channel `4c + 2i + j` holds rows of parity `i`, columns of parity `j`.
pub(crate) fn pixel_unshuffle(x: Tensor<4>) -> Tensor<4> {
    apply(Regroup::Unshuffle, x)
}

/// The inverse of [`pixel_unshuffle`].
pub(crate) fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    apply(Regroup::Shuffle, x)
}

/// Means of 2x2 blocks: `[n, c, 2h, 2w]` to `[n, c, h, w]`.
pub(crate) fn average_pool(x: Tensor<4>) -> Tensor<4> {
    apply(Regroup::Pool(0.25), x)
}

/// Each pixel as a 2x2 block: `[n, c, h, w]` to `[n, c, 2h, 2w]`.
pub(crate) fn nearest_upsample(x: Tensor<4>) -> Tensor<4> {
    apply(Regroup::Spread(1.0), x)
}

/// Each pixel of a plain tensor times `factor`, as a 2x2 block.
pub(super) fn spread(x: FlexTensor, factor: f32) -> FlexTensor {
    Regroup::Spread(factor).forward([x])
}

/// The sum of each 2x2 block, times `factor`: the adjoint of [`spread`].
pub(super) fn pool(x: FlexTensor, factor: f32) -> FlexTensor {
    Regroup::Pool(factor).forward([x])
}

/// Half the resolution is that of whole 2x2 blocks.
pub(super) fn check_blocks(h: usize, w: usize) {
    assert!(
        h.is_multiple_of(2) && w.is_multiple_of(2),
        "{h}x{w} pixels are no 2x2 blocks"
    );
}

fn apply(op: Regroup, x: Tensor<4>) -> Tensor<4> {
    op.check(x.dims());
    if has_kernels(&x) {
        unary(op, x)
    } else {
        op.stock(x)
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Regroup {
    Unshuffle,
    Shuffle,
    /// The sum of a block times a factor.
    Pool(f32),
    /// Each pixel times a factor, as a block.
    Spread(f32),
}

impl Regroup {
    fn adjoint(self) -> Regroup {
        match self {
            Regroup::Unshuffle => Regroup::Shuffle,
            Regroup::Shuffle => Regroup::Unshuffle,
            Regroup::Pool(factor) => Regroup::Spread(factor),
            Regroup::Spread(factor) => Regroup::Pool(factor),
        }
    }

    fn check(self, [_, c, h, w]: [usize; 4]) {
        match self {
            Regroup::Unshuffle | Regroup::Pool(_) => check_blocks(h, w),
            Regroup::Shuffle => assert!(c.is_multiple_of(4), "{c} channels are no 2x2 blocks"),
            Regroup::Spread(_) => {}
        }
    }

    /// The same in burn's own operations.
    pub(super) fn stock(self, x: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        match self {
            Regroup::Unshuffle => x
                .reshape([n, c, h / 2, 2, w / 2, 2])
                .permute([0, 1, 3, 5, 2, 4])
                .reshape([n, 4 * c, h / 2, w / 2]),
            Regroup::Shuffle => x
                .reshape([n, c / 4, 2, 2, h, w])
                .permute([0, 1, 4, 2, 5, 3])
                .reshape([n, c / 4, 2 * h, 2 * w]),
            Regroup::Pool(factor) => {
                let blocks = x.reshape([n, c, h / 2, 2, w / 2, 2]);
                blocks.sum_dim(3).sum_dim(5).reshape([n, c, h / 2, w / 2]) * factor
            }
            Regroup::Spread(factor) => {
                let blocks = (x * factor).reshape([n, c, h, 1, w, 1]);
                blocks
                    .expand([n, c, h, 2, w, 2])
                    .reshape([n, c, 2 * h, 2 * w])
            }
        }
    }
}

impl Operation<1> for Regroup {
    fn forward(&self, [x]: [FlexTensor; 1]) -> FlexTensor {
        let ([n, c, h, w], x) = (dims(&x), values(&x));
        match *self {
            Regroup::Unshuffle => tensor([n, 4 * c, h / 2, w / 2], |y| {
                kernels::pixel_unshuffle(h / 2, w / 2, x, y);
            }),
            Regroup::Shuffle => tensor([n, c / 4, 2 * h, 2 * w], |y| {
                kernels::pixel_shuffle(h, w, x, y);
            }),
            Regroup::Pool(factor) => tensor([n, c, h / 2, w / 2], |y| {
                kernels::pool(h / 2, w / 2, factor, x, y);
            }),
            Regroup::Spread(factor) => tensor([n, c, 2 * h, 2 * w], |y| {
                kernels::spread(h, w, factor, x, y);
            }),
        }
    }

    fn gradients(
        &self,
        _: Kept<FlexTensor, 1>,
        dy: FlexTensor,
        _: [bool; 1],
    ) -> [Option<FlexTensor>; 1] {
        [Some(self.adjoint().forward([dy]))]
    }
}
