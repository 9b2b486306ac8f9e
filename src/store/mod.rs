//! The run store: `runs/<id>/` is the truth, the SQLite index is derived from it.
//!
//! A [`Store`] makes and finds run folders; a [`RunDir`] is one of them, of a [`Subject`]: a specification, or what a
//! guest says of itself. Its [`EventLog`] is written by the one worker that holds its [`Lease`], and read by anybody at any
//! time as a [`History`]; its [`Labels`] may be replaced by anybody. The [`Index`] answers questions over all runs;
//! deleting it loses nothing. The store knows no trainer and no
//! time of day: times and events are handed in.

mod atomic;
mod book;
mod changes;
mod continuity;
mod error;
mod event;
mod event_log;
mod experiments;
mod file_system;
pub mod format;
mod frame;
mod guest;
mod history;
mod ids;
mod index;
mod labels;
mod lease;
mod lineage;
mod nearest;
mod query;
mod run_dir;
mod series;
mod spec_text;
mod subject;
mod sweeps;
mod task_floor;
#[cfg(test)]
pub(crate) mod testing;
mod views;

use std::fs;
use std::path::{Path, PathBuf};

pub use atomic::write_atomic;
pub use error::StoreError;
pub use event::{ChainDigest, Event, InvalidChainDigest, LoggedPoint, Metrics, RunState};
pub use event_log::{EventLog, EventReader};
pub use experiments::{ExperimentBook, ExperimentEntry};
pub use frame::Place as LogPlace;
pub use guest::GuestRun;
pub use history::{
    ChainLink, CheckpointRecord, History, INPUTS_FACT, Measured, NOT_WORKED_FACT, Point, Resume, SeriesByMetric,
    StateChange,
};
pub use index::{
    Cell, Dependent, Facts, Index, Looked, MetricSummary, NumberColumn, Page, RunRow, RunVersion, Spelled, Stamps,
    Wanted,
};
pub use labels::{Group, Labels};
pub use lease::{LOST_SECS, Lease, Locking, SpecClaim};
pub use lineage::{Lineage, Origin, Role};
pub use nearest::nearest_to_finished;
pub use query::{ExperimentFilter, RunQuery, Trash};
pub use run_dir::{NewRun, RunDir};
pub use series::{Buckets, Points, Series, SeriesBook, Stretch, zoomed};
pub use subject::{Logged, Subject};
pub use sweeps::{OpenSweep, StopRequests, StoredSweep, SweepRecord, SweepTask, folder as sweeps_folder};
pub use task_floor::{FLOORS_FACT, TaskFloor};
pub use views::{SavedView, ViewBook};

use self::changes::Changes;
use crate::plan::RunSpec;
use crate::types::{ContentHash, RunId, SpecHash, Timestamp};
use error::io_error;
use lease::Lock;

/// A folder of runs.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    index: PathBuf,
}

/// Everything that is known of a run.
#[derive(Clone, Debug)]
pub struct StoredRun {
    pub id: RunId,
    pub dir: RunDir,
    pub subject: Subject,
    pub provenance: serde_json::Value,
    pub lineage: Lineage,
    pub labels: Labels,
    pub state: RunState,
    pub history: History,
}

/// A run and its series, whatever their length.
#[derive(Debug)]
pub struct Overview {
    /// The run, whose history has no points.
    pub run: StoredRun,
    pub series: SeriesBook,
}

impl StoredRun {
    /// The specification that the run was planned with.
    ///
    /// # Errors
    /// [`StoreError::NotPlanned`], in a sentence for people, when a guest logged it.
    pub fn planned(&self) -> Result<&RunSpec, StoreError> {
        self.subject.planned(&self.id)
    }
}

