//! Quantisation: few levels for each channel, as old screens, posterised pictures and coarse converters have them.

use std::fmt;
use std::str::FromStr;

use ndarray::{Axis, Zip};
use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags, parses};
use super::{Error, Intervals, Loss, Operator, Quantised, not_empty, plane};
use crate::{Dims, Image, truncated};

/// `y = floor(x*(n - 1) + 1/2)/(n - 1)`, number by number, with `x` limited to [0, 1]: the nearest of `n` even levels, black and
/// white among them.
///
/// Not linear. What was recorded is known exactly, though: each number lies in an interval, see [`Quantised`].
#[derive(Clone, Debug, PartialEq)]
pub struct Quantise {
    dims: Dims,
    levels: Levels,
}

impl Quantise {
    /// For images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel, [`Error::Invalid`] if the levels are not those of one channel, or of each.
    pub fn new(dims: Dims, levels: Levels) -> Result<Quantise, Error> {
        not_empty("quantise", dims)?;
        levels.check()?;
        if ![1, dims.c].contains(&levels.0.len()) {
            return Err(Error::Invalid(format!(
                "levels are stated for {} channels, but the image has {}: state one number for all, or one for each",
                levels.0.len(),
                dims.c
            )));
        }
        Ok(Quantise { dims, levels })
    }

    /// The step between two levels of a channel.
    fn step(&self, channel: usize) -> f32 {
        let levels = &self.levels.0;
        1.0 / (levels[channel.min(levels.len() - 1)] - 1) as f32
    }

    /// A copy of `x`, of which each number is what `f` makes of the step of its channel and of it.
    fn each(&self, x: &Image, f: impl Fn(f32, f32) -> f32) -> Image {
        plane::check(x, self.dims);
        let mut out = x.clone();
        for (c, mut plane) in out.axis_iter_mut(Axis(1)).enumerate() {
            let step = self.step(c);
            plane.mapv_inplace(|v| f(step, v));
        }
        out
    }
}

/// How many levels a channel has: one number for all channels, or one for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Levels(Vec<u32>);

/// The fewest and the most levels.
const LEVELS: std::ops::RangeInclusive<u32> = 2..=65_536;

impl Levels {
    /// So many for all channels.
    pub fn all(levels: u32) -> Levels {
        Levels(vec![levels])
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = self.0.iter().find(|n| !LEVELS.contains(n));
        match wrong {
            None if !self.0.is_empty() => Ok(()),
            _ => Err(Error::Invalid(format!(
                "a channel has 2 to 65536 levels, not {self}"
            ))),
        }
    }
}

/// As files have it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    All(u32),
    Each(Vec<u32>),
}

impl From<Written> for Levels {
    fn from(written: Written) -> Levels {
        match written {
            Written::All(n) => Levels(vec![n]),
            Written::Each(each) => Levels(each),
        }
    }
}

impl From<Levels> for Written {
    fn from(Levels(each): Levels) -> Written {
        match each.as_slice() {
            [n] => Written::All(*n),
            _ => Written::Each(each),
        }
    }
}

/// `16`, or `4bit` for two to the power of four; `32,64,32` for each channel.
impl FromStr for Levels {
    type Err = Error;

    fn from_str(text: &str) -> Result<Levels, Error> {
        let one = |part: &str| {
            let part = part.trim();
            match part.strip_suffix("bit") {
                Some(bits) => 1u32.checked_shl(bits.trim().parse().ok()?),
                None => part.parse().ok(),
            }
        };
        let each: Option<Vec<u32>> = text.split(',').map(one).collect();
        let levels = each.map(Levels).ok_or_else(|| {
            Error::Invalid(format!(
                "`{text}` is no number of levels: write 16, 4bit, or 32,64,32 for each channel"
            ))
        })?;
        levels.check()?;
        Ok(levels)
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&each.join(","))
    }
}

/// Quantisation for any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantiseSpec {
    /// How many levels there are.
    pub levels: Levels,
}

impl Described for QuantiseSpec {
    const SUMMARY: &'static str =
        "few levels for each channel, as in posterised pictures; not linear";
    const EXAMPLE: &'static str = "levels = 8";
    const FLAGS: &'static [Flag] = &[Flag {
        name: "levels",
        value: "N",
        help: "How many levels a channel has, 2 to 65536: `16`, `4bit`, or `32,64,32` for each channel",
        example: "16",
        default: None,
        check: parses::<Levels>,
    }];

    fn from_flags(flags: &Flags<'_>) -> Result<QuantiseSpec, Error> {
        Ok(QuantiseSpec {
            levels: flags.need(&QuantiseSpec::FLAGS[0])?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Quantise::new(input, self.levels.clone())?))
    }

    /// One number of levels serves any number of channels.
    fn channels_recorded(&self) -> Option<usize> {
        let each = self.levels.0.len();
        (each > 1).then_some(each)
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }
}

