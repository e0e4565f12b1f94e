//! Degradations: what the camera did.
//!
//! An [`Operator`] maps a clean image to what was recorded without noise, `A(x)`. It is made for one size of image. It
//! must `apply`; a linear one gives its `adjoint`, from which the pseudo-inverse and the prox follow by conjugate
//! gradients; most give closed forms of these instead.

use std::fmt;

use crate::{Dims, Image};

/// A degradation of images of one size.
pub trait Operator: fmt::Debug + Send + Sync {
    /// Dimensions of the clean images that it takes.
    fn input(&self) -> Dims;

    /// Dimensions of what it records.
    fn output(&self) -> Dims;

    /// `A(x)` for each picture of the batch.
    fn apply(&self, x: &Image) -> Image;

    /// `A^T u`.
    fn adjoint(&self, u: &Image) -> Image;

    /// `J^T u` with `J = dA/dx` at `x`: the adjoint, for a linear operator.
    fn vjp(&self, _x: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// `A^+ y`: the smallest image that explains `y`. By conjugate gradients where there is no closed form.
    fn pseudo_inverse(&self, y: &Image) -> Image;

    /// `argmin_x |A x - y|^2 + rho*|x - z|^2`, for `rho > 0`. By conjugate gradients where there is no closed form.
    fn prox(&self, y: &Image, z: &Image, rho: f64) -> Image;

    /// A first guess of the image, as a careful tool without a prior would make it: the classical baseline, and the
    /// start of methods that need one.
    fn guess(&self, y: &Image) -> Image {
        self.pseudo_inverse(y)
    }
}

/// Why an operator could not be made or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The measurement's shape does not fit the operator.
    #[error(
        "the operator records {expected} (channels x height x width), but the measurement is {got}"
    )]
    Shape {
        /// What the operator records.
        expected: Dims,
        /// What came.
        got: Dims,
    },
    /// A number in the measurement, mask or kernel is NaN or infinite.
    #[error("the {0} holds a NaN or infinite number")]
    NotFinite(&'static str),
    /// The parameters make no operator.
    #[error("{0}")]
    Invalid(String),
}
