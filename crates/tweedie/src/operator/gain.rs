//! A gain for each pixel: light that falls off towards the corners, dust, a sensor's own unevenness.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ndarray::{Array2, Array3, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::spec::{Described, Flag, Flags, parses};
use super::{Error, Gain, Linear, Loss, Operator, Spectrum, nearest, not_empty, plane, read};
use crate::{Dims, Image};

/// The part of the largest gain below which [`GainMap::guess`] does not divide: it would make the rounding of an 8-bit file
/// more than fifty times larger, 6 % of the range.
const TINY: f32 = 0.02;

/// The largest factor that a file's values are multiplied by.
const MAX_SCALE: f64 = 1000.0;

/// `y = g*x`, number by number, with `g >= 0`; of full size. Where `g` is 0 nothing was recorded, and what a measurement holds
/// there is not looked at.
#[derive(Clone, PartialEq)]
pub struct GainMap {
    dims: Dims,
    /// `[channel, height, width]`; of one channel if it serves all.
    gains: Array3<f32>,
    largest: f32,
}

impl GainMap {
    /// With gains `[1 or channels, height, width]`. Of one channel, they serve all.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::PictureSize`] if there are gains for another size,
    /// [`Error::NotFinite`] if one is NaN or infinite, [`Error::Invalid`] if one is negative, all are 0, or they are for
    /// another number of channels.
    pub fn new(dims: Dims, gains: Array3<f32>) -> Result<GainMap, Error> {
        not_empty("a gain", dims)?;
        read::check_fit("gain", dims, gains.dim())?;
        if gains.iter().any(|g| !g.is_finite()) {
            return Err(Error::NotFinite("gain"));
        }
        if gains.iter().any(|&g| g < 0.0) {
            return Err(Error::Invalid("a gain is negative".into()));
        }
        let largest = gains.iter().fold(0.0, |m: f32, &g| m.max(g));
        if largest == 0.0 {
            return Err(Error::Invalid("the gain is 0 everywhere".into()));
        }
        let gains = gains.as_standard_layout().into_owned();
        Ok(GainMap {
            dims,
            gains,
            largest,
        })
    }

    /// The fall of light towards the corners behind a simple lens, where it is `corner` times that in the middle.
    ///
    /// By the law of the fourth power of the cosine, `g = cos^4 t = 1/(1 + tan^2 t)^2`, whose tangent grows with the distance
    /// from the middle.
    ///
    /// # Errors
    /// [`Error::Input`] if the dimensions hold no pixel, [`Error::Invalid`] for a `corner` outside 0.001..=1.
    pub fn vignette(dims: Dims, corner: f64) -> Result<GainMap, Error> {
        check_corner(corner)?;
        let middle = [dims.h, dims.w].map(|n| (n.max(1) - 1) as f64 / 2.0);
        let squared =
            |i: usize, j: usize| (i as f64 - middle[0]).powi(2) + (j as f64 - middle[1]).powi(2);
        // Of a single pixel the corner is the middle.
        let farthest = squared(0, 0).max(f64::MIN_POSITIVE);
        let tangent2 = corner.powf(-0.5) - 1.0;
        let gains = Array3::from_shape_fn((1, dims.h, dims.w), |(_, i, j)| {
            (1.0 + tangent2 * squared(i, j) / farthest).powi(-2) as f32
        });
        GainMap::new(dims, gains)
    }

    /// `f(gain, number)` for each number of `x`.
    fn map(&self, x: &Image, f: impl Fn(f32, f32) -> f32 + Sync) -> Image {
        plane::check(x, self.dims);
        let mut out = x.as_standard_layout().into_owned();
        for mut picture in out.outer_iter_mut() {
            let gains = self.gains.broadcast(picture.dim());
            Zip::from(&mut picture)
                .and(gains.expect("of one channel or as many"))
                .par_for_each(|x, &g| *x = f(g, *x));
        }
        out
    }
}

