//! Sums: of two tensors, and over planes.

use pulp::Simd;
use rayon::prelude::*;

use crate::shape::check;
use crate::simd::{self, Sixteen, run_sixteen, total};

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
        let sum = |n: usize| run_sixteen(Sum(&dy[(n * channels + o) * plane..][..plane]));
        *db = (0..batch).map(sum).sum::<f64>() as f32;
    });
}

/// The sum of a slice.
struct Sum<'a>(&'a [f32]);

impl Sixteen for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) -> f64 {
        let (chunks, rest) = self.0.as_chunks::<16>();
        let mut all = 0.0;
        for part in chunks.chunks(64) {
            let mut sums = [simd.splat_f32s(0.0); V];
            for chunk in part {
                let chunk = &S::as_simd_f32s(chunk).0[..V];
                for k in 0..V {
                    sums[k] = simd.add_f32s(sums[k], chunk[k]);
                }
            }
            // Long f32 sums lose digits: hand over to f64 now and then.
            all += total::<S>(&sums);
        }
        for &v in rest {
            all += f64::from(v);
        }
        all
    }
}
