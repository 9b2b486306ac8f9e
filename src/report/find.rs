//! The runs that a person means by a word.

use crate::store::{Index, RunQuery, RunRow, Store, StoreError, StoredRun, Trash};
use crate::types::{RunId, Timestamp};

/// The run that `name` means: a unique beginning of its id, its name, or `latest`.
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
        return match store.resolve(name) {
            Err(unknown @ StoreError::UnknownRun { .. }) => {
                let mut index = Index::open_at_times(store, now, &mut |_, _| {})?;
                find_named(&mut index, name)?.ok_or(unknown)
            }
            found => found,
        };
    }
    let mut index = Index::open_at_times(store, now, &mut |_, _| {})?;
    index.is_every_run_read()?;
    match index.latest()? {
        Some(id) => Ok(id),
        None => store.resolve(name),
    }
}

/// The run that people gave this name; an id goes before a name.
///
/// # Errors
/// When several have it.
pub fn find_named(index: &mut Index, name: &str) -> Result<Option<RunId>, StoreError> {
    let mut named = index.query(&RunQuery::of_name(name).from_trash(Trash::With))?;
    match (named.len(), named.pop()) {
        (0 | 1, only) => Ok(only.map(|run| run.id)),
        (_, last) => {
            let runs = named.into_iter().chain(last).map(|run| run.id).collect();
            Err(StoreError::AmbiguousName { name: name.to_owned(), runs })
        }
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

    #[test]
    fn a_run_is_found_by_the_name_that_people_gave_it() {
        let (_folder, store) = new_store();
        let [first, second, third] = [1, 2, 3].map(|seed| {
            create(&store, &spec(seed, 0.3), &serde_json::json!({}), at(seed as i64 * 1000)).expect("a planned run")
        });
        for (run, name) in [(&first, "my run"), (&second, third.id().as_str()), (&third, "twice"), (&first, "my 런")] {
            run.relabel(|labels| labels.name = Some(name.to_owned())).expect("it is written");
        }
        let find = |name: &str| find_id(&store, name, at(0));
        assert_eq!(find("my 런").expect("its name"), *first.id());
        assert!(matches!(find("my run"), Err(StoreError::UnknownRun { .. })), "it has another now");
        assert_eq!(find(third.id().as_str()).expect("an id goes before a name"), *third.id());
        second.relabel(|labels| labels.name = Some("twice".to_owned())).expect("it is written");
        first.relabel(|labels| labels.trashed_at = Some(at(9))).expect("it is written");
        assert_eq!(find("my 런").expect("in the trash, too"), *first.id());
        let error = find("twice").expect_err("two have it").to_string();
        assert!(error.starts_with("2 runs are called `twice`: `") && error.contains(second.id().as_str()), "{error}");
    }

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
