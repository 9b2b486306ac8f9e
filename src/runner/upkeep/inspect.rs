//! Whether every byte of a store is what was written: logs by their links, the files beside them by what the log says of them,
//! checkpoints and cached files by their digests, the index by the folders. Repairing moves what is damaged out of the way and
//! never deletes it.

use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files_below;
use crate::durable;
use crate::plan::TokenizerKind;
use crate::runner::trained::{TOKENIZER, imported_tokenizer};
use crate::store::{Index, RunDir, RunState, Store, StoreError, StoredRun};
use crate::trainer::checkpoint::{self, CheckpointDir};
use crate::trainer::corpus::check_cached;
use crate::trainer::model::parameters::digest;
use crate::trainer::tokenizer::Tokenizer;
use crate::types::RunId;

/// What damaged things are moved into, below the store.
pub const SET_ASIDE: &str = ".set-aside";

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inspection {
    pub runs: usize,
    pub checkpoints: usize,
    pub cached_files: usize,
    pub bytes: u64,
    pub findings: Vec<Finding>,
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub run: Option<RunId>,
    pub path: PathBuf,
    pub problem: String,
    pub remedy: Remedy,
}

/// What repairing does about a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The run's folder is set aside.
    SetRunAside,
    /// The file is set aside.
    SetFileAside,
    /// The end of the log that is no whole record is set aside.
    SetTailAside,
    /// The index is made anew from the folders.
    Reindex,
    /// Only a person can put it right: who may read a file is for him to say, or a newer program.
    Person,
    /// There is nothing to do: the next who writes puts it right, or nothing is wrong.
    Nothing,
}

/// Reads everything; `tell` hears of each run before it is read.
///
/// # Errors
/// When the store cannot be listed.
pub fn inspect(store: &Store, tell: &mut dyn FnMut(&RunId)) -> Result<Inspection, StoreError> {
    let mut inspection = Inspection::default();
    for id in store.run_ids()? {
        tell(&id);
        inspection.runs += 1;
        inspection.run(store, &id);
    }
    inspection.cache(store);
    match Index::open(store).and_then(|mut index| index.differences()) {
        Ok(differing) => inspection.findings.extend(differing.into_iter().map(|id| Finding {
            path: store.index_path().to_owned(),
            problem: format!("it says of run {id} what its folder does not"),
            run: Some(id),
            remedy: Remedy::Reindex,
        })),
        Err(error) => inspection.findings.push(Finding {
            run: None,
            path: store.index_path().to_owned(),
            problem: error.to_string(),
            // Of what the disk does not give, no index can be made.
            remedy: if matches!(error, StoreError::Database { .. }) { Remedy::Reindex } else { Remedy::Person },
        }),
    }
    Ok(inspection)
}

impl Inspection {
    fn run(&mut self, store: &Store, id: &RunId) {
        let folder = store.root().join(id.as_str());
        self.bytes += files_below(&folder).iter().map(|(_, bytes)| bytes).sum::<u64>();
        let run = match store.load(id) {
            Ok(run) => run,
            Err(error) => {
                let is_gone =
                    matches!(&error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound);
                let remedy = if error.is_damage() || is_gone { Remedy::SetRunAside } else { Remedy::Person };
                return self.find(Some(id), &folder, error.to_string(), remedy);
            }
        };
        if run.history.torn_bytes > 0 && run.state != RunState::Running {
            let bytes = run.history.torn_bytes;
            let problem = format!("its last {bytes} bytes are no whole record: a crash tore it");
            // Who goes on with a run cuts it off; nobody goes on with one that has ended.
            let has_ended = matches!(run.state, RunState::Finished | RunState::Failed | RunState::Stopped);
            let remedy = if has_ended { Remedy::SetTailAside } else { Remedy::Nothing };
            self.find(Some(id), &run.dir.events_path(), problem, remedy);
        }
        if run.history.unknown_records > 0 {
            let problem =
                format!("{} of its records are of kinds that a newer program writes", run.history.unknown_records);
            self.find(Some(id), &run.dir.events_path(), problem, Remedy::Nothing);
        }
        self.checkpoints(&run);
        self.tokenizer(&run);
    }

