//! Whether every byte of a store is what was written: logs by their links, the files beside them by what the log says of them,
//! checkpoints and cached files by their digests, the index by the folders. Repairing moves what is damaged out of the way and
//! never deletes it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files_below;
use crate::plan::TokenizerKind;
use crate::runner::trained::{TOKENIZER, imported_tokenizer};
use crate::store::{Index, RunState, Store, StoreError, StoredRun};
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
    /// The index is made anew from the folders.
    Reindex,
    /// There is nothing to do: the next who writes puts it right, or only a person can.
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
            remedy: Remedy::Reindex,
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
                    matches!(&error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound);
                let remedy = if error.is_damage() || is_gone { Remedy::SetRunAside } else { Remedy::Nothing };
                return self.find(Some(id), &folder, error.to_string(), remedy);
            }
        };
        if run.history.torn_bytes > 0 && run.state != RunState::Running {
            let bytes = run.history.torn_bytes;
            let problem = format!("its last {bytes} bytes are no whole record: a crash tore it");
            self.find(Some(id), &run.dir.events_path(), problem, Remedy::Nothing);
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
        Remedy::Nothing => Ok(None),
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

/// Moves something to the same place below the folder of what was set aside, beside what is there already.
fn move_aside(store: &Store, path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |source| StoreError::io("set aside", path, source);
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
    let place = free.ok_or_else(|| failed(std::io::ErrorKind::AlreadyExists.into()))?;
    fs::rename(path, &place).map_err(failed)?;
    if let Some(run) = below.iter().next().and_then(|first| first.to_str()?.parse().ok()) {
        store.note_change(&run);
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;

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
