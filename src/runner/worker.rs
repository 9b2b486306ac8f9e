//! The worker: the process that executes one run, writes to that run's folder and nowhere else.
//!
//! It stops with a checkpoint at a signal (SIGTERM, SIGINT, SIGHUP, SIGUSR1), and one that is tethered also when its
//! standard input ends: at its parent's word or when its parent is gone. A run that is killed leaves a log that says
//! `running` and a lease that nobody holds; the next worker resumes it from the last checkpoint.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::continuation;
use super::corpora;
use super::data_sources::{DataSources, SearchPath};
use super::examples::{self, ExamplesError};
use super::provenance::{EXECUTION_FACT, Execution, Provenance};
use super::standstill::Standstill;
use super::stop::Stop;
use super::trained::{self, TOKENIZER, TrainedError, Which};
use crate::clock::{self, Stopwatch};
use crate::durable;
use crate::plan::{RunSpec, TaskSpec, TokenizerKind, TrainSpec, parameter_count};
use crate::store::{
    ChainDigest, Event, EventLog, FLOORS_FACT, Lease, Metrics, NOT_WORKED_FACT, Origin, RunDir, RunState, Store,
    StoreError, StoredRun, write_atomic,
};
use crate::trainer::checkpoint::CheckpointDir;
use crate::trainer::corpus::{CorpusError, PrepareError, PreparedData, unigram_entropy};
use crate::trainer::device::{self, DeviceError};
use crate::trainer::fine_tuning::{FineTuning, FineTuningError};
use crate::trainer::model::parameters::{Parameter, digest};
use crate::trainer::model::start::StartError;
use crate::trainer::pretraining::{Corpus, Pretraining};
use crate::trainer::recorder::{RecordError, Recorder};
use crate::trainer::step_loop::{Outcome, TrainError, train};
use crate::trainer::tokenizer::Tokenizer;
use crate::types::metrics::{self, Measurement};
use crate::types::{ContentHash, RunId, Step};

/// What a worker is to do.
#[derive(Clone, Debug)]
pub struct Order {
    /// The folder of the store.
    pub runs: PathBuf,
    pub run: RunId,
    pub data_root: PathBuf,
    /// The step at which the run is to stop, if it is not to come to its end.
    pub until: Option<u64>,
    /// Whether it stops when its standard input ends.
    pub tethered: bool,
}

/// How a run's execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Finished,
    Interrupted,
    /// The disk is full; the reason ends with [`NO_ROOM`].
    NoRoom {
        reason: String,
    },
    /// It came to the step at which it was to stop.
    Stopped,
    Failed {
        reason: String,
    },
}

