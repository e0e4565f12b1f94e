//! The operations that networks are built from.
//!
//! On the CPU they run in [`tweedie_kernels`], as custom operations of burn with their own gradients; on any other
//! device, and for any other float than f32, they are burn's stock operations. Networks are written once.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind, unary};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::{DType, Tensor};
use tweedie_kernels as kernels;
use tweedie_kernels::{ConvShape, FilmGradients};

use self::memory::{room, tensor, wrap};

mod memory;

/// 3x3 convolution with zero padding 1: `[n, i, h, w]`, weight `[o, i, 3, 3]`, bias `[1, o, 1, 1]`.
pub(crate) fn conv3x3(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    check_conv(&x, &w, &bias, 3);
    if !has_kernels(&x) {
        return stock::conv(x, w, bias, 1);
    }
    let [x, w, bias] = [x, w, bias].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::conv3x3(x, w, bias))
}

/// 1x1 convolution: `[n, i, h, w]`, weight `[o, i, 1, 1]`, bias `[1, o, 1, 1]`.
pub(crate) fn conv1x1(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>) -> Tensor<4> {
    check_conv(&x, &w, &bias, 1);
    if !has_kernels(&x) {
        return stock::conv(x, w, bias, 0);
    }
    let [x, w, bias] = [x, w, bias].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::conv1x1(x, w, bias))
}

/// `x*sigmoid(x)`.
pub(crate) fn silu(x: Tensor<4>) -> Tensor<4> {
    if !has_kernels(&x) {
        return burn::tensor::activation::silu(x);
    }
    Tensor::from_dispatch(Dispatch::silu(x.into_dispatch()))
}

/// `silu(x*(1 + scale) + shift)`, with `scale` and `shift` `[n, c, 1, 1]`.
pub(crate) fn film_silu(x: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>) -> Tensor<4> {
    if !has_kernels(&x) {
        return stock::film_silu(x, scale, shift);
    }
    let [n, c, _, _] = x.dims();
    let [scale, shift] = [scale, shift].map(|t| t.expand([n, c, 1, 1]).into_dispatch());
    Tensor::from_dispatch(Dispatch::film_silu(x.into_dispatch(), scale, shift))
}

/// `[n, c, 2h, 2w]` to `[n, 4c, h, w]`; channel `4c + 2i + j` holds rows of parity `i`, columns of parity `j`.
pub(crate) fn pixel_unshuffle(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    assert!(
        h.is_multiple_of(2) && w.is_multiple_of(2),
        "{h}x{w} pixels are no 2x2 blocks"
    );
    if !has_kernels(&x) {
        return stock::pixel_unshuffle(x);
    }
    Tensor::from_dispatch(Dispatch::pixel_unshuffle(x.into_dispatch()))
}

/// The inverse of [`pixel_unshuffle`].
pub(crate) fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
    let [_, c, _, _] = x.dims();
    assert!(c.is_multiple_of(4), "{c} channels are no 2x2 blocks");
    if !has_kernels(&x) {
        return stock::pixel_shuffle(x);
    }
    Tensor::from_dispatch(Dispatch::pixel_shuffle(x.into_dispatch()))
}

fn check_conv(x: &Tensor<4>, w: &Tensor<4>, bias: &Tensor<4>, k: usize) {
    let (i, o) = (x.dims()[1], w.dims()[0]);
    assert_eq!(
        (w.dims(), bias.dims()),
        ([o, i, k, k], [1, o, 1, 1]),
        "shapes of weight and bias"
    );
}

