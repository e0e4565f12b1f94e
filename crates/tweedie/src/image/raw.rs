//! Samples as files hold them, and what becomes of them.

use ::image::metadata::Orientation;
use ndarray::{Array, Array3, ArrayView, Axis, Dimension, s};

use super::grey::{Grey, grey};
use super::{Depth, Fault, Format, Jpeg, Picture, PngColor, Resolution};

/// Samples as they are in the file, channels interleaved.
pub(super) enum Samples {
    /// 0..=255.
    Eight(Vec<u8>),
    /// 0..=65535.
    Sixteen(Vec<u16>),
    /// In [0, 1] already, of a file of this depth.
    Float(Vec<f32>, Depth),
}

impl Samples {
    /// In [0, 1], with the file's depth.
    fn scaled(self) -> (Vec<f32>, Depth) {
        match self {
            Samples::Eight(v) => {
                let values = v.iter().map(|&v| f32::from(v) / 255.0).collect();
                (values, Depth::Eight)
            }
            Samples::Sixteen(v) => {
                let values = v.iter().map(|&v| f32::from(v) / 65535.0).collect();
                (values, Depth::Sixteen)
            }
            Samples::Float(values, depth) => (values, depth),
        }
    }
}

/// A decoded file, not yet upright.
pub(super) struct Raw {
    pub(super) format: Format,
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
    pub(super) channels: usize,
    pub(super) samples: Samples,
    pub(super) orientation: Orientation,
    pub(super) icc: Option<Vec<u8>>,
    pub(super) exif: Option<Vec<u8>>,
    pub(super) text: Vec<(String, String)>,
    pub(super) jpeg: Option<Jpeg>,
    /// Whether its colours were stored, and rounded, as differences from a luma.
    pub(super) chroma: bool,
    pub(super) png_color: PngColor,
    pub(super) resolution: Option<Resolution>,
    pub(super) notes: Vec<String>,
}

impl Raw {
    /// Samples with nothing beside them. The size is columns, then rows.
    pub(super) fn new(
        format: Format,
        (width, height): (usize, usize),
        channels: usize,
        samples: Samples,
    ) -> Raw {
        Raw {
            format,
            width,
            height,
            channels,
            samples,
            orientation: Orientation::NoTransforms,
            icc: None,
            exif: None,
            text: Vec::new(),
            jpeg: None,
            chroma: false,
            png_color: PngColor::default(),
            resolution: None,
            notes: Vec::new(),
        }
    }

    /// Says that of several frames one is read.
    pub(super) fn note_frames(&mut self, frames: usize) {
        if frames > 1 {
            self.notes.push(format!(
                "an animation: 1 of {frames} frames is read, the first"
            ));
        }
    }

    /// Says that XMP is not kept. It repeats what has changed: orientation, size, what was edited.
    pub(super) fn note_xmp(&mut self, there: bool) {
        if there {
            self.notes
                .push("XMP (descriptions, what was edited) is left out".to_owned());
        }
    }

    /// Scales to [0, 1], splits off alpha, turns upright, takes three channels that are one grey as one.
    pub(super) fn into_picture(mut self) -> Result<Picture, Fault> {
        let shape = (self.height, self.width, self.channels);
        let (values, depth) = self.samples.scaled();
        let all = Array3::from_shape_vec(shape, values)
            .map_err(|_| Fault::damaged(self.format, "it holds too few samples"))?;
        let has_alpha = self.channels.is_multiple_of(2);
        let colors = self.channels - usize::from(has_alpha);
        let alpha = has_alpha.then(|| all.index_axis(Axis(2), colors));
        let planes = all.slice(s![.., .., ..colors]).permuted_axes([2, 0, 1]);
        let grey = grey(planes, alpha, self.chroma);
        if matches!(grey, Grey::Nearly(_)) {
            self.notes
                .push("its colours are no more than rounding: taken as a grey picture".into());
        }
        let is_transposed = is_transposed(self.orientation);
        Ok(Picture {
            pixels: match &grey {
                Grey::No => upright(planes, self.orientation, 1),
                Grey::Exactly => upright(planes.slice(s![..1, .., ..]), self.orientation, 1),
                Grey::Nearly(luma) => upright(luma.view(), self.orientation, 1),
            }
            .insert_axis(Axis(0)),
            alpha: alpha.map(|plane| upright(plane, self.orientation, 0)),
            depth,
            icc: self.icc.filter(|icc| !icc.is_empty()),
            exif: self.exif,
            text: self.text,
            png_color: self.png_color,
            grey_as_rgb: !matches!(grey, Grey::No),
            resolution: match is_transposed {
                true => self.resolution.map(Resolution::transposed),
                false => self.resolution,
            },
            jpeg: self.jpeg.map(|jpeg| jpeg.upright(self.orientation)),
            format: Some(self.format),
            notes: self.notes,
        })
    }
}

/// Whether an orientation swaps rows and columns.
pub(super) fn is_transposed(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Applies an EXIF orientation to planes whose rows are axis `rows` and whose columns are the axis after it.
pub(super) fn upright<D: Dimension>(
    planes: ArrayView<'_, f32, D>,
    orientation: Orientation,
    rows: usize,
) -> Array<f32, D> {
    let mut view = planes;
    let columns = rows + 1;
    // (mirror left-right, then top-bottom)
    let (mirror, flip) = match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => (false, false),
        Orientation::FlipHorizontal | Orientation::Rotate90 => (true, false),
        Orientation::Rotate180 | Orientation::Rotate270FlipH => (true, true),
        Orientation::FlipVertical | Orientation::Rotate270 => (false, true),
    };
    if is_transposed(orientation) {
        view.swap_axes(rows, columns);
    }
    if mirror {
        view.invert_axis(Axis(columns));
    }
    if flip {
        view.invert_axis(Axis(rows));
    }
    view.as_standard_layout().into_owned()
}

/// Samples ready for a file, in the machine's byte order.
pub(super) enum Quantised {
    /// Steps of 1/255.
    Eight(Vec<u8>),
    /// Steps of 1/65535.
    Sixteen(Vec<u16>),
    /// As they are.
    Float(Vec<f32>),
}

impl Quantised {
    pub(super) fn new(values: &Array3<f32>, depth: Depth) -> Quantised {
        match depth {
            Depth::Eight => Quantised::Eight(
                values
                    .iter()
                    .map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8)
                    .collect(),
            ),
            Depth::Sixteen => Quantised::Sixteen(
                values
                    .iter()
                    .map(|v| (v.clamp(0.0, 1.0) * 65535.0).round() as u16)
                    .collect(),
            ),
            Depth::Float => Quantised::Float(values.iter().copied().collect()),
        }
    }

    pub(super) fn to_big_endian(&self) -> std::borrow::Cow<'_, [u8]> {
        match self {
            Quantised::Eight(v) => v.into(),
            Quantised::Sixteen(v) => v.iter().flat_map(|v| v.to_be_bytes()).collect(),
            Quantised::Float(v) => v.iter().flat_map(|v| v.to_be_bytes()).collect(),
        }
    }
}
