//! A Bayer colour filter array: of each pixel one colour was recorded.

use std::fmt;
use std::str::FromStr;

use ndarray::{ArrayView2, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::identity::blend;
use super::spec::{Described, Flag, Flags, parses};
use super::{
    Boundary, Error, Gain, Identity, Linear, Loss, Operator, Spectrum, cg, not_empty, plane,
};
use crate::{Dims, Image};

/// Channel of the colour that is recorded twice in each block.
const GREEN: usize = 1;

/// Which colours the top left block of 2x2 pixels records, row by row; all other blocks are like it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bayer {
    /// Red and green above green and blue.
    #[default]
    Rggb,
    /// Blue and green above green and red.
    Bggr,
    /// Green and red above blue and green.
    Grbg,
    /// Green and blue above red and green.
    Gbrg,
}

impl Bayer {
    /// All of them.
    pub const ALL: [Bayer; 4] = [Bayer::Rggb, Bayer::Bggr, Bayer::Grbg, Bayer::Gbrg];

    /// The channel that is recorded in this row and column: 0 for red, 1 for green, 2 for blue.
    pub fn channel(self, row: usize, column: usize) -> usize {
        // Red has a corner of each block, blue the opposite one, green the two beside.
        let (red_row, red_column) = match self {
            Bayer::Rggb => (0, 0),
            Bayer::Bggr => (1, 1),
            Bayer::Grbg => (0, 1),
            Bayer::Gbrg => (1, 0),
        };
        usize::from(row % 2 != red_row) + usize::from(column % 2 != red_column)
    }
}

impl fmt::Display for Bayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bayer::Rggb => "rggb",
            Bayer::Bggr => "bggr",
            Bayer::Grbg => "grbg",
            Bayer::Gbrg => "gbrg",
        })
    }
}

/// In small or, as other programs print them, capital letters.
impl FromStr for Bayer {
    type Err = Error;

    fn from_str(s: &str) -> Result<Bayer, Error> {
        let name = s.to_ascii_lowercase();
        let mut all = Bayer::ALL.into_iter();
        all.find(|pattern| pattern.to_string() == name)
            .ok_or_else(|| {
                Error::Invalid(format!(
                    "`{s}` is not a Bayer pattern; there are rggb, bggr, grbg and gbrg"
                ))
            })
    }
}

/// `y_ij = x_cij` with `c` the channel that the pattern names: one channel from three.
///
/// `A A^T = I`: each recorded number is one of the image's, so that everything is in closed form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mosaic {
    input: Dims,
    pattern: Bayer,
}

impl Mosaic {
    /// For images of these dimensions, of any height and width.
    ///
    /// # Errors
    /// [`Error::Input`] if they hold no pixel or there are not three channels.
    pub fn new(input: Dims, pattern: Bayer) -> Result<Mosaic, Error> {
        not_empty("mosaic", input)?;
        if input.c != 3 {
            return Err(Error::Input {
                operator: "mosaic",
                expected: "three channels",
                got: input,
            });
        }
        Ok(Mosaic { input, pattern })
    }

    /// A copy of `x` in which each number that is recorded is what `f` makes of it and of its record in `y`.
    fn with(&self, x: &Image, y: &Image, f: impl Fn(f32, f32) -> f32) -> Image {
        plane::check(x, self.input);
        plane::check(y, self.output());
        assert_eq!(x.dim().0, y.dim().0, "the images do not fit together");
        let mut out = x.as_standard_layout().into_owned();
        for (mut out, y) in out.outer_iter_mut().zip(y.outer_iter()) {
            for ((_, i, j), &y) in y.indexed_iter() {
                let x = &mut out[[self.pattern.channel(i, j), i, j]];
                *x = f(*x, y);
            }
        }
        out
    }

    /// Red, green and blue of a pixel by Malvar's, He's and Cutler's filters: the bilinear value of a colour, corrected by
    /// the second differences of the colour that was recorded there.
    ///
    /// Mirrored without repeating the edge, rows and columns keep their parity, hence their colours.
    fn interpolated(&self, y: ArrayView2<'_, f32>, i: usize, j: usize) -> [f32; 3] {
        let (h, w) = y.dim();
        let at = |down: i64, right: i64| {
            let row = Boundary::Reflect.index(i as i64 + down, h);
            f64::from(y[[row, Boundary::Reflect.index(j as i64 + right, w)]])
        };
        let here = at(0, 0);
        let beside = at(0, -1) + at(0, 1);
        let above = at(-1, 0) + at(1, 0);
        let diagonal = at(-1, -1) + at(-1, 1) + at(1, -1) + at(1, 1);
        let far_beside = at(0, -2) + at(0, 2);
        let far_above = at(-2, 0) + at(2, 0);
        let mut rgb = [here; 3];
        match self.pattern.channel(i, j) {
            GREEN => {
                rgb[self.pattern.channel(i, j + 1)] =
                    (5.0 * here + 4.0 * beside - diagonal - far_beside + 0.5 * far_above) / 8.0;
                rgb[self.pattern.channel(i + 1, j)] =
                    (5.0 * here + 4.0 * above - diagonal - far_above + 0.5 * far_beside) / 8.0;
            }
            own => {
                let far = far_beside + far_above;
                rgb[GREEN] = (4.0 * here + 2.0 * (beside + above) - far) / 8.0;
                // Blue where red was recorded, red where blue was.
                rgb[2 - own] = (6.0 * here + 2.0 * diagonal - 1.5 * far) / 8.0;
            }
        }
        rgb.map(|v| v as f32)
    }
}

