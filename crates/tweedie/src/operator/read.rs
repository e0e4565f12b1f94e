//! Masks, gains and kernels from files. The files are untrusted: sizes are checked before memory is taken.

use std::path::Path;

use ndarray::{Array2, Array3, ArrayView3, Axis, Zip};

use super::{Error, pedestal};
use crate::image::{self, Fault, Limits, Picture};
use crate::{Dims, files};

/// A picture, upright, where `check` takes its height and width.
///
/// A picture of more pixels than `size` is not decoded.
pub(crate) fn picture(
    path: &Path,
    size: (usize, usize),
    check: impl Fn((usize, usize)) -> Result<(), Error>,
) -> Result<Picture, Error> {
    match image::read_with(path, &pixels_of(size)) {
        Ok(picture) => {
            let Dims { h, w, .. } = picture.dims();
            check((h, w)).map(|()| picture)
        }
        Err(error) => Err(refused(path, error.fault, check)),
    }
}

/// Its channels alone, `[1 or 3, height, width]`.
pub(crate) fn planes(
    path: &Path,
    size: (usize, usize),
    check: impl Fn((usize, usize)) -> Result<(), Error>,
) -> Result<Array3<f32>, Error> {
    picture(path, size, check).map(|picture| picture.pixels.index_axis_move(Axis(0), 0))
}

/// That a mask or gain has the image's height and width.
pub(crate) fn check_size(
    what: &'static str,
    dims: Dims,
    picture: (usize, usize),
) -> Result<(), Error> {
    let image = (dims.h, dims.w);
    match picture == image {
        true => Ok(()),
        false => Err(Error::PictureSize {
            what,
            picture,
            image,
        }),
    }
}

/// The same, and that of its channels there is one, or as many as the image has.
pub(crate) fn check_fit(
    what: &'static str,
    dims: Dims,
    (c, h, w): (usize, usize, usize),
) -> Result<(), Error> {
    check_size(what, dims, (h, w))?;
    match c == 1 || c == dims.c {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "the {what} has {c} channels; it needs 1 or, as the image has, {}",
            dims.c
        ))),
    }
}

/// The weights of a kernel: the luma of a picture in [0, 1], where `check` takes its height and width, or a table of
/// numbers; and the background that a picture's weights stood on, which is [removed](pedestal::removed).
///
/// A picture of more pixels than a kernel of `max_side` is not decoded.
pub(crate) fn taps(
    path: &Path,
    max_side: usize,
    check: impl Fn((usize, usize)) -> Result<(), Error>,
) -> Result<(Array2<f64>, Option<f64>), Error> {
    // A number is written with up to about 25 characters; the samples of a pixel take less, and profiles are small.
    let most = (max_side * max_side * 32) as u64;
    let bytes = files::read(path, most).map_err(|e| missing(path, &e))?;
    match image::decode(&bytes, &pixels_of((max_side, max_side))) {
        Ok(picture) => {
            let weights = luma(picture.pixels.index_axis(Axis(0), 0));
            check(weights.dim()).map(|()| pedestal::removed(weights.mapv(f64::from)))
        }
        Err(fault @ Fault::Unknown { .. }) => match std::str::from_utf8(&bytes) {
            Ok(text) => match table(text) {
                Ok(weights) => Ok((weights, None)),
                Err(why) => Err(failed(path, &why)),
            },
            Err(_) => Err(failed(path, &format!("no table of numbers, and {fault}"))),
        },
        Err(fault) => Err(refused(path, fault, check)),
    }
}

fn pixels_of((height, width): (usize, usize)) -> Limits {
    Limits {
        pixels: height as u64 * width as u64,
        ..Limits::default()
    }
}

/// Why a picture was not read; what is too large is for `check` to explain.
fn refused(
    path: &Path,
    fault: Fault,
    check: impl Fn((usize, usize)) -> Result<(), Error>,
) -> Error {
    if let Fault::TooLarge { width, height, .. } = fault
        && let Err(error) = check((height as usize, width as usize))
    {
        return error;
    }
    failed(path, &fault)
}

/// Colours count as in ITU-R BT.709.
fn luma(planes: ArrayView3<'_, f32>) -> Array2<f32> {
    if planes.dim().0 == 1 {
        return planes.index_axis_move(Axis(0), 0).to_owned();
    }
    let [r, g, b] = [0, 1, 2].map(|c| planes.index_axis(Axis(0), c));
    Zip::from(r)
        .and(g)
        .and(b)
        .map_collect(|r, g, b| 0.2126 * r + 0.7152 * g + 0.0722 * b)
}

