//! Masks: only some pixels were recorded.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use ndarray::{Array2, Array3, ArrayView3, Axis, s};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::identity::blend;
use super::marks::{self, grown, marked};
use super::spec::{Described, Flag, Flags, parses};
use super::{
    Error, Gain, Linear, Loss, Operator, Spectrum, cg, nearest, not_empty, patches, plane, read,
    spectrum, strokes,
};
use crate::image::Picture;
use crate::noise::generator;
use crate::{Dims, Image};

pub use marks::Holes;

/// Holes so deep, in pixels, are more than a smooth picture fills.
const LARGE: usize = 10;

/// `y = m * x`, pixel by pixel, with `m` 1 where a pixel is known and 0 where it is not; of full size.
///
/// `A = A^T = A^+`. What a measurement holds at unknown pixels is not looked at.
#[derive(Clone, PartialEq)]
pub struct Mask {
    dims: Dims,
    /// `[channel, height, width]`; of one channel if it serves all.
    known: Array3<bool>,
    /// How deep the largest hole is, in pixels.
    hole: usize,
    /// Whether a hole is large, and there is enough elsewhere in the picture to fill it with.
    elsewhere: bool,
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

    /// Hides the pixels that `holes` `[height, width]` marks.
    fn with_holes(dims: Dims, holes: Array2<bool>) -> Result<Mask, Error> {
        Mask::from_known(dims, holes.mapv(|m| !m).insert_axis(Axis(0)))
    }

    fn from_known(dims: Dims, known: Array3<bool>) -> Result<Mask, Error> {
        not_empty("a mask", dims)?;
        if !known.iter().any(|&k| k) {
            return Err(Error::Invalid("the mask hides every pixel".into()));
        }
        let known = known.as_standard_layout().into_owned();
        let deepest = known.outer_iter().map(nearest::depth).fold(0.0, f32::max);
        // Of a channel nothing may be known.
        let hole = deepest.min(dims.h.max(dims.w) as f32) as usize;
        let mut mask = Mask {
            dims,
            known,
            hole,
            elsewhere: false,
        };
        mask.elsewhere = hole >= LARGE && patches::enough(&mask.hidden());
        Ok(mask)
    }

    /// The part of it for some rows and columns, which takes its holes for as deep as they are in all of it.
    pub(crate) fn part(&self, [rows, columns]: &[Range<usize>; 2]) -> Mask {
        let known = self.known.slice(s![.., rows.clone(), columns.clone()]);
        Mask {
            dims: Dims::new(self.dims.c, rows.len(), columns.len()),
            known: known.as_standard_layout().into_owned(),
            hole: self.hole,
            elsewhere: self.elsewhere,
        }
    }

    /// Whether a hole is so large that it is filled with what lies elsewhere in the picture, of which there is enough.
    pub fn fills_from_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// How deep the largest hole is, in pixels from its edge to its innermost pixel.
    pub fn depth(&self) -> usize {
        self.hole
    }

    /// Which pixels are known, `[1 or channels, height, width]`.
    pub fn known(&self) -> &Array3<bool> {
        &self.known
    }

    /// Pixels of which a channel is not known, `[height, width]`.
    pub fn hidden(&self) -> Array2<bool> {
        self.known
            .map_axis(Axis(0), |channels| channels.iter().any(|&k| !k))
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

    /// Each unknown pixel is like the nearest known one of its channel; large holes are filled with what lies elsewhere in the
    /// picture, as far as there is enough of it.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.dims);
        let near = nearest::filled(y, &self.known);
        match self.elsewhere {
            true => self.project(y, &patches::filled(near, &self.hidden())),
            false => near,
        }
    }

