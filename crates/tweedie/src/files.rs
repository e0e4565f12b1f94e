//! Reading files that are not trusted: what a file says of its length is not believed, so that a device or a pipe
//! without end is an error and not the end of memory.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a file that is no picture could not be used, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// Longest settings file that is read, in bytes.
const SETTINGS: u64 = 1 << 20;

/// Reads settings from a TOML file of at most 1 MiB.
///
/// # Errors
/// [`Error`] if the file cannot be read, or is not the TOML of a `T`; then with the line that is wrong.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    toml_of(path, &read_settings(path)?)
}

/// The bytes of a settings file.
pub(crate) fn read_settings(path: &Path) -> Result<Vec<u8>, Error> {
    read(path, SETTINGS).map_err(|e| Error {
        path: path.to_owned(),
        why: e.to_string(),
    })
}

/// The settings that bytes hold, which come from this file.
pub(crate) fn toml_of<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, Error> {
    let fail = |why: String| Error {
        path: path.to_owned(),
        why,
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|_| fail("not a TOML file: it is no UTF-8 text".to_owned()))?;
    toml::from_str(text).map_err(|e| fail(one_line(text, &e)))
}

/// A TOML error in one line, with the line that it is about.
fn one_line(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => {
            let before = &text.as_bytes()[..span.start.min(text.len())];
            let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
            format!("line {line}: {message}")
        }
        None => message,
    }
}

/// All bytes of a file of at most `limit` bytes; [`ErrorKind::FileTooLarge`] if there are more.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    Opened::new(path)?.read(limit)
}

/// An open file whose first bytes are known, so that what it is can be told before all of it is read.
pub(crate) struct Opened {
    head: Vec<u8>,
    rest: File,
}

impl Opened {
    pub(crate) fn new(path: &Path) -> io::Result<Opened> {
        let mut rest = File::open(path)?;
        let mut head = Vec::new();
        Read::by_ref(&mut rest).take(64).read_to_end(&mut head)?;
        Ok(Opened { head, rest })
    }

    /// Up to 64 bytes.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// All bytes, if there are at most `limit`; else [`ErrorKind::FileTooLarge`].
    pub(crate) fn read(self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut whole = self.head.chain(self.rest);
        whole
            .by_ref()
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let why = format!("longer than {limit} bytes, which is too long for what it should be");
            return Err(io::Error::new(ErrorKind::FileTooLarge, why));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        for length in [0, 1, 63, 64, 65, 1000] {
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path, length).unwrap(), bytes);
            if length > 0 {
                let error = read(&path, length - 1).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::FileTooLarge);
            }
        }
        assert!(read(folder.path(), 1000).is_err());
    }

    #[test]
    fn toml_errors_are_one_line_that_names_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.toml");
        let error = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            let read = read_toml::<std::collections::HashMap<String, u32>>(&path);
            read.unwrap_err().to_string()
        };
        let negative = error(b"a = 1\nb = -1\n");
        assert!(negative.contains("s.toml: line 2: "), "{negative}");
        assert_eq!(error("ä = 1\nb = [1,\n".as_bytes()).lines().count(), 1);
        assert!(error(b"a = \xff").contains("UTF-8"));
    }
}
