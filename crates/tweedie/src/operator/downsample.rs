//! Down-sampling that treats rows and columns alike: antialiased bicubic and average pooling.

use std::f64::consts::PI;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::axis::{self, Axis};
use super::spec::{Described, Flag, Flags, parses};
use super::spectrum::{Weight, of_measured, of_seen};
use super::{
    Boundary, Decimate, Error, Gain, Kernel, KernelSpec, Linear, Loss, Operator, Spectrum,
    not_empty, plane,
};
use crate::fft::{Basis2, Line};
use crate::{Dims, Image};

/// `Y = V X H^T`, for each channel: a smaller image by an integer factor, `ceil(side/factor)` pixels a side, or of any size.
///
/// `A A^T` is the Kronecker product of the small matrices `V V^T` and `H H^T`, so that their eigenvectors give prox and
/// pseudo-inverse exactly. Where a side is divisible by the factor these are cosines, since filter and boundary are
/// symmetric; pooling's are the pixels; else they are computed, up to a side of 256. Beyond that, conjugate gradients
/// do: the singular values lie within a factor of two along each side, so that they need about a dozen steps.
#[derive(Debug)]
pub struct Downsample {
    input: Dims,
    /// How far apart the small pixels lie, down and across.
    scale: [f64; 2],
    vertical: Side,
    horizontal: Side,
    /// Eigenvectors of `A A^T`.
    basis: Option<Basis2>,
}

/// One axis.
#[derive(Debug)]
struct Side {
    down: Axis,
    up: Axis,
    /// Eigenvalues of `M M^T`, in the order of the basis; empty if there is none.
    values: Vec<f64>,
}

/// Small sides up to this long get computed eigenvectors. Beyond it conjugate gradients are as fast as the matrix.
const DENSE: usize = 256;

/// Factors are 1 to this.
pub(crate) const MAX_FACTOR: usize = 256;

/// That a factor is one.
pub(crate) fn check_factor(factor: f64) -> Result<(), Error> {
    if (1.0..=MAX_FACTOR as f64).contains(&factor) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "images are made smaller by a factor from 1 to {MAX_FACTOR}, not by {factor}"
    )))
}

impl Downsample {
    /// Antialiased bicubic: MATLAB's `imresize(x, 1/factor, 'bicubic')` before its rounding, Keys' cubic with a = -0.5,
    /// the edge repeated outside.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] for a factor outside 1..=256.
    pub fn bicubic(input: Dims, factor: usize) -> Result<Downsample, Error> {
        Downsample::new(input, [factor as f64; 2], |n, _| {
            side(Axis::bicubic_down(n, factor), n.is_multiple_of(factor))
        })
    }

    /// Means of `factor` by `factor` pixels; blocks at the far edges have what is left.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] for a factor outside 1..=256.
    pub fn average(input: Dims, factor: usize) -> Result<Downsample, Error> {
        Downsample::new(input, [factor as f64; 2], |n, _| {
            let down = Axis::pool(n, factor);
            let squares = |i| down.row(i).iter().map(|(_, w)| w * w).sum();
            let values = (0..down.outputs()).map(squares).collect();
            let line = Line::Pixels(down.outputs());
            (Side::new(down, values), Some(line))
        })
    }

    /// Antialiased bicubic to a height and width that need not divide those of the image: MATLAB's
    /// `imresize(x, [height width], 'bicubic')` before its rounding. Both pictures show the same part of the world, edge to
    /// edge.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] if a side is made longer, or more than 256 times
    /// shorter.
    pub fn bicubic_to(input: Dims, size: (usize, usize)) -> Result<Downsample, Error> {
        Downsample::to(input, size, |n, small| {
            Axis::bicubic_to(n, small, n as f64 / small as f64)
        })
    }

    /// Means of equal parts of the image, as many as `size` has rows and columns; a pixel on a border counts for each side by
    /// its share.
    ///
    /// # Errors
    /// Those of [`Downsample::bicubic_to`].
    pub fn average_to(input: Dims, size: (usize, usize)) -> Result<Downsample, Error> {
        Downsample::to(input, size, Axis::pool_to)
    }

