//! Samplers: draws from the prior alone. One file each.

mod ddim;
mod ddpm;
mod edm;

pub use ddim::{Ddim, Renoise};
pub use ddpm::{Ddpm, Variance};
pub use edm::{Edm, Order};

use crate::level::{Grid, Level, Range};
use crate::prior::Prior;
use crate::registry::registry;
use crate::run::{Error, Run};
use crate::{Dims, Image};

/// A way to draw pictures from a prior.
pub trait Sampler: Send + Sync {
    /// `batch` pictures of size `dims`, in the prior's range.
    fn sample(
        &self,
        prior: &dyn Prior,
        batch: usize,
        dims: Dims,
        run: &mut Run<'_>,
    ) -> Result<Image, Error>;
}

registry! {
    /// A sampler by name, with its settings.
    dyn Sampler {
        Ddpm(Ddpm) = "ddpm",
        Ddim(Ddim) = "ddim",
        Edm(Edm) = "edm",
    }
}

/// The levels of `grid` that `prior` knows, the noisiest first; each with signal and noise, and at least one.
pub(crate) fn levels(grid: &Grid, prior: &dyn Prior) -> Result<Vec<Level>, Error> {
    let levels = grid.levels(prior.range(), prior.max_sigma());
    let usable = |l: &Level| l.a > 0.0 && l.b > 0.0 && l.sigma().is_finite();
    if levels.is_empty() || !levels.iter().all(usable) {
        return Err(Error::Unfit(format!(
            "the grid {grid:?} has no levels, or levels without signal or without noise"
        )));
    }
    Ok(levels)
}

/// How many levels a grid has, for a prior that knows them all.
pub(crate) fn steps(grid: &Grid) -> usize {
    grid.subset.indices(grid.schedule.len()).len()
}

/// Noise around the middle of the range: what remains of any image at a very noisy level.
pub(crate) fn pure_noise(
    range: Range,
    level: Level,
    batch: usize,
    dims: Dims,
    run: &mut Run<'_>,
) -> Image {
    let mut x = run.normal(batch, dims);
    let (center, b) = ((level.a * range.center) as f32, level.b as f32);
    x.mapv_inplace(|z| center + b * z);
    x
}

/// Limits a clean image to its range.
pub(crate) fn clamp(x0: &mut Image, range: Range) {
    let (low, high) = limits(range);
    x0.par_mapv_inplace(|v| v.clamp(low, high));
}

/// The ends of a range.
pub(crate) fn limits(range: Range) -> (f32, f32) {
    let low = range.center - range.half;
    let high = range.center + range.half;
    (low as f32, high as f32)
}

/// `x + sigma*z` with fresh noise, which is drawn only where there is some to add.
pub(crate) fn add_noise(mut x: Image, sigma: f64, run: &mut Run<'_>) -> Image {
    if sigma > 0.0 {
        let z = run.normal_like(&x);
        x.scaled_add(sigma as f32, &z);
    }
    x
}

/// An error unless `ok`.
pub(crate) fn require(ok: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
    if ok {
        Ok(())
    } else {
        Err(Error::Unfit(what()))
    }
}
