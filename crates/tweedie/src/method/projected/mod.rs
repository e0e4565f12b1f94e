//! Diffusion, where at each level what the measurement tells is put in the place of what the prior guessed: no gradient through
//! the prior, but for MCG and CDIM.

mod band;
mod jumps;
mod replaced;
mod spectral;
mod tv;

pub(super) mod cdim;
pub(super) mod ddnm;
pub(super) mod ddrm;
pub(super) mod dds;
pub(super) mod ilvr;
pub(super) mod mcg;
pub(super) mod projection;
pub(super) mod repaint;
pub(super) mod sdedit;
