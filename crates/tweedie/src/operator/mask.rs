//! Masks: only some pixels were recorded.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ndarray::{Array2, Array3, ArrayView3, Axis};
use serde::{Deserialize, Serialize};

use super::identity::blend;
use super::spec::{Described, Flag, Flags, parses};
use super::{
    Error, Gain, Linear, Loss, Operator, Spectrum, cg, nearest, not_empty, plane, read, spectrum,
};
use crate::noise::generator;
use crate::{Dims, Image};

/// `y = m * x`, pixel by pixel, with `m` 1 where a pixel is known and 0 where it is not; of full size.
///
/// `A = A^T = A^+`. What a measurement holds at unknown pixels is not looked at.
#[derive(Clone, PartialEq)]
pub struct Mask {
    dims: Dims,
    /// `[channel, height, width]`; of one channel if it serves all.
    known: Array3<bool>,
}

impl Mask {
    /// From a picture `[1 or channels, height, width]`: what is above `threshold` is known. Of one channel, it serves
    /// all.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::PictureSize`] if the picture is of another size,
    /// [`Error::NotFinite`] if it holds a NaN, [`Error::Invalid`] if it has another number of channels or nothing is
    /// known.
    pub fn new(dims: Dims, picture: ArrayView3<'_, f32>, threshold: f32) -> Result<Mask, Error> {
        read::check_fit("mask", dims, picture.dim())?;
        if picture.iter().any(|v| v.is_nan()) {
            return Err(Error::NotFinite("mask"));
        }
        Mask::from_known(dims, picture.mapv(|v| v > threshold))
    }

    /// Hides `floor(hidden*height*width)` pixels, all channels of each, chosen without repetition by the seed.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] if `hidden` is not in [0, 1] or nothing
    /// would be known.
    pub fn random(dims: Dims, hidden: f64, seed: u64) -> Result<Mask, Error> {
        fraction("the hidden part", hidden)?;
        let pixels = dims.h * dims.w;
        let mut known = Array3::from_elem((1, dims.h, dims.w), true);
        let mut rng = generator(seed, "mask");
        let amount = (hidden * pixels as f64) as usize;
        for i in rand::seq::index::sample(&mut rng, pixels, amount) {
            known[[0, i / dims.w, i % dims.w]] = false;
        }
        Mask::from_known(dims, known)
    }

    /// Hides a box; `top` and `left` put it in the middle where they are not given. `outside` hides all but the box.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] if the box is empty, does not lie within the
    /// image or nothing would be known.
    pub fn hide_box(dims: Dims, hole: &BoxSpec) -> Result<Mask, Error> {
        let rows = span("height", dims.h, hole.height, hole.top)?;
        let columns = span("width", dims.w, hole.width, hole.left)?;
        let known = Array3::from_shape_fn((1, dims.h, dims.w), |(_, i, j)| {
            (rows.contains(&i) && columns.contains(&j)) == hole.outside
        });
        Mask::from_known(dims, known)
    }

    fn from_known(dims: Dims, known: Array3<bool>) -> Result<Mask, Error> {
        not_empty("a mask", dims)?;
        if !known.iter().any(|&k| k) {
            return Err(Error::Invalid("the mask hides every pixel".into()));
        }
        let known = known.as_standard_layout().into_owned();
        Ok(Mask { dims, known })
    }

    /// Which pixels are known, `[1 or channels, height, width]`.
    pub fn known(&self) -> &Array3<bool> {
        &self.known
    }

    /// The mask of channel `c`, row by row.
    fn channel(&self, c: usize) -> &[bool] {
        let n = self.dims.h * self.dims.w;
        let first = if self.known.dim().0 == 1 { 0 } else { c * n };
        &self.known.as_slice().expect("in standard layout")[first..first + n]
    }

    /// `f(channel, plane)` for every plane of a copy of `x`.
    fn each(&self, x: &Image, f: impl Fn(usize, &mut [f32])) -> Image {
        plane::check(x, self.dims);
        let mut out = x.as_standard_layout().into_owned();
        let n = self.dims.h * self.dims.w;
        for (i, out) in plane::values(&mut out).chunks_exact_mut(n).enumerate() {
            f(i % self.dims.c, out);
        }
        out
    }
}

