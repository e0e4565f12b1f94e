//! Convolutions.

use burn::backend::flex::FlexTensor;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, module};
use tweedie_kernels::conv3x3::{self, stride2};
use tweedie_kernels::{ConvShape, bias_gradient, conv1x1};

use super::concat::{self, concat};
use super::features::{Features, Found};
use super::memory::{dims, tensor, values};
use super::operation::{Kept, Operation, has_kernels, quaternary, ternary};
use super::regroup::{nearest_upsample, pool, spread};

/// 3x3 convolution with zero padding 1: `[n, i, h, w]`, weight `[o, i, 3, 3]`, bias `[1, o, 1, 1]`.
pub(crate) fn conv3x3(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    conv(Conv::<3>::default(), x, w, bias)
}

/// [`conv3x3()`], and the moments of its result.
pub(crate) fn conv3x3_features(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Features {
    let moments = Found::default();
    let op = Conv::<3> {
        found: Some(moments.clone()),
    };
    let tensor = conv(op, x, w, bias);
    Features { tensor, moments }
}

/// [`conv3x3_features`] of `x` with twice the height and width, by nearest-neighbour upsampling.
pub(crate) fn conv3x3_doubled(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Features {
    check::<3>(x.dims()[1], &w, &bias);
    if !has_kernels(&x) {
        return stock(nearest_upsample(x), w, bias).into();
    }
    let moments = Found::default();
    let op = ConvDoubled {
        found: moments.clone(),
    };
    let tensor = ternary(op, [x, w, bias]);
    Features { tensor, moments }
}

/// 1x1 convolution: `[n, i, h, w]`, weight `[o, i, 1, 1]`, bias `[1, o, 1, 1]`.
pub(crate) fn conv1x1(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    conv(Conv::<1>::default(), x, w, bias)
}

/// [`conv1x1()`] of the channels of `a` followed by those of `b`.
pub(crate) fn conv1x1_concat([a, b]: [Tensor<4>; 2], w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    if !has_kernels(&a) {
        return conv1x1(concat(a, b), w, bias);
    }
    check::<1>(a.dims()[1] + b.dims()[1], &w, &bias);
    quaternary(ConvOfConcat, [a, b, w, bias])
}

/// 3x3 convolution with stride 2 and zero padding 1: `[n, i, h, w]` to half the size, rounded up; weight `[o, i, 3, 3]`,
/// bias `[1, o, 1, 1]`.
pub(crate) fn conv3x3_stride2(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    check::<3>(x.dims()[1], &w, &bias);
    if !has_kernels(&x) {
        return stride2_stock(x, w, bias);
    }
    let [_, _, height, width] = x.dims();
    ternary(ConvStride2 { height, width }, [x, w, bias])
}

/// The same in burn's own operations.
pub(super) fn stride2_stock(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    let o = w.dims()[0];
    let options = ConvOptions::new([2, 2], [1, 1], [1, 1], 1);
    module::conv2d(x, w, Some(bias.reshape([o])), options)
}

fn conv<const K: usize>(op: Conv<K>, x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    check::<K>(x.dims()[1], &w, &bias);
    if !has_kernels(&x) {
        return stock(x, w, bias);
    }
    ternary(op, [x, w, bias])
}

/// Weight and bias must be those of a convolution of `i` channels.
pub(super) fn check<const K: usize>(i: usize, w: &Tensor<4>, bias: &Tensor<4>) {
    let o = w.dims()[0];
    assert_eq!(
        (w.dims(), bias.dims()),
        ([o, i, K, K], [1, o, 1, 1]),
        "shapes of weight and bias"
    );
}

/// The same in burn's own operations.
pub(super) fn stock(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    let [o, _, k, _] = w.dims();
    let options = ConvOptions::new([1, 1], [k / 2; 2], [1, 1], 1);
    module::conv2d(x, w, Some(bias.reshape([o])), options)
}

/// A convolution with a `K` by `K` kernel, 3 or 1.
#[derive(Clone, Debug, Default)]
struct Conv<const K: usize> {
    /// Where the moments of a 3x3 convolution's result go, if they are wanted.
    found: Option<Found>,
}

impl<const K: usize> Operation<3> for Conv<K> {
    fn forward(&self, [x, w, bias]: [FlexTensor; 3]) -> FlexTensor {
        let shape = shape(dims(&x), dims(&w));
        let (x, w, bias) = (values(&x), values(&w), values(&bias));
        tensor(
            [shape.batch, shape.c_out, shape.height, shape.width],
            |y| match (K, &self.found) {
                (3, None) => conv3x3::forward(shape, x, w, Some(bias), y),
                (3, Some(found)) => found.set(conv3x3::forward_moments(shape, x, w, bias, y)),
                _ => conv1x1::forward(shape, x, w, Some(bias), y),
            },
        )
    }

    fn keeps(&self, [x, w, _]: [bool; 3]) -> [bool; 3] {
        [w, x, false]
    }

    fn gradients(
        &self,
        Kept {
            inputs: [x, w, _], ..
        }: Kept<FlexTensor, 3>,
        dy: FlexTensor,
        [_, _, wants_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        [
            w.map(|w| to_input::<K>(&dy, &w)),
            x.map(|x| to_weight::<K>(&x, &dy)),
            wants_bias.then(|| to_bias(&dy)),
        ]
    }
}

/// A 3x3 convolution of pictures with twice the height and width.
#[derive(Clone, Debug)]
struct ConvDoubled {
    found: Found,
}

impl Operation<3> for ConvDoubled {
    fn forward(&self, [x, w, bias]: [FlexTensor; 3]) -> FlexTensor {
        let [n, i, h, width] = dims(&x);
        let shape = shape([n, i, 2 * h, 2 * width], dims(&w));
        let (x, w, bias) = (values(&x), values(&w), values(&bias));
        tensor([n, shape.c_out, 2 * h, 2 * width], |y| {
            self.found
                .set(conv3x3::forward_doubled(shape, x, w, bias, y));
        })
    }

    fn keeps(&self, wanted: [bool; 3]) -> [bool; 3] {
        Conv::<3>::default().keeps(wanted)
    }

    fn gradients(
        &self,
        Kept {
            inputs: [x, w, bias],
            between,
        }: Kept<FlexTensor, 3>,
        dy: FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let inputs = [x.map(|x| spread(x, 1.0)), w, bias];
        let kept = Kept { inputs, between };
        let [dx, dw, db] = Conv::<3>::default().gradients(kept, dy, wanted);
        [dx.map(|dx| pool(dx, 1.0)), dw, db]
    }
}

/// A 3x3 convolution with stride 2 of pictures of this size.
#[derive(Clone, Debug)]
struct ConvStride2 {
    height: usize,
    width: usize,
}

impl Operation<3> for ConvStride2 {
    fn forward(&self, [x, w, bias]: [FlexTensor; 3]) -> FlexTensor {
        let (shape, [_, _, h, width]) = (shape(dims(&x), dims(&w)), dims(&x));
        let out = [shape.batch, shape.c_out, h.div_ceil(2), width.div_ceil(2)];
        let bias = Some(values(&bias));
        tensor(out, |y| {
            stride2::forward(shape, values(&x), values(&w), bias, y);
        })
    }

    fn keeps(&self, wanted: [bool; 3]) -> [bool; 3] {
        Conv::<3>::default().keeps(wanted)
    }

    fn gradients(
        &self,
        Kept {
            inputs: [x, w, _], ..
        }: Kept<FlexTensor, 3>,
        dy: FlexTensor,
        [_, _, wants_bias]: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let ([n, o, ..], size) = (dims(&dy), [self.height, self.width]);
        let dx = w.map(|w| {
            let [_, i, ..] = dims(&w);
            let of = [n, i, size[0], size[1]];
            tensor(of, |dx| {
                stride2::input_gradient(shape(of, dims(&w)), values(&dy), values(&w), dx);
            })
        });
        let dw = x.map(|x| {
            let weight = [o, dims(&x)[1], 3, 3];
            tensor(weight, |dw| {
                stride2::weight_gradient(shape(dims(&x), weight), values(&x), values(&dy), dw);
            })
        });
        [dx, dw, wants_bias.then(|| to_bias(&dy))]
    }
}

/// A 1x1 convolution of two tensors beside each other.
#[derive(Clone, Debug)]
struct ConvOfConcat;

impl Operation<4> for ConvOfConcat {
    fn forward(&self, [a, b, w, bias]: [FlexTensor; 4]) -> FlexTensor {
        let shape = shape(concat::dims_of(&a, &b), dims(&w));
        let (a, b, w, bias) = (values(&a), values(&b), values(&w), Some(values(&bias)));
        tensor([shape.batch, shape.c_out, shape.height, shape.width], |y| {
            conv1x1::forward_concat(shape, a, b, w, bias, y);
        })
    }

    fn keeps(&self, [a, b, w, _]: [bool; 4]) -> [bool; 4] {
        // Both for the weight's gradient; for theirs, their numbers of channels: tensors are shared, and cost nothing.
        [a || b || w, a || b || w, a || b, false]
    }

    fn gradients(
        &self,
        kept: Kept<FlexTensor, 4>,
        dy: FlexTensor,
        [wants_a, wants_b, wants_w, wants_bias]: [bool; 4],
    ) -> [Option<FlexTensor>; 4] {
        let [a, b, w, _] = kept.inputs;
        let of_inputs = w.filter(|_| wants_a || wants_b).map(|w| {
            let channels = [&a, &b].map(|t| dims(t.as_ref().expect("kept"))[1]);
            concat::part(&to_input::<1>(&dy, &w), channels)
        });
        let [da, db] = of_inputs.map_or([None, None], |parts| parts.map(Some));
        let dw = wants_w.then(|| {
            let [a, b] = [a, b].map(|t| t.expect("kept"));
            to_weight::<1>(&concat::join(&a, &b), &dy)
        });
        [da, db, dw, wants_bias.then(|| to_bias(&dy))]
    }
}

pub(super) fn to_input<const K: usize>(dy: &FlexTensor, w: &FlexTensor) -> FlexTensor {
    let ([n, _, h, width], c_in) = (dims(dy), dims(w)[1]);
    let shape = shape([n, c_in, h, width], dims(w));
    let kernel = match K {
        3 => conv3x3::input_gradient,
        _ => conv1x1::input_gradient,
    };
    tensor([n, c_in, h, width], |dx| {
        kernel(shape, values(dy), values(w), dx)
    })
}

pub(super) fn to_weight<const K: usize>(x: &FlexTensor, dy: &FlexTensor) -> FlexTensor {
    let weight = [dims(dy)[1], dims(x)[1], K, K];
    let kernel = match K {
        3 => conv3x3::weight_gradient,
        _ => conv1x1::weight_gradient,
    };
    tensor(weight, |dw| {
        kernel(shape(dims(x), weight), values(x), values(dy), dw)
    })
}

pub(super) fn to_bias(dy: &FlexTensor) -> FlexTensor {
    let [n, c, height, width] = dims(dy);
    tensor([1, c, 1, 1], |db| {
        bias_gradient(n, height * width, values(dy), db)
    })
}

pub(super) fn shape(
    [batch, c_in, height, width]: [usize; 4],
    [c_out, ..]: [usize; 4],
) -> ConvShape {
    ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
    }
}
