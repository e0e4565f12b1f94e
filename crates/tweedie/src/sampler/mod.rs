//! Samplers: draws from the prior alone. One file each.

mod ddim;
mod ddpm;
mod edm;

pub use ddim::Renoise;
pub use ddpm::Variance;
pub use edm::Order;

use crate::prior::Prior;
use crate::registry::registry;
use crate::run::{Error, Run};
use crate::{Dims, Image};

/// A way to draw pictures from a prior.
pub trait Sampler: Send + Sync {
    /// `batch` pictures of size `dims`, in the prior's range.
    ///
    /// # Errors
    /// [`Error`] if the settings do not work with the prior, the prior fails, or the observer stops the run.
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
        Ddpm in ddpm = "ddpm",
        Ddim in ddim = "ddim",
        Edm in edm = "edm",
    }
}
