//! Values as they are typed.

use std::path::PathBuf;
use std::str::FromStr;

use tweedie::operator::MaskSpec;
use tweedie::operator::mask::{BoxSpec, Holes};

/// A noise level: a standard deviation for pictures in [0, 1], `0.06` or `15/255`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sigma(pub(crate) f64);

impl FromStr for Sigma {
    type Err = String;

    fn from_str(text: &str) -> Result<Sigma, String> {
        let number = |part: &str| part.trim().parse::<f64>().ok();
        let value = match text.split_once('/') {
            Some((above, below)) => number(above).zip(number(below)).map(|(a, b)| a / b),
            None => number(text),
        };
        match value {
            Some(v) if (0.0..=10.0).contains(&v) => Ok(Sigma(v)),
            Some(v) => Err(format!(
                "{v} is not a noise level of pictures in [0, 1]; for 8-bit values write {text}/255"
            )),
            None => Err("write a number such as 0.06, or 15/255".to_owned()),
        }
    }
}

/// A mask: `random:P` (hides a share P of the pixels), `box:TOP,LEFT,HEIGHT,WIDTH` (pixels, or percent with `%`), or a
/// picture whose white pixels are the holes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum MaskArg {
    Random(f64),
    Box(BoxSpec),
    Picture(PathBuf),
}

impl FromStr for MaskArg {
    type Err = String;

    fn from_str(text: &str) -> Result<MaskArg, String> {
        if let Some(share) = text.strip_prefix("random:") {
            return match share.parse() {
                Ok(p) if (0.0..=1.0).contains(&p) => Ok(MaskArg::Random(p)),
                _ => Err("random:P hides a share P of the pixels, from 0 to 1".to_owned()),
            };
        }
        if let Some(sides) = text.strip_prefix("box:") {
            return sides.parse().map(MaskArg::Box).map_err(|e: tweedie::operator::Error| e.to_string());
        }
        Ok(MaskArg::Picture(text.into()))
    }
}

impl MaskArg {
    pub(crate) fn spec(self, seed: u64) -> MaskSpec {
        match self {
            MaskArg::Random(hidden) => MaskSpec::Random { hidden, seed },
            MaskArg::Box(hole) => MaskSpec::Box(hole),
            MaskArg::Picture(path) => MaskSpec::Picture {
                path,
                holes: Holes::White,
                threshold: 0.5,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_levels() {
        assert_eq!("0.02".parse(), Ok(Sigma(0.02)));
        assert_eq!("15/255".parse(), Ok(Sigma(15.0 / 255.0)));
        for wrong in ["15", "-1", "nan", "x", "1/0", "", "1/2/3"] {
            assert!(wrong.parse::<Sigma>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn masks() {
        assert_eq!("random:0.5".parse(), Ok(MaskArg::Random(0.5)));
        assert!("random:2".parse::<MaskArg>().is_err());
        assert_eq!("m.png".parse(), Ok(MaskArg::Picture("m.png".into())));
    }
}
