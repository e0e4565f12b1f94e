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
//! | EXIF | written to PNG, JPEG and WebP, without its thumbnail, which would show the old picture |
//! | text (key, value) | read from and written to PNG |
//! | depth | 16 bits stay 16 bits in PNG and TIFF |
//! | grey | stays grey, `C = 1`; WebP and BMP have no grey, so there a picture of three equal channels is grey |
//!
//! Not kept: XMP (it may repeat the orientation), further frames or pages (the first is read). Refused: CMYK, which
//! means nothing without colour management, and floating-point TIFF outside [0, 1].
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

mod error;
mod exif;
mod grid;
mod jpeg;
mod limits;
mod picture;
mod png;
mod quantisation;
mod raw;
mod read;
mod tiff;
mod write;

pub use error::{Error, Fault};
pub use grid::grid;
pub use limits::Limits;
pub use picture::{Depth, Format, Picture};
pub use quantisation::{Component, Jpeg, Transform};
pub use read::{decode, read, read_with};
pub(crate) use write::sweep;
pub use write::{
    Overwrite, WriteOptions, check_write, check_write_bytes, encode, write, write_bytes,
};
