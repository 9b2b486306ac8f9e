//! What becomes of tasks, with a launcher that only pretends: every branch of the decisions, in milliseconds.

use std::cell::RefCell;

use insta::assert_snapshot;
use tempfile::TempDir;

use super::*;
use crate::runner::launch::fake::{Act, FakeLauncher, perform};
use crate::runner::{announcement, sweep, testing};

const SEEDS: &str = "[sweep.replicates]\nseeds = 3\n";

/// A store and the tasks of an experiment.
struct Bench {
    _folder: TempDir,
    sources: DataSources,
    tasks: Vec<Task>,
    options: Options,
}

/// What a sweep came to.
#[derive(Debug, PartialEq)]
struct Came {
    outcomes: Vec<String>,
    /// What was told on the way, progress left out.
    told: Vec<String>,
    runs: Vec<RunId>,
}

impl Bench {
    fn new(extra: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sources, plan) = (testing::sources(folder.path()), testing::plan(extra));
        let tasks = testing::tasks_of(&plan);
        let options = Options { halving: sweep::halving(&plan, &tasks), ..Options::default() };
        Self { _folder: folder, sources, tasks, options }
    }

    fn execute(&self, launcher: &mut FakeLauncher) -> Came {
        self.execute_until(launcher, &Stop::default())
    }

    fn execute_until(&self, launcher: &mut FakeLauncher, stop: &Stop) -> Came {
        let mut told = Vec::new();
        let mut watch = |event: SweepEvent| match event {
            SweepEvent::Started { task, from, .. } => {
                told.push(format!("{task} starts from {}", from.map_or(0, |origin| origin.step.0)));
            }
            SweepEvent::Progress { .. } => {}
            SweepEvent::Waiting { task } => told.push(format!("{task} waits")),
            SweepEvent::AtRung { task, step, value, .. } => told.push(format!("{task} at step {step}: {value}")),
            SweepEvent::Ended { task, outcome } => told.push(format!("{task} {}", words(outcome).0)),
        };
        let outcomes = execute(&self.sources, &self.tasks, &self.options, launcher, stop, &mut watch).unwrap();
        let (outcomes, runs): (Vec<_>, Vec<_>) = outcomes.iter().map(words).unzip();
        Came { outcomes, told, runs: runs.into_iter().flatten().collect() }
    }
}

/// An outcome in words, and its run.
fn words(outcome: &TaskOutcome) -> (String, Option<RunId>) {
    let (word, run, reason) = match outcome {
        TaskOutcome::Reused(run) => ("reused", Some(run), None),
        TaskOutcome::Finished(run) => ("finished", Some(run), None),
        TaskOutcome::Interrupted(run) => ("interrupted", Some(run), None),
        TaskOutcome::Stopped { run, reason } => ("stopped", Some(run), Some(reason)),
        TaskOutcome::Failed { run, reason } => ("failed", Some(run), Some(reason)),
        TaskOutcome::Broken { reason } => ("broken", None, Some(reason)),
        TaskOutcome::FailedBefore { run, reason } => ("failed before", Some(run), Some(reason)),
        TaskOutcome::NotStarted => ("not started", None, None),
    };
    let text = reason.map_or_else(|| word.to_owned(), |reason| format!("{word}: {reason}"));
    (text, run.cloned())
}

/// One task is executed twice, each time with a new launcher.
fn check(acts: [Act; 2], outcomes: [&str; 2], launches: [usize; 2]) {
    let bench = Bench::new("");
    let mut runs = Vec::new();
    for ((act, expected), launches) in acts.into_iter().zip(outcomes).zip(launches) {
        let mut launcher = FakeLauncher::new(1, |_, _| act);
        let came = bench.execute(&mut launcher);
        assert!(came.outcomes[0].starts_with(expected), "{act:?}: {:?}, expected {expected}", came.outcomes);
        assert_eq!(launcher.launched.len(), launches, "{act:?}");
        runs.extend(came.runs);
    }
    assert_eq!(bench.sources.store.run_ids().unwrap().len(), 1, "{acts:?}: the second time takes the first run");
    runs.dedup();
    assert!(runs.len() <= 1);
}