/// A table of numbers, a row a line, with commas, semicolons or blanks between them. Empty lines and what follows a `#`
/// are skipped.
fn table(text: &str) -> Result<Array2<f64>, String> {
    let (mut rows, mut width, mut values) = (0, 0, Vec::new());
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let separated = |c: char| c.is_whitespace() || c == ',' || c == ';';
        let before = values.len();
        for word in line.split(separated).filter(|w| !w.is_empty()) {
            let value: f64 = word
                .parse()
                .map_err(|_| format!("line {}: `{word}` is not a number", i + 1))?;
            values.push(value);
        }
        let count = values.len() - before;
        if count == 0 {
            continue;
        }
        if rows > 0 && count != width {
            return Err(format!(
                "line {}: {count} numbers, but {width} above",
                i + 1
            ));
        }
        (rows, width) = (rows + 1, count);
    }
    if rows == 0 {
        return Err("empty: there is no number in it".to_owned());
    }
    Array2::from_shape_vec((rows, width), values).map_err(|e| e.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Format, Overwrite, WriteOptions, encode, write_bytes};
    use crate::operator::kernel::{MAX_SIDE, check_size};
    use crate::{Dims, Image};

    /// An EXIF block that says nothing but "turn me a quarter to the right".
    const ON_ITS_SIDE: &[u8] = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

    fn file(bytes: &[u8], name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write_bytes(&path, bytes, Overwrite::Refuse).unwrap();
        (folder, path)
    }

    fn png(picture: &Picture) -> Vec<u8> {
        encode(picture, Format::Png, &WriteOptions::default()).unwrap()
    }

    fn anything(_: (usize, usize)) -> Result<(), Error> {
        Ok(())
    }

    #[test]
    fn pictures_and_kernels_are_turned_upright() {
        let mut stored = Picture::new(Image::zeros(Dims::new(1, 2, 3).batch(1)));
        stored.pixels[[0, 0, 0, 2]] = 1.0;
        stored.exif = Some(ON_ITS_SIDE.to_vec());
        let (_folder, path) = file(&png(&stored), "side.png");
        let expected = ndarray::arr2(&[[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]);
        let upright = planes(&path, (3, 2), anything).unwrap();
        assert_eq!(upright.index_axis(Axis(0), 0), expected);
        let weights = taps(&path, MAX_SIDE, anything).unwrap();
        assert_eq!(weights.0, expected.mapv(f64::from));
    }

    #[test]
    fn colours_count_by_their_luma() {
        let pixels = ndarray::arr2(&[[1.0], [0.0], [1.0]]).into_shape_with_order((1, 3, 1, 1));
        let (_folder, path) = file(&png(&Picture::new(pixels.unwrap())), "pink.png");
        let weight = luma(planes(&path, (1, 1), anything).unwrap().view())[[0, 0]];
        assert!((weight - 0.2848).abs() < 1e-6, "{weight}");
    }

    /// Of these files there is only the header: one that was decoded would be called damaged.
    #[test]
    fn pictures_of_another_size_are_not_decoded() {
        let mut header = png(&Picture::new(Image::zeros((1, 1, 2000, 2000))));
        header.truncate(60);
        let (_folder, path) = file(&header, "large.png");
        let fits = |size| {
            Err(Error::PictureSize {
                what: "mask",
                picture: size,
                image: (10, 20),
            })
        };
        let error = picture(&path, (10, 20), fits).unwrap_err();
        assert!(
            matches!(
                error,
                Error::PictureSize {
                    picture: (2000, 2000),
                    ..
                }
            ),
            "{error}"
        );
        let error = taps(&path, MAX_SIDE, |(h, w)| check_size(h, w)).unwrap_err();
        assert!(
            matches!(error, Error::KernelSize { width: 2000, .. }),
            "{error}"
        );
    }

    #[test]
    fn what_is_neither_picture_nor_table_is_told() {
        let (_folder, path) = file(b"GIF89a\xff\xff", "k.gif");
        let error = taps(&path, MAX_SIDE, anything).unwrap_err().to_string();
        assert!(error.contains("is a GIF; convert it"), "{error}");
        let error = picture(&path, (1, 1), anything).unwrap_err().to_string();
        assert!(error.contains("is a GIF; convert it"), "{error}");
    }
}