impl Operator for Mask {
    fn name(&self) -> &'static str {
        "mask"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        spectrum::image(self, x, |s| s)
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.apply(u)
    }

    /// Each unknown pixel is like the nearest known one of its channel.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.dims);
        nearest::filled(y, &self.known)
    }

    fn loss(&self) -> Loss {
        Loss {
            pixels: self.known.iter().any(|&k| !k),
            ..Loss::NOTHING
        }
    }

    /// A pixel counts if any of its channels is known.
    fn recorded(&self) -> Option<Array2<bool>> {
        Some(
            self.known
                .map_axis(Axis(0), |channels| channels.iter().any(|&k| k)),
        )
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Mask {
    fn adjoint(&self, u: &Image) -> Image {
        self.apply(u)
    }

    fn pixelwise(&self) -> bool {
        true
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        Some(self)
    }

    fn pseudo_inverse(&self, y: &Image) -> Image {
        self.apply(y)
    }

    /// `(y + rho*z)/(1 + rho)` where known, `z` elsewhere.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, _: cg::Params) -> Image {
        plane::check(z, self.dims);
        assert_eq!(y.dim(), z.dim(), "the images do not fit together");
        let mut x = z.as_standard_layout().into_owned();
        for (mut x, y) in x.outer_iter_mut().zip(y.outer_iter()) {
            for (c, (mut x, y)) in x.outer_iter_mut().zip(y.outer_iter()).enumerate() {
                for ((x, &y), &known) in x.iter_mut().zip(y).zip(self.channel(c)) {
                    *x = if known { blend(y, *x, rho) } else { *x };
                }
            }
        }
        x
    }

    /// Known pixels as they are in `y`.
    fn project(&self, y: &Image, x: &Image) -> Image {
        self.prox_within(y, x, 0.0, cg::Params::default())
    }

    fn isometry(&self) -> Option<f64> {
        Some(1.0)
    }
}

/// Singular values are 1 and 0, and the vectors pixels.
impl Spectrum for Mask {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let weigh = |gain: &Gain<'_>| {
            let (seen, hidden) = (gain(1.0) as f32, gain(0.0) as f32);
            self.each(x, |c, x| {
                for (x, &known) in x.iter_mut().zip(self.channel(c)) {
                    // Not a product with 0: what a measurement holds at unknown pixels may be anything.
                    *x = match known {
                        true => seen * *x,
                        false if hidden == 0.0 => 0.0,
                        false => hidden * *x,
                    };
                }
            })
        };
        gains.iter().map(weigh).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let weigh = |gain: &Gain<'_>| {
            let seen = gain(1.0);
            spectrum::image(self, y, |s| s * seen)
        };
        gains.iter().map(weigh).collect()
    }

    fn norm(&self) -> f64 {
        1.0
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.iter().filter(|&&k| k).count();
        write!(
            f,
            "Mask({}, {known} of {} known)",
            self.dims,
            self.known.len()
        )
    }
}

/// A length in an image: pixels, or a part of the side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Extent {
    /// Pixels; written as a whole number.
    Pixels(usize),
    /// Part of the side, 0 to 1; written with a point, or with % on the command line.
    Fraction(f64),
}

impl Extent {
    /// In pixels, of a side of `n`, rounded.
    fn of(self, n: usize) -> Result<usize, Error> {
        match self {
            Extent::Pixels(pixels) => Ok(pixels),
            Extent::Fraction(part) => {
                fraction("a part of the image", part)?;
                Ok((part * n as f64).round() as usize)
            }
        }
    }
}

impl FromStr for Extent {
    type Err = Error;

    fn from_str(s: &str) -> Result<Extent, Error> {
        let number = |s: &str| {
            s.trim().parse::<f64>().map_err(|_| {
                Error::Invalid(format!("`{s}` is not a length: write 128, 0.5 or 50%"))
            })
        };
        if let Ok(pixels) = s.trim().parse() {
            return Ok(Extent::Pixels(pixels));
        }
        let part = match s.trim().strip_suffix('%') {
            Some(percent) => number(percent)? / 100.0,
            None => number(s)?,
        };
        fraction("a part of the image", part)?;
        Ok(Extent::Fraction(part))
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::Pixels(pixels) => write!(f, "{pixels}"),
            // With a point, also where it is 0 or 1.
            Extent::Fraction(part) => write!(f, "{part:?}"),
        }
    }
}

