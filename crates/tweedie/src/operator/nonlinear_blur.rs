//! Blur of light behind a camera's response: what happens where a blurred photograph was not recorded linearly.

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use super::hdr::check_gain;
use super::spec::{Described, Flag, Flags};
use super::{
    Blur, BlurSpec, Boundary, Edges, Error, KernelSpec, Linear, Loss, Margins, Operator, ValidBlur,
    plane,
};
use crate::{Dims, Image};

/// `y = min(gain * (k * x^p), 1)^(1/p)`: a picture is light to the power of `1/p`. Its light is blurred by a kernel `k`, which is
/// linear, and recorded with the same response; more light than white is clipped.
///
/// Bright parts spread further than a blur of the recorded numbers would have them, and with a gain above 1 lights become streaks.
#[derive(Debug)]
pub struct NonlinearBlur {
    blur: Box<dyn Operator>,
    response: f32,
    gain: f32,
}

/// Less light than this counts as so much in derivatives, where roots are infinitely steep.
const DARK: f32 = 1e-3;

impl NonlinearBlur {
    /// For images of the dimensions of a linear blur; a response of 1 is linear, 2.2 that of most pictures.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the blur is not linear, for a response outside 1..=5 or a gain outside 1..=100.
    pub fn new(blur: Box<dyn Operator>, response: f64, gain: f64) -> Result<NonlinearBlur, Error> {
        check_response(response)?;
        check_gain(gain)?;
        if blur.linear().is_none() {
            return Err(Error::Invalid("the blur of light is linear".into()));
        }
        Ok(NonlinearBlur {
            blur,
            response: response as f32,
            gain: gain as f32,
        })
    }

    fn linear_blur(&self) -> &dyn Linear {
        self.blur.linear().expect("checked where it was made")
    }

    /// `x^p`.
    fn light(&self, x: &Image) -> Image {
        x.mapv(|v| v.max(0.0).powf(self.response))
    }

    /// `v^(1/p)`.
    fn response(&self, light: Image) -> Image {
        light.mapv_into(|v| v.max(0.0).powf(1.0 / self.response))
    }
}

fn check_response(response: f64) -> Result<(), Error> {
    match (1.0..=5.0).contains(&response) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "a camera's response is a power from 1 to 5, not {response}"
        ))),
    }
}

/// Such a blur for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NonlinearBlurSpec {
    /// What light is blurred with.
    pub kernel: KernelSpec,
    /// What lies beyond the edges.
    #[serde(default)]
    pub boundary: Edges,
    /// The power `p`.
    #[serde(default = "usual")]
    pub response: f64,
    /// How many times more light there is than can be recorded.
    #[serde(default = "none")]
    pub gain: f64,
}

pub(super) fn usual() -> f64 {
    2.2
}

pub(super) fn none() -> f64 {
    1.0
}

const RESPONSE: Flag = Flag {
    name: "response",
    value: "POWER",
    help: "The power of a picture's numbers that is light, 1 to 5: 1 where they are light",
    example: "1.8",
    default: Some("2.2"),
    check: |text| response(text).map(drop),
};

fn response(text: &str) -> Result<f64, Error> {
    let power = text
        .parse()
        .map_err(|_| Error::Invalid(format!("`{text}` is no power, such as 2.2")))?;
    check_response(power)?;
    Ok(power)
}

impl Described for NonlinearBlurSpec {
    const SUMMARY: &'static str =
        "a blur of light behind a camera's response, with clipping; not linear";
    const EXAMPLE: &'static str = "kernel = 'motion:5:30'\nresponse = 2.2";
    const FLAGS: &'static [Flag] = &[BlurSpec::FLAGS[0], Edges::FLAG, RESPONSE];

