//! The operations that networks are built from.

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, activation, module};

/// 3x3 convolution with zero padding 1: `[n, i, h, w]`, weight `[o, i, 3, 3]`, bias `[1, o, 1, 1]`.
pub(crate) fn conv3x3(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    let o = w.dims()[0];
    let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
    module::conv2d(x, w, Some(bias.reshape([o])), options)
}

/// 1x1 convolution: `[n, i, h, w]`, weight `[o, i, 1, 1]`, bias `[1, o, 1, 1]`.
pub(crate) fn conv1x1(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    let o = w.dims()[0];
    let options = ConvOptions::new([1, 1], [0, 0], [1, 1], 1);
    module::conv2d(x, w, Some(bias.reshape([o])), options)
}

/// `x*sigmoid(x)`.
pub(crate) fn silu(x: Tensor<4>) -> Tensor<4> {
    activation::silu(x)
}

/// `silu(x*(1 + scale) + shift)`, with `scale` and `shift` `[n, c, 1, 1]`.
pub(crate) fn film_silu(x: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>) -> Tensor<4> {
    silu(x * (scale + 1.0) + shift)
}

/// `[n, c, 2h, 2w]` to `[n, 4c, h, w]`; channel `4c + 2i + j` holds rows of parity `i`, columns of parity `j`.
pub(crate) fn pixel_unshuffle(x: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c, h / 2, 2, w / 2, 2])
        .permute([0, 1, 3, 5, 2, 4])
        .reshape([n, 4 * c, h / 2, w / 2])
}

/// The inverse of [`pixel_unshuffle`].
pub(crate) fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    x.reshape([n, c / 4, 2, 2, h, w])
        .permute([0, 1, 4, 2, 5, 3])
        .reshape([n, c / 4, 2 * h, 2 * w])
}
