//! Files of runs that clients put, list, fetch and remove: within the run's folder `artifacts`, whatever the path says.
//!
//! A path is taken apart once and walked part by part from the folder's own descriptor, never following a link
//! (`openat` with `O_NOFOLLOW`), so that neither a path nor a link that somebody put there in the meantime leads out. What
//! is put appears whole, after it is on the disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::fault::{Code, Fault};
use super::wire::shown;

/// Parts of a path and bytes of each, at most.
const MOST_PARTS: usize = 64;
const LONGEST_PART: usize = 255;

/// How the names of files begin that are being written: who collects and copies runs passes them over.
const HIDDEN: &str = ".tmp";

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A path below the artifacts of a run: plain names, or none for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactPath(Vec<String>);

/// A file or a folder in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    /// `None` for a folder.
    pub bytes: Option<u64>,
}

impl ArtifactPath {
    /// Takes a path apart, which was decoded already, and once.
    ///
    /// # Errors
    /// For every part that is not a plain name: it is refused and not put right.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |rule: &str| Err(Fault::invalid(format!("invalid path '{}': {rule}", shown(text))));
        let parts: Vec<String> = match text {
            "" => Vec::new(),
            _ => text.split('/').map(str::to_owned).collect(),
        };
        if parts.len() > MOST_PARTS {
            return wrong(&format!("a path has at most {MOST_PARTS} parts"));
        }
        for part in &parts {
            let lower = part.to_ascii_lowercase();
            let is_encoded = ["%2e", "%2f", "%5c", "%00"].iter().any(|code| lower.contains(code));
            match part.as_str() {
                "" => return wrong("it is relative, with one slash between its parts"),
                "." | ".." => return wrong("it does not lead out of its folder"),
                _ if part.contains(|c: char| c == '\\' || c.is_control()) => return wrong("a part is a plain name"),
                _ if is_encoded => return wrong("it is encoded twice"),
                _ if part.len() > LONGEST_PART => return wrong(&format!("a part has at most {LONGEST_PART} bytes")),
                _ if part.starts_with(HIDDEN) => return wrong("such names are of files that are being written"),
                _ if is_drive(part) => return wrong("it names a drive"),
                _ => {}
            }
        }
        Ok(Self(parts))
    }

    /// The last part; `None` for all artifacts.
    pub fn name(&self) -> Option<&str> {
        self.0.last().map(String::as_str)
    }

    /// The path as clients write it.
    pub fn text(&self) -> String {
        self.0.join("/")
    }
}

fn is_drive(part: &str) -> bool {
    matches!(part.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) && part.len() == 2
}

/// The files and folders in a folder of a run, in order of their names. Of a folder that is not there: none.
pub fn list(run: &Path, path: &ArtifactPath) -> Result<Vec<Entry>, Fault> {
    let folder = match walk(run, &path.0, false) {
        Ok(folder) => folder,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut entries = Vec::new();
    for entry in Dir::read_from(&folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // Names that are no text are of no client.
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name == "." || name == ".." || name.starts_with(HIDDEN) {
            continue;
        }
        let Ok(status) = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let bytes = match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => None,
            FileType::RegularFile => Some(u64::try_from(status.st_size).unwrap_or(0)),
            _ => continue, // A link leads elsewhere, and a pipe is no artifact.
        };
        entries.push(Entry { name: name.to_owned(), bytes });
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// An artifact, open for reading, and its bytes.
pub fn open(run: &Path, path: &ArtifactPath) -> Result<(File, u64), Fault> {
    let missing = || Fault::missing(format!("there is no artifact '{}'", shown(&path.text())));
    let (name, folders) = path.0.split_last().ok_or_else(missing)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = walk(run, folders, false).and_then(|folder| rustix::fs::openat(&folder, name, flags, Mode::empty()));
    let file = match opened {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Err(missing()),
        Err(error) => return Err(failed(error)),
    };
    let status = rustix::fs::fstat(&file).map_err(failed)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => Ok((File::from(file), u64::try_from(status.st_size).unwrap_or(0))),
        _ => Err(missing()),
    }
}

/// Puts what `content` gives in its place, in place of what was there; durable when this returns.
pub fn put(run: &Path, path: &ArtifactPath, content: &mut dyn Read) -> Result<(), Fault> {
    static COUNT: AtomicU64 = AtomicU64::new(0);

    let no_name = || Fault::invalid("an artifact has a name");
    let (name, folders) = path.0.split_last().ok_or_else(no_name)?;
    let in_the_way = |error| match error {
        Errno::NOTDIR | Errno::LOOP | Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY => {
            Fault::invalid(format!("'{}' cannot be put there: something else is in the way", shown(&path.text())))
        }
        error => failed(error),
    };
    let folder = walk(run, folders, true).map_err(in_the_way)?;
    let hidden = format!("{HIDDEN}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, &hidden, flags, Mode::from_raw_mode(0o666)).map_err(failed)?;
    let written = fill(File::from(file), content).and_then(|()| {
        rustix::fs::renameat(&folder, &hidden, &folder, name).map_err(in_the_way)?;
        rustix::fs::fsync(&folder).map_err(failed)
    });
    if written.is_err() {
        let _ = rustix::fs::unlinkat(&folder, &hidden, AtFlags::empty()); // It may have its name already.
    }
    written
}

fn fill(mut file: File, content: &mut dyn Read) -> Result<(), Fault> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // What was sent is not whole: nothing is kept of it.
            Err(_) => return Err(Fault::new(Code::BadRequest, "the body of the request ended too early")),
        };
        file.write_all(&buffer[..count]).map_err(|error| of_disk(&error))?;
    }
    file.sync_all().map_err(|error| of_disk(&error))
}