    fn from_flags(flags: &Flags<'_>) -> Result<NonlinearBlurSpec, Error> {
        let BlurSpec { kernel, boundary } = BlurSpec::from_flags(flags)?;
        Ok(NonlinearBlurSpec {
            kernel,
            boundary,
            response: response(flags.text(&RESPONSE)?)?,
            gain: none(),
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let kernel = self.kernel.build()?;
        let assumed = |boundary| Blur::new(input, kernel.clone(), boundary);
        let blur: Box<dyn Operator> = match self.boundary {
            Edges::Auto => Box::new(assumed(Boundary::Symmetric)?),
            Edges::Assumed(boundary) => Box::new(assumed(boundary)?),
            Edges::Unknown => Box::new(ValidBlur::new(kernel.inside(input)?, &kernel)?),
        };
        Ok(Box::new(NonlinearBlur::new(
            blur,
            self.response,
            self.gain,
        )?))
    }

    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        self.blur().input_for(output)
    }

    fn undone(&self) -> NonlinearBlurSpec {
        NonlinearBlurSpec {
            boundary: self.boundary.undone(),
            ..self.clone()
        }
    }

    fn files(&mut self) -> Vec<&mut std::path::PathBuf> {
        self.kernel.file().into_iter().collect()
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }
}

impl NonlinearBlurSpec {
    /// The blur of the light.
    fn blur(&self) -> BlurSpec {
        BlurSpec {
            kernel: self.kernel.clone(),
            boundary: self.boundary,
        }
    }
}

impl Operator for NonlinearBlur {
    fn name(&self) -> &'static str {
        "nonlinear-blur"
    }

    fn input(&self) -> Dims {
        self.blur.input()
    }

    fn output(&self) -> Dims {
        self.blur.output()
    }

    fn apply(&self, x: &Image) -> Image {
        let light = self.blur.apply(&self.light(x)) * self.gain;
        self.response(light.mapv_into(|v| v.min(1.0)))
    }

    /// `p x^(p-1) * gain k^T (1/p v^(1/p-1) u)` where the light `v` is not clipped: the derivative itself, but that less light
    /// than a thousandth counts as one.
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        plane::check(u, self.output());
        let (p, gain) = (self.response, self.gain);
        let mut back = self.blur.apply(&self.light(x)) * gain;
        Zip::from(&mut back).and(u).for_each(|v, &u| {
            *v = match *v > 0.0 && *v < 1.0 {
                true => gain / p * v.max(DARK).powf(1.0 / p - 1.0) * u,
                false => 0.0,
            };
        });
        let mut out = self.linear_blur().adjoint(&back);
        out.zip_mut_with(x, |out, &x| *out *= p * x.max(0.0).powf(p - 1.0));
        out
    }

    /// That of the blur for the light that was recorded.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.output());
        self.response(self.blur.guess(&(self.light(y) / self.gain)))
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..self.blur.loss()
        }
    }

    fn margins(&self) -> Margins {
        self.blur.margins()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};

    fn spec(text: &str) -> NonlinearBlurSpec {
        toml::from_str(&format!("kernel = 'motion:5:30'\n{text}")).unwrap()
    }

    /// With a response of 1 and enough room it is the blur; a lamp in the dark spreads further than the blur has it.
    #[test]
    fn light_is_blurred() {
        let dims = Dims::new(1, 12, 14);
        let linear = spec("response = 1.0").build(dims).unwrap();
        let blur = spec("").blur().build(dims).unwrap();
        let x = Seeded::new(1, "test").normal(1, dims) * 0.1 + 0.5;
        let off = linear.apply(&x) - blur.apply(&x);
        assert!(off.iter().all(|v| v.abs() < 1e-6));
        let bent = spec("").build(dims).unwrap();
        let mut lamp = Image::zeros(dims.batch(1));
        lamp[[0, 0, 6, 6]] = 1.0;
        let (bent, straight) = (bent.apply(&lamp), blur.apply(&lamp));
        assert!(bent.sum() > 1.5 * straight.sum());
        let bright = spec("gain = 4.0").build(dims).unwrap().apply(&x);
        assert!(bright.iter().filter(|&&v| v == 1.0).count() > 20);
    }

    /// Blurred with nothing assumed it records the inner part, and its clean image is larger.
    #[test]
    fn edges_may_be_unknown() {
        let picture = Dims::new(3, 20, 22);
        let undone = spec("").undone();
        let canvas = undone.input_for(picture).unwrap();
        let operator = undone.build(canvas).unwrap();
        assert_eq!(operator.output(), picture);
        assert_eq!(operator.margins().within(canvas), Some(picture));
        for wrong in ["response = 0.5", "response = 9.0", "gain = 0.0"] {
            assert!(spec(wrong).build(picture).is_err(), "{wrong}");
        }
    }
}
