//! Executes a plan: each specification once, in worker processes, some at a time; what is finished is reused, what was
//! interrupted goes on, and one that fails never stops the others.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::clock;
use super::continuation::{self, Origin, Trajectories};
use super::progress::Progress;
use super::provenance::{ExperimentOrigin, Provenance, cores};
use super::queue::{Halving, Leg, Queue};
use super::stop::Stop;
use crate::plan::{RunSpec, TokenizerKind, predecessors, stages_before};
use crate::store::{Event, Group, Index, Lineage, NewRun, RunDir, RunQuery, RunRow, RunState, SpecClaim};
use crate::store::{Store, StoreError, Subject};
use crate::types::{RunId, SpecHash};

/// How often waiting looks up: for a stop request, and for runs that other processes execute.
const TICK: Duration = Duration::from_millis(100);

/// A specification to execute, and why.
#[derive(Clone, Debug)]
pub struct Task {
    pub spec: RunSpec,
    pub hash: SpecHash,
    /// What people call it: the cell and the seed.
    pub label: String,
    pub experiment: Option<ExperimentOrigin>,
    /// The run that this one executes again; such a task always makes a new run.
    pub reproduces: Option<RunId>,
}

/// How tasks are executed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Workers at a time.
    pub jobs: usize,
    /// Threads a worker; by default the cores are divided among the workers.
    pub threads: Option<usize>,
    /// Whether runs that failed are executed again.
    pub retry: bool,
    /// Whether a run goes on from another of its trajectory.
    pub sharing: bool,
    /// How tasks are stopped early, if they are.
    pub halving: Option<Halving>,
    pub data_root: PathBuf,
    /// The folder of the experiment file.
    pub beside: Option<PathBuf>,
    /// What the person typed.
    pub command: Vec<String>,
}

impl Options {
    /// Threads that each worker computes with.
    pub fn threads_a_worker(&self) -> usize {
        self.threads.unwrap_or_else(|| (cores() / self.jobs.max(1)).max(1))
    }
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It was finished before.
    Reused(RunId),
    Finished(RunId),
    Interrupted(RunId),
    /// Others did better at its rung.
    Stopped {
        run: RunId,
        reason: String,
    },
    Failed {
        run: RunId,
        reason: String,
    },
    /// It could not even begin, or how it ended could not be read.
    Broken {
        reason: String,
    },
    /// It failed before, and nobody asked to retry.
    FailedBefore {
        run: RunId,
        reason: String,
    },
    /// It was not begun before the stop.
    NotStarted,
}

/// What happens while tasks are executed, for whoever watches.
#[derive(Clone, Debug)]
pub enum Happening<'a> {
    Started {
        task: usize,
        run: &'a RunId,
        /// The step that it goes on from: its own last one, or that of another run's checkpoint.
        from: Option<&'a Origin>,
    },
    Progress {
        task: usize,
        progress: &'a Progress,
    },
    /// Another process executes the specification; its end is awaited.
    Waiting {
        task: usize,
    },
    /// The task came to a rung, with this value of the metric.
    AtRung {
        task: usize,
        run: &'a RunId,
        step: u64,
        value: f64,
    },
    Ended {
        task: usize,
        fate: &'a Fate,
    },
}

/// Why nothing could be executed at all.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a worker process ({program}): {source}", program = .program.display())]
    Spawn { program: PathBuf, source: std::io::Error },
}

/// Executes `tasks`; returns the fate of each, in their order.
pub fn execute(
    store: &Store,
    tasks: &[Task],
    options: &Options,
    stop: &Stop,
    watch: &mut dyn FnMut(Happening),
) -> Result<Vec<Fate>, ExecuteError> {
    let specs: Vec<&RunSpec> = tasks.iter().map(|task| &task.spec).collect();
    let queue = match &options.halving {
        Some(halving) => Queue::halving(halving.clone()),
        None => {
            let shared = if options.sharing { predecessors(&specs) } else { vec![None; tasks.len()] };
            Queue::whole(stages_before(&specs).into_iter().zip(shared).map(|(stage, run)| stage.or(run)).collect())
        }
    };
    let mut sweep = Sweep {
        store,
        tasks,
        options,
        stop,
        index: Index::open(store)?,
        queue,
        paused: BTreeMap::new(),
        trajectories: Trajectories::default(),
        fates: BTreeMap::new(),
        watch,
    };
    sweep.run();
    sweep.settle();
    let mut fates = sweep.fates;
    Ok((0..tasks.len()).map(|task| fates.remove(&task).unwrap_or(Fate::NotStarted)).collect())
}