    fn checkpoints(&mut self, run: &StoredRun) {
        let Ok(spec) = run.planned() else { return };
        let folder = CheckpointDir::new(run.dir.checkpoints_path());
        let steps = folder.steps();
        let best = Some(folder.best_path()).filter(|path| path.exists());
        for path in steps.iter().map(|step| folder.path(*step)).chain(best) {
            self.checkpoints += 1;
            let (step, weights) = match checkpoint::read_weights(&path, spec.hash()) {
                Ok(read) => read,
                Err(error) => {
                    self.find(Some(&run.id), &path, error.to_string(), Remedy::SetFileAside);
                    continue;
                }
            };
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let recorded = run.history.checkpoints.iter().find(|record| record.file == name && record.step == step);
            if recorded.is_some_and(|record| record.weights != digest(&weights)) {
                let problem = "its weights are not those that the log has of it".to_owned();
                self.find(Some(&run.id), &path, problem, Remedy::SetFileAside);
            }
        }
    }

    /// The tokenizer that lies with a run is the one that it was trained with.
    fn tokenizer(&mut self, run: &StoredRun) {
        let path = run.dir.artifact_path(TOKENIZER);
        let Some(expected) = run.history.facts.get("tokenizer_hash").and_then(|hash| hash.as_str()) else { return };
        if !path.exists() {
            return;
        }
        let Ok(spec) = run.planned() else { return };
        let found = match spec.tokenizer.kind {
            TokenizerKind::Imported => imported_tokenizer(&run.dir).map(|tokenizer| tokenizer.hash()).ok(),
            _ => fs::read_to_string(&path).map(|json| Tokenizer::hash_of(&json, spec.tokenizer.dictionary_hash)).ok(),
        };
        let found = found.map(|hash| hash.to_string());
        if found.as_deref() != Some(expected) {
            let problem = "it is not the tokenizer that the run was trained with".to_owned();
            self.find(Some(&run.id), &path, problem, Remedy::SetFileAside);
        }
    }

    fn cache(&mut self, store: &Store) {
        for (path, bytes) in files_below(&store.root().join("cache")) {
            self.cached_files += 1;
            self.bytes += bytes;
            if let Err(problem) = check_cached(&path) {
                self.find(None, &path, problem, Remedy::SetFileAside);
            }
        }
    }

    fn find(&mut self, run: Option<&RunId>, path: &Path, problem: String, remedy: Remedy) {
        self.findings.push(Finding { run: run.cloned(), path: path.to_owned(), problem, remedy });
    }
}

/// Does what can be done about a finding; says where things went.
///
/// # Errors
/// When it cannot be moved; or when somebody holds the run.
pub fn repair(store: &Store, finding: &Finding) -> Result<Option<PathBuf>, StoreError> {
    match finding.remedy {
        Remedy::Nothing | Remedy::Person => Ok(None),
        Remedy::SetTailAside => {
            let Some(id) = &finding.run else { return Ok(None) };
            set_tail_aside(&store.run(id)?, store).map(Some)
        }
        Remedy::Reindex => {
            Index::anew(store, &mut |_, _| {})?;
            Ok(None)
        }
        Remedy::SetRunAside | Remedy::SetFileAside => {
            let _lease = match &finding.run {
                Some(id) => Some(store.run(id)?.acquire_lease()?),
                None => None,
            };
            move_aside(store, &finding.path).map(Some)
        }
    }
}

/// Cuts off the end of a log that is no whole record, and keeps it below the folder of what was set aside.
fn set_tail_aside(run: &RunDir, store: &Store) -> Result<PathBuf, StoreError> {
    let lease = run.acquire_lease()?;
    let path = run.events_path();
    let failed = |source| StoreError::io("set the end aside of", &path, source);
    let mut reader = run.events()?;
    reader.by_ref().try_for_each(|event| event.map(drop))?;
    let end = reader.reached().offset;
    let mut tail = Vec::new();
    let mut log = fs::File::open(&path).map_err(failed)?;
    log.seek(SeekFrom::Start(end)).and_then(|_| log.read_to_end(&mut tail)).map_err(failed)?;
    let place = free_place(store, &path.with_file_name("events.log-end"), &failed)?;
    durable::write(&place, |file| file.write_all(&tail)).map_err(failed)?;
    run.open_log(&lease)?.sync()?;
    store.note_change(run.id());
    Ok(place)
}

/// Moves something to the same place below the folder of what was set aside, beside what is there already.
fn move_aside(store: &Store, path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::io("set aside", path, source);
    let place = free_place(store, path, &failed)?;
    fs::rename(path, &place).map_err(failed)?;
    let below = path.strip_prefix(store.root()).unwrap_or(path);
    if let Some(run) = below.iter().next().and_then(|first| first.to_str()?.parse().ok()) {
        store.note_change(&run);
    }
    Ok(place)
}