impl Operator for GainMap {
    fn name(&self) -> &'static str {
        "gain"
    }

    fn input(&self) -> Dims {
        self.dims
    }

    fn output(&self) -> Dims {
        self.dims
    }

    fn apply(&self, x: &Image) -> Image {
        self.map(x, |g, x| g * x)
    }

    fn vjp(&self, _: &Image, u: &Image) -> Image {
        self.apply(u)
    }

    /// `y/g`; where the gain is too small for that, as at the nearest pixel where it is not.
    fn guess(&self, y: &Image) -> Image {
        let tiny = TINY * self.largest;
        let divided = self.map(y, |g, y| if g > tiny { y / g } else { 0.0 });
        let known = self.gains.mapv(|g| g > tiny);
        match known.iter().all(|&k| k) {
            true => divided,
            false => nearest::filled(&divided, &known),
        }
    }

    /// Where the gain is 0 pixels are missing; elsewhere hardly anything, but what noise is where it is dark.
    fn loss(&self) -> Loss {
        Loss {
            detail: true,
            pixels: self.gains.iter().any(|&g| g == 0.0),
            ..Loss::NOTHING
        }
    }

    /// A pixel counts if any of its channels has a gain.
    fn recorded(&self) -> Option<Array2<bool>> {
        let any = |channels: ndarray::ArrayView1<'_, f32>| channels.iter().any(|&g| g > 0.0);
        let recorded = self.gains.map_axis(Axis(0), any);
        recorded.iter().any(|&r| !r).then_some(recorded)
    }

    fn linear(&self) -> Option<&dyn Linear> {
        Some(self)
    }
}

impl Linear for GainMap {
    fn adjoint(&self, u: &Image) -> Image {
        self.apply(u)
    }

    fn pixelwise(&self) -> bool {
        true
    }

    fn spectrum(&self) -> Option<&dyn Spectrum> {
        Some(self)
    }
}

/// The singular values are the gains, and the vectors single numbers.
impl Spectrum for GainMap {
    fn image(&self, x: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let weigh = |gain: &Gain<'_>| self.map(x, |g, x| gain(f64::from(g)) as f32 * x);
        gains.iter().map(weigh).collect()
    }

    fn back(&self, y: &Image, gains: &[Gain<'_>]) -> Vec<Image> {
        let weigh = |gain: &Gain<'_>| {
            self.map(y, |g, y| match g > 0.0 {
                true => gain(f64::from(g)) as f32 * y,
                false => 0.0,
            })
        };
        gains.iter().map(weigh).collect()
    }

    fn norm(&self) -> f64 {
        f64::from(self.largest)
    }
}

impl fmt::Debug for GainMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (channels, ..) = self.gains.dim();
        write!(
            f,
            "GainMap({}, {channels} channels, up to {})",
            self.dims, self.largest
        )
    }
}

/// Where gains come from, as a text: `vignette:CORNER` ([`GainMap::vignette`]), or the file of a picture with values from 0
/// to 1, grey for all channels or with a gain for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GainSource {
    /// `vignette:CORNER`.
    Vignette {
        /// The gain in the corners, 0.001 to 1.
        corner: f64,
    },
    /// A picture of the image's size.
    File(PathBuf),
}

impl FromStr for GainSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<GainSource, Error> {
        let Some(corner) = text.strip_prefix("vignette:") else {
            return match text.trim().is_empty() {
                true => Err(Error::Invalid("a gain is a file or vignette:CORNER".into())),
                false => Ok(GainSource::File(text.into())),
            };
        };
        // What is no number is none from 0 to 1 either.
        let corner = corner.parse().unwrap_or(f64::NAN);
        check_corner(corner).map(|()| GainSource::Vignette { corner })
    }
}

fn check_corner(corner: f64) -> Result<(), Error> {
    match (0.001..=1.0).contains(&corner) {
        true => Ok(()),
        false => Err(Error::Invalid(
            "vignette:CORNER needs the gain in the corners, from 0.001 to 1".into(),
        )),
    }
}

impl fmt::Display for GainSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GainSource::Vignette { corner } => write!(f, "vignette:{corner}"),
            GainSource::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl TryFrom<String> for GainSource {
    type Error = Error;

    fn try_from(text: String) -> Result<GainSource, Error> {
        text.parse()
    }
}