/// Why a worker could not even begin, or record how it ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the provenance of run {run} cannot be read: {problem}")]
    Provenance { run: RunId, problem: String },
    #[error("{reason}\nand that could not be recorded: {source}")]
    Unrecorded { reason: String, source: StoreError },
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Examples(#[from] ExamplesError),
    #[error(transparent)]
    FineTuning(#[from] FineTuningError),
    #[error(transparent)]
    Start(#[from] TrainedError),
    #[error("{0}; it must be a run of the same model")]
    Weights(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Executes the run of `order` from where it stands.
pub fn work(order: &Order) -> Result<Ending, WorkerError> {
    let stop = Stop::on_signals_of_a_scheduler();
    if order.tethered {
        stop_when_input_ends(&stop);
    }
    let store = Store::open(&order.runs)?;
    let dir = store.run(&order.run)?;
    let lease = dir.acquire_lease()?;
    let log = dir.open_log(&lease)?;
    let standstill = Standstill::start();
    let history = dir.read_history()?;
    let has_begun = history.last_step() > Step(0);
    let stood_still_before = history.facts.get(NOT_WORKED_FACT).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    let executed_before = if has_begun { Execution::all_of(&dir)?.pop() } else { None };
    let json = dir.read_provenance()?;
    let provenance: Provenance = serde_json::from_value(json)
        .map_err(|e| WorkerError::Provenance { run: order.run.clone(), problem: e.to_string() })?;
    let search =
        SearchPath { experiment_dir: provenance.corpus.experiment_dir.clone(), data_root: order.data_root.clone() };
    let run = Run { dir, sources: DataSources { search, store }, executed_before };
    let mut recorder = StoreRecorder::new(log, lease, stop, order.until);
    recorder.state(RunState::Running, None)?;
    let ending = match run.execute(&mut recorder) {
        Ok(Outcome::Finished { chain, weights, .. }) => {
            recorder.append(&fact("final_chain", json!(chain)))?;
            recorder.append(&fact("final_weights", json!(weights)))?;
            Ending::Finished
        }
        Ok(Outcome::Interrupted { step }) if order.until.is_some_and(|until| step.0 >= until) => Ending::Stopped,
        Ok(Outcome::Interrupted { .. }) => Ending::Interrupted,
        Err(error) if is_full_disk(&error) => Ending::NoRoom { reason: without_room(&error) },
        Err(error) => Ending::Failed { reason: error.to_string() },
    };
    let not_worked = Some(stood_still_before + standstill.secs()).filter(|_| standstill.secs() != 0.0);
    match (record(&mut recorder, &ending, not_worked), ending) {
        // Where the log is what failed, it cannot say so.
        (Err(source), Ending::NoRoom { reason } | Ending::Failed { reason }) => {
            Err(WorkerError::Unrecorded { reason, source })
        }
        (recorded, ending) => recorded.map(|()| ending).map_err(WorkerError::from),
    }
}

/// Records how a run ended, and for how long nobody worked on it.
fn record(recorder: &mut StoreRecorder, ending: &Ending, not_worked: Option<f64>) -> Result<(), StoreError> {
    if let Some(secs) = not_worked {
        recorder.append(&fact(NOT_WORKED_FACT, json!(secs)))?;
    }
    match ending {
        Ending::Finished => recorder.state(RunState::Finished, None),
        Ending::Interrupted => recorder.state(RunState::Interrupted, Some("asked to stop".into())),
        // Nothing is wrong with the run: the same command resumes it once there is room.
        Ending::NoRoom { reason } => recorder.state(RunState::Interrupted, Some(reason.clone())),
        Ending::Stopped => recorder.state(RunState::Stopped, Some("at a rung, to be compared".into())),
        Ending::Failed { reason } => recorder.state(RunState::Failed, Some(reason.clone())),
    }
}

/// How the reason ends why a run was interrupted that had no room on the disk; before it stands what could not be written.
pub const NO_ROOM: &str = "the disk is full; free some space and start the same command again";

/// What could not be written for want of room, and what to do.
fn without_room(error: &RunError) -> String {
    let text = error.to_string();
    if text.ends_with(NO_ROOM) { text } else { format!("{text}: {NO_ROOM}") }
}

/// Whether a full disk is behind an error, however far.
fn is_full_disk(error: &RunError) -> bool {
    let of_store = match error {
        RunError::Store(error) => Some(error),
        RunError::Train(TrainError::Record(error)) => error.downcast_ref::<StoreError>(),
        _ => None,
    };
    let by_system = |error: &(dyn std::error::Error + 'static)| {
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    };
    matches!(of_store, Some(StoreError::DiskFull { .. }))
        || std::iter::successors(std::error::Error::source(error), |error| error.source()).any(by_system)
}

/// The run at hand.
struct Run {
    dir: RunDir,
    sources: DataSources,
    /// Who executed it last, where it is resumed.
    executed_before: Option<Execution>,
}

impl Run {
    fn execute(&self, recorder: &mut StoreRecorder) -> Result<Outcome, RunError> {
        let spec = self.dir.read_spec()?;
        device::check(&spec)?;
        device::pin(spec.train());
        record_execution(self.executed_before.as_ref(), spec.train(), recorder)?;
        match spec.task() {
            Some(task) => self.fine_tune(&spec, task, recorder),
            None => self.pretrain(&spec, recorder),
        }
    }

    fn pretrain(&self, spec: &RunSpec, recorder: &mut StoreRecorder) -> Result<Outcome, RunError> {
        let Self { dir, sources, .. } = self;
        let before = self.starts_from()?;
        let data = match &before {
            Some(run) => corpora::prepare_with(trained::tokenizer(run, sources)?, spec, sources)?,
            None => corpora::prepare(spec, sources)?,
        };
        self.keep_tokenizer(spec, &data.tokenizer)?;
        record_data(&data, recorder)?;
        recorder.append(&fact("parameters", json!(parameter_count(spec).total())))?;
        let start = before.map(|run| first_weights(&run, recorder)).transpose()?;
        self.adopt(spec, recorder)?;
        let PreparedData { tokenizer, train: train_side, valid, .. } = &data;
        let (specials, continues, characters) =
            (tokenizer.special_ids(), tokenizer.continuations(), tokenizer.characters());
        let corpus = Corpus { train: train_side, valid, specials, continues: &continues, characters: &characters };
        let stage = Pretraining::new(spec, &corpus)?;
        let stage = match &start {
            Some(weights) => stage.starting_from(weights)?,
            None => stage,
        };
        Ok(train(spec, &stage, &dir.checkpoints_path(), recorder)?)
    }

    /// Trains for a task, from the last weights of the stage before where there is one.
    fn fine_tune(&self, spec: &RunSpec, stage: &TaskSpec, recorder: &mut StoreRecorder) -> Result<Outcome, RunError> {
        let Self { dir, sources, .. } = self;
        let before = self.starts_from()?;
        let tokenizer = match &before {
            Some(run) => trained::tokenizer(run, sources)?,
            None => corpora::tokenizer(spec, sources)?,
        };
        self.keep_tokenizer(spec, &tokenizer)?;
        recorder.append(&fact("tokenizer_hash", json!(tokenizer.hash())))?;
        let start = before.map(|run| first_weights(&run, recorder)).transpose()?;
        let (examples, notices) = examples::prepare(spec, stage, &tokenizer, &sources.search)?;
        for text in notices {
            recorder.append(&Event::Warning { text })?;
        }
        recorder.append(&fact("parameters", json!(parameter_count(spec).total())))?;
        let floors = examples::floors(spec, stage, sources)?;
        recorder.append(&fact(FLOORS_FACT, json!(floors)))?;
        Ok(train(spec, &FineTuning::new(spec, &examples, start.as_deref())?, &dir.checkpoints_path(), recorder)?)
    }

    /// The run whose last weights are the first of this one.
    fn starts_from(&self) -> Result<Option<StoredRun>, StoreError> {
        self.dir.read_lineage()?.starts_from.map(|run| self.sources.store.load(&run)).transpose()
    }

    /// Puts the tokenizer beside the weights, so that the run's folder is whole without the cache and the corpus. One that was
    /// imported lies in the folder of the import.
    fn keep_tokenizer(&self, spec: &RunSpec, tokenizer: &Tokenizer) -> Result<(), StoreError> {
        if spec.tokenizer.kind == TokenizerKind::Imported {
            return Ok(());
        }
        let path = self.dir.artifact_path(TOKENIZER);
        if durable::read(&path).is_ok_and(|bytes| bytes == tokenizer.json().as_bytes()) {
            return Ok(());
        }
        // A folder that was kept by what knows no empty folders lacks it.
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|source| StoreError::io("create", folder, source))?;
        }
        write_atomic(&path, |file| file.write_all(tokenizer.json().as_bytes()))
    }

    /// Lets a run that has not begun continue its origin. An origin that cannot be used costs time, nothing else.
    fn adopt(&self, spec: &RunSpec, recorder: &mut StoreRecorder) -> Result<(), RunError> {
        let Self { dir, sources, .. } = self;
        let Some(origin) = &dir.read_lineage()?.continues else { return Ok(()) };
        if !CheckpointDir::new(dir.checkpoints_path()).steps().is_empty() {
            return Ok(());
        }
        recorder.append(&Event::Resumed { step: Step(0), at: clock::now() })?;
        let adopted = continuation::adopt(&sources.store, dir, spec, origin, &mut |event| recorder.append(event));
        let event = match adopted {
            Ok(()) => fact("continues", json!(origin)),
            Err(error) => {
                let Origin { run, step } = origin;
                let text = format!("cannot continue run {run} from step {step}, so it starts anew: {error}");
                Event::Warning { text }
            }
        };
        Ok(recorder.append(&event)?)
    }
}

/// The weights that a run starts from, and a record of whose they are.
fn first_weights(run: &StoredRun, recorder: &mut StoreRecorder) -> Result<Vec<Parameter>, RunError> {
    let (step, weights) = trained::weights(run, Which::Last)?;
    recorder.append(&fact("starts_from", json!({ "run": run.id, "step": step, "weights": digest(&weights) })))?;
    Ok(weights)
}

/// Records who executes the run now. One that is resumed under another program or instruction set is outside the bitwise
/// promise, and says so.
fn record_execution(
    before: Option<&Execution>,
    train: &TrainSpec,
    recorder: &mut StoreRecorder,
) -> Result<(), StoreError> {
    let now = Execution::this(train);
    if let Some(before) = before {
        for (what, then, now) in [
            ("commit", &before.program.commit, &now.program.commit),
            ("lock file", &before.program.lock_hash, &now.program.lock_hash),
            ("instruction set", &before.machine.isa, &now.machine.isa),
        ] {
            if then != now {
                let text = format!("begun with {what} {then}, resumed with {now}: the bits may differ");
                recorder.append(&Event::Warning { text })?;
            }
        }
    }
    recorder.append(&fact(EXECUTION_FACT, json!(now)))
}

fn record_data(data: &PreparedData, recorder: &mut StoreRecorder) -> Result<(), StoreError> {
    for notice in &data.notices {
        recorder.append(&Event::Warning { text: notice.to_string() })?;
    }
    let side = |stats: &crate::trainer::corpus::SideStats| {
        json!({
            "documents": stats.documents,
            "sentences": stats.sentences,
            "tokens": stats.tokens,
            "unknown_share": stats.unknown_share,
        })
    };
    recorder.append(&fact("tokenizer_hash", json!(data.tokenizer_hash)))?;
    recorder.append(&fact("train_data", side(&data.stats.train)))?;
    recorder.append(&fact("valid_data", side(&data.stats.valid)))?;
    let (entropy, spread) = unigram_entropy(&data.valid);
    recorder.append(&fact(metrics::UNIGRAM_ENTROPY.fact, json!(entropy)))?;
    recorder.append(&fact(metrics::UNIGRAM_SPREAD, json!(spread)))
}

fn fact(name: &str, value: serde_json::Value) -> Event {
    Event::Fact { name: name.to_owned(), value }
}

fn stop_when_input_ends(stop: &Stop) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let mut rest = [0; 64];
        while std::io::stdin().read(&mut rest).is_ok_and(|n| n > 0) {}
        stop.request();
    });
}

