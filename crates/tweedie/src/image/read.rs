//! Reading: recognise, check the size, decode, turn upright.

use std::io::{Cursor, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ::image::codecs::{bmp::BmpDecoder, webp::WebPDecoder};
use ::image::metadata::Orientation;
use ::image::{ColorType, ImageDecoder, ImageError, ImageResult};

use super::raw::{Raw, Samples};
use super::{Error, Fault, Format, Limits, Picture, bmp, exif, jpeg, png, tiff, webp};
use crate::files::Opened;

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
    let mut picture = load(path, limits)
        .and_then(|bytes| decode(&bytes, limits))
        .map_err(|fault| Error::new(path, fault))?;
    let named = Format::from_path(path).ok();
    if let (Some(named), Some(format)) = (named, picture.format)
        && named != format
    {
        picture
            .notes
            .push(format!("named as a {named}, but it is a {format}"));
    }
    Ok(picture)
}

/// The format of a file, by its first bytes.
///
/// # Errors
/// [`Error`] names a file that cannot be read, or is no picture of a kind that is read here.
pub fn format_of(path: impl AsRef<Path>) -> Result<Format, Error> {
    let path = path.as_ref();
    Opened::new(path)
        .map_err(|e| Fault::io("read", e))
        .and_then(|file| recognise(file.head()))
        .map_err(|fault| Error::new(path, fault))
}

/// The file's bytes; what is no picture is refused by its first few, however long it is.
fn load(path: &Path, limits: &Limits) -> Result<Vec<u8>, Fault> {
    let io = |e| Fault::io("read", e);
    let file = Opened::new(path).map_err(io)?;
    recognise(file.head())?;
    let limit = limits.file_bytes();
    file.read(limit).map_err(|e| match e.kind() {
        ErrorKind::FileTooLarge => Fault::LongFile { limit },
        _ => io(e),
    })
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
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Tiff => tiff::decode(bytes, limits),
        Format::WebP => {
            let decoder = WebPDecoder::new(cursor).map_err(wrong)?;
            let mut raw = decode_by(format, decoder, limits)?;
            raw.note_frames(webp::count(bytes, b"ANMF"));
            raw.chroma = webp::count(bytes, b"VP8 ") > 0;
            Ok(raw)
        }
        Format::Bmp => {
            let raw = decode_by(format, BmpDecoder::new(cursor).map_err(wrong)?, limits)?;
            Ok(Raw {
                resolution: bmp::resolution(bytes),
                ..raw
            })
        }
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
        b if b.get(4..12) == Some(b"ftypcrx ") || is_camera_raw(b) => {
            "is a camera's raw file; develop it to a 16-bit TIFF first"
        }
        b if b.get(4..8) == Some(b"ftyp") => "is a HEIC or a video; convert it to PNG first",
        b if b.starts_with(b"%PDF") => "is a PDF; convert the page to PNG first",
        b if b.starts_with(b"8BPS") => "is a Photoshop file; export it as PNG or TIFF first",
        b if b.starts_with(b"\x89HDF\r\n\x1a\n") => {
            "is HDF5; models/brain/kspace.py makes a .npy of a scanner's"
        }
        b if b.starts_with(b"\x93NUMPY") => {
            "is a NumPy array, which `restore` and `degrade` alone read, if its name ends in .npy or .npz"
        }
        b if b.starts_with(b"\xFF\x0A") || b.starts_with(b"\0\0\0\x0CJXL ") => {
            "is a JPEG XL; convert it to PNG first"
        }
        b if b.iter().all(|&b| b == 0) => "holds nothing but zeros; get it again",
        _ => "looks like none of them; convert it to PNG first",
    }
}

/// Olympus, Panasonic, Fujifilm, Minolta, Canon's older ones, Sigma.
fn is_camera_raw(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 7] = [
        b"IIRO",
        b"IIRS",
        b"MMOR",
        b"IIU\0",
        b"FUJIFILMCCD-RAW",
        b"\0MRM",
        b"FOVb",
    ];
    BEGINNINGS.iter().any(|b| bytes.starts_with(b)) || bytes.get(6..14) == Some(b"HEAPCCDR")
}

/// Through a decoder of the `image` crate.
pub(super) fn decode_by(
    format: Format,
    mut decoder: impl ImageDecoder,
    limits: &Limits,
) -> Result<Raw, Fault> {
    let wrong = |e| fault(format, e);
    limits.check(decoder.dimensions())?;
    let (width, height) = decoder.dimensions();
    let color = decoder.color_type();
    // A broken profile or EXIF block is no reason to refuse the picture.
    let icc = quiet(decoder.icc_profile());
    let xmp = quiet(decoder.xmp_metadata()).is_some();
    let mut exif = quiet(decoder.exif_metadata()).and_then(exif::strip);
    let orientation = exif
        .as_mut()
        .map_or(Orientation::NoTransforms, |e| exif::take_orientation(e));
    let mut allowed = ::image::Limits::default();
    allowed.max_alloc = Some(limits.decoder_bytes());
    decoder.set_limits(allowed).map_err(wrong)?;
    let mut bytes = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut bytes).map_err(wrong)?;
    let size = (width as usize, height as usize);
    let channels = color.channel_count() as usize;
    let mut raw = Raw {
        orientation,
        icc,
        resolution: exif.as_deref().and_then(exif::resolution),
        exif,
        ..Raw::new(format, size, channels, samples(color, bytes))
    };
    raw.note_xmp(xmp);
    Ok(raw)
}

fn samples(color: ColorType, bytes: Vec<u8>) -> Samples {
    // Decoders answer in the machine's byte order.
    match color.bytes_per_pixel() / color.channel_count() {
        1 => Samples::Eight(bytes),
        _ => {
            let pairs = bytes.as_chunks().0.iter();
            Samples::Sixteen(pairs.map(|&b| u16::from_ne_bytes(b)).collect())
        }
    }
}

fn quiet(result: ImageResult<Option<Vec<u8>>>) -> Option<Vec<u8>> {
    result.unwrap_or_else(|e| {
        log::warn!("metadata left out: {e}");
        None
    })
}

pub(super) fn fault(format: Format, error: ImageError) -> Fault {
    match error {
        ImageError::Unsupported(e) => Fault::unsupported(format, e),
        ImageError::IoError(e) => Fault::damaged(format, e),
        ImageError::Limits(_) => {
            Fault::damaged(format, "it asks for more memory than its size needs")
        }
        e => Fault::damaged(format, e),
    }
}
