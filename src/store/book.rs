//! Small files of the store that anybody may change at any time: read as a whole, replaced as a whole, one after another.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::write_atomic;
use crate::durable;

/// A file as it lies on the disk.
pub(super) trait BookFile: Serialize + DeserializeOwned {
    fn version(&self) -> u32;
}

/// What a file says; `None` where there is none.
///
/// # Errors
/// When it cannot be read, is not what this program writes, or is of a newer one.
pub(super) fn read<F: BookFile>(path: &Path, newest: u32) -> Result<Option<F>, StoreError> {
    let bytes = match durable::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", path, error)),
    };
    let file: F = serde_json::from_slice(&bytes)
        .map_err(|error| StoreError::Unreadable { path: path.to_owned(), problem: error.to_string() })?;
    match file.version() {
        version if version > newest => Err(StoreError::TooNew { path: path.to_owned(), version, newest }),
        _ => Ok(Some(file)),
    }
}

/// Replaces a file.
///
/// # Errors
/// When it cannot be written: then it is as it was.
pub(super) fn write(path: &Path, file: &impl Serialize) -> Result<(), StoreError> {
    write_atomic(path, |writer| {
        serde_json::to_writer_pretty(&mut *writer, file)?;
        writer.write_all(b"\n")
    })
}