/// A mosaic for any size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MosaicSpec {
    /// Which colour is recorded where.
    #[serde(default)]
    pub pattern: Bayer,
}

impl Described for MosaicSpec {
    const SUMMARY: &'static str = "a camera's Bayer filter: one colour of each pixel";
    const EXAMPLE: &'static str = "";
    const FLAGS: &'static [Flag] = &[Flag {
        name: "pattern",
        value: "PATTERN",
        help: "The colours of the top left 2x2 pixels, row by row: rggb, bggr, grbg or gbrg",
        example: "rggb",
        default: Some("rggb"),
        check: parses::<Bayer>,
    }];

    fn from_flags(flags: &Flags<'_>) -> Result<MosaicSpec, Error> {
        Ok(MosaicSpec {
            pattern: flags.need(&MosaicSpec::FLAGS[0])?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(Mosaic::new(input, self.pattern)?))
    }

    fn input_for(&self, output: Dims) -> Result<Dims, Error> {
        match output.c {
            1 => Ok(Dims { c: 3, ..output }),
            c => Err(Error::Invalid(format!(
                "a mosaic has one channel, not {c}: a picture with colours has been demosaiced already"
            ))),
        }
    }

    fn channels_recorded(&self) -> Option<usize> {
        Some(1)
    }
}

