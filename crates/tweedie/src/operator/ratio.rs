//! How much is measured: what the operators of compressed sensing have in common.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Error;
use super::spec::{Flag, parses};

/// Measurements for each number of the image, above 0; above 1 there are more equations than unknowns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(f64);

/// The most.
const MOST: f64 = 16.0;

impl Ratio {
    /// From a part of the numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] unless it is above 0 and at most 16.
    pub fn new(part: f64) -> Result<Ratio, Error> {
        match part > 0.0 && part <= MOST {
            true => Ok(Ratio(part)),
            false => Err(Error::Invalid(format!(
                "the ratio of measurements to pixels is a number above 0 and at most {MOST}, such as 0.25, not {part}"
            ))),
        }
    }

    /// How many measurements there are of `n` numbers: at least one.
    pub(super) fn of(self, n: usize) -> usize {
        ((self.0 * n as f64).round() as usize).max(1)
    }

    /// The same where there cannot be more measurements than numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a ratio above 1.
    pub(super) fn within(self, operator: &str, n: usize) -> Result<usize, Error> {
        match self.0 <= 1.0 {
            true => Ok(self.of(n).min(n)),
            false => Err(Error::Invalid(format!(
                "of {operator} there are as many rows as pixels; the ratio is at most 1, not {}",
                self.0
            ))),
        }
    }
}

impl TryFrom<f64> for Ratio {
    type Error = Error;

    fn try_from(part: f64) -> Result<Ratio, Error> {
        Ratio::new(part)
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> f64 {
        ratio.0
    }
}

/// `0.25`, or `25%`.
impl FromStr for Ratio {
    type Err = Error;

    fn from_str(text: &str) -> Result<Ratio, Error> {
        let (text, unit) = match text.trim().strip_suffix('%') {
            Some(percent) => (percent, 100.0),
            None => (text, 1.0),
        };
        match text.trim().parse::<f64>() {
            Ok(number) => Ratio::new(number / unit),
            Err(_) => Err(Error::Invalid(format!(
                "`{text}` is no ratio, such as 0.25 or 25%"
            ))),
        }
    }
}

/// How the command line asks for it.
pub(super) const FLAG: Flag = Flag {
    name: "ratio",
    value: "PART",
    help: "How many measurements are made for each pixel and channel: 0.25, or 25%",
    example: "0.25",
    default: None,
    check: parses::<Ratio>,
};

/// The error where the size of an image is asked of what does not tell it.
pub(super) fn no_size(operator: &str) -> Error {
    Error::Invalid(format!(
        "what `{operator}` records does not tell the picture's size; state it with --size CHANNELSxHEIGHTxWIDTH, or as `size` in the TOML file beside the measurement"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios() {
        for (text, ratio) in [
            ("0.25", 0.25),
            ("25%", 0.25),
            (" 100 % ", 1.0),
            ("1e-3", 0.001),
            ("2", 2.0),
        ] {
            assert_eq!(text.parse::<Ratio>().unwrap(), Ratio(ratio));
        }
        for text in ["0", "-1", "nan", "inf", "17", "", "%", "x"] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
        let ratio = Ratio(0.25);
        assert_eq!([ratio.of(1), ratio.of(100)], [1, 25]);
        assert!(Ratio(2.0).within("x", 9).is_err());
        assert_eq!(Ratio(1.0).within("x", 9).unwrap(), 9);
    }
}
