//! Colour to gray.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags, parses};
use super::{Error, Gain, Linear, Loss, Operator, Spectrum, not_empty, plane};
use crate::{Dims, Image};

/// How much each channel counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GrayWeights {
    /// All the same: `1/channels`, what DDRM, DDNM and RED-diff colourise from.
    #[default]
    Mean,
    /// Luma of ITU-R BT.601, `.299 R + .587 G + .114 B`: what most programs make a gray picture with.
    Luma,
    /// These, for red, green and blue, as they are: they need not sum to 1. From 0 to 1000, the largest at least 0.001.
    Rgb([f64; 3]),
}

impl GrayWeights {
    /// The weights of an image's channels.
    fn of(self, input: Dims) -> Result<Vec<f64>, Error> {
        let three = |operator| match input.c {
            3 => Ok(()),
            _ => Err(Error::Input {
                operator,
                expected: "three channels",
                got: input,
            }),
        };
        match self {
            GrayWeights::Mean => Ok(vec![1.0 / input.c as f64; input.c]),
            GrayWeights::Luma => three("gray by luma").map(|()| vec![0.299, 0.587, 0.114]),
            GrayWeights::Rgb(weights) => {
                three("gray by three weights")?;
                check(weights).map(|()| weights.to_vec())
            }
        }
    }
}

/// That a grey can be made with them, and squared.
fn check(weights: [f64; 3]) -> Result<(), Error> {
    let each = weights.iter().all(|w| (0.0..=1000.0).contains(w));
    if each && weights.iter().any(|&w| w >= 1e-3) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "weights of channels are from 0 to 1000, the largest at least 0.001, not {}",
        GrayWeights::Rgb(weights)
    )))
}

/// `mean`, `luma` or `R,G,B`.
impl FromStr for GrayWeights {
    type Err = Error;

    fn from_str(s: &str) -> Result<GrayWeights, Error> {
        match s {
            "mean" => return Ok(GrayWeights::Mean),
            "luma" => return Ok(GrayWeights::Luma),
            _ => (),
        }
        let weights: Result<Vec<f64>, _> = s.split(',').map(|w| w.trim().parse()).collect();
        let Ok(&[r, g, b]) = weights.as_deref() else {
            return Err(Error::Invalid(format!(
                "`{s}` is not a way to weigh channels; there are mean, luma and three numbers, such as 0.25,0.5,0.25"
            )));
        };
        check([r, g, b]).map(|()| GrayWeights::Rgb([r, g, b]))
    }
}

impl TryFrom<String> for GrayWeights {
    type Error = Error;

    fn try_from(text: String) -> Result<GrayWeights, Error> {
        text.parse()
    }
}

impl From<GrayWeights> for String {
    fn from(weights: GrayWeights) -> String {
        weights.to_string()
    }
}

impl fmt::Display for GrayWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GrayWeights::Mean => f.write_str("mean"),
            GrayWeights::Luma => f.write_str("luma"),
            GrayWeights::Rgb([r, g, b]) => write!(f, "{r},{g},{b}"),
        }
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
    /// [`Error::Input`] if they hold no pixel, or there are not the three channels that all weights but the mean need;
    /// [`Error::Invalid`] for weights that make no grey.
    pub fn new(input: Dims, weights: GrayWeights) -> Result<Gray, Error> {
        not_empty("gray", input)?;
        let weights = weights.of(input)?;
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
    const SUMMARY: &'static str =
        "one channel from three: their mean, luma, or a sum by any weights";
    const EXAMPLE: &'static str = "";
    const FLAGS: &'static [Flag] = &[Flag {
        name: "weights",
        value: "WEIGHTS",
        help: "How the grey is made from the colours: `mean` of the channels, `luma` (as most programs do), or weights `R,G,B`",
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

    fn records_grey(&self) -> bool {
        true
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

    /// The same grey in every channel, as light as it was recorded.
    fn guess(&self, y: &Image) -> Image {
        let sum: f64 = self.weights.iter().sum();
        self.spread(y, |_| 1.0 / sum)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of weights come back as they went, and what is no weight is refused. Wrong: weights brought to a sum of 1.
    #[test]
    fn weights_are_texts() {
        for text in ["mean", "luma", "0.25,0.5,0.25", "0,1,0", "2,0.001,1000"] {
            let weights: GrayWeights = text.parse().unwrap();
            assert_eq!(weights.to_string(), text);
            let spec = GraySpec { weights };
            let written = toml::to_string(&spec).unwrap();
            assert_eq!(toml::from_str::<GraySpec>(&written).unwrap(), spec);
        }
        assert_eq!(
            " 1, 2,3".parse::<GrayWeights>().unwrap(),
            GrayWeights::Rgb([1.0, 2.0, 3.0])
        );
        for text in [
            "", "green", "1,2", "1,2,3,4", "1,,3", "-1,1,1", "0,0,0", "1,nan,1", "1,inf,1",
            "1e-9,0,0",
        ] {
            assert!(text.parse::<GrayWeights>().is_err(), "{text}");
        }
    }

    /// Green alone, and light that is doubled: the guess is as light as what was recorded. Wrong: `y` itself in each channel.
    #[test]
    fn weights_are_used_as_they_are() {
        let dims = Dims::new(3, 1, 1);
        let pixel = Image::from_shape_vec(dims.batch(1), vec![0.1, 0.2, 0.4]).unwrap();
        for (weights, expected) in [([0.0, 1.0, 0.0], 0.2), ([2.0, 1.0, 1.0], 0.8)] {
            let gray = Gray::new(dims, GrayWeights::Rgb(weights)).unwrap();
            let y = gray.apply(&pixel);
            assert!((y[[0, 0, 0, 0]] - expected).abs() < 1e-6);
            let again = gray.apply(&gray.guess(&y));
            assert!((&again - &y).iter().all(|e| e.abs() < 1e-6));
        }
        let [one, three] = [1, 3].map(|c| Dims::new(c, 1, 1));
        assert!(Gray::new(one, GrayWeights::Rgb([1.0, 1.0, 1.0])).is_err());
        assert!(Gray::new(three, GrayWeights::Rgb([0.0; 3])).is_err());
    }
}