impl Operator for Quantise {
    fn name(&self) -> &'static str {
        "quantise"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        self.each(x, |step, v| (v.clamp(0.0, 1.0) / step + 0.5).floor() * step)
    }

    /// `u`: the derivative of rounding is 0 nearly everywhere, and says nothing. As is usual it is taken for 1, as if nothing were
    /// rounded (straight through: Bengio et al. 2013, arXiv:1308.3432). The papers that undo quantisation by `h` and its inverse
    /// (PiGDM) need no derivative of it.
    fn vjp(&self, x: &Image, u: &Image) -> Image {
        plane::check(x, self.dims);
        plane::check(u, self.dims);
        u.clone()
    }

    /// The levels themselves.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.dims);
        y.clone()
    }

    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            ..Loss::NOTHING
        }
    }

    fn lipschitz(&self) -> Option<f64> {
        Some(1.0)
    }

    fn quantised(&self) -> Option<&dyn Quantised> {
        Some(self)
    }
}

/// The standard deviation of what rounding does to a number, in steps: that of even noise.
const EVEN: f64 = 0.288_675;

impl Quantised for Quantise {
    fn intervals<'a>(&'a self, y: &Image) -> Box<dyn Intervals + 'a> {
        Box::new(Cells {
            operator: self,
            y: self.apply(y),
        })
    }

    fn coarseness(&self) -> f64 {
        let squares = (0..self.dims.c).map(|c| f64::from(self.step(c)).powi(2));
        EVEN * (squares.sum::<f64>() / self.dims.c as f64).sqrt()
    }
}

/// How far inside of its interval a number is put, so that 8 bits leave it there; but no further than a quarter of a step.
const MARGIN: f32 = 0.5 / 255.0;

/// What f32 does to a number, at most.
const ROUNDING: f32 = 1e-6;

/// Half a step around each recorded level, within black and white.
#[derive(Debug)]
struct Cells<'a> {
    operator: &'a Quantise,
    y: Image,
}

impl Cells<'_> {
    /// `f(step, lowest, highest, z)` for each number.
    fn map(&self, z: &Image, f: impl Fn(f32, f32, f32, f32) -> f32) -> Image {
        plane::check(z, self.operator.dims);
        let mut out = z.clone();
        let planes = out.axis_iter_mut(Axis(1)).zip(self.y.axis_iter(Axis(1)));
        for (c, (mut out, y)) in planes.enumerate() {
            let step = self.operator.step(c);
            out.zip_mut_with(&y, |z, y| {
                let (low, high) = (y - 0.5 * step, y + 0.5 * step);
                *z = f(step, low.max(0.0), high.min(1.0), *z);
            });
        }
        out
    }
}