    fn to(
        input: Dims,
        (h, w): (usize, usize),
        down: impl Fn(usize, usize) -> Axis,
    ) -> Result<Downsample, Error> {
        let scale = [input.h as f64 / h as f64, input.w as f64 / w as f64];
        Downsample::new(input, scale, |n, i| {
            let small = [h, w][i];
            side(down(n, small), n.is_multiple_of(small))
        })
    }

    /// `side` makes an axis, 0 for rows and 1 for columns, of its length.
    fn new(
        input: Dims,
        scale: [f64; 2],
        side: impl Fn(usize, usize) -> (Side, Option<Line>),
    ) -> Result<Downsample, Error> {
        not_empty("down-sampling", input)?;
        scale.into_iter().try_for_each(check_factor)?;
        let ((vertical, v), (horizontal, h)) = (side(input.h, 0), side(input.w, 1));
        let basis = v.zip(h).map(|(vertical, horizontal)| Basis2 {
            vertical,
            horizontal,
        });
        Ok(Downsample {
            input,
            scale,
            vertical,
            horizontal,
            basis,
        })
    }

    /// `out = A^T Q (weight (Q^T r Q))` for each weight, given the eigenvalue of `A A^T`.
    fn lift(&self, r: &[f64], outs: &mut [&mut [f32]], weights: &[Weight<'_>]) {
        let basis = self.basis.as_ref().expect("only then is there a spectrum");
        let (v, h) = (&self.vertical, &self.horizontal);
        let coefficients = basis.forward(r);
        let mut lifted = vec![0.0; r.len()];
        for (out, weight) in outs.iter_mut().zip(weights) {
            let mut coefficients = coefficients.clone();
            for (column, &lh) in coefficients.chunks_exact_mut(v.values.len()).zip(&h.values) {
                for (c, &lv) in column.iter_mut().zip(&v.values) {
                    *c *= weight(lv * lh);
                }
            }
            basis.inverse(coefficients, &mut lifted, |to, value| *to = value);
            axis::apply(&v.up, &h.up, &lifted, out, |to, d| *to = d as f32);
        }
    }
}

impl Side {
    fn new(down: Axis, values: Vec<f64>) -> Side {
        Side {
            up: down.transpose(),
            down,
            values,
        }
    }
}

/// A side with the eigenvectors of its `M M^T`.
fn side(down: Axis, divisible: bool) -> (Side, Option<Line>) {
    let n = down.outputs();
    if divisible {
        let values = cosine_values(&down.transpose());
        return (Side::new(down, values), Some(Line::cosine(n)));
    }
    if n > DENSE {
        return (Side::new(down, Vec::new()), None);
    }
    let gram = nalgebra::DMatrix::from_row_slice(n, n, &down.gram());
    let eigen = nalgebra::SymmetricEigen::new(gram);
    let rows = eigen.eigenvectors.transpose().as_slice().to_vec();
    let values = eigen.eigenvalues.as_slice().to_vec();
    (Side::new(down, values), Some(Line::Dense { n, rows }))
}

/// The eigenvalues of `M M^T` if its eigenvectors are the cosines `c_k(i) = cos(pi k (i + 1/2)/n)`: the Rayleigh
/// quotients `|M^T c_k|^2/|c_k|^2`.
fn cosine_values(up: &Axis) -> Vec<f64> {
    let n = up.inputs();
    (0..n)
        .into_par_iter()
        .map(|k| {
            let cosine: Vec<f64> = (0..n)
                .map(|i| {
                    // Reduced exactly, so that the angle stays small.
                    let turn = (k * (2 * i + 1)) % (4 * n);
                    (PI * turn as f64 / (2 * n) as f64).cos()
                })
                .collect();
            let square = |j: usize| {
                let sum: f64 = up.row(j).iter().map(|&(i, w)| w * cosine[i]).sum();
                sum * sum
            };
            let size: f64 = cosine.iter().map(|c| c * c).sum();
            (0..up.outputs()).map(square).sum::<f64>() / size
        })
        .collect()
}

/// How images are made smaller: `bicubic`, `average`, `nearest`, or a kernel's description (blur, then every s-th pixel).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FilterSpec {
    /// Antialiased bicubic.
    #[default]
    Bicubic,
    /// Means of blocks.
    Average,
    /// Every s-th pixel from the first, or from an offset, and nothing of the others.
    Nearest,
    /// Blur with a kernel, then every s-th pixel from the first.
    Kernel(KernelSpec),
}