    fn loss(&self) -> Loss {
        Loss {
            pixels: self.hole > 0,
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

    fn mask(&self) -> Option<&Mask> {
        Some(self)
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

/// A mask for any size of image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MaskSpec {
    /// A picture of the image's size. What of it marks a hole is found as painting programs mean it: the brighter of two
    /// values; of more, all that is clearly brighter than the darkest; paint of any colour on a transparent layer.
    Picture {
        /// The file.
        path: PathBuf,
        /// Which shade marks the holes.
        #[serde(default)]
        holes: Holes,
        /// The brightness, 0 to 1, of a pixel's brightest channel, above which it counts as white; found if not given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<f32>,
        /// By how many pixels holes are made larger on all sides.
        #[serde(default, skip_serializing_if = "is_zero")]
        grow: usize,
    },
    /// What is transparent in the picture itself.
    Alpha {
        /// By how many pixels holes are made larger on all sides.
        #[serde(default, skip_serializing_if = "is_zero")]
        grow: usize,
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
    /// A box of this size at a random place, at least `margin` from the edges: that of DPS, DiffPIR and DAPS is 128 of 256 pixels a
    /// side, 16 from them.
    RandomBox {
        /// Its height.
        height: Extent,
        /// Its width.
        width: Extent,
        /// How far from the edges, in pixels.
        #[serde(default)]
        margin: usize,
        /// Decides where.
        #[serde(default)]
        seed: u64,
    },
    /// Strokes of a brush, until this part of the pixels is hidden.
    Strokes {
        /// The part, 0 to 1.
        hidden: f64,
        /// Decides which.
        #[serde(default)]
        seed: u64,
    },
    /// The last rows (or columns) of every so many; RePaint's alternating lines are 1 of 2.
    Stripes {
        /// How many rows there are from a stripe to the next.
        every: usize,
        /// How many of these are hidden.
        hidden: usize,
        /// Columns in the place of rows.
        #[serde(default)]
        columns: bool,
    },
    /// All but one pixel of every `every` rows and columns, from the first: RePaint's super-resolution by holes.
    Lattice {
        /// How far known pixels lie apart.
        every: usize,
    },
}

fn is_zero(grow: &usize) -> bool {
    *grow == 0
}

/// Of a picture of which more is filled, the mask may be the wrong way round.
const MOST: f64 = 0.9;

/// How far the colours of what was painted bleed into what is known, in pixels, where a JPEG stores them at half the size. Letters on
/// four development pictures, saved with them at qualities of 50 to 95: in the holes 5 to 8 dB better than without; 1 and 3 are nearly
/// as good at most, and where each pixel has its own colours all of them lose.
const BLED: usize = 2;

/// If more than this part of a picture would be filled then, too little would be known.
const MOST_BLED: f64 = 0.6;

impl MaskSpec {
    /// The mask for images of these dimensions.
    ///
    /// # Errors
    /// Those of the constructors named above, [`Error::File`] if a picture cannot be read or marks nothing, and
    /// [`Error::Invalid`] for [`MaskSpec::Alpha`], which no dimensions tell.
    pub fn mask(&self, dims: Dims) -> Result<Mask, Error> {
        match self {
            MaskSpec::Random { hidden, seed } => Mask::random(dims, *hidden, *seed),
            MaskSpec::RandomBox {
                height,
                width,
                margin,
                seed,
            } => Mask::hide_box(dims, &placed(dims, [*height, *width], *margin, *seed)?),
            MaskSpec::Strokes { hidden, seed } => {
                brushed(*hidden)?;
                not_empty("a mask", dims)?;
                Mask::with_holes(dims, strokes::marked((dims.h, dims.w), *hidden, *seed))
            }
            MaskSpec::Stripes {
                every,
                hidden,
                columns,
            } => {
                apart(*every, *hidden)?;
                let known = every - hidden;
                let at = |(i, j)| if *columns { j } else { i };
                let holes = |at_pixel| at(at_pixel) % every >= known;
                Mask::with_holes(dims, Array2::from_shape_fn((dims.h, dims.w), holes))
            }
            MaskSpec::Lattice { every } => {
                apart(*every, every.saturating_sub(1))?;
                let holes = |(i, j)| i % every != 0 || j % every != 0;
                Mask::with_holes(dims, Array2::from_shape_fn((dims.h, dims.w), holes))
            }
            MaskSpec::Box(hole) => Mask::hide_box(dims, hole),
            MaskSpec::Alpha { .. } => Err(Error::Invalid(
                "the mask `alpha` is that of a picture with transparent parts: use it with inpaint"
                    .into(),
            )),
            MaskSpec::Picture {
                path,
                holes,
                threshold,
                grow,
            } => {
                let fits = |size| read::check_size("mask", dims, size);
                let picture = read::picture(path, (dims.h, dims.w), fits)?;
                let holes = marked(&picture, *holes, *threshold);
                if !holes.iter().any(|&m| m) {
                    return Err(Error::File {
                        path: path.clone(),
                        why: NOTHING_MARKED.into(),
                    });
                }
                Mask::with_holes(dims, grown(holes, *grow))
            }
        }
    }

    /// The mask for a picture, whose transparent parts may be the holes. How much is to be filled is noted, and by how much more than was
    /// marked, where a file has spread the colours of what was marked.
    ///
    /// # Errors
    /// Those of [`MaskSpec::mask`], and [`Error::Invalid`] if nothing is transparent.
    pub fn mask_for(&self, picture: &Picture, notes: &mut Vec<String>) -> Result<Mask, Error> {
        let dims = picture.dims();
        let mask = match self {
            MaskSpec::Alpha { grow } => {
                let holes = picture.alpha.as_ref().map(marks::transparent);
                let some = holes.filter(|holes| holes.iter().any(|&m| m));
                let holes = some.ok_or_else(|| Error::Invalid(NOTHING_TRANSPARENT.into()))?;
                Mask::with_holes(dims, grown(holes, *grow))?
            }
            _ => self.beyond_what_bled(self.mask(dims)?, picture, notes)?,
        };
        let filled = mask.hidden().iter().filter(|&&hidden| hidden).count();
        let all = dims.h * dims.w;
        let share = filled as f64 / all as f64;
        let hint = match self {
            MaskSpec::Picture { holes, .. } if share > MOST => format!(
                "; if the holes are the mask's {0}, say --holes {0}",
                holes.other()
            ),
            _ => String::new(),
        };
        let percent = match 100.0 * share {
            small if filled > 0 && small < 0.1 => "less than 0.1".to_owned(),
            percent => format!("{percent:.1}"),
        };
        notes.push(format!(
            "fills {filled} of {all} pixels ({percent} %){hint}"
        ));
        Ok(mask)
    }

    /// A mask that was painted, larger where the file has spread the colours of what lies under it.
    fn beyond_what_bled(
        &self,
        mask: Mask,
        picture: &Picture,
        notes: &mut Vec<String>,
    ) -> Result<Mask, Error> {
        let painted = matches!(self, MaskSpec::Picture { grow: 0, .. });
        let file = picture.jpeg.as_ref();
        if !painted || !file.is_some_and(|file| file.shares_colours()) {
            return Ok(mask);
        }
        let wider = grown(mask.hidden(), BLED);
        let filled = wider.iter().filter(|&&hidden| hidden).count();
        if filled as f64 > MOST_BLED * wider.len() as f64 {
            return Ok(mask);
        }
        notes.push(format!(
            "neighbours share their colours in this JPEG: holes are made {BLED} pixels larger, for what bled from them (--grow N for more)"
        ));
        Mask::with_holes(picture.dims(), wider)
    }

    /// With the shade and the growth that the command line asks for.
    fn with_marks(mut self, shade: Holes, by: usize) -> Result<MaskSpec, Error> {
        match &mut self {
            MaskSpec::Picture { holes, grow, .. } => (*holes, *grow) = (shade, by),
            MaskSpec::Alpha { grow } if shade == Holes::White => *grow = by,
            _ if shade == Holes::Black => {
                return Err(Error::Invalid(
                    "--holes black is for masks that are pictures: leave it out".into(),
                ));
            }
            _ if by > 0 => {
                return Err(Error::Invalid(
                    "--grow is for masks that are pictures, and for `alpha`: leave it out".into(),
                ));
            }
            _ => {}
        }
        Ok(self)
    }
}

const NOTHING_MARKED: &str = "marks nothing: it is of one shade all over; paint the holes, white on black or on a transparent layer";

const NOTHING_TRANSPARENT: &str = "nothing in the picture is transparent, so that --mask alpha marks nothing: erase what is to be filled, or name a mask";

/// That of every so many rows some are hidden, and not all.
fn apart(every: usize, hidden: usize) -> Result<(), Error> {
    match hidden < every {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "of every {every} rows fewer must be hidden, not {hidden}"
        ))),
    }
}

/// That strokes leave gaps: the last ones would take for ever.
fn brushed(hidden: f64) -> Result<(), Error> {
    match (0.0..=0.9).contains(&hidden) {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "strokes hide a part of the pixels from 0 to 0.9, not {hidden}"
        ))),
    }
}

