//! The exact denoiser of a stationary Gaussian: textures, and the classical Wiener filter.
//!
//! A Gaussian whose covariance does not change under (cyclic) shifts is diagonal in the Fourier basis but for the
//! channels: at each frequency `f` there is a Hermitian `C x C` matrix `P(f)` of power and cross-channel power. Denoising
//! is a filter, `P' = a*P*(a^2*P + b^2*I)^-1` at each frequency, on whole pictures at the cost of two FFTs.
//!
//! Source: Galerne, Gousseau and Morel 2011, "Random phase textures: theory and synthesis". The power is in units of the
//! variance of one pixel, that is, for an FFT scaled to be unitary; its mean over the frequencies is that variance.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array2, Array3, Array4, ArrayView3, Axis};
use rustfft::num_complex::Complex64;
use rustfft::{FftDirection, FftPlanner};

use super::{Error, Prior, Pullback};
use crate::level::{Level, Range};
use crate::noise::NoiseSource;
use crate::{Dims, Image};

/// A Gaussian law of whole pictures of one size that does not change under cyclic shifts.
#[derive(Clone, Debug)]
pub struct Stationary {
    dims: Dims,
    range: Range,
    /// Mean of each channel.
    mean: Vec<f64>,
    /// Eigenvectors of `P(f)` in columns: `[row frequency, column frequency, channel, mode]`.
    basis: Array4<Complex64>,
    /// Eigenvalues of `P(f)`, none negative: `[row frequency, column frequency, mode]`.
    power: Array3<f64>,
}

impl Stationary {
    /// From the mean of each channel and the power at each frequency, `[row frequency, column frequency, C, C]` in the
    /// FFT's order, in the units of `range`.
    ///
    /// Fails where sizes do not fit, or a matrix is not Hermitian, positive semi-definite and the conjugate of that at
    /// the opposite frequency (without which pictures would not be real).
    pub fn new(mean: &[f64], power: &Array4<Complex64>, range: Range) -> Result<Stationary, Error> {
        let (h, w, c, c2) = power.dim();
        let dims = Dims::new(c, h, w);
        if dims.is_empty() || c != c2 || mean.len() != c {
            return Err(Error::Invalid(format!(
                "{} means and power of {:?} do not describe pictures",
                mean.len(),
                power.dim()
            )));
        }
        if !mean.iter().all(|m| m.is_finite()) || !power.iter().all(|p| p.is_finite()) {
            return Err(Error::Invalid(
                "the mean or power holds a NaN or infinite number".into(),
            ));
        }
        check_symmetry(power)?;
        let mut basis = Array4::zeros(power.dim());
        let mut eigenvalues = Array3::zeros((h, w, c));
        let scale = power.iter().fold(0.0_f64, |m, p| m.max(p.norm()));
        for y in 0..h {
            for x in 0..w {
                let matrix = DMatrix::from_fn(c, c, |i, j| power[[y, x, i, j]]);
                let eigen = SymmetricEigen::new(matrix);
                for k in 0..c {
                    let l = eigen.eigenvalues[k];
                    if l < -1e-9 * scale {
                        return Err(Error::Invalid(format!(
                            "the power at frequency ({y}, {x}) has a negative eigenvalue, {l}"
                        )));
                    }
                    eigenvalues[[y, x, k]] = l.max(0.0);
                    for i in 0..c {
                        basis[[y, x, i, k]] = eigen.eigenvectors[(i, k)];
                    }
                }
            }
        }
        Ok(Stationary {
            dims,
            range,
            mean: mean.to_vec(),
            basis,
            power: eigenvalues,
        })
    }

    /// Learns from pictures of one size, in [0, 1]: the mean of each channel over all pixels, and the mean periodogram.
    ///
    /// A single picture gives the "random phase" texture model of that picture. `N` pictures give matrices of rank at
    /// most `N`: where that is less than the channels, the others are taken for certain. Pictures whose opposite borders
    /// differ put a cross into the spectrum.
    pub fn fit(pictures: &[Image]) -> Result<Stationary, Error> {
        let Some(dims) = pictures.first().map(Dims::of) else {
            return Err(Error::Invalid("there is no picture to learn from".into()));
        };
        for batch in pictures {
            if Dims::of(batch) != dims {
                return Err(Error::Shape {
                    expected: dims.to_string(),
                    got: batch.shape().to_vec(),
                });
            }
        }
        let planes = || pictures.iter().flat_map(|batch| batch.outer_iter());
        let count = planes().count();
        if count == 0 || dims.is_empty() {
            return Err(Error::Invalid("the pictures are empty".into()));
        }
        let pixels = (dims.h * dims.w) as f64;
        let mut mean = vec![0.0; dims.c];
        for picture in planes() {
            for (m, plane) in mean.iter_mut().zip(picture.outer_iter()) {
                *m += plane.iter().map(|&v| f64::from(v)).sum::<f64>() / pixels / count as f64;
            }
        }
        let mut power = Array4::zeros((dims.h, dims.w, dims.c, dims.c));
        for picture in planes() {
            let waves = spectrum(picture, &mean);
            for ((y, x, i, j), p) in power.indexed_iter_mut() {
                *p += waves[[i, y, x]] * waves[[j, y, x]].conj() / count as f64;
            }
        }
        Stationary::new(&mean, &power, Range::IMAGE)
    }

