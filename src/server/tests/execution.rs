//! Executing from a page: who may, what is started, and what is refused in words.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Bench, options};
use crate::server::{AtWork, Executor, Options, ServeError};
use crate::store::{OpenSweep, RunState, Store, SweepRecord, SweepTask};
use crate::types::Timestamp;

/// Starts nothing and remembers what it was asked for; whether what it started stays at work.
#[derive(Debug, Default)]
struct Remembers(Mutex<Vec<(Vec<String>, Option<String>)>>, AtomicBool);

impl Executor for Remembers {
    fn start(&self, arguments: &[String], folder: Option<&Path>) -> Result<AtWork, String> {
        if arguments.contains(&"broken.toml".to_owned()) {
            return Err("exit status: 2\nno such file".to_owned());
        }
        let folder = folder.map(|folder| folder.display().to_string());
        self.0.lock().unwrap().push((arguments.to_vec(), folder));
        Ok(AtWork::new(AtomicBool::new(self.1.load(Ordering::Relaxed))))
    }
}

fn executing() -> (Bench, Arc<Remembers>) {
    let remembers = Arc::new(Remembers::default());
    let executor: Arc<dyn Executor> = remembers.clone();
    (Bench::with(&Options { executor: Some(executor), ..options() }), remembers)
}

fn ask(bench: &Bench, body: &Value) -> Answer {
    bench.ask(&Method::POST, "/api/v1/execution", body.to_string())
}

fn sweep(store: &Store, name: &str, file: &str) -> OpenSweep {
    let spec = crate::store::testing::spec(1, 0.15).hash();
    let task = SweepTask {
        spec,
        label: "seed=1".to_owned(),
        axes: Default::default(),
        work: 1.0,
        done_before: 0.0,
        problem: None,
    };
    let command = ["ablate", "run", file, "--retry", "--jobs", "2"].map(str::to_owned).to_vec();
    let again = ["run", "--jobs", "2", "--", file].map(str::to_owned).to_vec();
    let record = SweepRecord {
        version: 0,
        id: "aaaaaaaa".parse().unwrap(),
        experiment: Some(name.to_owned()),
        of_others: Default::default(),
        command,
        again,
        folder: "/where/it/was".into(),
        host: "here".to_owned(),
        process: 1,
        started_at: Timestamp::from_unix_millis(0),
        ended_at: None,
        slots: 1,
        threads: 1,
        tasks: vec![task],
    };
    store.begin_sweep(record).unwrap()
}

#[test]
fn nothing_is_executed_unless_the_server_was_told_to() {
    let bench = Bench::new();
    let _open = sweep(bench.store(), "grid", "x.toml");
    for what in ["stop", "resume", "retry"] {
        let answer = ask(&bench, &json!({ "do": what, "experiment": "grid" }));
        assert_eq!(answer.fault(), (403, "PERMISSION_DENIED".into()));
    }
    assert!(!bench.store().sweeps().unwrap()[0].is_stopping);
    assert!(!bench.ask(&Method::GET, "/experiments/grid", "").text().contains("data-executes"));
    let executor: Option<Arc<dyn Executor>> = Some(Arc::new(Remembers::default()));
    let both = Options { is_read_only: true, executor, ..options() };
    assert!(matches!(both.check(), Err(ServeError::ReadOnlyExecutes)));
}

#[test]
fn a_sweep_is_stopped_and_set_going_again_by_its_own_command() {
    let (bench, remembers) = executing();
    let open = sweep(bench.store(), "grid", "x.toml");
    let said = |what: &str| ask(&bench, &json!({ "do": what, "experiment": "grid" }));
    assert_eq!(said("resume").json()["message"], "a sweep of 'grid' is running");
    assert_eq!(said("stop").status.as_u16(), 200);
    assert!(open.requests().all);
    let page = bench.ask(&Method::GET, "/experiments/grid", "").text();
    assert!(page.contains("data-executes") && page.contains("stopping") && page.contains("1 waiting"), "{page}");
    drop(open);
    assert_eq!(said("stop").json()["message"], "no sweep of 'grid' is running");
    assert_eq!((said("resume").status.as_u16(), said("retry").status.as_u16()), (200, 200));
    let words = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let there = Some("/where/it/was".to_owned());
    let expected = [(words("run --jobs 2 -- x.toml"), there.clone()), (words("run --retry --jobs 2 -- x.toml"), there)];
    assert_eq!(*remembers.0.lock().unwrap(), expected);
    drop(sweep(bench.store(), "other", "broken.toml"));
    let answer = ask(&bench, &json!({ "do": "resume", "experiment": "other" }));
    assert_eq!(
        (answer.status.as_u16(), answer.json()["message"].clone()),
        (400, json!("exit status: 2\nno such file"))
    );
}

/// Of two sweeps that have a run among theirs only one is at it, and both hear that it is to stop; what is started is not started twice.
#[test]
fn a_stop_reaches_every_sweep_of_a_run_and_a_start_is_one() {
    let (bench, remembers) = executing();
    let store = bench.store();
    let spec = crate::store::testing::spec(1, 0.15);
    let run = store.create_planned(&spec, &json!({}), Timestamp::from_unix_millis(0)).unwrap();
    let lease = run.acquire_lease().unwrap();
    let mut log = run.open_log(&lease).unwrap();
    log.append(&crate::store::testing::state(RunState::Running, 1)).unwrap();
    let sweeps = [sweep(store, "grid", "x.toml"), sweep(store, "again", "y.toml")];
    let guest = bench.run();
    assert_eq!(ask(&bench, &json!({ "do": "stop", "runs": [guest, run.id()] })).status.as_u16(), 200);
    assert!(sweeps.iter().all(|sweep| sweep.requests().runs.contains(run.id())));
    sweeps[0].forget(run.id());
    assert!(sweeps[0].requests().runs.is_empty() && !sweeps[1].requests().runs.is_empty());
    drop(sweeps);
    remembers.1.store(true, Ordering::Relaxed);
    let resume = || ask(&bench, &json!({ "do": "resume", "experiment": "grid" })).status.as_u16();
    assert_eq!((resume(), resume(), remembers.0.lock().unwrap().len()), (200, 400, 1));
}

#[test]
fn runs_are_resumed_by_their_ids() {
    let (bench, remembers) = executing();
    let run = bench.run();
    assert_eq!(ask(&bench, &json!({ "do": "retry", "runs": [run] })).status.as_u16(), 200);
    let expected = (vec!["resume".to_owned(), format!("id = {run}"), "--retry".to_owned()], None);
    assert_eq!(*remembers.0.lock().unwrap(), [expected]);
    for bad in [
        json!({ "do": "resume" }),
        json!({ "do": "resume", "runs": [] }),
        json!({ "do": "resume", "runs": ["zzzzzzzz"] }),
        json!({ "do": "resume", "runs": ["x; rm -rf"] }),
        json!({ "do": "resume", "runs": [run], "experiment": "grid" }),
        json!({ "do": "burn", "runs": [run] }),
        json!({ "do": "stop", "runs": [run] }),
        json!({ "do": "stop", "experiment": "none" }),
        json!({ "do": "resume", "experiment": "none" }),
        json!({ "do": "resume", "runs": [run], "as": "root" }),
        json!([]),
    ] {
        assert!(ask(&bench, &bad).status.is_client_error(), "{bad}");
    }
    assert_eq!(remembers.0.lock().unwrap().len(), 1);
}
