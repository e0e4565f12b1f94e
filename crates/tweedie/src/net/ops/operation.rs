//! How an operation of ours becomes one of burn's, with its own gradients.
//!
//! An [`Operation`] says what it does to plain CPU tensors; the traits below bring it through burn's choice of backend and
//! its record of gradients. None of this knows any operation.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, DispatchDevice, Flex, backend_extension};
use burn::tensor::{DType, Tensor};

/// What is kept of an operation until its gradients are computed.
#[derive(Clone, Debug)]
pub(super) struct Kept<T, const N: usize> {
    /// Those of its inputs that it [keeps](Operation::keeps).
    pub(super) inputs: [Option<T>; N],
    /// Something computed on the way.
    pub(super) between: Option<T>,
}

/// An operation of `N` tensors of f32, all of which it is given contiguous.
pub(super) trait Operation<const N: usize>: Clone + Debug + Send + Sync + 'static {
    /// The result.
    fn forward(&self, inputs: [FlexTensor; N]) -> FlexTensor;

    /// Which inputs the gradients need, if those of the inputs `wanted` are to be computed; none of a linear operation's.
    fn keeps(&self, _wanted: [bool; N]) -> [bool; N] {
        [false; N]
    }

    /// The result, and what the gradients to the inputs `wanted` will need.
    fn forward_keeping(
        &self,
        inputs: [FlexTensor; N],
        wanted: [bool; N],
    ) -> (FlexTensor, Kept<FlexTensor, N>) {
        let keeps = self.keeps(wanted);
        let kept = std::array::from_fn(|i| keeps[i].then(|| inputs[i].clone()));
        let kept = Kept {
            inputs: kept,
            between: None,
        };
        (self.forward(inputs), kept)
    }

    /// The gradients to the inputs `wanted`, given what was kept and `dy`, the gradient to the result.
    /// Gradients that nobody wants may be there or not.
    fn gradients(
        &self,
        kept: Kept<FlexTensor, N>,
        dy: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N];
}

/// Whether `x` is where the kernels run.
pub(super) fn has_kernels(x: &Tensor<4>) -> bool {
    x.dtype() == DType::F32 && matches!(x.device().inner().as_dispatch(), DispatchDevice::Flex(_))
}

/// Applies an operation of one tensor.
pub(super) fn unary(op: impl Operation<1>, x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::unary(op, x.into_dispatch()))
}

/// Applies an operation of two tensors.
pub(super) fn binary(op: impl Operation<2>, inputs: [Tensor<4>; 2]) -> Tensor<4> {
    let [a, b] = inputs.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::binary(op, a, b))
}

/// Applies an operation of three tensors.
pub(super) fn ternary(op: impl Operation<3>, inputs: [Tensor<4>; 3]) -> Tensor<4> {
    let [a, b, c] = inputs.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::ternary(op, a, b, c))
}

/// Applies an operation of four tensors.
pub(super) fn quaternary(op: impl Operation<4>, inputs: [Tensor<4>; 4]) -> Tensor<4> {
    let [a, b, c, d] = inputs.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::quaternary(op, a, b, c, d))
}

/// Applies an operation of five tensors.
pub(super) fn quinary(op: impl Operation<5>, inputs: [Tensor<4>; 5]) -> Tensor<4> {
    let [a, b, c, d, e] = inputs.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::quinary(op, a, b, c, d, e))
}

/// Applies an operation of six tensors.
pub(super) fn senary(op: impl Operation<6>, inputs: [Tensor<4>; 6]) -> Tensor<4> {
    let [a, b, c, d, e, f] = inputs.map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::senary(op, a, b, c, d, e, f))
}

/// What burn's dispatch sees: one entry for each number of tensors.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait Entry: Backend {
    fn unary<O: Operation<1>>(op: O, a: FloatTensor<Self>) -> FloatTensor<Self>;
    fn binary<O: Operation<2>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn ternary<O: Operation<3>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn quaternary<O: Operation<4>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn quinary<O: Operation<5>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
    fn senary<O: Operation<6>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Entry for Flex {
    fn unary<O: Operation<1>>(op: O, a: FlexTensor) -> FlexTensor {
        <Flex as Run>::forward(&op, [a])
    }

    fn binary<O: Operation<2>>(op: O, a: FlexTensor, b: FlexTensor) -> FlexTensor {
        <Flex as Run>::forward(&op, [a, b])
    }

    fn ternary<O: Operation<3>>(op: O, a: FlexTensor, b: FlexTensor, c: FlexTensor) -> FlexTensor {
        <Flex as Run>::forward(&op, [a, b, c])
    }

    fn quaternary<O: Operation<4>>(
        op: O,
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        d: FlexTensor,
    ) -> FlexTensor {
        <Flex as Run>::forward(&op, [a, b, c, d])
    }

    fn quinary<O: Operation<5>>(
        op: O,
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        d: FlexTensor,
        e: FlexTensor,
    ) -> FlexTensor {
        <Flex as Run>::forward(&op, [a, b, c, d, e])
    }

    fn senary<O: Operation<6>>(
        op: O,
        a: FlexTensor,
        b: FlexTensor,
        c: FlexTensor,
        d: FlexTensor,
        e: FlexTensor,
        f: FlexTensor,
    ) -> FlexTensor {
        <Flex as Run>::forward(&op, [a, b, c, d, e, f])
    }
}

