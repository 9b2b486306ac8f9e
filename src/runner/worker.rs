//! The worker: the process that executes one run, writes to that run's folder and nowhere else.
//!
//! It stops at its parent's word or when its parent is gone: both close its standard input. A run that is killed leaves a
//! log that says `running` and a lease that nobody holds; the next worker continues from the last checkpoint.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::clock::{self, Stopwatch};
use super::continuation;
use super::corpora;
use super::examples::{self, ExamplesError};
use super::progress::Progress;
use super::provenance::{Machine, Program, Provenance};
use super::trained::{self, TrainedError, Which};
use crate::plan::{FinetuneSpec, RunSpec, parameter_count};
use crate::store::{ChainDigest, Event, EventLog, Lease, Metrics, Origin, RunDir, RunState, Store, StoreError};
use crate::trainer::checkpoint::CheckpointDir;
use crate::trainer::corpus::{CorpusError, PrepareError, PreparedData, unigram_entropy};
use crate::trainer::device::{self, DeviceError};
use crate::trainer::fine_tuning::{FineTuning, FineTuningError};
use crate::trainer::model::parameters::digest;
use crate::trainer::pretraining::{Corpus, Pretraining};
use crate::trainer::recorder::{RecordError, Recorder};
use crate::trainer::step_loop::{Outcome, TrainError, train};
use crate::types::{ContentHash, MetricName, RunId, Step};

/// Steps between two progress lines at the most frequent, in seconds.
const TELL_EVERY_SECS: f64 = 0.1;

/// Where a worker finds what its run needs.
#[derive(Clone, Debug)]
pub struct Order {
    pub runs: PathBuf,
    pub run: RunId,
    pub data_root: PathBuf,
    /// The step at which the run is to stop, if it is not to come to its end.
    pub until: Option<u64>,
}

/// How a run's execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    Finished,
    Interrupted,
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
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Executes the run of `order` from where it stands.
pub fn work(order: &Order) -> Result<Ending, WorkerError> {
    let stop = stop_when_input_ends();
    let store = Store::open(&order.runs)?;
    let dir = store.run(&order.run)?;
    let lease = dir.acquire_lease()?;
    let log = dir.open_log(&lease)?;
    let json = dir.read_provenance()?;
    let provenance: Provenance = serde_json::from_value(json)
        .map_err(|e| WorkerError::Provenance { run: order.run.clone(), problem: e.to_string() })?;
    let mut recorder = StoreRecorder::new(log, lease, stop, order.until);
    recorder.state(RunState::Running, None)?;
    let ending = match execute(&dir, order, &provenance, &mut recorder) {
        Ok(Outcome::Finished { chain, weights, .. }) => {
            recorder.append(&fact("final_chain", json!(chain)))?;
            recorder.append(&fact("final_weights", json!(weights)))?;
            Ending::Finished
        }
        Ok(Outcome::Interrupted { step }) if order.until.is_some_and(|until| step.0 >= until) => Ending::Stopped,
        Ok(Outcome::Interrupted { .. }) => Ending::Interrupted,
        Err(error) => Ending::Failed { reason: error.to_string() },
    };
    match &ending {
        Ending::Finished => recorder.state(RunState::Finished, None)?,
        Ending::Interrupted => recorder.state(RunState::Interrupted, Some("asked to stop".into()))?,
        Ending::Stopped => recorder.state(RunState::Stopped, Some("at a rung, to be compared".into()))?,
        Ending::Failed { reason } => recorder.state(RunState::Failed, Some(reason.clone()))?,
    }
    Ok(ending)
}

