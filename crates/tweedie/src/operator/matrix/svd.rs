//! Matrices made from their singular vectors.

use nalgebra::DMatrix;
use ndarray::{Array2, ArrayView1};

use super::{Error, gaussian};
use crate::operator::Gain;

/// `A = V diag(l) U^T`, the largest singular value first.
pub(super) struct Svd {
    pub(super) values: Vec<f64>,
    /// `V`, `[rows, values]`.
    measured: Array2<f64>,
    /// `U`, `[columns, values]`.
    seen: Array2<f64>,
}

/// The most multiplications to find orthonormal vectors: some ten seconds.
const MOST_WORK: f64 = (1u64 << 34) as f64;

impl Svd {
    /// See [`Matrix::ill_conditioned`](super::Matrix::ill_conditioned).
    pub(super) fn ill_conditioned(
        rows: usize,
        columns: usize,
        condition: f64,
        as_coded: bool,
        seed: u64,
    ) -> Result<Svd, Error> {
        if !(1.0..=1e12).contains(&condition) {
            return Err(Error::Invalid(format!(
                "the condition of a matrix is a number from 1 to 1e12, not {condition}"
            )));
        }
        let n = rows.min(columns);
        if n == 0 || rows.max(columns) as f64 * (n as f64).powi(2) > MOST_WORK {
            return Err(Error::Invalid(format!(
                "the singular vectors of a matrix of {rows} x {columns} would take minutes to find; take fewer rows, or a smaller picture"
            )));
        }
        let power = if as_coded { 0.5 } else { 1.0 };
        let falling = |i| condition.powf(-power * i as f64 / n as f64);
        let mut values: Vec<f64> = (0..n).map(falling).collect();
        let sum: f64 = values.iter().map(|v| v * v).sum();
        let scale = (columns as f64 / sum).sqrt();
        values.iter_mut().for_each(|v| *v *= scale);
        Ok(Svd {
            values,
            measured: orthonormal(rows, n, seed, 1),
            seen: orthonormal(columns, n, seed, 2),
        })
    }

    /// `A` itself.
    pub(super) fn entries(&self) -> Array2<f32> {
        let weighted = &self.measured * &ArrayView1::from(&self.values);
        weighted.dot(&self.seen.t()).mapv(|v| v as f32)
    }

    /// `U g(l) U^T x + g(0) (x - U U^T x)`.
    pub(super) fn image(&self, x: &[f32], out: &mut [f32], gain: Gain<'_>) {
        let rest = gain(0.0);
        let wide = ArrayView1::from(x).mapv(f64::from);
        let mut weights = self.seen.t().dot(&wide);
        for (w, &l) in weights.iter_mut().zip(&self.values) {
            *w *= gain(l) - rest;
        }
        let change = self.seen.dot(&weights);
        for (out, (change, x)) in out.iter_mut().zip(change.iter().zip(&wide)) {
            *out = (rest * x + change) as f32;
        }
    }

    /// `argmin_x |A x - y|^2 + rho*|x - z|^2 = z + U l/(l^2 + rho) (V^T y - l U^T z)`, without `y - A z`, which f32 would round.
    pub(super) fn prox(&self, y: &[f32], z: &[f32], rho: f64, out: &mut [f32]) {
        let [y, z] = [y, z].map(|v| ArrayView1::from(v).mapv(f64::from));
        let mut weights = self.measured.t().dot(&y);
        let seen = self.seen.t().dot(&z);
        for ((w, &seen), &l) in weights.iter_mut().zip(&seen).zip(&self.values) {
            *w = (*w - l * seen) * l / (l * l + rho);
        }
        let change = self.seen.dot(&weights);
        for (out, (z, change)) in out.iter_mut().zip(z.iter().zip(&change)) {
            *out = (z + change) as f32;
        }
    }

    /// `U g(l) V^T y`.
    pub(super) fn back(&self, y: &[f32], out: &mut [f32], gain: Gain<'_>) {
        let wide = ArrayView1::from(y).mapv(f64::from);
        let mut weights = self.measured.t().dot(&wide);
        for (w, &l) in weights.iter_mut().zip(&self.values) {
            *w *= gain(l);
        }
        let image = self.seen.dot(&weights);
        out.iter_mut()
            .zip(&image)
            .for_each(|(to, &v)| *to = v as f32);
    }
}

/// The first `n` columns of a random rotation of `size` numbers (Haar): what orthogonalisation leaves of Gaussian numbers, with
/// the signs that make it unique.
pub(in crate::operator) fn orthonormal(
    size: usize,
    n: usize,
    seed: u64,
    stream: u64,
) -> Array2<f64> {
    let numbers = gaussian::normal(size, n, seed, stream);
    let qr = DMatrix::from_row_slice(size, n, &numbers).qr();
    let (q, r) = (qr.q(), qr.r());
    Array2::from_shape_fn((size, n), |(i, j)| q[(i, j)] * r[(j, j)].signum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong: plain QR, whose first vector has a sign that is always the same, so that it is no rotation drawn evenly.
    #[test]
    fn rotations_are_orthonormal_and_even() {
        let q = orthonormal(40, 12, 7, 1);
        let off = q.t().dot(&q) - Array2::<f64>::eye(12);
        assert!(off.iter().all(|v| v.abs() < 1e-12));
        let signs: f64 = (0..200)
            .map(|seed| orthonormal(3, 2, seed, 1)[[0, 0]].signum())
            .sum();
        assert!(signs.abs() < 50.0, "{signs} of 200");
    }
}
