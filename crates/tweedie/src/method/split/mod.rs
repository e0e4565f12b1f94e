//! Diffusion split in two: at each level a prior step, then a data step on the clean estimate, then noise.

pub(super) mod daps;
pub(super) mod data;
pub(super) mod ddiff;
pub(super) mod diffpir;
pub(super) mod flower;
pub(super) mod gibbs;
pub(super) mod pnp_flow;
pub(super) mod red_diff;
