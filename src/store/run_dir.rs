//! One run's folder: what is where, and how it comes to be.
//!
//! A folder is built under a hidden name and renamed when it is complete, so that a run is either there with its
//! specification, provenance and log, or not there at all. From then on only the holder of its lease writes into it; the
//! labels alone may be replaced by anybody. What was written beside the log before the first event is bound to it: a file
//! that is not what it was is an error for whoever reads it.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::Serialize;
use serde_json::Value;

use super::atomic::write_atomic;
use super::changes::Changes;
use super::error::{StoreError, io_error};
use super::event::{Event, RunState};
use super::event_log::{Binding, EventLog, EventReader, Header};
use super::frame::Place;
use super::history::History;
use super::labels::{Labels, LabelsFile};
use super::lease::{Lease, Lock};
use super::lineage::Lineage;
use super::subject::{LoggedFile, Subject};
use super::{format, ids, spec_text};
use crate::durable;
use crate::plan::{self, RunSpec, Schema, TokenizerKind};
use crate::types::{ContentHash, RunId, SpecHash, Timestamp};

const SPEC: &str = "spec.toml";
const PARAMS: &str = "params.json";
const PROVENANCE: &str = "provenance.json";
const LINEAGE: &str = "lineage.json";
const LABELS: &str = "labels.json";

/// The folder of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    id: RunId,
    path: PathBuf,
}

/// A run that is to be made.
#[derive(Clone, Debug)]
pub struct NewRun<'a> {
    pub subject: &'a Subject,
    pub provenance: &'a Value,
    pub lineage: &'a Lineage,
}

/// What a run's files were like when they were looked at: equal stamps mean that nothing was written in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunStamp {
    /// Size and time of the log.
    pub log: FileStamp,
    /// Sizes and times of the files beside it, as one number.
    pub files: i64,
}

/// A file's size and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileStamp {
    pub size: i64,
    pub modified_ns: i64,
}

impl RunDir {
    pub(super) fn new(root: &Path, id: RunId) -> Self {
        Self { path: root.join(id.as_str()), id }
    }

    /// Makes the folder of a new run, planned at `now`, under an id that no other run has; `more` is put into it before it
    /// has its name.
    pub(super) fn create<E: From<StoreError>>(
        root: &Path,
        new: &NewRun<'_>,
        now: Timestamp,
        mut more: impl FnMut(&Self) -> Result<(), E>,
    ) -> Result<Self, E> {
        loop {
            let id = ids::fresh().map_err(|error| StoreError::io("name a run in", root, error.into()))?;
            let building = durable::new_folder(root).map_err(io_error("create a run in", root))?;
            let run = Self::new(root, id);
            let hidden = Self { id: run.id.clone(), path: building.path().to_owned() };
            fill(&hidden, new, now)?;
            more(&hidden)?;
            // A rename onto another run's folder fails, because that one is not empty.
            match durable::publish_folder(building, &run.path) {
                Ok(()) => return Ok(run),
                // Another id has another log, so the folder is filled anew.
                Err(_) if run.path.exists() => {}
                Err((_, error)) => return Err(StoreError::io("create", &run.path, error).into()),
            }
        }
    }

