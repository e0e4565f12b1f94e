//! Convolution with a kernel under any boundary, by FFT.

use std::fmt;

use ndarray::Array2;

use super::axis::{self, Axis};
use super::plane::Sample;
use super::{Boundary, Kernel};
use crate::fft::{Complex, Fft2, good_length};

/// `y(i) = sum_a k(a) x(i - a + origin)` on planes of one size, and its adjoint.
///
/// Under the circular boundary the transform has the plane's size. Otherwise the plane is extended as the boundary says
/// by what the kernel reaches, and the transform is large enough that nothing wraps round; the adjoint folds the
/// extension back.
pub(crate) struct Convolver {
    fft: Fft2,
    otf: Vec<Complex>,
    width: usize,
    pad: Option<Pad>,
}

/// The extension along both axes and its transpose.
struct Pad {
    vertical: Axis,
    horizontal: Axis,
    fold_vertical: Axis,
    fold_horizontal: Axis,
}

impl Convolver {
    /// For planes of `h` by `w`.
    pub(crate) fn new(h: usize, w: usize, kernel: &Kernel, boundary: Boundary) -> Convolver {
        let (kh, kw) = kernel.size();
        if boundary == Boundary::Circular {
            let fft = Fft2::new(h, w);
            // The origin tap goes to (0, 0): true convolution, for odd and even sizes.
            let otf = transfer(&fft, kernel.taps(), kernel.origin());
            return Convolver {
                fft,
                otf,
                width: w,
                pad: None,
            };
        }
        let fft = Fft2::new(good_length(h + kh - 1), good_length(w + kw - 1));
        // Output i is number i + k - 1 of the full convolution of the extended line; the last tap goes to 0.
        let otf = transfer(&fft, kernel.taps(), (kh - 1, kw - 1));
        let (oy, ox) = kernel.origin();
        let vertical = Axis::pad(h, kh - 1 - oy, oy, boundary);
        let horizontal = Axis::pad(w, kw - 1 - ox, ox, boundary);
        let pad = Pad {
            fold_vertical: vertical.transpose(),
            fold_horizontal: horizontal.transpose(),
            vertical,
            horizontal,
        };
        Convolver {
            fft,
            otf,
            width: w,
            pad: Some(pad),
        }
    }

    /// The transform that the circular convolution is diagonal in.
    pub(crate) fn fft(&self) -> &Fft2 {
        &self.fft
    }

    /// Its eigenvalues, laid out as [`Fft2`] says.
    pub(crate) fn otf(&self) -> &[Complex] {
        &self.otf
    }

    /// The largest absolute eigenvalue: the norm under the circular boundary, close to it under others.
    pub(crate) fn norm(&self) -> f64 {
        self.otf.iter().map(|k| k.norm()).fold(0.0, f64::max)
    }

    /// Which part of the eigenvalues is absolutely smaller than this.
    pub(crate) fn below(&self, size: f64) -> f64 {
        self.otf.iter().filter(|k| k.norm() < size).count() as f64 / self.otf.len() as f64
    }

    /// What `A A^T + rho` would undo if the plane lay in a sea of zeros: the preconditioner that does best for kernels
    /// without symmetry, about half of the steps that it takes with none. A circular one of the plane's own size joins
    /// opposite edges and does no good; cosines do harm where the kernel is oblique.
    pub(crate) fn undo(&self, r: &[f64], out: &mut [f64], rho: f64) {
        let mut spectrum = self.fft.forward(r, self.width);
        for (s, k) in spectrum.iter_mut().zip(&self.otf) {
            *s /= k.norm_sqr() + rho;
        }
        self.fft.inverse(spectrum, out, self.width, |to, v| *to = v);
    }

