//! How far a sweep is: which of its runs are done, who is at work, what failed, and when it will be over.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::store::{Index, RunQuery, RunRow, RunState, StoreError, StoredSweep, SweepTask, nearest_to_finished};
use crate::types::{RunId, SpecHash, Timestamp};

/// How far a sweep is.
#[derive(Clone, Debug, Serialize)]
pub struct SweepStatus {
    pub id: RunId,
    pub experiment: Option<String>,
    /// Whether its process is there; and whether it was asked to stop.
    pub is_running: bool,
    pub is_stopping: bool,
    pub command: Vec<String>,
    pub folder: String,
    pub host: String,
    pub process: u32,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Runs at a time, and the threads of each.
    pub slots: usize,
    pub threads: usize,
    pub counts: Counts,
    /// The part of the work that is done, from 0 to 1, by what the runs cost.
    pub done: f64,
    /// Seconds that are left at the speed so far, while it runs and where some of it is done.
    pub remaining_secs: Option<f64>,
    pub working: Vec<Working>,
    pub failed: Vec<Failure>,
    /// The cells of those that have no run yet.
    pub waiting: Vec<Map<String, Value>>,
}

/// How many runs are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub finished: usize,
    pub running: usize,
    /// By early stopping.
    pub stopped: usize,
    pub failed: usize,
    /// Begun, and nobody is at them.
    pub interrupted: usize,
    /// Not begun.
    pub waiting: usize,
}

/// A run that a worker is at.
#[derive(Clone, Debug, Serialize)]
pub struct Working {
    pub run: RunId,
    pub label: String,
    pub steps_done: u64,
    pub total_steps: Option<u64>,
    /// The last value of its train loss.
    pub loss: Option<f64>,
}

/// What came to nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// None where not even a run was made.
    pub run: Option<RunId>,
    pub label: String,
    pub reason: String,
}

/// Seconds that are left of work that took so long so far, at the same speed.
pub fn remaining_secs(elapsed_secs: f64, done: f64, all: f64) -> Option<f64> {
    (done > 0.0).then(|| elapsed_secs * (all - done).max(0.0) / done)
}

impl SweepStatus {
    /// How far `sweep` is at `now`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn of(sweep: &StoredSweep, index: &mut Index, now: Timestamp) -> Result<Self, StoreError> {
        let rows = match &sweep.record.experiment {
            Some(name) => index.query(&RunQuery::default().within_experiments(&[name]))?,
            None => {
                let mut rows = Vec::new();
                for task in &sweep.record.tasks {
                    rows.extend(index.query(&RunQuery::of_spec(task.spec))?);
                }
                rows
            }
        };
        let own: Vec<RunRow> = rows.into_iter().filter(|row| row.reproduces.is_none()).collect();
        Ok(Self::from_rows(sweep, &nearest_to_finished(own), now))
    }

    fn from_rows(sweep: &StoredSweep, runs: &BTreeMap<SpecHash, RunRow>, now: Timestamp) -> Self {
        let record = &sweep.record;
        let (mut counts, mut working, mut failed, mut waiting) =
            (Counts::default(), Vec::new(), Vec::new(), Vec::new());
        // Of all work; of that which this sweep did; and what it has to do at all.
        let (mut done, mut all, mut done_here, mut all_here) = (0.0, 0.0, 0.0, 0.0);
        for task in &record.tasks {
            let row = runs.get(&task.spec);
            let state = row.map_or(RunState::Planned, |row| row.state);
            *counts.of(state) += 1;
            let part = task.work * share(row);
            (done, all) = (done + part, all + task.work);
            let is_before = row.and_then(|row| row.ended_at).is_some_and(|at| at < record.started_at);
            if !(is_before && matches!(state, RunState::Finished | RunState::Stopped | RunState::Failed)) {
                (done_here, all_here) = (done_here + part, all_here + task.work);
            }
            match (row, state) {
                (Some(row), RunState::Running) => working.push(Working::of(task, row)),
                (Some(row), RunState::Failed) => {
                    let reason = row.reason.clone().unwrap_or_default();
                    failed.push(Failure { run: Some(row.id.clone()), label: task.label.clone(), reason });
                }
                _ => {}
            }
            if let Some(problem) = &task.problem {
                failed.push(Failure { run: None, label: task.label.clone(), reason: problem.clone() });
            }
            if row.is_none() {
                waiting.push(task.axes.clone());
            }
        }
        let elapsed = now.secs_since(record.started_at);
        Self {
            id: record.id.clone(),
            experiment: record.experiment.clone(),
            is_running: sweep.is_alive,
            is_stopping: sweep.is_alive && sweep.is_stopping,
            command: record.command.clone(),
            folder: record.folder.display().to_string(),
            host: record.host.clone(),
            process: record.process,
            started_at: record.started_at,
            ended_at: record.ended_at,
            slots: record.slots,
            threads: record.threads,
            counts,
            done: if all > 0.0 { done / all } else { 1.0 },
            remaining_secs: remaining_secs(elapsed, done_here, all_here).filter(|_| sweep.is_alive),
            working,
            failed,
            waiting,
        }
    }

    /// Whether something is left that the same command would execute.
    pub fn is_unfinished(&self) -> bool {
        let Counts { running, interrupted, waiting, .. } = self.counts;
        running + interrupted + waiting > 0
    }
}

impl Counts {
    fn of(&mut self, state: RunState) -> &mut usize {
        match state {
            RunState::Finished => &mut self.finished,
            RunState::Running => &mut self.running,
            RunState::Stopped => &mut self.stopped,
            RunState::Failed => &mut self.failed,
            RunState::Interrupted | RunState::Lost => &mut self.interrupted,
            RunState::Planned => &mut self.waiting,
        }
    }

    /// The states that there are, with their numbers.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let Self { finished, running, stopped, failed, interrupted, waiting } = *self;
        let all = [
            ("finished", finished),
            ("running", running),
            ("stopped", stopped),
            ("failed", failed),
            ("interrupted", interrupted),
            ("waiting", waiting),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }
}

impl Working {
    fn of(task: &SweepTask, row: &RunRow) -> Self {
        let loss = row.metrics.iter().find(|(name, _)| name.as_str() == "train/loss").map(|(_, found)| found.last);
        Self {
            run: row.id.clone(),
            label: task.label.clone(),
            steps_done: row.steps_done.0,
            total_steps: row.total_steps,
            loss: loss.filter(|loss| loss.is_finite()),
        }
    }
}

/// The part of a run that is done. One that ended without its last step needs no more of them.
fn share(row: Option<&RunRow>) -> f64 {
    let Some(row) = row else { return 0.0 };
    match (row.state, row.total_steps) {
        (RunState::Finished | RunState::Failed | RunState::Stopped, _) => 1.0,
        (_, Some(total)) if total > 0 => (row.steps_done.0 as f64 / total as f64).min(1.0),
        _ => 0.0,
    }
}
