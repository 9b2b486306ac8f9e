//! Runs from one store to another, folder by folder: copied with whatever they stand on, or moved.
//!
//! As with an archive, everything is copied out of sight, read back and held against what was read; then each run gets its name
//! at once. What is moved leaves the store it was in only after that.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};

use super::archive::{ArchiveError, ExperimentTaken, TakenRun, Why};
pub use super::pick::Absent;
use super::pick::{Picked, PickedRun, RunFile};
use super::staging::{Held, Staging, hash_of, hold, merge_experiments};
use crate::store::{Dependent, ExperimentEntry, Index, Store, StoreError};
use crate::types::{ContentHash, ContentHasher, RunId};

/// What became of runs that were copied or moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Those that were asked for and those that they stand on, each after what it stands on.
    pub runs: Vec<(TakenRun, Why)>,
    pub experiments: Vec<ExperimentTaken>,
    pub absent: Vec<Absent>,
    pub bytes: u64,
}

/// Copies runs, and those that they stand on, from one store to another; `tell` hears how many of how many bytes are copied.
///
/// # Errors
/// When a run is being written, `to` has a run of the same id with other content, or a store cannot be read or written. `to` has
/// none of the runs then, unless the last step of all, renaming, failed.
pub fn copy(
    from: &Store,
    to: &Store,
    runs: &[RunId],
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Transferred, ArchiveError> {
    Ok(copy_picked(from, to, runs, false, tell)?.0)
}

/// [`copy`], which gives what was copied as well. Where it `is_final`, what `to` has of a run that was asked for has to be all of it.
fn copy_picked(
    from: &Store,
    to: &Store,
    runs: &[RunId],
    is_final: bool,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<(Transferred, Vec<PickedRun>), ArchiveError> {
    let same = |store: &Store| store.root().canonicalize().ok();
    if same(from) == same(to) {
        return Err(ArchiveError::SameStore { store: to.root().to_owned() });
    }
    let picked = Picked::of(from, runs, true)?;
    let all = picked.bytes();
    let (mut done, mut copied) = (0, 0);
    let staging = Staging::new(to)?;
    let mut taken = Vec::new();
    let mut new = BTreeSet::new();
    for run in &picked.runs {
        let id = run.dir.id().clone();
        let is_there = match to.run(&id) {
            Ok(_) => true,
            Err(StoreError::UnknownRun { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let kept = if is_there {
            let theirs: Vec<(&str, u64, ContentHash)> = run
                .files
                .iter()
                .map(|file| Ok((file.path.as_str(), file.bytes, hash_of(&file.at)?)))
                .collect::<Result<_, ArchiveError>>()?;
            match hold(to, &id, theirs.into_iter())? {
                Held::Same { kept: Some(kept) } if is_final && run.why == Why::Asked => {
                    return Err(ArchiveError::Lesser { store: to.root().to_owned(), run: id, kept });
                }
                Held::Same { kept } => kept,
                Held::Absent => return Err(ArchiveError::Changed { run: id }),
                Held::Other { files } => {
                    return Err(ArchiveError::Occupied { store: to.root().to_owned(), run: id, files });
                }
            }
        } else {
            stage(run, &staging, &mut |bytes| tell(done + bytes, all))?;
            copied += run.files.iter().map(|file| file.bytes).sum::<u64>();
            new.insert(id.clone());
            None
        };
        done += run.files.iter().map(|file| file.bytes).sum::<u64>();
        tell(done, all);
        taken.push((TakenRun { is_known: is_there, id, kept }, run.why));
    }
    picked.runs.iter().try_for_each(|run| run.is_as_it_was(true))?;
    staging.publish(&new)?;
    let named: BTreeSet<&String> = picked.runs.iter().flat_map(|run| &run.experiments).collect();
    let is_named = |entry: &&ExperimentEntry| entry.names().any(|name| named.iter().any(|known| *known == name));
    let said = from.experiment_book()?.entries().iter().filter(is_named).cloned().collect();
    let experiments = merge_experiments(to, said)?;
    let experiments = experiments.into_iter().map(|(name, is_taken)| ExperimentTaken { name, is_taken }).collect();
    Ok((Transferred { runs: taken, experiments, absent: picked.absent, bytes: copied }, picked.runs))
}

/// Moves runs from one store to another; those that they stand on are copied, and stay where they are unless they were asked for
/// too.
///
/// # Errors
/// As [`copy`]; when a run that stays starts from one that goes, or has its tokenizer there; when `to` has a run already, but with
/// other labels or fewer files, which would be lost. A run that could not be removed
/// is in both stores then.
pub fn relocate(
    from: &Store,
    to: &Store,
    runs: &[RunId],
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Transferred, ArchiveError> {
    let going: BTreeSet<&RunId> = runs.iter().collect();
    let index = Index::open(from)?;
    for id in &going {
        let stays = |heir: &Dependent| !going.contains(&heir.run);
        if let Some(heir) = index.heirs(id)?.into_iter().find(stays) {
            return Err(ArchiveError::Heir { run: (*id).clone(), heir: heir.run });
        }
    }
    // A store that cannot be written is found out before anything is copied.
    going.iter().try_for_each(|id| from.run(id)?.acquire_lease().map(drop))?;
    let (transferred, picked) = copy_picked(from, to, runs, true, tell)?;
    // Heirs before those that they stand on.
    for run in picked.iter().rev().filter(|run| going.contains(run.dir.id())) {
        let lease = run.dir.acquire_lease()?;
        if !run.has_the_same_files(true)? {
            return Err(ArchiveError::Changed { run: run.dir.id().clone() });
        }
        from.remove_run(&lease, run.dir.id())?;
    }
    Ok(transferred)
}

/// Copies a run to where new runs are built, and holds the copy against what was read.
fn stage(run: &PickedRun, staging: &Staging<'_>, tell: &mut dyn FnMut(u64)) -> Result<(), ArchiveError> {
    let id = run.dir.id();
    let mut done = 0;
    for file in &run.files {
        let place = staging.path_of(id, &file.path);
        let mut copy = staging.create(&place)?;
        let hash = copy_file(run, file, &mut copy)?;
        copy.sync_all().map_err(|error| StoreError::io("flush", &place, error))?;
        drop(copy);
        if hash_of(&place)? != hash {
            return Err(ArchiveError::Miscopied { path: place });
        }
        done += file.bytes;
        tell(done);
    }
    staging.seal(id)?.map_err(|source| ArchiveError::UnreadableRun {
        path: run.dir.path().to_owned(),
        run: id.clone(),
        source: Box::new(source),
    })
}

/// Copies a file and gives the hash of what was read.
fn copy_file(run: &PickedRun, file: &RunFile, copy: &mut File) -> Result<ContentHash, ArchiveError> {
    let reading = |error| StoreError::io("read", &file.at, error);
    let mut source = File::open(&file.at).map_err(reading)?;
    let (mut hasher, mut block, mut bytes) = (ContentHasher::new(), vec![0; 1 << 16], 0);
    loop {
        match source.read(&mut block) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&block[..read]);
                bytes += read as u64;
                copy.write_all(&block[..read]).map_err(|error| StoreError::io("write the copy of", &file.at, error))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(reading(error).into()),
        }
    }
    if bytes != file.bytes {
        return Err(ArchiveError::Changed { run: run.dir.id().clone() });
    }
    Ok(hasher.finish())
}
