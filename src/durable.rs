//! Files and folders that become visible whole or not at all: written beside their place, flushed to the disk, then renamed.
//!
//! Every file that outlives a crash of this program is made here: checkpoints, tokens, specifications, exports.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile, TempDir};

/// How names begin that are not in their place yet; whoever lists a folder leaves them out.
const HIDDEN: &str = ".tmp-";

/// Reads a file that is one: a pipe would be waited for for ever.
///
/// # Errors
/// When there is no plain file at `path`, or it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    std::fs::read(path)
}

/// Puts what `write` writes at `path`, in place of what was there, by one atomic rename after fsync.
///
/// # Errors
/// When anything fails, `path` is as it was before and no partial file stays behind.
pub fn write(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::new(new_file(parent(path))?);
    write(&mut writer)?;
    publish(writer.into_inner().map_err(io::IntoInnerError::into_error)?, path)
}

/// A file in `folder` without its final name yet, readable by whom the user lets read new files.
///
/// # Errors
/// When it cannot be made.
pub fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    builder(0o666).tempfile_in(folder)
}

/// Gives a complete file its name, in place of what had it, after it is on the disk. Of several processes, the last one's
/// file stays.
///
/// # Errors
/// When it cannot be flushed or renamed; it is gone then.
#[expect(clippy::disallowed_methods, reason = "this is the module that owns durable writes")]
pub fn publish(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(parent(path))
}

/// A file in `folder` under a name that nothing else has, to be written bit by bit: it is there at once, and stays.
///
/// # Errors
/// When it cannot be made.
pub fn fresh_file(folder: &Path, prefix: &str, suffix: &str) -> io::Result<(File, std::path::PathBuf)> {
    let file = builder(0o666).prefix(prefix).suffix(suffix).tempfile_in(folder)?;
    file.keep().map_err(|error| error.error)
}

/// A folder in `parent` without its final name yet; it is removed unless it is given one.
///
/// # Errors
/// When it cannot be made.
pub fn new_folder(parent: &Path) -> io::Result<TempDir> {
    builder(0o777).tempdir_in(parent)
}

/// Gives a complete folder its name, which only an empty folder may have had.
///
/// # Errors
/// When something else has the name; the folder is given back.
pub fn publish_folder(folder: TempDir, path: &Path) -> Result<(), (TempDir, io::Error)> {
    match sync_folder(folder.path()).and_then(|()| fs::rename(folder.path(), path)) {
        Ok(()) => {
            let _ = folder.keep(); // Nothing is left under the hidden name to remove.
            // The name is there; that it would survive a power cut is not worth an error.
            let _ = sync_folder(parent(path));
            Ok(())
        }
        Err(error) => Err((folder, error)),
    }
}

/// Makes the names in `folder` durable: without it, a renamed file may be gone after a power cut.
///
/// # Errors
/// When the folder cannot be opened or flushed.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Temporary files and folders with the permissions of ordinary ones (tempfile's are private), so that a store can be
/// shared.
fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder.prefix(HIDDEN);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    builder
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

    #[test]
    fn what_is_no_plain_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap_err().to_string(), "it is no plain file");
        assert_eq!(read(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        write(&path, |writer| writer.write_all(b"old")).unwrap();
        let failed = write(&path, |writer| {
            writer.write_all(b"half of the n")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write(&path, |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names_in(folder.path()), ["weights"], "temporary files stayed behind");
    }

    #[test]
    fn a_folder_takes_the_place_of_an_empty_one_only() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("export");
        fs::create_dir(&path).unwrap();
        let building = || {
            let folder = new_folder(place.path()).unwrap();
            fs::write(folder.path().join("model"), "weights").unwrap();
            folder
        };
        assert!(publish_folder(building(), &path).is_ok());
        assert_eq!(names_in(&path), ["model"]);
        let (refused, _) = publish_folder(building(), &path).unwrap_err();
        drop(refused);
        assert_eq!((names_in(place.path()), names_in(&path)), (vec!["export".to_owned()], vec!["model".to_owned()]));
    }

    #[cfg(unix)]
    #[test]
    fn what_is_written_can_be_shared() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        write(&ours, |writer| writer.write_all(b"x")).unwrap();
        fs::write(&plain, "x").unwrap();
        assert_eq!(mode(&ours), mode(&plain));
    }
}
