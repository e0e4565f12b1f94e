//! No degradation but the noise.

use super::{Error, Operator, cg, not_empty, plane};
use crate::{Dims, Image};

/// `A = I`: what remains is to denoise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    dims: Dims,
}

impl Identity {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel.
    pub fn new(dims: Dims) -> Result<Identity, Error> {
        not_empty("the identity", dims)?;
        Ok(Identity { dims })
    }
}

impl Operator for Identity {
    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.dims);
        x.clone()
    }

    fn adjoint(&self, u: &Image) -> Image {
        self.apply(u)
    }

    fn pseudo_inverse(&self, y: &Image) -> Image {
        self.apply(y)
    }

    /// `(y + rho*z)/(1 + rho)`.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, _: cg::Params) -> Image {
        plane::update(z, self.dims, y, self.dims, |y, z| {
            for (z, &y) in z.iter_mut().zip(y) {
                *z = blend(y, *z, rho);
            }
        })
    }

    fn guess(&self, y: &Image) -> Image {
        self.apply(y)
    }

    fn is_identity(&self) -> bool {
        true
    }

    fn gram(&self) -> Option<f64> {
        Some(1.0)
    }
}

/// `(y + rho*z)/(1 + rho)`, the prox of a pixel that is recorded as it is.
pub(crate) fn blend(y: f32, z: f32, rho: f64) -> f32 {
    ((y as f64 + rho * z as f64) / (1.0 + rho)) as f32
}
