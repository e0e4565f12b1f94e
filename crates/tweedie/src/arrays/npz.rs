//! Several arrays, and files beside them, in a zip archive, as `numpy.savez` writes it.

use std::fs::File;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::header::Header;
use super::{Array, npy};
use crate::files::Error;

/// An open `.npz` file.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    zip: ZipArchive<File>,
}

/// What an archive holds under a name.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// An array; `.npy` is added to its name.
    Array(&'a ArrayD<f32>),
    /// Any file.
    Bytes(&'a [u8]),
}

/// The longest table of contents: 64 entries would do.
const ENTRIES: usize = 4096;

impl Archive {
    /// Reads the table of contents.
    ///
    /// # Errors
    /// [`Error`] if it is no archive.
    pub fn open(path: &Path) -> Result<Archive, Error> {
        let fail = |why: String| Error {
            path: path.to_owned(),
            why,
        };
        let file = File::open(path).map_err(|e| fail(e.to_string()))?;
        let about = file.metadata().map_err(|e| fail(e.to_string()))?;
        if !about.is_file() {
            return Err(fail("not a file; an archive has a length".into()));
        }
        let zip = ZipArchive::new(file).map_err(|e| {
            let why = format!("not an .npz archive ({e}); write it with numpy.savez");
            fail(one_line(&why))
        })?;
        if zip.len() > ENTRIES {
            return Err(fail(format!(
                "it holds {} files, which is no measurement",
                zip.len()
            )));
        }
        Ok(Archive {
            path: path.to_owned(),
            zip,
        })
    }

    /// The names of its arrays.
    pub fn arrays(&self) -> Vec<String> {
        let names = self.zip.file_names();
        names
            .filter_map(|name| name.strip_suffix(".npy").map(str::to_owned))
            .collect()
    }

    /// The names of what is no array.
    pub fn files(&self) -> Vec<String> {
        let names = self.zip.file_names();
        names
            .filter(|name| !name.ends_with(".npy"))
            .map(str::to_owned)
            .collect()
    }

    /// An array by its name.
    ///
    /// # Errors
    /// [`Error`] if there is none, or for what is wrong with it, as for [`read`](super::read).
    pub fn array(&mut self, name: &str) -> Result<Array, Error> {
        let full = format!("{name}.npy");
        let there = self.arrays();
        let array = match self.zip.by_name(&full) {
            Ok(file) => {
                let size = file.size();
                read_whole(Counted { of: file, bytes: 0 }, size)
            }
            Err(zip::result::ZipError::FileNotFound) => Err(format!(
                "there is no array `{name}` in it, but {}",
                match there.as_slice() {
                    [] => "none at all".to_owned(),
                    some => one_line(&some.join(", ")),
                }
            )),
            Err(e) => Err(e.to_string()),
        };
        array.map_err(|why| self.error(&full, &why))
    }

    /// The bytes of a file of at most `limit`; `None` if there is none of that name.
    ///
    /// # Errors
    /// [`Error`] if it is longer or damaged.
    pub fn bytes(&mut self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let read = match self.zip.by_name(name) {
            Ok(file) => {
                let mut bytes = Vec::new();
                let read = file.take(limit + 1).read_to_end(&mut bytes);
                read.map(|_| bytes).map_err(|e| e.to_string())
            }
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(e) => Err(e.to_string()),
        };
        match read {
            Ok(bytes) if bytes.len() as u64 <= limit => Ok(Some(bytes)),
            Ok(_) => Err(self.error(name, &format!("longer than {limit} bytes"))),
            Err(why) => Err(self.error(name, &why)),
        }
    }

    fn error(&self, name: &str, why: &str) -> Error {
        Error {
            path: self.path.clone(),
            why: one_line(&format!("{name}: {why}")),
        }
    }
}

/// What was read of a file.
struct Counted<R> {
    of: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let n = self.of.read(to)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

/// An array that is all of a file of this size, as the archive has it.
fn read_whole(mut file: Counted<impl Read>, size: u64) -> Result<Array, String> {
    let header = Header::read(&mut file)?;
    let left = size.saturating_sub(file.bytes);
    let array = npy::numbers(&mut file, &header, left)?;
    // At the end the archive's check sum is compared.
    match file.read(&mut [0]) {
        Ok(0) => Ok(array),
        Ok(_) => Err("it is longer than the archive says; get it again".into()),
        Err(e) => Err(format!("it is damaged ({e}); get it again")),
    }
}

/// The bytes of an archive: arrays as they are, files compressed. The same members give the same bytes.
///
/// # Panics
/// If two members share a name, which is an error in the calling code.
pub fn archive(members: &[(&str, Member<'_>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, member) in members {
        let put = |zip: &mut ZipWriter<_>, name: &str, bytes: &[u8], method| {
            let options = FileOptions::default()
                .compression_method(method)
                .large_file(bytes.len() > u32::MAX as usize);
            zip.start_file(name, options)?;
            zip.write_all(bytes).map_err(zip::result::ZipError::Io)
        };
        match member {
            Member::Array(values) => {
                let name = format!("{name}.npy");
                put(
                    &mut zip,
                    &name,
                    &npy::bytes(values),
                    CompressionMethod::Stored,
                )
            }
            Member::Bytes(bytes) => put(&mut zip, name, bytes, CompressionMethod::Deflated),
        }
        .expect("memory takes what is written, and names differ");
    }
    zip.finish()
        .expect("memory takes what is written")
        .into_inner()
}

fn one_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).take(300).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::IxDyn;

    use super::*;

    fn sample() -> (ArrayD<f32>, Vec<u8>) {
        let values = ArrayD::from_shape_fn(IxDyn(&[2, 3]), |i| (3 * i[0] + i[1]) as f32);
        let bytes = archive(&[
            ("y", Member::Array(&values)),
            ("problem.toml", Member::Bytes(b"noise = 0")),
        ]);
        (values, bytes)
    }

    fn open(bytes: &[u8]) -> (tempfile::TempDir, Result<Archive, Error>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("y.npz");
        std::fs::write(&path, bytes).unwrap();
        let opened = Archive::open(&path);
        (folder, opened)
    }

    #[test]
    fn what_is_written_is_read() {
        let (values, bytes) = sample();
        assert_eq!(bytes, sample().1, "the same bytes each time");
        let mut archive = open(&bytes).1.unwrap();
        assert_eq!(
            (archive.arrays(), archive.files()),
            (vec!["y".to_owned()], vec!["problem.toml".to_owned()])
        );
        assert_eq!(archive.array("y").unwrap().values, values);
        assert_eq!(
            archive.bytes("problem.toml", 9).unwrap().unwrap(),
            b"noise = 0"
        );
        assert_eq!(archive.bytes("x", 9).unwrap(), None);
        let long = archive.bytes("problem.toml", 8).unwrap_err().to_string();
        assert!(long.contains("longer than 8 bytes"), "{long}");
        let none = archive.array("x").unwrap_err().to_string();
        assert!(none.contains("no array `x` in it, but y"), "{none}");
    }

    /// Every byte changed, every length cut: an array, the same, or an error of one line. Wrong: a panic; numbers that changed and
    /// were not noticed.
    #[test]
    fn damaged_archives() {
        let (values, bytes) = sample();
        let mut refused = 0;
        let mut check = |bytes: &[u8]| match open(bytes).1.and_then(|mut a| a.array("y")) {
            Ok(array) => assert_eq!(array.values, values),
            Err(e) => {
                refused += 1;
                assert_eq!(e.to_string().lines().count(), 1, "{e}");
            }
        };
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            check(&changed);
            if at % 7 == 0 {
                check(&bytes[..at]);
            }
        }
        assert!(refused > bytes.len() / 3, "{refused}");
        assert!(open(b"").1.is_err());
    }

    /// A compressed array that says it is larger than it is, and one that is larger than it says.
    #[test]
    fn lengths_are_not_believed() {
        let short = |shape: &[usize], n: usize| {
            let mut bytes = Header::write(shape);
            bytes.extend(vec![0; 4 * n]);
            let bytes = archive(&[("y.npy", Member::Bytes(&bytes))]);
            open(&bytes)
                .1
                .unwrap()
                .array("y")
                .map(|a| a.values.len())
                .map_err(|e| e.to_string())
        };
        assert_eq!(short(&[1000], 1000), Ok(1000));
        assert!(short(&[1000], 999).unwrap_err().contains("cut short"));
        assert!(short(&[1000], 1001).unwrap_err().contains("header says"));
        assert!(short(&[1 << 31], 10).unwrap_err().contains("cut short"));
    }
}