/// A box at a random place.
fn placed(dims: Dims, sides: [Extent; 2], margin: usize, seed: u64) -> Result<BoxSpec, Error> {
    let [height, width] = [sides[0].of(dims.h)?, sides[1].of(dims.w)?];
    let mut rng = generator(seed, "mask");
    let mut place = |n: usize, length: usize| {
        let free = n.checked_sub(length)?.checked_sub(2 * margin)?;
        Some(Extent::Pixels(margin + rng.random_range(0..=free)))
    };
    let (top, left) = (place(dims.h, height), place(dims.w, width));
    match top.zip(left) {
        Some((top, left)) => Ok(BoxSpec {
            height: Extent::Pixels(height),
            width: Extent::Pixels(width),
            top: Some(top),
            left: Some(left),
            outside: false,
        }),
        None => Err(Error::Invalid(format!(
            "a box of {height} x {width} pixels, {margin} from the edges, does not lie within {} x {}",
            dims.h, dims.w
        ))),
    }
}

/// The masks that are a few numbers.
fn shape(name: &str, numbers: &[&str]) -> Option<MaskSpec> {
    let whole = |text: &str| text.trim().parse::<usize>().ok();
    let seed = 0;
    Some(match (name, numbers) {
        ("box-random", [height, width]) | ("box-random", [height, width, _]) => {
            MaskSpec::RandomBox {
                height: height.parse().ok()?,
                width: width.parse().ok()?,
                margin: numbers.get(2).map_or(Some(0), |margin| whole(margin))?,
                seed,
            }
        }
        ("strokes", [hidden]) => MaskSpec::Strokes {
            hidden: hidden.parse().ok().filter(|part| brushed(*part).is_ok())?,
            seed,
        },
        ("stripes" | "columns", [every, hidden]) => MaskSpec::Stripes {
            every: whole(every)?,
            hidden: whole(hidden)?,
            columns: name == "columns",
        },
        ("lattice", [every]) => MaskSpec::Lattice {
            every: whole(every)?,
        },
        _ => return None,
    })
}

