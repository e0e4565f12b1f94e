//! Measurements as files hold them: pictures, and arrays of numbers that are none, with what is known of how they were made.
//!
//! An `.npz` holds the array `y`, in `problem.toml` how it was made ([`Made`]), and in `files/` what the operator names (masks,
//! kernels, matrices): all that is needed to undo it. Beside `y.npy` the same may lie as `y.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Axis;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::arrays::{self, Archive, Array, Member};
use crate::image::{self, Depth, Format, Limits, Overwrite, Picture};
use crate::operator::Spec;
use crate::problem::Noise;
use crate::spectrum::Spectrum;
use crate::{Dims, Image, files};

/// What is known of how a measurement was made.
///
/// ```
/// let made: tweedie::restore::Made = toml::from_str(
///     r#"
///     size = [3, 256, 256]    # of the clean picture: channels, height, width
///     range = [-1, 1]         # its black and white, in the units of the measurement
///     noise = 0.05            # in the same units; for instance { poisson = { a = 0.0005, b = 0.01 } }
///     [operator]
///     kind = "hadamard"
///     ratio = 0.25
///     "#,
/// )?;
/// assert_eq!(made.dims().unwrap().w, 256);
/// assert_eq!(made.noise(), Some(0.025.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Made {
    /// Channels, height and width of the clean picture.
    pub size: Option<[usize; 3]>,
    /// The numbers that stand for black and white of the clean picture; 0 and 1 if not given.
    pub range: Option<[f64; 2]>,
    /// The noise, in the units of the measurement.
    #[serde(with = "noise")]
    pub noise: Option<Noise>,
    /// What was done.
    pub operator: Option<Spec>,
}

impl Made {
    /// Dimensions of the clean picture.
    pub fn dims(&self) -> Option<Dims> {
        self.size.map(|[c, h, w]| Dims { c, h, w })
    }

    /// Black and white.
    pub fn range(&self) -> [f64; 2] {
        self.range.unwrap_or([0.0, 1.0])
    }

    /// The noise for pictures in [0, 1].
    pub fn noise(&self) -> Option<Noise> {
        let [black, white] = self.range();
        let width = white - black;
        let law = |[a, b]: [f64; 2]| [(a + b * black) / (width * width), b / width];
        self.noise.map(|noise| match noise {
            Noise::Exact => Noise::Exact,
            Noise::White(sigma) => Noise::White(sigma / width),
            Noise::Poisson { a, b } => {
                let [a, b] = law([a, b]);
                Noise::Poisson { a, b }
            }
            Noise::Correlated(spectrum) => Noise::Correlated(Spectrum {
                brightness: spectrum.brightness.map(law),
                ..spectrum.scaled(1.0 / width)
            }),
        })
    }

    fn check(&self) -> Result<(), String> {
        match self.range {
            Some([black, white]) if !(black < white && (white - black).is_finite()) => {
                Err(format!(
                    "range = [black, white] takes two finite numbers, the smaller first, not [{black}, {white}]"
                ))
            }
            _ => Ok(()),
        }
    }

    /// From a text that `path` holds.
    fn parse(path: &Path, bytes: &[u8]) -> Result<Made, files::Error> {
        let made: Made = files::toml_of(path, bytes)?;
        made.check().map_err(|why| files::Error {
            path: path.to_owned(),
            why,
        })?;
        Ok(made)
    }
}

/// Noise as a number, if it is white.
mod noise {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::problem::Noise;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        White(f64),
        Other(Noise),
    }

    pub(super) fn serialize<S: Serializer>(
        noise: &Option<Noise>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let written = noise.map(|noise| match noise {
            Noise::Exact => Written::White(0.0),
            Noise::White(sigma) => Written::White(sigma),
            other => Written::Other(other),
        });
        written.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Noise>, D::Error> {
        Ok(
            Option::<Written>::deserialize(from)?.map(|written| match written {
                Written::White(sigma) => sigma.into(),
                Written::Other(noise) => noise,
            }),
        )
    }
}

