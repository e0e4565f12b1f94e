//! Classical super-resolution: blur with a kernel, then keep every s-th pixel.

use rayon::prelude::*;

use super::axis::{self, Axis};
use super::convolve::Convolver;
use super::diagonal::Diagonal;
use super::downsample::check_factor;
use super::spectrum::{Weight, of_measured, of_seen};
use super::{
    Blur, Boundary, Error, Gain, Kernel, Linear, Loss, Operator, Spectrum, plane, spectrum,
};
use crate::fft::{Complex, Fft2};
use crate::{Dims, Image};

/// `y = (k * x)` at rows and columns o, o + s, o + 2s, ...: with `o = 0` DPIR's, IDBP's and DiffPIR's measurement.
///
/// Under the circular boundary, with sides divisible by s, `A A^T` is diagonal in the Fourier basis of the small image,
/// with the mean over the s*s aliased blocks of `|k|^2` as its eigenvalues (Zhao et al. 2016, "Fast single image
/// super-resolution using a new analytical solution for l2-l2 problems"; Zhang et al. 2021, DPIR). Everything else is
/// left to conjugate gradients.
#[derive(Debug)]
pub struct Decimate {
    /// Moved by the offset, so that the first pixel is kept.
    blur: Blur,
    factor: usize,
    offset: usize,
    aliased: Option<Aliased>,
}

/// `A A^T` in the Fourier basis of the small image.
#[derive(Debug)]
struct Aliased {
    fft: Fft2,
    /// Means of `|k|^2` over the aliased frequencies, laid out as [`Fft2`] says.
    power: Vec<f64>,
}

impl Decimate {
    /// For images of these dimensions; what it records has `ceil(side/factor)` pixels a side.
    ///
    /// # Errors
    /// Those of [`Blur::new`], and [`Error::Invalid`] for a factor outside 1..=256.
    pub fn new(
        input: Dims,
        kernel: Kernel,
        boundary: Boundary,
        factor: usize,
    ) -> Result<Decimate, Error> {
        Decimate::with_offset(input, kernel, boundary, factor, 0)
    }

    /// The same from row and column `offset` on.
    ///
    /// # Errors
    /// Those of [`Decimate::new`], and [`Error::Invalid`] for an offset that is not smaller than the factor, or beyond the image.
    pub fn with_offset(
        input: Dims,
        kernel: Kernel,
        boundary: Boundary,
        factor: usize,
        offset: usize,
    ) -> Result<Decimate, Error> {
        check_factor(factor as f64)?;
        if offset >= factor || offset >= input.h.min(input.w).max(1) {
            return Err(Error::Invalid(format!(
                "of every {factor} pixels one is kept, from 0 to {}, not number {offset}",
                factor - 1
            )));
        }
        let blur = Blur::new(input, kernel.moved(offset)?, boundary)?;
        let mut operator = Decimate {
            blur,
            factor,
            offset,
            aliased: None,
        };
        let divisible = input.h.is_multiple_of(factor) && input.w.is_multiple_of(factor);
        if let (true, Some(Diagonal::Fourier(convolver))) = (divisible, operator.blur.closed()) {
            let large = convolver.fft();
            let fft = Fft2::new(input.h / factor, input.w / factor);
            let power = blocks(large, &fft, factor, |i| {
                convolver.otf()[i].norm_sqr().into()
            })
            .into_iter()
            .map(|p| p.re)
            .collect();
            operator.aliased = Some(Aliased { fft, power });
        }
        Ok(operator)
    }

    /// Every s-th pixel of a plane.
    fn pick(&self, x: &[f32], y: &mut [f32]) {
        let (w, small) = (self.input().w, self.output().w);
        for (row, y) in x.chunks(w).step_by(self.factor).zip(y.chunks_mut(small)) {
            for (y, &x) in y.iter_mut().zip(row.iter().step_by(self.factor)) {
                *y = x;
            }
        }
    }

    /// The small plane with zeros between its pixels.
    fn scatter(&self, y: &[f32]) -> Vec<f32> {
        let (large, small) = (self.input(), self.output());
        let mut x = vec![0.0; large.h * large.w];
        for (row, y) in x
            .chunks_mut(large.w)
            .step_by(self.factor)
            .zip(y.chunks(small.w))
        {
            for (x, &y) in row.iter_mut().step_by(self.factor).zip(y) {
                *x = y;
            }
        }
        x
    }

