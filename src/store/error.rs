//! What can go wrong in a store, said so that a person can mend it: which file, what is wrong, what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::syntax::Mistake;
use crate::types::RunId;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} `{}`: the disk is full; free some space and start the same command again", path.display())]
    DiskFull { action: &'static str, path: PathBuf },

    #[error("cannot {action} `{}`: it is read-only for this user; name another store with `--runs DIR`", path.display())]
    ReadOnly { action: &'static str, path: PathBuf },

    #[error("cannot {action} `{}`: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },

    #[error("`{}` is a file, but a store is a folder; name another with `--runs DIR`", path.display())]
    NotAStore { path: PathBuf },

    #[error("`{}` is damaged at line {line}: {problem}; everything before that line is intact", path.display())]
    Corrupted { path: PathBuf, line: u64, problem: String },

    #[error("`{}` was cut to its header: a log says at least when its run was planned", path.display())]
    CutToHeader { path: PathBuf },

    #[error("`{}` is not as this program writes it: {problem}", path.display())]
    Unreadable { path: PathBuf, problem: String },

    #[error("`{}` has format version {version}, but this program reads up to {newest}; use a newer ablate", path.display())]
    TooNew { path: PathBuf, version: u32, newest: u32 },

    #[error("`{}` is the log of run {found}, not of {run}: it was copied or moved here", path.display())]
    Foreign { path: PathBuf, run: RunId, found: RunId },

    #[error(
        "`{}` is not what it was when the run was made, so the run's results are not those of what it says now; put \
         the file back",
        path.display()
    )]
    Changed { path: PathBuf },

    #[error(
        "run {run} was logged by {by}: it has no specification, so there is nothing to execute, continue or predict with"
    )]
    NotPlanned { run: RunId, by: String },

    #[error("run {run} was planned by ablate: only its own worker writes its log")]
    NotLogged { run: RunId },

    #[error("no run is called `{asked}`{}", suggestion(nearest))]
    UnknownRun { asked: String, nearest: Vec<RunId> },

    #[error("`{prefix}` begins {count} run ids: {}; type one more character", listed(candidates, *count))]
    AmbiguousRun { prefix: String, candidates: Vec<RunId>, count: usize },

    #[error("{} runs are called `{name}`: {}; an id means one of them", runs.len(), listed(&runs[..runs.len().min(4)], runs.len()))]
    AmbiguousName { name: String, runs: Vec<RunId> },

    #[error("`{}` holds no runs yet; `ablate run FILE` makes some", path.display())]
    NoRuns { path: PathBuf },

    #[error("{what} is being executed by another process (it holds `{}`)", path.display())]
    Held { what: String, path: PathBuf },

    #[error(
        "another process took over {what} while this one was not heard of for {silent_secs} seconds: nothing more of it is written (`{}`)",
        path.display()
    )]
    Displaced { what: String, silent_secs: f64, path: PathBuf },

    #[error("cannot read the query `{text}`: {}{}", mistake.message, helped(mistake))]
    Query { text: String, mistake: Box<Mistake> },

    #[error("the index `{}` failed: {source}; `ablate reindex` makes it anew from the runs", path.display())]
    Database { path: PathBuf, source: rusqlite::Error },
}

impl StoreError {
    /// Tells an operating-system error by the name that helps: a full disk, a read-only place, or what it says itself.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { action, path },
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly { action, path },
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether what a run's folder holds is not what was written: no other user, program or moment could read it.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Corrupted { .. }
                | Self::CutToHeader { .. }
                | Self::Unreadable { .. }
                | Self::Foreign { .. }
                | Self::Changed { .. }
        )
    }

    /// Whether somebody else holds what was asked for, which is no failure for who only looks for work.
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

/// `map_err(io_error("read", path))`: the usual way from an [`io::Error`] to a [`StoreError`].
pub(super) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
    move |source| StoreError::io(action, path, source)
}

fn helped(mistake: &Mistake) -> String {
    mistake.help.as_ref().map(|help| format!("; {help}")).unwrap_or_default()
}

fn suggestion(nearest: &[RunId]) -> String {
    match nearest {
        [] => "; `ablate list` shows all runs".to_owned(),
        some => format!("; did you mean {}?", quoted(some, " or ")),
    }
}

fn listed(candidates: &[RunId], count: usize) -> String {
    match count - candidates.len() {
        0 => quoted(candidates, ", "),
        more => format!("{} and {more} more", quoted(candidates, ", ")),
    }
}

fn quoted(ids: &[RunId], separator: &str) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: io::ErrorKind, expected: &str) {
        let error = StoreError::io("write", Path::new("runs/x/spec.toml"), kind.into());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_full_disk_and_a_read_only_store_are_named() {
        check(
            io::ErrorKind::StorageFull,
            "cannot write `runs/x/spec.toml`: the disk is full; free some space and start the same command again",
        );
        check(
            io::ErrorKind::ReadOnlyFilesystem,
            "cannot write `runs/x/spec.toml`: it is read-only for this user; name another store with `--runs DIR`",
        );
        check(io::ErrorKind::NotFound, "cannot write `runs/x/spec.toml`: entity not found");
    }

    /// ENOSPC as the kernel reports it: every write to `/dev/full` fails with it.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_error_for_a_full_disk_is_recognised() {
        let full = Path::new("/dev/full");
        let error = std::fs::write(full, b"x").map_err(io_error("write", full)).unwrap_err();
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    }
}
