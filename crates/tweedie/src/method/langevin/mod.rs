//! Chains and annealed chains whose law is the posterior, or close to it: steps along the gradient of its logarithm, with noise.
//! Many cheap steps; no gradient through the prior.

pub(super) mod annealed;
mod drift;
mod expectation;
mod ladder;
pub(super) mod pnp_ula;
pub(super) mod ppgn;
pub(super) mod qcs_sgm;
pub(super) mod qcs_sgm_plus;
mod rows;
pub(super) mod score_ald;
mod sk_rock;

#[cfg(test)]
mod matrices;