/// Whether `x` is where the kernels run.
fn has_kernels(x: &Tensor<4>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// The same in burn's own operations.
mod stock {
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Tensor, activation, module};

    pub(super) fn conv(x: Tensor<4>, w: Tensor<4>, bias: Tensor<4>, padding: usize) -> Tensor<4> {
        let o = w.dims()[0];
        let options = ConvOptions::new([1, 1], [padding; 2], [1, 1], 1);
        module::conv2d(x, w, Some(bias.reshape([o])), options)
    }

    pub(super) fn film_silu(x: Tensor<4>, scale: Tensor<4>, shift: Tensor<4>) -> Tensor<4> {
        activation::silu(x * (scale + 1.0) + shift)
    }

    pub(super) fn pixel_unshuffle(x: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        x.reshape([n, c, h / 2, 2, w / 2, 2])
            .permute([0, 1, 3, 5, 2, 4])
            .reshape([n, 4 * c, h / 2, w / 2])
    }

    pub(super) fn pixel_shuffle(x: Tensor<4>) -> Tensor<4> {
        let [n, c, h, w] = x.dims();
        x.reshape([n, c / 4, 2, 2, h, w])
            .permute([0, 1, 4, 2, 5, 3])
            .reshape([n, c / 4, 2 * h, 2 * w])
    }
}

