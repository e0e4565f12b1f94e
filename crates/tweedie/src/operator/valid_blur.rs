//! Blur of a scene of which the middle was recorded.
//!
//! `A = M K`: a convolution `K` of a canvas that is wider than the picture by what the kernel reaches, of which `M` keeps
//! the numbers that were recorded and are to be believed. The picture's edges were fed by a scene that goes on beyond
//! them, so that a blur with an assumed boundary cannot explain them; undoing it spreads what is left over as rings
//! (Almeida and Figueiredo 2013, "Deconvolving images with unknown boundaries using the alternating direction method of
//! multipliers"; they iterate between mask and convolution, here conjugate gradients solve for both at once).
//!
//! `A A^T = M F^-1 |k|^2 F M^T`, as long as the transform has room for the canvas, so that one pair of transforms makes
//! an iteration, and another one its preconditioner, `M F^-1 (|k|^2 + rho)^-1 F M^T`: exact but for the rim and the numbers
//! that are left out.

use std::fmt;

use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;

use super::blur::THRESHOLD;
use super::convolve::transfer;
use super::plane::{self, Sample};
use super::{
    Boundary, Error, Kernel, Linear, Loss, Margins, Misfit, Operator, cg, misfit, not_empty,
};
use crate::fft::{Complex, Fft2, good_length};
use crate::{Dims, Image};

/// `y(i) = sum_a k(a) x(i - a + origin)` for each channel and all `i` within the picture, with `x` on a canvas that holds
/// all that is asked for.
pub struct ValidBlur {
    picture: Dims,
    canvas: Dims,
    margins: Margins,
    kernel: Kernel,
    fft: Fft2,
    otf: Vec<Complex>,
    sharp: bool,
    /// Which numbers count, `[channel, height, width]` of the picture; `None` if all do.
    believed: Option<Array3<bool>>,
}

impl ValidBlur {
    /// The least noise that a recorded picture is taken to have, for pictures in [0, 1].
    pub(super) const LEAST_SIGMA: f64 = 0.001;

    /// For pictures that were recorded with these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::KernelSize`] if a side of the kernel is longer than the picture's
    /// and also longer than 127.
    pub fn new(picture: Dims, kernel: &Kernel) -> Result<ValidBlur, Error> {
        not_empty("blur", picture)?;
        kernel.fits(picture)?;
        let (taps, _) = kernel.trimmed();
        let (kh, kw) = taps.dim();
        let margins = kernel.margins();
        let canvas = margins.around(picture);
        let fft = Fft2::new(good_length(canvas.h), good_length(canvas.w));
        Ok(ValidBlur {
            picture,
            canvas,
            margins,
            kernel: kernel.clone(),
            // Output i is number i + k - 1 of the full convolution of the canvas; the last tap goes to 0.
            otf: transfer(&fft, &taps, (kh - 1, kw - 1)),
            fft,
            sharp: taps.iter().filter(|t| **t != 0.0).count() <= 1,
            believed: None,
        })
    }

    /// The same, believing only some of the recorded numbers, `[channel, height, width]` of the picture.
    ///
    /// # Errors
    /// [`Error::PictureSize`] if they are of another size, [`Error::Invalid`] if none is left.
    pub fn believing(mut self, believed: Array3<bool>) -> Result<ValidBlur, Error> {
        let Dims { c, h, w } = self.picture;
        if believed.dim() != (c, h, w) {
            return Err(Error::PictureSize {
                what: "mask of what is believed",
                picture: (believed.dim().1, believed.dim().2),
                image: (h, w),
            });
        }
        if !believed.iter().any(|&b| b) {
            return Err(Error::Invalid(
                "none of the recorded numbers is to be believed".into(),
            ));
        }
        let all = believed.iter().all(|&b| b);
        self.believed = (!all).then_some(believed);
        Ok(self)
    }

    /// Puts zeros where plane number `channel` is not to be believed.
    fn hide<S: Sample>(&self, channel: usize, y: &mut [S]) {
        if let Some(believed) = &self.believed {
            let plane = believed.index_axis(Axis(0), channel);
            for (y, _) in y.iter_mut().zip(&plane).filter(|(_, believed)| !**believed) {
                *y = S::of(0.0);
            }
        }
    }

    /// `out = M F^-1 m(|k|^2) F r` for one plane.
    fn filter(&self, channel: usize, r: &[f64], out: &mut [f64], m: impl Fn(f64) -> f64 + Sync) {
        let mut spectrum = self.fft.forward(r, self.picture.w);
        let scale = |(s, k): (&mut Complex, &Complex)| *s *= m(k.norm_sqr());
        spectrum.par_iter_mut().zip(&self.otf).for_each(scale);
        self.fft
            .inverse(spectrum, out, self.picture.w, |to, v| *to = v);
        self.hide(channel, out);
    }

    /// `y = A x` for one plane.
    fn apply_plane<S: Sample, T: Sample>(&self, channel: usize, x: &[S], y: &mut [T]) {
        let mut spectrum = self.fft.forward(x, self.canvas.w);
        for (s, k) in spectrum.iter_mut().zip(&self.otf) {
            *s *= k;
        }
        self.fft
            .inverse(spectrum, y, self.picture.w, |to, v| *to = T::of(v));
        self.hide(channel, y);
    }

