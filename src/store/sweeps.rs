//! `.sweeps/ID/`: what a sweep is about while it is executed, for everybody who wants to know how far it is, and the requests by
//! which it is asked to stop.
//!
//! Runs say for themselves what they did; a sweep says which are still to come, who executes it and by which command. It holds a
//! right as long as it lives, so that one which died is seen to have. The newest record of each experiment is kept: by its command
//! what was not finished can be resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::{StoreError, io_error};
use super::lease::{Held, Lock};
use super::{Store, book, format, ids, write_atomic};
use crate::durable;
use crate::types::{RunId, SpecHash, Timestamp};

const FOLDER: &str = ".sweeps";
const FILE: &str = "sweep.json";
/// The file that asks for the end of the whole sweep; with `-RUN` behind it, of one run.
const STOP: &str = "stop";

/// What a sweep says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepRecord {
    pub version: u32,
    /// Its name among the sweeps of the store: 8 letters and digits, as those of a run.
    pub id: RunId,
    /// The experiment; none where runs were named one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// The experiments whose runs it executes, where it is not one experiment's own.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub of_others: BTreeSet<String>,
    /// What was typed, and in which folder.
    pub command: Vec<String>,
    pub folder: PathBuf,
    /// The arguments of `ablate` that execute the sweep again, in one form: options with their values, `--`, the file. Empty where it has
    /// no file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<String>,
    pub host: String,
    /// The number of its process there, for people.
    pub process: u32,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Runs at a time, and the threads of each.
    pub slots: usize,
    pub threads: usize,
    pub tasks: Vec<SweepTask>,
}

/// A specification that the sweep executes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepTask {
    pub spec: SpecHash,
    /// What people call it: its cell and its seed.
    pub label: String,
    /// Its cell: axis values by key.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub axes: Map<String, Value>,
    /// What it costs, in any unit that all tasks share.
    pub work: f64,
    /// The part of it that was done when the sweep began, from 0 to 1.
    #[serde(default)]
    pub done_before: f64,
    /// Why it came to nothing, where its run does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// A sweep that is being executed by this process, until dropped.
#[derive(Debug)]
pub struct OpenSweep {
    store: Store,
    record: SweepRecord,
    _held: Held,
}

/// A sweep as the store has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredSweep {
    pub record: SweepRecord,
    /// Whether its process is there.
    pub is_alive: bool,
    /// Whether it was asked to stop.
    pub is_stopping: bool,
}

/// What a sweep was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopRequests {
    pub all: bool,
    pub runs: BTreeSet<RunId>,
}

impl OpenSweep {
    /// Forgets that a run was to be stopped: that was meant for who executed it before.
    pub fn forget(&self, run: &RunId) {
        let _ = fs::remove_file(self.store.sweep_folder(&self.record.id).join(format!("{STOP}-{run}")));
    }

    /// What it was asked for so far. A folder that cannot be read asks for nothing.
    pub fn requests(&self) -> StopRequests {
        self.store.sweep_requests(&self.record.id)
    }

    /// Says how it ended: when, and of tasks that have no run why.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(&self, problems: &BTreeMap<SpecHash, String>, now: Timestamp) -> Result<(), StoreError> {
        let mut record = SweepRecord { ended_at: Some(now), ..self.record.clone() };
        for task in &mut record.tasks {
            task.problem = problems.get(&task.spec).cloned();
        }
        self.store.write_sweep(&record)
    }
}

impl StoredSweep {
    /// Whether it executes runs of this experiment.
    pub fn is_of(&self, experiment: &str) -> bool {
        self.record.experiment.as_deref() == Some(experiment) || self.record.of_others.contains(experiment)
    }

    /// Whether this specification is one of those that it executes now.
    pub fn executes(&self, spec: SpecHash) -> bool {
        self.is_alive && self.record.tasks.iter().any(|task| task.spec == spec)
    }
}