impl From<GainSource> for String {
    fn from(source: GainSource) -> String {
        source.to_string()
    }
}

/// Gains for a picture of any size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GainMapSpec {
    /// Where they come from.
    pub gain: GainSource,
    /// What they are multiplied by, above 0 and up to 1000: the light that a file's white stands for.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

impl GainMapSpec {
    /// The gains for images of these dimensions.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a scale out of bounds, [`Error::File`] if a file cannot be read, and those of the constructors
    /// of [`GainMap`].
    pub fn map(&self, dims: Dims) -> Result<GainMap, Error> {
        check_scale(self.scale)?;
        let map = match &self.gain {
            GainSource::Vignette { corner } => GainMap::vignette(dims, *corner)?,
            GainSource::File(path) => {
                let fits = |size| read::check_size("gain", dims, size);
                GainMap::new(dims, read::planes(path, (dims.h, dims.w), fits)?)?
            }
        };
        GainMap::new(dims, map.gains * self.scale as f32)
    }
}

fn check_scale(scale: f64) -> Result<(), Error> {
    match scale > 0.0 && scale <= MAX_SCALE {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "the scale of a gain is above 0 and up to {MAX_SCALE}, not {scale}"
        ))),
    }
}

fn scale(text: &str) -> Result<f64, Error> {
    let scale = text
        .parse()
        .map_err(|_| Error::Invalid(format!("`{text}` is no scale, such as 1.5")))?;
    check_scale(scale).map(|()| scale)
}