    /// `out = F^-1 [ conj(k) tile(weight r) ]` for each weight, from the spectrum `r` of a small plane, given the eigenvalue of
    /// `A A^T`.
    fn lift(&self, r: &[Complex], outs: &mut [&mut [f32]], weights: &[Weight<'_>]) {
        let (convolver, aliased) = self.closed().expect("only then is there a spectrum");
        let (large, small, otf) = (convolver.fft(), &aliased.fft, convolver.otf());
        let (h, hs) = (large.height(), small.height());
        for (out, weight) in outs.iter_mut().zip(weights) {
            let pairs = r.par_iter().zip(&aliased.power);
            let low: Vec<Complex> = pairs.map(|(&r, &power)| r * weight(power)).collect();
            let mut high = vec![Complex::ZERO; otf.len()];
            high.par_chunks_mut(h).enumerate().for_each(|(u, column)| {
                let k = &otf[u * h..];
                for (v, (to, k)) in column.iter_mut().zip(k).enumerate() {
                    *to = k.conj() * at(small, &low, u % small.width(), v % hs);
                }
            });
            large.inverse(high, out, large.width(), |to, v| *to = v as f32);
        }
    }

    fn closed(&self) -> Option<(&Convolver, &Aliased)> {
        match (self.blur.closed(), &self.aliased) {
            (Some(Diagonal::Fourier(convolver)), Some(aliased)) => Some((convolver, aliased)),
            _ => None,
        }
    }
}

/// The value at frequency (u, v) of a real plane's spectrum, also in the half that is not kept.
fn at(fft: &Fft2, spectrum: &[Complex], u: usize, v: usize) -> Complex {
    let (h, w) = (fft.height(), fft.width());
    if u < fft.half() {
        spectrum[u * h + v]
    } else {
        spectrum[(w - u) * h + (h - v) % h].conj()
    }
}

/// Means over the `factor*factor` frequencies of the large transform that alias to one of the small: of `value` at an
/// index of the large half spectrum, its conjugate for the other half.
fn blocks(
    large: &Fft2,
    small: &Fft2,
    factor: usize,
    value: impl Fn(usize) -> Complex + Sync,
) -> Vec<Complex> {
    let (h, w) = (large.height(), large.width());
    let (hs, ws) = (small.height(), small.width());
    let mut means = vec![Complex::ZERO; small.half() * hs];
    means
        .par_chunks_mut(hs)
        .enumerate()
        .for_each(|(us, column)| {
            for (vs, mean) in column.iter_mut().enumerate() {
                for u in (0..factor).map(|p| us + p * ws) {
                    for v in (0..factor).map(|q| vs + q * hs) {
                        *mean += if u < large.half() {
                            value(u * h + v)
                        } else {
                            value((w - u) * h + (h - v) % h).conj()
                        };
                    }
                }
                *mean /= (factor * factor) as f64;
            }
        });
    means
}

impl Operator for Decimate {
    fn name(&self) -> &'static str {
        "downsample"
    }

    fn input(&self) -> Dims {
        self.blur.input()
    }

    fn output(&self) -> Dims {
        let Dims { c, h, w } = self.input();
        let kept = |n: usize| (n - self.offset).div_ceil(self.factor);
        Dims::new(c, kept(h), kept(w))
    }

