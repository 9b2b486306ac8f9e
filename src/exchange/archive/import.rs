//! Takes archives in: every run as it was, with its id and every byte, or nothing at all.
//!
//! The archive is verified whole first. Then all of its runs that the store lacks are unpacked beside it and read as the store
//! reads runs; only then they get their names, each at once, those that others stand on first. Whoever is interrupted starts the
//! same command again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use super::certificate::Entry;
use super::error::{ArchiveError, Fault, FaultKind};
use super::names::Owner;
use super::read::Archive;
use super::write::Experiments;
use crate::exchange::staging::{Held, Staging, hold, merge_experiments};
use crate::store::{ExperimentEntry, Store};
use crate::types::{ContentHash, RunId};

/// What became of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub root: ContentHash,
    /// In order of their ids.
    pub runs: Vec<TakenRun>,
    pub experiments: Vec<ExperimentTaken>,
    pub reports: Vec<TakenReport>,
}

/// A run of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenRun {
    pub id: RunId,
    /// Whether the store had it already.
    pub is_known: bool,
    /// What the store had and has of it that the archive says otherwise or has beside: its labels, checkpoints that were collected.
    pub kept: Option<String>,
}

/// What the archive says of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExperimentTaken {
    pub name: String,
    /// Whether it was taken in; the store says something itself otherwise.
    pub is_taken: bool,
}

/// A report of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenReport {
    /// The name of its experiment's folder, and its own.
    pub shelf: String,
    pub name: String,
    pub is_known: bool,
}

/// Takes the archive at `path` into a store; `tell` hears how many of how many bytes are read.
///
/// # Errors
/// When it is no archive or is damaged, when the store has a run of the same id with other content, or cannot be written. No run
/// of it was taken in then, unless the last step of all, renaming, failed.
pub fn import(store: &Store, path: &Path, tell: &mut dyn FnMut(u64, u64)) -> Result<Imported, ArchiveError> {
    import_from(store, Archive::open(path)?, path, tell)
}

pub(super) fn import_from<R: Read + Seek>(
    store: &Store,
    mut archive: Archive<R>,
    path: &Path,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Imported, ArchiveError> {
    archive.is_believable(path)?;
    let verified = archive.verify(tell).map_err(|error| ArchiveError::io("read", path, error))?;
    if !verified.whole {
        return Err(ArchiveError::Damaged { path: path.to_owned(), faults: verified.faults });
    }
    let root = archive.certificate().root;
    let entries = archive.certificate().entries.clone();
    let mut of_runs: BTreeMap<RunId, Vec<(usize, &str)>> = BTreeMap::new();
    let mut of_reports: BTreeMap<(&str, &str), Vec<(usize, &str)>> = BTreeMap::new();
    let mut experiments = None;
    for (number, entry) in entries.iter().enumerate() {
        match Owner::of(&entry.path) {
            Some(Owner::Run(id, file)) => of_runs.entry(id).or_default().push((number, file)),
            Some(Owner::Report(shelf, name, file)) => of_reports.entry((shelf, name)).or_default().push((number, file)),
            Some(Owner::Experiments) => experiments = Some(number),
            None => {}
        }
    }
    let staging = Staging::new(store)?;
    let mut taken = Vec::new();
    let mut new = BTreeSet::new();
    for (id, files) in &of_runs {
        let theirs = files.iter().map(|(number, file)| (*file, entries[*number].bytes, entries[*number].hash));
        let kept = match hold(store, id, theirs)? {
            Held::Absent => {
                for (number, file) in files {
                    archive.unpack_to(*number, &staging, &staging.path_of(id, file), path)?;
                }
                let readable = staging.seal(id)?;
                readable.map_err(|source| ArchiveError::UnreadableRun {
                    path: path.to_owned(),
                    run: id.clone(),
                    source: Box::new(source),
                })?;
                new.insert(id.clone());
                None
            }
            Held::Same { kept } => kept,
            Held::Other { files } => {
                return Err(ArchiveError::Occupied { store: store.root().to_owned(), run: id.clone(), files });
            }
        };
        taken.push(TakenRun { id: id.clone(), is_known: !new.contains(id), kept });
    }
    let mut reports = Vec::new();
    for ((shelf, name), files) in &of_reports {
        let place = store.root().join("reports").join(shelf).join(name);
        let is_known = place.exists();
        if !is_known {
            let building = staging.path().join("reports").join(shelf).join(name);
            for (number, file) in files {
                archive.unpack_to(*number, &staging, &building.join(file), path)?;
            }
        }
        reports.push(TakenReport { shelf: (*shelf).to_owned(), name: (*name).to_owned(), is_known });
    }
    let said = match experiments {
        Some(number) => {
            let mut bytes = Vec::new();
            archive.unpack(number, &mut bytes).map_err(|error| ArchiveError::io("read", path, error))?;
            read_experiments(&bytes, &entries[number]).map_err(|fault| damaged(path, fault))?
        }
        None => Vec::new(),
    };
    staging.publish(&new)?;
    for report in reports.iter().filter(|report| !report.is_known) {
        staging.publish_report(&report.shelf, &report.name)?;
    }
    let experiments = merge_experiments(store, said)?;
    let experiments = experiments.into_iter().map(|(name, is_taken)| ExperimentTaken { name, is_taken }).collect();
    Ok(Imported { root, runs: taken, experiments, reports })
}

fn damaged(path: &Path, fault: Fault) -> ArchiveError {
    ArchiveError::Damaged { path: path.to_owned(), faults: vec![fault] }
}

fn read_experiments(bytes: &[u8], entry: &Entry) -> Result<Vec<ExperimentEntry>, Fault> {
    let fault = |problem: String| Fault { part: entry.path.clone(), kind: FaultKind::Changed, range: None, problem };
    let read: Experiments = serde_json::from_slice(bytes).map_err(|error| fault(error.to_string()))?;
    let newest = crate::store::format::EXPERIMENTS;
    if read.version > newest {
        return Err(fault(format!("it has format version {}, and this program reads up to {newest}", read.version)));
    }
    Ok(read.experiments)
}

impl<R: Read + Seek> Archive<R> {
    /// Writes an entry to a new file below the staging folder, durable when this returns.
    fn unpack_to(&mut self, number: usize, staging: &Staging<'_>, to: &Path, path: &Path) -> Result<(), ArchiveError> {
        let mut file: File = staging.create(to)?;
        let failed = |error: io::Error| ArchiveError::io("write", to, error);
        let unpacked = self.unpack(number, &mut file).map_err(failed)?;
        if !unpacked.is_content_right {
            let part = self.certificate().entries[number].path.clone();
            let problem = "it was changed since it was verified".to_owned();
            return Err(damaged(path, Fault { part, kind: FaultKind::Changed, range: None, problem }));
        }
        file.sync_all().map_err(failed)
    }
}
