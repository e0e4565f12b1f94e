//! The levels that suit photographs and few steps.

use crate::grid::{Grid, Schedule};

/// EDM's, from where any picture drowns down to `end`, for pictures in [0, 1], or to where noise can no longer be seen: with a prior
/// that knows every level better than DDPM's, of which half are far above and below what a picture has.
pub(super) fn wide(steps: usize, end: f64) -> Grid {
    Grid::all(Schedule::Edm {
        // EDM's sigmas are for [-1, 1].
        sigma_min: (2.0 * end).clamp(0.01, 0.5),
        sigma_max: 20.0,
        rho: 7.0,
        steps,
    })
}
