//! The exact denoiser of a Gaussian.
//!
//! With `x0 ~ N(mu, K)` and `x = a*x0 + b*eps` everything a diffusion model must learn has a closed form:
//!
//! ```text
//! E[x0 | x]   = mu + J (x - a*mu),   J = a*K*(a^2*K + b^2*I)^-1   (symmetric)
//! Cov[x0 | x] = b^2/a * J
//! score       = -(a^2*K + b^2*I)^-1 (x - a*mu)
//! ```
//!
//! `K` is diagonalised once, so that each level costs two products with its eigenvectors. All of it is f64. The prior
//! serves as a yardstick: a sampler that is affine in its noise can be checked against it to the last digit.

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::{Card, Error, Estimate, Measured, Prior, Pullback};
use crate::level::{Level, Range};
use crate::noise::NoiseSource;
use crate::noise_map::NoiseMap;
use crate::{Dims, Image};

/// Pictures of one small size with a Gaussian law.
#[derive(Clone, Debug)]
pub struct Gaussian {
    dims: Dims,
    card: Card,
    mean: Array1<f64>,
    /// Eigenvectors of the covariance, in columns.
    basis: Array2<f64>,
    /// Its eigenvalues, none negative.
    power: Array1<f64>,
}

impl Gaussian {
    /// `N(mean, covariance)` of flattened pictures (channel, row, column), in the units of `range`.
    ///
    /// Fails where sizes do not fit or `covariance` is not symmetric, positive semi-definite and finite.
    pub fn new(
        dims: Dims,
        mean: &[f64],
        covariance: &Array2<f64>,
        range: Range,
    ) -> Result<Gaussian, Error> {
        let d = dims.len();
        if mean.len() != d || covariance.dim() != (d, d) {
            return Err(Error::Invalid(format!(
                "pictures of {dims} hold {d} numbers, but the mean has {} and the covariance {:?}",
                mean.len(),
                covariance.dim()
            )));
        }
        if !mean.iter().chain(covariance).all(|v| v.is_finite()) {
            return Err(Error::Invalid(
                "the mean or covariance holds a NaN or infinite number".into(),
            ));
        }
        let scale = covariance.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let skew = (covariance - &covariance.t())
            .iter()
            .fold(0.0_f64, |m, v| m.max(v.abs()));
        if skew > 1e-9 * scale {
            return Err(Error::Invalid("the covariance is not symmetric".into()));
        }
        let matrix = DMatrix::from_fn(d, d, |i, j| covariance[[i, j]]);
        let eigen = SymmetricEigen::new(matrix);
        if let Some(least) = eigen.eigenvalues.iter().find(|&&l| l < -1e-9 * scale) {
            return Err(Error::Invalid(format!(
                "the covariance has a negative eigenvalue, {least}"
            )));
        }
        Ok(Gaussian {
            dims,
            card: Card {
                maps: true,
                likelihood: true,
                ..Card::exact(dims, range)
            },
            mean: Array1::from(mean.to_vec()),
            basis: Array2::from_shape_fn((d, d), |(i, j)| eigen.eigenvectors[(i, j)]),
            power: eigen.eigenvalues.iter().map(|l| l.max(0.0)).collect(),
        })
    }

    /// Size of its pictures.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// The gradient of the log-density of `x` at `level`.
    ///
    /// Fails at `b = 0` where the covariance is singular.
    pub fn score(&self, x: &Image, level: Level) -> Result<Image, Error> {
        let score = self.score_rows(self.rows(x)?.view(), level)?;
        Ok(self.picture(score.view()))
    }

    /// The log-density of each picture of the batch `x` at `level`, in nats.
    ///
    /// Fails at `b = 0` where the covariance is singular.
    pub fn log_density(&self, x: &Image, level: Level) -> Result<Vec<f64>, Error> {
        let densities = self.log_density_rows(self.rows(x)?.view(), level)?;
        Ok(densities.to_vec())
    }

    /// Exact draws of clean pictures.
    pub fn sample(&self, batch: usize, noise: &mut dyn NoiseSource) -> Image {
        let white = noise.normal(batch, self.dims);
        let rows = flatten(&white) * &self.power.mapv(f64::sqrt);
        self.picture((rows.dot(&self.basis.t()) + &self.mean).view())
    }

    /// The batch as rows of f64, once its shape is known to fit.
    pub(super) fn rows(&self, x: &Image) -> Result<Array2<f64>, Error> {
        if Dims::of(x) != self.dims {
            return Err(Error::Shape {
                expected: self.dims.to_string(),
                got: x.shape().to_vec(),
            });
        }
        Ok(flatten(x))
    }

