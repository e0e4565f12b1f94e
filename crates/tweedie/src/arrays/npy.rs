//! One array: a header, then its numbers.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::f16;
use ndarray::{Array2, ArrayD, Ix2, IxDyn};

use super::header::{Family, Header, Kind};
use super::{Array, shown};
use crate::files::Error;
use crate::image::{self, Overwrite};
use crate::memory::ensure;

/// Reads a `.npy` file.
///
/// # Errors
/// [`Error`] names the file and what is wrong with it, in one line.
pub fn read(path: &Path) -> Result<Array, Error> {
    opened(path)
        .and_then(|mut file| numbers(&mut file.from, &file.header, file.bytes))
        .map_err(|why| Error {
            path: path.to_owned(),
            why,
        })
}

/// Writes `.npy`: f32, in rows. The file appears whole or not at all.
///
/// # Errors
/// [`image::Error`] names the file and what is in the way.
pub fn write(path: &Path, values: &ArrayD<f32>, overwrite: Overwrite) -> Result<(), image::Error> {
    image::write_bytes(path, &bytes(values), overwrite)
}

/// A file of a matrix whose numbers wait, so that its size can be checked first.
#[derive(Debug)]
pub struct MatrixFile {
    path: std::path::PathBuf,
    file: Opened,
    /// Rows and columns.
    pub size: (usize, usize),
}

impl MatrixFile {
    /// Reads the header of a `.npy` file.
    ///
    /// # Errors
    /// [`Error`] if it is none, or holds no matrix of real numbers.
    pub fn open(path: &Path) -> Result<MatrixFile, Error> {
        let fail = |why| Error {
            path: path.to_owned(),
            why,
        };
        let file = opened(path).map_err(fail)?;
        let size = match file.header.shape[..] {
            [rows, columns] if !file.header.complex() => (rows, columns),
            _ if file.header.complex() => {
                return Err(fail(
                    "a matrix of complex numbers; stack its real and imaginary rows".into(),
                ));
            }
            _ => {
                let shape = shown(&file.header.shape);
                return Err(fail(format!(
                    "it takes a matrix of rows x columns, not {shape}"
                )));
            }
        };
        Ok(MatrixFile {
            path: path.to_owned(),
            file,
            size,
        })
    }

    /// Its numbers.
    ///
    /// # Errors
    /// [`Error`] if they do not fit into memory, are too few or not finite.
    pub fn read(mut self) -> Result<Array2<f32>, Error> {
        let file = &mut self.file;
        let array = numbers(&mut file.from, &file.header, file.bytes);
        let values = array.map(|array| {
            let matrix = array.values.into_dimensionality::<Ix2>();
            matrix.expect("it has rows and columns")
        });
        values.map_err(|why| Error {
            path: self.path,
            why,
        })
    }
}

#[derive(Debug)]
struct Opened {
    from: BufReader<File>,
    header: Header,
    /// How many bytes of numbers the file has.
    bytes: u64,
}

fn opened(path: &Path) -> Result<Opened, String> {
    let wrong = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such file; check the name and the folder".into()
        }
        _ => e.to_string(),
    };
    let file = File::open(path).map_err(wrong)?;
    let about = file.metadata().map_err(wrong)?;
    if !about.is_file() {
        return Err("not a file of numbers; an array has a length".into());
    }
    let mut from = BufReader::new(file);
    let header = Header::read(&mut from)?;
    let at = std::io::Seek::stream_position(&mut from).map_err(wrong)?;
    Ok(Opened {
        bytes: about.len().saturating_sub(at),
        from,
        header,
    })
}

/// Bytes that are converted at once; a multiple of every number's length.
const CHUNK: usize = 1 << 16;

/// The numbers after a header, of which the file is said to have so many bytes.
pub(super) fn numbers(from: &mut impl Read, header: &Header, bytes: u64) -> Result<Array, String> {
    let n = header.numbers()?;
    let expected = (n * header.kind.bytes) as u64;
    if bytes != expected {
        let what = if bytes < expected {
            "cut short"
        } else {
            "not what its header says"
        };
        return Err(format!(
            "it is {what}: {} numbers take {expected} bytes, and it has {bytes}; get it again",
            shown(&header.shape)
        ));
    }
    ensure(n).map_err(|e| e.to_string())?;
    let mut values: Vec<f32> = Vec::new();
    values
        .try_reserve_exact(n)
        .map_err(|_| format!("there is no memory for its {n} numbers"))?;
    let mut chunk = vec![0; CHUNK];
    while values.len() < n {
        let part = &mut chunk[..((n - values.len()) * header.kind.bytes).min(CHUNK)];
        from.read_exact(part)
            .map_err(|e| format!("its numbers cannot be read ({e}); get it again"))?;
        convert(part, header.kind, &mut values);
    }
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(format!(
            "number {at} of it is NaN, infinite or beyond 32 bits; a measurement is made of finite numbers"
        ));
    }
    Ok(arranged(values, header))
}

