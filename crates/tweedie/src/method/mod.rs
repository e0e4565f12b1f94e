//! Methods: draws from the posterior, or its best estimate. One file each, written like its paper.

use crate::Image;
use crate::prior::Prior;
use crate::problem::Problem;
use crate::run::{Error, Run};

/// A way back from a measurement to an image.
pub trait Method: Send + Sync {
    /// An image that explains the measurement and that the prior finds likely, `[batch, channel, height, width]` of the
    /// operator's input.
    fn restore(
        &self,
        prior: &dyn Prior,
        problem: &Problem,
        run: &mut Run<'_>,
    ) -> Result<Image, Error>;
}