    /// Rows back to pictures.
    pub(super) fn picture(&self, rows: ArrayView2<'_, f64>) -> Image {
        let shape = self.dims.batch(rows.nrows());
        let values = rows.iter().map(|&v| v as f32).collect();
        Image::from_shape_vec(shape, values).expect("each row holds one picture")
    }

    /// `E[x0 | x]` for each row of `x`.
    pub(super) fn denoise_rows(&self, x: ArrayView2<'_, f64>, level: Level) -> Array2<f64> {
        let centred = &x - &(&self.mean * level.a);
        self.jacobian_rows(centred.view(), level) + &self.mean
    }

    /// `J v` for each row `v`; the Jacobian of the denoiser is symmetric.
    pub(super) fn jacobian_rows(&self, v: ArrayView2<'_, f64>, level: Level) -> Array2<f64> {
        let gain = self.power.mapv(|l| match self.variance(l, level) {
            // No noise and no spread: the mean is known for certain.
            0.0 => 0.0,
            variance => level.a * l / variance,
        });
        self.filter(v, gain.view())
    }

    /// The score for each row.
    pub(super) fn score_rows(
        &self,
        x: ArrayView2<'_, f64>,
        level: Level,
    ) -> Result<Array2<f64>, Error> {
        let variances = self.variances(level)?;
        let centred = &x - &(&self.mean * level.a);
        Ok(self.filter(centred.view(), variances.mapv(|v| -1.0 / v).view()))
    }

    /// The log-density of each row.
    pub(super) fn log_density_rows(
        &self,
        x: ArrayView2<'_, f64>,
        level: Level,
    ) -> Result<Array1<f64>, Error> {
        let variances = self.variances(level)?;
        let constant = variances.mapv(|v| (std::f64::consts::TAU * v).ln()).sum();
        let modes = (&x - &(&self.mean * level.a)).dot(&self.basis);
        let distances = (&modes * &modes / &variances).sum_axis(Axis(1));
        Ok(distances.mapv(|q| -0.5 * (q + constant)))
    }

    /// `E[x0 | m]` for picture `k` of a batch whose noise the map says, and the logarithm of the density of what `m` tells,
    /// or none where that has no density: numbers known for certain that depend on each other.
    ///
    /// Only numbers with finite variance are observations, `A x0 + n` with a row of `A` for each; a variance of 0 is one.
    pub(super) fn condition(
        &self,
        m: &Image,
        noise: &NoiseMap,
        k: usize,
    ) -> (Array1<f64>, Option<f64>) {
        let Dims { c, h, w } = self.dims;
        let index = |i: usize, [y, x]: [usize; 2]| (i * h + y) * w + x;
        let (mut rows, mut variances, mut misfit) = (Vec::new(), Vec::new(), Vec::new());
        for at in (0..h).flat_map(|y| (0..w).map(move |x| [y, x])) {
            for i in 0..c {
                let variance = f64::from(noise.variance_at(k, i, at));
                if variance.is_infinite() {
                    continue;
                }
                let mut row = DVector::zeros(self.dims.len());
                let mut seen = 0.0;
                for channel in 0..c {
                    let j = index(channel, at);
                    row[j] = f64::from(noise.basis().entry(k, i, channel, at));
                    seen += row[j] * (f64::from(m[[k, channel, at[0], at[1]]]) - self.mean[j]);
                }
                rows.push(row);
                variances.push(variance);
                misfit.push(seen);
            }
        }
        if rows.is_empty() {
            return (self.mean.clone(), Some(0.0));
        }
        let seen = DMatrix::from_columns(&rows);
        let spread = self.covariance() * &seen;
        let system = seen.transpose() * &spread + DMatrix::from_diagonal(&variances.into());
        let (weights, log_density) = System::new(system).solve(&DVector::from(misfit));
        let moved = spread * weights;
        let x0 = self.mean.iter().zip(&moved).map(|(m, d)| m + d);
        (x0.collect(), log_density)
    }

