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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;

    #[test]
    fn what_is_announced_is_in_the_store_until_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let tasks = testing::tasks("[sweep.grid]\n\"optimizer.lr\" = [1e-3, 2e-3]\n");
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (command, again) = (words("ablate run x.toml"), words("run -- x.toml"));
        let of = Announced::Experiment("test");
        let open = announce(&store, of, &tasks, &[1.0, 3.0], (&command, &again), (2, 1)).unwrap();

        let stored = store.sweeps().unwrap().remove(0);
        assert!(stored.is_alive && stored.is_of("test") && tasks.iter().all(|task| stored.executes(task.hash)));
        let record = &stored.record;
        assert_eq!((record.process, record.slots, record.threads), (std::process::id(), 2, 1));
        assert_eq!((&record.command, &record.again), (&command, &again));
        let told = |task: &SweepTask| (task.work, task.done_before, task.axes["optimizer.lr"].as_f64());
        assert_eq!(record.tasks.iter().map(told).collect::<Vec<_>>(), [(1.0, 0.0, Some(1e-3)), (3.0, 0.0, Some(2e-3))]);

        let run = RunId::from_random_bytes([1; 5]);
        let outcomes = [TaskOutcome::Finished(run), TaskOutcome::Broken { reason: "no corpus".to_owned() }];
        conclude(&open, &tasks, &outcomes).unwrap();
        drop(open);
        let stored = store.sweeps().unwrap().remove(0);
        assert!(!stored.is_alive && stored.record.ended_at.is_some());
        let problems: Vec<_> = stored.record.tasks.iter().map(|task| task.problem.as_deref()).collect();
        assert_eq!(problems, [None, Some("no corpus")]);
    }

    #[test]
    fn runs_that_were_named_one_by_one_are_of_their_experiments() {
        let folder = tempfile::tempdir().unwrap();
        let store = testing::sources(folder.path()).store;
        let experiments = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let of = Announced::Runs(&experiments);
        let _open = announce(&store, of, &testing::tasks(""), &[1.0], (&[], &[]), (1, 1)).unwrap();
        let stored = store.sweeps().unwrap().remove(0);
        assert!(stored.record.experiment.is_none() && stored.is_of("a") && stored.is_of("b") && !stored.is_of("c"));
    }
}