/// Adapts the trainer's [`Recorder`] to the store's event log. Holds the lease as long as it writes.
struct StoreRecorder {
    log: EventLog,
    _lease: Lease,
    stop: Stop,
    until: Option<u64>,
    stopwatch: Stopwatch,
    /// The last step that was recorded.
    step: u64,
}

impl StoreRecorder {
    fn new(log: EventLog, lease: Lease, stop: Stop, until: Option<u64>) -> Self {
        Self { log, _lease: lease, stop, until, stopwatch: Stopwatch::start(), step: 0 }
    }

    fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        self.log.append(event)
    }

    fn state(&mut self, state: RunState, reason: Option<String>) -> Result<(), StoreError> {
        self.append(&Event::State { state, reason, at: clock::now() })
    }
}

fn named(metrics: &[Measurement]) -> Metrics {
    metrics.iter().map(|(metric, value)| (metric.metric_name(), *value)).collect()
}

impl Recorder for StoreRecorder {
    fn resumed(&mut self, step: Step) -> Result<(), RecordError> {
        Ok(self.append(&Event::Resumed { step, at: clock::now() })?)
    }

    fn fact(&mut self, name: &str, value: serde_json::Value) -> Result<(), RecordError> {
        Ok(self.append(&fact(name, value))?)
    }