/// Removes an artifact, or a folder with all that is in it.
pub fn remove(run: &Path, path: &ArtifactPath) -> Result<(), Fault> {
    let missing = || Fault::missing(format!("there is no artifact '{}'", shown(&path.text())));
    let all = || Fault::invalid("name what is to be removed: all artifacts of a run go with the run");
    let (name, folders) = path.0.split_last().ok_or_else(all)?;
    let removed = walk(run, folders, false).and_then(|folder| {
        remove_from(&folder, name)?;
        rustix::fs::fsync(&folder)
    });
    removed.map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => missing(),
        error => failed(error),
    })
}

fn remove_from(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        result => return result,
    }
    let inner = rustix::fs::openat(folder, name, FOLDER, Mode::empty())?;
    for entry in Dir::read_from(&inner)? {
        let entry = entry?;
        match entry.file_name().to_str() {
            Ok("." | "..") => {}
            Ok(name) => remove_from(&inner, name)?,
            Err(_) => rustix::fs::unlinkat(&inner, entry.file_name(), AtFlags::empty())?,
        }
    }
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}

/// The folder that the parts lead to, from the artifacts of the run.
fn walk(run: &Path, parts: &[String], make: bool) -> Result<OwnedFd, Errno> {
    let run = rustix::fs::openat(CWD, run, FOLDER, Mode::empty())?;
    let mut folder = step(&run, "artifacts", make)?;
    for part in parts {
        folder = step(&folder, part, make)?;
    }
    Ok(folder)
}

fn step(folder: &OwnedFd, name: &str, make: bool) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(folder, name, FOLDER, Mode::empty()) {
        Err(Errno::NOENT) if make => {
            match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
                Ok(()) => rustix::fs::fsync(folder)?,
                Err(Errno::EXIST) => {} // Somebody else was faster.
                Err(error) => return Err(error),
            }
            rustix::fs::openat(folder, name, FOLDER, Mode::empty())
        }
        result => result,
    }
}

fn failed(error: Errno) -> Fault {
    of_disk(&error.into())
}