impl Operator for Mosaic {
    fn name(&self) -> &'static str {
        "mosaic"
    }

    fn input(&self) -> Dims {
        self.input
    }

    fn output(&self) -> Dims {
        Dims { c: 1, ..self.input }
    }

    fn apply(&self, x: &Image) -> Image {
        plane::check(x, self.input);
        let Dims { h, w, .. } = self.input;
        Image::from_shape_fn((x.dim().0, 1, h, w), |(n, _, i, j)| {
            x[[n, self.pattern.channel(i, j), i, j]]
        })
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.adjoint(u)
    }

    /// Demosaiced by linear filters of 5x5 pixels: Malvar, He and Cutler 2004, "High-quality linear interpolation for
    /// demosaicing of Bayer-patterned color images", figure 2. A strip of one pixel lacks a colour, and becomes grey.
    fn guess(&self, y: &Image) -> Image {
        plane::check(y, self.output());
        let strip = self.input.h == 1 || self.input.w == 1;
        let mut x = Image::zeros(self.input.batch(y.dim().0));
        for (mut x, y) in x.outer_iter_mut().zip(y.outer_iter()) {
            let y = y.index_axis(Axis(0), 0);
            Zip::indexed(x.lanes_mut(Axis(0))).par_for_each(|(i, j), mut pixel| {
                let rgb = match strip {
                    true => [y[[i, j]]; 3],
                    false => self.interpolated(y, i, j),
                };
                pixel.iter_mut().zip(rgb).for_each(|(to, v)| *to = v);
            });
        }
        x
    }

    /// Of each colour most pixels are missing. No colour is missing as in a grey picture: each is known close by.
    fn loss(&self) -> Loss {
        Loss {
            pixels: true,
            ..Loss::NOTHING
        }
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for Mosaic {
    fn adjoint(&self, u: &Image) -> Image {
        let zeros = Image::zeros(self.input.batch(u.dim().0));
        self.with(&zeros, u, |_, u| u)
    }

    fn pixelwise(&self) -> bool {
        true
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        Some(self)
    }

    /// `(y + rho*z)/(1 + rho)` where recorded, `z` elsewhere.
    fn prox_within(&self, y: &Image, z: &Image, rho: f64, _: cg::Params) -> Image {
        self.with(z, y, |z, y| blend(y, z, rho))
    }

    /// The guess made smooth, `argmin_x |x - guess|^2 + lambda*|D x|^2`. Smoothness that knows one colour at a time would be
    /// no fair baseline: what the filters take from the other colours is worth more.
    fn tikhonov(&self, y: &Image, lambda: f64) -> Image {
        let demosaiced = Identity::new(self.input).expect("not empty");
        demosaiced.tikhonov(&self.guess(y), lambda)
    }

    /// What was recorded as it is in `y`.
    fn project(&self, y: &Image, x: &Image) -> Image {
        self.with(x, y, |_, y| y)
    }

    fn gram(&self) -> Option<f64> {
        Some(1.0)
    }
}

/// Singular values are 1 and 0, and the vectors single numbers.
impl Spectrum for Mosaic {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let y = self.apply(x);
        let weigh = |gain: &Gain<'_>| {
            let (seen, hidden) = (gain(1.0) as f32, gain(0.0) as f32);
            self.with(&(x * hidden), &y, |_, y| seen * y)
        };
        gains.iter().map(weigh).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let weigh = |gain: &Gain<'_>| self.adjoint(y) * gain(1.0) as f32;
        gains.iter().map(weigh).collect()
    }

    fn norm(&self) -> f64 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mosaic(h: usize, w: usize, pattern: Bayer) -> Mosaic {
        Mosaic::new(Dims::new(3, h, w), pattern).unwrap()
    }

    /// The letters of a pattern are what its top left block records. Wrong: read column by column, which swaps grbg and gbrg.
    #[test]
    fn each_pattern_names_its_channels() {
        for pattern in Bayer::ALL {
            let name = pattern.to_string();
            let read = [(0, 0), (0, 1), (1, 0), (1, 1)];
            let letters = read.map(|(i, j)| ["r", "g", "b"][pattern.channel(i, j)]);
            assert_eq!(letters.concat(), name);
            assert_eq!(name.to_uppercase().parse::<Bayer>().unwrap(), pattern);
            let colours = Image::from_shape_fn((1, 3, 3, 5), |(_, c, _, _)| c as f32);
            let y = mosaic(3, 5, pattern).apply(&colours);
            for ((_, _, i, j), &c) in y.indexed_iter() {
                assert_eq!(
                    c as usize,
                    pattern.channel(i % 2, j % 2),
                    "{pattern} {i} {j}"
                );
            }
        }
        assert!("rgbg".parse::<Bayer>().is_err() && "".parse::<Bayer>().is_err());
    }

    /// Slopes, another in each channel, come back exactly where no filter reaches over the edge. Wrong: a filter transposed,
    /// a coefficient of another colour.
    #[test]
    fn slopes_are_demosaiced_exactly() {
        for (pattern, (h, w)) in Bayer::ALL
            .into_iter()
            .flat_map(|p| [(p, (8, 10)), (p, (9, 7))])
        {
            let mosaic = mosaic(h, w, pattern);
            let slopes = Image::from_shape_fn((1, 3, h, w), |(_, c, i, j)| {
                let c = c as f32;
                0.2 + 0.1 * c + 0.01 * (1.0 + c) * i as f32 - 0.02 * (2.0 - c) * j as f32
            });
            let y = mosaic.apply(&slopes);
            let guess = mosaic.guess(&y);
            assert!(mosaic.apply(&guess) == y, "what is recorded stays");
            for ((_, c, i, j), v) in slopes.indexed_iter() {
                if (2..h - 2).contains(&i) && (2..w - 2).contains(&j) {
                    let off = (guess[[0, c, i, j]] - v).abs();
                    assert!(off < 1e-6, "{pattern} {c} {i} {j}: {off}");
                }
            }
        }
    }

    /// One colour all over is that colour up to the edges, at any size from two pixels on. Wrong: a mirror that repeats the
    /// edge, behind which red stands where blue does.
    #[test]
    fn edges_keep_their_colours() {
        for pattern in Bayer::ALL {
            for (h, w) in [(2, 2), (2, 3), (3, 2), (5, 4), (3, 3)] {
                let flat = Image::from_shape_fn((1, 3, h, w), |(_, c, _, _)| 0.25 * (1 + c) as f32);
                let mosaic = mosaic(h, w, pattern);
                let off = mosaic.guess(&mosaic.apply(&flat)) - &flat;
                assert!(off.iter().all(|e| e.abs() < 1e-6), "{pattern} {h} {w}");
            }
        }
    }

    /// A strip of one pixel is grey. Wrong: the colour beside it taken for another.
    #[test]
    fn strips_are_grey() {
        for (h, w) in [(1, 1), (1, 4), (5, 1)] {
            let y = Image::from_shape_fn((1, 1, h, w), |(_, _, i, j)| 0.1 * (1 + i + j) as f32);
            let guess = mosaic(h, w, Bayer::Rggb).guess(&y);
            for ((_, _, i, j), v) in guess.indexed_iter() {
                assert_eq!(*v, y[[0, 0, i, j]]);
            }
        }
    }

    #[test]
    fn other_channels_are_refused() {
        for c in [1, 2, 4] {
            assert!(Mosaic::new(Dims::new(c, 4, 4), Bayer::Rggb).is_err());
        }
        assert!(Mosaic::new(Dims::new(3, 0, 4), Bayer::Rggb).is_err());
        let spec = MosaicSpec::default();
        assert!(spec.input_for(Dims::new(3, 4, 4)).is_err());
        assert_eq!(
            spec.input_for(Dims::new(1, 5, 4)).unwrap(),
            Dims::new(3, 5, 4)
        );
    }
}