#[test]
fn what_became_of_a_task_decides_what_becomes_of_it_again() {
    use Act::*;
    let crash = "thread 'main' panicked at src/x.rs:1:\nno memory of 4 GB\nnote: run with RUST_BACKTRACE=1\n";
    let crashed = "failed: the worker ended with exit status: 101: thread 'main' panicked at src/x.rs:1: no memory of 4 GB \
                   (all it said: ";
    check([Trains(2.0), Trains(2.0)], ["finished", "reused"], [1, 0]);
    check([Fails("no disk"), Trains(2.0)], ["failed: no disk", "failed before: no disk"], [1, 0]);
    check([IsKilled(3), Trains(2.0)], ["interrupted", "finished"], [1, 1]);
    check([Crashes(crash), Trains(2.0)], [crashed, "failed before: the worker ended"], [1, 0]);
    check(
        [IsNot, Trains(2.0)],
        ["broken: cannot start a worker process (ablate): no such program", "finished"],
        [1, 1],
    );
}

#[test]
fn a_failed_run_is_retried_from_where_it_stands() {
    let mut bench = Bench::new("");
    let died = bench.execute(&mut FakeLauncher::new(1, |_, _| Act::IsKilled(12)));
    bench.execute(&mut FakeLauncher::new(1, |_, _| Act::Fails("no disk")));
    bench.options.retry = true;
    let came = bench.execute(&mut FakeLauncher::new(1, |_, _| Act::Trains(2.0)));
    assert_eq!((&came.outcomes[..], &came.runs), (&["finished".to_owned()][..], &died.runs));
    assert_eq!(came.told, ["0 starts from 12", "0 finished"]);
}

#[test]
fn a_task_that_fails_stops_no_other_and_slots_are_kept() {
    let bench = Bench::new("[sweep.replicates]\nseeds = [0, 1, 2, 3, 4]\n");
    let script = |spec: &RunSpec, _| if spec.train().seed.0 == 2 { Act::Fails("bad luck") } else { Act::Trains(2.0) };
    let mut launcher = FakeLauncher::new(2, script);
    let came = bench.execute(&mut launcher);
    assert_eq!(came.outcomes.iter().filter(|outcome| *outcome == "finished").count(), 4);
    assert_eq!(came.outcomes.iter().filter(|outcome| *outcome == "failed: bad luck").count(), 1);
    assert_eq!((launcher.launched.len(), launcher.most_at_once), (5, 2));
}

#[test]
fn a_stop_reaches_who_works_and_begins_nothing_more() {
    let bench = Bench::new(SEEDS);
    let stop = Stop::default();
    let mut launcher = FakeLauncher::new(1, |_, _| Act::Trains(2.0));
    // The first look, while the first worker is at it.
    launcher.at_look = Box::new(|_| stop.request());
    let came = bench.execute_until(&mut launcher, &stop);
    assert_eq!(came.outcomes, ["finished", "not started", "not started"], "it ended before it heard");
    let stop = Stop::default();
    stop.request();
    let came = bench.execute_until(&mut FakeLauncher::new(1, |_, _| Act::Trains(2.0)), &stop);
    assert_eq!(came.outcomes, ["not started"; 3], "what is finished is not even looked at");
    let bench = Bench::new(SEEDS);
    let stop = RefCell::new(Stop::default());
    let mut launcher = FakeLauncher::new(2, |_, _| Act::Trains(2.0));
    let asked = stop.borrow().clone();
    launcher.at_look = Box::new(move |look| {
        if look == 0 {
            asked.request()
        }
    });
    let came = bench.execute_until(&mut launcher, &stop.borrow());
    assert_eq!(came.outcomes, ["finished", "interrupted", "not started"]);
    assert_eq!(launcher.stopped.len(), 1);
    let resumed = bench.execute(&mut FakeLauncher::new(1, |_, _| Act::Trains(2.0)));
    assert_eq!(resumed.outcomes, ["reused", "finished", "finished"]);
    assert!(resumed.told.contains(&"1 starts from 1".to_owned()), "{:?}", resumed.told);
}