impl FromStr for FilterSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<FilterSpec, Error> {
        Ok(match text {
            "bicubic" => FilterSpec::Bicubic,
            "average" => FilterSpec::Average,
            "nearest" => FilterSpec::Nearest,
            kernel => FilterSpec::Kernel(kernel.parse()?),
        })
    }
}

impl fmt::Display for FilterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterSpec::Bicubic => f.write_str("bicubic"),
            FilterSpec::Average => f.write_str("average"),
            FilterSpec::Nearest => f.write_str("nearest"),
            FilterSpec::Kernel(kernel) => write!(f, "{kernel}"),
        }
    }
}

impl TryFrom<String> for FilterSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<FilterSpec, Error> {
        text.parse()
    }
}

impl From<FilterSpec> for String {
    fn from(filter: FilterSpec) -> String {
        filter.to_string()
    }
}

/// How many times smaller an image is made, whole or not: `4`, `1.5` or `3/2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Factor(f64);

impl Factor {
    /// The factor, if it is whole.
    fn whole(self) -> Option<usize> {
        let whole = self.0.fract() == 0.0 && self.0 <= MAX_FACTOR as f64;
        whole.then_some(self.0 as usize)
    }

    /// The length of a side before it was made smaller to `small`.
    fn enlarged(self, small: usize) -> Option<usize> {
        if let Some(factor) = self.whole() {
            return small.checked_mul(factor);
        }
        let large = (self.0 * small as f64).round();
        (large < (1u64 << 53) as f64).then_some(large as usize)
    }

    /// The length that a side of `large` is made smaller to, at least 1; back from what [`Factor::enlarged`] gave.
    fn reduced(self, large: usize) -> usize {
        ((large as f64 / self.0).round() as usize).max(1)
    }
}

/// As files have it: whole numbers stay so.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Any(f64),
}

impl TryFrom<Written> for Factor {
    type Error = Error;

    fn try_from(written: Written) -> Result<Factor, Error> {
        match written {
            Written::Whole(n) => Ok(Factor(n as f64)),
            Written::Any(factor) if factor >= 0.0 => Ok(Factor(factor)),
            Written::Any(factor) => Err(Error::Invalid(format!(
                "{factor} is no number of times, such as 4 or 1.5"
            ))),
        }
    }
}

impl From<Factor> for Written {
    fn from(factor: Factor) -> Written {
        match factor.whole() {
            Some(n) => Written::Whole(n as u64),
            None => Written::Any(factor.0),
        }
    }
}

impl From<usize> for Factor {
    fn from(factor: usize) -> Factor {
        Factor(factor as f64)
    }
}

impl From<f64> for Factor {
    fn from(factor: f64) -> Factor {
        Factor(factor)
    }
}

