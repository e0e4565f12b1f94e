//! Blur: convolution of each channel with a kernel.
//!
//! | boundary | kernel | prox, pseudo-inverse, baseline |
//! |---|---|---|
//! | circular | any | closed, by FFT |
//! | symmetric | even in both directions | closed, by DCT-II |
//! | else | | conjugate gradients, preconditioned |
//! | unknown | any | [`ValidBlur`] |
//!
//! An even kernel has `k(-a, b) = k(a, -b) = k(a, b)` seen from its origin. Point symmetry alone, `k(-a, -b) = k(a, b)`
//! as an oblique motion blur has it, is not enough for the DCT: it leaves the products of two sines.

use ndarray::Axis;
use serde::{Deserialize, Serialize};

use super::convolve::Convolver;
use super::diagonal::Diagonal;
use super::plane::{self, Sample};
use super::spec::{Described, Flag, Flags, parses};
use super::{
    Boundary, Edges, Error, Gain, Kernel, KernelSpec, Linear, Loss, Operator, Spectrum, ValidBlur,
    cg, clipped, not_empty, spectrum, tikhonov,
};
use crate::fft::Complex;
use crate::image::Picture;
use crate::{Dims, Image};

/// Singular values smaller than this times the largest are taken for zero in the pseudo-inverse of a blur: what it
/// let through was a thousandth, and dividing by it would show nothing but rounding and noise.
pub(crate) const THRESHOLD: f64 = 1e-3;

/// `y = k * x`, for each channel, of the same size: true convolution, `y(i) = sum_a k(a) x(i - a + origin)`, with tap
/// `floor(size/2)` as the origin.
#[derive(Debug)]
pub struct Blur {
    dims: Dims,
    kernel: Kernel,
    boundary: Boundary,
    route: Route,
}

/// How it is undone.
#[derive(Debug)]
enum Route {
    /// In its eigenvectors.
    Closed(Diagonal),
    /// By conjugate gradients. An even kernel has cosines that nearly are eigenvectors; they precondition.
    Iterated(Box<Convolver>, Option<Diagonal>),
}

impl Blur {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel. [`Error::KernelSize`] if a side of the kernel is longer than the image's
    /// and also longer than 127: any boundary goes on for ever, so that a larger kernel would work, but it is a mistake.
    pub fn new(dims: Dims, kernel: Kernel, boundary: Boundary) -> Result<Blur, Error> {
        not_empty("blur", dims)?;
        kernel.fits(dims)?;
        let (h, w) = (dims.h, dims.w);
        let even = kernel.is_even();
        let route = match boundary {
            Boundary::Circular => Route::Closed(Diagonal::fourier(h, w, &kernel)),
            Boundary::Symmetric if even => Route::Closed(Diagonal::cosine(h, w, &kernel)),
            _ => Route::Iterated(
                Box::new(Convolver::new(h, w, &kernel, boundary)),
                even.then(|| Diagonal::cosine(h, w, &kernel)),
            ),
        };
        Ok(Blur {
            dims,
            kernel,
            boundary,
            route,
        })
    }

    /// What it blurs with.
    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// What it sees beyond the edges.
    pub fn boundary(&self) -> Boundary {
        self.boundary
    }

    /// The closed form, if there is one.
    pub(crate) fn closed(&self) -> Option<&Diagonal> {
        match &self.route {
            Route::Closed(diagonal) => Some(diagonal),
            Route::Iterated(..) => None,
        }
    }

    /// `y = A x` for one plane.
    pub(crate) fn apply_plane<S: Sample>(&self, x: &[S], y: &mut [S]) {
        match &self.route {
            Route::Closed(diagonal) => diagonal.apply(x, y),
            Route::Iterated(convolver, _) => convolver.apply(x, y),
        }
    }

    /// `x = A^T u` for one plane.
    pub(crate) fn adjoint_plane<S: Sample>(&self, u: &[S], x: &mut [S]) {
        match &self.route {
            Route::Closed(diagonal) => diagonal.adjoint(u, x),
            Route::Iterated(convolver, _) => convolver.adjoint(u, x),
        }
    }

    /// `out` is about `(A A^T + rho)^-1 r`.
    fn precondition(&self, r: &[f64], out: &mut [f64], rho: f64) {
        match &self.route {
            Route::Closed(diagonal) | Route::Iterated(_, Some(diagonal)) => {
                diagonal.filter(r, out, |k, _| Complex::from(1.0 / (k.norm_sqr() + rho)));
            }
            Route::Iterated(convolver, None) => convolver.undo(r, out, rho),
        }
    }

