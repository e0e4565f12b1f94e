//! CPU kernels for diffusion networks, over plain slices of `f32` with their sizes; no tensor library.
//!
//! Vectors are chosen at run time (AVX-512, AVX2 with FMA, NEON, or none) and the work is spread over the current rayon
//! pool. How it is cut depends on the sizes alone, so a result has the same bits at any number of threads. Called from
//! inside the pool (`ThreadPool::install`, `rayon::scope`) small layers are several times faster than from outside,
//! where every call has to wake it.
//!
//! A length that does not fit its shape is a mistake of the calling code and panics.
#![allow(
    clippy::needless_range_loop,
    reason = "loops are written with the indices of the formulas"
)]

pub mod conv1x1;
pub mod conv3x3;
mod gemm;
mod pixels;
mod reduce;
mod scratch;
mod shape;
mod shared;
mod shuffle;
mod silu;
mod simd;

pub use reduce::bias_gradient;
pub use scratch::Scratch;
pub use shape::ConvShape;
pub use shuffle::{pixel_shuffle, pixel_unshuffle};
pub use silu::{FilmGradients, film_silu, film_silu_gradient, silu, silu_gradient};