/// From another terminal, by the store alone: runs of a sweep are stopped, or all that is left of it.
#[test]
fn a_sweep_hears_a_request_in_the_store() {
    for all in [false, true] {
        let bench = Bench::new("[sweep.replicates]\nseeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n");
        let store = &bench.sources.store;
        let announced = {
            let of = announcement::Announced::Experiment("test");
            announcement::announce(store, of, &bench.tasks, &[1.0; 12], (&[], &[]), (2, 1)).unwrap()
        };
        let sweep = store.sweeps().unwrap().remove(0);
        assert!(sweep.is_alive && bench.tasks.iter().all(|task| sweep.executes(task.hash)));
        let options = Options { sweep: Some(announced.clone()), ..Options::default() };
        let bench = Bench { options, ..bench };
        let store = &bench.sources.store;
        let ask = |run: Option<&RunId>| store.ask_to_stop(&sweep.record.id, run).unwrap();
        let mut launcher = FakeLauncher::new(2, |_, _| Act::Trains(2.0));
        launcher.at_look = Box::new(|look| match look {
            // The two that are at work, of which one ends before the request is seen.
            4 if !all => {
                let waits = |run: &RunId| store.load(run).unwrap().state == RunState::Planned;
                store.run_ids().unwrap().iter().filter(|run| waits(run)).for_each(|run| ask(Some(run)));
            }
            4 => ask(None),
            _ => {}
        });
        let stop = Stop::default();
        let came = bench.execute_until(&mut launcher, &stop);
        let count = |outcome: &str| came.outcomes.iter().filter(|came| *came == outcome).count();
        let counts = (count("finished"), count("interrupted"), count("not started"));
        assert_eq!((counts, stop.is_requested()), (if all { (5, 1, 6) } else { (11, 1, 0) }, all));
        announcement::conclude(&announced, &bench.tasks, &[]).unwrap();
        assert!(store.sweeps().unwrap().iter().all(|sweep| !sweep.is_alive && sweep.record.ended_at.is_some()));
    }
}

/// Another process has the claim of a task: its end is awaited, whatever it is, and that is said once.
#[test]
fn what_another_process_executes_is_awaited() {
    for (other, expected, launches) in [(Some(Act::Trains(2.0)), "reused", 2), (None, "finished", 3)] {
        let bench = Bench::new(SEEDS);
        let store = &bench.sources.store;
        let (claim, task) = (RefCell::new(Some(store.claim_spec(bench.tasks[1].hash).unwrap())), &bench.tasks[1]);
        let mut launcher = FakeLauncher::new(2, |_, _| Act::Trains(2.0));
        launcher.at_look = Box::new(|look| {
            if look == 7 {
                if let Some(act) = other {
                    let provenance = Provenance::new(&task.spec, 1, &[], None, clock::now()).to_json();
                    perform(&store.create_planned(&task.spec, &provenance, clock::now()).unwrap(), None, act, false);
                }
                claim.take();
            }
        });
        let came = bench.execute(&mut launcher);
        assert_eq!(came.outcomes, ["finished", expected, "finished"]);
        assert_eq!(came.told.iter().filter(|line| *line == "1 waits").count(), 1, "{:?}", came.told);
        assert_eq!(launcher.launched.len(), launches);
    }
}

/// The parent of a worker died, and a new sweep finds the worker still at it.
#[test]
fn an_orphaned_worker_is_awaited() {
    let bench = Bench::new("");
    let store = &bench.sources.store;
    let provenance = Provenance::new(&bench.tasks[0].spec, 1, &[], None, clock::now()).to_json();
    let run = store.create_planned(&bench.tasks[0].spec, &provenance, clock::now()).unwrap();
    let lease = RefCell::new(Some(run.acquire_lease().unwrap()));
    let mut log = run.open_log(lease.borrow().as_ref().unwrap()).unwrap();
    log.append(&Event::State { state: RunState::Running, reason: None, at: clock::now() }).unwrap();
    let mut launcher = FakeLauncher::new(1, |_, _| Act::Trains(2.0));
    launcher.at_look = Box::new(|look| {
        if look == 3 {
            drop(lease.take())
        }
    });
    let came = bench.execute(&mut launcher);
    assert_eq!((came.told.first().map(String::as_str), &came.runs[..]), (Some("0 waits"), &[run.id().clone()][..]));
    assert_eq!(came.outcomes, ["finished"], "it died, and its run is resumed");
}

#[test]
fn a_shorter_run_of_a_trajectory_goes_first() {
    let lengths = "[schedule]\nkind = \"constant\"\nwarmup_steps = 0\n[sweep.grid]\n\"train.steps\" = [40, 20]\n";
    let mut bench = Bench::new(lengths);
    bench.options.sharing = true;
    let came = bench.execute(&mut FakeLauncher::new(2, |_, _| Act::Trains(2.0)));
    assert_eq!(came.told, ["1 starts from 0", "1 finished", "0 starts from 0", "0 finished"]);
}