    /// `z += A^T q` with `(A A^T + rho) q = y - A z`, for one plane, by preconditioned conjugate gradients.
    fn prox_plane(&self, y: &[f32], z: &mut [f32], rho: f64, params: cg::Params) -> cg::Info {
        let n = z.len();
        let precondition = |r: &[f64], out: &mut [f64]| self.precondition(r, out, rho);
        let system = |q: &[f64], out: &mut [f64]| {
            let mut x = vec![0.0; n];
            self.adjoint_plane(q, &mut x);
            self.apply_plane(&x, out);
            out.iter_mut().zip(q).for_each(|(s, q)| *s += rho * q);
        };
        let start: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        let mut residual = vec![0.0; n];
        self.apply_plane(&start, &mut residual);
        drop(start);
        for (r, &y) in residual.iter_mut().zip(y) {
            *r = f64::from(y) - *r;
        }
        let (q, info) = cg::solve(system, precondition, residual, params);
        let mut correction = vec![0.0; n];
        self.adjoint_plane(&q, &mut correction);
        for (z, d) in z.iter_mut().zip(&correction) {
            *z = (f64::from(*z) + d) as f32;
        }
        info
    }
}

/// A blur for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlurSpec {
    /// What with.
    pub kernel: KernelSpec,
    /// What lies beyond the edges.
    #[serde(default)]
    pub boundary: Edges,
}

impl Described for BlurSpec {
    const SUMMARY: &'static str =
        "convolution with a kernel; boundary unknown, symmetric, reflect or circular";
    const EXAMPLE: &'static str = "kernel = 'motion:5:30'";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "kernel",
            value: "KERNEL",
            help: "The blur kernel: `gaussian:STD[:SIZE]`, `gaussian:ALONG,ACROSS,ANGLE[:SIZE]`, `motion:LENGTH:ANGLE`, `box:N`, `disk:R`, a picture, or a text \
                   file with rows of numbers",
            example: "gaussian:1.6",
            default: None,
            check: parses::<KernelSpec>,
        },
        Edges::FLAG,
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<BlurSpec, Error> {
        Ok(BlurSpec {
            kernel: flags.need(&BlurSpec::FLAGS[0])?,
            boundary: flags.need(&Edges::FLAG)?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let kernel = self.kernel.build()?;
        Ok(match self.boundary {
            Edges::Auto => Box::new(Blur::new(input, kernel, Boundary::Symmetric)?),
            Edges::Assumed(boundary) => Box::new(Blur::new(input, kernel, boundary)?),
            Edges::Unknown => Box::new(ValidBlur::new(kernel.inside(input)?, &kernel)?),
        })
    }

    /// Where nothing is assumed beyond the edges, what is clipped is not believed either.
    fn build_for(
        &self,
        picture: &Picture,
        notes: &mut Vec<String>,
    ) -> Result<Box<dyn Operator>, Error> {
        let kernel = self.kernel.build_and_tell(notes)?;
        if self.boundary != Edges::Unknown {
            return self.build(picture.dims());
        }
        let blur = ValidBlur::new(picture.dims(), &kernel)?;
        let Some(believed) = clipped::believed(&picture.pixels) else {
            return Ok(Box::new(blur));
        };
        let pixels = believed.map_axis(Axis(0), |c| c.iter().all(|&b| b));
        let hidden = pixels.iter().filter(|all| !**all).count();
        notes.push(format!(
            "{hidden} pixels ({:.1} %) at full scale or next to it are left out: what is burnt out measures nothing",
            100.0 * hidden as f64 / pixels.len() as f64
        ));
        Ok(Box::new(blur.believing(believed)?))
    }

    /// Larger by the kernel's reach where nothing is assumed beyond the edges.
    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        match self.boundary {
            Edges::Unknown => Ok(self.kernel.build()?.margins().around(output)),
            _ => Ok(output),
        }
    }

    fn undone(&self) -> BlurSpec {
        BlurSpec {
            kernel: self.kernel.clone(),
            boundary: self.boundary.undone(),
        }
    }

    fn files(&mut self) -> Vec<&mut std::path::PathBuf> {
        self.kernel.file().into_iter().collect()
    }
}

/// A blur of one channel, so that a solver for any operator needs memory for one plane only.
#[derive(Debug)]
struct Plane<'a>(&'a Blur);