/// In rows.
fn arranged(values: Vec<f32>, header: &Header) -> Array {
    let mut shape = header.shape.clone();
    let complex = header.complex();
    let values = match header.columns_first {
        false => {
            shape.extend(complex.then_some(2));
            ArrayD::from_shape_vec(IxDyn(&shape), values)
        }
        true => {
            shape.reverse();
            shape.extend(complex.then_some(2));
            let turned = ArrayD::from_shape_vec(IxDyn(&shape), values);
            turned.map(|turned| {
                let axes = header.shape.len();
                let order: Vec<usize> = (0..axes).rev().chain(complex.then_some(axes)).collect();
                turned
                    .permuted_axes(order)
                    .as_standard_layout()
                    .into_owned()
            })
        }
    };
    Array {
        values: values.expect("as many numbers as the shape says"),
        complex,
        white: match (header.kind.family, header.kind.bytes) {
            (Family::Unsigned, 1) => 255.0,
            (Family::Unsigned, 2) => 65535.0,
            _ => 1.0,
        },
    }
}

fn convert(bytes: &[u8], kind: Kind, to: &mut Vec<f32>) {
    macro_rules! each {
        ($number:ty, $into:expr) => {{
            let numbers = bytes.as_chunks().0.iter();
            let into: fn($number) -> f32 = $into;
            match kind.big_endian {
                true => to.extend(numbers.map(|&b| into(<$number>::from_be_bytes(b)))),
                false => to.extend(numbers.map(|&b| into(<$number>::from_le_bytes(b)))),
            }
        }};
    }
    match (kind.family, kind.bytes) {
        (Family::Bool, _) => to.extend(bytes.iter().map(|&b| f32::from(b != 0))),
        (Family::Signed, 1) => each!(i8, f32::from),
        (Family::Signed, 2) => each!(i16, f32::from),
        (Family::Signed, 4) => each!(i32, |v| v as f32),
        (Family::Signed, _) => each!(i64, |v| v as f32),
        (Family::Unsigned, 1) => each!(u8, f32::from),
        (Family::Unsigned, 2) => each!(u16, f32::from),
        (Family::Unsigned, 4) => each!(u32, |v| v as f32),
        (Family::Unsigned, _) => each!(u64, |v| v as f32),
        (Family::Float | Family::Complex, 2) => each!(f16, f16::to_f32),
        (Family::Float | Family::Complex, 4) => each!(f32, |v| v),
        (Family::Float | Family::Complex, _) => each!(f64, |v| v as f32),
    }
}

