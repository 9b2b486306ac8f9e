//! What tests of the readers share: a place with files and a store, what a person is told, and files that
//! are spoilt.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test; clippy exempts only functions marked as tests"
)]

use std::fs;
use std::path::PathBuf;

use super::{Findings, ImportError, Imported, Options};
use crate::fuzzing::Luck;
use crate::store::{Store, StoredRun};
use crate::types::Timestamp;

pub fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

/// A folder with files of others, and a store beside it.
pub struct Place(pub tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    pub fn store(&self) -> Store {
        Store::open(self.path("runs")).unwrap()
    }

    /// The run that was called so, of those that came in.
    pub fn load(&self, imported: &Imported, source: &str) -> StoredRun {
        let run = imported.runs.iter().find(|run| run.source == source);
        let run = run.unwrap_or_else(|| panic!("{source} is not among {:?}", imported.runs));
        self.store().load(&run.run).unwrap()
    }
}

pub fn options() -> Options {
    Options { experiment: None, now: at(77_000) }
}

/// Every point of a run by key, in the order in which they came: step, time and bits.
pub fn points(run: &StoredRun) -> Vec<(String, i64, Option<i64>, u64)> {
    let all = run.history.logged.iter().flat_map(|(key, points)| points.iter().map(move |point| (key, point)));
    all.map(|(key, point)| (key.to_string(), point.step, point.at.map(Timestamp::unix_millis), point.value.to_bits()))
        .collect()
}

/// What a person is told of an import, one line each.
pub fn told(imported: &Imported) -> String {
    lines(&imported.findings)
}

/// What did not come over as it stood, one line each.
pub fn lines(findings: &Findings) -> String {
    let kinds =
        [("set aside", &findings.set_aside), ("not taken", &findings.not_taken), ("changed", &findings.changed)];
    let lines = kinds
        .iter()
        .flat_map(|(kind, found)| found.iter().map(move |one| format!("{kind}: {}: {}\n", one.place, one.why)));
    lines.collect()
}

/// Tries files made by `make` for as long as [`fuzzing`](crate::fuzzing) says. Every file is imported with `import`, into the same store at
/// most so often that it stays small. Nothing but the store and the file is ever written.
pub fn fuzz(
    name: &str,
    mut make: impl FnMut(&mut Luck) -> Vec<u8>,
    import: impl Fn(&Store, &std::path::Path) -> Result<Imported, ImportError>,
) {
    let (mut place, mut tried) = (Place::new(), 0_u32);
    crate::fuzzing::fuzz(name, |luck| {
        if tried.is_multiple_of(64) {
            place = Place::new();
        }
        tried += 1;
        place.write(&format!("in/{name}"), make(luck));
        let outcome = match import(&place.store(), &place.path("in")) {
            Ok(imported) => {
                imported.runs.iter().for_each(|run| drop(place.store().load(&run.run).unwrap()));
                if imported.runs.is_empty() { "without runs" } else { "taken in" }
            }
            Err(ImportError::NoSource { .. }) => "refused",
            Err(error) => panic!("{error}"),
        };
        let here: Vec<_> = fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(here.len(), 2, "{here:?}");
        outcome
    });
}