impl Operator for Plane<'_> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn input(&self) -> Dims {
        Dims {
            c: 1,
            ..self.0.dims
        }
    }

    fn output(&self) -> Dims {
        self.input()
    }

    fn apply(&self, x: &Image) -> Image {
        let dims = self.input();
        plane::map(x, dims, dims, |x, y| self.0.apply_plane(x, y))
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    fn guess(&self, y: &Image) -> Image {
        y.clone()
    }

    fn loss(&self) -> Loss {
        self.0.loss()
    }
}

impl Linear for Plane<'_> {
    fn adjoint(&self, u: &Image) -> Image {
        let dims = self.input();
        plane::map(u, dims, dims, |u, x| self.0.adjoint_plane(u, x))
    }
}

impl Operator for Blur {
    fn name(&self) -> &'static str {
        "blur"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        plane::map(x, self.dims, self.dims, |x, y| self.apply_plane(x, y))
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// The blurred image itself.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.dims);
        y.clone()
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: self.kernel.taps().iter().filter(|t| **t != 0.0).count() > 1,
            faded: match &self.route {
                Route::Closed(diagonal) => diagonal.below(0.01),
                Route::Iterated(convolver, _) => convolver.below(0.01),
            },
            ..Loss::NOTHING
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Blur {
    fn adjoint(&self, u: &Image) -> Image {
        plane::map(u, self.dims, self.dims, |u, x| self.adjoint_plane(u, x))
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        self.closed().map(|_| self as &dyn Spectrum)
    }

    /// With the singular values below 1e-3 times the largest left out; where there is no closed form, damped by
    /// as much (Tikhonov with `rho = 1e-6 |A|^2`).
    fn pseudo_inverse(&self, y: &Image) -> Image {
        match &self.route {
            Route::Closed(_) => spectrum::pseudo_inverse(self, y, THRESHOLD),
            Route::Iterated(convolver, _) => {
                let rho = (THRESHOLD * convolver.norm()).powi(2);
                self.prox(y, &Image::zeros(y.dim()), rho)
            }
        }
    }

    /// Closed: `z + F^-1 [ conj(k) (F y - k F z)/(|k|^2 + rho) ]`, with the cosines for F under a symmetric boundary.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, params: cg::Params) -> Image {
        plane::update(z, self.dims, y, self.dims, |y, z| match self.closed() {
            Some(diagonal) => diagonal.prox(y, z, rho),
            None => {
                self.prox_plane(y, z, rho, params);
            }
        })
    }

    /// Closed: `F^-1 [ conj(k) F y/(|k|^2 + lambda*l) ]`, with `l` the eigenvalues of the squared differences under the
    /// blur's own boundary.
    fn tikhonov(&self, y: &Image, lambda: f64) -> Image {
        let Some(diagonal) = self.closed() else {
            let plane = Plane(self);
            let dims = plane.input();
            return plane::map(y, self.dims, self.dims, |y, x| {
                let y = Image::from_shape_fn(dims.batch(1), |(_, _, i, j)| y[i * dims.w + j]);
                let (solution, _) = tikhonov::solve(&plane, &y, lambda, cg::Params::default());
                for (x, &s) in x.iter_mut().zip(&solution) {
                    *x = s;
                }
            });
        };
        plane::map(y, self.dims, self.dims, |y, x| {
            diagonal.filter(y, x, |k, l| {
                let power = k.norm_sqr() + lambda * l;
                if power > 0.0 {
                    k.conj() / power
                } else {
                    Complex::ZERO
                }
            });
        })
    }
}

impl Blur {
    /// Singular values are the absolute eigenvalues; `turn` gives the phase of the vectors, from an eigenvalue and its size.
    /// Sizes within 1e-6 of zero are zero: of eigenvalues that vanish, rounding is left.
    fn filtered(
        &self,
        x: &Image,
        gains: &[Gain<'_>],
        turn: fn(Complex, f64) -> Complex,
    ) -> Vec<Image> {
        let diagonal = self.closed().expect("only closed routes have a spectrum");
        let least = 1e-6 * diagonal.norm();
        let filters: Vec<_> = gains
            .iter()
            .map(|gain| {
                move |k: Complex, _: f64| {
                    let size = k.norm();
                    let size = if size > least { size } else { 0.0 };
                    turn(k, size) * gain(size)
                }
            })
            .collect();
        let filters: Vec<&(dyn Fn(Complex, f64) -> Complex + Sync)> =
            filters.iter().map(|f| f as _).collect();
        plane::map_many(x, self.dims, self.dims, gains.len(), |x, outs| {
            diagonal.filters(x, outs, &filters);
        })
    }
}

impl Spectrum for Blur {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        self.filtered(x, gains, |_, _| Complex::ONE)
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        self.filtered(y, gains, |k, size| match size {
            0.0 => Complex::ZERO,
            size => k.conj() / size,
        })
    }

