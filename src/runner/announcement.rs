//! A sweep as others see it: what it is about is said in the store before it begins, and how it ended after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::execute::{Task, TaskOutcome};
use super::provenance::host;
use crate::clock;
use crate::store::{Index, OpenSweep, RunRow, Store, StoreError, SweepRecord, SweepTask};
use crate::types::{RunId, SpecHash};

/// What is executed.
#[derive(Clone, Copy, Debug)]
pub enum Announced<'a> {
    /// The sweep of an experiment.
    Experiment(&'a str),
    /// Runs that were named one by one, of these experiments.
    Runs(&'a BTreeSet<String>),
}

/// Says in the store that `tasks` are going to be executed, so many at a time, each with so many threads. `costs` are in any
/// unit that they share; `again` are the arguments that execute them again.
///
/// # Errors
/// When it cannot be written.
pub fn announce(
    store: &Store,
    of: Announced<'_>,
    tasks: &[Task],
    costs: &[f64],
    (command, again): (&[String], &[String]),
    (slots, threads): (usize, usize),
) -> Result<Arc<OpenSweep>, StoreError> {
    let specs: Vec<SpecHash> = tasks.iter().map(|task| task.hash).collect();
    let (experiment, of_others) = match of {
        Announced::Experiment(name) => (Some(name), BTreeSet::new()),
        Announced::Runs(experiments) => (None, experiments.clone()),
    };
    let runs = Index::open(store)?.of_specs(experiment, &specs)?;
    let tasks = tasks.iter().zip(costs).map(|(task, &work)| SweepTask {
        spec: task.hash,
        label: task.label.clone(),
        axes: task.experiment.as_ref().map(|origin| origin.axes.clone()).unwrap_or_default(),
        work,
        done_before: runs.get(&task.hash).map_or(0.0, RunRow::done),
        problem: None,
    });
    let record = SweepRecord {
        // Both are given by the store.
        version: 0,
        id: RunId::from_random_bytes([0; 5]),
        experiment: experiment.map(str::to_owned),
        of_others,
        command: command.to_vec(),
        again: again.to_vec(),
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
