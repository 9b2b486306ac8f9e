//! What a store can do without, and by which rule: files that were never finished, checkpoints that nothing asks for, runs that
//! have been in the trash for long. The plan is a value, so that it can be shown before anything is done.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::{files_below, is_stray};
use crate::store::{Index, RunDir, RunQuery, RunRow, RunState, Store, StoreError, Trash};
use crate::trainer::checkpoint::CheckpointDir;
use crate::types::{RunId, Timestamp};

/// Why something can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A temporary file or folder that nobody has written to for an hour.
    Unfinished,
    /// A checkpoint of a finished run that is neither its last nor its best.
    OldCheckpoint,
    /// A checkpoint that was found to be damaged, or ahead of its log, of a run that is finished.
    DamagedCheckpoint,
    /// The checkpoints of a run that came out as the run that it reproduces.
    Reproduced,
    /// A run that has been in the trash for long enough.
    Trash,
    /// A tokenizer or token file, which is made anew when it is needed.
    Cache,
}

impl Rule {
    /// The rule in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished files, untouched for an hour",
            Self::OldCheckpoint => "checkpoints of finished runs, but the last, the best, and those of tagged runs",
            Self::DamagedCheckpoint => "damaged checkpoints of finished runs",
            Self::Reproduced => "checkpoints of reproductions that came out identical",
            Self::Trash => "runs in the trash",
            Self::Cache => "cached tokenizers and token files",
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.words())
    }
}

/// Something that can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    pub rule: Rule,
    pub path: PathBuf,
    pub bytes: u64,
    /// The run that it belongs to.
    pub run: Option<RunId>,
}

/// Days that a run stays in the trash, unless somebody says otherwise.
pub const TRASH_DAYS: f64 = 30.0;

/// What is collected beside what is always.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Seconds after which a run in the trash is removed for good.
    pub trash_secs: f64,
    pub cache: bool,
}

/// What can go, and why other things stay.
#[derive(Debug, Default)]
pub struct Found {
    pub items: Vec<Item>,
    /// Runs in the trash of which others need the files, and those.
    pub needed: Vec<(RunId, Vec<RunId>)>,
    /// Runs that cannot be read. Nobody knows what they start from, so the trash is not emptied.
    pub unread: Vec<RunId>,
}

/// Finds what can go at the moment `now`.
///
/// # Errors
/// When the index cannot be read.
pub fn find(store: &Store, options: Options, now: Timestamp) -> Result<Found, StoreError> {
    let mut index = Index::open(store)?;
    let rows = index.query(&RunQuery::default().from_trash(Trash::With))?;
    let unread: Vec<RunId> = index.unreadable().iter().map(|(run, _)| run.clone()).collect();
    let mut items = unfinished(store, now);
    let mut needed = Vec::new();
    let mut going = BTreeSet::new();
    for row in &rows {
        let run = store.run(&row.id)?;
        let Some(trashed_at) = row.labels.trashed_at else {
            if row.state == RunState::Finished && row.logged_by.is_none() {
                items.extend(checkpoints(store, row, &run));
            }
            continue;
        };
        if !unread.is_empty() || now.secs_since(trashed_at) < options.trash_secs || run.is_leased()? {
            continue;
        }
        let heirs = index.dependents(&row.id)?.into_iter().filter(|dependent| dependent.role.needs_files());
        let heirs: Vec<RunId> = heirs.map(|dependent| dependent.run).filter(|heir| !going.contains(heir)).collect();
        if heirs.is_empty() {
            going.insert(row.id.clone());
            let bytes = run.bytes_on_disk();
            let (path, id) = (run.path().to_owned(), row.id.clone());
            items.push(Item { rule: Rule::Trash, path, bytes, run: Some(id) });
        } else {
            needed.push((row.id.clone(), heirs));
        }
    }
    if options.cache {
        let files = files_below(&store.root().join("cache")).into_iter().filter(|(path, _)| !is_stray(path));
        items.extend(files.map(|(path, bytes)| Item { rule: Rule::Cache, path, bytes, run: None }));
    }
    items.sort_by(|a, b| (a.rule, &a.path).cmp(&(b.rule, &b.path)));
    Ok(Found { items, needed, unread })
}

