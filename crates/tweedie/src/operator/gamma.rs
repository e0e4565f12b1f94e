//! The response of a camera: a power of the light. The plainest operator that is not linear.

use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags};
use super::{Error, Loss, Operator, not_empty, plane};
use crate::{Dims, Image};

/// `y = max(x, 0)^exponent`, number by number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gamma {
    dims: Dims,
    exponent: f32,
}

impl Gamma {
    /// For images of these dimensions; an exponent above 1 darkens.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] for an exponent outside 0.1..=10.
    pub fn new(dims: Dims, exponent: f64) -> Result<Gamma, Error> {
        not_empty("gamma", dims)?;
        if !(0.1..=10.0).contains(&exponent) {
            return Err(Error::Invalid(format!(
                "the exponent of gamma is a number from 0.1 to 10, not {exponent}"
            )));
        }
        Ok(Gamma {
            dims,
            exponent: exponent as f32,
        })
    }
}

/// Gamma for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GammaSpec {
    /// The power.
    pub exponent: f64,
}

impl Described for GammaSpec {
    const SUMMARY: &'static str = "a camera's response: a power of the light; not linear";
    const EXAMPLE: &'static str = "exponent = 2.2";
    const FLAGS: &'static [Flag] = &[Flag {
        name: "exponent",
        value: "POWER",
        help: "The power of the light that was recorded, 0.1 to 10",
        example: "2.2",
        default: None,
        check: |text| exponent(text).map(drop),
    }];

    fn from_flags(flags: &Flags<'_>) -> Result<GammaSpec, Error> {
        Ok(GammaSpec {
            exponent: exponent(flags.text(&GammaSpec::FLAGS[0])?)?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Gamma::new(input, self.exponent)?))
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }
}

fn exponent(text: &str) -> Result<f64, Error> {
    text.parse()
        .map_err(|_| Error::Invalid(format!("`{text}` is no power, such as 2.2")))
}

impl Operator for Gamma {
    fn name(&self) -> &'static str {
        "gamma"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.dims);
        x.mapv(|v| v.max(0.0).powf(self.exponent))
    }

    /// `exponent*x^(exponent - 1)*u`. Light below a thousandth counts as a thousandth, where roots are infinitely steep.
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        let e = self.exponent;
        ndarray::Zip::from(x)
            .and(u)
            .map_collect(|&x, &u| match x < 0.0 {
                true => 0.0,
                false => e * x.max(1e-3).powf(e - 1.0) * u,
            })
    }

    /// The inverse.
    fn guess(&self, y: &Image) -> Image {
        y.mapv(|v| v.max(0.0).powf(1.0 / self.exponent))
    }

    /// Hardly anything, but what noise is where it is dark.
    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..Loss::NOTHING
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::{Task, fitting};
    use crate::noise::{NoiseSource, Seeded};

    /// Against differences. Wrong: the exponent, or its power, left out.
    #[test]
    fn vjp_is_the_transposed_derivative() {
        let dims = Dims::new(3, 4, 5);
        let gamma = Gamma::new(dims, 2.2).unwrap();
        let x = Image::from_elem(dims.batch(1), 0.4);
        let u = Seeded::new(1, "test").normal(1, dims);
        let step = 1.0 / 128.0;
        let slope = (gamma.apply(&(&x + step)) - gamma.apply(&(&x - step))) / (2.0 * step);
        let off = gamma.vjp(&x, &u) - &slope * &u;
        assert!(off.iter().all(|v| v.abs() < 1e-3), "{off:?}");
        let back = gamma.guess(&gamma.apply(&x)) - &x;
        assert!(back.iter().all(|v| v.abs() < 1e-6));
    }

    /// It is recommended what does without an adjoint.
    #[test]
    fn methods_that_need_gradients_alone_fit() {
        let gamma = Gamma::new(Dims::new(3, 4, 5), 2.2).unwrap();
        let name = crate::recommend::name(&Task::exact(&gamma));
        let fit = fitting(&crate::prior::Card::any(), &gamma);
        assert!(
            fit.contains(&name) && !fit.contains(&"dpir"),
            "{name}: {fit:?}"
        );
        assert!(Gamma::new(Dims::new(1, 1, 1), 0.0).is_err());
    }
}
