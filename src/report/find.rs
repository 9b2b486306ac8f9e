//! The runs that a person means by a word.

use crate::store::{Index, RunQuery, RunRow, Store, StoreError, StoredRun};
use crate::types::RunId;

/// The run that `name` means: a unique beginning of its id, or `latest`.
///
/// # Errors
/// When no run is meant, or several are; when the run cannot be read.
pub fn find_run(store: &Store, name: &str) -> Result<StoredRun, StoreError> {
    store.load(&find_id(store, name)?)
}

/// The id of the run that `name` means. The latest is the run that started last, be it not a reproduction: who proved one
/// run to be another still means that one.
///
/// # Errors
/// When no run is meant, or several are.
pub fn find_id(store: &Store, name: &str) -> Result<RunId, StoreError> {
    if name != "latest" {
        return store.resolve(name);
    }
    let newest_first = Index::open(store)?.query(&RunQuery::default())?;
    match newest_first.into_iter().find(|row| row.reproduces.is_none()) {
        Some(row) => Ok(row.id),
        None => store.resolve(name),
    }
}

/// A word of the query that is the name of no experiment and begins no run's id, in the whole store.
///
/// # Errors
/// When the index cannot be read.
pub fn unknown_word<'q>(query: &'q RunQuery, index: &mut Index) -> Result<Option<&'q str>, StoreError> {
    if query.words.is_empty() {
        return Ok(None);
    }
    let all = index.query(&RunQuery::default())?;
    let is_known = |word: &&String| all.iter().any(|row| is_meant(row, word));
    Ok(query.words.iter().find(|word| !is_known(word)).map(String::as_str))
}

/// Whether a word of a query means this run.
pub fn is_meant(row: &RunRow, word: &str) -> bool {
    row.group(word).is_some() || row.id.as_str().starts_with(&word.to_lowercase())
}
