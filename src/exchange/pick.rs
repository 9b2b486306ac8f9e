//! Which runs and files leave a store together: those that were asked for, and whatever they stand on, byte for byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::archive::{ArchiveError, Corpus, Why, names};
use crate::store::{Role, RunDir, Store, StoreError, Subject};
use crate::types::RunId;

/// The file of a run that says who writes it on this machine: it means nothing anywhere else.
const LEASE: &str = "lease";
const CHECKPOINTS: &str = "checkpoints";

/// Runs that leave a store together, each after those that it stands on.
#[derive(Debug)]
pub(super) struct Picked {
    pub runs: Vec<PickedRun>,
    pub absent: Vec<Absent>,
}

#[derive(Debug)]
pub(super) struct PickedRun {
    pub dir: RunDir,
    pub why: Why,
    pub corpora: Vec<Corpus>,
    /// The experiments that it belongs to.
    pub experiments: BTreeSet<String>,
    pub files: Vec<RunFile>,
}

/// A run that another stands on and that the store does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    pub run: RunId,
    pub role: Role,
    pub other: RunId,
}

/// A file of a run as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RunFile {
    /// Below the run's folder, with `/` between its parts.
    pub path: String,
    pub at: PathBuf,
    pub bytes: u64,
    modified: Option<SystemTime>,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stands = match self.role {
            Role::StartsFrom => "starts from",
            Role::Continues => "continues",
            Role::Reproduces => "reproduces",
            Role::UsesTokenizerOf => "has its tokenizer from",
        };
        write!(f, "run {} {stands} run {}, which is not there any more", self.run, self.other)
    }
}

impl Picked {
    /// These runs of a store, and those that they stand on.
    ///
    /// # Errors
    /// When one of them is being written, or has a file that cannot leave.
    pub fn of(store: &Store, asked: &[RunId], with_checkpoints: bool) -> Result<Self, ArchiveError> {
        let mut walk =
            Walk { store, asked: asked.iter().collect(), seen: BTreeSet::new(), order: Vec::new(), absent: Vec::new() };
        let mut sorted: Vec<&RunId> = walk.asked.iter().copied().collect();
        sorted.sort();
        sorted.into_iter().try_for_each(|id| walk.visit(id))?;
        let Walk { asked, order, absent, .. } = walk;
        let pick = |dir: RunDir| {
            let why = if asked.contains(dir.id()) { Why::Asked } else { Why::StoodOn };
            PickedRun::of(dir, why, with_checkpoints)
        };
        Ok(Self { runs: order.into_iter().map(pick).collect::<Result<_, _>>()?, absent })
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().flat_map(|run| &run.files).map(|file| file.bytes).sum()
    }
}

/// The runs from those that stand on nothing to those that were asked for.
struct Walk<'s> {
    store: &'s Store,
    asked: BTreeSet<&'s RunId>,
    seen: BTreeSet<RunId>,
    order: Vec<RunDir>,
    absent: Vec<Absent>,
}

impl Walk<'_> {
    /// Takes a run after those that it stands on. Their number is small, their depth that of stages and continuations.
    fn visit(&mut self, id: &RunId) -> Result<(), ArchiveError> {
        if !self.seen.insert(id.clone()) {
            return Ok(());
        }
        let dir = self.store.run(id)?;
        for (role, other) in dir.read_lineage()?.edges() {
            match self.store.run(other) {
                Ok(_) => self.visit(other)?,
                Err(StoreError::UnknownRun { .. }) => {
                    self.absent.push(Absent { run: id.clone(), role, other: other.clone() });
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.order.push(dir);
        Ok(())
    }
}

impl PickedRun {
    fn of(dir: RunDir, why: Why, with_checkpoints: bool) -> Result<Self, ArchiveError> {
        if dir.is_leased()? {
            return Err(ArchiveError::BeingWritten { run: dir.id().clone() });
        }
        let subject = dir.read_subject()?;
        let mut experiments: BTreeSet<String> = dir.labels()?.groups.into_iter().map(|group| group.name).collect();
        let provenance = dir.read_provenance()?;
        experiments.extend(provenance.pointer("/experiment/name").and_then(|name| name.as_str()).map(str::to_owned));
        if let Subject::Logged(logged) = &subject {
            experiments.extend(logged.experiment.clone());
        }
        let files = files(dir.path(), with_checkpoints)?;
        let paths = files.iter().map(|file| file.path.as_str());
        if let Some((first, second)) = names::collision(paths) {
            let problem = format!("`{second}` beside it is the same on some systems");
            return Err(ArchiveError::File { path: dir.path().join(first), problem });
        }
        Ok(Self { corpora: corpora(&subject), why, experiments, files, dir })
    }

    /// Whether the files are those that were looked at, and nobody writes them.
    ///
    /// # Errors
    /// When somebody began to write meanwhile.
    pub fn is_as_it_was(&self, with_checkpoints: bool) -> Result<(), ArchiveError> {
        if self.dir.is_leased()? || !self.has_the_same_files(with_checkpoints)? {
            return Err(ArchiveError::Changed { run: self.dir.id().clone() });
        }
        Ok(())
    }

    /// Whether the files have the names, sizes and times that they had when they were looked at.
    pub fn has_the_same_files(&self, with_checkpoints: bool) -> Result<bool, ArchiveError> {
        Ok(files(self.dir.path(), with_checkpoints)? == self.files)
    }
}

/// The files of a run's folder, in order of their paths, but for its lease and what is not in its place yet.
///
/// # Errors
/// When a folder cannot be read, or something in it can be in no other store: a link, a pipe, a name.
fn files(folder: &Path, with_checkpoints: bool) -> Result<Vec<RunFile>, ArchiveError> {
    let mut found = files_below(folder, &mut |path| path == LEASE || (!with_checkpoints && path == CHECKPOINTS))?;
    found.sort();
    Ok(found)
}

/// Every file below a folder but those that `is_passed_over`, sorted by folders.
pub(super) fn files_below(
    folder: &Path,
    is_passed_over: &mut dyn FnMut(&str) -> bool,
) -> Result<Vec<RunFile>, ArchiveError> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, above)) = folders.pop() {
        let failed = |error| StoreError::io("read", &folder, error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let at = entry.path();
            let refused = |problem: String| ArchiveError::File { path: at.clone(), problem };
            let name = entry.file_name().into_string().map_err(|_| refused("its name is not UTF-8".to_owned()))?;
            let path = if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
            if name.starts_with(".tmp") || is_passed_over(&path) {
                continue;
            }
            names::check(&path).map_err(refused)?;
            let metadata = entry.metadata().map_err(|error| StoreError::io("read", &at, error))?;
            if metadata.is_dir() {
                folders.push((at, path));
            } else if metadata.is_file() {
                let modified = metadata.modified().ok();
                found.push(RunFile { path, at, bytes: metadata.len(), modified });
            } else {
                let problem = "it is a link, a pipe or a device; put in its place what it leads to".to_owned();
                return Err(ArchiveError::File { path: at, problem });
            }
        }
    }
    Ok(found)
}

/// The data that a run names with their hash: `data.corpus` and `data.corpus_hash`.
fn corpora(subject: &Subject) -> Vec<Corpus> {
    let settings: BTreeMap<String, String> = subject.settings().into_iter().collect();
    let corpus = |(key, value): (&String, &String)| {
        let name = settings.get(key.strip_suffix("_hash")?)?;
        Some(Corpus { name: name.clone(), hash: value.parse().ok()? })
    };
    let mut corpora: Vec<Corpus> = settings.iter().filter_map(corpus).collect();
    corpora.sort();
    corpora.dedup();
    corpora
}
