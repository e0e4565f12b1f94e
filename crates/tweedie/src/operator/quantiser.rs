//! Rounded measurements: of what a linear operator records, noise and all, so many bits a number are kept.
//!
//! ```text
//! y = Q(A x + n)
//! 1 bit    Q(v) = sign(v), sign(0) = 1
//! b bits   Q(v) = (q + 1/2)*step,  q = floor(v/step) limited to -2^(b-1) .. 2^(b-1) - 1         a mid-rise quantiser
//! ```
//!
//! The noise is added before rounding, so what is recorded has none: of each number is known in which bin `A x + n` lay. The
//! outermost bins have no end. As in Meng and Kabashima 2022 (arXiv:2211.13006), whose code takes the step of a whole batch; here
//! each picture has its own.

use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags};
use super::{Error, Linear, Loss, MatrixSpec, Operator, Spec, plane};
use crate::{Dims, Image};

/// An operator that rounds what a linear one records, with its noise.
pub trait Binned: Operator {
    /// What records: `A`.
    fn before(&self) -> &dyn Linear;

    /// What is kept of `A x + n`, `[batch, channel, height, width]` of the output.
    fn rounded(&self, v: &Image) -> Image;

    /// For each number of each picture the bin in which `A x + n` lay, from its lower end to its upper.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a measurement holds numbers that are no results of such rounding.
    fn bins(&self, y: &Image) -> Result<Vec<Vec<[f64; 2]>>, Error>;
}

/// `y = Q(A x + n)`.
#[derive(Debug)]
pub struct Quantiser {
    of: Box<dyn Operator>,
    bits: u8,
    step: Option<f64>,
}

/// The most bits; beyond it numbers are as good as not rounded.
const MAX_BITS: u8 = 8;
/// Over the number of bins, how far a measurement's numbers may be from those of a step, in halves of it: pictures of 8 bits round
/// them once more.
const NEAR: f64 = 0.4;

impl Quantiser {
    /// Of what `of` records, with so many bits a number. Without a `step` that of each picture is found from what is recorded:
    /// its range, over `2^bits`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if `of` is not linear, the bits are not 1 to 8, or the step is not positive and finite.
    pub fn new(of: Box<dyn Operator>, bits: u8, step: Option<f64>) -> Result<Quantiser, Error> {
        if of.linear().is_none() {
            return Err(Error::Invalid(format!(
                "`quantised` rounds what a linear operator records, and `{}` is none",
                of.name()
            )));
        }
        if !(1..=MAX_BITS).contains(&bits) {
            return Err(Error::Invalid(format!(
                "a number is kept with 1 to {MAX_BITS} bits, not {bits}"
            )));
        }
        if step.is_some_and(|step| !(step > 0.0 && step.is_finite())) {
            return Err(Error::Invalid(
                "the step of a quantiser is a positive number".into(),
            ));
        }
        if bits == 1 && step.is_some() {
            return Err(Error::Invalid(
                "one bit keeps the sign alone: leave `step` out".into(),
            ));
        }
        Ok(Quantiser { of, bits, step })
    }

    /// Steps on each side of zero.
    fn half(&self) -> f64 {
        f64::from(1u32 << (self.bits - 1))
    }

    /// The step for what is recorded of a picture.
    fn step_for(&self, v: &[f64]) -> f64 {
        let ends = v
            .iter()
            .fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], &v| {
                [a.min(v), b.max(v)]
            });
        let range = ends[1] - ends[0];
        match self.step {
            Some(step) => step,
            None if range > 0.0 => range / (2.0 * self.half()),
            // All numbers are equal: the one that is kept.
            None => ends[1].abs().max(1e-12) / (self.half() - 0.5),
        }
    }

    /// The step of a picture's measurement, of which all its numbers are odd multiples of the half. Where it was found, the range
    /// reaches one of the outermost bins, so that the largest number tells it.
    fn step_of(&self, y: &[f64]) -> Option<f64> {
        let bins = 2.0 * self.half();
        let most = y.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let step = self.step.unwrap_or(2.0 * most / (bins - 1.0));
        let fits = |v: &f64| {
            let halves = 2.0 * v.abs() / step;
            let odd = 2.0 * ((halves - 1.0) / 2.0).round() + 1.0;
            odd < bins && (halves - odd).abs() < NEAR / bins
        };
        (step > 0.0 && y.iter().all(fits)).then_some(step)
    }

    fn bins_of(&self, y: &[f64]) -> Result<Vec<[f64; 2]>, Error> {
        let bits = self.bits;
        let wrong = |what: &str| {
            Error::Invalid(format!(
                "the measurement is none of {bits} bits a number: {what}"
            ))
        };
        if self.bits == 1 {
            let bin = |&v: &f64| match v {
                1.0 => Ok([0.0, f64::INFINITY]),
                -1.0 => Ok([f64::NEG_INFINITY, 0.0]),
                _ => Err(wrong("it holds others than -1 and 1")),
            };
            return y.iter().map(bin).collect();
        }
        let Some(step) = self.step_of(y) else {
            return Err(wrong(
                "its numbers are not -1.5, -0.5, 0.5, 1.5 and so on times one step",
            ));
        };
        let (half, last) = (self.half(), self.half() - 1.0);
        let bin = |&v: &f64| {
            let q = (v / step - 0.5).round();
            [
                if q <= -half {
                    f64::NEG_INFINITY
                } else {
                    q * step
                },
                if q >= last {
                    f64::INFINITY
                } else {
                    (q + 1.0) * step
                },
            ]
        };
        Ok(y.iter().map(bin).collect())
    }
}