    fn apply(&self, x: &Image) -> Image {
        plane::map(x, self.input(), self.output(), |x, y| {
            let mut blurred = vec![0.0; x.len()];
            self.blur.apply_plane(x, &mut blurred);
            self.pick(&blurred, y);
        })
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// Bicubic interpolation; pixel `i` of the small image lies on pixel `factor*i` of the large one.
    fn guess(&self, y: &Image) -> Image {
        let (large, small) = (self.input(), self.output());
        let up =
            |n: usize, to: usize| Axis::bicubic_up(n, to, self.factor as f64, self.offset as f64);
        let (v, h) = (up(small.h, large.h), up(small.w, large.w));
        plane::map(y, small, large, |y, x| {
            axis::apply(&v, &h, y, x, |to, value| *to = value as f32);
        })
    }

    fn loss(&self) -> Loss {
        Loss {
            scales: self.factor > 1,
            ..self.blur.loss()
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Decimate {
    fn adjoint(&self, u: &Image) -> Image {
        plane::map(u, self.output(), self.input(), |u, x| {
            self.blur.adjoint_plane(&self.scatter(u), x);
        })
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        self.closed().map(|_| self as &dyn Spectrum)
    }

    /// With the singular values below 1e-3 times the largest left out.
    fn pseudo_inverse(&self, y: &Image) -> Image {
        match self.spectrum() {
            Some(closed) => spectrum::pseudo_inverse(closed, y, super::blur::THRESHOLD),
            None => super::cg::pseudo_inverse(self, y, super::cg::Params::default()).0,
        }
    }
}

/// `U` is the small Fourier basis, and `V = A^T U/s`.
impl Spectrum for Decimate {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let (convolver, aliased) = self.closed().expect("only then is there a spectrum");
        let (large, small, otf) = (convolver.fft(), &aliased.fft, convolver.otf());
        let least = (1e-6 * Spectrum::norm(self)).powi(2);
        let weights: Vec<_> = gains.iter().map(|g| of_seen(*g, least)).collect();
        let weights: Vec<Weight<'_>> = weights.iter().map(|w| w as _).collect();
        let mut out = plane::map_many(x, self.input(), self.input(), gains.len(), |x, outs| {
            let high = large.forward(x, large.width());
            let seen = blocks(large, small, self.factor, |i| otf[i] * high[i]);
            self.lift(&seen, outs, &weights);
        });
        for (out, gain) in out.iter_mut().zip(gains) {
            out.scaled_add(gain(0.0) as f32, x);
        }
        out
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let (_, aliased) = self.closed().expect("only then is there a spectrum");
        let least = (1e-6 * Spectrum::norm(self)).powi(2);
        let weights: Vec<_> = gains.iter().map(|g| of_measured(*g, least)).collect();
        let weights: Vec<Weight<'_>> = weights.iter().map(|w| w as _).collect();
        plane::map_many(y, self.output(), self.input(), gains.len(), |y, outs| {
            let small = aliased.fft.forward(y, aliased.fft.width());
            self.lift(&small, outs, &weights);
        })
    }

    fn norm(&self) -> f64 {
        let power = self.closed().map(|(_, aliased)| &aliased.power);
        power.map_or(f64::NAN, |power| {
            power.iter().copied().fold(0.0, f64::max).sqrt()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The eigenvalues of `A A^T` are the means of `|OTF|^2` over aliased frequencies, for factors 1 to 4 and kernels with
    /// odd and even sides: against the matrix itself. A sum in place of the mean is off by factor^2.
    #[test]
    fn eigenvalues_are_the_means_of_blocks() {
        for (factor, (kh, kw)) in [(1, (3, 3)), (2, (4, 3)), (3, (5, 2)), (4, (4, 4))] {
            let d = Dims::new(1, 2 * factor, 3 * factor);
            let taps =
                ndarray::Array2::from_shape_fn((kh, kw), |(i, j)| (1 + i * i + 2 * j) as f64);
            let kernel = Kernel::new(taps).unwrap();
            let op = Decimate::new(d, kernel, Boundary::Circular, factor).unwrap();
            let m = op.output().len();
            let mut gram = nalgebra::DMatrix::zeros(m, m);
            for j in 0..m {
                let mut unit = Image::zeros(op.output().batch(1));
                plane::values(&mut unit)[j] = 1.0;
                for (i, &v) in op.apply(&op.adjoint(&unit)).iter().enumerate() {
                    gram[(i, j)] = f64::from(v);
                }
            }
            let mut expected: Vec<f64> = gram.symmetric_eigenvalues().iter().copied().collect();
            // The half spectrum holds the others' conjugates.
            let aliased = op.aliased.as_ref().unwrap();
            let power: Vec<Complex> = aliased.power.iter().map(|&p| p.into()).collect();
            let (h, w) = (aliased.fft.height(), aliased.fft.width());
            let mut values: Vec<f64> = (0..h * w)
                .map(|i| at(&aliased.fft, &power, i % w, i / w).re)
                .collect();
            expected.sort_by(f64::total_cmp);
            values.sort_by(f64::total_cmp);
            for (value, expected) in values.iter().zip(&expected) {
                assert!(
                    (value - expected).abs() < 1e-6,
                    "x{factor}: {value}, {expected}"
                );
            }
        }
    }
}
