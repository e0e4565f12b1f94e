//! A measurement: what was recorded, how, and how noisily.

use crate::operator::{Error, Operator, cg, tikhonov};
use crate::{Dims, Image};

/// `y = A(x) + sigma*noise`, to be solved for `x`.
#[derive(Debug)]
pub struct Problem {
    /// The measurement, `[batch, channel, height, width]` of the operator's output.
    pub y: Image,
    /// What the camera did.
    pub operator: Box<dyn Operator>,
    /// Standard deviation of the noise in `y`, in the units of `y`; 0 where there is none.
    pub sigma: f64,
}

impl Problem {
    /// A problem whose parts fit together and hold no NaN.
    pub fn new(y: Image, operator: Box<dyn Operator>, sigma: f64) -> Result<Problem, Error> {
        let (expected, got) = (operator.output(), Dims::of(&y));
        if expected != got {
            return Err(Error::Shape { expected, got });
        }
        if !y.iter().all(|v| v.is_finite()) {
            return Err(Error::NotFinite("measurement"));
        }
        if !(sigma >= 0.0 && sigma.is_finite()) {
            return Err(Error::Invalid(format!(
                "the noise level must be a finite number >= 0, not {sigma}"
            )));
        }
        Ok(Problem { y, operator, sigma })
    }

    /// Pictures in the batch.
    pub fn batch(&self) -> usize {
        self.y.dim().0
    }

    /// `argmin_x |A x - y|^2 + rho*|x - z|^2`: the data step, as closely as [`cg::Params::STEP`] says.
    pub fn prox(&self, z: &Image, rho: f64) -> Image {
        self.operator.prox_within(&self.y, z, rho, cg::Params::STEP)
    }

    /// What a careful tool without a prior makes of it, the baseline of comparisons: the smooth solution that suits the noise
    /// ([`tikhonov`]), or where there is none the first guess ([`Operator::guess`]).
    pub fn classical(&self) -> Image {
        if self.sigma > 0.0 {
            self.operator
                .tikhonov(&self.y, tikhonov::lambda(self.sigma))
        } else {
            self.operator.guess(&self.y)
        }
    }

    /// `y - A(x)`.
    pub fn residual(&self, x: &Image) -> Image {
        &self.y - &self.operator.apply(x)
    }
}