/// What [`shape`] reads.
const SHAPES: [(&str, &str); 5] = [
    ("box-random", "box-random:HEIGHT,WIDTH[,MARGIN]"),
    ("strokes", "strokes:P with a share P from 0 to 0.9"),
    ("stripes", "stripes:EVERY,HIDDEN in rows"),
    ("columns", "columns:EVERY,HIDDEN"),
    ("lattice", "lattice:EVERY"),
];

/// `random:P` (hides a share P of the pixels), `box:HEIGHT,WIDTH[,TOP,LEFT]` (pixels, or parts as `50%`; in the middle if
/// no place is given), `box-random:HEIGHT,WIDTH[,MARGIN]`, `strokes:P`, `stripes:EVERY,HIDDEN` (rows), `columns:EVERY,HIDDEN`,
/// `lattice:EVERY`, `alpha` (what is transparent in the picture), or the file of a picture that marks the holes.
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
        if let Some((name, numbers)) = text.split_once(':')
            && let Some((_, form)) = SHAPES.iter().find(|(known, _)| *known == name)
        {
            let numbers: Vec<&str> = numbers.split(',').collect();
            return shape(name, &numbers)
                .ok_or_else(|| Error::Invalid(format!("`{text}` is no mask: write {form}")));
        }
        if text == "alpha" {
            return Ok(MaskSpec::Alpha { grow: 0 });
        }
        Ok(MaskSpec::Picture {
            path: text.into(),
            holes: Holes::White,
            threshold: None,
            grow: 0,
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
    const SUMMARY: &'static str =
        "hides pixels: random ones, a box, strokes, stripes, or the white of a picture";
    const EXAMPLE: &'static str = "shape = 'random'\nhidden = 0.5";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "mask",
            value: "MASK",
            help: "Mask: a picture of the same size that marks the holes (white on black, or paint on a transparent layer), `alpha` \
                   for what is transparent in the picture itself, `random:P` for a share P of the pixels, \
                   `box:HEIGHT,WIDTH[,TOP,LEFT]` in pixels or parts (`50%`), `box-random:HEIGHT,WIDTH[,MARGIN]`, `strokes:P` for \
                   strokes of a brush over a share P, `stripes:EVERY,HIDDEN` and `columns:EVERY,HIDDEN` for rows and columns, or \
                   `lattice:EVERY` for all but one pixel of so many rows and columns",
            example: "random:0.5",
            default: None,
            check: parses::<MaskSpec>,
        },
        Flag {
            name: "holes",
            value: "SHADE",
            help: "Which shade of a mask picture marks the holes: `white`, or `black`",
            example: "black",
            default: Some("white"),
            check: parses::<Holes>,
        },
        Flag {
            name: "grow",
            value: "N",
            help: "Make the holes of a mask picture N pixels larger on all sides",
            example: "3",
            default: Some("0"),
            check: |text| growth(text).map(drop),
        },
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<MaskSpec, Error> {
        let [mask, holes, grow] = MaskSpec::FLAGS else {
            unreachable!("there are three");
        };
        let mut mask: MaskSpec = flags.need(mask)?;
        if let MaskSpec::Random { seed, .. }
        | MaskSpec::RandomBox { seed, .. }
        | MaskSpec::Strokes { seed, .. } = &mut mask
        {
            *seed = flags.seed;
        }
        mask.with_marks(flags.need(holes)?, growth(flags.text(grow)?)?)
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(self.mask(input)?))
    }

    fn build_for(
        &self,
        picture: &Picture,
        notes: &mut Vec<String>,
    ) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(self.mask_for(picture, notes)?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        match self {
            MaskSpec::Picture { path, .. } => vec![path],
            _ => Vec::new(),
        }
    }
}

