//! One training a folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::Error;
use crate::checkpoint;

/// Held as long as a training writes into a folder; ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder.
    ///
    /// # Errors
    /// [`Error::Busy`] if another training has it.
    pub(super) fn take(folder: &Path) -> Result<Lock, Error> {
        let path = folder.join(".tweedie.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|source| checkpoint::Error::Io { path, source })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy(folder.to_owned())),
            // Some network file systems know no locks; that is no reason not to train there.
            Err(TryLockError::Error(e)) => log::warn!(
                "{} cannot be locked ({e}); two trainings in it would disturb each other",
                folder.display()
            ),
        }
        Ok(Lock { _file: file })
    }
}
