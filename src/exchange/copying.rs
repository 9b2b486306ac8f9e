//! Files of somebody else's folder, copied into a run: whatever they are called, nothing is read or written beside the two folders.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use super::findings::Findings;
use super::folder::{Folder, Kind, reason};
use crate::store::StoreError;

/// Folders within one another that are read at most.
pub(super) const DEEPEST: usize = 64;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    pub files: u64,
    pub bytes: u64,
}

/// Copies what is in a folder, which is called `at`: plain files and folders of them, and nothing that a link leads to.
///
/// # Errors
/// What cannot be written. What cannot be read is a finding.
pub(super) fn copy(from: &Folder, to: &Path, at: &str, findings: &mut Findings) -> Result<Copied, StoreError> {
    let mut copied = Copied::default();
    copy_below(from, to, at, 0, findings, &mut copied)?;
    Ok(copied)
}

fn copy_below(
    from: &Folder,
    to: &Path,
    at: &str,
    depth: usize,
    findings: &mut Findings,
    copied: &mut Copied,
) -> Result<(), StoreError> {
    let entries = match from.entries() {
        Ok(entries) => entries,
        Err(error) => {
            findings.set_aside(at, reason(&error));
            return Ok(());
        }
    };
    for (name, kind) in entries {
        let place = format!("{at}/{}", name.display());
        match kind {
            _ if name.to_str().is_none() => findings.not_taken(place, "its name is not UTF-8"),
            _ if name.to_string_lossy().starts_with(".tmp") => {
                findings.not_taken(place, "such names are of files that are not in their place yet");
            }
            Kind::Other(what) => findings.not_taken(place, format!("{what}, which is not followed")),
            Kind::Folder if depth >= DEEPEST => findings.not_taken(place, format!("more than {DEEPEST} folders deep")),
            Kind::Folder => match from.folder(&name) {
                Ok(inner) => {
                    let to = to.join(&name);
                    fs::create_dir(&to).map_err(failed("create", &to))?;
                    copy_below(&inner, &to, &place, depth + 1, findings, copied)?;
                }
                Err(error) => findings.set_aside(place, reason(&error)),
            },
            Kind::File => match copy_file(from, &name, &to.join(&name))? {
                Ok(bytes) => *copied = Copied { files: copied.files + 1, bytes: copied.bytes + bytes },
                Err(why) => findings.set_aside(place, why),
            },
        }
    }
    crate::durable::sync_folder(to).map_err(failed("flush", to))
}

/// Copies a file: its bytes, or why it cannot be read. What cannot be written is an error.
fn copy_file(from: &Folder, name: &OsStr, to: &Path) -> Result<Result<u64, String>, StoreError> {
    let mut source = match from.file(name) {
        Ok(file) => file,
        Err(error) => return Ok(Err(reason(&error))),
    };
    let mut file = fs::File::create_new(to).map_err(failed("create", to))?;
    let bytes = io::copy(&mut source, &mut file).map_err(failed("write", to))?;
    file.sync_all().map_err(failed("flush", to))?;
    Ok(Ok(bytes))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |error| StoreError::io(action, path, error)
}
