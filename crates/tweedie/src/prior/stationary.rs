//! The exact denoiser of a stationary Gaussian: textures, and the classical Wiener filter.
//!
//! A Gaussian whose covariance does not change under (cyclic) shifts is diagonal in the Fourier basis but for the
//! channels: at each frequency `f` there is a Hermitian `C x C` matrix `P(f)` of power and cross-channel power. Denoising
//! is a filter, `P' = a*P*(a^2*P + b^2*I)^-1` at each frequency, on whole pictures at the cost of two FFTs.
//!
//! Source: Galerne, Gousseau and Morel 2011, "Random phase textures: theory and synthesis". The power is in units of the
//! variance of one pixel, that is, for an FFT scaled to be unitary; its mean over the frequencies is that variance.

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use ndarray::{Array4, ArrayView3, Axis, s};
use rustfft::num_complex::Complex64;

use super::{Card, Error, Estimate, Prior, Pullback};
use crate::fft::Fft2;
use crate::level::{Level, Range};
use crate::noise::NoiseSource;
use crate::noise_map::NoiseMap;
use crate::operator::{Sample, cg};
use crate::{Dims, Image};

/// A Gaussian law of whole pictures of one size that does not change under cyclic shifts.
#[derive(Debug)]
pub struct Stationary {
    dims: Dims,
    card: Card,
    fft: Fft2,
    /// Mean of each channel.
    mean: Vec<f64>,
    /// `P(f)` by its eigenvectors and eigenvalues, at the frequencies that a real FFT keeps, in its order.
    modes: Vec<Modes>,
}

/// The eigenvectors and eigenvalues of the power at one frequency.
#[derive(Debug)]
struct Modes {
    /// Eigenvectors in columns.
    basis: DMatrix<Complex64>,
    /// Eigenvalues, none negative.
    power: Vec<f64>,
}

