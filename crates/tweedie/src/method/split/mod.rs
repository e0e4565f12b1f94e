//! Diffusion split in two: at each level a prior step, then a data step on the clean estimate, then noise.

pub(super) mod diffpir;
