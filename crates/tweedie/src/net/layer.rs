//! Layers that networks share, and where they come from.

use burn::tensor::Tensor;

use super::ops::{Features, conv1x1, conv3x3, conv3x3_doubled, conv3x3_features};
use super::{Loader, ParamsError, Shapes};

/// Where a network's layers come from: real weights, or a recorder of their shapes.
pub(super) trait Source {
    /// A parameter array.
    type Item;

    /// The array `name`.
    fn take(&mut self, name: String, shape: [usize; 4]) -> Result<Self::Item, ParamsError>;
}

impl Source for Loader<'_> {
    type Item = Tensor<4>;
    fn take(&mut self, name: String, shape: [usize; 4]) -> Result<Tensor<4>, ParamsError> {
        Loader::take(self, &name, shape)
    }
}

/// Records names and shapes in the order in which a network takes its arrays.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) shapes: Shapes,
}

impl Source for Recorder {
    type Item = ();
    fn take(&mut self, name: String, shape: [usize; 4]) -> Result<(), ParamsError> {
        self.shapes.push((name, shape));
        Ok(())
    }
}

/// A layer's weight and bias.
#[derive(Clone, Debug)]
pub(super) struct Layer<T> {
    pub(super) weight: T,
    pub(super) bias: T,
}

impl<T> Layer<T> {
    /// A convolution from `i` to `o` channels with a `k` by `k` kernel.
    pub(super) fn take<S: Source<Item = T>>(
        source: &mut S,
        name: &str,
        [o, i, k]: [usize; 3],
    ) -> Result<Layer<T>, ParamsError> {
        Ok(Layer {
            weight: source.take(format!("{name}.weight"), [o, i, k, k])?,
            bias: source.take(format!("{name}.bias"), [1, o, 1, 1])?,
        })
    }
}

impl Layer<Tensor<4>> {
    /// Weight and bias.
    pub(super) fn pair(&self) -> [Tensor<4>; 2] {
        [self.weight.clone(), self.bias.clone()]
    }

    pub(super) fn conv3(&self, x: Tensor<4>) -> Tensor<4> {
        conv3x3(x, self.weight.clone(), self.bias.clone())
    }

    /// A 3x3 convolution, and the moments of its result.
    pub(super) fn conv3_features(&self, x: Tensor<4>) -> Features {
        conv3x3_features(x, self.weight.clone(), self.bias.clone())
    }

    /// The same at twice the resolution of `x`.
    pub(super) fn conv3_doubled(&self, x: Tensor<4>) -> Features {
        conv3x3_doubled(x, self.weight.clone(), self.bias.clone())
    }

    pub(super) fn conv1(&self, x: Tensor<4>) -> Tensor<4> {
        conv1x1(x, self.weight.clone(), self.bias.clone())
    }
}
