//! Reading: recognise, check the size, decode, turn upright.

use std::fs::File;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::image::codecs::{bmp::BmpDecoder, jpeg::JpegDecoder, tiff::TiffDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{ColorType, ExtendedColorType, ImageDecoder, ImageError, ImageResult};
use ndarray::{Array3, Array4, ArrayView, Axis, Dimension, s};

use super::{Depth, Error, Fault, Format, Picture, exif, jpeg, png, tiff};

/// What may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most pixels, width times height.
    pub pixels: u64,
}

impl Default for Limits {
    /// 256 megapixels, which take 3 GB in f32 colour.
    fn default() -> Limits {
        Limits {
            pixels: 256_000_000,
        }
    }
}

impl Limits {
    /// Refuses a size before memory is taken for it.
    pub(super) fn check(&self, (width, height): (u32, u32)) -> Result<(), Fault> {
        if width == 0 || height == 0 {
            let (width, height) = (width as usize, height as usize);
            return Err(Fault::NoPixels { width, height });
        }
        if u64::from(width) * u64::from(height) > self.pixels {
            return Err(Fault::TooLarge {
                width,
                height,
                limit: self.pixels,
            });
        }
        Ok(())
    }

    /// Longest file: 32-bit RGBA without compression, and room for profiles and thumbnails.
    fn file_bytes(&self) -> u64 {
        self.pixels.saturating_mul(16).saturating_add(64 << 20)
    }

    /// Most memory for a decoder: as much again as the pixels, at least 64 MiB.
    pub(super) fn decoder_bytes(&self) -> u64 {
        self.file_bytes().saturating_mul(2)
    }
}

/// Reads a picture of at most 256 megapixels.
///
/// # Errors
/// [`Error`] names the file and what is wrong with it.
pub fn read(path: impl AsRef<Path>) -> Result<Picture, Error> {
    read_with(path, &Limits::default())
}

/// Reads a picture within `limits`.
///
/// # Errors
/// [`Error`] names the file and what is wrong with it.
pub fn read_with(path: impl AsRef<Path>, limits: &Limits) -> Result<Picture, Error> {
    let path = path.as_ref();
    load(path, limits)
        .and_then(|bytes| decode(&bytes, limits))
        .map_err(|fault| Error::new(path, fault))
}

/// The file's bytes; what is no picture is refused by its first few, however long it is.
fn load(path: &Path, limits: &Limits) -> Result<Vec<u8>, Fault> {
    let io = |e| Fault::io("read", e);
    let mut file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(Fault::Folder);
    }
    let mut bytes = Vec::new();
    Read::by_ref(&mut file)
        .take(64)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    recognise(&bytes)?;
    let limit = limits.file_bytes();
    file.take(limit).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(Fault::LongFile { limit });
    }
    Ok(bytes)
}

/// Decodes the bytes of a picture file.
///
/// # Errors
/// [`Fault`] says what is wrong with them.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, Fault> {
    let format = recognise(bytes)?;
    // The decoders are careful, but theirs is the one code here that meets untrusted bytes first: should one of them
    // panic, the picture is at fault, not the run.
    let raw = catch_unwind(AssertUnwindSafe(|| decode_as(format, bytes, limits)))
        .unwrap_or_else(|_| Err(Fault::damaged(format, "the decoder gave up on it")))?;
    raw.into_picture()
}

fn decode_as(format: Format, bytes: &[u8], limits: &Limits) -> Result<Raw, Fault> {
    let cursor = Cursor::new(bytes);
    let wrong = |e| fault(format, e);
    match format {
        Format::Png => png::decode(bytes, limits),
        Format::Jpeg => {
            jpeg::check(bytes)?;
            Raw::read(format, JpegDecoder::new(cursor).map_err(wrong)?, limits)
        }
        Format::Tiff => match tiff::decode_grey_alpha(bytes, limits)? {
            Some(raw) => Ok(raw),
            None => Raw::read(format, TiffDecoder::new(cursor).map_err(wrong)?, limits),
        },
        Format::WebP => Raw::read(format, WebPDecoder::new(cursor).map_err(wrong)?, limits),
        Format::Bmp => Raw::read(format, BmpDecoder::new(cursor).map_err(wrong)?, limits),
    }
}

/// The format, by the first bytes.
fn recognise(bytes: &[u8]) -> Result<Format, Fault> {
    if bytes.is_empty() {
        return Err(Fault::NoBytes);
    }
    match bytes {
        b if b.starts_with(b"\x89PNG\r\n\x1a\n") => Ok(Format::Png),
        b if b.starts_with(b"\xFF\xD8\xFF") => Ok(Format::Jpeg),
        b if b.starts_with(b"II*\0") || b.starts_with(b"MM\0*") => Ok(Format::Tiff),
        b if b.starts_with(b"II+\0") || b.starts_with(b"MM\0+") => Ok(Format::Tiff),
        b if b.starts_with(b"RIFF") && b.get(8..12) == Some(b"WEBP") => Ok(Format::WebP),
        b if b.starts_with(b"BM") => Ok(Format::Bmp),
        _ => Err(Fault::Unknown {
            looks: looks_like(bytes),
        }),
    }
}

