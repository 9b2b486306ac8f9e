//! How far a sweep is: which of its runs are done, who is at work, what failed, and when it will be over.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::store::{Index, RunRow, RunState, StoreError, StoredSweep, SweepTask};
use crate::types::{RunId, SpecHash, Timestamp};

/// How far a sweep is.
#[derive(Clone, Debug, Serialize)]
pub struct SweepStatus {
    pub id: RunId,
    /// None where runs were named one by one; then those of these experiments.
    pub experiment: Option<String>,
    pub of_others: BTreeSet<String>,
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
        let specs: Vec<SpecHash> = sweep.record.tasks.iter().map(|task| task.spec).collect();
        let runs = index.of_specs(sweep.record.experiment.as_deref(), &specs)?;
        Ok(Self::from_rows(sweep, &runs, now))
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
            let share = row.map_or(0.0, RunRow::done);
            (done, all) = (done + task.work * share, all + task.work);
            let is_before = row.and_then(|row| row.ended_at).is_some_and(|at| at < record.started_at);
            if !(is_before && matches!(state, RunState::Finished | RunState::Stopped | RunState::Failed)) {
                let before = task.work * task.done_before;
                (done_here, all_here) =
                    (done_here + (task.work * share - before).max(0.0), all_here + task.work - before);
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
            of_others: record.of_others.clone(),
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

    /// What is executed, in words.
    pub fn name(&self) -> String {
        match &self.experiment {
            Some(name) => name.clone(),
            None if self.of_others.is_empty() => "runs that were resumed".to_owned(),
            None => {
                let of: Vec<&str> = self.of_others.iter().map(String::as_str).collect();
                format!("{}, its runs that were resumed", of.join(", "))
            }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::testing::{at, create, new_store, spec, state, step};
    use crate::store::{OpenSweep, SweepRecord};

    /// A sweep of three runs that cost the same, begun at 100 s: one was finished before, one was half done.
    fn sweep(store: &crate::store::Store, done_before: [f64; 3]) -> OpenSweep {
        let tasks = (1..=3).zip(done_before).map(|(seed, done_before)| SweepTask {
            spec: spec(seed, 0.15).hash(),
            label: format!("seed={seed}"),
            axes: Map::new(),
            work: 10.0,
            done_before,
            problem: (seed == 3).then(|| "no data".to_owned()),
        });
        let record = SweepRecord {
            version: 0,
            id: "aaaaaaaa".parse().unwrap(),
            experiment: None,
            of_others: ["grid".to_owned()].into(),
            command: Vec::new(),
            folder: "/".into(),
            again: Vec::new(),
            host: "here".to_owned(),
            process: 1,
            started_at: at(100_000),
            ended_at: None,
            slots: 1,
            threads: 1,
            tasks: tasks.collect(),
        };
        store.begin_sweep(record).unwrap()
    }

    #[test]
    fn only_what_a_sweep_did_itself_says_how_fast_it_is() {
        let (_folder, store) = new_store();
        let run = |seed: u64| create(&store, &spec(seed, 0.15), &json!({}), at(0)).unwrap();
        let finished = run(1);
        let mut log = finished.open_log(&finished.acquire_lease().unwrap()).unwrap();
        log.append(&state(RunState::Finished, 50_000)).unwrap();
        let half = run(2);
        let lease = half.acquire_lease().unwrap();
        let mut log = half.open_log(&lease).unwrap();
        log.append(&state(RunState::Running, 60_000)).unwrap();
        let total = Index::open(&store).unwrap().of_specs(None, &[spec(2, 0.15).hash()]).unwrap();
        let total = total.values().next().unwrap().total_steps.unwrap();
        (1..=total * 3 / 4).for_each(|at| log.append(&step(at, 1.0)).unwrap());
        let _open = sweep(&store, [1.0, 0.5, 0.0]);
        let stored = store.sweeps().unwrap().remove(0);
        let mut index = Index::open(&store).unwrap();
        // It did a quarter of the second in 10 s, and a quarter of that and all of the third are left.
        let status = SweepStatus::of(&stored, &mut index, at(110_000)).unwrap();
        let part = (total * 3 / 4) as f64 / total as f64;
        let done_here = 10.0 * (part - 0.5);
        let expected = 10.0 * (15.0 - done_here) / done_here;
        assert!(
            (status.remaining_secs.unwrap() - expected).abs() < 1e-9,
            "{:?}, not {expected}",
            status.remaining_secs
        );
        assert!((status.done - (1.0 + part) / 3.0).abs() < 1e-12);
        assert_eq!(status.counts.each().collect::<Vec<_>>(), [("finished", 1), ("running", 1), ("waiting", 1)]);
        assert_eq!((status.working.len(), status.failed.len(), status.waiting.len()), (1, 1, 1));
        assert_eq!((status.name().as_str(), status.is_unfinished()), ("grid, its runs that were resumed", true));
        assert!(stored.is_of("grid") && !stored.is_of("other"));
        assert_eq!((remaining_secs(5.0, 0.0, 3.0), remaining_secs(6.0, 2.0, 3.0)), (None, Some(3.0)));
    }
}
