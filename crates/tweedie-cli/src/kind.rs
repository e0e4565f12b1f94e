//! What a result is written as: a picture, or an array of numbers.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tweedie::Image;
use tweedie::arrays::{self, Member};
use tweedie::image::{self, Format};
use tweedie::restore::is_array;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Picture(Format),
    /// NumPy's: one array.
    Npy,
    /// Arrays, and what belongs to them.
    Npz,
}

impl Kind {
    /// The one that a name asks for by its extension.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Kind> {
        let zipped = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("npz"));
        match is_array(path) {
            true if zipped => Ok(Kind::Npz),
            true => Ok(Kind::Npy),
            false => Ok(Kind::Picture(
                Format::from_path(path).with_context(|| path.display().to_string())?,
            )),
        }
    }

    /// The format, if it is a picture's.
    pub(crate) fn picture(self) -> Option<Format> {
        match self {
            Kind::Picture(format) => Some(format),
            Kind::Npy | Kind::Npz => None,
        }
    }

    /// The name for what is made of a file, as [`image::result_name`] has it; of arrays their own extension goes.
    pub(crate) fn result_name(self, input: &Path, suffix: Option<&str>) -> OsString {
        let format = self.picture().unwrap_or(Format::Png);
        let plain = input.with_extension(format.extension());
        let input = if is_array(input) { &plain } else { input };
        let name = PathBuf::from(image::result_name(input, suffix, format));
        match self {
            Kind::Picture(_) => name,
            Kind::Npy => name.with_extension("npy"),
            Kind::Npz => name.with_extension("npz"),
        }
        .into_os_string()
    }

    /// The bytes of a file of an array alone; `None` for pictures.
    pub(crate) fn array(self, name: &str, pixels: &Image) -> Option<Vec<u8>> {
        let array = pixels.index_axis(ndarray::Axis(0), 0).to_owned().into_dyn();
        match self {
            Kind::Picture(_) => None,
            Kind::Npy => Some(arrays::bytes(&array)),
            Kind::Npz => Some(arrays::archive(&[(name, Member::Array(&array))])),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Picture(format) => format.fmt(f),
            Kind::Npy => f.write_str("an .npy array"),
            Kind::Npz => f.write_str("an .npz archive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_results() {
        let name = |kind: Kind, input: &str| kind.result_name(Path::new(input), Some("restore"));
        let png = Kind::Picture(Format::Png);
        assert_eq!(name(png, "a/y.npz"), "y.restore.png");
        assert_eq!(name(png, "y.1.npy"), "y.1.restore.png");
        assert_eq!(name(Kind::Npz, "cat.jpg"), "cat.restore.npz");
        assert_eq!(name(Kind::Npy, "2024.05"), "2024.05.restore.npy");
        assert_eq!(Kind::of(Path::new("y.NPZ")).unwrap(), Kind::Npz);
        assert!(Kind::of(Path::new("y.mat")).is_err());
    }
}