/// Removes an item. A run disappears at once, before its files are removed one by one.
///
/// # Errors
/// When it cannot be removed; or when somebody holds the run by now.
pub fn remove(store: &Store, item: &Item) -> Result<(), StoreError> {
    let failed = |source| StoreError::io("remove", &item.path, source);
    if item.rule == Rule::Trash
        && let Some(id) = &item.run
    {
        return store.remove_run(&store.run(id)?.acquire_lease()?, id);
    }
    if item.path.is_dir() {
        fs::remove_dir_all(&item.path).map_err(failed)
    } else {
        fs::remove_file(&item.path).map_err(failed)
    }
}

/// Temporary files and folders, the outermost of each.
fn unfinished(store: &Store, now: Timestamp) -> Vec<Item> {
    const UNTOUCHED: f64 = 3_600.0;

    let is_old = |path: &Path| {
        let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok();
        let at = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or(Duration::ZERO);
        let at = Timestamp::from_unix_millis(i64::try_from(at.as_millis()).unwrap_or(i64::MAX));
        now.secs_since(at) >= UNTOUCHED
    };
    let mut found = Vec::new();
    let mut folders = vec![store.root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_stray(&path) {
                let bytes = match is_folder {
                    true => files_below(&path).iter().map(|(_, bytes)| bytes).sum(),
                    false => entry.metadata().map_or(0, |metadata| metadata.len()),
                };
                if is_old(&path) && files_below(&path).iter().all(|(path, _)| is_old(path)) {
                    found.push(Item { rule: Rule::Unfinished, path, bytes, run: None });
                }
            } else if is_folder {
                folders.push(path);
            }
        }
    }
    found
}

/// The checkpoints of a finished run that nothing asks for.
fn checkpoints(store: &Store, row: &RunRow, run: &RunDir) -> Vec<Item> {
    let folder = CheckpointDir::new(run.checkpoints_path());
    let item = |rule, path: PathBuf| {
        let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        Item { rule, path, bytes, run: Some(row.id.clone()) }
    };
    let mut items = Vec::new();
    for (path, _) in files_below(&run.checkpoints_path()) {
        if path.extension().is_some_and(|extension| extension == "damaged" || extension == "ahead") {
            items.push(item(Rule::DamagedCheckpoint, path));
        }
    }
    let steps = folder.steps();
    if row.reproduces.as_ref().is_some_and(|original| came_out_as(store, &row.id, original)) {
        let best = Some(folder.best_path()).filter(|path| path.exists());
        let all = steps.iter().map(|step| folder.path(*step)).chain(best);
        items.extend(all.map(|path| item(Rule::Reproduced, path)));
    } else if row.labels.tags.is_empty() {
        let old = steps.iter().rev().skip(1);
        items.extend(old.map(|step| item(Rule::OldCheckpoint, folder.path(*step))));
    }
    items
}