    fn planned_steps(&mut self, steps: u64) -> Result<(), RecordError> {
        Ok(self.append(&fact("total_steps", json!(steps)))?)
    }

    fn warning(&mut self, text: &str) -> Result<(), RecordError> {
        Ok(self.append(&Event::Warning { text: text.to_owned() })?)
    }

    fn step(&mut self, step: Step, chain: ContentHash, metrics: &[Measurement]) -> Result<(), RecordError> {
        self.step = step.0;
        let chain = ChainDigest::of(&chain);
        Ok(self.append(&Event::Step { step, chain, metrics: named(metrics) })?)
    }

    fn evaluation(&mut self, step: Step, metrics: &[Measurement]) -> Result<(), RecordError> {
        Ok(self.append(&Event::Evaluation { step, metrics: named(metrics) })?)
    }

    fn checkpoint(&mut self, step: Step, path: &Path, weights: ContentHash) -> Result<(), RecordError> {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(self.append(&Event::Checkpoint { step, file, weights })?)
    }

    fn leads_to(&self, step: Step, chain: &ContentHash) -> bool {
        self.log.reaches(step, chain)
    }

    fn make_durable(&mut self) -> Result<(), RecordError> {
        Ok(self.log.sync()?)
    }

    fn stop_requested(&self) -> bool {
        self.stop.is_requested() || self.until.is_some_and(|until| self.step >= until)
    }