fn of_disk(error: &io::Error) -> Fault {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::TemporarilyUnavailable,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Code::PermissionDenied,
        io::ErrorKind::InvalidFilename => Code::InvalidParameterValue,
        _ => Code::InternalError,
    };
    Fault::new(code, format!("the artifact cannot be read or written: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> ArtifactPath {
        ArtifactPath::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}"))
    }

    fn names(run: &Path, text: &str) -> String {
        let entries = list(run, &path(text)).unwrap();
        let entry = |entry: Entry| entry.bytes.map_or(format!("{}/", entry.name), |n| format!("{}:{n}", entry.name));
        entries.into_iter().map(entry).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_is_put_is_there_until_it_is_removed() {
        let run = tempfile::tempdir().unwrap();
        let run = run.path();
        assert_eq!(names(run, ""), "");
        for (name, content) in [("a.txt", "one"), ("sub/한글 b", "two"), ("sub/deep/c", ""), ("a.txt", "three")] {
            put(run, &path(name), &mut content.as_bytes()).unwrap();
        }
        assert_eq!([names(run, ""), names(run, "sub"), names(run, "none")], ["a.txt:5 sub/", "deep/ 한글 b:3", ""]);
        let (mut file, bytes) = open(run, &path("a.txt")).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), bytes), ("three", 5));
        for wrong in ["", "sub", "none", "a.txt/x"] {
            assert_eq!(open(run, &path(wrong)).unwrap_err().code, Code::ResourceDoesNotExist, "{wrong}");
        }
        for wrong in ["sub", "a.txt/x"] {
            let code = put(run, &path(wrong), &mut io::empty()).unwrap_err().code;
            assert_eq!(code, Code::InvalidParameterValue, "{wrong}");
        }
        remove(run, &path("sub")).unwrap();
        assert_eq!(names(run, ""), "a.txt:5");
        assert_eq!(remove(run, &path("sub")).unwrap_err().code, Code::ResourceDoesNotExist);
        assert_eq!(remove(run, &path("")).unwrap_err().code, Code::InvalidParameterValue);
    }

    /// What ended too early leaves nothing behind, and not even takes away what was there.
    #[test]
    fn half_an_artifact_is_none() {
        struct Torn(bool);
        impl Read for Torn {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                buffer[0] = b'x';
                if std::mem::replace(&mut self.0, true) { Err(io::ErrorKind::TimedOut.into()) } else { Ok(1) }
            }
        }
        let run = tempfile::tempdir().unwrap();
        put(run.path(), &path("a"), &mut "whole".as_bytes()).unwrap();
        for name in ["a", "b"] {
            assert_eq!(put(run.path(), &path(name), &mut Torn(false)).unwrap_err().code, Code::BadRequest);
        }
        assert_eq!(names(run.path(), ""), "a:5");
        assert_eq!(fs::read_dir(run.path().join("artifacts")).unwrap().count(), 1);
    }

    #[test]
    fn no_link_is_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("artifacts");
        fs::create_dir(&folder).unwrap();
        symlink(outside.path(), folder.join("out")).unwrap();
        symlink(outside.path().join("secret"), folder.join("file")).unwrap();
        for text in ["out/secret", "file"] {
            assert_eq!(open(run.path(), &path(text)).unwrap_err().code, Code::ResourceDoesNotExist, "{text}");
        }
        assert_eq!([names(run.path(), ""), names(run.path(), "out")], ["", ""]);
        assert!(put(run.path(), &path("out/new"), &mut "x".as_bytes()).is_err());
        assert!(remove(run.path(), &path("out/secret")).is_err());
        // What is put in the place of a link replaces the link, and what it leads to stays.
        put(run.path(), &path("file"), &mut "mine".as_bytes()).unwrap();
        remove(run.path(), &path("out")).unwrap();
        assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "s");
        assert_eq!(names(run.path(), ""), "file:4");
        // The folder itself may be the link.
        fs::remove_dir_all(&folder).unwrap();
        symlink(outside.path(), &folder).unwrap();
        assert!(open(run.path(), &path("secret")).is_err() && put(run.path(), &path("x"), &mut io::empty()).is_err());
    }

    #[test]
    fn every_way_out_is_refused() {
        for bad in [
            "..",
            "../x",
            "a/../b",
            "a/..",
            "./a",
            "a/.",
            "/etc/passwd",
            "//etc",
            "a//b",
            "a/",
            "..\\x",
            "a\\..\\b",
            "%2e%2e/x",
            "a%2fb",
            "%2E%2E%5cx",
            ";/../x",
            "#/../x",
            "C:\\x",
            "C:",
            "c:/x",
            "\\\\host\\share",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            ".tmp-1",
            &"x".repeat(256),
            &"x/".repeat(100),
        ] {
            assert_eq!(ArtifactPath::parse(bad).unwrap_err().code, Code::InvalidParameterValue, "{bad:?}");
        }
        for good in ["", "a", "a/b.c", "...", "..a", "50%", "한글/é", "a:b", "~", "-rf", "A", "a"] {
            assert_eq!(path(good).text(), good);
        }
    }

    proptest! {
        /// Whatever passes is a path of plain names.
        #[test]
        fn what_passes_stays_below(text in prop_oneof![any::<String>(), "[./\\\\a%2eE;#:\u{0}]{0,12}"]) {
            if let Ok(path) = ArtifactPath::parse(&text) {
                let below = Path::new("/runs/x/artifacts").join(path.text());
                let is_plain = |part: std::path::Component<'_>| {
                    matches!(part, std::path::Component::RootDir | std::path::Component::Normal(_))
                };
                prop_assert!(below.starts_with("/runs/x/artifacts") && below.components().all(is_plain));
            }
        }
    }
}
