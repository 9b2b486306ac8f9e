//! Files that become visible whole or not at all: written beside their place, flushed to the disk, then renamed.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::{StoreError, io_error};

/// Puts what `write` writes at `path`, in place of what was there, by one atomic rename after fsync.
///
/// When anything fails, `path` is as it was before and no partial file stays behind.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
    let folder = parent(path);
    let result = (|| {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tmp-");
        share(&mut builder, 0o666);
        let mut writer = BufWriter::new(builder.tempfile_in(folder)?);
        write(&mut writer)?;
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    })();
    result.map_err(io_error("write", path))?;
    sync_folder(folder)
}

/// Makes the names in `folder` durable: without it, a renamed file may be gone after a power cut.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("flush", folder))?;
    }
    Ok(())
}

/// Gives temporary files and folders the permissions of ordinary ones (tempfile's are private), so that a store can be shared.
pub(super) fn share(builder: &mut tempfile::Builder<'_, '_>, mode: u32) {
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = (builder, mode);
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write_atomic(&path, |writer| writer.write_all(b"old")).unwrap();
        let failed = write_atomic(&path, |writer| {
            writer.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(failed, Err(StoreError::DiskFull { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_atomic(&path, |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names_in(folder.path()), ["weights"], "temporary files stayed behind");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomic(Path::new("/no/such/folder/file"), |_| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("cannot write `/no/such/folder/file`"), "{error}");
    }
}
