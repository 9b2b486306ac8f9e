//! A sweep that is watched, stopped and gone on with from outside: by other commands, and by the page.

use std::fs;
use std::process::Child;

use serde_json::{Value, json};

use crate::determinism::{bits, recorded};
use crate::serving::{Server, ask};
use crate::support::{Output, Workbench, finish, steps_logged, wait_for};

/// Runs that are not over before they are stopped.
const LONG: &str = "[sweep.replicates]\nseeds = [1, 2]\n";

fn workbench() -> Workbench {
    let workbench = Workbench::tiny(LONG);
    let text = fs::read_to_string(workbench.path("tiny.toml")).unwrap().replace("steps = 40", "steps = 400");
    workbench.write("tiny.toml", text)
}

/// A sweep whose first run is at work.
fn begun(workbench: &Workbench) -> Child {
    let sweep = workbench.start("run tiny.toml");
    wait_for("a run at work", || workbench.run_folders().iter().any(|run| steps_logged(run) > 10).then_some(()));
    sweep
}

fn sweeps(workbench: &Workbench) -> Vec<Value> {
    workbench.json("status --json", "ablate-sweeps-1")["sweeps"].as_array().unwrap().clone()
}

fn states(workbench: &Workbench) -> Vec<String> {
    let mut states: Vec<String> =
        workbench.list().iter().map(|run| run["state"].as_str().unwrap().to_owned()).collect();
    states.sort();
    states
}

#[test]
fn a_sweep_is_stopped_from_elsewhere_and_its_runs_are_resumed_by_name() {
    let workbench = workbench();
    assert_eq!(workbench.run("stop").code, Some(2), "there is no store");
    let sweep = begun(&workbench);
    let status = &sweeps(&workbench)[0];
    assert_eq!((&status["experiment"], &status["is_running"]), (&json!("tiny"), &json!(true)));
    assert_eq!((&status["counts"]["running"], &status["counts"]["waiting"]), (&json!(1), &json!(1)));
    assert_eq!(status["working"][0]["total_steps"], 400);
    let said = workbench.stdout("status");
    assert!(said.starts_with("tiny: running on ") && said.contains("1 running, 1 waiting"), "{said}");
    for (line, words) in [("stop other", "other"), ("stop zzzzzzzz", "zzzzzzzz")] {
        let Output { code, stderr, .. } = workbench.run(line);
        assert!(code == Some(2) && stderr.contains(words), "{line}: {stderr}");
    }
    let stopping = workbench.run("stop tiny");
    assert!(stopping.code == Some(0) && stopping.stderr.contains("was asked to"), "{}", stopping.stderr);
    let Output { code, stderr, .. } = finish(sweep);
    assert!(code == Some(130) && stderr.contains("the same command resumes"), "{stderr}");
    assert_eq!(states(&workbench), ["interrupted"]);
    let said = workbench.stdout("status");
    assert!(said.contains("not finished") && said.contains("ablate run tiny.toml"), "{said}");

    let resumed = workbench.run("resume state = interrupted");
    assert_eq!(resumed.code, Some(0), "{}", resumed.stderr);
    assert_eq!(states(&workbench), ["finished"]);
    let first = workbench.only_run();
    let again = workbench.run("resume latest");
    assert!(again.code == Some(2) && again.stderr.contains("is finished"), "{}", again.stderr);
    // It came out as one that nobody stopped.
    let fresh = self::workbench();
    fresh.stdout("run tiny.toml --set sweep.replicates.seeds=[1]");
    assert_eq!((bits(&first), recorded(&first)), (bits(&fresh.only_run()), recorded(&fresh.only_run())));
}

#[test]
fn one_run_is_stopped_and_the_others_go_on() {
    let workbench = workbench();
    let sweep = begun(&workbench);
    let run = workbench.run_folders()[0].file_name().unwrap().to_str().unwrap().to_owned();
    let stopping = workbench.run(&format!("stop {run}"));
    assert_eq!(stopping.code, Some(0), "{}", stopping.stderr);
    let Output { code, stderr, .. } = finish(sweep);
    assert!(code == Some(1) && stderr.contains("1 trained, 0 reused, 1 not finished"), "{code:?}: {stderr}");
    assert_eq!(states(&workbench), ["finished", "interrupted"]);
}

#[test]
fn the_page_stops_and_resumes_what_it_was_started_to_execute() {
    let workbench = workbench();
    let server = Server::with(&workbench, &["serve", "--port", "0", "--execute"]);
    let asked = |what: &Value| ask(&server.address, "POST", "/api/v1/execution", &what.to_string()).unwrap();
    let sweep = begun(&workbench);
    assert_eq!(asked(&json!({ "do": "stop", "experiment": "tiny" })).0, 200);
    assert_eq!(finish(sweep).code, Some(130));
    let (status, answer) = asked(&json!({ "do": "resume", "experiment": "tiny" }));
    assert_eq!(status, 200, "{answer}");
    wait_for("both runs", || (states(&workbench) == ["finished", "finished"]).then_some(()));
    // What it starts is a program of its own, and what that says at once is told.
    wait_for("the end of the sweep", || {
        sweeps(&workbench).iter().all(|sweep| sweep["is_running"] == false).then_some(())
    });
    fs::remove_file(workbench.path("tiny.toml")).unwrap();
    // It draws its report still, and is not begun twice.
    let (status, answer) = wait_for("the end of its program", || {
        let (status, answer) = asked(&json!({ "do": "resume", "experiment": "tiny" }));
        (!answer["message"].as_str().unwrap_or_default().contains("at work still")).then_some((status, answer))
    });
    assert!(status == 400 && answer["message"].as_str().unwrap().contains("tiny.toml"), "{answer}");
}