impl Store {
    /// Says that a sweep begins. The id of `record` is given here; what is left of earlier sweeps of its experiment, which are over, is
    /// removed.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin_sweep(&self, record: SweepRecord) -> Result<OpenSweep, StoreError> {
        let id = ids::fresh().map_err(|error| StoreError::io("name", self.root(), io::Error::other(error)))?;
        let record = SweepRecord { version: format::SWEEP, id, ..record };
        for old in self.sweeps()?.iter().filter(|old| !old.is_alive && old.record.experiment == record.experiment) {
            let _ = fs::remove_dir_all(self.sweep_folder(&old.record.id));
            self.sweep_lock(&old.record.id).remove();
        }
        let folder = self.sweep_folder(&record.id);
        fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
        let held = self.sweep_lock(&record.id).take()?;
        self.write_sweep(&record)?;
        Ok(OpenSweep { store: self.clone(), record, _held: held })
    }

    /// The sweeps that the store knows of, the newest first. What cannot be read is no sweep: it is of another version, or was never
    /// written to its end.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn sweeps(&self) -> Result<Vec<StoredSweep>, StoreError> {
        let root = self.root().join(FOLDER);
        let entries = match fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("list", &root, error)),
        };
        let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RunId>().ok());
        let mut sweeps: Vec<StoredSweep> = ids.filter_map(|id| self.read_sweep(&id)).collect();
        sweeps.sort_by(|a, b| (b.record.started_at, &b.record.id).cmp(&(a.record.started_at, &a.record.id)));
        Ok(sweeps)
    }

    fn read_sweep(&self, id: &RunId) -> Option<StoredSweep> {
        let bytes = durable::read(&self.sweep_folder(id).join(FILE)).ok()?;
        let record: SweepRecord = serde_json::from_slice(&bytes).ok()?;
        if record.version > format::SWEEP || record.id != *id {
            return None;
        }
        let is_alive = record.ended_at.is_none() && self.sweep_lock(id).is_held().unwrap_or(false);
        Some(StoredSweep { is_alive, is_stopping: self.sweep_requests(id).all, record })
    }

    /// Asks a sweep to stop, or only one of its runs; whoever executes it sees that within a second, on whatever machine.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub fn ask_to_stop(&self, sweep: &RunId, run: Option<&RunId>) -> Result<(), StoreError> {
        let name = run.map_or_else(|| STOP.to_owned(), |run| format!("{STOP}-{run}"));
        write_atomic(&self.sweep_folder(sweep).join(name), |_| Ok(()))
    }

    fn sweep_requests(&self, sweep: &RunId) -> StopRequests {
        let mut requests = StopRequests::default();
        for entry in fs::read_dir(self.sweep_folder(sweep)).into_iter().flatten().flatten() {
            let name = entry.file_name();
            match name.to_str().and_then(|name| name.strip_prefix(STOP)) {
                Some("") => requests.all = true,
                Some(rest) => requests.runs.extend(rest.strip_prefix('-').and_then(|run| run.parse().ok())),
                None => {}
            }
        }
        requests
    }

    fn write_sweep(&self, record: &SweepRecord) -> Result<(), StoreError> {
        book::write(&self.sweep_folder(&record.id).join(FILE), record)
    }

    fn sweep_folder(&self, id: &RunId) -> PathBuf {
        self.root().join(FOLDER).join(id.as_str())
    }

    fn sweep_lock(&self, id: &RunId) -> Lock {
        Lock::of_sweep(self.root(), id, &self.sweep_folder(id))
    }
}

/// The folder of what is known of sweeps, in the store at `root`.
pub fn folder(root: &Path) -> PathBuf {
    root.join(FOLDER)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, new_store, spec};
    use super::*;

    fn record(experiment: &str, millis: i64) -> SweepRecord {
        let task = |seed: u64| SweepTask {
            spec: spec(seed, 0.15).hash(),
            label: format!("seed={seed}"),
            axes: Map::new(),
            work: 2.0,
            done_before: 0.0,
            problem: None,
        };
        SweepRecord {
            version: 0,
            id: "aaaaaaaa".parse().unwrap(),
            experiment: Some(experiment.to_owned()),
            of_others: BTreeSet::new(),
            command: ["ablate", "run", "x.toml"].map(str::to_owned).to_vec(),
            folder: "/somewhere".into(),
            again: Vec::new(),
            host: "here".to_owned(),
            process: 7,
            started_at: at(millis),
            ended_at: None,
            slots: 2,
            threads: 1,
            tasks: vec![task(1), task(2)],
        }
    }

    #[test]
    fn a_sweep_is_alive_until_it_ends_or_its_process_does() {
        let (_folder, store) = new_store();
        assert_eq!(store.sweeps().unwrap(), []);
        let open = store.begin_sweep(record("grid", 1)).unwrap();
        let other = store.begin_sweep(record("other", 2)).unwrap();
        let alive = || store.sweeps().unwrap().iter().map(|sweep| sweep.is_alive).collect::<Vec<_>>();
        assert_eq!(alive(), [true, true]);
        let problems = BTreeMap::from([(spec(2, 0.15).hash(), "no room".to_owned())]);
        open.end(&problems, at(9)).unwrap();
        drop(other); // As when its process was killed.
        let sweeps = store.sweeps().unwrap();
        assert_eq!(alive(), [false, false]);
        let [other, grid] = &sweeps[..] else { panic!("two sweeps") };
        assert_eq!((grid.record.ended_at, other.record.ended_at), (Some(at(9)), None));
        let problems: Vec<_> = grid.record.tasks.iter().map(|task| task.problem.as_deref()).collect();
        assert_eq!(problems, [None, Some("no room")]);
        // The next one of an experiment takes the place of those that are over, and of no other.
        let _open = store.begin_sweep(record("grid", 3)).unwrap();
        let names: Vec<_> = store.sweeps().unwrap().into_iter().map(|sweep| sweep.record.started_at).collect();
        assert_eq!(names, [at(3), at(2)]);
    }

    #[test]
    fn a_sweep_hears_what_it_is_asked() {
        let (_folder, store) = new_store();
        let open = store.begin_sweep(record("grid", 1)).unwrap();
        let id = store.sweeps().unwrap()[0].record.id.clone();
        assert_eq!(open.requests(), StopRequests::default());
        let run: RunId = "abcdefgh".parse().unwrap();
        store.ask_to_stop(&id, Some(&run)).unwrap();
        assert_eq!(open.requests(), StopRequests { all: false, runs: [run].into() });
        store.ask_to_stop(&id, None).unwrap();
        assert!(open.requests().all && store.sweeps().unwrap()[0].is_stopping);
        let nobody: RunId = "bbbbbbbb".parse().unwrap();
        assert!(store.ask_to_stop(&nobody, None).is_err());
    }

    #[test]
    fn what_is_no_sweep_is_passed_over() {
        let (_folder, store) = new_store();
        let _open = store.begin_sweep(record("grid", 1)).unwrap();
        for (name, text) in [("cccccccc", "{"), ("dddddddd", "{\"version\": 99}"), ("not-a-sweep", "{}")] {
            let folder = super::folder(store.root()).join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(FILE), text).unwrap();
        }
        assert_eq!(store.sweeps().unwrap().len(), 1);
    }
}
