//! Every operation against burn's own, on the same numbers.

use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use rand::RngExt;

use super::regroup::Regroup;
use super::*;

/// Relative L2 distance.
fn distance(a: Tensor<4>, b: Tensor<4>) -> f32 {
    assert_eq!(a.dims(), b.dims());
    let norm = |t: Tensor<4>| t.powf_scalar(2.0).sum().sqrt().into_scalar::<f32>();
    norm(a - b.clone()) / norm(b).max(1e-20)
}

/// Numbers from -1 to 1 that the seed decides.
fn uniform(shape: [usize; 4], seed: u64, device: &Device) -> Tensor<4> {
    let mut rng = crate::noise::generator(seed, "test");
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.random_range(-1.0..1.0))
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Compares output and all gradients of an operation with those of its stock form: relative L2 at most 3e-6, which is
/// what Winograd's transforms cost in f32; a transposed or shifted kernel gives about 1.
fn compare<const N: usize>(
    shapes: [[usize; 4]; N],
    ours: impl Fn([Tensor<4>; N]) -> Tensor<4>,
    stock: impl Fn([Tensor<4>; N]) -> Tensor<4>,
) {
    let device = Device::flex().autodiff();
    let mut seed = 0;
    let mut random = |shape: [usize; 4]| {
        seed += 1;
        uniform(shape, seed, &device)
    };
    let inputs = shapes.map(|s| random(s).require_grad());
    // Not summed plainly: all the output gradients would be ones.
    let weights = random(stock(inputs.clone()).dims());
    let run = |op: &dyn Fn([Tensor<4>; N]) -> Tensor<4>| {
        let y = op(inputs.clone());
        let grads = (y.clone() * weights.clone()).sum().backward();
        let mut all: Vec<_> = inputs
            .iter()
            .map(|t| t.grad(&grads).expect("a gradient"))
            .collect();
        all.push(y.inner());
        all
    };
    for (i, (a, b)) in run(&ours).into_iter().zip(run(&stock)).enumerate() {
        let distance = distance(a, b);
        assert!(distance < 3e-6, "result {i} of {shapes:?}: {distance:e}");
    }
}

#[test]
fn conv3x3_agrees_with_stock() {
    for [n, i, o, h, w] in [[2, 12, 64, 16, 16], [1, 64, 12, 9, 21], [3, 20, 33, 5, 4]] {
        compare(
            [[n, i, h, w], [o, i, 3, 3], [1, o, 1, 1]],
            |[x, w, b]| conv3x3(x, w, b),
            |[x, w, b]| conv::stock(x, w, b),
        );
    }
}

#[test]
fn conv1x1_agrees_with_stock() {
    for [n, i, o, h, w] in [[2, 64, 128, 16, 16], [1, 64, 12, 9, 21], [16, 64, 20, 1, 1]] {
        compare(
            [[n, i, h, w], [o, i, 1, 1], [1, o, 1, 1]],
            |[x, w, b]| conv1x1(x, w, b),
            |[x, w, b]| conv::stock(x, w, b),
        );
    }
}

#[test]
fn conv3x3_stride2_agrees_with_stock() {
    for [h, w] in [[8, 12], [9, 7]] {
        compare(
            [[2, 5, h, w], [7, 5, 3, 3], [1, 7, 1, 1]],
            |[x, w, b]| conv3x3_stride2(x, w, b),
            |[x, w, b]| conv::stride2_stock(x, w, b),
        );
    }
}

#[test]
fn residual_block_agrees_with_stock() {
    for [n, c, h, w] in [[1, 9, 7, 12], [3, 16, 8, 8]] {
        let (weight, bias) = ([c, c, 3, 3], [1, c, 1, 1]);
        for film in [[n, 2 * c, 1, 1], [n, 2 * c, h, w]] {
            compare(
                [[n, c, h, w], film, weight, bias, weight, bias],
                |[x, film, w1, b1, w2, b2]| residual_block(x, film, [w1, b1], [w2, b2]),
                |[x, film, w1, b1, w2, b2]| block::stock(x, film, [w1, b1], [w2, b2]),
            );
        }
    }
}

#[test]
fn regroupings_agree_with_stock() {
    let fine = [[2, 3, 6, 10]];
    compare(
        fine,
        |[x]| pixel_unshuffle(x),
        |[x]| Regroup::Unshuffle.stock(x),
    );
    compare(
        [[2, 12, 5, 7]],
        |[x]| pixel_shuffle(x),
        |[x]| Regroup::Shuffle.stock(x),
    );
    compare(
        fine,
        |[x]| average_pool(x),
        |[x]| Regroup::Pool(0.25).stock(x),
    );
    compare(
        [[2, 3, 5, 7]],
        |[x]| nearest_upsample(x),
        |[x]| Regroup::Spread(1.0).stock(x),
    );
}

#[test]
fn add_agrees_with_stock() {
    compare([[2, 3, 5, 7]; 2], |[a, b]| add(a, b), |[a, b]| a + b);
}

#[test]
fn concat_agrees_with_stock() {
    compare(
        [[2, 3, 5, 7], [2, 4, 5, 7]],
        |[a, b]| concat(a, b),
        |[a, b]| Tensor::cat(vec![a, b], 1),
    );
}

