//! What tests of the readers share: a place with files and a store, what a person is told, and mutations.

#![allow(
    clippy::unwrap_used,
    reason = "what cannot be set up fails the test; clippy exempts only functions marked as tests"
)]

use std::fs;
use std::path::PathBuf;

use super::{ImportError, Imported, Options};
use crate::clock::Stopwatch;
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

/// What a person is told, one line each.
pub fn told(imported: &Imported) -> String {
    let findings = &imported.findings;
    let kinds =
        [("set aside", &findings.set_aside), ("not taken", &findings.not_taken), ("changed", &findings.changed)];
    let lines = kinds
        .iter()
        .flat_map(|(kind, found)| found.iter().map(move |one| format!("{kind}: {}: {}\n", one.place, one.why)));
    lines.collect()
}

/// Pseudo-random draws below a number.
pub struct Draws(u64);

impl Draws {
    pub fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most.max(1) as u64).unwrap()
    }

    /// Changes some bytes: flipped, cut, doubled, put in or overwritten.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>, tokens: &[&[u8]]) {
        for _ in 0..=self.below(4) {
            let (at, token) = (self.below(bytes.len()), tokens[self.below(tokens.len())]);
            match self.below(6) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 => drop(bytes.splice(at..(at + token.len()).min(bytes.len()), token.iter().copied())),
                3 => drop(bytes.splice(at..at, token.iter().copied())),
                4 => drop(bytes.drain(at..(at + self.below(40)).min(bytes.len()))),
                _ => {
                    let copied = bytes[at..(at + self.below(200)).min(bytes.len())].to_vec();
                    drop(bytes.splice(at..at, copied));
                }
            }
        }
    }
}

/// Tries files again and again, for as many seconds as `FUZZ_SECONDS` says, and ten minutes otherwise. Every file is imported with
/// `import`, into the same store at most so often that it stays small. Nothing but the store and the file is ever written.
pub fn fuzz(
    name: &str,
    mut make: impl FnMut(&mut Draws) -> Vec<u8>,
    import: impl Fn(&Store, &std::path::Path) -> Result<Imported, ImportError>,
) {
    #[expect(clippy::disallowed_methods, reason = "how long it takes is for whoever starts it to say")]
    let secs = std::env::var("FUZZ_SECONDS").ok().and_then(|secs| secs.parse().ok()).unwrap_or(600.0);
    let (watch, mut draws) = (Stopwatch::start(), Draws(0x9e37_79b9_7f4a_7c15));
    let (mut tried, mut taken, mut refused, mut points) = (0_u64, 0_u64, 0_u64, 0_u64);
    while watch.elapsed_secs() < secs {
        let place = Place::new();
        for _ in 0..64 {
            place.write(&format!("in/{name}"), make(&mut draws));
            tried += 1;
            match import(&place.store(), &place.path("in")) {
                Ok(imported) => {
                    taken += imported.runs.len() as u64;
                    points += imported.runs.iter().map(|run| run.points).sum::<u64>();
                    imported.runs.iter().for_each(|run| drop(place.store().load(&run.run).unwrap()));
                }
                Err(ImportError::NoSource { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        let here: Vec<_> = fs::read_dir(place.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(here.len(), 2, "{here:?}");
    }
    let text = format!("{tried} files in {secs} s: {taken} runs with {points} points, {refused} refused");
    fs::write(std::env::temp_dir().join(format!("ablate-{name}-fuzz.txt")), &text).unwrap();
    assert!(taken > 0, "{text}");
}
