//! A sweep as others see it: what it is about is said in the store before it begins, and how it ended after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::execute::{Task, TaskOutcome};
use super::provenance::host;
use crate::clock;
use crate::store::{OpenSweep, Store, StoreError, SweepRecord, SweepTask};
use crate::types::{RunId, SpecHash};

/// Says in the store that `tasks` are going to be executed, so many at a time, each with so many threads. `costs` are in any
/// unit that they share.
///
/// # Errors
/// When it cannot be written.
pub fn announce(
    store: &Store,
    experiment: Option<&str>,
    tasks: &[Task],
    costs: &[f64],
    command: &[String],
    (slots, threads): (usize, usize),
) -> Result<Arc<OpenSweep>, StoreError> {
    let tasks = tasks.iter().zip(costs).map(|(task, &work)| SweepTask {
        spec: task.hash,
        label: task.label.clone(),
        axes: task.experiment.as_ref().map(|origin| origin.axes.clone()).unwrap_or_default(),
        work,
        problem: None,
    });
    let record = SweepRecord {
        // Both are given by the store.
        version: 0,
        id: RunId::from_random_bytes([0; 5]),
        experiment: experiment.map(str::to_owned),
        command: command.to_vec(),
        folder: std::env::current_dir().unwrap_or_default(),
        host: host(),
        process: std::process::id(),
        started_at: clock::now(),
        ended_at: None,
        slots,
        threads,
        tasks: tasks.collect(),
    };
    store.begin_sweep(record).map(Arc::new)
}

/// Says in the store how a sweep ended.
///
/// # Errors
/// When it cannot be written.
pub fn conclude(sweep: &OpenSweep, tasks: &[Task], outcomes: &[TaskOutcome]) -> Result<(), StoreError> {
    let problems = tasks.iter().zip(outcomes).filter_map(|(task, outcome)| match outcome {
        TaskOutcome::Broken { reason } => Some((task.hash, reason.clone())),
        _ => None,
    });
    sweep.end(&problems.collect::<BTreeMap<SpecHash, String>>(), clock::now())
}
