//! Durable writes, with the store's errors: which file it was, and whether the disk is full.

use std::io::{self, Write};
use std::path::Path;

use super::error::{StoreError, io_error};
use crate::durable;

/// [`durable::write`], which says what could not be written.
///
/// # Errors
/// When anything fails; `path` is as it was before then.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
    durable::write(path, write).map_err(io_error("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_and_a_full_disk_are_named() {
        let error = write_atomic(Path::new("/no/such/folder/file"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("cannot write `/no/such/folder/file`"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let full = write_atomic(&folder.path().join("x"), |_| Err(io::ErrorKind::StorageFull.into()));
        assert!(matches!(full, Err(StoreError::DiskFull { .. })));
    }
}