/// The numbers of each picture of a batch.
fn pictures(y: &Image) -> impl Iterator<Item = Vec<f64>> + '_ {
    y.outer_iter()
        .map(|y| y.iter().map(|&v| f64::from(v)).collect())
}

/// A quantiser for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantiserSpec {
    /// Bits that are kept of a number: 1 for its sign.
    pub bits: u8,
    /// The width of a bin; left out, the range of each measurement over `2^bits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// What records, which must be linear.
    pub of: Box<Spec>,
}

impl Described for QuantiserSpec {
    const SUMMARY: &'static str =
        "a few bits of each number that a linear operator records, noise and all";
    const EXAMPLE: &'static str =
        "bits = 2\nof = { kind = 'matrix', matrix = 'gaussian', ratio = 0.25 }";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "bits",
            value: "BITS",
            help: "Bits that are kept of each number: 1 for its sign, to 8; of a matrix, other operators by a TOML file",
            example: "1",
            default: None,
            check: |text| bits(text).map(drop),
        },
        MatrixSpec::FLAGS[0],
        MatrixSpec::FLAGS[1],
        MatrixSpec::FLAGS[2],
        MatrixSpec::FLAGS[3],
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<QuantiserSpec, Error> {
        Ok(QuantiserSpec {
            bits: bits(flags.text(&QuantiserSpec::FLAGS[0])?)?,
            step: None,
            of: Box::new(MatrixSpec::from_flags(flags)?.into()),
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        let of = self.of.build(input)?;
        Ok(Box::new(Quantiser::new(of, self.bits, self.step)?))
    }

    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        self.of.input_for(output)
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }

    fn channels_recorded(&self) -> Option<usize> {
        self.of.channels_recorded()
    }

    /// Signs are no picture.
    fn records_pictures(&self) -> bool {
        false
    }

    fn files(&mut self) -> Vec<&mut std::path::PathBuf> {
        self.of.files()
    }
}

fn bits(text: &str) -> Result<u8, Error> {
    let number = text.parse().ok().filter(|n| (1..=MAX_BITS).contains(n));
    number.ok_or_else(|| {
        Error::Invalid(format!(
            "`{text}` is no number of bits, 1 to {MAX_BITS}, such as 1"
        ))
    })
}

impl Operator for Quantiser {
    fn name(&self) -> &'static str {
        "quantised"
    }

    fn input(&self) -> Dims {
        self.of.input()
    }

    fn output(&self) -> Dims {
        self.of.output()
    }

    /// Without noise.
    fn apply(&self, x: &Image) -> Image {
        self.rounded(&self.of.apply(x))
    }

    /// `A^T u`: the derivative of rounding is 0 nearly everywhere, and says nothing; it is taken for 1.
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        self.of.vjp(x, u)
    }

    /// That of `A`, as if nothing had been rounded. Signs do not tell how bright the picture was: then as bright as a picture may
    /// be.
    fn guess(&self, y: &Image) -> Image {
        let mut x = self.of.guess(y);
        if self.bits == 1 {
            for mut x in x.outer_iter_mut() {
                let most = x.iter().fold(0.0f32, |m, v| m.max(*v));
                if most > 0.0 {
                    x /= most;
                }
            }
        }
        x
    }

    fn loss(&self) -> Loss {
        self.of.loss().and(Loss {
            detail: true,
            ..Loss::NOTHING
        })
    }

    fn binned(&self) -> Option<&dyn Binned> {
        Some(self)
    }
}

impl Binned for Quantiser {
    fn before(&self) -> &dyn Linear {
        self.of.linear().expect("it was linear when it came")
    }

    fn rounded(&self, v: &Image) -> Image {
        plane::check(v, self.output());
        let (half, last) = (self.half(), self.half() - 1.0);
        let mut y = v.clone();
        for (mut y, v) in y.outer_iter_mut().zip(pictures(v)) {
            let step = self.step_for(&v);
            for (y, v) in y.iter_mut().zip(v) {
                *y = match self.bits {
                    1 if v < 0.0 => -1.0,
                    1 => 1.0,
                    _ => (((v / step).floor().clamp(-half, last) + 0.5) * step) as f32,
                };
            }
        }
        y
    }