/// The custom operations. Tensors are f32.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Kernels: Backend {
    /// `[n, i, h, w]`, `[o, i, 3, 3]`, `[1, o, 1, 1]` to `[n, o, h, w]`.
    fn conv3x3(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// `[n, i, h, w]`, `[o, i, 1, 1]`, `[1, o, 1, 1]` to `[n, o, h, w]`.
    fn conv1x1(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// Any shape.
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[n, c, h, w]`, `[n, c, 1, 1]`, `[n, c, 1, 1]` to `[n, c, h, w]`.
    fn film_silu(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    /// `[n, c, 2h, 2w]` to `[n, 4c, h, w]`.
    fn pixel_unshuffle(x: FloatTensor<Self>) -> FloatTensor<Self>;
    /// `[n, 4c, h, w]` to `[n, c, 2h, 2w]`.
    fn pixel_shuffle(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// Their gradients, given `dy`, the gradient to the output.
pub(crate) trait Pullbacks: Backend {
    /// Gradient of [`Kernels::conv3x3`] to `x`.
    fn conv3x3_dx(dy: FloatTensor<Self>, w: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of [`Kernels::conv3x3`] to `w`.
    fn conv3x3_dw(x: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of [`Kernels::conv1x1`] to `x`.
    fn conv1x1_dx(dy: FloatTensor<Self>, w: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of [`Kernels::conv1x1`] to `w`.
    fn conv1x1_dw(x: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of a convolution to its bias.
    fn conv_dbias(dy: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradient of [`Kernels::silu`].
    fn silu_dx(x: FloatTensor<Self>, dy: FloatTensor<Self>) -> FloatTensor<Self>;
    /// Gradients of [`Kernels::film_silu`] to `x`, `scale` and `shift`.
    fn film_silu_d(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        dy: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 3];
}

impl Kernels for Flex {
    fn conv3x3(x: FlexTensor, w: FlexTensor, bias: FlexTensor) -> FlexTensor {
        convolution(x, w, bias, kernels::conv3x3::forward)
    }

    fn conv1x1(x: FlexTensor, w: FlexTensor, bias: FlexTensor) -> FlexTensor {
        convolution(x, w, bias, kernels::conv1x1::forward)
    }

    fn silu(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        tensor(dims(&x), |y| kernels::silu(values(&x), y))
    }

    fn film_silu(x: FlexTensor, scale: FlexTensor, shift: FlexTensor) -> FlexTensor {
        let [x, scale, shift] = [x, scale, shift].map(|t| t.to_contiguous());
        tensor(dims(&x), |y| {
            kernels::film_silu(values(&x), values(&scale), values(&shift), y);
        })
    }
    fn pixel_unshuffle(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let [n, c, h, w] = dims(&x);
        tensor([n, 4 * c, h / 2, w / 2], |y| {
            kernels::pixel_unshuffle(h / 2, w / 2, values(&x), y);
        })
    }

    fn pixel_shuffle(x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let [n, c, h, w] = dims(&x);
        tensor([n, c / 4, 2 * h, 2 * w], |y| {
            kernels::pixel_shuffle(h, w, values(&x), y)
        })
    }
}

impl Pullbacks for Flex {
    fn conv3x3_dx(dy: FlexTensor, w: FlexTensor) -> FlexTensor {
        convolution_dx(dy, w, kernels::conv3x3::input_gradient)
    }

    fn conv3x3_dw(x: FlexTensor, dy: FlexTensor) -> FlexTensor {
        convolution_dw(x, dy, 3, kernels::conv3x3::weight_gradient)
    }

    fn conv1x1_dx(dy: FlexTensor, w: FlexTensor) -> FlexTensor {
        convolution_dx(dy, w, kernels::conv1x1::input_gradient)
    }

    fn conv1x1_dw(x: FlexTensor, dy: FlexTensor) -> FlexTensor {
        convolution_dw(x, dy, 1, kernels::conv1x1::weight_gradient)
    }

    fn conv_dbias(dy: FlexTensor) -> FlexTensor {
        let dy = dy.to_contiguous();
        let [n, c, height, width] = dims(&dy);
        tensor([1, c, 1, 1], |db| {
            kernels::bias_gradient(n, height * width, values(&dy), db)
        })
    }

    fn silu_dx(x: FlexTensor, dy: FlexTensor) -> FlexTensor {
        let [x, dy] = [x, dy].map(|t| t.to_contiguous());
        tensor(dims(&x), |dx| {
            kernels::silu_gradient(values(&x), values(&dy), dx)
        })
    }

    fn film_silu_d(
        x: FlexTensor,
        scale: FlexTensor,
        shift: FlexTensor,
        dy: FlexTensor,
    ) -> [FlexTensor; 3] {
        let [x, scale, shift, dy] = [x, scale, shift, dy].map(|t| t.to_contiguous());
        let shapes = [&x, &scale, &shift].map(dims);
        let [mut dx, mut dscale, mut dshift] = shapes.map(room);
        let to = FilmGradients {
            dx: &mut dx,
            dscale: &mut dscale,
            dshift: &mut dshift,
        };
        let (x, scale, shift, dy) = (values(&x), values(&scale), values(&shift), values(&dy));
        kernels::film_silu_gradient(x, scale, shift, dy, to);
        [
            wrap(shapes[0], dx),
            wrap(shapes[1], dscale),
            wrap(shapes[2], dshift),
        ]
    }
}

/// Input, weight, bias, output.
type ForwardKernel = fn(ConvShape, &[f32], &[f32], Option<&[f32]>, &mut [f32]);
/// Output gradient and weight, or input and output gradient; the gradient that is wanted.
type GradientKernel = fn(ConvShape, &[f32], &[f32], &mut [f32]);

fn convolution(
    x: FlexTensor,
    w: FlexTensor,
    bias: FlexTensor,
    kernel: ForwardKernel,
) -> FlexTensor {
    let [x, w, bias] = [x, w, bias].map(|t| t.to_contiguous());
    let ([batch, c_in, height, width], c_out) = (dims(&x), dims(&w)[0]);
    let shape = ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
    };
    tensor([batch, c_out, height, width], |y| {
        kernel(shape, values(&x), values(&w), Some(values(&bias)), y);
    })
}

fn convolution_dx(dy: FlexTensor, w: FlexTensor, kernel: GradientKernel) -> FlexTensor {
    let [dy, w] = [dy, w].map(|t| t.to_contiguous());
    let ([batch, c_out, height, width], c_in) = (dims(&dy), dims(&w)[1]);
    let shape = ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
    };
    tensor([batch, c_in, height, width], |dx| {
        kernel(shape, values(&dy), values(&w), dx)
    })
}

fn convolution_dw(x: FlexTensor, dy: FlexTensor, k: usize, kernel: GradientKernel) -> FlexTensor {
    let [x, dy] = [x, dy].map(|t| t.to_contiguous());
    let ([batch, c_in, height, width], c_out) = (dims(&x), dims(&dy)[1]);
    let shape = ConvShape {
        batch,
        c_in,
        c_out,
        height,
        width,
    };
    tensor([c_out, c_in, k, k], |dw| {
        kernel(shape, values(&x), values(&dy), dw)
    })
}

fn dims(t: &FlexTensor) -> [usize; 4] {
    let shape = t.layout().shape();
    std::array::from_fn(|i| shape[i])
}

fn values(t: &FlexTensor) -> &[f32] {
    t.as_slice()
        .expect("contiguous, and f32 like all tensors of these operations")
}

/// A convolution with a `K` by `K` kernel. Its state: `x` if the gradient to `w` is wanted, and the reverse.
#[derive(Debug)]
struct Conv<const K: usize>;

impl<B: Pullbacks, const K: usize> Backward<B, 3> for Conv<K> {
    type State = (Option<FloatTensor<B>>, Option<FloatTensor<B>>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let ([node_x, node_w, node_bias], (x, w)) = (ops.parents, ops.state);
        let dy = grads.consume::<B>(&ops.node);
        if let (Some(node), Some(w)) = (node_x, w) {
            let pullback = if K == 3 { B::conv3x3_dx } else { B::conv1x1_dx };
            grads.register::<B>(node.id, pullback(dy.clone(), w));
        }
        if let (Some(node), Some(x)) = (node_w, x) {
            let pullback = if K == 3 { B::conv3x3_dw } else { B::conv1x1_dw };
            grads.register::<B>(node.id, pullback(x, dy.clone()));
        }
        if let Some(node) = node_bias {
            grads.register::<B>(node.id, B::conv_dbias(dy));
        }
    }
}

/// A shuffle of pixels, `UN` if it is the one to channels.
#[derive(Debug)]
struct Shuffle<const UN: bool>;

impl<B: Kernels, const UN: bool> Backward<B, 1> for Shuffle<UN> {
    type State = ();

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let inverse = if UN {
            B::pixel_shuffle
        } else {
            B::pixel_unshuffle
        };
        unary::<B, _>(ops.parents, ops.node, grads, inverse);
    }
}

#[derive(Debug)]
struct Silu;

impl<B: Pullbacks> Backward<B, 1> for Silu {
    type State = FloatTensor<B>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            grads.register::<B>(node.id, B::silu_dx(ops.state, dy));
        }
    }
}

#[derive(Debug)]
struct FilmSilu;

impl<B: Pullbacks> Backward<B, 3> for FilmSilu {
    type State = [FloatTensor<B>; 3];

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let [x, scale, shift] = ops.state;
        let gradients = B::film_silu_d(x, scale, shift, dy);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: Kernels + Pullbacks, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn conv3x3(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record_conv::<B, C, 3>(x, w, bias, B::conv3x3)
    }

    fn conv1x1(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record_conv::<B, C, 1>(x, w, bias, B::conv1x1)
    }

    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([x], guards) = parts::<B, C, _>([x]);
        match Silu.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(x.clone(), B::silu(x)),
            OpsKind::UnTracked(prep) => prep.finish(B::silu(x)),
        }
    }

    fn film_silu(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (inner, guards) = parts::<B, C, _>([x, scale, shift]);
        let [x, scale, shift] = inner.clone();
        match FilmSilu.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(inner, B::film_silu(x, scale, shift)),
            OpsKind::UnTracked(prep) => prep.finish(B::film_silu(x, scale, shift)),
        }
    }
    fn pixel_unshuffle(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([x], guards) = parts::<B, C, _>([x]);
        let prep = Shuffle::<true>.prepare::<C>(guards).compute_bound();
        prep.stateless(B::pixel_unshuffle(x))
    }

    fn pixel_shuffle(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let ([x], guards) = parts::<B, C, _>([x]);
        let prep = Shuffle::<false>.prepare::<C>(guards).compute_bound();
        prep.stateless(B::pixel_shuffle(x))
    }
}

/// Runs a convolution and records it, keeping only what its gradients will need.
fn record_conv<B: Pullbacks, C: CheckpointStrategy, const K: usize>(
    x: FloatTensor<Autodiff<B, C>>,
    w: FloatTensor<Autodiff<B, C>>,
    bias: FloatTensor<Autodiff<B, C>>,
    run: fn(FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) -> FloatTensor<B>,
) -> FloatTensor<Autodiff<B, C>> {
    let (keep_x, keep_w) = (w.is_tracked(), x.is_tracked());
    let ([x, w, bias], guards) = parts::<B, C, _>([x, w, bias]);
    match Conv::<K>.prepare::<C>(guards).compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let state = (keep_x.then(|| x.clone()), keep_w.then(|| w.clone()));
            prep.finish(state, run(x, w, bias))
        }
        OpsKind::UnTracked(prep) => prep.finish(run(x, w, bias)),
    }
}

/// The tensors below, and the guards that keep their nodes alive until the operation is recorded.
fn parts<B: Backend, C: CheckpointStrategy, const N: usize>(
    tensors: [FloatTensor<Autodiff<B, C>>; N],
) -> ([FloatTensor<B>; N], [NodeGuard; N]) {
    let guards = tensors.each_ref().map(|t| t.node());
    (tensors.map(|t| t.into_primitive()), guards)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;

    /// Relative L2 distance.
    fn distance(a: Tensor<4>, b: Tensor<4>) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let norm = |t: Tensor<4>| t.powf_scalar(2.0).sum().sqrt().into_scalar::<f32>();
        norm(a - b.clone()) / norm(b).max(1e-20)
    }

    /// Compares output and all gradients of an operation with those of its stock form: relative L2 at most 3e-6, which is
    /// what Winograd's transforms cost in f32; a transposed or shifted kernel gives about 1.
    fn compare<const N: usize>(
        shapes: [[usize; 4]; N],
        ours: impl Fn([Tensor<4>; N]) -> Tensor<4>,
        stock: impl Fn([Tensor<4>; N]) -> Tensor<4>,
    ) {
        let device = Device::flex().autodiff();
        let uniform = Distribution::Uniform(-1.0, 1.0);
        let inputs = shapes.map(|s| Tensor::<4>::random(s, uniform, &device).require_grad());
        // Not summed plainly: all the output gradients would be ones.
        let weights = Tensor::<4>::random(stock(inputs.clone()).dims(), uniform, &device);
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
                |[x, w, b]| stock::conv(x, w, b, 1),
            );
        }
    }

    #[test]
    fn conv1x1_agrees_with_stock() {
        for [n, i, o, h, w] in [[2, 64, 128, 16, 16], [1, 64, 12, 9, 21], [16, 64, 20, 1, 1]] {
            compare(
                [[n, i, h, w], [o, i, 1, 1], [1, o, 1, 1]],
                |[x, w, b]| conv1x1(x, w, b),
                |[x, w, b]| stock::conv(x, w, b, 0),
            );
        }
    }

    #[test]
    fn shuffles_agree_with_stock() {
        compare(
            [[2, 3, 6, 10]],
            |[x]| pixel_unshuffle(x),
            |[x]| stock::pixel_unshuffle(x),
        );
        compare(
            [[2, 12, 5, 7]],
            |[x]| pixel_shuffle(x),
            |[x]| stock::pixel_shuffle(x),
        );
    }

    #[test]
    fn silu_agrees_with_stock() {
        compare(
            [[2, 3, 5, 7]],
            |[x]| silu(x),
            |[x]| burn::tensor::activation::silu(x),
        );
    }

    #[test]
    fn film_silu_agrees_with_stock() {
        for scale in [[2, 5, 1, 1], [1, 5, 1, 1]] {
            compare(
                [[2, 5, 8, 9], scale, [2, 5, 1, 1]],
                |[x, s, b]| film_silu(x, s, b),
                |[x, s, b]| stock::film_silu(x, s, b),
            );
        }
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
            block(
                |x, w, b| stock::conv(x, w, b, 1),
                burn::tensor::activation::silu,
            ),
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
}
