//! Phase retrieval for any size.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Phase;
use crate::Dims;
use crate::operator::spec::{Described, Flag, Flags, parses};
use crate::operator::{Error, Operator};

/// What a detector sees the transform of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Diffraction {
    /// The picture with zeros around it.
    Fourier {
        /// How many times as long as a side of the picture that of the transform is, rounded: 1.5 in DPS and DAPS, which call it
        /// an oversampling of 2.
        #[serde(default = "papers")]
        oversampling: f64,
    },
    /// The picture behind random masks that turn the phase of each pixel by quarters.
    Coded {
        /// How many: three or four tell all.
        masks: usize,
        /// Decides which.
        #[serde(default)]
        seed: u64,
    },
}

fn papers() -> f64 {
    1.5
}

impl Diffraction {
    pub(super) fn check(self) -> Result<(), Error> {
        match self {
            Diffraction::Fourier { oversampling } if !(1.0..=8.0).contains(&oversampling) => {
                Err(Error::Invalid(format!(
                    "a transform is 1 to 8 times as long a side as the picture, not {oversampling}"
                )))
            }
            Diffraction::Coded { masks, .. } if !(1..=64).contains(&masks) => Err(Error::Invalid(
                format!("a picture is seen behind 1 to 64 masks, not {masks}"),
            )),
            _ => Ok(()),
        }
    }

    /// Height and width of the transform of a picture.
    pub(super) fn size(self, picture: Dims) -> (usize, usize) {
        match self {
            Diffraction::Fourier { oversampling } => {
                let side = |n: usize| (oversampling * n as f64).round() as usize;
                (side(picture.h), side(picture.w))
            }
            Diffraction::Coded { .. } => (picture.h, picture.w),
        }
    }
}

/// `fourier`, `fourier:OVERSAMPLING` or `coded:MASKS[:SEED]`. Who undoes it needs the same masks, so that their seed is their own.
impl FromStr for Diffraction {
    type Err = Error;

    fn from_str(text: &str) -> Result<Diffraction, Error> {
        let wrong = || {
            Error::Invalid(format!(
                "`{text}` is no diffraction: write fourier:1.5 or coded:4"
            ))
        };
        let diffraction = match text.split_once(':') {
            None if text == "fourier" => Diffraction::Fourier {
                oversampling: papers(),
            },
            Some(("fourier", times)) => Diffraction::Fourier {
                oversampling: times.trim().parse().map_err(|_| wrong())?,
            },
            Some(("coded", numbers)) => {
                let (masks, seed) = numbers.split_once(':').unwrap_or((numbers, "0"));
                Diffraction::Coded {
                    masks: masks.trim().parse().map_err(|_| wrong())?,
                    seed: seed.trim().parse().map_err(|_| wrong())?,
                }
            }
            _ => return Err(wrong()),
        };
        diffraction.check()?;
        Ok(diffraction)
    }
}

impl fmt::Display for Diffraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Diffraction::Fourier { oversampling } => write!(f, "fourier:{oversampling}"),
            Diffraction::Coded { masks, seed: 0 } => write!(f, "coded:{masks}"),
            Diffraction::Coded { masks, seed } => write!(f, "coded:{masks}:{seed}"),
        }
    }
}

/// Phase retrieval for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    /// Of what the magnitudes are.
    pub diffraction: Diffraction,
}

impl Described for PhaseSpec {
    const SUMMARY: &'static str =
        "magnitudes of the Fourier transform, of the picture or behind random masks; not linear";
    const EXAMPLE: &'static str = "diffraction = { of = 'coded', masks = 3 }";
    const FLAGS: &'static [Flag] = &[Flag {
        name: "diffraction",
        value: "KIND",
        help: "What the transform is of: `fourier:R` for the picture with zeros around it, to R times its sides, or \
               `coded:K[:SEED]` for the picture behind K random masks",
        example: "coded:4",
        default: Some("fourier:1.5"),
        check: parses::<Diffraction>,
    }];

    fn from_flags(flags: &Flags<'_>) -> Result<PhaseSpec, Error> {
        let diffraction = flags.need(&PhaseSpec::FLAGS[0])?;
        Ok(PhaseSpec { diffraction })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Phase::new(input, self.diffraction)?))
    }

    fn records_pictures(&self) -> bool {
        false
    }

    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        self.diffraction.check()?;
        let input = match self.diffraction {
            Diffraction::Fourier { oversampling } => {
                let side = |n: usize| (n as f64 / oversampling).round() as usize;
                Dims::new(output.c, side(output.h), side(output.w))
            }
            Diffraction::Coded { masks, .. } => Dims::new(output.c, output.h / masks, output.w),
        };
        let (h, w) = self.diffraction.size(input);
        let rows = match self.diffraction {
            Diffraction::Fourier { .. } => h,
            Diffraction::Coded { masks, .. } => h * masks,
        };
        match (rows, w) == (output.h, output.w) && !input.is_empty() {
            true => Ok(input),
            false => Err(Error::Invalid(format!(
                "{output} (channels x height x width) are not the magnitudes that {} has",
                self.diffraction
            ))),
        }
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }
}
