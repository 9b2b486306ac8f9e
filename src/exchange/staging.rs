//! A place beside a store's runs where new ones are built, out of sight, until all are whole; then each gets its name at once.
//!
//! What is left of one that was interrupted is a hidden folder that nobody reads and `ablate gc` removes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::archive::ArchiveError;
use crate::durable;
use crate::store::{ExperimentEntry, RunDir, Store, StoreError};
use crate::types::{ContentHash, ContentHasher, RunId};

/// Files of a run that make it the run that it is; a store that has it has each of them.
const ESSENTIAL: [&str; 5] = ["spec.toml", "params.json", "provenance.json", "lineage.json", "events.log"];
/// What anybody may change at any time.
const LABELS: &str = "labels.json";
/// Folders that every run has, also where they are empty.
const FOLDERS: [&str; 2] = ["checkpoints", "artifacts"];

/// New runs of a store that have no names yet.
pub(super) struct Staging<'s> {
    store: &'s Store,
    folder: TempDir,
    /// The folder, read as a store.
    staged: Store,
}

/// What a store has of a run that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Held {
    Absent,
    /// The same; and in words what it keeps that would come otherwise.
    Same {
        kept: Option<String>,
    },
    /// Another run of this id: the files that differ.
    Other {
        files: Vec<String>,
    },
}

