//! Executes a plan: each specification once, by workers, some at a time; what is finished is reused, what was interrupted
//! is resumed, and one that fails never stops the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::continuation::{self, Trajectories};
use super::data_sources::DataSources;
use super::launch::{Exit, Handle, Launcher};
use super::progress::{LogFollower, Progress};
use super::provenance::{ExperimentOrigin, Provenance};
use super::queue::{Halving, Queue, Segment};
use super::stop::Stop;
use super::worker::NO_ROOM;
use crate::clock;
use crate::plan::{self, RunSpec, TokenizerKind, inputs_among, predecessors};
use crate::store::{
    Event, Group, Index, Lineage, NewRun, OpenSweep, Origin, RunDir, RunQuery, RunRow, RunState, SpecClaim, Store,
    StoreError, Subject, nearest_to_finished,
};
use crate::types::{RunId, SpecHash};

/// How often waiting looks up: for a stop request, and for runs that other processes execute.
const TICK: Duration = Duration::from_millis(100);

/// Of so many ticks one looks for what was asked of the sweep in the store.
const TICKS_A_LOOK: u64 = 5;

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
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether runs that failed are executed again.
    pub retry: bool,
    /// Whether a run continues another of its trajectory.
    pub sharing: bool,
    /// How tasks are stopped early, if they are.
    pub halving: Option<Halving>,
    /// What the person typed.
    pub command: Vec<String>,
    /// The sweep as it was announced, by which it can be asked to stop.
    pub sweep: Option<Arc<OpenSweep>>,
}

/// What became of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskOutcome {
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
pub enum SweepEvent<'a> {
    Started {
        task: usize,
        run: &'a RunId,
        /// The step that it resumes from: its own last one, or that of another run's checkpoint.
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
        outcome: &'a TaskOutcome,
    },
}

/// Executes `tasks` by `launcher`; returns the outcome of each, in their order.
///
/// # Errors
/// When the store's index cannot be opened. Whatever goes wrong with one task becomes its outcome.
pub fn execute(
    sources: &DataSources,
    tasks: &[Task],
    options: &Options,
    launcher: &mut dyn Launcher,
    stop: &Stop,
    watch: &mut dyn FnMut(SweepEvent),
) -> Result<Vec<TaskOutcome>, StoreError> {
    let specs: Vec<&RunSpec> = tasks.iter().map(|task| &task.spec).collect();
    let queue = match &options.halving {
        Some(halving) => Queue::halving(halving.clone()),
        None => {
            let shared = if options.sharing { predecessors(&specs) } else { vec![None; tasks.len()] };
            let of_task = |(mut inputs, shorter): (BTreeSet<usize>, Option<usize>)| {
                inputs.extend(shorter);
                inputs
            };
            Queue::whole(inputs_among(&specs).into_iter().zip(shared).map(of_task).collect())
        }
    };
    let store = &sources.store;
    let mut sweep = Sweep {
        sources,
        store,
        tasks,
        options,
        launcher,
        stop,
        index: Index::open(store)?,
        queue,
        workers: Vec::new(),
        paused: BTreeMap::new(),
        trajectories: Trajectories::default(),
        outcomes: BTreeMap::new(),
        ticks: 0,
        watch,
    };
    sweep.run();
    sweep.settle();
    let mut outcomes = sweep.outcomes;
    Ok((0..tasks.len()).map(|task| outcomes.remove(&task).unwrap_or(TaskOutcome::NotStarted)).collect())
}

struct Sweep<'a> {
    sources: &'a DataSources,
    store: &'a Store,
    tasks: &'a [Task],
    options: &'a Options,
    launcher: &'a mut dyn Launcher,
    stop: &'a Stop,
    index: Index,
    queue: Queue,
    workers: Vec<Worker>,
    /// The runs of tasks that wait at a rung.
    paused: BTreeMap<usize, RunId>,
    trajectories: Trajectories,
    outcomes: BTreeMap<usize, TaskOutcome>,
    ticks: u64,
    watch: &'a mut dyn FnMut(SweepEvent),
}

/// What to do about a task now.
enum Decision {
    Done(TaskOutcome),
    /// It was at this segment's rung before.
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
    segment: Segment,
    handle: Handle,
    run: RunDir,
    log: LogFollower,
    _claim: SpecClaim,
}