/// The most that holes grow by: more than any brush is wide.
const MOST_GROWTH: usize = 10_000;

fn growth(text: &str) -> Result<usize, Error> {
    match text.trim().parse() {
        Ok(by) if by <= MOST_GROWTH => Ok(by),
        _ => Err(Error::Invalid(format!(
            "--grow takes a number of pixels from 0 to {MOST_GROWTH}, not `{text}`"
        ))),
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
) -> Result<Range<usize>, Error> {
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

    /// The protocols' masks: as many rows, columns and pixels as they say, the box within its margins, other places with other
    /// seeds. Wrong: known and hidden rows exchanged, a box that never lies at its farthest place.
    #[test]
    fn shapes_are_those_of_the_protocols() {
        let dims = Dims::new(3, 12, 10);
        let hidden = |text: &str| {
            text.parse::<MaskSpec>()
                .unwrap()
                .mask(dims)
                .unwrap()
                .hidden()
        };
        let count = |text: &str| hidden(text).iter().filter(|&&h| h).count();
        assert_eq!(count("stripes:2,1"), 60);
        assert_eq!(count("stripes:5,2"), 40);
        assert_eq!(count("columns:5,2"), 48);
        assert_eq!(count("lattice:2"), 120 - 30);
        assert_eq!(count("strokes:0.4"), 48);
        let rows = hidden("stripes:2,1");
        assert!(!rows[[0, 3]] && rows[[1, 3]] && !hidden("lattice:3")[[3, 6]]);
        let mut places = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut spec: MaskSpec = "box-random:4,5,1".parse().unwrap();
            let MaskSpec::RandomBox { seed: own, .. } = &mut spec else {
                panic!("a box was written");
            };
            *own = seed;
            let holes = spec.mask(dims).unwrap().hidden();
            assert_eq!(holes.iter().filter(|&&h| h).count(), 20);
            let first = holes.indexed_iter().find(|(_, hidden)| **hidden);
            places.insert(first.unwrap().0);
        }
        assert_eq!(places.first(), Some(&(1, 1)));
        assert_eq!((places.last(), places.len()), (Some(&(7, 4)), 28));
        for wrong in [
            "stripes:2",
            "stripes:2,2",
            "columns:0,0",
            "lattice:0",
            "strokes:0.95",
            "strokes:x",
            "box-random:4",
            "box-random:11,4,1",
            "box-random:4,5,-1",
        ] {
            let built = wrong.parse::<MaskSpec>().and_then(|spec| spec.mask(dims));
            assert!(built.is_err(), "{wrong}");
        }
    }

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
        assert!(matches!(mask("alpha"), Ok(MaskSpec::Alpha { grow: 0 })));
        let marks = |text, shade, by| mask(text).unwrap().with_marks(shade, by);
        assert!(marks("m.png", Holes::Black, 3).is_ok() && marks("alpha", Holes::White, 3).is_ok());
        assert!(marks("alpha", Holes::Black, 0).is_err());
        assert!(marks("random:0.5", Holes::White, 1).is_err());
        assert!(growth("-1").is_err() && growth("20000").is_err() && growth("7").is_ok());
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

    /// Where a file stores colours at half the size, painted holes are larger by what bleeds from them; where each pixel has its own, where
    /// another growth is asked for, and where hardly anything would be left, they are as they are. Wrong: a ring of paint around each hole.
    #[test]
    fn holes_of_a_file_that_shares_colours_are_larger() {
        let folder = tempfile::tempdir().unwrap();
        let good = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/good");
        let path = folder.path().join("mask.png");
        let hidden = |name: &str, side: usize, grow: usize| {
            let picture = crate::image::read(good.join(name)).unwrap();
            let Dims { h, w, .. } = picture.dims();
            let paint = Image::from_shape_fn(
                (1, 1, h, w),
                |(_, _, i, j)| {
                    if i.max(j) < side { 1.0 } else { 0.0 }
                },
            );
            let paint = Picture::new(paint);
            let overwrite = crate::image::Overwrite::Allow;
            crate::image::write(&path, &paint, &Default::default(), overwrite).unwrap();
            let spec = MaskSpec::Picture {
                path: path.clone(),
                holes: Holes::White,
                threshold: None,
                grow,
            };
            let mut notes = Vec::new();
            let mask = spec.mask_for(&picture, &mut notes).unwrap();
            let hidden = mask.hidden().iter().filter(|&&hidden| hidden).count();
            (hidden, notes.len())
        };
        // A square of four, by two pixels to the right and below and a quarter of a disk.
        assert_eq!(hidden("rough-420.jpg", 4, 0), (16 + 2 * 8 + 1, 2));
        assert_eq!(hidden("rough-444.jpg", 4, 0), (16, 1));
        assert_eq!(hidden("rough-420.jpg", 4, 1), (16 + 2 * 4, 1));
        assert_eq!(hidden("rough-420.jpg", 34, 0), (34 * 34, 1));
    }
}
