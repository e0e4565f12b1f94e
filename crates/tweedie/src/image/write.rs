//! Writing: quantise, encode, put in place in one move.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use ::image::codecs::{
    bmp::BmpEncoder,
    jpeg::{JpegEncoder, PixelDensity, PixelDensityUnit},
    webp::WebPEncoder,
};
use ::image::{ExtendedColorType, ImageEncoder};
use ndarray::{Array3, Axis, Zip, concatenate, s};
use tempfile::{NamedTempFile, PersistError};

use super::raw::Quantised;
use super::{Depth, Error, Fault, Format, Picture, Resolution, bmp, exif, png, tiff};
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

impl WriteOptions {
    /// Whether a format does what these options ask for; what a picture's size adds, [`Format::check_size`] says.
    ///
    /// # Errors
    /// [`Fault::TooDeep`] for 16 bits in a format that has 8, [`Fault::NoFloats`], [`Fault::Quality`] for a JPEG quality out of range.
    pub fn check(&self, format: Format) -> Result<(), Fault> {
        if !(1..=100).contains(&self.quality) {
            return Err(Fault::Quality(self.quality));
        }
        match self.depth {
            Some(Depth::Sixteen) if !format.has_16_bits() => Err(Fault::TooDeep(format)),
            Some(Depth::Float) if !format.has_floats() => Err(Fault::NoFloats(format)),
            _ => Ok(()),
        }
    }
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
    // Encoding takes a while: say at once what is in the way.
    let format = check_write(path, options, overwrite)?;
    encode(picture, format, options)
        .and_then(|bytes| place(path, &bytes, overwrite))
        .map_err(|fault| Error::new(path, fault))
}

/// What [`write()`] would refuse before it has a picture: an extension without a format, a format that does not do what
/// `options` ask for, and all that [`check_write_bytes`] finds. The format that it would write, whose
/// [`Format::check_size`] tells about a picture's size.
///
/// For asking before work of minutes, not after.
///
/// # Errors
/// [`Error`] names the file and what is in the way.
pub fn check_write(
    path: impl AsRef<Path>,
    options: &WriteOptions,
    overwrite: Overwrite,
) -> Result<Format, Error> {
    let path = path.as_ref();
    let format = Format::from_path(path)
        .and_then(|format| options.check(format).map(|()| format))
        .map_err(|fault| Error::new(path, fault))?;
    check_write_bytes(path, overwrite)?;
    Ok(format)
}

/// What [`write_bytes`] would refuse whatever the bytes: a name that is taken, a folder that is missing or takes no new
/// file. To find out, a file is made in the folder and removed.
///
/// # Errors
/// [`Error`] names the file and what is in the way.
pub fn check_write_bytes(path: impl AsRef<Path>, overwrite: Overwrite) -> Result<(), Error> {
    let path = path.as_ref();
    Place::of(path)
        .and_then(|place| {
            // A link takes the name even where it points to nothing.
            if overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() {
                return Err(Fault::Exists);
            }
            place.part().map(drop)
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
    let place = Place::of(path)?;
    let mut file = place.part()?;
    file.write_all(bytes).map_err(io)?;
    keep_permissions(file.as_file(), &place.target);
    file.as_file().sync_all().map_err(io)?;
    match overwrite {
        Overwrite::Allow => file.persist(&place.target).map(drop),
        Overwrite::Refuse => persist_new(file, &place.target),
    }
    .map_err(|e| match e.error.kind() {
        ErrorKind::AlreadyExists => Fault::Exists,
        _ => io(e.error),
    })
}

/// Where a file is put.
struct Place {
    target: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn of(path: &Path) -> Result<Place, Fault> {
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
        Ok(Place { target, folder })
    }

    /// An empty file beside the target, which vanishes unless it is put in its place.
    fn part(&self) -> Result<NamedTempFile, Fault> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PART.0).suffix(PART.1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Those of any new file, less the umask; a temporary file would be private.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        builder
            .tempfile_in(&self.folder)
            .map_err(|e| Fault::io("write", e))
    }
}

/// Puts a file in its place if there is none.
fn persist_new(file: NamedTempFile, target: &Path) -> Result<(), PersistError> {
    match file.persist_noclobber(target) {
        Err(e) if lacks_hard_links(&e.error) => persist_checked(e.file, target),
        done => done.map(drop),
    }
}

/// Whether a failure may be that of a file system without hard links, by which a new file gets its name where there is
/// no rename that refuses: exFAT, some network mounts.
fn lacks_hard_links(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::PermissionDenied
    )
}