#[test]
fn upsampling_within_operations_agrees_with_stock() {
    let norm = Norm {
        groups: 3,
        eps: 1e-5,
        silu: true,
    };
    for n in [1, 2] {
        let (weight, bias) = ([7, 9, 3, 3], [1, 7, 1, 1]);
        compare(
            [[n, 9, 5, 8], weight, bias],
            |[x, w, b]| conv3x3_doubled(x, w, b).tensor,
            |[x, w, b]| conv::stock(Regroup::Spread(1.0).stock(x), w, b),
        );
        let (x, affine) = ([n, 9, 10, 16], [n, 9, 1, 1]);
        compare(
            [x, affine, affine, weight, bias, [n, 7, 5, 8]],
            |[x, scale, shift, weight, bias, residual]| {
                let conv = NormConv {
                    norm,
                    scale,
                    shift,
                    weight,
                    bias,
                };
                conv.forward_add(x.into(), residual).tensor
            },
            |[x, scale, shift, w, b, residual]| {
                let residual = Regroup::Spread(1.0).stock(residual);
                conv::stock(norm.stock(x, scale, shift), w, b) + residual
            },
        );
    }
}

#[test]
fn conv1x1_of_a_concatenation_agrees_with_stock() {
    compare(
        [[2, 4, 5, 7], [2, 5, 5, 7], [6, 9, 1, 1], [1, 6, 1, 1]],
        |[a, b, w, bias]| conv1x1_concat([a, b], w, bias),
        |[a, b, w, bias]| conv::stock(Tensor::cat(vec![a, b], 1), w, bias),
    );
}

#[test]
fn normalised_convolutions_agree_with_stock() {
    let norm = Norm {
        groups: 3,
        eps: 1e-5,
        silu: true,
    };
    let conv = |[scale, shift, weight, bias]: [Tensor<4>; 4]| NormConv {
        norm,
        scale,
        shift,
        weight,
        bias,
    };
    let stock = |x, [scale, shift, w, bias]: [Tensor<4>; 4]| {
        conv::stock(norm.stock(x, scale, shift), w, bias)
    };
    // What the first convolution finds out about its result is used by the second.
    let chain = |[first, second]: [NormConv; 2], x: Tensor<4>| {
        let h = first.forward(x.clone().into());
        second.forward_add(h, x).tensor
    };
    for n in [1, 2] {
        let (affine, weight, bias) = ([n, 9, 1, 1], [9, 9, 3, 3], [1, 9, 1, 1]);
        compare(
            [
                [n, 9, 8, 13],
                affine,
                affine,
                weight,
                bias,
                [1, 9, 1, 1],
                affine,
                weight,
                bias,
            ],
            |[x, a, b, c, d, e, f, g, h]| chain([conv([a, b, c, d]), conv([e, f, g, h])], x),
            |[x, a, b, c, d, e, f, g, h]| x.clone() + stock(stock(x, [a, b, c, d]), [e, f, g, h]),
        );
        // A group of three straddles the two.
        compare(
            [
                [n, 4, 8, 13],
                [n, 5, 8, 13],
                affine,
                affine,
                [7, 9, 3, 3],
                [1, 7, 1, 1],
            ],
            |[x, y, a, b, c, d]| {
                conv([a, b, c, d])
                    .forward_concat([x, y].map(Into::into))
                    .tensor
            },
            |[x, y, a, b, c, d]| stock(Tensor::cat(vec![x, y], 1), [a, b, c, d]),
        );
    }
}

#[test]
fn group_norm_agrees_with_stock() {
    for silu in [false, true] {
        let norm = Norm {
            groups: 4,
            eps: 1e-5,
            silu,
        };
        for affine in [[2, 12, 1, 1], [1, 12, 1, 1]] {
            compare(
                [[2, 12, 9, 7], affine, affine],
                |[x, a, b]| group_norm(norm, x, a, b),
                |[x, a, b]| norm.stock(x, a, b),
            );
            compare(
                [[2, 12, 10, 6], affine, affine],
                |[x, a, b]| group_norm_pool(norm, x, a, b),
                |[x, a, b]| Regroup::Pool(0.25).stock(norm.stock(x, a, b)),
            );
        }
    }
}

#[test]
fn attention_agrees_with_stock() {
    for [heads, depth, tokens] in [[2, 16, 64], [3, 5, 37], [1, 70, 100]] {
        compare(
            [[2, heads, depth, tokens]; 3],
            |[q, k, v]| attention(q, k, v),
            |[q, k, v]| attention::stock(q, k, v),
        );
    }
}

#[test]
fn silu_agrees_with_stock() {
    compare([[2, 3, 5, 7]], |[x]| silu(x), |[x]| activation::silu(x));
}

#[test]
fn works_on_views_and_in_chains() {
    // Transposed and sliced inputs, a parent used twice, and a gradient that comes back transposed.
    let block = |conv: fn(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>,
                 silu: fn(Tensor<4>) -> Tensor<4>| {
        move |[x, w, b]: [Tensor<4>; 3]| {
            let x = x.swap_dims(2, 3).slice([0..2, 1..5]);
            (x.clone() + conv(silu(x), w, b)).swap_dims(2, 3)
        }
    };
    compare(
        [[2, 6, 7, 10], [4, 4, 3, 3], [1, 4, 1, 1]],
        block(conv3x3, silu),
        block(conv::stock, activation::silu),
    );
}

#[test]
fn constants_get_no_gradient() {
    let device = Device::flex();
    let x = Tensor::<4>::ones([1, 2, 4, 4], &device.clone().autodiff()).require_grad();
    let w = Tensor::<4>::ones([3, 2, 3, 3], &device);
    let bias = Tensor::<4>::zeros([1, 3, 1, 1], &device);
    let grads = silu(conv3x3(x.clone(), w, bias)).sum().backward();
    assert!(
        x.grad(&grads)
            .expect("a gradient")
            .min()
            .into_scalar::<f32>()
            > 0.0
    );
}

#[test]
fn other_floats_use_stock_operations() {
    let x = Tensor::<4>::ones([1, 2, 4, 4], &Device::flex()).cast(DType::F64);
    assert_eq!(silu(x).dtype(), DType::F64);
}
