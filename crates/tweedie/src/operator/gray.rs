//! Colour to gray.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags, parses};
use super::{Error, Gain, Linear, Loss, Operator, Spectrum, not_empty, plane};
use crate::{Dims, Image};

/// How much each channel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrayWeights {
    /// All the same: `1/channels`, what DDRM, DDNM and RED-diff colourise from.
    #[default]
    Mean,
    /// Luma of ITU-R BT.601, `.299 R + .587 G + .114 B`: what most programs make a gray picture with.
    Luma,
}

impl FromStr for GrayWeights {
    type Err = Error;

    fn from_str(s: &str) -> Result<GrayWeights, Error> {
        match s {
            "mean" => Ok(GrayWeights::Mean),
            "luma" => Ok(GrayWeights::Luma),
            _ => Err(Error::Invalid(format!(
                "`{s}` is not a way to weigh channels; there are mean and luma"
            ))),
        }
    }
}

impl fmt::Display for GrayWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GrayWeights::Mean => "mean",
            GrayWeights::Luma => "luma",
        })
    }
}

/// `y = sum_c w_c x_c`: one channel from several.
///
/// `A A^T = |w|^2 I`, with `|w| = 1/sqrt(channels)` for the mean, so that everything is in closed form.
#[derive(Clone, Debug, PartialEq)]
pub struct Gray {
    input: Dims,
    weights: Vec<f64>,
}

impl Gray {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, or for luma if there are not three channels.
    pub fn new(input: Dims, weights: GrayWeights) -> Result<Gray, Error> {
        not_empty("gray", input)?;
        let weights = match weights {
            GrayWeights::Mean => vec![1.0 / input.c as f64; input.c],
            GrayWeights::Luma if input.c == 3 => vec![0.299, 0.587, 0.114],
            GrayWeights::Luma => {
                return Err(Error::Input {
                    operator: "gray by luma",
                    expected: "three channels",
                    got: input,
                });
            }
        };
        Ok(Gray { input, weights })
    }

    /// `|w|^2`.
    fn norm2(&self) -> f64 {
        self.weights.iter().map(|w| w * w).sum()
    }

    /// Each channel is `factor(w_c)` times the gray.
    fn spread(&self, y: &Image, factor: impl Fn(f64) -> f64) -> Image {
        plane::check(y, self.output());
        let mut x = Image::zeros(self.input.batch(y.dim().0));
        for (mut x, y) in x.outer_iter_mut().zip(y.outer_iter()) {
            let gray = y.index_axis(ndarray::Axis(0), 0);
            for (mut x, &w) in x.outer_iter_mut().zip(&self.weights) {
                let factor = factor(w);
                x.zip_mut_with(&gray, |x, &y| *x = (factor * y as f64) as f32);
            }
        }
        x
    }
}

/// Gray for any size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraySpec {
    /// How much each channel counts.
    #[serde(default)]
    pub weights: GrayWeights,
}

impl Described for GraySpec {
    const SUMMARY: &'static str = "one channel from three: their mean or luma";
    const EXAMPLE: &'static str = "";
    const FLAGS: &'static [Flag] = &[Flag {
        name: "weights",
        value: "WEIGHTS",
        help: "How the grey is made from the colours: `mean` of the channels, or `luma` (as most programs do)",
        example: "luma",
        default: Some("mean"),
        check: parses::<GrayWeights>,
    }];

    fn from_flags(flags: &Flags<'_>) -> Result<GraySpec, Error> {
        Ok(GraySpec {
            weights: flags.need(&GraySpec::FLAGS[0])?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Gray::new(input, self.weights)?))
    }

    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        match output.c {
            1 => Ok(Dims { c: 3, ..output }),
            c => Err(Error::Invalid(format!(
                "a gray measurement has one channel, not {c}"
            ))),
        }
    }

    fn channels_recorded(&self) -> Option<usize> {
        Some(1)
    }
}

impl Operator for Gray {
    fn name(&self) -> &'static str {
        "gray"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        Dims { c: 1, ..self.input }
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.input);
        let mut y = Image::zeros(self.output().batch(x.dim().0));
        for (mut y, x) in y.outer_iter_mut().zip(x.outer_iter()) {
            for (y, pixel) in y.iter_mut().zip(x.lanes(ndarray::Axis(0))) {
                let pairs = self.weights.iter().zip(&pixel);
                *y = pairs.map(|(w, &x)| w * x as f64).sum::<f64>() as f32;
            }
        }
        y
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// The gray in every channel.
    fn guess(&self, y: &Image) -> Image {
        self.spread(y, |_| 1.0)
    }

    fn loss(&self) -> Loss {
        Loss {
            colours: self.input.c > 1,
            ..Loss::NOTHING
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Gray {
    fn adjoint(&self, u: &Image) -> Image {
        self.spread(u, |w| w)
    }

    fn pixelwise(&self) -> bool {
        true
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        Some(self)
    }

    fn gram(&self) -> Option<f64> {
        Some(self.norm2())
    }
}

/// The one singular value is `|w|`, its vector in each pixel `w/|w|`.
impl Spectrum for Gray {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let gray = self.apply(x);
        let change = |gain: &Gain<'_>| {
            let (seen, rest) = (gain(self.norm()), gain(0.0));
            let mut out = self.spread(&gray, |w| w * (seen - rest) / self.norm2());
            if rest != 0.0 {
                out.scaled_add(rest as f32, x);
            }
            out
        };
        gains.iter().map(change).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let norm = self.norm();
        let spread = |gain: &Gain<'_>| self.spread(y, |w| w * gain(norm) / norm);
        gains.iter().map(spread).collect()
    }

    fn norm(&self) -> f64 {
        self.norm2().sqrt()
    }
}
