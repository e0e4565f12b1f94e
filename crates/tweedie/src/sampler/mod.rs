//! Samplers: draws from the prior alone. One file each.

use crate::prior::Prior;
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
