//! `.changes`: which runs were changed, an id a line, in the order of the changes.
//!
//! Whoever changes a run's folder through this program says so here, so that an index that looked at all folders a short while
//! ago need not look at all of them again. It is a hint and no truth: a line that is missing costs that a change is seen at the
//! next whole look, and deleting the file costs a whole look.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::types::RunId;

/// The record of what was changed in a store.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    path: PathBuf,
}

impl Changes {
    /// Of the store at `root`.
    pub fn of(root: &Path) -> Self {
        Self { path: root.join(".changes") }
    }

    /// Says that a run was changed. What cannot be said is found by the next whole look.
    pub fn note(&self, run: &RunId) {
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        let _ = file.and_then(|mut file| file.write_all(format!("{run}\n").as_bytes()));
    }

    /// How much was said so far.
    pub fn end(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// The runs that were changed since so much had been said, and how much is said by now; `None` when it is not known.
    pub fn since(&self, start: u64) -> Option<(BTreeSet<RunId>, u64)> {
        let end = self.end();
        if end <= start {
            return (end == start).then(|| (BTreeSet::new(), end));
        }
        let mut file = fs::File::open(&self.path).ok()?;
        file.seek(SeekFrom::Start(start)).ok()?;
        let mut text = String::new();
        file.take(end - start).read_to_string(&mut text).ok()?;
        // A line that is being written is read next time.
        let whole = text.rfind('\n').map_or(0, |last| last + 1);
        let runs = text[..whole].lines().map(str::parse).collect::<Result<_, _>>().ok()?;
        Some((runs, start + whole as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let changes = Changes::of(folder.path());
        let [a, b] = ["7h2kq9xw", "bb000000"].map(|id| id.parse::<RunId>().unwrap());
        assert_eq!(changes.since(0), Some((BTreeSet::new(), 0)));
        assert_eq!(changes.since(9), None, "it was deleted");
        [&a, &b, &a].into_iter().for_each(|run| changes.note(run));
        let (runs, end) = changes.since(0).unwrap();
        assert_eq!((runs, end), (BTreeSet::from([a.clone(), b.clone()]), changes.end()));
        changes.note(&b);
        assert_eq!(changes.since(end), Some((BTreeSet::from([b]), changes.end())));
        // Half a line, and what is no id.
        let half = changes.end();
        fs::write(&changes.path, [fs::read(&changes.path).unwrap(), b"7h2k".to_vec()].concat()).unwrap();
        assert_eq!(changes.since(half), Some((BTreeSet::new(), half)));
        fs::write(&changes.path, "no id\n").unwrap();
        assert_eq!(changes.since(0), None);
    }
}
