//! Writing: quantise, encode, put in place in one move.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use ::image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, webp::WebPEncoder};
use ::image::{ExtendedColorType, ImageEncoder};
use ndarray::{Array3, Axis, Zip, concatenate, s};

use super::{Depth, Error, Fault, Format, Picture, exif, png, tiff};
use crate::Dims;

/// Whether an existing file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// An existing file is an error.
    Refuse,
    /// An existing file is replaced, in one move.
    Allow,
}

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// Bits a channel. `None` keeps those of the picture, or 8 where the format has no more.
    pub depth: Option<Depth>,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
}

impl Default for WriteOptions {
    /// The picture's own depth; JPEG at quality 95 (always without chroma subsampling, 4:4:4).
    fn default() -> WriteOptions {
        WriteOptions {
            depth: None,
            quality: 95,
        }
    }
}

/// Writes a picture in the format of the path's extension.
///
/// The file appears whole or not at all: it is written under another name in the same folder, then renamed.
///
/// # Errors
/// [`Error`] names the file and what is in the way; nothing is left behind.
pub fn write(
    path: impl AsRef<Path>,
    picture: &Picture,
    options: &WriteOptions,
    overwrite: Overwrite,
) -> Result<(), Error> {
    let path = path.as_ref();
    Format::from_path(path)
        .and_then(|format| {
            // Encoding takes a while: say at once that the name is taken.
            if overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() {
                return Err(Fault::Exists);
            }
            place(path, &encode(picture, format, options)?, overwrite)
        })
        .map_err(|fault| Error::new(path, fault))
}

/// Writes any bytes the way pictures are written: beside, then renamed.
///
/// # Errors
/// [`Error`] names the file and what is in the way; nothing is left behind.
pub fn write_bytes(
    path: impl AsRef<Path>,
    bytes: &[u8],
    overwrite: Overwrite,
) -> Result<(), Error> {
    let path = path.as_ref();
    place(path, bytes, overwrite).map_err(|fault| Error::new(path, fault))
}

/// How the name of an unfinished file begins and ends.
const PART: (&str, &str) = (".tweedie-", ".part");

/// Removes what a process that was killed while writing has left in a folder that no other process writes to.
pub(crate) fn sweep(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PART.0) && name.ends_with(PART.1) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn place(path: &Path, bytes: &[u8], overwrite: Overwrite) -> Result<(), Fault> {
    let io = |e| Fault::io("write", e);
    if path.is_dir() {
        return Err(Fault::Folder);
    }
    // A link is followed, so that what it points to is replaced and not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(p) if p != Path::new("") => p.to_owned(),
        _ => PathBuf::from("."),
    };
    if !folder.is_dir() {
        return Err(Fault::NoFolder(folder));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PART.0).suffix(PART.1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Those of any new file, less the umask; a temporary file would be private.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(&folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    keep_permissions(file.as_file(), &target);
    file.as_file().sync_all().map_err(io)?;
    match overwrite {
        Overwrite::Allow => file.persist(&target),
        Overwrite::Refuse => file.persist_noclobber(&target),
    }
    .map_err(|e| match e.error.kind() {
        std::io::ErrorKind::AlreadyExists => Fault::Exists,
        _ => io(e.error),
    })?;
    Ok(())
}

/// A replaced file keeps its permissions, as far as the system lets us.
fn keep_permissions(file: &File, target: &Path) {
    if let Ok(old) = fs::metadata(target)
        && let Err(e) = file.set_permissions(old.permissions())
    {
        log::warn!("{}: permissions not kept: {e}", target.display());
    }
}

/// Encodes a picture. Values are clamped to [0, 1] and rounded to the nearest step.
///
/// # Errors
/// [`Fault`] if the picture is not one of 1 or 3 channels, holds NaN, or does not fit the format.
pub fn encode(picture: &Picture, format: Format, options: &WriteOptions) -> Result<Vec<u8>, Fault> {
    let depth = check(picture, format, options)?;
    let pixels = interleave(picture, format);
    let (h, w, channels) = pixels.dim();
    let size = (w as u32, h as u32);
    let samples = Quantised::new(&pixels, depth);
    let icc = picture.icc.as_deref().filter(|p| fits(p, picture.dims().c));
    let mut exif = picture.exif.clone();
    if let Some(exif) = &mut exif {
        exif::set_size(exif, w, h);
    }
    match format {
        Format::Png => png::encode(&png::Content {
            width: size.0,
            height: size.1,
            channels,
            depth,
            bytes: &samples.to_big_endian(),
            icc,
            exif: exif.as_deref(),
            text: &picture.text,
        }),
        Format::Tiff => tiff::encode(&samples, size, channels, icc),
        Format::Jpeg => {
            let mut out = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut out, options.quality);
            // A JPEG segment ends at 64 KiB.
            let exif = exif.filter(|e| e.len() < 65_000);
            encode_8(format, encoder, &samples, size, channels, icc, exif).map(|()| out)
        }
        Format::WebP => {
            let mut out = Vec::new();
            let encoder = WebPEncoder::new_lossless(&mut out);
            encode_8(format, encoder, &samples, size, channels, icc, exif).map(|()| out)
        }
        Format::Bmp => {
            let mut out = Vec::new();
            let encoder = BmpEncoder::new(&mut out);
            encode_8(format, encoder, &samples, size, channels, None, None).map(|()| out)
        }
    }
}