/// The place of something below the folder of what was set aside, or one beside it that is free.
fn free_place(store: &Store, path: &Path, failed: &dyn Fn(io::Error) -> StoreError) -> Result<PathBuf, StoreError> {
    let below = path.strip_prefix(store.root()).unwrap_or(path);
    let wanted = store.root().join(SET_ASIDE).join(below);
    if let Some(folder) = wanted.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let numbered = |n: u32| {
        let mut name = wanted.file_name().unwrap_or_default().to_owned();
        name.push(format!("-{n}"));
        wanted.with_file_name(name)
    };
    let places = std::iter::once(wanted.clone()).chain((2..).map(numbered));
    let free = places.take(10_000).find(|place| fs::symlink_metadata(place).is_err());
    free.ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;
    use crate::store::Event;
    use crate::types::Timestamp;

    fn look(store: &Store) -> Vec<Finding> {
        inspect(store, &mut |_| {}).unwrap().findings
    }

    #[test]
    fn what_is_damaged_is_named_and_set_aside_and_never_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let [whole, damaged, half] = [1, 2, 3].map(|seed| testing::new_run(&store, seed));
        assert_eq!(look(&store), []);
        let spec = fs::read_to_string(damaged.spec_path()).unwrap();
        fs::write(damaged.spec_path(), spec.replacen("seed = 2", "seed = 3", 1)).unwrap();
        let checkpoint = half.checkpoints_path().join("step-00000005.safetensors");
        fs::write(&checkpoint, "half a checkpoint").unwrap();
        let before: u64 = files_below(store.root()).iter().map(|(_, bytes)| bytes).sum();
        let found = look(&store);
        let remedies: Vec<_> = found.iter().map(|finding| (finding.run.as_ref(), finding.remedy)).collect();
        let mut expected = vec![(Some(damaged.id()), Remedy::SetRunAside), (Some(half.id()), Remedy::SetFileAside)];
        expected.sort_by_key(|(id, _)| id.map(|id| id.as_str().to_owned()));
        assert_eq!(remedies, expected);
        for finding in &found {
            let place = repair(&store, finding).unwrap().unwrap();
            assert!(place.exists() && !finding.path.exists(), "{}", place.display());
        }
        assert_eq!(look(&store), []);
        let after: u64 = files_below(store.root()).iter().map(|(_, bytes)| bytes).sum();
        assert!(after >= before && whole.path().exists() && half.path().exists());
    }

    #[test]
    fn what_is_set_aside_twice_is_there_twice() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let file = store.root().join("cache").join("a");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let places = [1, 2, 3].map(|n| {
            fs::write(&file, format!("{n}")).unwrap();
            move_aside(&store, &file).unwrap()
        });
        let contents = places.map(|place| fs::read_to_string(place).unwrap());
        assert_eq!(contents, ["1", "2", "3"]);
    }

    /// Whoever goes on with a run cuts off what a crash tore; of one that has ended it is set aside, to the byte.
    #[test]
    fn a_torn_end_of_a_run_that_has_ended_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        for (state, remedy) in [(None, Remedy::Nothing), (Some(RunState::Finished), Remedy::SetTailAside)] {
            let run = testing::new_run(&store, 1);
            if let Some(state) = state {
                let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
                log.append(&Event::State { state, reason: None, at: Timestamp::from_unix_millis(1) }).unwrap();
            }
            let whole = fs::read(run.events_path()).unwrap();
            fs::write(run.events_path(), [&whole, &b"0123456789abcdef {\"sta"[..]].concat()).unwrap();
            let [finding] = &look(&store)[..] else { panic!("{:?}", look(&store)) };
            assert_eq!((finding.run.as_ref(), finding.remedy), (Some(run.id()), remedy));
            let place = repair(&store, finding).unwrap();
            assert_eq!(place.is_some(), state.is_some());
            if let Some(place) = place {
                assert_eq!(fs::read(place).unwrap(), b"0123456789abcdef {\"sta");
                assert_eq!(fs::read(run.events_path()).unwrap(), whole);
                assert_eq!(look(&store), []);
            }
            fs::remove_dir_all(run.path()).unwrap();
        }
    }

    #[test]
    fn an_index_that_was_edited_is_noticed_and_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let run = testing::new_run(&store, 1);
        drop(Index::open(&store).unwrap());
        Index::edit(&store, "UPDATE runs SET state = 'finished', steps_done = 7");
        let [finding] = &look(&store)[..] else { panic!("{:?}", look(&store)) };
        assert_eq!((finding.run.as_ref(), finding.remedy), (Some(run.id()), Remedy::Reindex));
        repair(&store, finding).unwrap();
        assert_eq!(look(&store), []);
    }
}
