//! Functions of the singular values of a linear operator.
//!
//! With `A = U S V^T`, many methods are functions of `S`: prox, pseudo-inverse, DDRM, DDNM+, DMPS, noisy PiGDM. They need
//! neither the vectors nor coefficients, only two products.

use std::ops::Deref;

use super::Lanczos;
use crate::Image;

/// A function of a singular value.
pub type Gain<'a> = &'a (dyn Fn(f64) -> f64 + Sync);

/// The singular values and vectors of a linear operator.
pub trait Spectrum: Send + Sync {
    /// `V g(S) V^T x` for each `g`, in one transform; images that the operator does not see are multiplied by `g(0)`.
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image>;

    /// `V g(S) U^T y` for each `g`, in one transform; what the operator cannot explain is dropped, as singular values of
    /// zero are, so that `g(0)` does not matter.
    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image>;

    /// The largest singular value, or a bound a little above it.
    fn norm(&self) -> f64;
}

/// [`Spectrum::image`] of one function.
pub fn image<S: Spectrum + ?Sized>(
    spectrum: &S,
    x: &Image,
    gain: impl Fn(f64) -> f64 + Sync,
) -> Image {
    only(spectrum.image(x, &[&gain]))
}

/// [`Spectrum::back`] of one function.
pub fn back<S: Spectrum + ?Sized>(
    spectrum: &S,
    y: &Image,
    gain: impl Fn(f64) -> f64 + Sync,
) -> Image {
    only(spectrum.back(y, &[&gain]))
}

fn only(mut images: Vec<Image>) -> Image {
    images.pop().expect("one function gives one image")
}

/// For operators that know the eigenvalues `l = s^2` of `A A^T = U L U^T`, so that `V = A^T U/s`: what
/// `V g(S) V^T x = g(0)*x + A^T U w(L) U^T A x` weighs with. Eigenvalues up to `least` are zero.
pub(super) fn of_seen(gain: Gain<'_>, least: f64) -> impl Fn(f64) -> f64 + Sync {
    let rest = gain(0.0);
    move |l| match l > least {
        true => (gain(l.sqrt()) - rest) / l,
        false => 0.0,
    }
}

/// For the same operators: what `V g(S) U^T y = A^T U w(L) U^T y` weighs with.
pub(super) fn of_measured(gain: Gain<'_>, least: f64) -> impl Fn(f64) -> f64 + Sync {
    move |l| match l > least {
        true => gain(l.sqrt()) / l.sqrt(),
        false => 0.0,
    }
}

/// A function of an eigenvalue.
pub(super) type Weight<'a> = &'a (dyn Fn(f64) -> f64 + Sync);

/// `A^+ y`, with singular values below `cut` times the largest taken for zero.
pub(super) fn pseudo_inverse<S: Spectrum + ?Sized>(spectrum: &S, y: &Image, cut: f64) -> Image {
    let least = cut * spectrum.norm();
    back(spectrum, y, |s| if s > least { 1.0 / s } else { 0.0 })
}

/// An operator's own spectrum, or the one that a Lanczos process finds.
pub enum AnySpectrum<'a> {
    /// In closed form.
    Closed(&'a dyn Spectrum),
    /// To a stated accuracy.
    Lanczos(Lanczos<'a>),
}

impl std::fmt::Debug for AnySpectrum<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AnySpectrum::Closed(_) => f.write_str("Closed"),
            AnySpectrum::Lanczos(lanczos) => lanczos.fmt(f),
        }
    }
}

impl<'a> Deref for AnySpectrum<'a> {
    type Target = dyn Spectrum + 'a;

    fn deref(&self) -> &(dyn Spectrum + 'a) {
        match self {
            AnySpectrum::Closed(spectrum) => *spectrum,
            AnySpectrum::Lanczos(lanczos) => lanczos,
        }
    }
}
