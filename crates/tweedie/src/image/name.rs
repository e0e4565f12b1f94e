//! Names of files that come of others.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Format;

/// The name, without its folder, for what is made of a file in this format: `suffix` goes before the extension.
///
/// The extension stays if it is one of the format; one of another format is replaced, and one that is none of a picture's is
/// part of the name. So in the format that the file has, as [`format_of`](super::format_of) tells it, of `a.jfif` comes
/// `a.denoise.jfif`, of a PNG called `a.jpg` `a.denoise.png`, and of a JPEG called `2024.05` `2024.05.denoise.jpg`.
pub fn result_name(input: &Path, suffix: Option<&str>, format: Format) -> OsString {
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
    for part in suffix.map(OsStr::new).into_iter().chain([extension]) {
        name.push(".");
        name.push(part);
    }
    name
}
