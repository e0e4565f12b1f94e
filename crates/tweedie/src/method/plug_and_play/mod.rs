//! Plug and play: optimisation of a data term and a prior of which only the denoiser is known.

pub(super) mod dequantise;
pub(super) mod dpir;
mod symmetry;
