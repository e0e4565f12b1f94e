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
mod photo_map;

use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::Image;

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
    /// Its answer to `x` `[n, channels_in, h, w]`, in the terms that it was trained in: `[n, channels_out, h, w]`.
    ///
    /// # Panics
    /// If shapes are not those of its [`Facts`], or it is told a map and its facts say that it knows none.
    fn forward(&self, x: Tensor<4>, condition: Condition<'_>) -> Tensor<4>;
}

/// What a network is told of the noise.
#[derive(Clone, Copy, Debug)]
pub enum Condition<'a> {
    /// The noise level of each picture, `[n]`, as its conditioning has it.
    Levels(&'a [f32]),
    /// That of each pixel, for pictures of `c` channels `[n, c + c*(c + 1), h, w]`: the logarithms of the deviations along
    /// each direction, the upper triangle of the logarithm of the covariance's root, and what of that is a guess from the
    /// pixels around; all over four, as levels are.
    Map(&'a Image),
}

impl<'a> Condition<'a> {
    /// The levels.
    ///
    /// # Panics
    /// If it is a map.
    pub fn levels(self) -> &'a [f32] {
        match self {
            Condition::Levels(levels) => levels,
            Condition::Map(_) => panic!("a network that knows no maps was told one"),
        }
    }
}

impl<'a, T: AsRef<[f32]> + ?Sized> From<&'a T> for Condition<'a> {
    fn from(levels: &'a T) -> Condition<'a> {
        Condition::Levels(levels.as_ref())
    }
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
    /// Whether it can be told the noise of each pixel.
    pub maps: bool,
}