    fn elapsed_secs(&self) -> f64 {
        self.stopwatch.elapsed_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::plan;
    use crate::runner::testing;
    use crate::store::Measured;
    use crate::trainer::checkpoint::CheckpointError;
    use crate::types::Timestamp;

    /// A planned run of six steps on `corpus`.
    fn planned(sources: &DataSources, corpus: &str) -> RunDir {
        let text = format!(
            "[experiment]\nname = \"test\"\n[data]\ncorpus = \"{corpus}\"\nvalid_fraction = 0.2\n[tokenizer]\nvocab_size = 80\n\
             min_frequency = 1\n[model]\npreset = \"nano\"\n[train]\nsteps = 6\nbatch_size = 4\nseq_len = 32\neval_every = 3\n\
             eval_instances = 8\ncheckpoint_every = 4\n"
        );
        let alone = &mut |_: &str, _: &str| Err("stands on no file".to_owned());
        let experiment = plan::read(&text, "test.toml", &[], alone).unwrap_or_else(|e| panic!("{e:?}"));
        let plan = plan::plan(&experiment, |corpus| corpora::look_up(corpus, &sources.search));
        let spec = testing::tasks_of(&plan.unwrap_or_else(|e| panic!("{e:?}"))).remove(0).spec;
        let now = Timestamp::from_unix_millis(1_000);
        let provenance = Provenance::new(&spec, 1, &[], None, now);
        sources.store.create_planned(&spec, &provenance.to_json(), now).unwrap()
    }

    fn write_corpus(sources: &DataSources) {
        fs::create_dir_all(&sources.search.data_root).unwrap();
        let sentence =
            |i: usize| format!("the {} sees a {} .", ["cat", "dog", "bird"][i % 3], ["tree", "house"][i % 2]);
        let document = |d: usize| (d..d + 6).map(sentence).collect::<Vec<_>>().join(" ");
        let documents: Vec<String> = (0..40).map(|d| format!("{} {d}", document(d))).collect();
        fs::write(sources.search.data_root.join("c.txt"), documents.join("\n\n")).unwrap();
    }

    fn work_on(sources: &DataSources, run: &RunDir, until: Option<u64>) -> Ending {
        let (runs, data_root) = (sources.store.root().to_owned(), sources.search.data_root.clone());
        work(&Order { runs, run: run.id().clone(), data_root, until, tethered: false }).unwrap()
    }

    /// The bits of a metric by step.
    type Bits = Vec<(i64, u64)>;

    /// Everything that is under the bitwise promise.
    fn results(run: &StoredRun) -> (BTreeMap<String, Bits>, Vec<String>) {
        let bits = |points: Vec<Measured>| points.iter().map(|point| (point.step, point.value.to_bits())).collect();
        let all = run.history.all_measured().filter(|(name, _)| metrics::is_deterministic(name.as_str()));
        let series = all.map(|(name, points)| (name.to_string(), bits(points)));
        let ends = ["final_chain", "final_weights"].map(|fact| run.history.facts[fact].to_string());
        (series.collect(), ends.to_vec())
    }

    /// Stopped wherever it was, a run ends with the bits of one that nobody stopped, and its log says how it came there.
    #[test]
    fn a_run_in_pieces_is_the_run_in_one() {
        let folder = tempfile::tempdir().unwrap();
        let sources = testing::sources(folder.path());
        write_corpus(&sources);
        let [whole, pieces] = [(); 2].map(|()| planned(&sources, "c.txt"));
        assert_eq!(work_on(&sources, &whole, None), Ending::Finished);
        for (until, expected) in [(Some(2), Ending::Stopped), (Some(5), Ending::Stopped), (None, Ending::Finished)] {
            assert_eq!(work_on(&sources, &pieces, until), expected);
        }
        let [whole, pieces] = [whole, pieces].map(|run| sources.store.load(run.id()).unwrap());
        assert_eq!(results(&whole), results(&pieces));
        assert_eq!((whole.state, pieces.state), (RunState::Finished, RunState::Finished));
        assert_eq!(whole.history.facts["total_steps"], 6);
        assert_eq!(Execution::all_of(&whole.dir).unwrap().len(), 1);
        assert_eq!(Execution::all_of(&pieces.dir).unwrap().len(), 3, "each time that it was begun or resumed");
    }

    /// A full disk is no failure of the run, wherever it was met; anything else is.
    #[test]
    fn a_full_disk_is_told_from_what_else_fails() {
        let full = || std::io::Error::from(ErrorKind::StorageFull);
        let path = || PathBuf::from("x");
        let of_store = StoreError::io("write", Path::new("x"), full());
        let of_checkpoint = CheckpointError::Write { path: path(), source: full() };
        let recorded: RecordError = Box::new(StoreError::io("write", Path::new("x"), full()));
        let of_cache = PrepareError::Cache { path: path(), source: full() };
        for error in [
            RunError::from(of_store),
            RunError::from(TrainError::from(of_checkpoint)),
            RunError::from(TrainError::Record(recorded)),
            RunError::from(of_cache),
        ] {
            assert!(is_full_disk(&error), "{error}");
            let reason = without_room(&error);
            assert!(reason.contains('x') && reason.ends_with(NO_ROOM), "{reason}");
            assert_eq!(reason.matches(NO_ROOM).count(), 1, "{reason}");
        }
        let missing = CheckpointError::Write { path: path(), source: ErrorKind::NotFound.into() };
        assert!(!is_full_disk(&RunError::from(TrainError::from(missing))));
    }

    /// What keeps a run from working is its own failure, with the reason in its log; what keeps a worker from knowing its run is
    /// an error of the worker.
    #[test]
    fn a_failure_is_recorded_where_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let sources = testing::sources(folder.path());
        write_corpus(&sources);
        let run = planned(&sources, "c.txt");
        fs::remove_file(sources.search.data_root.join("c.txt")).unwrap();
        let Ending::Failed { reason } = work_on(&sources, &run, None) else { panic!("it has no corpus") };
        assert!(reason.contains("c.txt"), "{reason}");
        let stored = sources.store.load(run.id()).unwrap();
        assert_eq!((stored.state, stored.history.reason()), (RunState::Failed, Some(reason.as_str())));

        let spec = testing::tasks("").remove(0).spec;
        let now = Timestamp::from_unix_millis(1_000);
        let strange = sources.store.create_planned(&spec, &json!({ "schema": 1 }), now).unwrap();
        let (runs, data_root) = (sources.store.root().to_owned(), sources.search.data_root.clone());
        let order = Order { runs, run: strange.id().clone(), data_root, until: None, tethered: false };
        assert!(matches!(work(&order), Err(WorkerError::Provenance { run, .. }) if run == *strange.id()));
    }
}