#[test]
fn a_reproduction_is_always_a_run_of_its_own() {
    let mut bench = Bench::new("");
    let original = bench.execute(&mut FakeLauncher::new(1, |_, _| Act::Trains(2.0))).runs.remove(0);
    bench.tasks[0].reproduces = Some(original.clone());
    for _ in 0..2 {
        let again = bench.execute(&mut FakeLauncher::new(1, |_, _| Act::Trains(2.0)));
        assert_eq!(again.outcomes, ["finished"]);
        assert_ne!(again.runs[0], original);
    }
    bench.tasks[0].reproduces = None;
    let again = bench.execute(&mut FakeLauncher::new(1, |_, _| Act::Trains(2.0)));
    assert_eq!((&again.outcomes[0][..], &again.runs[0]), ("reused", &original), "a reproduction is no replicate");
}

const RATES: &str = "[sweep.grid]\n\"optimizer.lr\" = [4e-3, 1e-3, 3e-3, 2e-3]\n[sweep.halving]\nmin_steps = 10\n\
                     reduction_factor = 2\n";

/// The loss is the learning rate, so that the second task is best and the fourth comes next.
fn by_rate(spec: &RunSpec, _: usize) -> Act {
    Act::Trains(spec.optimizer().lr)
}

#[test]
fn halving_trains_the_best_on_and_says_why_the_others_stopped() {
    let bench = Bench::new(RATES);
    let came = bench.execute(&mut FakeLauncher::new(1, by_rate));
    assert_snapshot!(came.told.join("\n"), @"
    0 starts from 0
    0 at step 10: 0.004
    1 starts from 0
    1 at step 10: 0.001
    1 starts from 10
    1 at step 20: 0.001
    2 starts from 0
    2 at step 10: 0.003
    3 starts from 0
    3 at step 10: 0.002
    3 starts from 10
    3 at step 20: 0.002
    1 starts from 20
    1 finished
    0 stopped: stopped at rung 0, step 10: valid/mlm_loss_mask 0.0040 is number 4 of 4, and the best 2 continue
    2 stopped: stopped at rung 0, step 10: valid/mlm_loss_mask 0.0030 is number 3 of 4, and the best 2 continue
    3 stopped: stopped at rung 1, step 20: valid/mlm_loss_mask 0.0020 is number 2 of 2, and the best 1 continue
    ");
    let mut again = FakeLauncher::new(1, by_rate);
    assert_eq!(bench.execute(&mut again).outcomes.len(), 4);
    assert_eq!(again.launched, [], "asked again, nothing is left to train");
}

#[test]
fn a_sweep_that_is_stopped_at_a_rung_knows_no_verdict_yet() {
    let bench = Bench::new(RATES);
    let stop = Stop::default();
    let mut launcher = FakeLauncher::new(1, by_rate);
    launcher.at_look = Box::new(|look| {
        if look == 1 {
            stop.request()
        }
    });
    let came = bench.execute_until(&mut launcher, &stop);
    assert!(came.outcomes.iter().all(|outcome| outcome == "interrupted" || outcome == "not started"), "{came:?}");
    let whole = Bench::new(RATES).execute(&mut FakeLauncher::new(1, by_rate)).outcomes;
    assert_eq!(bench.execute(&mut FakeLauncher::new(1, by_rate)).outcomes, whole, "and comes to it later");
}

#[test]
fn the_last_error_is_what_a_worker_said_about_itself() {
    let check = |log: &str, expected: &str| assert_eq!(last_error_line(log), expected);
    check("", "it said nothing");
    check("a\nb\n\n", "b");
    let memory = "memory allocation of 4000000000000 bytes failed";
    check(&format!("{memory}\nnote: Some details are omitted, run with `RUST_BACKTRACE=full`\n"), memory);
    check("thread 'x' panicked at a.rs:1:\nboom\n   0: frame\nnote: see\n", "thread 'x' panicked at a.rs:1: boom");
    check("panicked at one\nfirst\npanicked at two\nsecond\nlater\n", "panicked at two second");
}