    /// `put` is handed what `A^T u` has for each pixel of the canvas, for one plane. Of `u` nothing is hidden here.
    fn adjoint_plane<S: Sample>(&self, u: &[S], x: &mut [f32], put: impl Fn(&mut f32, f64) + Sync) {
        let mut spectrum = self.fft.forward(u, self.picture.w);
        for (s, k) in spectrum.iter_mut().zip(&self.otf) {
            *s *= k.conj();
        }
        self.fft.inverse(spectrum, x, self.canvas.w, put);
    }

    /// `z += A^T q` with `(A A^T + rho) q = y - A z`, for one plane.
    fn prox_plane(
        &self,
        channel: usize,
        y: &[f32],
        z: &mut [f32],
        rho: f64,
        params: cg::Params,
    ) -> cg::Info {
        let mut residual = vec![0.0f64; y.len()];
        self.apply_plane(channel, z, &mut residual);
        for (r, &y) in residual.iter_mut().zip(y) {
            *r = f64::from(y) - *r;
        }
        self.hide(channel, &mut residual);
        let system = |q: &[f64], out: &mut [f64]| self.filter(channel, q, out, |k| k + rho);
        let precondition =
            |r: &[f64], out: &mut [f64]| self.filter(channel, r, out, |k| 1.0 / (k + rho));
        let (q, info) = cg::solve(system, precondition, residual, params);
        self.adjoint_plane(&q, z, |z, d| *z = (f64::from(*z) + d) as f32);
        info
    }

    /// `f(channel, from, to)` for each plane of two batches, one after the other.
    fn each(&self, from: &Image, to: &mut Image, f: impl Fn(usize, &[f32], &mut [f32])) {
        let ((_, _, h, w), (_, _, height, width)) = (from.dim(), to.dim());
        let from = from.as_standard_layout();
        let from = from.as_slice().expect("in standard layout");
        let planes = from.chunks_exact(h * w);
        let pairs = planes.zip(plane::values(to).chunks_exact_mut(height * width));
        for (i, (from, to)) in pairs.enumerate() {
            f(i % self.picture.c, from, to);
        }
    }
}

impl fmt::Debug for ValidBlur {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ValidBlur({} of {})", self.picture, self.canvas)
    }
}

impl Operator for ValidBlur {
    fn name(&self) -> &'static str {
        "blur"
    }

    /// The canvas.
    fn input(&self) -> Dims {
        self.canvas
    }

    /// The picture.
    fn output(&self) -> Dims {
        self.picture
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.canvas);
        let mut y = Image::zeros(self.picture.batch(x.dim().0));
        self.each(x, &mut y, |c, x, y| self.apply_plane(c, x, y));
        y
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// The blurred picture itself, mirrored at its edges.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.picture);
        let Dims { h, w, .. } = self.picture;
        let (top, left) = (self.margins.top as i64, self.margins.left as i64);
        let inside =
            |i: usize, before: i64, n: usize| Boundary::Symmetric.index(i as i64 - before, n);
        Image::from_shape_fn(self.canvas.batch(y.dim().0), |(b, c, i, j)| {
            y[[b, c, inside(i, top, h), inside(j, left, w)]]
        })
    }

    fn loss(&self) -> Loss {
        let faded = self.otf.iter().filter(|k| k.norm() < 0.01).count();
        Loss {
            detail: !self.sharp,
            faded: faded as f64 / self.otf.len() as f64,
            ..Loss::NOTHING
        }
    }

    /// A pixel counts if all of its channels do.
    fn recorded(&self) -> Option<Array2<bool>> {
        let believed = self.believed.as_ref()?;
        Some(believed.map_axis(Axis(0), |channels| channels.iter().all(|&b| b)))
    }

    fn margins(&self) -> Margins {
        self.margins
    }

    /// By the spectrum of what is believed.
    fn misfit(&self, y: &Image, sigma: f64) -> Option<Misfit> {
        plane::check(y, self.picture);
        match self.sharp {
            true => None,
            false => misfit::misfit(y, self.believed.as_ref(), &self.kernel, sigma),
        }
    }

    fn softened(&self, part: f64) -> Option<Box<dyn Operator>> {
        let blur = ValidBlur::new(self.picture, &self.kernel.softened(part));
        let mut blur = blur.expect("as large a kernel as before");
        blur.believed.clone_from(&self.believed);
        Some(Box::new(blur))
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for ValidBlur {
    fn adjoint(&self, u: &Image) -> Image {
        plane::check(u, self.picture);
        let mut x = Image::zeros(self.canvas.batch(u.dim().0));
        self.each(u, &mut x, |c, u, x| {
            let mut u = u.to_vec();
            self.hide(c, &mut u);
            self.adjoint_plane(&u, x, |to, v| *to = v as f32);
        });
        x
    }

    /// Damped by `rho = 1e-6 |k|^2` (Tikhonov).
    fn pseudo_inverse(&self, y: &Image) -> Image {
        let norm = self.otf.iter().map(|k| k.norm()).fold(0.0, f64::max);
        let zeros = Image::zeros(self.canvas.batch(y.dim().0));
        self.prox(y, &zeros, (THRESHOLD * norm).powi(2))
    }

    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        plane::check(y, self.picture);
        plane::check(z, self.canvas);
        let mut x = z.as_standard_layout().into_owned();
        self.each(y, &mut x, |c, y, x| {
            self.prox_plane(c, y, x, rho, params);
        });
        x
    }
}