    /// The run's id.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The folder of another run of the same store.
    pub fn beside(&self, id: &RunId) -> Self {
        Self::new(self.root(), id.clone())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved specification, as written before the first step.
    pub fn spec_path(&self) -> PathBuf {
        self.file(SPEC)
    }

    /// What the run was made with and by.
    pub fn provenance_path(&self) -> PathBuf {
        self.file(PROVENANCE)
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
        Lease::acquire(&self.lock())
    }

    /// Where changes of the store's runs are said.
    fn changes(&self) -> Changes {
        Changes::of(self.root())
    }

    /// Whether some worker holds the lease now.
    pub fn is_leased(&self) -> Result<bool, StoreError> {
        self.lock().is_held()
    }

    /// Opens the log to write on; a last line that a crash tore is cut off. The lease proves that nobody else writes.
    ///
    /// Where the lease was taken from a worker that may come back, the log becomes a new file of the same content: whatever that
    /// one still writes goes into the old one, which nobody reads.
    pub fn open_log(&self, lease: &Lease) -> Result<EventLog, StoreError> {
        if lease.is_taken_over() {
            let path = self.events_path();
            let mut log = fs::File::open(&path).map_err(io_error("read", &path))?;
            durable::write(&path, |writer| std::io::copy(&mut log, writer).map(drop))
                .map_err(io_error("copy", &path))?;
        }
        let mut reader = self.events()?;
        let spec = match reader.header()? {
            Some(Header { binding: Some(binding), .. }) => binding.spec,
            _ => self.planned_hash()?,
        };
        let mut log = EventLog::recover(reader, spec, lease.fence(), || self.binding(spec))?;
        log.tell(self.changes(), self.id.clone());
        Ok(log)
    }

    /// What the run is a run of.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when the file is not the one that the run was made with.
    pub fn read_subject(&self) -> Result<Subject, StoreError> {
        if self.file(PARAMS).exists() {
            let path = self.file(PARAMS);
            let file: LoggedFile = from_json(&self.read_bound(PARAMS)?, &path)?;
            if file.version > format::PARAMS {
                return Err(StoreError::TooNew { path, version: file.version, newest: format::PARAMS });
            }
            return Ok(Subject::Logged(file.logged));
        }
        self.read_spec().map(|spec| Subject::Planned(Box::new(spec)))
    }

    /// The specification.
    ///
    /// # Errors
    /// [`StoreError::NotPlanned`] when the run has none; [`StoreError::Changed`] when it is not the one that it was made
    /// with.
    pub fn read_spec(&self) -> Result<RunSpec, StoreError> {
        let path = self.spec_path();
        if !path.exists() && self.file(PARAMS).exists() {
            return self.read_subject()?.planned(&self.id).cloned();
        }
        let bytes = self.read_bound(SPEC)?;
        let text = String::from_utf8(bytes).map_err(|error| unreadable(&path, &error))?;
        let spec = spec_text::read(&text, &path)?;
        let planned = match self.header()? {
            Some(Header { binding: Some(binding), .. }) => binding.spec,
            _ => self.planned_hash()?,
        };
        if planned.is_some_and(|planned| planned != spec.hash()) {
            return Err(StoreError::Changed { path });
        }
        Ok(spec)
    }

    /// The specification's hash as the provenance has it, whatever else of the run cannot be read.
    pub fn stated_spec_hash(&self) -> Option<SpecHash> {
        self.planned_hash().ok().flatten()
    }

    /// The specification as this program would plan it, whichever schema it was stored under: its hash is the identity by
    /// which runs of the same science are told.
    pub fn read_restated_spec(&self) -> Result<RunSpec, StoreError> {
        let mut spec = self.read_spec()?;
        if std::mem::take(&mut spec.schema) == Schema::Second {
            return Ok(spec);
        }
        // Under schema 1 a run had one input at most, named by its own hash of that schema.
        if let Some(hash) = spec.inputs.get_mut(&plan::Role::Weights)
            && let Some(id) = self.read_lineage()?.starts_from
            && let Ok(input) = self.beside(&id).read_restated_spec()
        {
            *hash = input.hash();
        }
        Ok(spec)
    }

    /// The provenance.
    ///
    /// # Errors
    /// [`StoreError::Changed`] when it is not the one that the run was made with.
    pub fn read_provenance(&self) -> Result<Value, StoreError> {
        from_json(&self.read_bound(PROVENANCE)?, &self.provenance_path())
    }

    /// The runs that this one stands on.
    pub fn read_lineage(&self) -> Result<Lineage, StoreError> {
        if self.file(LINEAGE).exists() {
            return from_json(&self.read_bound(LINEAGE)?, &self.file(LINEAGE));
        }
        match self.header()? {
            Some(Header { binding: Some(binding), .. }) if binding.files.contains_key(LINEAGE) => {
                Err(StoreError::Changed { path: self.file(LINEAGE) })
            }
            Some(Header { version: 1, .. }) => {
                let has_imported_tokenizer = self.read_spec()?.tokenizer.kind == TokenizerKind::Imported;
                Ok(Lineage::of_provenance(&self.read_provenance()?, has_imported_tokenizer))
            }
            _ => Ok(Lineage::default()),
        }
    }

    /// What people say about the run.
    pub fn labels(&self) -> Result<Labels, StoreError> {
        let path = self.file(LABELS);
        match durable::read(&path) {
            Ok(bytes) => {
                let file: LabelsFile = from_json(&bytes, &path).map_err(|_| {
                    let problem = "it holds tags, notes and further experiments, and may be deleted".to_owned();
                    StoreError::Unreadable { path: path.clone(), problem }
                })?;
                if file.version > format::LABELS {
                    return Err(StoreError::TooNew { path, version: file.version, newest: format::LABELS });
                }
                Ok(file.labels)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Labels::default()),
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    /// Changes the labels, whoever else changes them or writes the log meanwhile.
    pub fn relabel(&self, change: impl FnOnce(&mut Labels)) -> Result<Labels, StoreError> {
        let _locked = Lock::of_store(self.root(), LABELS, "the labels of runs").wait()?;
        let before = self.labels()?;
        let mut labels = before.clone();
        change(&mut labels);
        if labels != before {
            write_json(&self.file(LABELS), &LabelsFile::new(&labels))?;
            self.changes().note(&self.id);
        }
        Ok(labels)
    }

    /// The events one by one, as they were written: without the resume rule, in constant memory.
    ///
    /// # Errors
    /// When the log is another run's. One of version 1 is held against its digest chain as it is read.
    pub fn events(&self) -> Result<EventReader<BufReader<fs::File>>, StoreError> {
        let mut reader = EventReader::open(&self.events_path(), Place::START)?;
        reader.belongs_to(&self.id);
        if reader.header()?.is_some_and(|header| header.version == 1)
            && let Some(spec) = self.planned_hash()?
        {
            reader.hold_to_chain(spec);
        }
        Ok(reader)
    }

    /// The events after a place up to which the log was read before.
    pub fn events_since(&self, place: Place) -> Result<EventReader<BufReader<fs::File>>, StoreError> {
        EventReader::open(&self.events_path(), place)
    }

    /// The history so far.
    ///
    /// # Errors
    /// When the log is damaged, another run's, or was cut to its header.
    pub fn read_history(&self) -> Result<History, StoreError> {
        self.read_history_from(&mut self.events()?)
    }

    /// What is left of the run's log, from its start.
    pub(super) fn read_history_from(
        &self,
        reader: &mut EventReader<BufReader<fs::File>>,
    ) -> Result<History, StoreError> {
        let history = History::read(reader)?;
        // The first state is written before the folder has its name.
        if history.states.is_empty() {
            return Err(StoreError::CutToHeader { path: self.events_path() });
        }
        Ok(history)
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
    pub(super) fn state_now(&self, recorded: RunState, stamp: FileStamp) -> Result<Option<RunState>, StoreError> {
        if recorded != RunState::Running || self.is_leased()? {
            return Ok(Some(recorded));
        }
        Ok((self.log_stamp()? == stamp).then_some(RunState::Lost))
    }

    /// Bytes of all files in the folder, as far as they can be seen.
    pub fn bytes_on_disk(&self) -> u64 {
        let files = walkdir::WalkDir::new(&self.path).into_iter().flatten();
        files.filter_map(|entry| entry.metadata().ok().filter(fs::Metadata::is_file)).map(|file| file.len()).sum()
    }

    /// What the log was like when somebody looks.
    pub(super) fn log_stamp(&self) -> Result<FileStamp, StoreError> {
        FileStamp::of(&self.events_path())
    }

    pub(super) fn stamp(&self) -> Result<RunStamp, StoreError> {
        let log = self.log_stamp()?;
        let mut beside = Vec::new();
        for name in [SPEC, PARAMS, PROVENANCE, LINEAGE, LABELS] {
            let stamp = match FileStamp::of(&self.file(name)) {
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => FileStamp::NONE,
                stamp => stamp?,
            };
            beside.extend(stamp.size.to_le_bytes());
            beside.extend(stamp.modified_ns.to_le_bytes());
        }
        Ok(RunStamp { log, files: i64::from_le_bytes(ContentHash::of(&beside).first_u64().to_le_bytes()) })
    }

    /// The first line of the log.
    fn header(&self) -> Result<Option<Header>, StoreError> {
        let mut reader = EventReader::open(&self.events_path(), Place::START)?;
        reader.belongs_to(&self.id);
        reader.header().map(|header| header.cloned())
    }

    /// The content of a file that was written beside the log, which must be what it was then.
    fn read_bound(&self, name: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.file(name);
        let bytes = durable::read(&path).map_err(io_error("read", &path))?;
        if let Some(Header { binding: Some(binding), .. }) = self.header()?
            && binding.files.get(name) != Some(&ContentHash::of(&bytes))
        {
            return Err(StoreError::Changed { path });
        }
        Ok(bytes)
    }

    /// The specification's hash as the provenance of every planned run has it: what logs of version 1 rest on.
    fn planned_hash(&self) -> Result<Option<SpecHash>, StoreError> {
        let path = self.provenance_path();
        let bytes = durable::read(&path).map_err(io_error("read", &path))?;
        let provenance: Value = from_json(&bytes, &path)?;
        Ok(provenance.get("spec_hash").and_then(Value::as_str).and_then(|hash| hash.parse().ok()))
    }

    /// What a log that begins now is bound to.
    fn binding(&self, spec: Option<SpecHash>) -> Result<Binding, StoreError> {
        let mut files = BTreeMap::new();
        for name in [SPEC, PARAMS, PROVENANCE, LINEAGE] {
            match durable::read(&self.file(name)) {
                Ok(bytes) => drop(files.insert(name.to_owned(), ContentHash::of(&bytes))),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("read", &self.file(name), error)),
            }
        }
        Ok(Binding { run: self.id.clone(), spec, files })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The right to write into the folder.
    pub(super) fn lock(&self) -> Lock {
        Lock::of_run(self.root(), &self.id, &self.path)
    }

    /// The folder of the store.
    pub(super) fn root(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

impl FileStamp {
    const NONE: Self = Self { size: -1, modified_ns: 0 };

    fn of(path: &Path) -> Result<Self, StoreError> {
        let metadata = fs::metadata(path).map_err(io_error("read", path))?;
        let modified = metadata.modified().map_err(io_error("read", path))?;
        let since_epoch = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = |value: u128| i64::try_from(value).unwrap_or(i64::MAX);
        Ok(Self { size: number(metadata.len().into()), modified_ns: number(since_epoch.as_nanos()) })
    }
}

/// Writes everything that a run has before it starts into its folder, and makes it durable.
fn fill(run: &RunDir, new: &NewRun<'_>, now: Timestamp) -> Result<(), StoreError> {
    match new.subject {
        Subject::Planned(spec) => {
            let text = spec_text::write(spec, &run.spec_path())?;
            write_atomic(&run.spec_path(), |writer| writer.write_all(text.as_bytes()))?;
        }
        Subject::Logged(logged) => write_json(&run.file(PARAMS), &LoggedFile::new(logged))?,
    }
    write_json(&run.provenance_path(), new.provenance)?;
    if !new.lineage.is_empty() {
        write_json(&run.file(LINEAGE), new.lineage)?;
    }
    let mut log = EventLog::create(&run.events_path(), &run.binding(new.subject.hash())?)?;
    log.append(&Event::State { state: RunState::Planned, reason: None, at: now })?;
    for name in ["checkpoints", "artifacts"] {
        let path = run.file(name);
        fs::create_dir(&path).map_err(io_error("create", &path))?;
    }
    for path in [run.file("lease"), run.text_log_path()] {
        fs::write(&path, "").map_err(io_error("create", &path))?;
    }
    durable::sync_folder(&run.path).map_err(io_error("flush", &run.path))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    write_atomic(path, |writer| {
        serde_json::to_writer_pretty(&mut *writer, value)?;
        writer.write_all(b"\n")
    })
}

fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, problem: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable { path: path.to_owned(), problem: problem.to_string() }
}