/// Why a measurement could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It is a picture that cannot be read.
    #[error(transparent)]
    Picture(#[from] image::Error),
    /// It, or what lies beside it, cannot be read.
    #[error(transparent)]
    File(#[from] files::Error),
}

/// A measurement from a file.
#[derive(Debug)]
pub struct Measurement {
    /// Its numbers, with what travels with a picture.
    pub picture: Picture,
    /// How it was made, as far as its file says it.
    pub made: Made,
    /// Files that travelled with it, which go when it does.
    _unpacked: Option<TempDir>,
}

impl From<Picture> for Measurement {
    fn from(picture: Picture) -> Measurement {
        Measurement {
            picture,
            made: Made::default(),
            _unpacked: None,
        }
    }
}

/// Whether a file is an array, by its name.
pub fn is_array(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_ascii_lowercase());
    extension.is_some_and(|e| e == "npy" || e == "npz")
}

/// The longest of the files that travel in an archive, all together.
const MOST_FILES: u64 = 256 << 20;

/// How it was made.
const PROBLEM: &str = "problem.toml";

impl Measurement {
    /// Reads a picture, a `.npy` or a `.npz`. How an array or a TIFF, which may hold numbers as they are, was made is read with it, from
    /// the archive or from the TOML file of its name beside it.
    ///
    /// # Errors
    /// [`ReadError`] names the file and what is wrong with it, in one line.
    pub fn read(path: &Path) -> Result<Measurement, ReadError> {
        if !is_array(path) {
            let made = match Format::from_path(path) {
                Ok(Format::Tiff) => beside(path)?,
                _ => Made::default(),
            };
            return Ok(Measurement {
                made,
                ..picture(path)?.into()
            });
        }
        let zipped = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("npz"));
        Ok(match zipped {
            true => Measurement::from_archive(path)?,
            false => Measurement::of(path, arrays::read(path)?, beside(path)?, None)?,
        })
    }

    fn from_archive(path: &Path) -> Result<Measurement, files::Error> {
        let mut archive = Archive::open(path)?;
        let names = archive.arrays();
        let name = match names.as_slice() {
            [only] => only.clone(),
            some if some.iter().any(|name| name == "y") => "y".to_owned(),
            some => {
                let why = match some.len() {
                    0 => "it holds no array; a measurement is the array `y`".to_owned(),
                    n => format!("it holds {n} arrays; name the measurement `y`"),
                };
                return Err(failed(path, why));
            }
        };
        let Some(text) = archive.bytes(PROBLEM, 1 << 20)? else {
            return Measurement::of(path, archive.array(&name)?, beside(path)?, None);
        };
        let mut made = Made::parse(path, &text)?;
        let unpacked = match &mut made.operator {
            Some(operator) => unpack(path, &mut archive, operator)?,
            None => None,
        };
        Measurement::of(path, archive.array(&name)?, made, unpacked)
    }

    fn of(
        path: &Path,
        array: Array,
        mut made: Made,
        unpacked: Option<TempDir>,
    ) -> Result<Measurement, files::Error> {
        let white = array.white;
        let pixels = array.into_image().map_err(|why| failed(path, why))?;
        let mut picture = Picture::new(pixels);
        picture.depth = match white {
            255.0 => Depth::Eight,
            65535.0 => Depth::Sixteen,
            _ => Depth::Float,
        };
        if made.range.is_none() && white != 1.0 {
            made.range = Some([0.0, white.into()]);
            picture.notes.push(format!(
                "whole numbers: {white} is taken as white, unless a TOML file beside it says `range`"
            ));
        }
        Ok(Measurement {
            picture,
            made,
            _unpacked: unpacked,
        })
    }
}

/// How far noise may reach beyond black and white; more is a picture in other units.
const BEYOND: std::ops::RangeInclusive<f32> = -1.0..=2.0;

/// A picture, whose floating-point numbers are neither clipped nor refused where noise has carried them beyond [0, 1].
fn picture(path: &Path) -> Result<Picture, image::Error> {
    let limits = Limits {
        beyond: true,
        ..Limits::default()
    };
    let picture = image::read_with(path, &limits)?;
    match picture.pixels.iter().all(|v| BEYOND.contains(v)) {
        true => Ok(picture),
        // Refused in the usual words.
        false => image::read(path),
    }
}

