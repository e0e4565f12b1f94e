//! Products with rows of numbers, the same bits at any number of threads.

use rayon::prelude::*;

/// Numbers of a row that are made or multiplied at once.
pub(super) const BLOCK: usize = 4096;

/// `a . x`, in f64: eight sums side by side, then their sum.
pub(super) fn dot(a: &[f32], x: &[f32]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (rows, values) = (a.as_chunks::<8>(), x.as_chunks::<8>());
    for (a, x) in rows.0.iter().zip(values.0) {
        for lane in 0..8 {
            sums[lane] += f64::from(a[lane]) * f64::from(x[lane]);
        }
    }
    let rest = rows.1.iter().zip(values.1);
    let rest: f64 = rest.map(|(&a, &x)| f64::from(a) * f64::from(x)).sum();
    sums.iter().sum::<f64>() + rest
}

/// `sum += w*a`.
pub(super) fn add(sum: &mut [f64], a: &[f32], w: f64) {
    for (sum, &a) in sum.iter_mut().zip(a) {
        *sum += w * f64::from(a);
    }
}

/// Rows of numbers, of which parts can be had.
pub(super) trait Rows: Sync {
    /// Hands the numbers `first..first + n` of a row, of one [`BLOCK`], to `with`.
    fn part(&self, row: usize, first: usize, n: usize, with: &mut dyn FnMut(&[f32]));

    /// `A x`.
    fn times(&self, x: &[f32], y: &mut [f32]) {
        y.par_iter_mut().enumerate().for_each(|(i, y)| {
            let mut sum = 0.0;
            for (b, x) in x.chunks(BLOCK).enumerate() {
                self.part(i, b * BLOCK, x.len(), &mut |a| sum += dot(a, x));
            }
            *y = sum as f32;
        });
    }

    /// `A^T u`.
    fn transposed_times(&self, u: &[f32], x: &mut [f32]) {
        x.par_chunks_mut(BLOCK).enumerate().for_each(|(b, x)| {
            let mut sums = vec![0.0; x.len()];
            for (i, &u) in u.iter().enumerate() {
                self.part(i, b * BLOCK, x.len(), &mut |a| {
                    add(&mut sums, a, f64::from(u))
                });
            }
            for (x, sum) in x.iter_mut().zip(sums) {
                *x = sum as f32;
            }
        });
    }
}