    /// `y = A x`.
    pub(crate) fn apply<S: Sample>(&self, x: &[S], y: &mut [S]) {
        let mut spectrum = match &self.pad {
            None => self.fft.forward(x, self.width),
            Some(pad) => {
                let width = pad.horizontal.outputs();
                let mut extended = vec![0.0; pad.vertical.outputs() * width];
                axis::apply(&pad.vertical, &pad.horizontal, x, &mut extended, |to, v| {
                    *to = v;
                });
                self.fft.forward(&extended, width)
            }
        };
        for (s, k) in spectrum.iter_mut().zip(&self.otf) {
            *s *= k;
        }
        self.fft
            .inverse(spectrum, y, self.width, |to, v| *to = S::of(v));
    }

    /// `x = A^T u`.
    pub(crate) fn adjoint<S: Sample>(&self, u: &[S], x: &mut [S]) {
        let mut spectrum = self.fft.forward(u, self.width);
        for (s, k) in spectrum.iter_mut().zip(&self.otf) {
            *s *= k.conj();
        }
        let Some(pad) = &self.pad else {
            self.fft
                .inverse(spectrum, x, self.width, |to, v| *to = S::of(v));
            return;
        };
        let width = pad.horizontal.outputs();
        let mut extended = vec![0.0f64; pad.vertical.outputs() * width];
        self.fft
            .inverse(spectrum, &mut extended, width, |to, v| *to = v);
        axis::apply(
            &pad.fold_vertical,
            &pad.fold_horizontal,
            &extended,
            x,
            |to, v| *to = S::of(v),
        );
    }
}

impl fmt::Debug for Convolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Convolver({:?})", self.fft)
    }
}

/// The spectrum of a kernel whose tap `zero` lies at (0, 0), wrapped round as often as it needs.
pub(super) fn transfer(fft: &Fft2, taps: &Array2<f64>, zero: (usize, usize)) -> Vec<Complex> {
    let (h, w) = (fft.height(), fft.width());
    let place = |i: usize, zero: usize, n: usize| (i + n * zero.div_ceil(n) - zero) % n;
    let mut plane = vec![0.0f64; h * w];
    for ((i, j), &tap) in taps.indexed_iter() {
        plane[place(i, zero.0, h) * w + place(j, zero.1, w)] += tap;
    }
    fft.forward(&plane, w)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the sum that defines it, for kernels with even and odd sides, also larger than the plane: catches
    /// correlation, a shift by one tap for even sides (`(k-1)/2` as origin), and any wrong extension.
    #[test]
    fn matches_the_direct_sum() {
        for (h, w) in [(7, 6), (1, 5), (4, 1), (9, 9)] {
            for (kh, kw) in [(1, 1), (3, 3), (2, 4), (4, 3), (5, 1), (11, 12)] {
                let taps = Array2::from_shape_fn((kh, kw), |(i, j)| 1.0 + (3 * i + j * j) as f64);
                let kernel = Kernel::new(taps).unwrap();
                for boundary in [Boundary::Circular, Boundary::Symmetric, Boundary::Reflect] {
                    check(h, w, &kernel, boundary);
                }
            }
        }
    }

    fn check(h: usize, w: usize, kernel: &Kernel, boundary: Boundary) {
        let x: Vec<f32> = (0..h * w).map(|i| ((i * i) as f32 * 0.7).sin()).collect();
        let mut y = vec![0.0; h * w];
        Convolver::new(h, w, kernel, boundary).apply(&x, &mut y);
        let (kh, kw) = kernel.size();
        let (oy, ox) = ((kh / 2) as i64, (kw / 2) as i64);
        for (i, &y) in y.iter().enumerate() {
            let (r, c) = ((i / w) as i64, (i % w) as i64);
            let mut sum = 0.0;
            for ((a, b), &tap) in kernel.taps().indexed_iter() {
                let row = boundary.index(r - a as i64 + oy, h);
                let column = boundary.index(c - b as i64 + ox, w);
                sum += tap * f64::from(x[row * w + column]);
            }
            assert!(
                (sum - f64::from(y)).abs() < 1e-6,
                "{h}x{w}, kernel {kh}x{kw}, {boundary}: {y} is not {sum}"
            );
        }
    }
}