impl<B: Run, C: CheckpointStrategy> Entry for Autodiff<B, C> {
    fn unary<O: Operation<1>>(op: O, a: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<B, C, O, 1>(op, [a])
    }

    fn binary<O: Operation<2>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<B, C, O, 2>(op, [a, b])
    }

    fn ternary<O: Operation<3>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<B, C, O, 3>(op, [a, b, c])
    }

    fn quaternary<O: Operation<4>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<B, C, O, 4>(op, [a, b, c, d])
    }

    fn quinary<O: Operation<5>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<B, C, O, 5>(op, [a, b, c, d, e])
    }

    fn senary<O: Operation<6>>(
        op: O,
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        d: FloatTensor<Self>,
        e: FloatTensor<Self>,
        f: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<B, C, O, 6>(op, [a, b, c, d, e, f])
    }
}

/// A backend that operations run on.
pub(crate) trait Run: Backend {
    /// [`Operation::forward`]
    fn forward<O: Operation<N>, const N: usize>(
        op: &O,
        inputs: [FloatTensor<Self>; N],
    ) -> FloatTensor<Self>;

    /// [`Operation::forward_keeping`]
    fn forward_keeping<O: Operation<N>, const N: usize>(
        op: &O,
        inputs: [FloatTensor<Self>; N],
        wanted: [bool; N],
    ) -> (FloatTensor<Self>, Kept<FloatTensor<Self>, N>);

    /// [`Operation::gradients`]
    fn gradients<O: Operation<N>, const N: usize>(
        op: &O,
        kept: Kept<FloatTensor<Self>, N>,
        dy: FloatTensor<Self>,
        wanted: [bool; N],
    ) -> [Option<FloatTensor<Self>>; N];
}

impl Run for Flex {
    fn forward<O: Operation<N>, const N: usize>(op: &O, inputs: [FlexTensor; N]) -> FlexTensor {
        op.forward(inputs.map(|t| t.to_contiguous()))
    }

    fn forward_keeping<O: Operation<N>, const N: usize>(
        op: &O,
        inputs: [FlexTensor; N],
        wanted: [bool; N],
    ) -> (FlexTensor, Kept<FlexTensor, N>) {
        op.forward_keeping(inputs.map(|t| t.to_contiguous()), wanted)
    }

    fn gradients<O: Operation<N>, const N: usize>(
        op: &O,
        kept: Kept<FlexTensor, N>,
        dy: FlexTensor,
        wanted: [bool; N],
    ) -> [Option<FlexTensor>; N] {
        op.gradients(kept, dy.to_contiguous(), wanted)
    }
}

/// Runs an operation and records it, keeping only what its gradients will need.
fn record<B: Run, C: CheckpointStrategy, O: Operation<N>, const N: usize>(
    op: O,
    inputs: [FloatTensor<Autodiff<B, C>>; N],
) -> FloatTensor<Autodiff<B, C>> {
    let wanted = inputs.each_ref().map(|t| t.is_tracked());
    // The guards keep the nodes alive until the operation is recorded.
    let guards = inputs.each_ref().map(|t| t.node());
    let inputs = inputs.map(|t| t.into_primitive());
    let recorded = Backward::<B, N>::prepare::<C>(Recorded(op.clone()), guards);
    match recorded.compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let (result, kept) = B::forward_keeping(&op, inputs, wanted);
            prep.finish(kept, result)
        }
        OpsKind::UnTracked(prep) => prep.finish(B::forward(&op, inputs)),
    }
}

/// An operation in burn's record.
#[derive(Clone, Debug)]
struct Recorded<O>(O);

impl<B: Run, O: Operation<N>, const N: usize> Backward<B, N> for Recorded<O> {
    type State = Kept<FloatTensor<B>, N>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(|node| node.is_some());
        let gradients = B::gradients(&self.0, ops.state, dy, wanted);
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}