fn execute(
    dir: &RunDir,
    order: &Order,
    provenance: &Provenance,
    recorder: &mut StoreRecorder,
) -> Result<Outcome, RunError> {
    let spec = dir.read_spec()?;
    device::check(&spec)?;
    Progress::Phase("preparing data".into()).tell();
    record_execution(provenance, recorder)?;
    if let Some(stage) = &spec.finetune {
        return fine_tune(dir, order, &spec, stage, provenance, recorder);
    }
    let beside = provenance.corpus.beside.as_deref();
    let data = corpora::prepare(&spec, beside, &order.data_root, &order.runs.join("cache"))?;
    record_data(&data, recorder)?;
    recorder.append(&fact("parameters", json!(parameter_count(&spec).total())))?;
    take_over(dir, order, &spec, recorder)?;
    let (specials, continues) = (data.tokenizer.special_ids(), data.tokenizer.continuations());
    let corpus = Corpus { train: &data.train, valid: &data.valid, specials, continues: &continues };
    Progress::Phase("training".into()).tell();
    Ok(train(&spec, &Pretraining::new(&spec, &corpus)?, &dir.checkpoints_path(), recorder)?)
}

/// Trains for a task, from the last weights of the stage before where there is one.
fn fine_tune(
    dir: &RunDir,
    order: &Order,
    spec: &RunSpec,
    stage: &FinetuneSpec,
    provenance: &Provenance,
    recorder: &mut StoreRecorder,
) -> Result<Outcome, RunError> {
    let beside = provenance.corpus.beside.as_deref();
    let cache = order.runs.join("cache");
    let before = match &dir.read_lineage()?.starts_from {
        Some(run) => Some(Store::open(&order.runs)?.load(run)?),
        None => None,
    };
    let tokenizer = match &before {
        Some(run) => trained::tokenizer(run, &order.data_root, &cache)?,
        None => corpora::tokenizer(spec, beside, &order.data_root, &cache)?,
    };
    recorder.append(&fact("tokenizer_hash", json!(tokenizer.hash())))?;
    let start = match &before {
        Some(run) => {
            let start = trained::weights(run, Which::Last)?;
            let weights = json!({ "run": run.id, "step": start.0, "weights": digest(&start.1) });
            recorder.append(&fact("starts_from", weights))?;
            Some(start.1)
        }
        None => None,
    };
    let (examples, notices) = examples::prepare(spec, stage, &tokenizer, beside, &order.data_root)?;
    for text in notices {
        recorder.append(&Event::Warning { text })?;
    }
    recorder.append(&fact("parameters", json!(parameter_count(spec).total())))?;
    let floors = examples::floors(stage, spec.train.eval_instances, beside, &order.data_root, &cache)?;
    recorder.append(&fact(examples::FLOORS_FACT, json!(floors)))?;
    Progress::Phase("training".into()).tell();
    Ok(train(spec, &FineTuning::new(spec, &examples, start.as_deref())?, &dir.checkpoints_path(), recorder)?)
}

/// Lets a run that has not begun go on from its origin. One that cannot be used costs time, nothing else.
fn take_over(dir: &RunDir, order: &Order, spec: &RunSpec, recorder: &mut StoreRecorder) -> Result<(), RunError> {
    let Some(origin) = &dir.read_lineage()?.continues else { return Ok(()) };
    if !CheckpointDir::new(dir.checkpoints_path()).steps().is_empty() {
        return Ok(());
    }
    let store = Store::open(&order.runs)?;
    recorder.append(&Event::Resumed { step: Step(0), at: clock::now() })?;
    let event = match continuation::adopt(&store, dir, spec, origin, &mut |event| recorder.append(event)) {
        Ok(()) => fact("continues", json!(origin)),
        Err(error) => {
            let Origin { run, step } = origin;
            Event::Warning { text: format!("cannot go on from run {run} at step {step}, so it starts anew: {error}") }
        }
    };
    Ok(recorder.append(&event)?)
}

/// Records who executes the run now. The provenance tells who planned it; a run that goes on under another program or
/// instruction set is outside the bitwise promise, and says so.
fn record_execution(planned: &Provenance, recorder: &mut StoreRecorder) -> Result<(), StoreError> {
    let (program, machine) = (Program::this(), Machine::this(rayon::current_num_threads(), &planned.machine.device));
    for (what, then, now) in [
        ("commit", &planned.program.commit, &program.commit),
        ("lock file", &planned.program.lock_hash, &program.lock_hash),
        ("instruction set", &planned.machine.isa, &machine.isa),
    ] {
        if then != now {
            let text = format!("planned with {what} {then}, executed with {now}: the bits may differ");
            recorder.append(&Event::Warning { text })?;
        }
    }
    recorder.append(&fact("execution", json!({ "program": program, "machine": machine })))
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
    recorder.append(&fact("unigram_entropy", json!(unigram_entropy(&data.valid))))
}

