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
/// When no run is meant, or several are; when a run cannot be read that could be the latest.
pub fn find_id(store: &Store, name: &str, now: Timestamp) -> Result<RunId, StoreError> {
    if name != "latest" {
        return store.resolve(name);
    }
    let mut index = Index::open_at_times(store, now, &mut |_, _| {})?;
    index.is_every_run_read()?;
    match index.latest()? {
        Some(id) => Ok(id),
        None => store.resolve(name),
    }
}

/// Whether a word of a query means this run.
pub fn is_meant(row: &RunRow, word: &str) -> bool {
    row.group(word).is_some() || row.id.as_str().starts_with(&word.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{at, create, new_store, spec};

    /// A log that the disk does not give, as `/proc/self/mem` does not give its first bytes.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_latest_run_is_not_guessed_where_the_disk_fails() {
        let (_folder, store) = new_store();
        let [first, second] = [1, 2].map(|seed| {
            create(&store, &spec(seed, 0.3), &serde_json::json!({}), at(seed as i64 * 1000)).expect("a planned run")
        });
        assert_eq!(find_id(&store, "latest", at(0)).expect("a run"), *second.id());
        let log = second.events_path();
        std::fs::remove_file(&log).expect("it is there");
        std::os::unix::fs::symlink("/proc/self/mem", &log).expect("a link");
        let error = find_id(&store, "latest", at(0)).expect_err("nobody knows").to_string();
        assert!(error.contains("events.log") && error.contains("Input/output error"), "{error}");
        assert_eq!(find_id(&store, first.id().as_str(), at(0)).expect("it is named"), *first.id());
        // What is damaged for good is left out.
        std::fs::remove_file(&log).expect("it is there");
        std::fs::write(&log, "no log\nat all\n").expect("a file");
        assert_eq!(find_id(&store, "latest", at(0)).expect("a run"), *first.id());
    }
}
