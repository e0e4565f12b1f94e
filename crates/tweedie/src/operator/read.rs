//! Masks and kernels from files. The files are untrusted: sizes are checked before memory is taken.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::ImageReader;
use ndarray::Array2;

use super::Error;

/// A picture's luma in [0, 1], `[height, width]`; `None` if the file is not a picture in a known format.
///
/// `check` hears its height and width before anything is decoded.
pub(crate) fn gray(
    path: &Path,
    check: impl Fn((usize, usize)) -> Result<(), Error>,
) -> Result<Option<Array2<f32>>, Error> {
    let open = || -> Result<_, Error> {
        let file = File::open(path).map_err(|e| missing(path, &e))?;
        ImageReader::new(BufReader::new(file))
            .with_guessed_format()
            .map_err(|e| failed(path, &e))
    };
    let reader = open()?;
    if reader.format().is_none() {
        return Ok(None);
    }
    let (w, h) = reader.into_dimensions().map_err(|e| failed(path, &e))?;
    check((h as usize, w as usize))?;
    let picture = open()?.decode().map_err(|e| failed(path, &e))?.to_luma32f();
    let (w, h) = picture.dimensions();
    Array2::from_shape_vec((h as usize, w as usize), picture.into_raw())
        .map(Some)
        .map_err(|e| failed(path, &e))
}

/// A table of numbers, a row a line, with commas, semicolons or blanks between them. Empty lines and what follows a `#`
/// are skipped.
pub(crate) fn table(path: &Path, max_side: usize) -> Result<Array2<f64>, Error> {
    // A number is written with up to about 25 characters.
    let most = (max_side * max_side * 32) as u64;
    let length = std::fs::metadata(path)
        .map_err(|e| missing(path, &e))?
        .len();
    if length > most {
        return Err(failed(path, &"too large for a kernel, and not a picture"));
    }
    let bytes = std::fs::read(path).map_err(|e| failed(path, &e))?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| failed(path, &"neither a picture nor a table of numbers"))?;
    let (mut rows, mut width, mut values) = (0, 0, Vec::new());
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let separated = |c: char| c.is_whitespace() || c == ',' || c == ';';
        let before = values.len();
        for word in line.split(separated).filter(|w| !w.is_empty()) {
            let value: f64 = word
                .parse()
                .map_err(|_| failed(path, &format!("line {}: `{word}` is not a number", i + 1)))?;
            values.push(value);
        }
        let count = values.len() - before;
        if count == 0 {
            continue;
        }
        if rows > 0 && count != width {
            let why = format!("line {}: {count} numbers, but {width} above", i + 1);
            return Err(failed(path, &why));
        }
        (rows, width) = (rows + 1, count);
    }
    if rows == 0 {
        return Err(failed(path, &"empty: there is no number in it"));
    }
    Array2::from_shape_vec((rows, width), values).map_err(|e| failed(path, &e))
}

fn failed(path: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::File {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// A file that cannot be opened may be a description with a typing error.
fn missing(path: &Path, why: &std::io::Error) -> Error {
    let described = path.to_string_lossy().contains(':');
    let hint = if described && why.kind() == std::io::ErrorKind::NotFound {
        " (known descriptions: gaussian:, motion:, box:, disk:, motion-random:)"
    } else {
        ""
    };
    failed(path, &format!("{why}{hint}"))
}
