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

mod attention;
mod channels;
pub mod conv1x1;
pub mod conv2x2;
pub mod conv3x3;
mod elementwise;
mod film;
mod film_map;
mod gemm;
mod group_norm;
mod moments;
mod pixels;
mod resample;
mod scratch;
mod shape;
mod shared;
mod shuffle;
mod silu;
mod simd;
mod sums;

pub use attention::{AttentionShape, attention, attention_gradient};
pub use channels::{concat, split};
pub use film::{FilmGradients, film_silu, film_silu_gradient};
pub use film_map::{film_map_silu, film_map_silu_gradient};
pub use group_norm::{GroupNorm, NormGradients};
pub use moments::{Moments, Planes};
pub use resample::{pool, spread};
pub use scratch::Scratch;
pub use shape::ConvShape;
pub use shuffle::{pixel_shuffle, pixel_unshuffle};
pub use silu::{silu, silu_gradient, silu_gradient_add};
pub use sums::{add, bias_gradient};