    /// Size of its pictures.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// Exact draws of clean pictures.
    pub fn sample(&self, batch: usize, noise: &mut dyn NoiseSource) -> Image {
        let white = noise.normal(batch, self.dims);
        let mut pictures = self.filter(&white, &vec![0.0; self.dims.c], f64::sqrt);
        self.add_mean(&mut pictures);
        pictures
    }

    fn add_mean(&self, pictures: &mut Image) {
        for (mut plane, &m) in pictures.axis_iter_mut(Axis(1)).zip(&self.mean) {
            plane += m as f32;
        }
    }

    /// `F^-1 U g(power) U^H F (x - offset)` for each picture.
    fn filter(&self, x: &Image, offset: &[f64], gain: impl Fn(f64) -> f64) -> Image {
        let c = self.dims.c;
        let mut out = Image::zeros(x.raw_dim());
        for (picture, mut result) in x.outer_iter().zip(out.outer_iter_mut()) {
            let mut waves = spectrum(picture, offset);
            let mut column = vec![Complex64::ZERO; c];
            for y in 0..self.dims.h {
                for x in 0..self.dims.w {
                    let basis = |i: usize, k: usize| self.basis[[y, x, i, k]];
                    column.fill(Complex64::ZERO);
                    for k in 0..c {
                        let mode: Complex64 =
                            (0..c).map(|i| basis(i, k).conj() * waves[[i, y, x]]).sum();
                        let mode = mode * gain(self.power[[y, x, k]]);
                        for (i, value) in column.iter_mut().enumerate() {
                            *value += basis(i, k) * mode;
                        }
                    }
                    for (i, value) in column.iter().enumerate() {
                        waves[[i, y, x]] = *value;
                    }
                }
            }
            fft2(&mut waves, FftDirection::Inverse);
            result.zip_mut_with(&waves, |r, z| *r = z.re as f32);
        }
        out
    }

    /// `J v`, which is also `J^T v`.
    fn jacobian(&self, v: &Image, offset: &[f64], level: Level) -> Image {
        let Level { a, b } = level;
        self.filter(v, offset, |l| match a * a * l + b * b {
            // No noise and no spread: the mean is known for certain.
            0.0 => 0.0,
            variance => a * l / variance,
        })
    }

    fn check(&self, x: &Image) -> Result<(), Error> {
        if Dims::of(x) == self.dims {
            Ok(())
        } else {
            Err(Error::Shape {
                expected: self.dims.to_string(),
                got: x.shape().to_vec(),
            })
        }
    }
}

impl Prior for Stationary {
    fn denoise(&self, x: &Image, level: Level) -> Result<Image, Error> {
        self.check(x)?;
        let offset: Vec<f64> = self.mean.iter().map(|m| level.a * m).collect();
        let mut x0 = self.jacobian(x, &offset, level);
        self.add_mean(&mut x0);
        Ok(x0)
    }

    fn denoise_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Image, Pullback<'a>), Error> {
        let x0 = self.denoise(x, level)?;
        let pullback = move |v: &Image| {
            self.check(v)?;
            Ok(self.jacobian(v, &vec![0.0; self.dims.c], level))
        };
        Ok((x0, Box::new(pullback)))
    }

    fn channels(&self) -> usize {
        self.dims.c
    }

    fn range(&self) -> Range {
        self.range
    }
}

/// Whether each `P(f)` is Hermitian and `P(-f)` its conjugate.
fn check_symmetry(power: &Array4<Complex64>) -> Result<(), Error> {
    let (h, w, _, _) = power.dim();
    let scale = power.iter().fold(0.0_f64, |m, p| m.max(p.norm()));
    for ((y, x, i, j), p) in power.indexed_iter() {
        let transposed = power[[y, x, j, i]].conj();
        let opposite = power[[(h - y) % h, (w - x) % w, i, j]].conj();
        if (p - transposed).norm() > 1e-9 * scale || (p - opposite).norm() > 1e-9 * scale {
            return Err(Error::Invalid(format!(
                "the power at frequency ({y}, {x}) is not that of real pictures"
            )));
        }
    }
    Ok(())
}

/// The unitary FFT of each channel of `picture - offset`: `[channel, row frequency, column frequency]`.
fn spectrum(picture: ArrayView3<'_, f32>, offset: &[f64]) -> Array3<Complex64> {
    let mut waves = Array3::from_shape_fn(picture.dim(), |(c, y, x)| {
        Complex64::from(f64::from(picture[[c, y, x]]) - offset[c])
    });
    fft2(&mut waves, FftDirection::Forward);
    waves
}

/// The unitary two-dimensional FFT of each plane, in place.
fn fft2(planes: &mut Array3<Complex64>, direction: FftDirection) {
    let (_, h, w) = planes.dim();
    let mut planner = FftPlanner::new();
    let (rows, columns) = (
        planner.plan_fft(w, direction),
        planner.plan_fft(h, direction),
    );
    let scale = 1.0 / ((h * w) as f64).sqrt();
    for mut plane in planes.outer_iter_mut() {
        let mut lines = plane.as_standard_layout().into_owned();
        rows.process(lines.as_slice_mut().expect("an owned copy in row order"));
        let mut turned: Array2<Complex64> = lines.t().as_standard_layout().into_owned();
        columns.process(turned.as_slice_mut().expect("an owned copy in row order"));
        plane.assign(&turned.t().mapv(|z| z * scale));
    }
}