    fn norm(&self) -> f64 {
        self.closed().map_or(f64::NAN, Diagonal::norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the route, it is the convolution: what the eigenvectors give is what padding and FFT give, to 1e-6. An
    /// oblique line is point-symmetric; taking it for even would blur along its mirror image too, and be off by 0.1.
    #[test]
    fn every_route_is_the_same_blur() {
        for (h, w) in [(9, 12), (1, 7), (5, 1)] {
            for kernel in [
                Kernel::gaussian(1.5, None).unwrap(),
                Kernel::motion(5.0, 30.0).unwrap(),
                Kernel::disk(2.0).unwrap(),
                Kernel::uniform(4).unwrap(),
            ] {
                for boundary in [Boundary::Circular, Boundary::Symmetric, Boundary::Reflect] {
                    let x: Vec<f32> = (0..h * w).map(|i| ((i * i) as f32 * 0.7).sin()).collect();
                    let (mut blurred, mut expected) = (vec![0.0; h * w], vec![0.0; h * w]);
                    let blur = Blur::new(Dims::new(1, h, w), kernel.clone(), boundary).unwrap();
                    blur.apply_plane(&x, &mut blurred);
                    Convolver::new(h, w, &kernel, boundary).apply(&x, &mut expected);
                    for (a, b) in blurred.iter().zip(&expected) {
                        assert!(
                            (a - b).abs() < 1e-6,
                            "{h}x{w}, {kernel:?}, {boundary}: {a}, {b}"
                        );
                    }
                }
            }
        }
    }

    /// Preconditioned, an even kernel under a reflecting boundary needs few iterations, and any other about half of what
    /// it needs without. Preconditioning an oblique line by cosines takes more than none at all.
    #[test]
    fn preconditioners_help() {
        let d = Dims::new(1, 64, 64);
        let y: Vec<f32> = (0..d.len()).map(|i| ((i * i) as f32 * 0.7).sin()).collect();
        let steps = |kernel: Kernel, rho: f64| {
            let blur = Blur::new(d, kernel, Boundary::Reflect).unwrap();
            let mut z = vec![0.5; d.len()];
            let info = blur.prox_plane(&y, &mut z, rho, cg::Params::default());
            let plain = cg::prox(
                &Plane(&blur),
                &Image::from_shape_vec(d.batch(1), y.clone()).unwrap(),
                &Image::from_elem(d.batch(1), 0.5),
                rho,
                cg::Params::default(),
            );
            assert!(info.converged && plain.1.converged);
            for (a, b) in z.iter().zip(&plain.0) {
                assert!((a - b).abs() < 1e-4, "{a} is not {b}");
            }
            (info.iterations, plain.1.iterations)
        };
        let (with, without) = steps(Kernel::gaussian(2.0, None).unwrap(), 1e-2);
        assert!(4 * with < without, "{with} of {without}");
        let (with, without) = steps(Kernel::motion(9.0, 30.0).unwrap(), 1e-2);
        assert!(3 * with < 2 * without, "{with} of {without}");
    }

    /// A data step stops early, and is as close as [`cg::Params::STEP`] says. Wrong: a tolerance on the image.
    #[test]
    fn data_steps_are_as_close_as_promised() {
        let d = Dims::new(1, 64, 64);
        let blur = Blur::new(d, Kernel::motion(9.0, 30.0).unwrap(), Boundary::Symmetric).unwrap();
        let wave =
            |f: f32| Image::from_shape_fn(d.batch(1), |(_, _, i, j)| ((i * j) as f32 * f).sin());
        let (y, z) = (wave(0.7), wave(0.3));
        let norm = |x: &Image| x.mapv(|v| f64::from(v).powi(2)).sum().sqrt();
        for rho in [1e-3, 1e-2, 1e-1] {
            let exact = blur.prox(&y, &z, rho);
            let step = blur.prox_within(&y, &z, rho, cg::Params::STEP);
            let bound = 1e-3 * norm(&(&y - &blur.apply(&z))) / (2.0 * rho.sqrt());
            let off = norm(&(&step - &exact));
            assert!(
                off < bound && off > 1e-3 * bound,
                "{off:.1e} of {bound:.1e}"
            );
        }
    }
}
