//! Networks: one architecture a file, written beside its paper, over the operations of `ops`.
//!
//! A network is made from named arrays ([`Params`]) on a device, strictly: a missing, extra or misshapen array is an
//! error that names it. Making one is cheap next to evaluating it, so that training makes it anew at each step.
//!
//! An architecture is one file and one line of [`Architecture`]: a network that is a [`Net`], and its configuration with
//! `check`, `facts`, `shapes`, `init` and `load`.

mod adm;
mod architecture;
mod dncnn;
mod layer;
pub(crate) mod ops;
mod params;
mod photo;

use std::fmt::Debug;

use burn::tensor::Tensor;

pub use adm::{Heads, QkvOrder, Resampling};
pub(crate) use params::fits;
pub use params::{Array, Loader, Params, ParamsError, Shapes};

architecture::architectures! {
    Photo(photo::PhotoConfig) = "photo",
    Adm(adm::AdmConfig) = "adm",
    Dncnn(dncnn::DncnnConfig) = "dncnn",
}

/// A network on a device.
pub trait Net: Send + Sync + Debug {
    /// Its answer to `x` `[n, channels_in, h, w]` and the noise level of each picture, `[n]`, in the terms that it was
    /// trained in: `[n, channels_out, h, w]`.
    ///
    /// # Panics
    /// If shapes are not those of its [`Facts`].
    fn forward(&self, x: Tensor<4>, condition: &[f32]) -> Tensor<4>;
}

/// What must be known of a network to ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Channels of its input.
    pub channels_in: usize,
    /// Channels of its answer.
    pub channels_out: usize,
    /// Pixels beyond which an input pixel cannot influence an output pixel; `None` if each may influence all.
    pub reach: Option<usize>,
    /// Pixels a side of its coarsest block.
    pub multiple: usize,
    /// Whether it takes any size, and not only multiples of its coarsest block.
    pub any_size: bool,
    /// Classes, if it wants to be told one.
    pub classes: Option<usize>,
}