fn failed(path: &Path, why: String) -> files::Error {
    files::Error {
        path: path.to_owned(),
        why,
    }
}

/// What the TOML file of the same name says, if there is one. Files that it names lie beside it.
fn beside(path: &Path) -> Result<Made, files::Error> {
    let path = path.with_extension("toml");
    if !path.exists() {
        return Ok(Made::default());
    }
    let bytes = files::read_settings(&path)?;
    let mut made = Made::parse(&path, &bytes)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    made.operator = made.operator.map(|operator| operator.in_folder(folder));
    Ok(made)
}

/// Writes the files that an operator names, and that travel in the archive, to a folder for the time being; others lie beside the
/// archive. Of a name only its last part counts.
fn unpack(
    path: &Path,
    archive: &mut Archive,
    operator: &mut Spec,
) -> Result<Option<TempDir>, files::Error> {
    let mut folder: Option<TempDir> = None;
    let mut left = MOST_FILES;
    for file in operator.files() {
        let name = file.file_name().unwrap_or_default().to_owned();
        let member = format!("files/{}", name.to_string_lossy());
        *file = match archive.bytes(&member, left)? {
            None => path.with_file_name(&name),
            Some(bytes) => {
                left -= bytes.len() as u64;
                let cannot =
                    |e: std::io::Error| failed(path, format!("{member} cannot be unpacked: {e}"));
                let into = match folder.take() {
                    Some(folder) => folder,
                    None => tempfile::tempdir().map_err(cannot)?,
                };
                let to = into.path().join(&name);
                fs::write(&to, bytes).map_err(cannot)?;
                folder = Some(into);
                to
            }
        };
    }
    Ok(folder)
}

/// The bytes of an `.npz` that holds a measurement of one picture and all that is needed to undo it.
///
/// # Errors
/// [`files::Error`] if a file that the operator names cannot be read, or they are more than 256 MiB.
pub fn npz(y: &Image, made: &Made) -> Result<Vec<u8>, files::Error> {
    let mut made = made.clone();
    let mut packed: Vec<(String, Vec<u8>)> = Vec::new();
    let mut left = MOST_FILES;
    for file in made.operator.iter_mut().flat_map(Spec::files) {
        let bytes = files::read(file, left).map_err(|e| failed(file, e.to_string()))?;
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        let member = format!("files/{}", name.display());
        match packed.iter().find(|(other, _)| *other == member) {
            Some((_, same)) if *same == bytes => {}
            Some(_) => {
                let why = "two files of this name cannot travel together; rename one".to_owned();
                return Err(failed(file, why));
            }
            None => {
                left -= bytes.len() as u64;
                packed.push((member, bytes));
            }
        }
        *file = name;
    }
    let array = y.index_axis(Axis(0), 0).to_owned().into_dyn();
    let text = toml::to_string(&made).expect("settings can be written");
    let mut members = vec![
        ("y", Member::Array(&array)),
        (PROBLEM, Member::Bytes(text.as_bytes())),
    ];
    members.extend(
        packed
            .iter()
            .map(|(name, bytes)| (name.as_str(), Member::Bytes(bytes))),
    );
    Ok(arrays::archive(&members))
}

/// Writes a measurement of one picture as `.npy`, and how it was made as the TOML file of that name beside it ([`write_made`]).
///
/// # Errors
/// [`image::Error`] names the file and what is in the way.
pub fn write_npy(
    path: &Path,
    y: &Image,
    made: &Made,
    overwrite: Overwrite,
) -> Result<(), image::Error> {
    image::check_write_bytes(path, overwrite)?;
    write_made(path, made, overwrite)?;
    let array = y.index_axis(Axis(0), 0).to_owned().into_dyn();
    arrays::write(path, &array, overwrite)
}