impl Modes {
    /// `P(f)` itself.
    fn matrix(&self) -> DMatrix<Complex64> {
        let powers = self.power.iter().map(|&p| Complex64::from(p));
        let powers = DMatrix::from_diagonal(&DVector::from_iterator(self.power.len(), powers));
        &self.basis * powers * self.basis.adjoint()
    }
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
        let kept = (0..w / 2 + 1).flat_map(|x| (0..h).map(move |y| (y, x)));
        let matrices = kept.map(|(y, x)| DMatrix::from_fn(c, c, |i, j| power[[y, x, i, j]]));
        Stationary::diagonal(dims, range, mean.to_vec(), matrices.collect())
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
        if let Some(other) = pictures.iter().find(|batch| Dims::of(batch) != dims) {
            return Err(Error::Shape {
                expected: dims.to_string(),
                got: other.shape().to_vec(),
            });
        }
        let planes = || pictures.iter().flat_map(|batch| batch.outer_iter());
        let count = planes().count() as f64;
        if count == 0.0 || dims.is_empty() {
            return Err(Error::Invalid("the pictures are empty".into()));
        }
        let pixels = (dims.h * dims.w) as f64;
        let mut mean = vec![0.0; dims.c];
        for picture in planes() {
            for (m, plane) in mean.iter_mut().zip(picture.outer_iter()) {
                *m += plane.iter().map(|&v| f64::from(v)).sum::<f64>() / pixels / count;
            }
        }
        if !mean.iter().all(|m| m.is_finite()) {
            return Err(Error::Invalid(
                "the pictures hold a NaN or infinite number".into(),
            ));
        }
        let fft = Fft2::new(dims.h, dims.w);
        let mut power = vec![DMatrix::zeros(dims.c, dims.c); dims.h * fft.half()];
        for picture in planes() {
            let waves = spectra(&fft, picture, &mean);
            for (f, p) in power.iter_mut().enumerate() {
                *p += DMatrix::from_fn(dims.c, dims.c, |i, j| {
                    waves[i][f] * waves[j][f].conj() / (pixels * count)
                });
            }
        }
        Stationary::diagonal(dims, Range::IMAGE, mean, power)
    }

    /// From the power at the frequencies that a real FFT keeps.
    fn diagonal(
        dims: Dims,
        range: Range,
        mean: Vec<f64>,
        power: Vec<DMatrix<Complex64>>,
    ) -> Result<Stationary, Error> {
        let scale = power
            .iter()
            .flat_map(|p| p.iter())
            .fold(0.0_f64, |m, p| m.max(p.norm()));
        let modes = power.into_iter().map(|p| {
            let eigen = SymmetricEigen::new(p);
            match eigen.eigenvalues.iter().find(|&&l| l < -1e-9 * scale) {
                Some(least) => Err(Error::Invalid(format!(
                    "the power has a negative eigenvalue, {least}"
                ))),
                None => Ok(Modes {
                    basis: eigen.eigenvectors,
                    power: eigen.eigenvalues.iter().map(|l| l.max(0.0)).collect(),
                }),
            }
        });
        Ok(Stationary {
            dims,
            card: Card {
                maps: true,
                ..Card::exact(dims, range)
            },
            fft: Fft2::new(dims.h, dims.w),
            mean,
            modes: modes.collect::<Result<_, _>>()?,
        })
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
    fn filter<S: Sample>(
        &self,
        x: &Array4<S>,
        offset: &[f64],
        gain: impl Fn(f64) -> f64,
    ) -> Array4<S> {
        self.at_frequencies(x, offset, |f, from, to| {
            let modes = &self.modes[f];
            for (eigenvector, &power) in modes.basis.column_iter().zip(&modes.power) {
                let pairs = eigenvector.iter().zip(from);
                let mode: Complex64 = pairs.map(|(e, wave)| e.conj() * wave).sum();
                let mode = mode * gain(power);
                for (value, e) in to.iter_mut().zip(eigenvector) {
                    *value += e * mode;
                }
            }
        })
    }

    /// What `act` adds, at each frequency, to zeros for the waves of the channels of `x - offset`.
    fn at_frequencies<S: Sample>(
        &self,
        x: &Array4<S>,
        offset: &[f64],
        act: impl Fn(usize, &[Complex64], &mut [Complex64]),
    ) -> Array4<S> {
        let mut out = Array4::from_elem(x.raw_dim(), S::of(0.0));
        let mut from = vec![Complex64::ZERO; self.dims.c];
        let mut to = from.clone();
        for (picture, mut result) in x.outer_iter().zip(out.outer_iter_mut()) {
            let mut waves = spectra(&self.fft, picture, offset);
            for f in 0..self.modes.len() {
                to.fill(Complex64::ZERO);
                for (value, wave) in from.iter_mut().zip(&waves) {
                    *value = wave[f];
                }
                act(f, &from, &mut to);
                for (wave, value) in waves.iter_mut().zip(&to) {
                    wave[f] = *value;
                }
            }
            for (mut plane, wave) in result.outer_iter_mut().zip(waves) {
                let plane = plane.as_slice_mut().expect("a fresh array is contiguous");
                self.fft
                    .inverse(wave, plane, self.dims.w, |r: &mut S, v| *r = S::of(v));
            }
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

    /// The estimate where the noise of every pixel has these directions and variances: `P A^H (A P A^H + V)^-1 A` at each
    /// frequency, with a row of `A` for each direction of finite variance.
    fn evenly_noisy(&self, m: &Image, noise: &[(Vec<f64>, f64)]) -> Image {
        let seen: Vec<_> = noise.iter().filter(|(_, v)| v.is_finite()).collect();
        let rows = DMatrix::from_fn(seen.len(), self.dims.c, |i, j| {
            Complex64::from(seen[i].0[j])
        });
        let variances = seen.iter().map(|(_, v)| Complex64::from(*v));
        let variances = DMatrix::from_diagonal(&DVector::from_iterator(seen.len(), variances));
        let gains: Vec<_> = self
            .modes
            .iter()
            .map(|modes| {
                let crossed = modes.matrix() * rows.adjoint();
                inverse(&rows * &crossed + &variances).map(|inverse| crossed * inverse * &rows)
            })
            .collect();
        let mut x0 = self.at_frequencies(m, &self.mean, |f, from, to| {
            let gain = gains[f].iter().flat_map(|gain| gain.row_iter());
            for (value, row) in to.iter_mut().zip(gain) {
                *value = row.iter().zip(from).map(|(g, wave)| g * wave).sum();
            }
        });
        self.add_mean(&mut x0);
        x0
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
    fn card(&self) -> &Card {
        &self.card
    }

    fn estimate(&self, x: &Image, level: Level) -> Result<Estimate, Error> {
        self.check(x)?;
        let offset: Vec<f64> = self.mean.iter().map(|m| level.a * m).collect();
        let mut x0 = self.jacobian(x, &offset, level);
        self.add_mean(&mut x0);
        Ok(x0.into())
    }

    fn estimate_with_pullback<'a>(
        &'a self,
        x: &Image,
        level: Level,
    ) -> Result<(Estimate, Pullback<'a>), Error> {
        let x0 = self.estimate(x, level)?;
        let pullback = move |v: &Image| {
            self.check(v)?;
            Ok(self.jacobian(v, &vec![0.0; self.dims.c], level))
        };
        Ok((x0, Box::new(pullback)))
    }

    /// By conjugate gradients in the space of what is observed: `x0 = mu + K A^T z`, `(A K A^T + V) z = A (m - mu)`, with a
    /// row of `A` for each finite variance in `V`. Where all pixels are as noisy, at each frequency alone.
    fn estimate_mapped(&self, m: &Image, noise: &NoiseMap) -> Result<Estimate, Error> {
        self.check(m)?;
        if let Some(noise) = noise.of_any_pixel(self.dims.c) {
            return Ok(self.evenly_noisy(m, &noise).into());
        }
        let nowhere = vec![0.0; self.dims.c];
        let mut x0 = Image::zeros(m.raw_dim());
        self.add_mean(&mut x0);
        let misfit = (m - &x0).mapv(f64::from);
        // All in f64: what is known for certain makes for a system that is hardly solvable in f32.
        let vector = |x: Array4<f64>| x.into_raw_vec_and_offset().0;
        let shaped = |v: &[f64]| {
            let x = Array4::from_shape_vec(self.dims.batch(1), v.to_vec());
            x.expect("a vector of the picture's length")
        };
        for (k, mut x0) in x0.axis_chunks_iter_mut(Axis(0), 1).enumerate() {
            let noise = noise.picture(k);
            let seen = |x: &Array4<f64>, f: fn(f32) -> f64| {
                noise.filter_as(x, |v| if v.is_infinite() { 0.0 } else { f(v) })
            };
            let system = |v: &[f64], out: &mut [f64]| {
                let z = shaped(v);
                let spread = self.filter(&seen(&z, |_| 1.0), &nowhere, |l| l);
                let sum = seen(&spread, |_| 1.0) + seen(&z, f64::from);
                out.copy_from_slice(&vector(sum));
            };
            let right = vector(seen(
                &misfit.slice(s![k..=k, .., .., ..]).to_owned(),
                |_| 1.0,
            ));
            let (z, _) = cg::solve(system, cg::unconditioned, right, EXACT);
            x0 += &self.filter(&shaped(&z), &nowhere, |l| l).mapv(|v| v as f32);
        }
        Ok(x0.into())
    }
}

/// The pseudo-inverse of a Hermitian matrix, none of whose eigenvalues is negative; `None` of no rows.
fn inverse(matrix: DMatrix<Complex64>) -> Option<DMatrix<Complex64>> {
    if matrix.is_empty() {
        return None;
    }
    let eigen = SymmetricEigen::new(matrix);
    let most = eigen.eigenvalues.max();
    let inverses = eigen.eigenvalues.iter().map(|&l| match l > 1e-12 * most {
        true => Complex64::from(1.0 / l),
        false => Complex64::ZERO,
    });
    let inverses =
        DMatrix::from_diagonal(&DVector::from_iterator(eigen.eigenvalues.len(), inverses));
    Some(&eigen.eigenvectors * inverses * eigen.eigenvectors.adjoint())
}

/// When conjugate gradients have an answer that f32 cannot tell from the exact one.
const EXACT: cg::Params = cg::Params {
    tolerance: 1e-9,
    iterations: 1000,
};

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

/// The spectrum of each channel of `picture - offset`.
fn spectra<S: Sample>(
    fft: &Fft2,
    picture: ArrayView3<'_, S>,
    offset: &[f64],
) -> Vec<Vec<Complex64>> {
    let pixels = (fft.height() * fft.width()) as f64;
    picture
        .outer_iter()
        .zip(offset)
        .map(|(plane, offset)| {
            let plane = plane.as_standard_layout();
            let values = plane.as_slice().expect("in standard layout");
            let mut waves = fft.forward(values, fft.width());
            waves[0] -= offset * pixels;
            waves
        })
        .collect()
}
