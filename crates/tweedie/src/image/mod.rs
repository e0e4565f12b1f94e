//! Picture files to tensors and back.
//!
//! [`read`] recognises PNG, JPEG, TIFF, WebP and BMP by their content and gives a [`Picture`]: pixels in [0, 1] and,
//! beside them, what a careful tool keeps. [`write()`] puts it back, in the format of the file's extension.
//!
//! | kept | how |
//! |---|---|
//! | orientation (EXIF, TIFF tag) | applied on reading, and reset in the EXIF block, so that no viewer applies it again |
//! | alpha | put aside; resized with the picture; written back; JPEG, which has none, shows the picture over white |
//! | ICC profile | written to PNG, JPEG, TIFF and WebP, unless it is for another number of channels; BMP has none |
//! | gamma, primaries, sRGB, video code points, light levels | from PNG to PNG ([`PngColor`]) |
//! | resolution ([`Resolution`]) | in all formats but WebP; a larger picture keeps the pixels an inch, and is larger on paper |
//! | EXIF | written to PNG, JPEG and WebP, without its thumbnail, which would show the old picture |
//! | text (key, value) | read from and written to PNG; of TIFF the description, artist and copyright |
//! | depth | 16 bits stay 16 bits in PNG and TIFF |
//! | grey | stays grey, `C = 1`; three equal channels are read as one, and written as three again |
//!
//! What a file holds that is not read, or had to be guessed, stands in [`Picture::notes`]: further pages and frames, CMYK, which
//! means little without colour management, odd samples, XMP (which may repeat the orientation). What a format cannot hold of a
//! picture, [`losses`] tells. Refused: raw files of cameras, floating-point TIFF outside [0, 1].
//!
//! ```no_run
//! use tweedie::image::{self, Overwrite, WriteOptions};
//!
//! let picture = image::read("photo.jpg")?;
//! let mut negative = picture.with_pixels(1.0 - &picture.pixels);
//! negative.set_text("method", "negative");
//! image::write("negative.png", &negative, &WriteOptions::default(), Overwrite::Refuse)?;
//! # Ok::<(), image::Error>(())
//! ```

mod bmp;
mod coefficients;
mod color;
mod directory;
mod entropy;
mod error;
mod exif;
mod grey;
mod grid;
mod hidden;
mod jpeg;
mod limits;
mod losses;
mod name;
mod picture;
mod png;
mod quantisation;
mod raw;
mod read;
mod resolution;
mod tiff;
mod tiff_samples;
mod webp;
mod write;

pub use coefficients::{Coefficients, Plane};
pub use color::PngColor;
pub use error::{Error, Fault};
pub use grid::grid;
pub use limits::Limits;
pub use losses::losses;
pub use name::result_name;
pub use picture::{Depth, Format, Picture};
pub(crate) use quantisation::coarseness;
pub use quantisation::{Component, Jpeg, Transform};
pub use read::{decode, format_of, read, read_with};
pub use resolution::Resolution;
pub(crate) use write::sweep;
pub use write::{
    Overwrite, WriteOptions, check_write, check_write_bytes, encode, write, write_bytes,
};

/// What is said of a picture of inks.
const CMYK_NOTE: &str = "CMYK: its colours are converted without a colour profile, and approximate";
