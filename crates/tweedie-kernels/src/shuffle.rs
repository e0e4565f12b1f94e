//! Pixels to channels and back: 2x2 blocks of pixels become four channels.

use rayon::prelude::*;

use crate::shape::check;
use crate::simd;

/// `[planes, 2 height, 2 width]` to `[planes, 4, height, width]`: channel `2 i + j` holds the rows of parity `i` and
/// columns of parity `j`. `y` is overwritten.
///
/// # Panics
/// If the lengths do not fit.
pub fn pixel_unshuffle(height: usize, width: usize, x: &[f32], y: &mut [f32]) {
    let plane = 4 * height * width;
    check("y", y.len(), x.len());
    check_planes(x.len(), plane);
    y.par_chunks_mut(plane.max(1))
        .zip(x.par_chunks(plane.max(1)))
        .for_each(|(y, x)| {
            simd::run(
                #[inline(always)]
                || {
                    for (i, y) in y.chunks_exact_mut(2 * height * width).enumerate() {
                        let (even, odd) = y.split_at_mut(height * width);
                        let rows = x.chunks_exact(2 * width).skip(i).step_by(2);
                        let out = even
                            .chunks_exact_mut(width)
                            .zip(odd.chunks_exact_mut(width));
                        for (x, (even, odd)) in rows.zip(out) {
                            for ((even, odd), x) in
                                even.iter_mut().zip(odd).zip(x.as_chunks::<2>().0)
                            {
                                [*even, *odd] = *x;
                            }
                        }
                    }
                },
            );
        });
}

/// The inverse of [`pixel_unshuffle`]: `[planes, 4, height, width]` to `[planes, 2 height, 2 width]`.
///
/// # Panics
/// If the lengths do not fit.
pub fn pixel_shuffle(height: usize, width: usize, x: &[f32], y: &mut [f32]) {
    let plane = 4 * height * width;
    check("y", y.len(), x.len());
    check_planes(x.len(), plane);
    y.par_chunks_mut(plane.max(1))
        .zip(x.par_chunks(plane.max(1)))
        .for_each(|(y, x)| {
            simd::run(
                #[inline(always)]
                || {
                    for (i, x) in x.chunks_exact(2 * height * width).enumerate() {
                        let (even, odd) = x.split_at(height * width);
                        let rows = y.chunks_exact_mut(2 * width).skip(i).step_by(2);
                        let from = even.chunks_exact(width).zip(odd.chunks_exact(width));
                        for (y, (even, odd)) in rows.zip(from) {
                            for ((even, odd), y) in
                                even.iter().zip(odd).zip(y.as_chunks_mut::<2>().0)
                            {
                                *y = [*even, *odd];
                            }
                        }
                    }
                },
            );
        });
}

#[track_caller]
fn check_planes(len: usize, plane: usize) {
    assert!(
        len == 0 || (plane > 0 && len.is_multiple_of(plane)),
        "{len} numbers are not planes of {plane}"
    );
}
