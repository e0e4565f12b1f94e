//! Sums: of two tensors, and over planes.

use rayon::prelude::*;

use crate::shape::check;
use crate::simd;

/// Numbers of one task.
const CHUNK: usize = 1 << 14;

/// `y = a + b`; `y` is overwritten.
///
/// # Panics
/// If the lengths differ.
pub fn add(a: &[f32], b: &[f32], y: &mut [f32]) {
    check("b", b.len(), a.len());
    check("y", y.len(), a.len());
    let terms = a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK));
    y.par_chunks_mut(CHUNK).zip(terms).for_each(|(y, (a, b))| {
        simd::run(
            #[inline(always)]
            || {
                let terms = a.iter().zip(b);
                y.iter_mut().zip(terms).for_each(|(y, (a, b))| *y = a + b);
            },
        );
    });
}

/// `db[o] = sum over images and pixels of dy[n, o]`, `dy` being `[batch, channels, plane]`: the gradient of a convolution
/// to its bias. `db` is overwritten.
///
/// # Panics
/// If the length of `dy` is not `batch * db.len() * plane`.
pub fn bias_gradient(batch: usize, plane: usize, dy: &[f32], db: &mut [f32]) {
    let channels = db.len();
    check("dy", dy.len(), batch * channels * plane);
    db.par_iter_mut().enumerate().for_each(|(o, db)| {
        let sum = |n: usize| sum(&dy[(n * channels + o) * plane..][..plane]);
        *db = (0..batch).map(sum).sum::<f64>() as f32;
    });
}

/// The sum of a slice, in an order that does not depend on the machine's vectors.
pub(crate) fn sum(values: &[f32]) -> f64 {
    simd::run(
        #[inline(always)]
        || {
            let (chunks, rest) = values.as_chunks::<16>();
            let mut lanes = [0.0_f32; 16];
            let mut total = 0.0;
            for part in chunks.chunks(64) {
                for chunk in part {
                    for (lane, value) in lanes.iter_mut().zip(chunk) {
                        *lane += value;
                    }
                }
                // Long f32 sums lose digits: hand over to f64 now and then.
                for lane in &mut lanes {
                    total += f64::from(*lane);
                    *lane = 0.0;
                }
            }
            total + rest.iter().map(|&v| f64::from(v)).sum::<f64>()
        },
    )
}