/// A box in an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxSpec {
    /// Its height.
    pub height: Extent,
    /// Its width.
    pub width: Extent,
    /// Rows above it; in the middle if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<Extent>,
    /// Columns to the left of it; in the middle if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Extent>,
    /// Hides what is outside the box, rather than what is in it.
    #[serde(default)]
    pub outside: bool,
}

/// Which shade of a mask picture marks the holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holes {
    /// White is to be filled, as in inpainting tools.
    #[default]
    White,
    /// Black is to be filled, as in the literature, whose `m` is 1 at known pixels.
    Black,
}

/// A mask for any size of image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MaskSpec {
    /// A picture of the image's size, see [`Mask::new`]; colours count by their luma.
    Picture {
        /// The file.
        path: PathBuf,
        /// Which shade marks the holes.
        #[serde(default)]
        holes: Holes,
        /// The value, 0 to 1, above which a pixel counts as white.
        #[serde(default = "middle")]
        threshold: f32,
    },
    /// Random pixels, see [`Mask::random`].
    Random {
        /// The part of the pixels that is hidden, 0 to 1.
        hidden: f64,
        /// Decides which.
        #[serde(default)]
        seed: u64,
    },
    /// A box, see [`Mask::hide_box`].
    Box(BoxSpec),
}

fn middle() -> f32 {
    0.5
}

impl MaskSpec {
    /// The mask for images of these dimensions.
    ///
    /// # Errors
    /// Those of the constructors named above, and [`Error::File`] if a picture cannot be read.
    pub fn mask(&self, dims: Dims) -> Result<Mask, Error> {
        match self {
            MaskSpec::Random { hidden, seed } => Mask::random(dims, *hidden, *seed),
            MaskSpec::Box(hole) => Mask::hide_box(dims, hole),
            MaskSpec::Picture {
                path,
                holes,
                threshold,
            } => {
                let fits = |size| read::check_size("mask", dims, size);
                let picture = read::mask(path, (dims.h, dims.w), fits)?;
                let known = picture.mapv(|v| (v > *threshold) == (*holes == Holes::Black));
                Mask::from_known(dims, known.insert_axis(Axis(0)))
            }
        }
    }
}

/// `random:P` (hides a share P of the pixels), `box:HEIGHT,WIDTH[,TOP,LEFT]` (pixels, or parts as `50%`; in the middle if
/// no place is given), or the file of a picture whose white pixels are the holes.
impl FromStr for MaskSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<MaskSpec, Error> {
        if let Some(share) = text.strip_prefix("random:") {
            return match share.parse() {
                Ok(hidden) if (0.0..=1.0).contains(&hidden) => {
                    Ok(MaskSpec::Random { hidden, seed: 0 })
                }
                _ => Err(Error::Invalid(
                    "random:P hides a share P of the pixels, from 0 to 1".into(),
                )),
            };
        }
        if let Some(sides) = text.strip_prefix("box:") {
            return sides.parse().map(MaskSpec::Box);
        }
        Ok(MaskSpec::Picture {
            path: text.into(),
            holes: Holes::White,
            threshold: middle(),
        })
    }
}

/// `HEIGHT,WIDTH[,TOP,LEFT]`.
impl FromStr for BoxSpec {
    type Err = Error;

    fn from_str(sides: &str) -> Result<BoxSpec, Error> {
        let sides: Vec<Extent> = sides.split(',').map(str::parse).collect::<Result<_, _>>()?;
        let (height, width, place) = match *sides.as_slice() {
            [height, width] => (height, width, None),
            [height, width, top, left] => (height, width, Some((top, left))),
            _ => {
                return Err(Error::Invalid(
                    "write box:HEIGHT,WIDTH or box:HEIGHT,WIDTH,TOP,LEFT".into(),
                ));
            }
        };
        Ok(BoxSpec {
            height,
            width,
            top: place.map(|p| p.0),
            left: place.map(|p| p.1),
            outside: false,
        })
    }
}

