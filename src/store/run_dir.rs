//! One run's folder: what is where, and how it comes to be.
//!
//! A folder is built under a hidden name and renamed when it is complete, so that a run is either there with its
//! specification, provenance and log, or not there at all. From then on only the holder of its lease writes into it.

use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::atomic::write_atomic;
use super::error::{StoreError, io_error};
use super::event::{Event, RunState};
use super::event_log::{EventLog, EventReader};
use super::history::{History, read_history};
use super::lease::{Lease, is_locked};
use super::{ids, spec_text};
use crate::durable;
use crate::plan::{Role, RunSpec, Schema};
use crate::types::{RunId, Timestamp};

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
}

/// What a log was like when it was looked at: equal stamps mean that nothing was written in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogStamp {
    pub size: i64,
    pub modified_ns: i64,
}

impl RunDir {
    pub(super) fn new(root: &Path, id: RunId) -> Self {
        Self { path: root.join(id.as_str()), id }
    }

    /// Makes the folder of a new run, planned at `now`, under an id that no other run has.
    pub(super) fn create(
        root: &Path,
        spec: &RunSpec,
        provenance: &serde_json::Value,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut building = durable::new_folder(root).map_err(io_error("create a run in", root))?;
        fill(building.path(), spec, provenance, now)?;
        loop {
            let id = ids::fresh().map_err(|error| StoreError::io("name a run in", root, error.into()))?;
            let run = Self::new(root, id);
            // A rename onto another run's folder fails, because that one is not empty.
            match durable::publish_folder(building, &run.path) {
                Ok(()) => return Ok(run),
                Err((again, _)) if run.path.exists() => building = again,
                Err((_, error)) => return Err(StoreError::io("create", &run.path, error)),
            }
        }
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The folder of another run of the same store.
    pub fn beside(&self, id: &RunId) -> Self {
        Self::new(self.path.parent().unwrap_or(Path::new(".")), id.clone())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved specification, as written before the first step.
    pub fn spec_path(&self) -> PathBuf {
        self.path.join("spec.toml")
    }

    /// What the run was made with and by.
    pub fn provenance_path(&self) -> PathBuf {
        self.path.join("provenance.json")
    }

    /// The log of events.
    pub fn events_path(&self) -> PathBuf {
        self.path.join("events.log")
    }

    /// What the worker says on its standard output and error.
    pub fn text_log_path(&self) -> PathBuf {
        self.path.join("log.txt")
    }

    /// The folder of the checkpoints.
    pub fn checkpoints_path(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// Where the artifact `name` belongs.
    ///
    /// # Panics
    /// When `name` is not a plain file name: artifacts are named by the program, never by its input.
    pub fn artifact_path(&self, name: &str) -> PathBuf {
        let is_plain = Path::new(name).file_name().is_some_and(|last| last == name) && !name.starts_with('.');
        assert!(is_plain, "invariant: an artifact's name is a plain file name, not `{name}`");
        self.path.join("artifacts").join(name)
    }

    /// Takes the right to write into the folder, until the lease is dropped or this process dies.
    ///
    /// # Errors
    /// [`StoreError::Held`] when another worker has it.
    pub fn acquire_lease(&self) -> Result<Lease, StoreError> {
        Lease::acquire(&self.lease_path(), format!("run `{}`", self.id))
    }

    /// Whether some worker holds the lease now.
    pub fn is_leased(&self) -> Result<bool, StoreError> {
        is_locked(&self.lease_path())
    }

    /// Opens the log to write on; a last line that a crash tore is cut off. The lease proves that nobody else writes.
    pub fn open_log(&self, _lease: &Lease) -> Result<EventLog, StoreError> {
        EventLog::recover(&self.events_path())
    }

    /// The specification.
    pub fn read_spec(&self) -> Result<RunSpec, StoreError> {
        let path = self.spec_path();
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        spec_text::read(&text, &path)
    }

    /// The specification as this program would plan it, whichever schema it was stored under: its hash is the identity by
    /// which runs of the same science are told.
    pub fn read_restated_spec(&self) -> Result<RunSpec, StoreError> {
        let mut spec = self.read_spec()?;
        if std::mem::take(&mut spec.schema) == Schema::Second {
            return Ok(spec);
        }
        // Under schema 1 a run had one input at most, named by its own hash of that schema.
        if let Some(hash) = spec.inputs.get_mut(&Role::Weights)
            && let Some(id) = self.read_provenance()?["starts_from"].as_str().and_then(|id| id.parse().ok())
            && let Ok(input) = self.beside(&id).read_restated_spec()
        {
            *hash = input.hash();
        }
        Ok(spec)
    }

    /// The provenance.
    pub fn read_provenance(&self) -> Result<serde_json::Value, StoreError> {
        let path = self.provenance_path();
        let bytes = fs::read(&path).map_err(io_error("read", &path))?;
        serde_json::from_slice(&bytes).map_err(|error| StoreError::Unreadable { path, problem: error.to_string() })
    }

    /// The events one by one, as they were written: without the resume rule, in constant memory.
    pub fn events(&self) -> Result<EventReader<BufReader<fs::File>>, StoreError> {
        EventReader::open(&self.events_path())
    }

    /// The history so far.
    pub fn read_history(&self) -> Result<History, StoreError> {
        read_history(&self.events_path())
    }

    /// The history so far, and the state that follows from it and from who holds the lease.
    pub fn read_history_and_state(&self) -> Result<(History, RunState), StoreError> {
        loop {
            let stamp = self.log_stamp()?;
            let history = self.read_history()?;
            if let Some(state) = self.state_now(history.recorded_state(), stamp)? {
                return Ok((history, state));
            }
        }
    }

    /// The state of a run whose log, when its stamp was `stamp`, said `recorded`; `None` when the log must be read again.
    ///
    /// A worker writes its last state before it gives its lease back. So a run is lost only if its log still says
    /// running after the lease was seen free.
    pub(super) fn state_now(&self, recorded: RunState, stamp: LogStamp) -> Result<Option<RunState>, StoreError> {
        if recorded != RunState::Running || self.is_leased()? {
            return Ok(Some(recorded));
        }
        Ok((self.log_stamp()? == stamp).then_some(RunState::Lost))
    }

    pub(super) fn log_stamp(&self) -> Result<LogStamp, StoreError> {
        let path = self.events_path();
        let metadata = fs::metadata(&path).map_err(io_error("read", &path))?;
        let modified = metadata.modified().map_err(io_error("read", &path))?;
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = |value: u128| i64::try_from(value).unwrap_or(i64::MAX);
        Ok(LogStamp { size: number(metadata.len().into()), modified_ns: number(since_epoch.as_nanos()) })
    }

    fn lease_path(&self) -> PathBuf {
        self.path.join("lease")
    }
}

/// Writes everything that a run has before it starts into `folder`, and makes it durable.
fn fill(folder: &Path, spec: &RunSpec, provenance: &serde_json::Value, now: Timestamp) -> Result<(), StoreError> {
    let run = RunDir { id: RunId::from_random_bytes([0; 5]), path: folder.to_owned() };
    let spec_text = spec_text::write(spec, &run.spec_path())?;
    write_atomic(&run.spec_path(), |writer| writer.write_all(spec_text.as_bytes()))?;
    write_atomic(&run.provenance_path(), |writer| {
        serde_json::to_writer_pretty(&mut *writer, provenance)?;
        writer.write_all(b"\n")
    })?;
    EventLog::create(&run.events_path())?.append(&Event::State { state: RunState::Planned, reason: None, at: now })?;
    for name in ["checkpoints", "artifacts"] {
        let path = folder.join(name);
        fs::create_dir(&path).map_err(io_error("create", &path))?;
    }
    for path in [run.lease_path(), run.text_log_path()] {
        fs::write(&path, "").map_err(io_error("create", &path))?;
    }
    Ok(())
}
