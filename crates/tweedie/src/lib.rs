//! Tweedie restores images with generative priors.
//!
//! [`restore`] does the whole job, from picture to picture. Beneath it, a measurement `y = A(x) + n` is a
//! [`problem::Problem`]: the picture, the [`operator`] that degraded it, and the noise. A [`prior::Prior`] is anything that
//! removes Gaussian noise of any level from a picture; the trained one is [`prior::Network`] on
//! [`checkpoint::Model::photo`]. A [`method::Method`] brings the two together, inside of a [`run::Run`] that holds the seed
//! and may watch and stop it. [`recommend`] chooses the method.

pub mod arrays;
mod batch;
pub mod checkpoint;
mod fft;
pub mod files;
pub mod grid;
pub mod image;
pub mod level;
mod memory;
pub mod method;
pub mod metric;
pub mod net;
pub mod noise;
pub mod noise_level;
pub mod noise_map;
pub mod operator;
pub mod prior;
pub mod problem;
pub mod recommend;
pub mod registry;
pub mod restore;
pub mod run;
pub mod sampler;
pub mod spectrum;
pub mod train;
mod truncated;

pub use burn::tensor::Device;

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// Images: `[batch, channel, height, width]`, f32, in [0, 1] unless said otherwise.
pub type Image = ndarray::Array4<f32>;

/// Channels, height and width of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dims {
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Dims {
    /// Channels, height, width.
    pub const fn new(c: usize, h: usize, w: usize) -> Dims {
        Dims { c, h, w }
    }

    /// Those of each picture of a batch.
    pub fn of(x: &Image) -> Dims {
        let (_, c, h, w) = x.dim();
        Dims { c, h, w }
    }

    /// The shape of a batch of such pictures.
    pub fn batch(self, n: usize) -> (usize, usize, usize, usize) {
        (n, self.c, self.h, self.w)
    }

    /// Numbers in one picture.
    pub fn len(self) -> usize {
        self.c * self.h * self.w
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for Dims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.c, self.h, self.w)
    }
}