/// Through the `image` crate's encoders, which take 8 bits.
fn encode_8(
    format: Format,
    mut encoder: impl ImageEncoder,
    samples: &Quantised,
    (width, height): (u32, u32),
    channels: usize,
    icc: Option<&[u8]>,
    exif: Option<Vec<u8>>,
) -> Result<(), Fault> {
    let color = match channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let wrong = |e: &dyn std::fmt::Display| Fault::encode(format, e);
    if let Some(icc) = icc {
        encoder
            .set_icc_profile(icc.to_vec())
            .map_err(|e| wrong(&e))?;
    }
    if let Some(exif) = exif {
        encoder.set_exif_metadata(exif).map_err(|e| wrong(&e))?;
    }
    encoder
        .write_image(&samples.to_big_endian(), width, height, color)
        .map_err(|e| wrong(&e))
}

/// Whether the picture can be encoded, and at which depth.
fn check(picture: &Picture, format: Format, options: &WriteOptions) -> Result<Depth, Fault> {
    let Dims { c, h, w } = picture.dims();
    if picture.pixels.dim().0 != 1 || !(c == 1 || c == 3) {
        return Err(Fault::Shape(picture.pixels.shape().to_vec()));
    }
    if h == 0 || w == 0 {
        return Err(Fault::NoPixels {
            width: w,
            height: h,
        });
    }
    let most = format.longest_side();
    if h.max(w) > most {
        return Err(Fault::TooLargeFor {
            format,
            width: w,
            height: h,
            most,
        });
    }
    if let Some(alpha) = picture.alpha.as_ref().map(|a| a.dim())
        && alpha != (h, w)
    {
        return Err(Fault::Alpha {
            alpha,
            picture: (h, w),
        });
    }
    let values = picture.pixels.iter().chain(picture.alpha.iter().flatten());
    match values.filter(|v| !v.is_finite()).count() {
        0 => {}
        n => return Err(Fault::NotFinite(n)),
    }
    if !(1..=100).contains(&options.quality) {
        return Err(Fault::Quality(options.quality));
    }
    match options.depth {
        Some(Depth::Sixteen) if !format.has_16_bits() => Err(Fault::TooDeep(format)),
        Some(depth) => Ok(depth),
        None if format.has_16_bits() => Ok(picture.depth),
        None => Ok(Depth::Eight),
    }
}

/// `[height, width, channel]`, alpha last; a format without alpha shows the picture over white.
fn interleave(picture: &Picture, format: Format) -> Array3<f32> {
    let planes = picture.pixels.slice(s![0, .., .., ..]);
    let mut planes = planes.to_owned();
    if let Some(alpha) = &picture.alpha {
        if format == Format::Jpeg {
            for plane in planes.outer_iter_mut() {
                Zip::from(plane)
                    .and(alpha)
                    .for_each(|v, &a| *v = a * *v + (1.0 - a));
            }
        } else {
            planes = concatenate![Axis(0), planes, alpha.view().insert_axis(Axis(0))];
        }
        // A BMP has alpha only beside three colours.
        if format == Format::Bmp && planes.dim().0 == 2 {
            planes = planes.select(Axis(0), &[0, 0, 0, 1]);
        }
    }
    planes
        .permuted_axes([1, 2, 0])
        .as_standard_layout()
        .into_owned()
}

/// Whether an ICC profile is for pictures of `channels`: bytes 16..20 of its header name its colour space (ICC.1:2022,
/// table 18).
fn fits(profile: &[u8], channels: usize) -> bool {
    let fits = matches!(
        (profile.get(16..20), channels),
        (Some(b"GRAY"), 1) | (Some(b"RGB "), 3)
    );
    if !fits {
        log::warn!("the ICC profile is not for a picture of {channels} channels, and left out");
    }
    fits
}

/// Samples ready for a file, in the machine's byte order.
pub(super) enum Quantised {
    /// Steps of 1/255.
    Eight(Vec<u8>),
    /// Steps of 1/65535.
    Sixteen(Vec<u16>),
}

impl Quantised {
    fn new(values: &Array3<f32>, depth: Depth) -> Quantised {
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

    fn to_big_endian(&self) -> std::borrow::Cow<'_, [u8]> {
        match self {
            Quantised::Eight(v) => v.into(),
            Quantised::Sixteen(v) => v.iter().flat_map(|v| v.to_be_bytes()).collect(),
        }
    }
}
