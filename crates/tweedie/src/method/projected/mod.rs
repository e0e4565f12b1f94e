//! Diffusion, where at each level what the measurement tells is put in the place of what the prior guessed: no gradient through
//! the prior.

pub(super) mod ddnm;