impl Described for MaskSpec {
    const SUMMARY: &'static str = "hides pixels: random ones, a box, or the white of a picture";
    const EXAMPLE: &'static str = "shape = 'random'\nhidden = 0.5";
    const FLAGS: &'static [Flag] = &[Flag {
        name: "mask",
        value: "MASK",
        help: "Mask: a picture of the same size whose white pixels are the holes, `random:P` for a share P of the pixels, or \
               `box:HEIGHT,WIDTH[,TOP,LEFT]` in pixels or parts (`50%`)",
        example: "random:0.5",
        default: None,
        check: parses::<MaskSpec>,
    }];

    fn from_flags(flags: &Flags<'_>) -> Result<MaskSpec, Error> {
        let mut mask = flags.need(&MaskSpec::FLAGS[0])?;
        if let MaskSpec::Random { seed, .. } = &mut mask {
            *seed = flags.seed;
        }
        Ok(mask)
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(self.mask(input)?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        match self {
            MaskSpec::Picture { path, .. } => vec![path],
            _ => Vec::new(),
        }
    }
}

/// That a number is a part of a whole.
fn fraction(what: &str, part: f64) -> Result<(), Error> {
    if (0.0..=1.0).contains(&part) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{what} is between 0 and 1, not {part}"
    )))
}

/// Where a box lies along a side of `n` pixels.
fn span(
    what: &str,
    n: usize,
    length: Extent,
    start: Option<Extent>,
) -> Result<std::ops::Range<usize>, Error> {
    let length = length.of(n)?;
    let start = match start {
        Some(start) => start.of(n)?,
        None => n.saturating_sub(length) / 2,
    };
    match start.checked_add(length) {
        Some(end) if length > 0 && end <= n => Ok(start..end),
        _ => Err(Error::Invalid(format!(
            "a box with a {what} of {length} pixels from {start} does not lie within {n} pixels"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        for (text, extent, written) in [
            ("128", Extent::Pixels(128), "128"),
            ("50%", Extent::Fraction(0.5), "0.5"),
            ("1.0", Extent::Fraction(1.0), "1.0"),
        ] {
            assert_eq!(text.parse::<Extent>().unwrap(), extent);
            assert_eq!(extent.to_string(), written);
        }
        for text in ["", "-3", "1.5", "150%", "NaN", "x%"] {
            assert!(text.parse::<Extent>().is_err(), "{text}");
        }
    }

    #[test]
    fn texts() {
        let mask = |text: &str| text.parse::<MaskSpec>();
        let random = MaskSpec::Random {
            hidden: 0.5,
            seed: 0,
        };
        assert_eq!(mask("random:0.5").unwrap(), random);
        assert!(mask("random:2").is_err());
        assert!(matches!(mask("box:50%,20"), Ok(MaskSpec::Box(_))));
        assert!(matches!(mask("box:8,8,1,2"), Ok(MaskSpec::Box(_))));
        assert!(mask("box:8").is_err());
        assert!(matches!(mask("m.png"), Ok(MaskSpec::Picture { .. })));
    }

    #[test]
    fn boxes() {
        let dims = Dims::new(1, 4, 6);
        let mut hole = BoxSpec {
            height: Extent::Pixels(2),
            width: Extent::Fraction(0.5),
            top: None,
            left: Some(Extent::Pixels(3)),
            outside: false,
        };
        let hidden = |hole: &BoxSpec| -> Vec<(usize, usize)> {
            let mask = Mask::hide_box(dims, hole).unwrap();
            let known = mask.known().indexed_iter();
            known
                .filter(|(_, k)| !**k)
                .map(|((_, i, j), _)| (i, j))
                .collect()
        };
        assert_eq!(
            hidden(&hole),
            [(1, 3), (1, 4), (1, 5), (2, 3), (2, 4), (2, 5)]
        );
        hole.outside = true;
        assert_eq!(hidden(&hole).len(), 24 - 6);
        for (height, left) in [
            (Extent::Pixels(5), 0),
            (Extent::Pixels(0), 0),
            (Extent::Fraction(2.0), 0),
            (Extent::Pixels(1), 4),
            (Extent::Pixels(1), usize::MAX),
        ] {
            hole.height = height;
            hole.left = Some(Extent::Pixels(left));
            assert!(Mask::hide_box(dims, &hole).is_err(), "{hole:?}");
        }
        hole = BoxSpec {
            height: Extent::Fraction(1.0),
            width: Extent::Pixels(6),
            top: None,
            left: None,
            outside: false,
        };
        let error = Mask::hide_box(dims, &hole).unwrap_err().to_string();
        assert_eq!(error, "the mask hides every pixel");
    }
}
