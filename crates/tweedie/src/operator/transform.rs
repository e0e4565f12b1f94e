//! Compressed sensing by waves: some coefficients of a cosine or Fourier transform.

use std::f64::consts::SQRT_2;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hadamard::{PIXELS, scrambled, yes};
use super::ratio::{self, Ratio};
use super::sampled::{Orthonormal, Sampled};
use super::sensed::Sensed;
use super::spec::{Described, Flag, Flags, parses};
use super::{Error, Operator};
use crate::Dims;
use crate::fft::{Basis2, Complex, Fft2};

/// Some coefficients of a two-dimensional transform of each channel.
pub type Transform = Sensed<Sampled<Waves>>;

impl Transform {
    /// For images of these dimensions, of any size. Scrambled, pixels change places and signs at random first.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] for a ratio above 1.
    pub fn new(
        input: Dims,
        basis: Basis,
        ratio: Ratio,
        scrambled: bool,
        seed: u64,
    ) -> Result<Transform, Error> {
        Sampled::of(
            input,
            |h, w| Waves::new(basis, h, w),
            ratio,
            scrambled,
            seed,
        )
    }
}

/// Which waves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Cosines: the orthonormal DCT-II.
    Dct,
    /// Cosines and sines that fit the picture's sides: real and imaginary parts of the Fourier transform, each a number of its own,
    /// times the root of two but for the frequencies that are their own mirror images.
    Dft,
}

impl FromStr for Basis {
    type Err = Error;

    fn from_str(text: &str) -> Result<Basis, Error> {
        match text {
            "dct" => Ok(Basis::Dct),
            "dft" => Ok(Basis::Dft),
            other => Err(Error::Invalid(format!(
                "there is no basis `{other}`; there are dct and dft"
            ))),
        }
    }
}

/// The transform of planes of one size.
#[derive(Debug)]
pub struct Waves(Kind);

enum Kind {
    Dct(Basis2),
    Dft(Fft2),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Dct(_) => "Dct",
            Kind::Dft(_) => "Dft",
        })
    }
}

impl Waves {
    fn new(basis: Basis, h: usize, w: usize) -> Waves {
        Waves(match basis {
            Basis::Dct => Kind::Dct(Basis2::cosine(h, w)),
            Basis::Dft => Kind::Dft(Fft2::new(h, w)),
        })
    }
}

impl Orthonormal for Waves {
    const NAME: &'static str = "transform";

    fn forward(&self, plane: Vec<f64>) -> Vec<f64> {
        match &self.0 {
            Kind::Dct(basis) => basis.forward(&plane),
            Kind::Dft(fft) => {
                let spectrum = fft.forward(&plane, fft.width());
                let scale = 1.0 / (plane.len() as f64).sqrt();
                let mut out = Vec::with_capacity(plane.len());
                each_frequency(fft, |at, _, own| match own {
                    true => out.push(scale * spectrum[at].re),
                    false => out.extend([
                        SQRT_2 * scale * spectrum[at].re,
                        SQRT_2 * scale * spectrum[at].im,
                    ]),
                });
                out
            }
        }
    }

    fn inverse(&self, coefficients: Vec<f64>) -> Vec<f64> {
        let mut plane = vec![0.0; coefficients.len()];
        match &self.0 {
            Kind::Dct(basis) => basis.inverse(coefficients, &mut plane, |to, v| *to = v),
            Kind::Dft(fft) => {
                let scale = (plane.len() as f64).sqrt();
                let mut spectrum = vec![Complex::ZERO; fft.half() * fft.height()];
                let mut numbers = coefficients.into_iter();
                let mut next = || numbers.next().expect("as many numbers as pixels");
                each_frequency(fft, |at, mirrored, own| match own {
                    true => spectrum[at] = Complex::new(scale * next(), 0.0),
                    false => {
                        let value = Complex::new(next(), next()) * (scale / SQRT_2);
                        spectrum[at] = value;
                        if let Some(mirrored) = mirrored {
                            spectrum[mirrored] = value.conj();
                        }
                    }
                });
                fft.inverse(spectrum, &mut plane, fft.width(), |to, v| *to = v);
            }
        }
        plane
    }
}

/// Each pair of mirrored frequencies once: where it lies in the half of the spectrum that is kept, where its mirror image lies if
/// that is kept too, and whether it is its own.
fn each_frequency(fft: &Fft2, mut f: impl FnMut(usize, Option<usize>, bool)) {
    let (h, w) = (fft.height(), fft.width());
    for u in 0..fft.half() {
        let alone = u == 0 || 2 * u == w;
        for v in 0..h {
            let mirrored = (h - v) % h;
            match alone {
                false => f(u * h + v, None, false),
                true if mirrored == v => f(u * h + v, None, true),
                true if v < mirrored => f(u * h + v, Some(u * h + mirrored), false),
                true => {}
            }
        }
    }
}

/// A transform for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformSpec {
    /// Which waves.
    pub basis: Basis,
    /// Measurements for each pixel, up to 1.
    pub ratio: Ratio,
    /// Whether pixels change places and signs at random before they are transformed.
    #[serde(default = "yes")]
    pub scrambled: bool,
    /// Decides which coefficients are measured.
    #[serde(default)]
    pub seed: u64,
}

const BASIS: Flag = Flag {
    name: "basis",
    value: "BASIS",
    help: "Transform: `dct` (cosines), or `dft` (real and imaginary parts of Fourier's)",
    example: "dft",
    default: Some("dct"),
    check: parses::<Basis>,
};

impl Described for TransformSpec {
    const SUMMARY: &'static str =
        "compressed sensing: a part of a picture's cosine or Fourier coefficients";
    const EXAMPLE: &'static str = "basis = 'dct'\nratio = 0.5";
    const FLAGS: &'static [Flag] = &[BASIS, ratio::FLAG, PIXELS];

    fn from_flags(flags: &Flags<'_>) -> Result<TransformSpec, Error> {
        Ok(TransformSpec {
            basis: flags.need(&BASIS)?,
            ratio: flags.need(&ratio::FLAG)?,
            scrambled: scrambled(flags.text(&PIXELS)?)?,
            seed: flags.seed,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let operator = Transform::new(input, self.basis, self.ratio, self.scrambled, self.seed)?;
        Ok(Box::new(operator))
    }

    fn input_for(&self, _: Dims) -> Result<Dims, Error> {
        Err(ratio::no_size("transform"))
    }

    fn records_pictures(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::super::sampled::check_transform;
    use super::*;

    /// Wrong: a frequency twice or never, the root of two left out or given to those that are their own mirror images.
    #[test]
    fn waves_are_orthonormal() {
        for (h, w) in [(1, 1), (1, 4), (2, 2), (3, 5), (4, 6), (5, 4), (6, 3)] {
            for basis in [Basis::Dct, Basis::Dft] {
                check_transform(&Waves::new(basis, h, w), h * w, None);
            }
        }
        // One line of five: mean, then cosine and sine of one turn and of two.
        let entry = |k: usize, i: usize| {
            let angle = 2.0 * PI * (k.div_ceil(2) * i) as f64 / 5.0;
            let wave = match k {
                0 => 1.0,
                _ if k % 2 == 1 => SQRT_2 * angle.cos(),
                _ => -SQRT_2 * angle.sin(),
            };
            wave / 5f64.sqrt()
        };
        check_transform(&Waves::new(Basis::Dft, 1, 5), 5, Some(&entry));
    }
}