impl FromStr for Factor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Factor, Error> {
        let number = |part: &str| part.trim().parse::<f64>().ok();
        let value = match text.split_once('/') {
            Some((above, below)) => number(above).zip(number(below)).map(|(a, b)| a / b),
            None => number(text),
        };
        match value {
            Some(factor) if factor >= 0.0 && factor.is_finite() => Ok(Factor(factor)),
            _ => Err(Error::Invalid(format!(
                "`{text}` is no number of times, such as 4 or 1.5"
            ))),
        }
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// [`Downsample`] for any size, or [`Decimate`] if the filter is `nearest` or a kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownsampleSpec {
    /// By how much.
    pub factor: Factor,
    /// How.
    #[serde(default)]
    pub filter: FilterSpec,
    /// What a kernel sees beyond the edges.
    #[serde(default)]
    pub boundary: Boundary,
    /// The first row and column that is kept by `nearest` or after a kernel, from 0.
    #[serde(default, skip_serializing_if = "is_first")]
    pub offset: usize,
}

fn is_first(offset: &usize) -> bool {
    *offset == 0
}

fn offset(text: &str) -> Result<usize, Error> {
    text.trim().parse().map_err(|_| {
        Error::Invalid(format!(
            "`{text}` is no number of a row and column, such as 0 or 1"
        ))
    })
}