    fn bins(&self, y: &Image) -> Result<Vec<Vec<[f64; 2]>>, Error> {
        plane::check(y, self.output());
        pictures(y).map(|y| self.bins_of(&y)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Identity;

    const NONE: f64 = f64::INFINITY;

    fn quantiser(bits: u8, n: usize) -> Quantiser {
        let of = Identity::new(Dims::new(1, 1, n)).unwrap();
        Quantiser::new(Box::new(of), bits, None).unwrap()
    }

    fn row(numbers: &[f32]) -> Image {
        Image::from_shape_vec((1, 1, 1, numbers.len()), numbers.to_vec()).unwrap()
    }

    /// Codewords and bins by hand. Wrong: a mid-tread quantiser, a zero that has no sign, ends that are not open.
    #[test]
    fn bins_by_hand() {
        let one = quantiser(1, 3);
        let y = one.rounded(&row(&[0.0, -0.2, 3.0]));
        assert_eq!(y, row(&[1.0, -1.0, 1.0]));
        let bins = one.bins(&y).unwrap();
        assert_eq!(bins[0], [[0.0, NONE], [-NONE, 0.0], [0.0, NONE]]);

        // A range of 4, so a step of 1: thresholds -1, 0, 1.
        let two = quantiser(2, 5);
        let y = two.rounded(&row(&[-2.0, -0.5, 0.25, 1.0, 2.0]));
        assert_eq!(y, row(&[-1.5, -0.5, 0.5, 1.5, 1.5]));
        let bins = two.bins(&y).unwrap();
        let expected = [
            [-NONE, -1.0],
            [-1.0, 0.0],
            [0.0, 1.0],
            [1.0, NONE],
            [1.0, NONE],
        ];
        assert_eq!(bins[0], expected);

        let three = quantiser(3, 4);
        let y = three.rounded(&row(&[-4.0, 3.5, 2.5, 4.0]));
        assert_eq!(y, row(&[-3.5, 3.5, 2.5, 3.5]));
        assert_eq!(three.bins(&y).unwrap()[0][2], [2.0, 3.0]);
    }

    /// Each number lies in its bin again, whatever the range, also where bins are empty or all numbers equal; each picture of a
    /// batch has its own step. Wrong: a step that the smallest number tells, which is in no bin of its own where all numbers are far
    /// from zero; or that of the batch.
    #[test]
    fn numbers_lie_in_their_bins() {
        let n = 24;
        for bits in 1..=8u8 {
            let quantiser = quantiser(bits, n);
            for k in 0..40usize {
                let (scale, shift) = (10f32.powi(k as i32 % 7 - 3), (k / 7) as f32 - 3.0);
                let value =
                    |i: usize| (((i * 37 + k * 11) % 97) as f32 / 48.0 - 1.0 + shift) * scale;
                let mut v = Image::from_shape_fn((2, 1, 1, n), |(b, _, _, i)| {
                    value(i) * (1.0 + 9.0 * b as f32)
                });
                if k % 5 == 0 {
                    v.index_axis_mut(ndarray::Axis(0), 1).fill(shift * scale);
                }
                let bins = quantiser.bins(&quantiser.rounded(&v)).unwrap();
                for (v, bins) in pictures(&v).zip(bins) {
                    for (v, [low, high]) in v.iter().zip(bins) {
                        let slack = 1e-5 * v.abs() + 1e-9;
                        assert!(
                            low - slack <= *v && *v <= high + slack,
                            "{bits}, {k}: {v} {low} {high}"
                        );
                    }
                }
            }
        }
    }

    /// A stated step is kept; what no such rounding gives is refused.
    #[test]
    fn other_numbers_are_refused() {
        let of = || Box::new(Identity::new(Dims::new(1, 1, 3)).unwrap());
        let stated = Quantiser::new(of(), 2, Some(0.25)).unwrap();
        let y = stated.rounded(&row(&[0.3, -7.0, 0.01]));
        assert_eq!(y, row(&[0.375, -0.375, 0.125]));
        assert_eq!(stated.bins(&y).unwrap()[0][2], [0.0, 0.25]);
        assert!(stated.bins(&row(&[0.3, 0.1, 0.1])).is_err());
        assert!(quantiser(1, 3).bins(&row(&[1.0, 0.0, 1.0])).is_err());
        assert!(quantiser(2, 3).bins(&row(&[1.0, 0.7, 1.0])).is_err());
        assert!(quantiser(2, 3).bins(&row(&[0.0, 1.0, 1.0])).is_err());
        assert!(quantiser(2, 3).bins(&row(&[0.0, 0.0, 0.0])).is_err());
        // Rounded once more, as in a picture.
        assert!(
            quantiser(3, 3)
                .bins(&row(&[0.8750, 0.3765, 0.1255]))
                .is_ok()
        );
        assert!(Quantiser::new(of(), 9, None).is_err());
        assert!(Quantiser::new(of(), 1, Some(0.1)).is_err());
        assert!(Quantiser::new(of(), 2, Some(0.0)).is_err());
    }
}
