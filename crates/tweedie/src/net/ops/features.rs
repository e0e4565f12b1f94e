//! Tensors whose moments are known: a convolution finds them on its way, and the normalisation after it need not read the
//! tensor twice.

use std::sync::{Arc, OnceLock};

use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use tweedie_kernels::{Moments, Planes};

use super::memory::values;

/// A tensor, and perhaps the moments of its planes.
#[derive(Clone, Debug)]
pub(crate) struct Features {
    pub(crate) tensor: Tensor<4>,
    pub(super) moments: Found,
}

impl From<Tensor<4>> for Features {
    fn from(tensor: Tensor<4>) -> Features {
        Features {
            tensor,
            moments: Found::default(),
        }
    }
}

/// Moments of planes, `[n, c]`: empty until the operation that finds them has run, and where it runs without kernels.
#[derive(Clone, Debug, Default)]
pub(super) struct Found(Arc<OnceLock<Vec<Moments>>>);

impl Found {
    /// Called once by the operation that has its result.
    pub(super) fn set(&self, moments: Vec<Moments>) {
        // A second run of the same operation finds the same.
        let _ = self.0.set(moments);
    }

    /// A tensor with what is known of it.
    pub(super) fn planes<'a>(&'a self, x: &'a FlexTensor) -> Planes<'a> {
        Planes {
            values: values(x),
            moments: self.0.get().map(Vec::as_slice),
        }
    }

    /// Those of the channels of two tensors, one after the other, in each of `n` images.
    pub(super) fn join(&self, other: &Found, n: usize) -> Found {
        let joined = Found::default();
        if let (Some(a), Some(b)) = (self.0.get(), other.0.get()) {
            let images = a.chunks(a.len() / n).zip(b.chunks(b.len() / n));
            joined.set(images.flat_map(|(a, b)| [a, b].concat()).collect());
        }
        joined
    }
}
