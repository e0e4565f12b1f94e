//! Blur: convolution of each channel with a kernel.
//!
//! | boundary | kernel | prox, pseudo-inverse, baseline |
//! |---|---|---|
//! | circular | any | closed, by FFT |
//! | symmetric | even in both directions | closed, by DCT-II |
//! | else | | conjugate gradients, preconditioned by the closed form that comes nearest |
//!
//! An even kernel has `k(-a, b) = k(a, -b) = k(a, b)` seen from its origin. Point symmetry alone, `k(-a, -b) = k(a, b)`
//! as an oblique motion blur has it, is not enough for the DCT: it leaves the products of two sines.

use super::convolve::Convolver;
use super::diagonal::Diagonal;
use super::{Boundary, Error, Kernel, Operator, cg, not_empty, plane, tikhonov};
use crate::fft::Complex;
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
    /// The blur in its eigenvectors; only a preconditioner if there is a `convolver`.
    diagonal: Diagonal,
    /// The blur itself, where no fast transform diagonalises it.
    convolver: Option<Convolver>,
}

impl Blur {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel. [`Error::KernelSize`] if a side of the kernel is longer than the image's
    /// and also longer than 127: any boundary goes on for ever, so that a larger kernel would work, but it is a mistake.
    pub fn new(dims: Dims, kernel: Kernel, boundary: Boundary) -> Result<Blur, Error> {
        not_empty("blur", dims)?;
        let (height, width) = kernel.size();
        for (side, taps) in [(dims.h, height), (dims.w, width)] {
            let limit = side.max(127);
            if taps > limit {
                return Err(Error::KernelSize {
                    height,
                    width,
                    limit,
                });
            }
        }
        let even = kernel.is_even();
        let exact = boundary == Boundary::Circular || boundary == Boundary::Symmetric && even;
        let diagonal = if even && boundary != Boundary::Circular {
            Diagonal::cosine(dims.h, dims.w, &kernel)
        } else {
            Diagonal::fourier(dims.h, dims.w, &kernel)
        };
        Ok(Blur {
            dims,
            diagonal,
            convolver: (!exact).then(|| Convolver::new(dims.h, dims.w, &kernel, boundary)),
            kernel,
            boundary,
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
    pub(crate) fn exact(&self) -> Option<&Diagonal> {
        self.convolver.is_none().then_some(&self.diagonal)
    }

    /// `y = A x` for one plane.
    pub(crate) fn apply_plane(&self, x: &[f32], y: &mut [f32]) {
        match &self.convolver {
            None => self.diagonal.apply(x, y),
            Some(convolver) => convolver.apply(x, y),
        }
    }

    /// `x = A^T u` for one plane.
    pub(crate) fn adjoint_plane(&self, u: &[f32], x: &mut [f32]) {
        match &self.convolver {
            None => self.diagonal.adjoint(u, x),
            Some(convolver) => convolver.adjoint(u, x),
        }
    }

    /// `z += A^T q` with `(A A^T + rho) q = y - A z`, for one plane, by preconditioned conjugate gradients.
    fn prox_plane(&self, y: &[f32], z: &mut [f32], rho: f64, params: cg::Params) -> cg::Info {
        let dims = Dims { c: 1, ..self.dims };
        let wrap = |f: &dyn Fn(&[f32], &mut [f32]), x: &Image| plane::map(x, dims, dims, f);
        let apply = |x: &Image| wrap(&|x, y| self.apply_plane(x, y), x);
        let adjoint = |x: &Image| wrap(&|x, y| self.adjoint_plane(x, y), x);
        let precondition = |r: &Image| {
            let inverse = |k: Complex, _| Complex::from(1.0 / (k.norm_sqr() + rho));
            wrap(&|x, y| self.diagonal.filter(x, y, inverse), r)
        };
        let system = |q: &Image| {
            let mut s = apply(&adjoint(q));
            s.zip_mut_with(q, |s, &q| *s = (f64::from(*s) + rho * f64::from(q)) as f32);
            s
        };
        let mut residual = Image::zeros(dims.batch(1));
        self.apply_plane(z, plane::values(&mut residual));
        for (r, &y) in residual.iter_mut().zip(y) {
            *r = y - *r;
        }
        let (q, info) = cg::solve(system, precondition, &residual, params);
        for (z, &d) in z.iter_mut().zip(&adjoint(&q)) {
            *z += d;
        }
        info
    }
}

impl Operator for Blur {
    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        plane::map(x, self.dims, self.dims, |x, y| self.apply_plane(x, y))
    }

    fn adjoint(&self, u: &Image) -> Image {
        plane::map(u, self.dims, self.dims, |u, x| self.adjoint_plane(u, x))
    }

    /// With the singular values below 1e-3 times the largest left out; where there is no closed form, damped by
    /// as much (Tikhonov with `rho = 1e-6 |A|^2`).
    fn pseudo_inverse(&self, y: &Image) -> Image {
        let Some(diagonal) = self.exact() else {
            let rho = (THRESHOLD * self.diagonal.norm()).powi(2);
            return self.prox(y, &Image::zeros(y.dim()), rho);
        };
        let least = THRESHOLD * diagonal.norm();
        plane::map(y, self.dims, self.dims, |y, x| {
            diagonal.filter(y, x, |k, _| {
                if k.norm() >= least {
                    1.0 / k
                } else {
                    Complex::ZERO
                }
            });
        })
    }

    /// Closed: `z + F^-1 [ conj(k) (F y - k F z)/(|k|^2 + rho) ]`, with the cosines for F under a symmetric boundary.
    fn prox(&self, y: &Image, z: &Image, rho: f64) -> Image {
        plane::update(z, self.dims, y, self.dims, |y, z| match self.exact() {
            Some(diagonal) => diagonal.prox(y, z, rho),
            None => {
                self.prox_plane(y, z, rho, cg::Params::default());
            }
        })
    }

    /// The blurred image itself.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.dims);
        y.clone()
    }

    /// Closed: `F^-1 [ conj(k) F y/(|k|^2 + lambda*l) ]`, with `l` the eigenvalues of the squared differences under the
    /// blur's own boundary.
    fn tikhonov(&self, y: &Image, lambda: f64) -> Image {
        let Some(diagonal) = self.exact() else {
            return tikhonov::solve(self, y, lambda, cg::Params::default()).0;
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