impl Described for DownsampleSpec {
    const SUMMARY: &'static str =
        "smaller by a factor: bicubic, average, nearest, or a kernel and every n-th pixel";
    const EXAMPLE: &'static str = "factor = 2";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "factor",
            value: "N",
            help: "How many times smaller the picture was made, such as 4, 1.5 or 4/3",
            example: "4",
            default: None,
            check: parses::<Factor>,
        },
        Flag {
            name: "filter",
            value: "FILTER",
            help: "How it was made smaller: `bicubic` (antialiased), `average`, `nearest` (every N-th pixel), or a kernel as for \
                   `deblur`, of whose result every N-th pixel was kept, for whole N",
            example: "average",
            default: Some("bicubic"),
            check: parses::<FilterSpec>,
        },
        Boundary::FLAG,
        Flag {
            name: "offset",
            value: "N",
            help: "The first row and column that was kept by `nearest` or after a kernel, from 0; Pillow's `nearest` keeps N/2 first",
            example: "1",
            default: Some("0"),
            check: |text| offset(text).map(drop),
        },
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<DownsampleSpec, Error> {
        let spec = DownsampleSpec {
            factor: flags.need(&DownsampleSpec::FLAGS[0])?,
            filter: flags.need(&DownsampleSpec::FLAGS[1])?,
            boundary: flags.need(&Boundary::FLAG)?,
            offset: offset(flags.text(&DownsampleSpec::FLAGS[3])?)?,
        };
        Ok(spec)
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        check_factor(self.factor.0)?;
        let small = (self.factor.reduced(input.h), self.factor.reduced(input.w));
        let decimated =
            |kernel, n| Decimate::with_offset(input, kernel, self.boundary, n, self.offset);
        let keeps = matches!(self.filter, FilterSpec::Kernel(_) | FilterSpec::Nearest);
        if self.offset > 0 && !keeps {
            return Err(Error::Invalid(format!(
                "an offset is for pixels that are kept, by `nearest` or after a kernel, not for {}",
                self.filter
            )));
        }
        Ok(match (&self.filter, self.factor.whole()) {
            (FilterSpec::Bicubic, Some(n)) => Box::new(Downsample::bicubic(input, n)?),
            (FilterSpec::Bicubic, None) => Box::new(Downsample::bicubic_to(input, small)?),
            (FilterSpec::Average, Some(n)) => Box::new(Downsample::average(input, n)?),
            (FilterSpec::Average, None) => Box::new(Downsample::average_to(input, small)?),
            (FilterSpec::Nearest, Some(n)) => Box::new(decimated(Kernel::uniform(1)?, n)?),
            (FilterSpec::Kernel(kernel), Some(n)) => Box::new(decimated(kernel.build()?, n)?),
            (FilterSpec::Nearest | FilterSpec::Kernel(_), None) => {
                return Err(Error::Invalid(format!(
                    "by `nearest` and after a kernel every n-th pixel is kept, for whole n, not {}; bicubic and average take any factor",
                    self.factor
                )));
            }
        })
    }

    /// What was made smaller had `factor` times the size, rounded, although a few pixels less would give the same.
    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        check_factor(self.factor.0)?;
        let large = |n: usize| {
            self.factor.enlarged(n).ok_or_else(|| {
                Error::Invalid(format!("{output} times {} is too large", self.factor))
            })
        };
        Ok(Dims::new(output.c, large(output.h)?, large(output.w)?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        match &mut self.filter {
            FilterSpec::Kernel(kernel) => kernel.file().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl Operator for Downsample {
    fn name(&self) -> &'static str {
        "downsample"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        let (v, h) = (&self.vertical.down, &self.horizontal.down);
        Dims::new(self.input.c, v.outputs(), h.outputs())
    }

    fn apply(&self, x: &Image) -> Image {
        plane::map(x, self.input, self.output(), |x, y| {
            let (v, h) = (&self.vertical.down, &self.horizontal.down);
            axis::apply(v, h, x, y, |to, value| *to = value as f32);
        })
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// Bicubic interpolation, pixel centres where the down-sampling has them: small pixel `i` lies on
    /// `(i + 1/2) scale - 1/2`.
    fn guess(&self, y: &Image) -> Image {
        let up = |side: &Axis, scale: f64| {
            Axis::bicubic_up(side.outputs(), side.inputs(), scale, (scale - 1.0) / 2.0)
        };
        let v = up(&self.vertical.down, self.scale[0]);
        let h = up(&self.horizontal.down, self.scale[1]);
        plane::map(y, self.output(), self.input, |y, x| {
            axis::apply(&v, &h, y, x, |to, value| *to = value as f32);
        })
    }

    fn loss(&self) -> Loss {
        Loss {
            scales: self.scale != [1.0; 2],
            ..Loss::NOTHING
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Downsample {
    fn adjoint(&self, u: &Image) -> Image {
        plane::map(u, self.output(), self.input, |u, x| {
            let (v, h) = (&self.vertical.up, &self.horizontal.up);
            axis::apply(v, h, u, x, |to, value| *to = value as f32);
        })
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        self.basis.as_ref().map(|_| self as &dyn Spectrum)
    }

    fn gram(&self) -> Option<f64> {
        let value = |side: &Side| {
            let first = *side.values.first()?;
            let same = |v: &f64| (v - first).abs() <= 1e-12 * first;
            side.values.iter().all(same).then_some(first)
        };
        self.basis.as_ref()?;
        Some(value(&self.vertical)? * value(&self.horizontal)?)
    }
}

/// `U = Q`, and `V = A^T Q/s`.
impl Spectrum for Downsample {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let least = (1e-6 * Spectrum::norm(self)).powi(2);
        let weights: Vec<_> = gains.iter().map(|g| of_seen(*g, least)).collect();
        let weights: Vec<Weight<'_>> = weights.iter().map(|w| w as _).collect();
        let (small, v, h) = (self.output(), &self.vertical, &self.horizontal);
        let mut out = plane::map_many(x, self.input, self.input, gains.len(), |x, outs| {
            let mut seen = vec![0.0; small.h * small.w];
            axis::apply(&v.down, &h.down, x, &mut seen, |to, value| *to = value);
            self.lift(&seen, outs, &weights);
        });
        for (out, gain) in out.iter_mut().zip(gains) {
            out.scaled_add(gain(0.0) as f32, x);
        }
        out
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let least = (1e-6 * Spectrum::norm(self)).powi(2);
        let weights: Vec<_> = gains.iter().map(|g| of_measured(*g, least)).collect();
        let weights: Vec<Weight<'_>> = weights.iter().map(|w| w as _).collect();
        plane::map_many(y, self.output(), self.input, gains.len(), |y, outs| {
            let y: Vec<f64> = y.iter().map(|&y| f64::from(y)).collect();
            self.lift(&y, outs, &weights);
        })
    }

    fn norm(&self) -> f64 {
        let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        (most(&self.vertical.values) * most(&self.horizontal.values)).sqrt()
    }
}
