//! Why runs could not leave a store or come into one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::store::StoreError;
use crate::types::RunId;

/// Why an archive could not be made, read or taken in, or runs not moved between stores.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{}` is no archive of ablate", path.display())]
    NotAnArchive { path: PathBuf },
    #[error("`{}` is an archive of version {version}, but this program reads version 1; use a newer ablate", path.display())]
    TooNew { path: PathBuf, version: u32 },
    #[error("`{}` is damaged: {}; nothing was taken in, and `ablate verify` names everything", path.display(), first(faults))]
    Damaged { path: PathBuf, faults: Vec<Fault> },
    #[error("run {run} is being written; wait for its end, or stop it")]
    BeingWritten { run: RunId },
    #[error("run {run} was changed while it was read; start the same command again")]
    Changed { run: RunId },
    #[error("`{}` cannot be archived or copied: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    #[error("the store `{}` has a run {run} with other content ({}); nothing was taken in", store.display(), few(files))]
    Occupied { store: PathBuf, run: RunId, files: Vec<String> },
    #[error("the files of `{}` would be {bytes} bytes, more than is believed of a file of its size", path.display())]
    Bomb { path: PathBuf, bytes: u64 },
    #[error("run {heir} starts from run {run} or has its tokenizer there: move it as well, or copy with `ablate cp`")]
    Heir { run: RunId, heir: RunId },
    #[error(
        "the store `{}` has run {run} already and keeps {kept}: what is here alone would be lost; delete one of the two first",
        store.display()
    )]
    Lesser { store: PathBuf, run: RunId, kept: String },
    #[error("both are the store `{}`", store.display())]
    SameStore { store: PathBuf },
    #[error("what was copied to `{}` is not what was read: the disk or the memory is not to be trusted", path.display())]
    Miscopied { path: PathBuf },
    #[error("run {run} of `{}` cannot be read: {source}; nothing was taken in", path.display())]
    UnreadableRun { path: PathBuf, run: RunId, source: Box<StoreError> },
}

/// Something in an archive that is not as its certificate says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The path of a file of the archive, `page`, or what of the ZIP it is.
    pub part: String,
    pub kind: FaultKind,
    /// Where in the file it is, from the first byte to behind the last, where it has a place.
    pub range: Option<[u64; 2]>,
    pub problem: String,
}

/// What is wrong with a part of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    Changed,
    Missing,
    Added,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FaultKind::Changed => "changed",
            FaultKind::Missing => "missing",
            FaultKind::Added => "added",
        };
        write!(f, "{} is {kind}: {}", self.part, self.problem)?;
        match self.range {
            Some([start, end]) if end > start => write!(f, " (bytes {start} to {})", end - 1),
            _ => Ok(()),
        }
    }
}

impl ArchiveError {
    /// What the operating system says of a file.
    pub(in crate::exchange) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Store(StoreError::io(action, path, source))
    }

    /// Whether the request was wrong, not the work.
    pub fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::NotAnArchive { .. }
                | Self::TooNew { .. }
                | Self::BeingWritten { .. }
                | Self::Occupied { .. }
                | Self::Heir { .. }
                | Self::Lesser { .. }
                | Self::SameStore { .. }
        )
    }
}

fn first(faults: &[Fault]) -> String {
    match faults {
        [] => String::new(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first}, and {} more", rest.len()),
    }
}

fn few(files: &[String]) -> String {
    match files {
        [first, second, third, _, ..] => format!("{first}, {second}, {third} and {} more", files.len() - 3),
        files => files.join(", "),
    }
}