/// What else people hand over, and what to do about it.
fn looks_like(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    match bytes {
        _ if text.starts_with(b"<svg") || text.starts_with(b"<?xml") => {
            "looks like SVG or XML; render it to PNG first"
        }
        _ if text.starts_with(b"<") => {
            "looks like a web page, perhaps a failed download; get it again"
        }
        b if b.starts_with(b"version https://git-lfs") => {
            "is a Git LFS pointer; run `git lfs pull` to get the picture"
        }
        b if b.starts_with(b"GIF8") => "is a GIF; convert it to PNG first",
        b if matches!(b.get(4..12), Some(b"ftypavif" | b"ftypavis")) => {
            "is an AVIF; convert it to PNG first"
        }
        b if b.get(4..8) == Some(b"ftyp") => "is a HEIC or a video; convert it to PNG first",
        b if b.starts_with(b"%PDF") => "is a PDF; convert the page to PNG first",
        b if b.starts_with(b"8BPS") => "is a Photoshop file; export it as PNG or TIFF first",
        b if b.starts_with(b"\x93NUMPY") => "is a NumPy array; save it as a 16-bit PNG first",
        b if b.starts_with(b"\xFF\x0A") || b.starts_with(b"\0\0\0\x0CJXL ") => {
            "is a JPEG XL; convert it to PNG first"
        }
        b if b.iter().all(|&b| b == 0) => "holds nothing but zeros; get it again",
        _ => "looks like none of them; convert it to PNG first",
    }
}

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
}

impl Raw {
    fn read(format: Format, mut decoder: impl ImageDecoder, limits: &Limits) -> Result<Raw, Fault> {
        let wrong = |e| fault(format, e);
        limits.check(decoder.dimensions())?;
        refuse_cmyk(format, decoder.original_color_type())?;
        let (width, height) = decoder.dimensions();
        let color = decoder.color_type();
        // A broken profile or EXIF block is no reason to refuse the picture. Both come before the limits, because those
        // of TIFF would keep a profile out of a picture that is smaller than it.
        let icc = quiet(decoder.icc_profile());
        let mut exif = quiet(decoder.exif_metadata()).and_then(exif::strip);
        let mut orientation = exif
            .as_mut()
            .map_or(Orientation::NoTransforms, |e| exif::take_orientation(e));
        if format == Format::Tiff {
            orientation = decoder.orientation().map_err(wrong)?;
        }
        let mut allowed = ::image::Limits::default();
        allowed.max_alloc = Some(limits.decoder_bytes());
        decoder.set_limits(allowed).map_err(wrong)?;
        let mut bytes = vec![0; decoder.total_bytes() as usize];
        decoder.read_image(&mut bytes).map_err(wrong)?;
        Ok(Raw {
            format,
            width: width as usize,
            height: height as usize,
            channels: color.channel_count() as usize,
            samples: samples(color, bytes),
            orientation,
            icc,
            exif,
            text: Vec::new(),
        })
    }

    /// Scales to [0, 1], splits off alpha, turns upright.
    fn into_picture(self) -> Result<Picture, Fault> {
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
        })
    }
}

fn channels_agree(planes: &ArrayView<'_, f32, ndarray::Ix3>) -> bool {
    let first = planes.index_axis(Axis(0), 0);
    planes.outer_iter().all(|plane| plane == first)
}

fn samples(color: ColorType, bytes: Vec<u8>) -> Samples {
    // Decoders answer in the machine's byte order.
    match color.bytes_per_pixel() / color.channel_count() {
        1 => Samples::Eight(bytes),
        2 => {
            let pairs = bytes.as_chunks().0.iter();
            Samples::Sixteen(pairs.map(|&b| u16::from_ne_bytes(b)).collect())
        }
        _ => {
            let quads = bytes.as_chunks().0.iter();
            Samples::Float(quads.map(|&b| f32::from_ne_bytes(b)).collect())
        }
    }
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

fn refuse_cmyk(format: Format, color: ExtendedColorType) -> Result<(), Fault> {
    match color {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => {
            Err(Fault::unsupported(format, "CMYK"))
        }
        _ => Ok(()),
    }
}

/// Applies an EXIF orientation to planes whose rows are axis `rows` and whose columns are the axis after it.
fn upright<D: Dimension>(
    planes: ArrayView<'_, f32, D>,
    orientation: Orientation,
    rows: usize,
) -> ndarray::Array<f32, D> {
    let mut view = planes;
    let columns = rows + 1;
    // (swap rows and columns, then mirror left-right, then top-bottom)
    let (transpose, mirror, flip) = match orientation {
        Orientation::NoTransforms => (false, false, false),
        Orientation::FlipHorizontal => (false, true, false),
        Orientation::Rotate180 => (false, true, true),
        Orientation::FlipVertical => (false, false, true),
        Orientation::Rotate90FlipH => (true, false, false),
        Orientation::Rotate90 => (true, true, false),
        Orientation::Rotate270FlipH => (true, true, true),
        Orientation::Rotate270 => (true, false, true),
    };
    if transpose {
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

fn quiet(result: ImageResult<Option<Vec<u8>>>) -> Option<Vec<u8>> {
    result.unwrap_or_else(|e| {
        log::warn!("metadata left out: {e}");
        None
    })
}

fn fault(format: Format, error: ImageError) -> Fault {
    match error {
        ImageError::Unsupported(e) => Fault::unsupported(format, e),
        ImageError::IoError(e) => Fault::damaged(format, e),
        ImageError::Limits(_) => {
            Fault::damaged(format, "it asks for more memory than its size needs")
        }
        e => Fault::damaged(format, e),
    }
}