impl<'s> Staging<'s> {
    /// A new place in the store's folder.
    pub fn new(store: &'s Store) -> Result<Self, ArchiveError> {
        let folder = durable::new_folder(store.root());
        let folder = folder.map_err(|error| StoreError::io("create a run in", store.root(), error))?;
        let staged = Store::open(folder.path())?;
        Ok(Self { store, folder, staged })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where a file of a run is built.
    pub fn path_of(&self, run: &RunId, file: &str) -> PathBuf {
        self.folder.path().join(run.as_str()).join(file)
    }

    /// A new file below the folder.
    pub fn create(&self, path: &Path) -> Result<File, ArchiveError> {
        let failed = |error| StoreError::io("create", path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        Ok(File::create_new(path).map_err(failed)?)
    }

    /// Makes a run durable and reads it as the store will read it.
    ///
    /// # Errors
    /// When it cannot be made durable; the inner one when it is no run that this program reads.
    pub fn seal(&self, run: &RunId) -> Result<Result<(), StoreError>, ArchiveError> {
        let folder = self.folder.path().join(run.as_str());
        for name in FOLDERS {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(|error| StoreError::io("create", &path, error))?;
        }
        sync_folders(&folder)?;
        Ok(self.staged.load(run).map(drop))
    }

    /// Gives these runs their names, those that others stand on first.
    ///
    /// # Errors
    /// When one cannot be renamed; those before it are there then, each whole.
    pub fn publish(&self, runs: &BTreeSet<RunId>) -> Result<(), ArchiveError> {
        let mut edges = BTreeMap::new();
        for id in runs {
            let lineage = self.staged.run(id)?.read_lineage()?;
            let others: Vec<RunId> = lineage.edges().map(|(_, other)| other.clone()).collect();
            edges.insert(id, others);
        }
        let mut left: BTreeSet<&RunId> = runs.iter().collect();
        while !left.is_empty() {
            let stands_alone = |id: &&&RunId| !edges[**id].iter().any(|other| other != **id && left.contains(other));
            // No run can stand on one that came after it; were it said all the same, any order would do.
            let next = left.iter().find(stands_alone).or(left.iter().next()).copied();
            let Some(next) = next else { break };
            left.remove(next);
            self.rename(Path::new(next.as_str()))?;
            self.store.note_change(next);
        }
        Ok(())
    }

    /// Puts a report that was built below `reports/` into its place.
    pub fn publish_report(&self, shelf: &str, name: &str) -> Result<(), ArchiveError> {
        let shelf = Path::new("reports").join(shelf);
        let place = self.store.root().join(&shelf);
        fs::create_dir_all(&place).map_err(|error| StoreError::io("create", &place, error))?;
        sync_folders(&self.folder.path().join(&shelf).join(name))?;
        self.rename(&shelf.join(name))
    }

    fn rename(&self, below: &Path) -> Result<(), ArchiveError> {
        let (from, to) = (self.folder.path().join(below), self.store.root().join(below));
        let failed = |error| StoreError::io("create", &to, error);
        // Onto a folder that is not empty, a rename fails.
        fs::rename(&from, &to).map_err(failed)?;
        durable::sync_folder(to.parent().unwrap_or(self.store.root())).map_err(failed)?;
        Ok(())
    }
}

/// Makes the names in a folder and in all below it durable.
fn sync_folders(folder: &Path) -> Result<(), ArchiveError> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error| StoreError::io("flush", &folder, error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
        durable::sync_folder(&folder).map_err(failed)?;
    }
    Ok(())
}

/// Holds files of a run, by path, size and hash, against what a store has of it.
///
/// # Errors
/// When a file of the store cannot be read.
pub(super) fn hold<'f>(
    store: &Store,
    id: &RunId,
    theirs: impl Iterator<Item = (&'f str, u64, ContentHash)>,
) -> Result<Held, ArchiveError> {
    let run: RunDir = match store.run(id) {
        Ok(run) => run,
        Err(StoreError::UnknownRun { .. }) => return Ok(Held::Absent),
        Err(error) => return Err(error.into()),
    };
    let mut missing: BTreeSet<&str> = ESSENTIAL.into_iter().filter(|name| run.path().join(name).exists()).collect();
    let (mut other, mut lacking, mut has_other_labels) = (Vec::new(), 0_usize, !run.path().join(LABELS).exists());
    let mut they_have_labels = false;
    for (path, bytes, hash) in theirs {
        missing.remove(path);
        let ours = run.path().join(path);
        let found = match fs::symlink_metadata(&ours) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(StoreError::io("read", &ours, error).into()),
            Ok(metadata) => Some(metadata.is_file() && metadata.len() == bytes && hash_of(&ours)? == hash),
        };
        match found {
            _ if path == LABELS => {
                they_have_labels = true;
                has_other_labels = found != Some(true);
            }
            Some(true) => {}
            None if !ESSENTIAL.contains(&path) => lacking += 1,
            _ => other.push(path.to_owned()),
        }
    }
    other.extend(missing.into_iter().map(str::to_owned));
    if !other.is_empty() {
        return Ok(Held::Other { files: other });
    }
    has_other_labels = if they_have_labels { has_other_labels } else { run.path().join(LABELS).exists() };
    let labels = has_other_labels.then(|| "the labels that it has here".to_owned());
    let files = (lacking > 0).then(|| format!("no more files than it has here ({lacking} more would have come)"));
    let kept = [labels, files].into_iter().flatten().collect::<Vec<_>>().join(", ");
    Ok(Held::Same { kept: Some(kept).filter(|kept| !kept.is_empty()) })
}

/// The hash of a file's content.
pub(super) fn hash_of(path: &Path) -> Result<ContentHash, ArchiveError> {
    let failed = |error| StoreError::io("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut hasher, mut block) = (ContentHasher::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => drop(hasher.update(&block[..read])),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error).into()),
        }
    }
}

/// Adds what is said of experiments that the store says nothing of; gives their names, and whether they were added or are so
/// already.
pub(super) fn merge_experiments(
    store: &Store,
    said: Vec<ExperimentEntry>,
) -> Result<Vec<(String, bool)>, ArchiveError> {
    if said.is_empty() {
        return Ok(Vec::new());
    }
    let merged = store.change_experiments(|book| {
        let take = |entry: ExperimentEntry| {
            let same = book.entries().iter().find(|known| known.id == entry.id);
            let is_named = || {
                let mut names = book.entries().iter().flat_map(ExperimentEntry::names);
                names.any(|name| entry.names().any(|theirs| theirs == name))
            };
            let is_taken = match same {
                Some(known) => *known == entry,
                None => !is_named(),
            };
            if is_taken {
                book.entry(&entry);
            }
            (entry.name, is_taken)
        };
        Ok::<_, StoreError>(said.into_iter().map(take).collect())
    });
    Ok(merged?)
}
