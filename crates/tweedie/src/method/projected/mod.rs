//! Diffusion, where at each level what the measurement tells is put in the place of what the prior guessed: no gradient through
//! the prior, but for MCG and CDIM.

mod band;
mod jumps;
mod pictures;
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

use crate::grid::{Grid, Schedule};

/// EDM's levels from 20 to 0.01, for data in [-1, 1]: with a prior that knows every level better than DDPM's, of which half are far
/// above and below what a picture has.
fn wide(steps: usize) -> Grid {
    Grid::all(Schedule::Edm {
        sigma_min: 0.01,
        sigma_max: 20.0,
        rho: 7.0,
        steps,
    })
}
