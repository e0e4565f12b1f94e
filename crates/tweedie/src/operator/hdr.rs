//! Clipping: more light, or more contrast, than can be recorded.

use ndarray::Zip;
use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags};
use super::{Error, Loss, Operator, not_empty, plane};
use crate::{Dims, Image};

/// `y = clip(pivot + gain*(x - pivot), 0, 1)`, number by number.
///
/// With a gain of 2 around the middle it is the HDR problem of RED-diff and DAPS, `clip(2x, -1, 1)` for data in [-1, 1]; around 0
/// a photograph that was exposed for too long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hdr {
    dims: Dims,
    gain: f32,
    pivot: f32,
}

impl Hdr {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] for a gain outside 1..=100 or a pivot outside 0..=1.
    pub fn new(dims: Dims, gain: f64, pivot: f64) -> Result<Hdr, Error> {
        not_empty("hdr", dims)?;
        check_gain(gain)?;
        check_pivot(pivot)?;
        Ok(Hdr {
            dims,
            gain: gain as f32,
            pivot: pivot as f32,
        })
    }

    /// Before it is clipped.
    fn stretched(&self, x: f32) -> f32 {
        self.pivot + self.gain * (x - self.pivot)
    }
}

/// That a gain clips, and leaves something.
pub(super) fn check_gain(gain: f64) -> Result<(), Error> {
    match (1.0..=100.0).contains(&gain) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "the gain before clipping is a number from 1 to 100, not {gain}"
        ))),
    }
}

fn check_pivot(pivot: f64) -> Result<(), Error> {
    match (0.0..=1.0).contains(&pivot) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "the brightness that a gain leaves as it is lies between 0 and 1, not at {pivot}"
        ))),
    }
}

/// Clipping for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HdrSpec {
    /// How many times the contrast is larger than can be recorded.
    #[serde(default = "twice")]
    pub gain: f64,
    /// The brightness that stays as it is: 0.5 as in papers, 0 for a picture with too much light.
    #[serde(default = "middle")]
    pub pivot: f64,
}

fn twice() -> f64 {
    2.0
}

fn middle() -> f64 {
    0.5
}

/// A number, with what it is for.
fn number(text: &str, check: fn(f64) -> Result<(), Error>) -> Result<f64, Error> {
    let value = text
        .parse()
        .map_err(|_| Error::Invalid(format!("`{text}` is no number, such as 2 or 0.5")))?;
    check(value)?;
    Ok(value)
}

impl Described for HdrSpec {
    const SUMMARY: &'static str =
        "clipping: more contrast or light than can be recorded; not linear";
    const EXAMPLE: &'static str = "gain = 2.0\npivot = 0.5";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "exposure",
            value: "GAIN",
            help: "How many times the contrast was larger than could be recorded, 1 to 100",
            example: "3",
            default: Some("2"),
            check: |text| number(text, check_gain).map(drop),
        },
        Flag {
            name: "pivot",
            value: "BRIGHTNESS",
            help: "The brightness that stayed as it is: 0.5 for a contrast that was too large, 0 for too much light",
            example: "0",
            default: Some("0.5"),
            check: |text| number(text, check_pivot).map(drop),
        },
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<HdrSpec, Error> {
        Ok(HdrSpec {
            gain: number(flags.text(&HdrSpec::FLAGS[0])?, check_gain)?,
            pivot: number(flags.text(&HdrSpec::FLAGS[1])?, check_pivot)?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Hdr::new(input, self.gain, self.pivot)?))
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }
}

impl Operator for Hdr {
    fn name(&self) -> &'static str {
        "hdr"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.dims);
        x.mapv(|v| self.stretched(v).clamp(0.0, 1.0))
    }

    /// `gain*u` where nothing is clipped and 0 elsewhere: the derivative itself.
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        plane::check(x, self.dims);
        Zip::from(x).and(u).map_collect(|&x, &u| {
            let v = self.stretched(x);
            if v > 0.0 && v < 1.0 {
                self.gain * u
            } else {
                0.0
            }
        })
    }

    /// The gain taken back: what was clipped lies at the limits.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.dims);
        y.mapv(|v| self.pivot + (v - self.pivot) / self.gain)
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..Loss::NOTHING
        }
    }

    fn lipschitz(&self) -> Option<f64> {
        Some(f64::from(self.gain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Image {
        Image::from_shape_vec((1, 1, 1, values.len()), values.to_vec()).unwrap()
    }

    /// `clip(2x, -1, 1)` for data in [-1, 1], its derivative, and `y/2` back; around 0 too much light.
    #[test]
    fn it_is_that_of_the_papers() {
        let x = [-0.4, 0.1, 0.26, 0.5, 0.7, 0.9];
        let dims = Dims::new(1, 1, x.len());
        let hdr = Hdr::new(dims, 2.0, 0.5).unwrap();
        let net = |x: f32| (2.0 * (2.0 * x - 1.0)).clamp(-1.0, 1.0) / 2.0 + 0.5;
        let y = hdr.apply(&row(&x));
        assert!(y.iter().zip(x).all(|(y, x)| (y - net(x)).abs() < 1e-6));
        assert!(hdr.guess(&y).iter().all(|v| (0.25..=0.75).contains(v)));
        let off = hdr.apply(&hdr.guess(&y)) - &y;
        assert!(off.iter().all(|v| v.abs() < 1e-6));
        let slope = hdr.vjp(&row(&x), &row(&[1.0; 6]));
        assert_eq!(slope, row(&[0.0, 0.0, 2.0, 2.0, 2.0, 0.0]));
        let light = Hdr::new(dims, 3.0, 0.0).unwrap().apply(&row(&x));
        assert!((light[[0, 0, 0, 1]] - 0.3).abs() < 1e-6 && light[[0, 0, 0, 3]] == 1.0);
        assert!(Hdr::new(dims, 0.5, 0.5).is_err() && Hdr::new(dims, 2.0, f64::NAN).is_err());
    }
}