/// The bytes of a `.npy` file.
pub fn bytes(values: &ArrayD<f32>) -> Vec<u8> {
    let mut bytes = Header::write(values.shape());
    bytes.reserve_exact(4 * values.len());
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: &str, columns_first: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
        let order = if columns_first { "True" } else { "False" };
        let text = format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}}}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(numbers);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Array, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, bytes).unwrap();
        let error = |e: Error| {
            assert!(e.to_string().contains("a.npy: "), "{e}");
            assert_eq!(e.to_string().lines().count(), 1);
            e.why
        };
        read(&path).map_err(error)
    }

    /// Each kind of number, in both byte orders. Wrong: bytes swapped, signs lost.
    #[test]
    fn every_kind_of_number() {
        macro_rules! kind {
            ($code:literal, $number:ty, $($value:expr),+) => {{
                let values: Vec<$number> = vec![$($value),+];
                let expected: Vec<f32> = values.iter().map(|&v| v as f64 as f32).collect();
                let little: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                let big: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
                for (order, bytes) in [("<", little), (">", big)] {
                    let bytes = file(&format!("{order}{}", $code), false, "(3,)", &bytes);
                    let array = decode(&bytes).unwrap();
                    assert_eq!(array.values.into_raw_vec_and_offset().0, expected, "{}", $code);
                }
            }};
        }
        kind!("i1", i8, -3, 0, 127);
        kind!("i2", i16, -300, 0, 32767);
        kind!("i4", i32, -70000, 0, 65536);
        kind!("i8", i64, -70000, 0, 1_099_511_627_776);
        kind!("u1", u8, 3, 0, 255);
        kind!("u2", u16, 300, 0, 65535);
        kind!("u4", u32, 70000, 0, 2_147_483_648);
        kind!("u8", u64, 70000, 0, 1_099_511_627_776);
        kind!("f4", f32, -1.5, 0.0, 3e20);
        kind!("f8", f64, -1.5, 0.0, 1e-3);
        let halves: Vec<u8> = [-1.5, 0.0, 2.0]
            .iter()
            .flat_map(|&v| f16::from_f32(v).to_be_bytes())
            .collect();
        let array = decode(&file(">f2", false, "(3,)", &halves)).unwrap();
        assert_eq!(array.values.as_slice().unwrap(), [-1.5, 0.0, 2.0]);
        let array = decode(&file("|b1", false, "(2,)", &[0, 1])).unwrap();
        assert_eq!(array.values.as_slice().unwrap(), [0.0, 1.0]);
        let white = |kind, bytes: &[u8]| decode(&file(kind, false, "(1,)", bytes)).unwrap().white;
        assert_eq!(
            [
                white("|u1", &[9]),
                white(">u2", &[9, 9]),
                white("|i1", &[9])
            ],
            [255.0, 65535.0, 1.0]
        );
    }

    /// Wrong: shape turned and numbers not, or the other way round; parts of complex numbers torn apart.
    #[test]
    fn columns_first() {
        let numbers: Vec<u8> = (0..6u8).collect();
        let rows = decode(&file("|u1", false, "(2, 3)", &numbers)).unwrap();
        let columns = decode(&file("|u1", true, "(2, 3)", &numbers)).unwrap();
        assert_eq!(
            rows.values.as_slice().unwrap(),
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        );
        assert_eq!(
            columns.values.as_slice().unwrap(),
            [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]
        );
        let numbers: Vec<u8> = (0..8).flat_map(|v| (v as f32).to_le_bytes()).collect();
        let complex = decode(&file("<c8", true, "(2, 2)", &numbers)).unwrap();
        assert_eq!(complex.values.shape(), [2, 2, 2]);
        assert_eq!(
            complex.values.as_slice().unwrap(),
            [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]
        );
    }

    /// Nothing that a header says is believed. Wrong: a panic, an allocation, a short array taken for whole.
    #[test]
    fn hostile_files() {
        let f4 =
            |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        for (bytes, part) in [
            (file("<f4", false, "(4,)", &f4(&[1.0, 2.0])), "cut short"),
            (file("<f4", false, "(1,)", &f4(&[1.0, 2.0])), "header says"),
            (
                file("<f4", false, "(2147483648,)", &f4(&[1.0])),
                "cut short",
            ),
            (
                file("<f4", false, "(2147483649,)", &f4(&[1.0])),
                "more than",
            ),
            (
                file("<f4", false, "(9223372036854775808, 2)", &[]),
                "more than",
            ),
            (
                file("<f4", false, "(2,)", &f4(&[1.0, f32::NAN])),
                "number 1 of it",
            ),
            (
                file("<f8", false, "(1,)", &1e300f64.to_le_bytes()),
                "beyond 32 bits",
            ),
            (
                file("|O", false, "(1,)", b"\x80\x04cos\nsystem"),
                "Python objects",
            ),
            (b"\x93NUMPY".to_vec(), "within its header"),
            (Vec::new(), "within its header"),
            (b"PK\x03\x04 and more".to_vec(), "not a NumPy array"),
        ] {
            let error = decode(&bytes).unwrap_err();
            assert!(error.contains(part), "{error}, not {part}");
        }
        let missing = read(Path::new("/nowhere/a.npy")).unwrap_err().to_string();
        assert!(missing.contains("no such file"), "{missing}");
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let values = ArrayD::from_shape_fn(IxDyn(&[2, 3, 4]), |i| {
            (i[0] * 12 + i[1] * 4 + i[2]) as f32 - 3.5
        });
        write(&path, &values, Overwrite::Refuse).unwrap();
        assert_eq!(read(&path).unwrap().values, values);
        assert!(write(&path, &values, Overwrite::Refuse).is_err());
        // Turned, it is written in rows.
        let turned = values.clone().reversed_axes();
        write(&path, &turned, Overwrite::Allow).unwrap();
        assert_eq!(read(&path).unwrap().values, turned);
        assert!(
            MatrixFile::open(&path)
                .unwrap_err()
                .to_string()
                .contains("rows x columns")
        );
        let matrix = values.into_shape_with_order(IxDyn(&[4, 6])).unwrap();
        write(&path, &matrix, Overwrite::Allow).unwrap();
        let opened = MatrixFile::open(&path).unwrap();
        assert_eq!(opened.size, (4, 6));
        assert_eq!(opened.read().unwrap().into_dyn(), matrix);
    }
}