impl Intervals for Cells<'_> {
    fn expected(&self, z: &Image, sigma: f64, noise: f64) -> Image {
        let (own, both) = (sigma * sigma, sigma * sigma + noise * noise);
        self.map(z, |_, low, high, z| {
            let mean = truncated::mean(z.into(), both.sqrt(), low.into(), high.into());
            (f64::from(z) + own / both * (mean - f64::from(z))) as f32
        })
    }

    /// Each number by itself, whatever it was before. What is black or white may have been beyond.
    fn drawn(&self, x: &Image, sigma: &Image, _: &Image, normal: &Image) -> Image {
        let mut out = self.map(x, |_, low, _, _| low);
        let highest = self.map(x, |_, _, high, _| high);
        let ends = Zip::from(&mut out).and(&highest);
        ends.and(x)
            .and(sigma)
            .and(normal)
            .for_each(|out, &high, &x, &sigma, &n| {
                let low = if *out <= 0.0 { f32::NEG_INFINITY } else { *out };
                let high = if high >= 1.0 { f32::INFINITY } else { high };
                *out = truncated::of_normal(x, sigma, (low, high), n);
            });
        out
    }

    fn nearest(&self, z: &Image) -> (Image, usize) {
        let x = self.map(z, |step, low, high, z| {
            let margin = MARGIN.min(0.25 * step);
            let inside = |end: f32, by: f32| {
                if end == 0.0 || end == 1.0 {
                    end
                } else {
                    end + by
                }
            };
            z.clamp(inside(low, margin), inside(high, -margin))
        });
        (x, 0)
    }

    fn outside(&self, x: &Image, by: f32) -> usize {
        let out = self.map(x, |step, low, high, x| {
            let margin = (by / 255.0).min(0.25 * step);
            let below = low > 0.0 && x < low + margin - ROUNDING;
            let above = high < 1.0 && x > high - margin + ROUNDING;
            f32::from(below || above)
        });
        out.iter().filter(|&&out| out > 0.0).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};

    fn quantise(levels: &str) -> Quantise {
        Quantise::new(Dims::new(3, 9, 8), levels.parse().unwrap()).unwrap()
    }

    fn picture(seed: u64) -> Image {
        Seeded::new(seed, "test").normal(1, Dims::new(3, 9, 8)) * 0.25 + 0.5
    }

    /// `floor(x*(2^n - 1) + 1/2)/(2^n - 1)` with ends that reach black and white; twice is as once, so that the guess is a
    /// right inverse. Wrong: cells of equal width, `floor(x*2^n)`, whose white is darker.
    #[test]
    fn levels_are_those_of_the_papers() {
        let dims = Dims::new(1, 1, 6);
        let two_bits = Quantise::new(dims, "2bit".parse().unwrap()).unwrap();
        let x = Image::from_shape_vec((1, 1, 1, 6), vec![-0.2, 0.16, 0.17, 0.49, 0.51, 1.3]);
        let third = 1.0 / 3.0;
        let y = two_bits.apply(&x.unwrap());
        let off = |(y, e): (&f32, f32)| (y - e).abs() < 1e-6;
        let expected = [0.0, 0.0, third, third, 2.0 * third, 1.0];
        assert!(y.iter().zip(expected).all(off), "{y:?}");
        for levels in ["2", "7", "32,64,32", "256"] {
            let quantise = quantise(levels);
            let y = quantise.apply(&picture(1));
            assert_eq!(quantise.apply(&quantise.guess(&y)), y, "{levels}");
        }
    }

    /// Each channel has its own levels. Wrong: those of the first for all.
    #[test]
    fn channels_have_their_own_levels() {
        let quantise = quantise("2,3,5");
        let y = quantise.apply(&picture(2));
        for (c, n) in [2, 3, 5].into_iter().enumerate() {
            let mut values: Vec<u32> = y
                .index_axis(Axis(1), c)
                .iter()
                .map(|v| (v * 120.0).round() as u32)
                .collect();
            values.sort_unstable();
            values.dedup();
            assert_eq!(values.len(), n);
        }
    }

    /// What was rounded lies in its intervals, what is expected there, too, and what is nearest is recorded as the same numbers,
    /// also from a file of 8 bits. Wrong: intervals of whole steps, no margin.
    #[test]
    fn intervals_hold_what_was_recorded() {
        let quantise = quantise("4,16,64");
        let x = picture(3).mapv(|v| v.clamp(0.0, 1.0));
        let y = quantise.apply(&x);
        let intervals = quantise.intervals(&y);
        assert_eq!(intervals.outside(&x, 0.0), 0);
        let far = picture(4);
        assert!(intervals.outside(&far, 0.0) > 100);
        assert_eq!(
            intervals.outside(&intervals.expected(&far, 0.1, 0.0), 0.0),
            0
        );
        let (near, outside) = intervals.nearest(&far);
        let filed = near.mapv(|v| (v * 255.0).round() / 255.0);
        assert_eq!((outside, quantise.apply(&filed)), (0, y));
    }

    #[test]
    fn texts_come_back_and_nonsense_does_not() {
        for text in ["16", "32,64,32"] {
            let levels: Levels = text.parse().unwrap();
            assert_eq!(levels.to_string(), text);
            let json = serde_json::to_string(&levels).unwrap();
            assert_eq!(serde_json::from_str::<Levels>(&json).unwrap(), levels);
        }
        assert_eq!("4bit".parse::<Levels>().unwrap(), Levels::all(16));
        for text in [
            "", "1", "65537", "17bit", "99bit", "x", "2,,3", "-4", "0bit",
        ] {
            assert!(text.parse::<Levels>().is_err(), "{text}");
        }
        let two = Levels(vec![4, 4]);
        assert!(Quantise::new(Dims::new(3, 2, 2), two).is_err());
        let none = Levels(Vec::new());
        assert!(Quantise::new(Dims::new(1, 2, 2), none).is_err());
    }
}