fn fact(name: &str, value: serde_json::Value) -> Event {
    Event::Fact { name: name.to_owned(), value }
}

/// A flag that is raised when standard input ends.
fn stop_when_input_ends() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    std::thread::spawn(move || {
        let mut rest = [0; 64];
        while std::io::stdin().read(&mut rest).is_ok_and(|n| n > 0) {}
        raised.store(true, Ordering::Relaxed);
    });
    stop
}

/// Adapts the trainer's [`Recorder`] to the store's event log. Holds the lease as long as it writes.
struct StoreRecorder {
    log: EventLog,
    _lease: Lease,
    stop: Arc<AtomicBool>,
    until: Option<u64>,
    stopwatch: Stopwatch,
    /// The last step that was recorded, and all steps of the run.
    step: u64,
    steps: u64,
    told_at: f64,
}

impl StoreRecorder {
    fn new(log: EventLog, lease: Lease, stop: Arc<AtomicBool>, until: Option<u64>) -> Self {
        let (stopwatch, told_at) = (Stopwatch::start(), f64::NEG_INFINITY);
        Self { log, _lease: lease, stop, until, stopwatch, step: 0, steps: 0, told_at }
    }

    fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        self.log.append(event)
    }

    fn state(&mut self, state: RunState, reason: Option<String>) -> Result<(), StoreError> {
        self.append(&Event::State { state, reason, at: clock::now() })
    }
}

impl Recorder for StoreRecorder {
    fn resumed(&mut self, step: Step) -> Result<(), RecordError> {
        Ok(self.append(&Event::Resumed { step, at: clock::now() })?)
    }

    fn fact(&mut self, name: &str, value: serde_json::Value) -> Result<(), RecordError> {
        Ok(self.append(&fact(name, value))?)
    }

    fn planned_steps(&mut self, steps: u64) -> Result<(), RecordError> {
        self.steps = steps;
        Ok(self.append(&fact("total_steps", json!(steps)))?)
    }

    fn warning(&mut self, text: &str) -> Result<(), RecordError> {
        Progress::Warning(text.to_owned()).tell();
        Ok(self.append(&Event::Warning { text: text.to_owned() })?)
    }

    fn step(&mut self, step: Step, chain: ContentHash, metrics: &[(MetricName, f64)]) -> Result<(), RecordError> {
        self.step = step.0;
        let elapsed = self.stopwatch.elapsed_secs();
        if elapsed - self.told_at >= TELL_EVERY_SECS || step.0 == self.steps {
            self.told_at = elapsed;
            let value = |name: &str| metrics.iter().find(|(n, _)| n.as_str() == name).map(|&(_, value)| value);
            let tokens_per_s = value("time/tokens_per_s").unwrap_or_default();
            Progress::Step { step: step.0, steps: self.steps, loss: value("train/loss"), tokens_per_s }.tell();
        }
        let chain = ChainDigest::of(&chain);
        Ok(self.append(&Event::Step { step, chain, metrics: Metrics(metrics.to_vec()) })?)
    }

    fn evaluation(&mut self, step: Step, metrics: &[(MetricName, f64)]) -> Result<(), RecordError> {
        let is_loss = |name: &MetricName| matches!(name.as_str(), "valid/mlm_loss" | "valid/loss");
        if let Some((_, mlm_loss)) = metrics.iter().find(|(name, _)| is_loss(name)) {
            Progress::Evaluation { step: step.0, mlm_loss: *mlm_loss }.tell();
        }
        Ok(self.append(&Event::Evaluation { step, metrics: Metrics(metrics.to_vec()) })?)
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
        self.stop.load(Ordering::Relaxed) || self.until.is_some_and(|until| self.step >= until)
    }

    fn elapsed_secs(&self) -> f64 {
        self.stopwatch.elapsed_secs()
    }
}
