//! Images to a network's tensors and back.

use burn::tensor::{Device, Tensor};

use super::Error;
use crate::Image;
use crate::net::ops::data;

/// Runs `f` on a thread of the rayon pool: from outside, each of a network's many operations would have to wake the pool.
pub(crate) fn in_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| f())
}

/// An image as a tensor on a device.
pub(crate) fn to_tensor(x: &Image, device: &Device) -> Tensor<4> {
    let (n, c, h, w) = x.dim();
    let x = x.as_standard_layout();
    let values = x.as_slice().expect("standard layout");
    Tensor::from_data(data([n, c, h, w], |to| to.copy_from_slice(values)), device)
}

/// A tensor as an image.
pub(crate) fn from_tensor(x: Tensor<4>) -> Result<Image, Error> {
    let [n, c, h, w] = x.dims();
    let values = x
        .try_into_data()
        .map_err(|e| Error::Network(e.to_string()))?
        .try_into_vec::<f32>()
        .map_err(|e| Error::Network(e.to_string()))?;
    Image::from_shape_vec((n, c, h, w), values).map_err(|e| Error::Network(e.to_string()))
}