    /// For each row `x`: the gradient of `log p(y | x)`, `J A^T S^-1 (y - A x0)` with `S = A Cov[x0 | x] A^T + variance`, and
    /// `log p(y | x)` itself, or none where `S` is singular.
    pub(super) fn likelihood_rows(
        &self,
        x: ArrayView2<'_, f64>,
        level: Level,
        of: &Measured,
    ) -> (Array2<f64>, Option<Array1<f64>>) {
        // The covariance is b^2/a*J.
        let seen = self.jacobian_rows(of.rows().view(), level);
        let spread = of.rows().dot(&seen.t()) * (level.b * level.b / level.a);
        let m = of.rows().nrows();
        let matrix = DMatrix::from_fn(m, m, |i, j| {
            spread[[i, j]] + if i == j { of.variance() } else { 0.0 }
        });
        let system = System::new(matrix);
        let misfit = of.measurements() - &self.denoise_rows(x, level).dot(&of.rows().t());
        let mut score = Array2::zeros(x.dim());
        let mut densities = Vec::with_capacity(x.nrows());
        for (misfit, mut score) in misfit.outer_iter().zip(score.outer_iter_mut()) {
            let b = DVector::from_iterator(m, misfit.iter().copied());
            let (weights, log_density) = system.solve(&b);
            score.assign(&seen.t().dot(&ArrayView1::from(weights.as_slice())));
            densities.extend(log_density);
        }
        let all = densities.len() == x.nrows();
        (score, all.then(|| densities.into()))
    }

    fn covariance(&self) -> DMatrix<f64> {
        let d = self.dims.len();
        let basis = DMatrix::from_fn(d, d, |i, j| self.basis[[i, j]]);
        let power = DVector::from_iterator(d, self.power.iter().copied());
        &basis * DMatrix::from_diagonal(&power) * basis.transpose()
    }

    fn filter(&self, v: ArrayView2<'_, f64>, gain: ArrayView1<'_, f64>) -> Array2<f64> {
        (v.dot(&self.basis) * gain).dot(&self.basis.t())
    }

    fn variance(&self, power: f64, level: Level) -> f64 {
        level.a * level.a * power + level.b * level.b
    }

    fn variances(&self, level: Level) -> Result<Array1<f64>, Error> {
        let variances = self.power.mapv(|l| self.variance(l, level));
        if variances.iter().all(|&v| v > 0.0) {
            Ok(variances)
        } else {
            Err(Error::Invalid(
                "a Gaussian with a singular covariance has no density without noise".into(),
            ))
        }
    }
}

/// A batch as rows of f64.
pub(super) fn flatten(x: &Image) -> Array2<f64> {
    let (n, d) = (x.dim().0, Dims::of(x).len());
    Array2::from_shape_vec((n, d), x.iter().map(|&v| f64::from(v)).collect())
        .expect("a batch holds n pictures of d numbers")
}

/// A symmetric system, `S x = b`.
struct System {
    eigen: SymmetricEigen<f64, nalgebra::Dyn>,
    /// Eigenvalues up to this are zero.
    least: f64,
}

impl System {
    fn new(matrix: DMatrix<f64>) -> System {
        let n = matrix.nrows() as f64;
        let eigen = SymmetricEigen::new(matrix);
        let least = 1e-13 * eigen.eigenvalues.max() * n;
        System { eigen, least }
    }

    /// The smallest `x`, and the logarithm of the density of `b ~ N(0, S)` where `S` is not singular.
    fn solve(&self, b: &DVector<f64>) -> (DVector<f64>, Option<f64>) {
        let values = &self.eigen.eigenvalues;
        let along = self.eigen.eigenvectors.transpose() * b;
        let inverse = values.map(|l| if l > self.least { 1.0 / l } else { 0.0 });
        let weights = along.component_mul(&inverse);
        let log_density = values.iter().all(|&l| l > self.least).then(|| {
            let volume: f64 = values.iter().map(|l| l.ln()).sum();
            -0.5 * (along.dot(&weights) + volume + b.len() as f64 * std::f64::consts::TAU.ln())
        });
        (&self.eigen.eigenvectors * weights, log_density)
    }
}

impl Prior for Gaussian {
    fn card(&self) -> &Card {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        let x0 = self.denoise_rows(self.rows(x)?.view(), level);
        Ok(self.picture(x0.view()).into())
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        let x0 = self.estimate(x, level)?;
        let pullback = move |v: &Image| {
            let rows = self.rows(v)?;
            Ok(self.picture(self.jacobian_rows(rows.view(), level).view()))
        };
        Ok((x0, Box::new(pullback)))
    }

    fn log_density(&self, x: &Image, level: Level) -> Result<Vec<f64>, Error> {
        Gaussian::log_density(self, x, level)
    }

    fn estimate_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        let mut rows = self.rows(m)?;
        for (k, mut row) in rows.outer_iter_mut().enumerate() {
            row.assign(&self.condition(m, noise, k).0);
        }
        Ok(self.picture(rows.view()).into())
    }

    fn likelihood_score(&self, x: &Image, level: Level, of: &Measured) -> Result<Image, Error> {
        let (score, _) = self.likelihood_rows(self.rows(x)?.view(), level, of);
        Ok(self.picture(score.view()))
    }
}