/// Looks, then renames: a file that appears in between is replaced.
fn persist_checked(file: NamedTempFile, target: &Path) -> Result<(), PersistError> {
    if target.symlink_metadata().is_ok() {
        let error = ErrorKind::AlreadyExists.into();
        return Err(PersistError { error, file });
    }
    file.persist(target).map(drop)
}

/// A replaced file keeps its permissions, as far as the system lets us.
fn keep_permissions(file: &File, target: &Path) {
    if let Ok(old) = fs::metadata(target)
        && let Err(e) = file.set_permissions(old.permissions())
    {
        log::warn!("{}: permissions not kept: {e}", target.display());
    }
}

/// Encodes a picture. Values are clamped to [0, 1] and rounded to the nearest step, but for floating-point ones.
///
/// # Errors
/// [`Fault`] if the picture is not one of 1 or 3 channels, holds NaN, or does not fit the format.
pub fn encode(picture: &Picture, format: Format, options: &WriteOptions) -> Result<Vec<u8>, Fault> {
    let depth = check(picture, format, options)?;
    let pixels = interleave(picture, format);
    let (h, w, channels) = pixels.dim();
    let size = (w as u32, h as u32);
    let samples = Quantised::new(&pixels, depth);
    let icc = picture.icc.as_deref();
    let icc = icc.filter(|icc| fits(icc, picture.written_channels()));
    let mut exif = picture.exif.clone().filter(|e| format.holds_exif(e));
    if let Some(exif) = &mut exif {
        exif::set_size(exif, w, h);
    }
    let resolution = picture.resolution.filter(|r| format.holds_resolution(r));
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
            color: &picture.png_color,
            resolution,
        }),
        Format::Tiff => {
            let text = &picture.text;
            let extras = tiff::Extras {
                icc,
                resolution,
                text,
            };
            tiff::encode(&samples, size, channels, &extras)
        }
        Format::Jpeg => {
            let mut out = Vec::new();
            let mut encoder = JpegEncoder::new_with_quality(&mut out, options.quality);
            if let Some(density) = resolution.and_then(density) {
                encoder.set_pixel_density(density);
            }
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
            encode_8(format, encoder, &samples, size, channels, None, None)?;
            if let Some(resolution) = resolution {
                bmp::set_resolution(&mut out, resolution);
            }
            Ok(out)
        }
    }
}

/// A resolution for JFIF.
fn density(resolution: Resolution) -> Option<PixelDensity> {
    Some(PixelDensity {
        density: resolution.to_jfif()?,
        unit: match resolution.absolute {
            true => PixelDensityUnit::Inches,
            false => PixelDensityUnit::PixelAspectRatio,
        },
    })
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
    format.check_size(picture.dims())?;
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
    options.check(format)?;
    Ok(match options.depth {
        Some(depth) => depth,
        // Floating-point numbers are written only where they are asked for: few programs show them.
        None if format.has_16_bits() => match picture.depth {
            Depth::Eight => Depth::Eight,
            Depth::Sixteen | Depth::Float => Depth::Sixteen,
        },
        None => Depth::Eight,
    })
}

/// `[height, width, channel]`, alpha last; a format without alpha shows the picture over white.
fn interleave(picture: &Picture, format: Format) -> Array3<f32> {
    let planes = picture.pixels.slice(s![0, .., .., ..]);
    let mut planes = match picture.dims().c == picture.written_channels() {
        true => planes.to_owned(),
        false => planes.select(Axis(0), &[0, 0, 0]),
    };
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
pub(super) fn fits(profile: &[u8], channels: usize) -> bool {
    matches!(
        (profile.get(16..20), channels),
        (Some(b"GRAY"), 1) | (Some(b"RGB "), 3)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second way of naming a new file, where a file system has no hard links.
    #[test]
    fn looking_and_renaming_refuses_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.png");
        let part = |text: &str| {
            let mut part = Place::of(&target).unwrap().part().unwrap();
            part.write_all(text.as_bytes()).unwrap();
            part
        };
        persist_checked(part("old"), &target).unwrap();
        let refused = persist_checked(part("new"), &target).unwrap_err();
        assert_eq!(refused.error.kind(), ErrorKind::AlreadyExists);
        drop(refused);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn file_systems_without_hard_links_are_known_by_their_errors() {
        // EPERM, EOPNOTSUPP, ENOSYS; then EEXIST, ENOSPC.
        for (code, lacks) in [(1, true), (95, true), (38, true), (17, false), (28, false)] {
            let error = std::io::Error::from_raw_os_error(code);
            assert_eq!(lacks_hard_links(&error), lacks, "{error}");
        }
    }
}
