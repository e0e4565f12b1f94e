//! A picture and what travels with it.

use std::fmt;
use std::path::Path;

use ndarray::Array2;

use super::{Fault, Jpeg, PngColor, Resolution, tiff};
use crate::{Dims, Image};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Portable Network Graphics.
    Png,
    /// JPEG in JFIF or EXIF dress, baseline or progressive.
    Jpeg,
    /// Tagged Image File Format; the first page.
    Tiff,
    /// WebP, lossy and lossless; written lossless.
    WebP,
    /// Windows bitmap.
    Bmp,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 5] = [
        Format::Png,
        Format::Jpeg,
        Format::Tiff,
        Format::WebP,
        Format::Bmp,
    ];

    /// The format that a file name asks for by its extension.
    ///
    /// # Errors
    /// [`Fault::Extension`] if there is none or it is none of these.
    pub fn from_path(path: &Path) -> Result<Format, Fault> {
        let extension = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        match extension.as_deref() {
            Some("png" | "apng") => Ok(Format::Png),
            Some("jpg" | "jpeg" | "jpe" | "jfif" | "jfi" | "jif") => Ok(Format::Jpeg),
            Some("tif" | "tiff") => Ok(Format::Tiff),
            Some("webp") => Ok(Format::WebP),
            Some("bmp" | "dib") => Ok(Format::Bmp),
            _ => Err(Fault::Extension { extension }),
        }
    }

    /// Its usual extension, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::Jpeg => "jpg",
            Format::Tiff => "tif",
            Format::WebP => "webp",
            Format::Bmp => "bmp",
        }
    }

    /// Whether 16 bits a channel can be written.
    pub fn has_16_bits(self) -> bool {
        matches!(self, Format::Png | Format::Tiff)
    }

    /// Whether floating-point numbers can be written.
    pub fn has_floats(self) -> bool {
        self == Format::Tiff
    }

    /// Whether an EXIF block can be written. A JPEG's segment ends at 64 KiB.
    pub(super) fn holds_exif(self, exif: &[u8]) -> bool {
        match self {
            Format::Png | Format::WebP => true,
            Format::Jpeg => exif.len() < 65_000,
            Format::Tiff | Format::Bmp => false,
        }
    }

    /// Whether a resolution can be written.
    pub(super) fn holds_resolution(self, resolution: &Resolution) -> bool {
        match self {
            Format::Png | Format::Tiff => true,
            Format::Jpeg => resolution.to_jfif().is_some(),
            Format::Bmp => resolution.absolute,
            Format::WebP => false,
        }
    }

    /// Whether a text can be written.
    pub(super) fn holds_text(self, key: &str, value: &str) -> bool {
        match self {
            Format::Png => true,
            Format::Tiff => tiff::holds_text(key, value),
            Format::Jpeg | Format::WebP | Format::Bmp => false,
        }
    }

    /// Whether a picture of these dimensions can be written.
    ///
    /// # Errors
    /// [`Fault::TooLargeFor`] if a side is longer than the format takes.
    pub fn check_size(self, dims: Dims) -> Result<(), Fault> {
        let most = self.longest_side();
        if dims.h.max(dims.w) <= most {
            return Ok(());
        }
        Err(Fault::TooLargeFor {
            format: self,
            width: dims.w,
            height: dims.h,
            most,
        })
    }

    /// The longest side that can be written.
    fn longest_side(self) -> usize {
        match self {
            Format::Png | Format::Bmp | Format::Tiff => i32::MAX as usize,
            Format::Jpeg => 65_535,
            Format::WebP => 16_384,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Png => "PNG",
            Format::Jpeg => "JPEG",
            Format::Tiff => "TIFF",
            Format::WebP => "WebP",
            Format::Bmp => "BMP",
        })
    }
}

/// Bits a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Depth {
    /// 8 bits: steps of 1/255.
    #[default]
    Eight,
    /// 16 bits: steps of 1/65535.
    Sixteen,
    /// 32-bit floating-point numbers, neither clipped nor rounded.
    Float,
}

