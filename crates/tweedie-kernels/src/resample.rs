//! Half and double resolution: sums of 2x2 blocks of pixels, and pixels repeated in 2x2 blocks. Each is the other's
//! adjoint, so that average pooling, nearest-neighbour upsampling and both gradients are these two with a factor.

use rayon::prelude::*;

use crate::shape::check;
use crate::simd;

/// `y = factor * (sum of each 2x2 block)`: `x` is `[planes, 2 height, 2 width]`, `y` is `[planes, height, width]` and
/// overwritten. With 1/4 it is average pooling, with 1 the gradient of [`spread`].
///
/// # Panics
/// If the lengths do not fit.
pub fn pool(height: usize, width: usize, factor: f32, x: &[f32], y: &mut [f32]) {
    let plane = planes(height, width, y.len(), x.len());
    let pairs = y.par_chunks_mut(plane).zip(x.par_chunks(4 * plane));
    pairs.for_each(|(y, x)| pool_plane(width, factor, x, y));
}

/// The same for one plane, or some of its rows.
pub(crate) fn pool_plane(width: usize, factor: f32, x: &[f32], y: &mut [f32]) {
    simd::run(
        #[inline(always)]
        || {
            let rows = y.chunks_exact_mut(width).zip(x.chunks_exact(4 * width));
            for (y, x) in rows {
                let (top, bottom) = x.split_at(2 * width);
                let columns = top.as_chunks::<2>().0.iter().zip(bottom.as_chunks::<2>().0);
                for (y, (top, bottom)) in y.iter_mut().zip(columns) {
                    *y = factor * ((top[0] + top[1]) + (bottom[0] + bottom[1]));
                }
            }
        },
    );
}

/// `y = factor * x`, each pixel a 2x2 block: `x` is `[planes, height, width]`, `y` is `[planes, 2 height, 2 width]` and
/// overwritten. With 1 it is nearest-neighbour upsampling, with 1/4 the gradient of average pooling.
///
/// # Panics
/// If the lengths do not fit.
pub fn spread(height: usize, width: usize, factor: f32, x: &[f32], y: &mut [f32]) {
    let plane = planes(height, width, x.len(), y.len());
    let pairs = y.par_chunks_mut(4 * plane).zip(x.par_chunks(plane));
    pairs.for_each(|(y, x)| {
        simd::run(
            #[inline(always)]
            || {
                let rows = y.chunks_exact_mut(4 * width).zip(x.chunks_exact(width));
                for (y, x) in rows {
                    let (top, bottom) = y.split_at_mut(2 * width);
                    for (y, x) in top.as_chunks_mut::<2>().0.iter_mut().zip(x) {
                        *y = [factor * x; 2];
                    }
                    bottom.copy_from_slice(top);
                }
            },
        );
    });
}

/// Pixels of a small plane, at least 1.
#[track_caller]
fn planes(height: usize, width: usize, small: usize, large: usize) -> usize {
    let plane = height * width;
    check("the larger side", large, 4 * small);
    assert!(
        small == 0 || (plane > 0 && small.is_multiple_of(plane)),
        "{small} numbers are not planes of {plane}"
    );
    plane.max(1)
}
