//! A folder that somebody else wrote: read from its own descriptor, never following a link.
//!
//! Below the folder that a person named, every name is opened from the folder that it stands in (`openat` with `O_NOFOLLOW`),
//! so that no link leads out of it, whenever it was put there, and nothing is waited for that is no plain file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    /// Neither, in words: it is never opened.
    Other(&'static str),
}

impl Folder {
    /// Opens the folder that a person named, wherever that leads.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// The names in it, sorted.
    pub fn entries(&self) -> io::Result<Vec<(OsString, Kind)>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let status = rustix::fs::statat(&self.0, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(status.st_mode)
                }
                known => known,
            };
            entries.push((name.to_owned(), kind_of(kind)));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(entries)
    }

    /// A folder in it.
    pub fn folder(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(rustix::fs::openat(&self.0, plain(name)?, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// The folder that plain names lead to, if it is there.
    pub fn below<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let mut folder = Self(self.0.try_clone().ok()?);
        for name in names {
            folder = folder.folder(OsStr::new(name)).ok()?;
        }
        Some(folder)
    }

    /// A plain file in it.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        let file = rustix::fs::openat(&self.0, plain(name)?, FILE, Mode::empty())?;
        match kind_of(FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode)) {
            Kind::File => Ok(File::from(file)),
            Kind::Folder => Err(io::ErrorKind::IsADirectory.into()),
            Kind::Other(what) => Err(io::Error::other(what)),
        }
    }

    /// The text of a file of at most so many bytes.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub fn text(&self, name: &OsStr, most: u64) -> Result<String, String> {
        let file = self.file(name).map_err(|error| reason(&error))?;
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
        if bytes.len() as u64 > most {
            return Err(format!("larger than {most} bytes"));
        }
        String::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
    }
}

/// Why a file cannot be read, in words.
pub fn reason(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "missing".to_owned(),
        Some(Errno::LOOP) => "a link, which is not followed".to_owned(),
        Some(Errno::ACCESS) => "this user may not read it".to_owned(),
        _ => error.to_string(),
    }
}

/// A name that is one part of a path and leads nowhere else.
fn plain(name: &OsStr) -> io::Result<&OsStr> {
    let bytes = name.as_bytes();
    let is_plain = !matches!(bytes, b"" | b"." | b"..") && !bytes.contains(&b'/') && !bytes.contains(&0);
    if is_plain { Ok(name) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "no name of a file")) }
}

fn kind_of(kind: FileType) -> Kind {
    match kind {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Other("a link"),
        FileType::Fifo => Kind::Other("a pipe"),
        FileType::Socket => Kind::Other("a socket"),
        FileType::BlockDevice | FileType::CharacterDevice => Kind::Other("a device"),
        FileType::Unknown => Kind::Other("no plain file"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_name_leads_out_and_nothing_is_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let inner = place.path().join("store");
        fs::create_dir_all(inner.join("real")).unwrap();
        fs::write(place.path().join("secret"), "s").unwrap();
        fs::write(inner.join("plain"), "p").unwrap();
        symlink("../secret", inner.join("link")).unwrap();
        symlink("..", inner.join("up")).unwrap();
        rustix::fs::mknodat(CWD, inner.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let folder = Folder::open(&inner).unwrap();
        let kinds: Vec<String> =
            folder.entries().unwrap().iter().map(|(name, kind)| format!("{}: {kind:?}", name.display())).collect();
        assert_eq!(
            kinds,
            [
                "link: Other(\"a link\")",
                "pipe: Other(\"a pipe\")",
                "plain: File",
                "real: Folder",
                "up: Other(\"a link\")"
            ]
        );
        assert_eq!(folder.text(OsStr::new("plain"), 10).unwrap(), "p");
        assert_eq!(folder.text(OsStr::new("plain"), 0).unwrap_err(), "larger than 0 bytes");
        for name in ["link", "pipe", "real", "..", ".", "", "../secret", "/etc/passwd", "a\0b"] {
            assert!(folder.file(OsStr::new(name)).is_err(), "{name:?}");
        }
        for name in ["up", "plain", "..", "/", "/etc"] {
            assert!(folder.folder(OsStr::new(name)).is_err(), "{name:?}");
        }
        assert!(folder.below(["real"]).is_some() && folder.below(["up"]).is_none());
    }
}