/// Whether two runs have the same steps and the same last weights.
fn came_out_as(store: &Store, run: &RunId, original: &RunId) -> bool {
    let ends = |id: &RunId| {
        let facts = store.overview(id).ok()?.run.history.facts;
        Some(["final_chain", "final_weights"].map(|fact| facts.get(fact).cloned()))
    };
    let (ends, of_original) = (ends(run), ends(original));
    ends == of_original && ends.is_some_and(|ends| ends.iter().all(Option::is_some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;
    use crate::store::{Event, Lineage, NewRun};
    use crate::types::Step;
    use serde_json::json;

    const OPTIONS: Options = Options { trash_secs: 100.0, cache: false };

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_unix_millis(secs * 1000)
    }

    fn finish(run: &RunDir) {
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        for fact in ["final_chain", "final_weights"] {
            log.append(&Event::Fact { name: fact.to_owned(), value: json!("same") }).unwrap();
        }
        log.append(&Event::State { state: RunState::Finished, reason: None, at: at(1) }).unwrap();
    }

    fn save(run: &RunDir, names: &[&str]) {
        names.iter().for_each(|name| fs::write(run.checkpoints_path().join(name), "weights").unwrap());
    }

    /// The rule and the file name of each item.
    fn names(items: &[Item]) -> Vec<(Rule, String)> {
        items.iter().map(|item| (item.rule, item.path.file_name().unwrap().to_string_lossy().into_owned())).collect()
    }

    #[test]
    fn what_nothing_asks_for_is_found_by_its_rule() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let [plain, tagged, unfinished] = [1, 2, 3].map(|seed| testing::new_run(&store, seed));
        let files =
            ["step-00000001.safetensors", "step-00000002.safetensors", "best.safetensors", "step-00000003.damaged"];
        for run in [&plain, &tagged, &unfinished] {
            save(run, &files);
        }
        finish(&plain);
        finish(&tagged);
        tagged.relabel(|labels| labels.tags.extend(["keep".to_owned()])).unwrap();
        let Found { items, needed, .. } = find(&store, OPTIONS, at(1)).unwrap();
        let mut found = names(&items);
        found.sort();
        let damaged = (Rule::DamagedCheckpoint, files[3].to_owned());
        assert_eq!(found, [(Rule::OldCheckpoint, files[0].to_owned()), damaged.clone(), damaged]);
        assert!(needed.is_empty());
        items.iter().for_each(|item| remove(&store, item).unwrap());
        assert_eq!(CheckpointDir::new(plain.checkpoints_path()).steps(), [Step(2)]);
        assert!(find(&store, OPTIONS, at(1)).unwrap().items.is_empty());
    }

    #[test]
    fn temporary_files_go_when_nobody_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let run = testing::new_run(&store, 1);
        save(&run, &[".tmp-half"]);
        fs::create_dir_all(store.root().join(".tmp-run/checkpoints")).unwrap();
        fs::write(store.root().join(".tmp-run/spec.toml"), "half").unwrap();
        let now = crate::clock::now();
        assert!(find(&store, OPTIONS, now).unwrap().items.is_empty());
        let later = Timestamp::from_unix_millis(now.unix_millis() + 3_700_000);
        let Found { items, .. } = find(&store, OPTIONS, later).unwrap();
        assert_eq!(
            names(&items),
            [(Rule::Unfinished, ".tmp-run".to_owned()), (Rule::Unfinished, ".tmp-half".to_owned())]
        );
        items.iter().for_each(|item| remove(&store, item).unwrap());
        assert!(!store.root().join(".tmp-run").exists() && run.path().exists());
    }

    #[test]
    fn the_trash_is_emptied_after_its_time_but_not_of_what_others_need() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let [first, alone] = [1, 2].map(|seed| testing::new_run(&store, seed));
        let lineage = Lineage { starts_from: Some(first.id().clone()), ..Lineage::default() };
        let new = NewRun { subject: &alone.read_subject().unwrap(), provenance: &json!({}), lineage: &lineage };
        let heir = store.create_run(&new, at(0)).unwrap();
        for run in [&first, &alone] {
            run.relabel(|labels| labels.trashed_at = Some(at(10))).unwrap();
        }
        assert!(find(&store, OPTIONS, at(100)).unwrap().items.is_empty());
        let Found { items, needed, .. } = find(&store, OPTIONS, at(200)).unwrap();
        assert_eq!(items.iter().map(|item| item.run.as_ref().unwrap()).collect::<Vec<_>>(), [alone.id()]);
        assert_eq!(needed, [(first.id().clone(), vec![heir.id().clone()])]);
        // What cannot be read may start from anything.
        let log = std::fs::read(heir.events_path()).unwrap();
        std::fs::write(heir.events_path(), "no log\nat all\n").unwrap();
        let found = find(&store, OPTIONS, at(200)).unwrap();
        assert!(found.items.is_empty() && found.unread == [heir.id().clone()], "{found:?}");
        std::fs::write(heir.events_path(), log).unwrap();
        remove(&store, &items[0]).unwrap();
        assert!(!alone.path().exists() && first.path().exists());
    }

    #[test]
    fn a_reproduction_that_came_out_identical_needs_no_checkpoints() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let original = testing::new_run(&store, 1);
        finish(&original);
        let lineage = Lineage { reproduces: Some(original.id().clone()), ..Lineage::default() };
        let new = NewRun { subject: &original.read_subject().unwrap(), provenance: &json!({}), lineage: &lineage };
        let again = store.create_run(&new, at(0)).unwrap();
        finish(&again);
        [&original, &again].into_iter().for_each(|run| save(run, &["step-00000002.safetensors"]));
        let Found { items, .. } = find(&store, OPTIONS, at(1)).unwrap();
        assert_eq!(names(&items), [(Rule::Reproduced, "step-00000002.safetensors".to_owned())]);
        assert_eq!(items[0].run.as_ref(), Some(again.id()));
    }
}
