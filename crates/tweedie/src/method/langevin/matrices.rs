//! Sensing matrices for the tests of this family.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::Array2;

use crate::noise::generator;
use rand_distr::{Distribution, StandardNormal};

/// Independent `N(0, 1/m)`.
pub(super) fn gaussian(m: usize, n: usize, seed: u64) -> DMatrix<f64> {
    let mut rng = generator(seed, "matrix");
    let scale = 1.0 / (m as f64).sqrt();
    DMatrix::from_fn(m, n, |_, _| {
        scale * Distribution::<f64>::sample(&StandardNormal, &mut rng)
    })
}

/// Random singular vectors, singular values from `kappa` down to 1 (in the ratio `kappa^(1/r)`), their squares summing to `n`.
pub(super) fn ill(m: usize, n: usize, kappa: f64, seed: u64) -> DMatrix<f64> {
    let svd = gaussian(m, n, seed).svd(true, true);
    let r = m.min(n);
    let mut s: Vec<f64> = (0..r).map(|i| kappa.powf(-(i as f64) / r as f64)).collect();
    let scale = (n as f64 / s.iter().map(|s| s * s).sum::<f64>()).sqrt();
    s.iter_mut().for_each(|s| *s *= scale);
    let s = DMatrix::from_fn(r, r, |i, j| if i == j { s[i] } else { 0.0 });
    svd.u.unwrap() * s * svd.v_t.unwrap()
}

/// `R_m^(1/2) H R_n^(1/2)` with `R_ij = rho^|i - j|` and `H` as [`gaussian`].
pub(super) fn correlated(m: usize, n: usize, rho: f64, seed: u64) -> DMatrix<f64> {
    let root = |n: usize| {
        let r = DMatrix::from_fn(n, n, |i, j| rho.powi((i as i32 - j as i32).abs()));
        let eigen = SymmetricEigen::new(r);
        let roots = eigen.eigenvalues.map(|l| l.max(0.0).sqrt());
        &eigen.eigenvectors * DMatrix::from_diagonal(&roots) * eigen.eigenvectors.transpose()
    };
    root(m) * gaussian(m, n, seed) * root(n)
}

/// The same for products with arrays.
pub(super) fn array(matrix: &DMatrix<f64>) -> Array2<f64> {
    Array2::from_shape_fn(matrix.shape(), |(i, j)| matrix[(i, j)])
}
