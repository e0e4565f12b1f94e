//! JPEG for any size: a quality and a sampling, or what the file of a measurement says.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Jpeg;
use super::component::{Block, Component};
use crate::operator::spec::{Described, Flag, Flags, parses};
use crate::operator::{Error, Operator};
use crate::{Dims, image};

/// How many samples there are of colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subsampling {
    /// As many as pixels.
    #[serde(rename = "444")]
    Full,
    /// Half as many across.
    #[serde(rename = "422")]
    Half,
    /// Half as many across and down: what most programs write.
    #[default]
    #[serde(rename = "420")]
    Quarter,
}

impl Subsampling {
    /// Rows and columns of pixels in a sample.
    pub(super) fn factors(self) -> (usize, usize) {
        match self {
            Subsampling::Full => (1, 1),
            Subsampling::Half => (1, 2),
            Subsampling::Quarter => (2, 2),
        }
    }
}

impl fmt::Display for Subsampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Subsampling::Full => "444",
            Subsampling::Half => "422",
            Subsampling::Quarter => "420",
        })
    }
}

/// With or without colons.
impl FromStr for Subsampling {
    type Err = Error;

    fn from_str(s: &str) -> Result<Subsampling, Error> {
        match s.replace(':', "").as_str() {
            "444" => Ok(Subsampling::Full),
            "422" => Ok(Subsampling::Half),
            "420" => Ok(Subsampling::Quarter),
            _ => Err(Error::Invalid(format!(
                "`{s}` is no sampling of colours; there are 420, 422 and 444"
            ))),
        }
    }
}

/// JPEG for any size.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JpegSpec {
    /// libjpeg's quality, 1 to 100; `None` for what the file of the measurement says, which must be a JPEG.
    pub quality: Option<u8>,
    /// How many samples there are of colours, where a quality is stated.
    pub subsampling: Subsampling,
    /// The file of the measurement.
    #[serde(skip)]
    pub file: Option<Arc<image::Jpeg>>,
}

const QUALITY: Flag = Flag {
    name: "jpeg-quality",
    value: "QUALITY",
    help: "libjpeg's quality, 1 to 100, or `file`: what the JPEG file says that is to be restored",
    example: "10",
    default: Some("file"),
    check: |text| quality(text).map(drop),
};

const SUBSAMPLING: Flag = Flag {
    name: "subsampling",
    value: "420|422|444",
    help: "How many samples of colours there are, where a quality is stated",
    example: "444",
    default: Some("420"),
    check: parses::<Subsampling>,
};

fn quality(text: &str) -> Result<Option<u8>, Error> {
    if text == "file" {
        return Ok(None);
    }
    match text.parse() {
        Ok(quality @ 1..=100) => Ok(Some(quality)),
        _ => Err(Error::Invalid(format!(
            "`{text}` is no JPEG quality, a whole number from 1 to 100"
        ))),
    }
}

impl Described for JpegSpec {
    const SUMMARY: &'static str =
        "JPEG compression: rounded DCT coefficients, fewer samples of colours; not linear";
    const EXAMPLE: &'static str = "quality = 10\nsubsampling = '420'";
    const FLAGS: &'static [Flag] = &[QUALITY, SUBSAMPLING];

    fn from_flags(flags: &Flags<'_>) -> Result<JpegSpec, Error> {
        Ok(JpegSpec {
            quality: quality(flags.text(&QUALITY)?)?,
            subsampling: flags.need(&SUBSAMPLING)?,
            file: None,
        })
    }

    fn build(&self, input: Dims) -> Result<Box<dyn Operator>, Error> {
        match (self.quality, &self.file) {
            (Some(quality), _) => Ok(Box::new(Jpeg::new(input, quality, self.subsampling)?)),
            (None, Some(file)) => Ok(Box::new(Jpeg::of_file(input, file)?)),
            (None, None) => Err(Error::Invalid(
                "how it was compressed is not known: give the JPEG file itself, or state --jpeg-quality, for instance 10 \
                 (`quality = 10` in a TOML file)"
                    .into(),
            )),
        }
    }

    fn build_for(
        &self,
        y: &image::Picture,
        notes: &mut Vec<String>,
    ) -> Result<Box<dyn Operator>, Error> {
        let dims = y.dims();
        let (down, across) = match dims.c {
            1 => (8, 8),
            _ => {
                let (down, across) = self.subsampling.factors();
                (8 * down, 8 * across)
            }
        };
        if self.quality.is_some() && (dims.h % down, dims.w % across) != (0, 0) {
            notes.push(
                "the last rows or columns fill no block: what was recorded there is guessed".into(),
            );
        }
        self.build(self.input_for(dims)?)
    }

    fn in_file(&mut self, file: &image::Picture) {
        self.file = file.jpeg.clone().map(Arc::new);
    }

    fn treats_channels_alike(&self) -> bool {
        false
    }
}

/// ITU T.81, tables K.1 and K.2.
#[rustfmt::skip]
const LUMA: [u32; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
#[rustfmt::skip]
const CHROMA: [u32; 64] = [
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// The steps of luma and colours at a quality, as libjpeg scales them (`jcparam.c`).
pub(super) fn tables(quality: u8) -> Result<(Block, Block), Error> {
    let percent = match quality {
        1..50 => 5000 / u32::from(quality),
        50..=100 => 200 - 2 * u32::from(quality),
        _ => {
            return Err(Error::Invalid(format!(
                "a JPEG quality is a whole number from 1 to 100, not {quality}"
            )));
        }
    };
    let scaled =
        |table: [u32; 64]| table.map(|step| ((step * percent + 50) / 100).clamp(1, 255) as f32);
    Ok((scaled(LUMA), scaled(CHROMA)))
}

/// Those components of a file that are wanted.
pub(super) fn filed(
    wanted: &[image::Component],
    all: &[image::Component],
    size: (usize, usize),
) -> Result<Vec<Component>, Error> {
    let finest = |f: fn(&image::Component) -> u8| all.iter().map(f).max().unwrap_or(1);
    let (across, down) = (finest(|c| c.sampling.0), finest(|c| c.sampling.1));
    let component = |c: &image::Component| {
        let (x, y) = c.sampling;
        if !across.is_multiple_of(x) || !down.is_multiple_of(y) {
            return Err(Error::Invalid(format!(
                "a component of the JPEG has {x} x {y} samples for {across} x {down} pixels, which is no whole number of \
                 pixels a sample: save it anew at a high quality, and denoise it"
            )));
        }
        let factors = (usize::from(down / y), usize::from(across / x));
        Ok(Component::new(c.steps.map(f32::from), size, factors))
    };
    wanted.iter().map(component).collect()
}