impl Store {
    /// Opens the store at `root`, making the folder when there is none. A store that cannot be written can be read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        match fs::metadata(&root) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(StoreError::NotAStore { path: root }),
            Err(_) => fs::create_dir_all(&root).map_err(io_error("create", &root))?,
        }
        Ok(Self { index: root.join("index.sqlite"), root })
    }

    /// The same store, with the index below `cache` where the store is on a network: SQLite's locks do not hold there.
    #[must_use]
    pub fn with_cache(self, cache: &Path) -> Self {
        match self.network() {
            Some(_) => self.with_index_in(cache),
            None => self,
        }
    }

    fn with_index_in(self, cache: &Path) -> Self {
        let root = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
        let name = ContentHash::of(root.as_os_str().as_encoded_bytes()).short();
        let folder = cache.join("ablate");
        match fs::create_dir_all(&folder) {
            Ok(()) => Self { index: folder.join(format!("index-{name}.sqlite")), ..self },
            Err(_) => self,
        }
    }

    /// What kind of network file system the store is on, if it is on one.
    pub fn network(&self) -> Option<&'static str> {
        file_system::network(&self.root)
    }

    /// How two are kept from writing at once in this store, by trying.
    ///
    /// # Errors
    /// When it cannot be tried.
    pub fn locking(&self) -> Result<Locking, StoreError> {
        let lock = Lock::of_store(&self.root, "doctor", "the lock of `doctor`");
        match lock.take() {
            Err(error) if !error.is_held() => Err(error),
            _ => lock.locking(),
        }
    }

    /// Where the index is.
    pub fn index_path(&self) -> &Path {
        &self.index
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a new run, planned at `now`, complete on the disk when this returns.
    pub fn create_run(&self, new: &NewRun<'_>, now: Timestamp) -> Result<RunDir, StoreError> {
        let run = RunDir::create(&self.root, new, now, |_| Ok(()))?;
        self.note_change(run.id());
        Ok(run)
    }

    /// Says that a run's folder was made, changed or removed, so that the next question sees it: for who does so in another way
    /// than by the methods of the store.
    pub fn note_change(&self, run: &RunId) {
        Changes::of(&self.root).note(run);
    }

    /// [`create_run`](Self::create_run) of a specification that stands on no other run.
    pub fn create_planned(
        &self,
        spec: &RunSpec,
        provenance: &serde_json::Value,
        now: Timestamp,
    ) -> Result<RunDir, StoreError> {
        let (subject, lineage) = (Subject::Planned(Box::new(spec.clone())), Lineage::default());
        self.create_run(&NewRun { subject: &subject, provenance, lineage: &lineage }, now)
    }

    /// The ids of all runs, sorted.
    pub fn run_ids(&self) -> Result<Vec<RunId>, StoreError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(io_error("list", &self.root))? {
            let name = entry.map_err(io_error("list", &self.root))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.parse::<RunId>().ok()));
        }
        ids.sort();
        Ok(ids)
    }

    /// The folder of the run `id`.
    pub fn run(&self, id: &RunId) -> Result<RunDir, StoreError> {
        let run = RunDir::new(&self.root, id.clone());
        if run.path().is_dir() { Ok(run) } else { ids::by_prefix(&self.run_ids()?, id.as_str()).map(|_| run) }
    }

    /// Removes the run `id` for good: it disappears at once, before its files are removed one by one. The lease proves that nobody
    /// writes to it.
    pub fn remove_run(&self, _lease: &Lease, id: &RunId) -> Result<(), StoreError> {
        let path = self.root.join(id.as_str());
        let hidden = self.root.join(format!(".tmp-removed-{id}"));
        // One of this id that was not removed to the end would be in the way.
        let _ = fs::remove_dir_all(&hidden);
        fs::rename(&path, &hidden).map_err(io_error("remove", &path))?;
        self.note_change(id);
        RunDir::new(&self.root, id.clone()).lock().remove();
        fs::remove_dir_all(&hidden).map_err(io_error("remove", &path))
    }

    /// The run that `name` means: a unique beginning of its id, or `latest` for the one that started last.
    pub fn resolve(&self, name: &str) -> Result<RunId, StoreError> {
        let ids = self.run_ids()?;
        if ids.is_empty() {
            return Err(StoreError::NoRuns { path: self.root.clone() });
        }
        if name != "latest" {
            return ids::by_prefix(&ids, name);
        }
        let latest = ids.into_iter().max_by_key(|id| (self.start_of(id), id.clone()));
        Ok(latest.expect("invariant: there is at least one run"))
    }

    /// Everything about the run `id`, as it is on the disk now.
    pub fn load(&self, id: &RunId) -> Result<StoredRun, StoreError> {
        let dir = self.run(id)?;
        let (history, state) = dir.read_history_and_state()?;
        Self::loaded(dir, history, state)
    }

    /// [`load`](Self::load) for who needs no series whole: it costs no more for a run of any length.
    pub fn overview(&self, id: &RunId) -> Result<Overview, StoreError> {
        let dir = self.run(id)?;
        let (history, state, series) = dir.read_overview()?;
        Ok(Overview { run: Self::loaded(dir, history, state)?, series })
    }

    fn loaded(dir: RunDir, history: History, state: RunState) -> Result<StoredRun, StoreError> {
        let mut subject = dir.read_subject()?;
        subject.add(&history.parameters);
        let (provenance, lineage, labels) = (dir.read_provenance()?, dir.read_lineage()?, dir.labels()?);
        Ok(StoredRun { id: dir.id().clone(), dir, subject, provenance, lineage, labels, state, history })
    }

    /// Takes the right to execute the specification `hash`, so that two programs never both do.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it.
    pub fn claim_spec(&self, hash: SpecHash) -> Result<SpecClaim, StoreError> {
        SpecClaim::acquire(&self.claim(hash))
    }

    /// Takes the right to take in runs of others, so that none is taken in twice.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it.
    pub fn claim_imports(&self) -> Result<SpecClaim, StoreError> {
        SpecClaim::acquire(&Lock::of_store(&self.root, "imports", "another import"))
    }

    /// Whether some process has the right to execute the specification `hash`.
    pub fn is_claimed(&self, hash: SpecHash) -> Result<bool, StoreError> {
        self.claim(hash).is_held()
    }

    fn claim(&self, hash: SpecHash) -> Lock {
        Lock::of_store(&self.root, &hash.to_string(), format!("specification {}", hash.0.short()))
    }

    /// When a run first ran, or was planned; reads no more of its log than that takes. `None` when its log is unreadable.
    fn start_of(&self, id: &RunId) -> Option<Timestamp> {
        let events = RunDir::new(&self.root, id.clone()).events().ok()?;
        let mut planned = None;
        for event in events.map_while(Result::ok) {
            if let Event::State { state, at, .. } = event {
                if state == RunState::Running {
                    return Some(at);
                }
                planned = planned.or(Some(at));
            }
        }
        planned
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use insta::assert_snapshot;
    use serde_json::json;

    use super::testing::{at, create, fact, new_store, spec, state, step};
    use super::*;
    use crate::types::Step;

    #[test]
    fn over_a_network_the_index_is_with_who_asks() {
        let (folder, store) = new_store();
        let local = store.clone().with_cache(folder.path());
        assert_eq!(local.index_path(), store.root().join("index.sqlite"));
        assert_eq!(store.locking().unwrap(), Locking::Kernel);
        let run = create(&store, &spec(1, 0.15), &json!({}), at(0)).unwrap();
        let cache = folder.path().join("cache");
        let away = store.clone().with_index_in(&cache);
        assert!(away.index_path().starts_with(cache.join("ablate")), "{}", away.index_path().display());
        let mut index = Index::open(&away).unwrap();
        assert_eq!(index.query(&RunQuery::default()).unwrap()[0].id, *run.id());
        assert!(away.index_path().exists() && !store.root().join("index.sqlite").exists());
        // Another store has another.
        let other = Store::open(folder.path().join("other")).unwrap().with_index_in(&cache);
        assert_ne!(other.index_path(), away.index_path());
    }

    /// Every path under `root`, with folders marked, sorted.
    fn tree(root: &Path) -> String {
        let entries = walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter().map(|entry| {
            let entry = entry.unwrap();
            let mark = if entry.file_type().is_dir() { "/" } else { "" };
            format!("{}{mark}\n", entry.path().strip_prefix(root).unwrap().display())
        });
        entries.collect()
    }

    #[test]
    fn a_run_is_complete_when_it_appears() {
        let (_folder, store) = new_store();
        let provenance = json!({ "host": "h", "lr": 0.1 + 0.2 });
        let run = create(&store, &spec(u64::MAX, 0.15), &provenance, at(1_000)).unwrap();
        assert_eq!(store.run_ids().unwrap(), [run.id().clone()]);
        assert_snapshot!(tree(run.path()), @"
        artifacts/
        checkpoints/
        events.log
        lease
        log.txt
        provenance.json
        spec.toml
        ");
        let loaded = store.load(run.id()).unwrap();
        assert_eq!((loaded.planned().unwrap(), &loaded.provenance), (&spec(u64::MAX, 0.15), &provenance));
        assert_eq!((loaded.state, loaded.history.created_at()), (RunState::Planned, Some(at(1_000))));
        assert_eq!(tree(store.root()).lines().filter(|line| line.contains(".tmp")).count(), 0);
    }

    #[test]
    fn a_spec_that_would_not_read_back_begins_no_run() {
        let (_folder, store) = new_store();
        let error = create(&store, &spec(1, f64::NAN), &json!({}), at(0)).unwrap_err();
        assert!(matches!(error, StoreError::Unreadable { .. }), "{error}");
        assert_eq!(tree(store.root()), "");
    }

    #[test]
    fn the_state_follows_the_log_and_the_lease() {
        let (_folder, store) = new_store();
        let run = create(&store, &spec(1, 0.15), &json!({}), at(0)).unwrap();
        let state_now = || store.load(run.id()).unwrap().state;
        let lease = run.acquire_lease().unwrap();
        let mut log = run.open_log(&lease).unwrap();
        log.append(&state(RunState::Running, 1)).unwrap();
        log.append(&step(1, 9.0)).unwrap();
        assert_eq!(state_now(), RunState::Running);
        assert!(run.acquire_lease().unwrap_err().is_held());
        drop((log, lease));
        assert_eq!(state_now(), RunState::Lost);
        let lease = run.acquire_lease().unwrap();
        let mut log = run.open_log(&lease).unwrap();
        log.append(&Event::Resumed { step: Step(0), at: at(2) }).unwrap();
        log.append(&state(RunState::Finished, 3)).unwrap();
        drop(lease);
        assert_eq!(state_now(), RunState::Finished);
        assert_eq!(store.load(run.id()).unwrap().history.last_step(), Step(0));
    }

    #[test]
    fn one_of_two_programs_gets_a_spec() {
        let (_folder, store) = new_store();
        let hash = spec(1, 0.15).hash();
        assert!(!store.is_claimed(hash).unwrap());
        let claim = store.claim_spec(hash).unwrap();
        assert!(store.is_claimed(hash).unwrap());
        let other = thread::scope(|scope| scope.spawn(|| store.claim_spec(hash)).join().unwrap());
        let message = other.unwrap_err().to_string();
        assert!(message.starts_with(&format!("specification {} is being executed by another", hash.0.short())));
        store.claim_spec(spec(2, 0.15).hash()).unwrap();
        drop(claim);
        store.claim_spec(hash).unwrap();
    }

    #[test]
    fn latest_is_the_run_that_started_last() {
        let (_folder, store) = new_store();
        assert!(matches!(store.resolve("latest"), Err(StoreError::NoRuns { .. })));
        let planned = |created| create(&store, &spec(1, 0.15), &json!({}), at(created)).unwrap();
        let (first, second) = (planned(1), planned(2));
        assert_eq!(&store.resolve("latest").unwrap(), second.id());
        let mut log = first.open_log(&first.acquire_lease().unwrap()).unwrap();
        log.append(&fact("threads", 2)).unwrap();
        log.append(&state(RunState::Running, 3)).unwrap();
        assert_eq!(&store.resolve("latest").unwrap(), first.id());
        assert_eq!(&store.resolve(first.id().as_str()).unwrap(), first.id());
        let unknown = store.load(&"zzzzzzzz".parse().unwrap()).unwrap_err();
        assert!(matches!(unknown, StoreError::UnknownRun { .. }), "{unknown}");
    }

    #[test]
    fn folders_that_are_no_runs_are_passed_over() {
        let (_folder, store) = new_store();
        for name in ["cache", ".tmp-abc", ".claims", "Not-a-run"] {
            fs::create_dir(store.root().join(name)).unwrap();
        }
        assert_eq!(store.run_ids().unwrap(), []);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs");
        fs::write(&file, "").unwrap();
        let error = Store::open(&file).unwrap_err().to_string();
        let expected = "is a file, but a store is a folder; name another with `--runs DIR`";
        assert!(error.ends_with(expected), "{error}");
    }

    /// A store that this user cannot write can be listed, whether it has an index or not, and refuses a new run by name.
    #[cfg(unix)]
    #[test]
    fn a_read_only_store_is_read() {
        use std::os::unix::fs::PermissionsExt;

        for has_index in [false, true] {
            let (_folder, store) = new_store();
            let first = create(&store, &spec(1, 0.15), &json!({}), at(0)).unwrap();
            if has_index {
                drop(Index::open(&store).unwrap());
            }
            let second = create(&store, &spec(1, 0.3), &json!({}), at(1)).unwrap();
            let set_mode = |mode| fs::set_permissions(store.root(), fs::Permissions::from_mode(mode)).unwrap();
            set_mode(0o555);
            let is_enforced = fs::write(store.root().join("probe"), "").is_err(); // Not for the superuser.
            let listed = Index::open(&store).and_then(|mut index| index.query(&RunQuery::default()));
            let refused = create(&store, &spec(2, 0.15), &json!({}), at(0)).map(drop);
            set_mode(0o755);
            let ids = listed.unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>();
            assert_eq!(ids, [second.id().clone(), first.id().clone()]);
            if is_enforced {
                assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
            }
        }
    }
}
