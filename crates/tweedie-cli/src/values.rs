//! Values as they are typed.

use std::str::FromStr;

use tweedie::problem::Noise;

/// Noise: a standard deviation for pictures in [0, 1], `0.06` or `15/255`, `poisson:A,B` for a variance of `A + B*x` where
/// the picture is `x`, or `photons:N[,STD]` for counts of N at white, with white noise on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NoiseArg(pub(crate) Noise);

impl FromStr for NoiseArg {
    type Err = String;

    fn from_str(text: &str) -> Result<NoiseArg, String> {
        if let Some(numbers) = text.strip_prefix("poisson:") {
            return poisson(numbers).map(NoiseArg);
        }
        if let Some(numbers) = text.strip_prefix("photons:") {
            return photons(numbers).map(NoiseArg);
        }
        match number(text) {
            Some(v) if (0.0..=10.0).contains(&v) => Ok(NoiseArg(v.into())),
            Some(v) if v > 10.0 => Err(format!(
                "{v} is not a noise level of pictures in [0, 1]; for 8-bit values write {text}/255"
            )),
            _ => Err(
                "write a number such as 0.06, or 15/255, or poisson:A,B, or photons:N".to_owned(),
            ),
        }
    }
}

/// A number, or a fraction.
fn number(text: &str) -> Option<f64> {
    let number = |part: &str| part.trim().parse::<f64>().ok();
    match text.split_once('/') {
        Some((above, below)) => number(above).zip(number(below)).map(|(a, b)| a / b),
        None => number(text),
    }
}

/// `y = Poisson(n*x)/n` has the variance `x/n`.
fn photons(numbers: &str) -> Result<Noise, String> {
    let (count, on_top) = match numbers.split_once(',') {
        Some((count, on_top)) => (number(count), number(on_top)),
        None => (number(numbers), Some(0.0)),
    };
    match count.zip(on_top) {
        Some((n, sigma)) if (1.0..=1e9).contains(&n) && (0.0..=1.0).contains(&sigma) => {
            let (a, b) = (sigma * sigma, 1.0 / n);
            Ok(Noise::Poisson { a, b })
        }
        _ => Err(
            "photons:N[,STD] is light counted in N grains at white, 1 or more, with noise of STD on top, such as photons:100,0.01"
                .to_owned(),
        ),
    }
}

fn poisson(numbers: &str) -> Result<Noise, String> {
    let pair = numbers.split_once(',');
    let pair = pair.and_then(|(a, b)| number(a).zip(number(b)));
    match pair {
        Some((a, b)) if (0.0..=1.0).contains(&a) && (0.0..=1.0).contains(&(a + b)) && a + b.max(0.0) > 0.0 => {
            Ok(Noise::Poisson { a, b })
        }
        _ => Err(
            "poisson:A,B is noise of variance A + B*x for x from 0 to 1, such as poisson:0.0005,0.01".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_levels() {
        let noise = |text: &str| text.parse::<NoiseArg>().map(|noise| noise.0);
        assert_eq!(noise("0.02"), Ok(Noise::White(0.02)));
        assert_eq!(noise("0"), Ok(Noise::Exact));
        assert_eq!(noise("15/255"), Ok(Noise::White(15.0 / 255.0)));
        let (a, b) = (0.0005, 0.01);
        assert_eq!(noise("poisson:0.0005,0.01"), Ok(Noise::Poisson { a, b }));
        let b = 1.0 / 255.0;
        assert_eq!(noise("photons:255"), Ok(Noise::Poisson { a: 0.0, b }));
        let a = 0.1 * 0.1;
        assert_eq!(noise("photons:255,0.1"), Ok(Noise::Poisson { a, b }));
        for wrong in [
            "photons:0",
            "photons:",
            "photons:nan",
            "photons:10,-1",
            "15",
            "-1",
            "nan",
            "x",
            "1/0",
            "",
            "1/2/3",
            "poisson:",
            "poisson:0,0",
            "poisson:-1,2",
            "poisson:0.1,-0.2",
            "poisson:nan,1",
        ] {
            assert!(noise(wrong).is_err(), "{wrong}");
        }
    }
}
