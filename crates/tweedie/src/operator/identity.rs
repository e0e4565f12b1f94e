//! No degradation but the noise.

use serde::{Deserialize, Serialize};

use super::spec::{Described, Flags};
use super::{Error, Gain, Linear, Loss, Operator, Spectrum, cg, not_empty, plane};
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

/// Nothing but noise, for any size.
// With braces: of a plain struct serde would accept any fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentitySpec {}

impl Described for IdentitySpec {
    const SUMMARY: &'static str = "nothing; the measurement is the image with noise";
    const EXAMPLE: &'static str = "";

    fn from_flags(_: &Flags<'_>) -> Result<IdentitySpec, Error> {
        Ok(IdentitySpec {})
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Identity::new(input)?))
    }
}

impl Operator for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

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

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.apply(u)
    }

    fn guess(&self, y: &Image) -> Image {
        self.apply(y)
    }

    fn loss(&self) -> Loss {
        Loss::NOTHING
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Identity {
    fn adjoint(&self, u: &Image) -> Image {
        self.apply(u)
    }

    fn pixelwise(&self) -> bool {
        true
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        Some(self)
    }

    /// `(y + rho*z)/(1 + rho)`.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, _: cg::Params) -> Image {
        plane::update(z, self.dims, y, self.dims, |y, z| {
            for (z, &y) in z.iter_mut().zip(y) {
                *z = blend(y, *z, rho);
            }
        })
    }

    fn project(&self, y: &Image, _: &Image) -> Image {
        y.clone()
    }

    fn gram(&self) -> Option<f64> {
        Some(1.0)
    }
}

impl Spectrum for Identity {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        gains.iter().map(|gain| x * gain(1.0) as f32).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        self.image(y, gains)
    }

    fn norm(&self) -> f64 {
        1.0
    }
}

/// `(y + rho*z)/(1 + rho)`, the prox of a pixel that is recorded as it is.
pub(crate) fn blend(y: f32, z: f32, rho: f64) -> f32 {
    ((y as f64 + rho * z as f64) / (1.0 + rho)) as f32
}
