//! The runs that a person means by a word.

use crate::store::{Index, RunRow, Store, StoreError, StoredRun};
use crate::types::{RunId, Timestamp};

/// The run that `name` means: a unique beginning of its id, or `latest`.
///
/// # Errors
/// When no run is meant, or several are; when the run cannot be read.
pub fn find_run(store: &Store, name: &str, now: Timestamp) -> Result<StoredRun, StoreError> {
    store.load(&find_id(store, name, now)?)
}

/// The id of the run that `name` means. The latest is the last that a person started: who proved one run to be another, or
/// imported a model, still means the run before.
///
/// # Errors
/// When no run is meant, or several are.
pub fn find_id(store: &Store, name: &str, now: Timestamp) -> Result<RunId, StoreError> {
    if name != "latest" {
        return store.resolve(name);
    }
    match Index::open_at_times(store, now, &mut |_, _| {})?.latest()? {
        Some(id) => Ok(id),
        None => store.resolve(name),
    }
}

/// Whether a word of a query means this run.
pub fn is_meant(row: &RunRow, word: &str) -> bool {
    row.group(word).is_some() || row.id.as_str().starts_with(&word.to_lowercase())
}