impl Sweep<'_> {
    fn run(&mut self) {
        let mut told_waiting = vec![false; self.tasks.len()];
        loop {
            self.hear();
            if self.stop.is_requested() {
                self.queue.close();
                self.workers.iter().for_each(|worker| self.launcher.stop(worker.handle));
            }
            let mut held_up = Vec::new();
            while self.workers.len() < self.launcher.slots() {
                let Some(segment) = self.queue.take() else { break };
                match self.decide(segment) {
                    Err(error) => self.arrive(segment, TaskOutcome::Broken { reason: error.to_string() }),
                    Ok(Decision::Done(outcome)) => self.arrive(segment, outcome),
                    Ok(Decision::AtRung(run)) => self.pause(segment, run),
                    Ok(Decision::Execute { run, claim, from }) => self.start(segment, run, claim, from.as_ref()),
                    Ok(Decision::Wait) => {
                        if !std::mem::replace(&mut told_waiting[segment.task], true) {
                            (self.watch)(SweepEvent::Waiting { task: segment.task });
                        }
                        held_up.push(segment);
                    }
                }
            }
            held_up.into_iter().for_each(|segment| self.queue.put_back(segment));
            if self.workers.is_empty() && self.queue.is_empty() {
                return;
            }
            self.listen();
        }
    }

    /// What somebody asked of the sweep in the store: to stop, or to stop some of its runs.
    fn hear(&mut self) {
        let is_time = self.ticks.is_multiple_of(TICKS_A_LOOK);
        self.ticks += 1;
        let Some(sweep) = self.options.sweep.as_ref().filter(|_| is_time) else { return };
        let requests = sweep.requests();
        if requests.all {
            self.stop.request();
        }
        for worker in self.workers.iter().filter(|worker| requests.runs.contains(worker.run.id())) {
            self.launcher.stop(worker.handle);
        }
    }

    fn start(&mut self, segment: Segment, run: RunDir, claim: SpecClaim, from: Option<&Origin>) {
        let log = LogFollower::new(&run);
        if let Some(sweep) = &self.options.sweep {
            sweep.forget(run.id());
        }
        match self.launcher.launch(&run, segment.until) {
            Ok(handle) => {
                (self.watch)(SweepEvent::Started { task: segment.task, run: run.id(), from });
                self.workers.push(Worker { segment, handle, run, log, _claim: claim });
            }
            Err(error) => self.arrive(segment, TaskOutcome::Broken { reason: error.to_string() }),
        }
    }

    /// Hears for one tick what workers do and which of them ended.
    fn listen(&mut self) {
        let ended = self.launcher.poll(TICK);
        for worker in &mut self.workers {
            for progress in worker.log.news() {
                (self.watch)(SweepEvent::Progress { task: worker.segment.task, progress: &progress });
            }
        }
        for (handle, exit) in ended {
            let Some(at) = self.workers.iter().position(|worker| worker.handle == handle) else { continue };
            let worker = self.workers.swap_remove(at);
            let segment = worker.segment;
            match self.reap(&worker, &exit) {
                Ok(TaskOutcome::Stopped { run, .. }) => self.pause(segment, run),
                Ok(outcome) => self.arrive(segment, outcome),
                Err(error) => self.arrive(segment, TaskOutcome::Broken { reason: error.to_string() }),
            }
        }
    }

    /// A task waits at its rung for the others.
    fn pause(&mut self, segment: Segment, run: RunId) {
        let value = self.value_at(&run, segment.until);
        if let (Some(value), Some(step)) = (value, segment.until) {
            (self.watch)(SweepEvent::AtRung { task: segment.task, run: &run, step, value });
        }
        self.paused.insert(segment.task, run);
        self.queue.arrived(segment, value);
    }

    /// A task came to its end; what it measured at its rungs still counts for the others.
    fn arrive(&mut self, segment: Segment, outcome: TaskOutcome) {
        let value = match &outcome {
            TaskOutcome::Reused(run) | TaskOutcome::Finished(run) => self.value_at(run, segment.until),
            _ => None,
        };
        self.queue.arrived(segment, value);
        if !self.outcomes.contains_key(&segment.task) {
            self.end(segment.task, outcome);
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
            if self.outcomes.contains_key(&task) {
                continue;
            }
            let outcome = match self.queue.reason(task) {
                Some(reason) => match self.record_stop(&run, &reason) {
                    Ok(()) => TaskOutcome::Stopped { run, reason },
                    Err(error) => TaskOutcome::Broken { reason: error.to_string() },
                },
                None => TaskOutcome::Interrupted(run),
            };
            self.end(task, outcome);
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
    fn decide(&mut self, segment: Segment) -> Result<Decision, StoreError> {
        let task = segment.task;
        let Task { spec, hash, reproduces, .. } = &self.tasks[task];
        // Looking costs microseconds; asking for a claim that another process holds would cost a pause at each tick.
        if self.store.is_claimed(*hash)? {
            return Ok(Decision::Wait);
        }
        let claim = match self.store.claim_spec(*hash) {
            Ok(claim) => claim,
            Err(error) if error.is_held() => return Ok(Decision::Wait),
            Err(error) => return Err(error),
        };
        // Another process may have made runs since the index was read.
        self.index.catch_up()?;
        let inputs = match self.inputs(spec)? {
            Ok(runs) => runs,
            Err(reason) => return Ok(Decision::Done(TaskOutcome::Broken { reason })),
        };
        if reproduces.is_some() {
            let run = self.create(task, None, inputs)?;
            return Ok(Decision::Execute { run, claim, from: None });
        }
        if let Some(row) = nearest_to_finished(self.index.query(&RunQuery::of_spec(*hash))?).remove(hash) {
            join(&self.store.run(&row.id)?, &row, self.tasks[task].experiment.as_ref())?;
            return Ok(match row.state {
                RunState::Finished => Decision::Done(TaskOutcome::Reused(row.id)),
                // A worker whose parent died is still at it.
                RunState::Running => Decision::Wait,
                // A full disk was no failure of the run, whatever an older program wrote of it.
                RunState::Failed if !self.options.retry && !is_for_want_of_room(row.reason.as_deref()) => {
                    let reason = row.reason.unwrap_or_default();
                    Decision::Done(TaskOutcome::FailedBefore { run: row.id, reason })
                }
                RunState::Stopped | RunState::Interrupted | RunState::Lost | RunState::Planned
                    if self.value_at(&row.id, segment.until).is_some() =>
                {
                    Decision::AtRung(row.id)
                }
                // What failed for a reason outside (a full disk, say) resumes from its last checkpoint too.
                _ => Decision::Execute { run: self.store.run(&row.id)?, claim, from: own_past(&row) },
            });
        }
        let from = match self.options.sharing {
            true => continuation::find(self.store, &mut self.index, &mut self.trajectories, spec)?,
            false => None,
        };
        let run = self.create(task, from.clone(), inputs)?;
        Ok(Decision::Execute { run, claim, from })
    }

    /// The finished runs that a specification is made from, or why one is missing.
    fn inputs(&mut self, spec: &RunSpec) -> Result<Result<BTreeMap<plan::Role, RunId>, String>, StoreError> {
        let mut inputs = BTreeMap::new();
        for (&role, &hash) in &spec.inputs {
            let rows = self.index.query(&RunQuery::of_spec(hash))?;
            let is_finished = |row: &&RunRow| row.state == RunState::Finished && row.reproduces.is_none();
            match (rows.iter().find(is_finished), rows.first()) {
                (Some(row), _) => drop(inputs.insert(role, row.id.clone())),
                (None, Some(row)) => {
                    return Ok(Err(format!(
                        "the run that it starts from is not finished: {} is {}",
                        row.id, row.state
                    )));
                }
                (None, None) => {
                    let problem = format!("the store has no run of the specification that it starts from ({hash})");
                    return Ok(Err(problem));
                }
            }
        }
        Ok(Ok(inputs))
    }

    /// Makes the folder of a new run of a task, with the runs that it stands on.
    fn create(
        &self,
        task: usize,
        continues: Option<Origin>,
        mut inputs: BTreeMap<plan::Role, RunId>,
    ) -> Result<RunDir, StoreError> {
        let Task { spec, experiment, reproduces, .. } = &self.tasks[task];
        let (threads, now) = (self.launcher.threads(), clock::now());
        let experiment_dir = self.sources.search.experiment_dir.as_deref();
        let provenance = Provenance::new(spec, threads, &self.options.command, experiment_dir, now);
        let provenance = Provenance { experiment: experiment.clone(), ..provenance }.to_json();
        let starts_from = inputs.remove(&plan::Role::Weights);
        let uses_tokenizer_of = match &starts_from {
            Some(first) if spec.tokenizer.kind == TokenizerKind::Imported => {
                self.store.run(first)?.read_lineage()?.uses_tokenizer_of.or(Some(first.clone()))
            }
            _ => None,
        };
        let lineage = Lineage { starts_from, continues, reproduces: reproduces.clone(), uses_tokenizer_of };
        let subject = Subject::Planned(Box::new(spec.clone()));
        self.store.create_run(&NewRun { subject: &subject, provenance: &provenance, lineage: &lineage }, now)
    }

    /// Reads from the run's folder what a worker came to; one that died without a word gets a last word.
    fn reap(&mut self, worker: &Worker, exit: &Exit) -> Result<TaskOutcome, StoreError> {
        let run = &worker.run;
        let (history, mut state) = run.read_history_and_state()?;
        let mut reason = history.reason().unwrap_or_default().to_owned();
        if matches!(state, RunState::Planned | RunState::Lost | RunState::Running) {
            (state, reason) = exit_state(run, exit);
            let lease = run.acquire_lease()?;
            let mut log = run.open_log(&lease)?;
            log.append(&Event::State { state, reason: Some(reason.clone()), at: clock::now() })?;
        }
        self.index.refresh(run.id())?;
        let run = run.id().clone();
        Ok(match state {
            RunState::Finished => TaskOutcome::Finished(run),
            RunState::Interrupted => {
                // The next ones would have no room either.
                if reason.ends_with(NO_ROOM) {
                    self.queue.close();
                }
                TaskOutcome::Interrupted(run)
            }
            RunState::Stopped => TaskOutcome::Stopped { run, reason },
            _ => TaskOutcome::Failed { run, reason },
        })
    }

    fn end(&mut self, task: usize, outcome: TaskOutcome) {
        (self.watch)(SweepEvent::Ended { task, outcome: &outcome });
        self.queue.ended(task);
        self.outcomes.insert(task, outcome);
    }
}

/// Counts a run that there was before to the experiment that wants it now, beside those that it belongs to.
fn join(run: &RunDir, row: &RunRow, experiment: Option<&ExperimentOrigin>) -> Result<(), StoreError> {
    let Some(ExperimentOrigin { name, axes, .. }) = experiment else { return Ok(()) };
    let group = Group { name: name.clone(), axes: axes.clone() };
    let made_for = row.experiments.first().filter(|_| row.was_made_for_one);
    if row.group(name) != Some(&group) && made_for.is_none_or(|first| first.name != *name) {
        run.relabel(|labels| labels.join(group))?;
    }
    Ok(())
}

/// A run that was begun resumes from itself.
fn own_past(row: &RunRow) -> Option<Origin> {
    (row.steps_done.0 > 0).then(|| Origin { run: row.id.clone(), step: row.steps_done })
}

/// The state of a run whose worker could not record its end: a killed one can be resumed, a broken one failed.
fn exit_state(run: &RunDir, exit: &Exit) -> (RunState, String) {
    match exit {
        Exit::Vanished { how } => (RunState::Interrupted, format!("the worker vanished: {how}")),
        Exit::Killed { how } => (RunState::Interrupted, format!("the worker was killed ({how})")),
        Exit::Ended { how } => {
            let path = run.text_log_path();
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            let line = last_error_line(&log);
            if is_for_want_of_room(Some(&line)) {
                let reason = if line.ends_with(NO_ROOM) { line } else { format!("{line}: {NO_ROOM}") };
                return (RunState::Interrupted, reason);
            }
            (RunState::Failed, format!("the worker ended with {how}: {line} (all it said: {})", path.display()))
        }
    }
}

/// Whether it was a full disk that kept a run from working.
fn is_for_want_of_room(reason: Option<&str>) -> bool {
    reason.is_some_and(|reason| reason.contains("the disk is full"))
}

/// The message of the last panic in a worker's log, or the last thing that it said about itself.
fn last_error_line(log: &str) -> String {
    // What Rust's runtime adds to a message is advice.
    let is_message = |line: &&str| !line.trim().is_empty() && !line.starts_with("note: ");
    let lines: Vec<&str> = log.lines().filter(is_message).collect();
    match lines.iter().rposition(|line| line.contains("panicked at")) {
        Some(at) => lines[at..].iter().take(2).copied().collect::<Vec<_>>().join(" "),
        None => lines.last().copied().unwrap_or("it said nothing").to_owned(),
    }
}

#[cfg(test)]
mod tests;