struct Sweep<'a> {
    store: &'a Store,
    tasks: &'a [Task],
    options: &'a Options,
    stop: &'a Stop,
    index: Index,
    queue: Queue,
    /// The runs of tasks that wait at a rung.
    paused: BTreeMap<usize, RunId>,
    trajectories: Trajectories,
    fates: BTreeMap<usize, Fate>,
    watch: &'a mut dyn FnMut(Happening),
}

/// What to do about a task now.
enum Decision {
    Done(Fate),
    /// It was at this leg's rung before.
    AtRung(RunId),
    /// Execute it in this run's folder; the claim keeps others away until it ended.
    Execute {
        run: RunDir,
        claim: SpecClaim,
        from: Option<Origin>,
    },
    /// Somebody else is at it.
    Wait,
}

/// A worker at work.
struct Worker {
    leg: Leg,
    run: RunDir,
    child: Child,
    /// Open as long as the worker may go on: closing it asks the worker to stop.
    input: Option<ChildStdin>,
    _claim: SpecClaim,
}

/// From a worker's output to the sweep.
enum Message {
    Line {
        task: usize,
        progress: Progress,
    },
    /// The worker closed its output: it ends.
    Closed {
        task: usize,
    },
}

impl Sweep<'_> {
    /// One task that cannot be executed never stops the others: whatever goes wrong with it becomes its fate.
    fn run(&mut self) {
        let mut told_waiting = vec![false; self.tasks.len()];
        let mut workers: Vec<Worker> = Vec::new();
        let (sender, receiver) = channel();
        loop {
            if self.stop.is_requested() {
                self.queue.close();
                workers.iter_mut().for_each(|worker| drop(worker.input.take()));
            }
            let mut held_up = Vec::new();
            while workers.len() < self.options.jobs {
                let Some(leg) = self.queue.take() else { break };
                let task = leg.task;
                match self.decide(leg) {
                    Err(error) => self.arrive(leg, Fate::Broken { reason: error.to_string() }),
                    Ok(Decision::Done(fate)) => self.arrive(leg, fate),
                    Ok(Decision::AtRung(run)) => self.pause(leg, run),
                    Ok(Decision::Execute { run, claim, from }) => match self.start(leg, run, claim, &sender) {
                        Ok(worker) => {
                            (self.watch)(Happening::Started { task, run: worker.run.id(), from: from.as_ref() });
                            workers.push(worker);
                        }
                        Err(error) => self.arrive(leg, Fate::Broken { reason: error.to_string() }),
                    },
                    Ok(Decision::Wait) => {
                        if !std::mem::replace(&mut told_waiting[task], true) {
                            (self.watch)(Happening::Waiting { task });
                        }
                        held_up.push(leg);
                    }
                }
            }
            held_up.into_iter().for_each(|leg| self.queue.put_back(leg));
            if workers.is_empty() && self.queue.is_empty() {
                return;
            }
            self.listen(&receiver, &mut workers);
        }
    }

    /// Handles what workers say for one tick.
    fn listen(&mut self, receiver: &Receiver<Message>, workers: &mut Vec<Worker>) {
        match receiver.recv_timeout(TICK) {
            Ok(Message::Line { task, progress }) => (self.watch)(Happening::Progress { task, progress: &progress }),
            Ok(Message::Closed { task }) => {
                let Some(at) = workers.iter().position(|worker| worker.leg.task == task) else { return };
                let worker = workers.swap_remove(at);
                let leg = worker.leg;
                match self.bury(worker) {
                    Ok(Fate::Stopped { run, .. }) => self.pause(leg, run),
                    Ok(fate) => self.arrive(leg, fate),
                    Err(error) => self.arrive(leg, Fate::Broken { reason: error.to_string() }),
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    /// A task waits at its rung for the others.
    fn pause(&mut self, leg: Leg, run: RunId) {
        let value = self.value_at(&run, leg.until);
        if let (Some(value), Some(step)) = (value, leg.until) {
            (self.watch)(Happening::AtRung { task: leg.task, run: &run, step, value });
        }
        self.paused.insert(leg.task, run);
        self.queue.arrived(leg, value);
    }

    /// A task came to its end; what it measured at its rungs still counts for the others.
    fn arrive(&mut self, leg: Leg, fate: Fate) {
        let value = match &fate {
            Fate::Reused(run) | Fate::Finished(run) => self.value_at(run, leg.until),
            _ => None,
        };
        self.queue.arrived(leg, value);
        if !self.fates.contains_key(&leg.task) {
            self.end(leg.task, fate);
        }
    }

    /// What the run measured at a rung.
    fn value_at(&self, run: &RunId, step: Option<u64>) -> Option<f64> {
        let (metric, step) = (&self.queue.halving_spec()?.metric, step?);
        let history = self.store.run(run).and_then(|run| run.read_history()).ok()?;
        let point = history.series(metric).iter().find(|point| point.step.0 == step)?;
        Some(point.value).filter(|value| value.is_finite())
    }

    /// Says of every run that stayed at a rung why it did; when the sweep itself was stopped, that is not known yet.
    fn settle(&mut self) {
        for (task, run) in std::mem::take(&mut self.paused) {
            if self.fates.contains_key(&task) {
                continue;
            }
            let fate = match self.queue.reason(task) {
                Some(reason) => match self.record_stop(&run, &reason) {
                    Ok(()) => Fate::Stopped { run, reason },
                    Err(error) => Fate::Broken { reason: error.to_string() },
                },
                None => Fate::Interrupted(run),
            };
            self.end(task, fate);
        }
    }

    fn record_stop(&mut self, id: &RunId, reason: &str) -> Result<(), StoreError> {
        let run = self.store.run(id)?;
        if run.read_history()?.reason() != Some(reason) {
            let lease = run.acquire_lease()?;
            let mut log = run.open_log(&lease)?;
            let (state, reason) = (RunState::Stopped, Some(reason.to_owned()));
            log.append(&Event::State { state, reason, at: clock::now() })?;
        }
        self.index.refresh(id)
    }

    /// What the store says about a task. Whoever holds a specification's claim is alone in executing it.
    fn decide(&mut self, leg: Leg) -> Result<Decision, ExecuteError> {
        let task = leg.task;
        let Task { spec, hash, reproduces, .. } = &self.tasks[task];
        let claim = match self.store.claim_spec(*hash) {
            Ok(claim) => claim,
            Err(error) if error.is_held() => return Ok(Decision::Wait),
            Err(error) => return Err(error.into()),
        };
        // Another process may have made runs since the index was read.
        self.index.catch_up()?;
        let starts_from = match self.stage_before(spec)? {
            Ok(run) => run,
            Err(reason) => return Ok(Decision::Done(Fate::Broken { reason })),
        };
        if reproduces.is_some() {
            let run = self.create(task, None, starts_from)?;
            return Ok(Decision::Execute { run, claim, from: None });
        }
        let query = RunQuery { spec_hash: Some(*hash), ..RunQuery::default() };
        let mut rows = self.index.query(&query)?;
        rows.retain(|row| row.reproduces.is_none());
        let find = |states: &[RunState]| rows.iter().find(|row| states.contains(&row.state));
        if let Some(row) = rows.iter().min_by_key(|row| row.state.distance()) {
            join(&self.store.run(&row.id)?, row, self.tasks[task].experiment.as_ref())?;
        }
        if let Some(row) = find(&[RunState::Finished]) {
            return Ok(Decision::Done(Fate::Reused(row.id.clone())));
        }
        if find(&[RunState::Running]).is_some() {
            // A worker whose parent died is still at it.
            return Ok(Decision::Wait);
        }
        if let Some(row) = find(&[RunState::Stopped, RunState::Interrupted, RunState::Lost, RunState::Planned]) {
            if leg.until.is_some() && self.value_at(&row.id, leg.until).is_some() {
                return Ok(Decision::AtRung(row.id.clone()));
            }
            return Ok(Decision::Execute { run: self.store.run(&row.id)?, claim, from: own_past(row) });
        }
        if let Some(row) = find(&[RunState::Failed]) {
            if self.options.retry {
                // What failed for a reason outside (a full disk, say) goes on from its last checkpoint.
                return Ok(Decision::Execute { run: self.store.run(&row.id)?, claim, from: own_past(row) });
            }
            let reason = row.reason.clone().unwrap_or_default();
            return Ok(Decision::Done(Fate::FailedBefore { run: row.id.clone(), reason }));
        }
        let from = match self.options.sharing {
            true => continuation::find(self.store, &mut self.index, &mut self.trajectories, spec)?,
            false => None,
        };
        let run = self.create(task, from.clone(), starts_from)?;
        Ok(Decision::Execute { run, claim, from })
    }

    /// The finished run that a specification starts from, if it starts from any; or why there is none.
    fn stage_before(&mut self, spec: &RunSpec) -> Result<Result<Option<RunId>, String>, StoreError> {
        let Some(before) = spec.finetune.as_ref().and_then(|stage| stage.before) else { return Ok(Ok(None)) };
        let rows = self.index.query(&RunQuery { spec_hash: Some(before), ..RunQuery::default() })?;
        let is_finished = |row: &&RunRow| row.state == RunState::Finished && row.reproduces.is_none();
        Ok(match (rows.iter().find(is_finished), rows.first()) {
            (Some(row), _) => Ok(Some(row.id.clone())),
            (None, Some(row)) => {
                Err(format!("the pretraining run that it starts from is not finished: {} is {}", row.id, row.state))
            }
            (None, None) => Err(format!("the store has no run of the specification that it starts from ({before})")),
        })
    }

    /// Makes the folder of a new run of a task, with the runs that it stands on.
    fn create(&self, task: usize, from: Option<Origin>, before: Option<RunId>) -> Result<RunDir, StoreError> {
        let Task { spec, experiment, reproduces, .. } = &self.tasks[task];
        let threads = self.options.threads_a_worker();
        let now = clock::now();
        let provenance = Provenance::new(spec, threads, &self.options.command, self.options.beside.as_deref(), now);
        let provenance = Provenance { experiment: experiment.clone(), ..provenance }.to_json();
        let uses_tokenizer_of = match &before {
            Some(before) if spec.tokenizer.kind == TokenizerKind::Imported => {
                self.store.run(before)?.read_lineage()?.uses_tokenizer_of.or(Some(before.clone()))
            }
            _ => None,
        };
        let lineage =
            Lineage { starts_from: before, continues: from, reproduces: reproduces.clone(), uses_tokenizer_of };
        let subject = Subject::Planned(Box::new(spec.clone()));
        self.store.create_run(&NewRun { subject: &subject, provenance: &provenance, lineage: &lineage }, now)
    }

    fn start(&self, leg: Leg, run: RunDir, claim: SpecClaim, sender: &Sender<Message>) -> Result<Worker, ExecuteError> {
        let program = std::env::current_exe()
            .map_err(|source| ExecuteError::Spawn { program: PathBuf::from("ablate"), source })?;
        let log_path = run.text_log_path();
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(|source| StoreError::io("open", &log_path, source))?;
        let mut command = Command::new(&program);
        command
            .arg("worker")
            .arg(run.id().as_str())
            .arg("--runs")
            .arg(self.store.root())
            .arg("--data")
            .arg(&self.options.data_root)
            .env("RAYON_NUM_THREADS", self.options.threads_a_worker().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        // In a process group of its own, a worker is not hit by Ctrl-C: it stops when its parent says so.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        if let Some(step) = leg.until {
            command.arg("--until").arg(step.to_string());
        }
        let mut child = command.spawn().map_err(|source| ExecuteError::Spawn { program, source })?;
        let input = child.stdin.take();
        if let Some(output) = child.stdout.take() {
            let sender = sender.clone();
            std::thread::spawn(move || forward(leg.task, BufReader::new(output), &sender));
        }
        Ok(Worker { leg, run, child, input, _claim: claim })
    }

    /// Reads from the run's folder how a worker ended; one that died without a word gets a last word.
    fn bury(&mut self, mut worker: Worker) -> Result<Fate, ExecuteError> {
        let status = worker.child.wait();
        let run = &worker.run;
        let (history, mut state) = run.read_history_and_state()?;
        let mut reason = history.reason().unwrap_or_default().to_owned();
        if matches!(state, RunState::Planned | RunState::Lost | RunState::Running) {
            (state, reason) = last_word(run, status);
            let lease = run.acquire_lease()?;
            let mut log = run.open_log(&lease)?;
            log.append(&Event::State { state, reason: Some(reason.clone()), at: clock::now() })?;
        }
        self.index.refresh(run.id())?;
        let run = run.id().clone();
        Ok(match state {
            RunState::Finished => Fate::Finished(run),
            RunState::Interrupted => Fate::Interrupted(run),
            RunState::Stopped => Fate::Stopped { run, reason },
            _ => Fate::Failed { run, reason },
        })
    }

    fn end(&mut self, task: usize, fate: Fate) {
        (self.watch)(Happening::Ended { task, fate: &fate });
        self.queue.ended(task);
        self.fates.insert(task, fate);
    }
}

/// Counts a run that there was before to the experiment that wants it now, beside those that it belongs to.
fn join(run: &RunDir, row: &RunRow, experiment: Option<&ExperimentOrigin>) -> Result<(), StoreError> {
    let Some(ExperimentOrigin { name, axes }) = experiment else { return Ok(()) };
    let group = Group { name: name.clone(), axes: axes.clone() };
    let made_for = row.experiments.first().filter(|_| row.was_made_for_one);
    if row.group(name) != Some(&group) && made_for.is_none_or(|first| first.name != *name) {
        run.relabel(|labels| labels.join(group))?;
    }
    Ok(())
}

/// A run that was begun goes on from itself.
fn own_past(row: &RunRow) -> Option<Origin> {
    (row.steps_done.0 > 0).then(|| Origin { run: row.id.clone(), step: row.steps_done })
}

/// The state of a run whose worker could not record its end: killed workers can go on later, broken ones failed.
fn last_word(run: &RunDir, status: std::io::Result<ExitStatus>) -> (RunState, String) {
    let status = match status {
        Ok(status) => status,
        Err(error) => return (RunState::Interrupted, format!("the worker vanished: {error}")),
    };
    if status.code().is_none() && !crashed(status) {
        return (RunState::Interrupted, format!("the worker was killed ({status})"));
    }
    let said = std::fs::read_to_string(run.text_log_path()).unwrap_or_default();
    (RunState::Failed, format!("the worker ended with {status}: {}", last_complaint(&said)))
}

/// Whether a signal came from the worker's own fault, which would happen again, and not from outside.
#[cfg(unix)]
fn crashed(status: ExitStatus) -> bool {
    /// SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV and SIGSYS, as Linux numbers them.
    const OWN_FAULT: [i32; 6] = [4, 6, 7, 8, 11, 31];
    std::os::unix::process::ExitStatusExt::signal(&status).is_some_and(|signal| OWN_FAULT.contains(&signal))
}

#[cfg(not(unix))]
fn crashed(_: ExitStatus) -> bool {
    true
}

/// The message of the last panic in a worker's log, or the last thing that it said.
fn last_complaint(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.iter().rposition(|line| line.contains("panicked at")) {
        Some(at) => lines[at..].iter().take(2).copied().collect::<Vec<_>>().join(" "),
        None => lines.last().copied().unwrap_or("it said nothing").to_owned(),
    }
}

/// Passes a worker's progress lines on until its output closes.
fn forward(task: usize, output: impl BufRead, sender: &Sender<Message>) {
    for line in output.lines().map_while(Result::ok) {
        if let Ok(progress) = serde_json::from_str(&line)
            && sender.send(Message::Line { task, progress }).is_err()
        {
            return;
        }
    }
    let _ = sender.send(Message::Closed { task });
}
