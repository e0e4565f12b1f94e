//! Samples as files hold them, and what becomes of them.

use ::image::metadata::Orientation;
use ndarray::{Array, Array3, Array4, ArrayView, Axis, Dimension, Ix3, s};

use super::{Depth, Fault, Format, Jpeg, Picture};

/// Samples as they are in the file, channels interleaved.
pub(super) enum Samples {
    /// 0..=255.
    Eight(Vec<u8>),
    /// 0..=65535.
    Sixteen(Vec<u16>),
    /// In [0, 1], it is hoped.
    Float(Vec<f32>),
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
}

impl Raw {
    /// Scales to [0, 1], splits off alpha, turns upright.
    pub(super) fn into_picture(self) -> Result<Picture, Fault> {
        let shape = (self.height, self.width, self.channels);
        let depth = match self.samples {
            Samples::Eight(_) => Depth::Eight,
            Samples::Sixteen(_) | Samples::Float(_) => Depth::Sixteen,
        };
        let values: Vec<f32> = match self.samples {
            Samples::Eight(v) => v.iter().map(|&v| f32::from(v) / 255.0).collect(),
            Samples::Sixteen(v) => v.iter().map(|&v| f32::from(v) / 65535.0).collect(),
            Samples::Float(v) => checked(v)?,
        };
        let all = Array3::from_shape_vec(shape, values)
            .map_err(|_| Fault::damaged(self.format, "it holds too few samples"))?;
        let has_alpha = self.channels.is_multiple_of(2);
        let colors = self.channels - usize::from(has_alpha);

        let alpha = has_alpha.then(|| {
            let plane = all.index_axis(Axis(2), colors);
            upright(plane, self.orientation, 0)
        });
        let mut planes = all.slice(s![.., .., ..colors]).permuted_axes([2, 0, 1]);
        // These two formats cannot say that a picture is grey.
        let may_be_grey = matches!(self.format, Format::WebP | Format::Bmp);
        if may_be_grey && colors == 3 && channels_agree(&planes) {
            planes = planes.slice_move(s![..1, .., ..]);
        }
        let pixels: Array4<f32> = upright(planes, self.orientation, 1).insert_axis(Axis(0));
        Ok(Picture {
            pixels,
            alpha,
            depth,
            icc: self.icc.filter(|icc| !icc.is_empty()),
            exif: self.exif,
            text: self.text,
            jpeg: match is_transposed(self.orientation) {
                true => self.jpeg.map(Jpeg::transposed),
                false => self.jpeg,
            },
        })
    }
}

fn channels_agree(planes: &ArrayView<'_, f32, Ix3>) -> bool {
    let first = planes.index_axis(Axis(0), 0);
    planes.outer_iter().all(|plane| plane == first)
}

/// Floating-point samples are taken as they are, so they must be in [0, 1].
fn checked(values: Vec<f32>) -> Result<Vec<f32>, Fault> {
    let bad = values.iter().filter(|v| !v.is_finite()).count();
    if bad > 0 {
        return Err(Fault::NotFinite(bad));
    }
    let (min, max) = values
        .iter()
        .fold((0.0f32, 1.0f32), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    if min < 0.0 || max > 1.0 {
        return Err(Fault::Range { min, max });
    }
    Ok(values)
}

/// Whether an orientation swaps rows and columns.
fn is_transposed(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Applies an EXIF orientation to planes whose rows are axis `rows` and whose columns are the axis after it.
fn upright<D: Dimension>(
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
        }
    }

    pub(super) fn to_big_endian(&self) -> std::borrow::Cow<'_, [u8]> {
        match self {
            Quantised::Eight(v) => v.into(),
            Quantised::Sixteen(v) => v.iter().flat_map(|v| v.to_be_bytes()).collect(),
        }
    }
}
