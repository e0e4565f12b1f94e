//! Values as they are typed.

use std::str::FromStr;

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
}
