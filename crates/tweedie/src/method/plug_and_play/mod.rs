//! Plug and play: optimisation of a data term and a prior of which only the denoiser is known.
//!
//! What the data ask for is a gradient ([`Problem::pull`](crate::problem::Problem::pull)), a prox
//! ([`Problem::prox`](crate::problem::Problem::prox)) or a back-projection; what the prior, a `Denoiser` of so many steps.

pub(super) mod admm;
mod back_projection;
mod denoiser;
pub(super) mod dequantise;
pub(super) mod dpir;
pub(super) mod drs;
pub(super) mod fista;
pub(super) mod hqs;
pub(super) mod idbp;
pub(super) mod mcem;
pub(super) mod pgd;
pub(super) mod red_admm;
pub(super) mod red_bp;
pub(super) mod red_fp;
pub(super) mod red_sd;
mod symmetry;
