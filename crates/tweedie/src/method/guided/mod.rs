//! Diffusion, where each step is guided by the gradient of a likelihood of the noisy image.

pub(super) mod dps;