impl Described for GainMapSpec {
    const SUMMARY: &'static str =
        "a gain for each pixel from a picture (flat field), or light that falls off to the corners";
    const EXAMPLE: &'static str = "gain = 'vignette:0.4'";
    const FLAGS: &'static [Flag] = &[
        Flag {
            name: "gain",
            value: "GAIN",
            help: "Gain of each pixel: a picture of the same size, from black for 0 to white for 1, or `vignette:CORNER` with the \
                   gain in the corners",
            example: "flat.png",
            default: None,
            check: parses::<GainSource>,
        },
        Flag {
            name: "scale",
            value: "FACTOR",
            help: "What gains are multiplied by",
            example: "1.5",
            default: Some("1"),
            check: |text| scale(text).map(drop),
        },
    ];

    fn from_flags(flags: &Flags<'_>) -> Result<GainMapSpec, Error> {
        Ok(GainMapSpec {
            gain: flags.need(&GainMapSpec::FLAGS[0])?,
            scale: scale(flags.text(&GainMapSpec::FLAGS[1])?)?,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        Ok(Box::new(self.map(input)?))
    }

    fn files(&mut self) -> Vec<&mut PathBuf> {
        match &mut self.gain {
            GainSource::File(path) => vec![path],
            GainSource::Vignette { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Depth, Overwrite, Picture};

    fn spec(text: &str) -> GainMapSpec {
        toml::from_str(text).unwrap()
    }

    /// The middle is left alone, the corners have what is said, and half-way there is what the cosine's fourth power gives.
    /// Wrong: corners of the sides' lengths for those of the diagonal.
    #[test]
    fn vignettes_fall_off_as_the_cosine_does() {
        let map = GainMap::vignette(Dims::new(3, 5, 9), 0.25).unwrap();
        assert_eq!(map.gains[[0, 2, 4]], 1.0);
        for at in [[0, 0, 0], [0, 0, 8], [0, 4, 0], [0, 4, 8]] {
            assert!((map.gains[at] - 0.25).abs() < 1e-6);
        }
        // tan^2 t is 1 in the corner, and a quarter half-way: (1 + 1/4)^-2.
        assert!((map.gains[[0, 1, 2]] - 0.64).abs() < 1e-6);
        assert_eq!(
            GainMap::vignette(Dims::new(1, 1, 1), 0.5).unwrap().largest,
            1.0
        );
        assert!(GainMap::vignette(Dims::new(1, 4, 4), 0.0).is_err());
    }

    /// A grey file serves all channels, one with colours each its own; the scale multiplies; other sizes and channels are
    /// refused.
    #[test]
    fn gains_from_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, picture: &Picture| {
            let path = folder.path().join(name);
            crate::image::write(&path, picture, &Default::default(), Overwrite::Refuse).unwrap();
            path.display().to_string()
        };
        let mut grey = Picture::new(Image::from_elem((1, 1, 2, 3), 0.25));
        grey.depth = Depth::Sixteen;
        let colours = Image::from_shape_fn((1, 3, 2, 3), |(_, c, ..)| 0.5 * c as f32);
        let (grey, colours) = (
            write("g.png", &grey),
            write("c.png", &Picture::new(colours)),
        );
        let dims = Dims::new(3, 2, 3);
        let x = Image::from_elem(dims.batch(1), 0.5);
        let y = |text: String| spec(&text).map(dims).map(|map| map.apply(&x));
        let scaled = y(format!("gain = '{grey}'\nscale = 2")).unwrap();
        assert!(scaled.iter().all(|v| (v - 0.25).abs() < 1e-5));
        let each = y(format!("gain = '{colours}'")).unwrap();
        for ((_, c, ..), v) in each.indexed_iter() {
            assert!((v - 0.25 * c as f32).abs() < 2e-3);
        }
        let map = |dims| spec(&format!("gain = '{colours}'")).map(dims);
        assert!(map(dims).unwrap().recorded().is_none() && map(dims).unwrap().loss().pixels);
        let error = map(Dims::new(3, 3, 2)).unwrap_err().to_string();
        assert!(error.starts_with("the gain is 2 x 3"), "{error}");
        let error = map(Dims::new(1, 2, 3)).unwrap_err().to_string();
        assert!(error.contains("3 channels"), "{error}");
    }

    /// Where nothing was recorded the guess is the neighbour's, and junk there is not looked at.
    #[test]
    fn what_was_not_recorded_is_missing() {
        let dims = Dims::new(2, 1, 3);
        let gains = Array3::from_shape_vec((1, 1, 3), vec![0.5, 0.0, 2.0]).unwrap();
        let map = GainMap::new(dims, gains).unwrap();
        let x = Image::from_shape_vec((1, 2, 1, 3), vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).unwrap();
        let y = map.apply(&x);
        let mut junk = y.clone();
        junk[[0, 0, 0, 1]] = 9.0;
        assert!(map.guess(&y) == map.guess(&junk));
        assert!(map.prox(&y, &x, 0.1) == map.prox(&junk, &x, 0.1));
        let guess = map.guess(&y);
        for (at, v) in [
            ([0, 0, 0, 0], 0.1),
            ([0, 0, 0, 1], 0.1),
            ([0, 1, 0, 2], 0.6),
        ] {
            assert!((guess[at] - v).abs() < 1e-6, "{at:?}");
        }
        let recorded = map.recorded().unwrap();
        assert_eq!(
            recorded.iter().copied().collect::<Vec<_>>(),
            [true, false, true]
        );
        for gains in [vec![0.0; 3], vec![-1.0, 1.0, 1.0], vec![f32::NAN, 1.0, 1.0]] {
            let gains = Array3::from_shape_vec((1, 1, 3), gains).unwrap();
            assert!(GainMap::new(dims, gains).is_err());
        }
    }

    /// Texts come back as they went; what is no gain is refused.
    #[test]
    fn gains_are_texts() {
        for text in ["vignette:0.4", "folder/flat.png"] {
            assert_eq!(text.parse::<GainSource>().unwrap().to_string(), text);
        }
        for text in ["", "vignette:", "vignette:2", "vignette:x", "vignette:nan"] {
            assert!(text.parse::<GainSource>().is_err(), "{text}");
        }
        assert_eq!(spec("gain = 'vignette:1'").scale, 1.0);
        for scale in [0.0, -1.0, f64::NAN, 1e4] {
            let spec = GainMapSpec {
                scale,
                ..spec("gain = 'vignette:1'")
            };
            assert!(spec.map(Dims::new(1, 2, 2)).is_err(), "{scale}");
        }
    }
}