/// Writes how the measurement in the file `path` was made as the TOML file of that name beside it. Files that the operator names and that
/// lie elsewhere are named by their whole paths.
///
/// # Errors
/// [`image::Error`] names the file and what is in the way.
pub fn write_made(path: &Path, made: &Made, overwrite: Overwrite) -> Result<(), image::Error> {
    let mut made = made.clone();
    let whole = |p: &Path| fs::canonicalize(p).unwrap_or_else(|_| p.to_owned());
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => whole(parent),
        _ => whole(Path::new(".")),
    };
    for file in made.operator.iter_mut().flat_map(Spec::files) {
        let place = whole(file);
        *file = place
            .strip_prefix(&folder)
            .map(PathBuf::from)
            .unwrap_or(place);
    }
    let text = toml::to_string(&made).expect("settings can be written");
    image::write_bytes(path.with_extension("toml"), text.as_bytes(), overwrite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::noise::{NoiseSource, Seeded};

    fn made(text: &str) -> Made {
        let made: Made = toml::from_str(text).unwrap();
        made.check().unwrap();
        made
    }

    #[test]
    fn noise_is_in_the_units_of_the_measurement() {
        assert_eq!(
            made("noise = 0.5\nrange = [-1, 1]").noise(),
            Some(Noise::White(0.25))
        );
        assert_eq!(made("noise = 0").noise(), Some(Noise::Exact));
        assert_eq!(made("").noise(), None);
        let poisson = made("range = [10, 30]\nnoise = { poisson = { a = 4.0, b = 2.0 } }");
        // At 20: variance 44 of 20 squared; so at the middle of [0, 1].
        assert_eq!(poisson.noise().unwrap().variance(0.5), 44.0 / 400.0);
        for text in [
            "range = [1, 0]",
            "range = [0, nan]",
            "range = [0, inf]",
            "range = [1, 1]",
        ] {
            assert!(
                toml::from_str::<Made>(text).unwrap().check().is_err(),
                "{text}"
            );
        }
        for text in [
            "noise = 'much'",
            "size = [3, 4]",
            "kind = 'blur'",
            "size = [-1, 2, 3]",
        ] {
            assert!(toml::from_str::<Made>(text).is_err(), "{text}");
        }
    }

    /// What travels in an archive comes back, with the files that the operator names, also when they are gone where they were.
    #[test]
    fn archives_hold_all_that_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let kernel = folder.path().join("k.txt");
        fs::write(&kernel, "1 2\n3 4\n").unwrap();
        let mut written =
            made("size = [3, 5, 7]\nnoise = 0.02\n[operator]\nkind = 'blur'\nkernel = 'k.txt'");
        written.operator = written.operator.map(|o| o.in_folder(folder.path()));
        let y = Seeded::new(1, "test").normal(1, Dims::new(3, 5, 7));
        let bytes = npz(&y, &written).unwrap();
        fs::remove_file(&kernel).unwrap();
        assert!(npz(&y, &written).is_err(), "its kernel is gone");
        let path = folder.path().join("y.npz");
        fs::write(&path, bytes).unwrap();
        let Measurement {
            picture,
            made,
            _unpacked: unpacked,
        } = Measurement::read(&path).unwrap();
        assert_eq!(picture.pixels, y);
        assert_eq!((made.size, made.noise), (written.size, written.noise));
        let mut operator = made.operator.unwrap();
        assert!(operator.build(Dims::new(3, 5, 7)).is_ok());
        let file = operator.files()[0].clone();
        drop(unpacked);
        assert!(!file.exists(), "what was unpacked goes");
    }

    #[test]
    fn arrays_with_a_file_beside_them() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("y.npy"), folder.path().join("y.toml"));
        let written =
            made("size = [1, 8, 8]\nnoise = 0.1\n[operator]\nkind = 'hadamard'\nratio = 0.5");
        let y = Seeded::new(1, "test").normal(1, Dims::new(1, 1, 32));
        write_npy(&path, &y, &written, Overwrite::Refuse).unwrap();
        let read = Measurement::read(&path).unwrap();
        assert_eq!((read.picture.pixels, read.made), (y.clone(), written));
        assert!(write_npy(&path, &y, &Made::default(), Overwrite::Refuse).is_err());
        for text in [
            "siez = 3",
            "range = [1, 0]",
            "[operator]\nkind = 'hadamard'\nratio = 40",
            "\u{7}",
        ] {
            fs::write(&beside, text).unwrap();
            let error = Measurement::read(&path).unwrap_err().to_string();
            assert!(
                error.contains("y.toml: ") && error.lines().count() == 1,
                "{error}"
            );
        }
        fs::remove_file(&beside).unwrap();
        assert_eq!(Measurement::read(&path).unwrap().made, Made::default());
    }

    /// A TIFF has a file beside it, too; a PNG has none.
    #[test]
    fn pictures_of_numbers_say_how_they_were_made() {
        let folder = tempfile::tempdir().unwrap();
        let written = made("size = [1, 8, 9]\n[operator]\nkind = 'blur'\nkernel = 'box:3'");
        let y = Picture::new(Image::from_elem((1, 1, 8, 9), 0.5));
        for (name, known) in [("y.tif", &written), ("y.png", &Made::default())] {
            let path = folder.path().join(name);
            image::write(&path, &y, &Default::default(), Overwrite::Allow).unwrap();
            write_made(&path, &written, Overwrite::Allow).unwrap();
            assert_eq!(&Measurement::read(&path).unwrap().made, known);
        }
    }

    /// Whole numbers are a picture's, whose white is the greatest; NumPy's order of axes is refused, with what to do.
    #[test]
    fn arrays_that_are_pictures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("y.npy");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let text = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}";
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend([0, 51, 102, 153, 204, 255]);
        fs::write(&path, bytes).unwrap();
        let read = Measurement::read(&path).unwrap();
        assert_eq!(read.made.range(), [0.0, 255.0]);
        assert_eq!(read.picture.depth, Depth::Eight);
        assert_eq!(read.picture.notes.len(), 1);
        let turned = ndarray::ArrayD::zeros(ndarray::IxDyn(&[8, 9, 3]));
        arrays::write(&path, &turned, Overwrite::Allow).unwrap();
        let error = Measurement::read(&path).unwrap_err().to_string();
        assert!(error.contains("transpose"), "{error}");
    }

    /// What noise carries beyond black and white survives in a floating-point TIFF, to the last bit; other units are refused.
    #[test]
    fn floating_point_pictures_are_not_clipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("y.tif");
        for c in [1, 3] {
            let mut y = Seeded::new(1, "test").normal(1, Dims::new(c, 4, 5)) * 0.2 + 0.5;
            y[[0, 0, 0, 0]] = -0.25;
            y[[0, 0, 1, 1]] = 1.5;
            let options = image::WriteOptions {
                depth: Some(Depth::Float),
                ..Default::default()
            };
            let write = |y: &Image| {
                let picture = Picture::new(y.clone());
                image::write(&path, &picture, &options, Overwrite::Allow).unwrap();
            };
            write(&y);
            assert_eq!(Measurement::read(&path).unwrap().picture.pixels, y);
            assert!(
                image::read(&path).is_err(),
                "as a picture it is out of range"
            );
            write(&(y * 255.0));
            let error = Measurement::read(&path).unwrap_err().to_string();
            assert!(error.contains("scale them"), "{error}");
            let png = image::encode(
                &Picture::new(Image::zeros((1, c, 2, 2))),
                Format::Png,
                &options,
            );
            assert!(matches!(png, Err(image::Fault::NoFloats(_))));
        }
    }

    /// Names in an archive lead nowhere but beside it.
    #[test]
    fn archives_cannot_name_other_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("y.npz");
        let y = ndarray::ArrayD::zeros(ndarray::IxDyn(&[2, 2]));
        let text = "[operator]\nkind = 'blur'\nkernel = '/etc/../etc/hostname'";
        let bytes = arrays::archive(&[
            ("y", Member::Array(&y)),
            (PROBLEM, Member::Bytes(text.as_bytes())),
        ]);
        fs::write(&path, bytes).unwrap();
        let mut operator = Measurement::read(&path).unwrap().made.operator.unwrap();
        assert_eq!(operator.files()[0], &folder.path().join("hostname"));
        let two = arrays::archive(&[("a", Member::Array(&y)), ("b", Member::Array(&y))]);
        fs::write(&path, two).unwrap();
        let error = Measurement::read(&path).unwrap_err().to_string();
        assert!(error.contains("name the measurement `y`"), "{error}");
    }
}
