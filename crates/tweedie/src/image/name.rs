//! Names of files that come of others.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Format;

/// The name for what is made of a file: `suffix` before the extension, in the same folder.
///
/// The extension stays if it is one of `format`, the file's own as [`format_of`](super::format_of) tells it; otherwise the
/// file would be written in another format than it is read in. One that lies is replaced; one that is none of a picture's is
/// part of the name. So of `a.jfif` comes `a.denoise.jfif`, of a PNG called `a.jpg` `a.denoise.png`, and of a JPEG called
/// `2024.05` `2024.05.denoise.jpg`.
pub fn name_beside(input: &Path, suffix: &str, format: Format) -> PathBuf {
    let named = Format::from_path(input).ok();
    let stem = match named {
        Some(_) => input.file_stem(),
        None => input.file_name(),
    };
    let extension = match input.extension() {
        Some(own) if named == Some(format) => own,
        _ => OsStr::new(format.extension()),
    };
    let mut name = stem.unwrap_or_default().to_owned();
    for part in [OsStr::new("."), suffix.as_ref(), ".".as_ref(), extension] {
        name.push(part);
    }
    input.with_file_name(name)
}