/// A picture and what travels with it through a restoration.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// `[1, channel, height, width]` in [0, 1], with 1 (grey) or 3 (red, green, blue) channels, upright.
    pub pixels: Image,
    /// Opacity in [0, 1], `[height, width]`; `None` where the file has none.
    pub alpha: Option<Array2<f32>>,
    /// Bits a channel of the file.
    pub depth: Depth,
    /// The ICC profile.
    pub icc: Option<Vec<u8>>,
    /// The EXIF block, from its byte-order mark on, with its orientation reset and without its thumbnail.
    pub exif: Option<Vec<u8>>,
    /// Key and value pairs: a PNG's text chunks, XMP left out; a TIFF's description, artist and copyright under the keys that
    /// PNG has for them, `Description`, `Author` and `Copyright`.
    pub text: Vec<(String, String)>,
    /// What a PNG says of its colours beside the profile.
    pub png_color: PngColor,
    /// How large it is on paper; `None` where the file does not say it.
    pub resolution: Option<Resolution>,
    /// Whether the file has three channels that are one grey: then `pixels` has one, which is written as three again.
    pub grey_as_rgb: bool,
    /// How coarsely its pixels were stored; `None` unless they are those of a JPEG file that says it.
    pub jpeg: Option<Jpeg>,
    /// The format of the file that it was read from; `None` if it was not.
    pub format: Option<Format>,
    /// What was left out or assumed on reading: a line each, for whoever asked for it.
    pub notes: Vec<String>,
}

impl Picture {
    /// A picture of 8 bits with nothing beside its pixels.
    pub fn new(pixels: Image) -> Picture {
        Picture {
            pixels,
            alpha: None,
            depth: Depth::Eight,
            icc: None,
            exif: None,
            text: Vec::new(),
            png_color: PngColor::default(),
            resolution: None,
            grey_as_rgb: false,
            jpeg: None,
            format: None,
            notes: Vec::new(),
        }
    }

    /// Channels, height and width.
    pub fn dims(&self) -> Dims {
        Dims::of(&self.pixels)
    }

    /// The same file with other pixels: all that travels with it is kept, but for what is known of the old ones. If the size changes, alpha is resized
    /// bilinearly (a triangle filter, widened when shrinking, so that a thin opaque line does not vanish).
    pub fn with_pixels(&self, pixels: Image) -> Picture {
        let Dims { h, w, .. } = Dims::of(&pixels);
        Picture {
            alpha: self.alpha.as_ref().map(|a| resize(a, h, w)),
            depth: self.depth,
            icc: self.icc.clone(),
            exif: self.exif.clone(),
            text: self.text.clone(),
            png_color: self.png_color.clone(),
            resolution: self.resolution,
            grey_as_rgb: self.grey_as_rgb,
            jpeg: None,
            format: self.format,
            notes: self.notes.clone(),
            pixels,
        }
    }

    /// A grey picture of a file of three channels with these three; any other as it is.
    pub fn with_file_channels(&self) -> Picture {
        let mut picture = self.clone();
        let Dims { c, h, w } = self.dims();
        if self.grey_as_rgb && c == 1 {
            let three = self.pixels.broadcast((1, 3, h, w));
            picture.pixels = three.expect("one channel stretches to three").to_owned();
        }
        picture
    }

    /// How many colour channels a file of it has, where the format can say grey.
    pub(super) fn written_channels(&self) -> usize {
        match self.dims().c {
            1 if self.grey_as_rgb => 3,
            c => c,
        }
    }

    /// Sets the text of a key, in place of an older one.
    pub fn set_text(&mut self, key: &str, value: impl Into<String>) {
        self.text.retain(|(k, _)| k != key);
        self.text.push((key.to_owned(), value.into()));
    }

    /// The text of a key.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        let mut hits = self.text.iter().filter(|(k, _)| k == key);
        hits.next().map(|(_, v)| v.as_str())
    }
}

/// Bilinear resize of a plane.
fn resize(plane: &Array2<f32>, h: usize, w: usize) -> Array2<f32> {
    use ::image::imageops::{FilterType, resize};
    use ::image::{ImageBuffer, Luma};

    let (h0, w0) = plane.dim();
    if (h0, w0) == (h, w) || plane.is_empty() || h * w == 0 {
        return Array2::from_shape_fn((h, w), |at| plane.get(at).copied().unwrap_or(1.0));
    }
    let values: Vec<f32> = plane.iter().copied().collect();
    let source: ImageBuffer<Luma<f32>, _> = ImageBuffer::from_raw(w0 as u32, h0 as u32, values)
        .expect("the buffer has the size of the plane");
    let resized = resize(&source, w as u32, h as u32, FilterType::Triangle);
    Array2::from_shape_vec((h, w), resized.into_raw()).expect("the size that was asked for")
}
