//! A store that an older program wrote (schema 1 of the specification, version 1 of the log): every command still reads
//! it, an interrupted run of it goes on, and a finished one is reproduced.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::Workbench;

/// Two finished runs of one sweep, a run that stopped at step 8 of 12, and a reproduction of the first.
const FIRST: &str = "kd4t3cmz";
const SECOND: &str = "zrjbw2ze";
const STOPPED: &str = "b32gz93m";
const AGAIN: &str = "21zdgab2";

/// A copy of the store, and the experiment file of its sweep.
fn old_store() -> Workbench {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/old-store");
    let experiment = fs::read(fixture.join("old.toml")).unwrap();
    let workbench = Workbench::tiny("").write("old.toml", experiment);
    for entry in walkdir::WalkDir::new(fixture.join("runs")) {
        let path = entry.unwrap().into_path();
        let target = workbench.path("runs").join(path.strip_prefix(fixture.join("runs")).unwrap());
        if path.is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(path, target).unwrap();
        }
    }
    workbench
}

/// The log that a run was stored with.
fn log_of(workbench: &Workbench, run: &str) -> String {
    fs::read_to_string(workbench.path("runs").join(run).join("events.log")).unwrap()
}

/// Whether this machine computes with the instructions that the store was made with: only then may the bits be equal.
fn is_same_machine(workbench: &Workbench) -> bool {
    workbench.stdout("doctor").contains("matrix kernels with avx512")
}

fn show(workbench: &Workbench, run: &str) -> Value {
    workbench.json(&format!("show {run} --json"), "ablate-run-1")
}

#[test]
fn an_old_store_is_listed_shown_and_compared() {
    let workbench = old_store();
    let mut listed: Vec<(String, String)> = workbench
        .list()
        .iter()
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row["state"].as_str().unwrap().to_owned()))
        .collect();
    listed.sort();
    let expected = [(AGAIN, "finished"), (STOPPED, "stopped"), (FIRST, "finished"), (SECOND, "finished")];
    assert_eq!(listed, expected.map(|(id, state)| (id.to_owned(), state.to_owned())));
    assert_eq!(workbench.run("list").stderr, "");

    let first = show(&workbench, FIRST);
    assert_eq!(first["spec_hash"], "b4bd776377e1ba718cb77ba0ee4444cc34a9e45c4d3db43893371629c30f9085");
    assert_eq!(first["facts"]["final_chain"], show(&workbench, AGAIN)["facts"]["final_chain"]);
    assert_eq!(show(&workbench, AGAIN)["lineage"]["reproduces"], FIRST);
    assert!(workbench.stdout(&format!("show {FIRST}")).contains("valid/mlm_loss"));

    let difference = workbench.json(&format!("diff {FIRST} {SECOND} --json"), "ablate-diff-1");
    assert_eq!(difference["settings"][0]["key"], "objective.mask_ratio");
    assert_eq!(difference["settings"].as_array().unwrap().len(), 1);

    let compared = workbench.json("compare old.toml --json", "ablate-comparison-2");
    assert_eq!(compared["cells"].as_array().unwrap().len(), 2, "{compared}");
    let output = workbench.run("run old.toml");
    assert!(output.stderr.contains("2 reused"), "{}", output.stderr);
    assert_eq!(workbench.run_folders().len(), 4);
}

#[test]
fn a_model_of_an_old_store_fills_masks_and_is_reproduced() {
    let workbench = old_store();
    let words = ["fill-mask", FIRST, "[MASK]", "--json"];
    let output = crate::support::finish(workbench.command(&words).spawn().unwrap());
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let before = log_of(&workbench, FIRST);
    let output = workbench.run(&format!("reproduce {FIRST}"));
    if is_same_machine(&workbench) {
        assert!(output.code == Some(0) && output.stdout.starts_with("identical:"), "{output:?}");
    }
    assert_eq!(log_of(&workbench, FIRST), before);
}

/// Its log stays one of version 1, and ends with the bits of a run that nobody stopped.
#[test]
fn a_stopped_run_of_an_old_store_goes_on() {
    let workbench = old_store();
    let before = log_of(&workbench, STOPPED);
    let sweep = fs::read_to_string(workbench.path("old.toml")).unwrap().replace("[0.15, 0.3]", "[0.35]");
    let workbench = workbench.write("old.toml", sweep);
    let line = "run old.toml";
    let output = workbench.run(line);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let after = log_of(&workbench, STOPPED);
    assert!(after.starts_with(&before) && after.lines().all(|line| line.as_bytes()[8] == b' '));
    let run = show(&workbench, STOPPED);
    assert_eq!(
        (&run["state"], run["series"]["train/loss"]["steps"].as_array().unwrap().len()),
        (&"finished".into(), 12)
    );
    if is_same_machine(&workbench) {
        let output = workbench.run(&format!("reproduce {STOPPED}"));
        assert!(output.code == Some(0) && output.stdout.starts_with("identical:"), "{output:?}");
    }
}

/// What the digest chain says of a log whose lines have no links.
#[test]
fn a_changed_log_of_an_old_store_is_named() {
    let original = log_of(&old_store(), FIRST);
    let lines: Vec<&str> = original.split_inclusive('\n').collect();
    let step =
        |number: u64| lines.iter().position(|line| line.contains(&format!("{{\"step\":{{\"step\":{number},"))).unwrap();
    let evaluation = lines.iter().rposition(|line| line.contains("{\"evaluation\"")).unwrap();
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().concat();
    let swapped = {
        let mut lines = lines.clone();
        lines.swap(step(3), step(2));
        lines.concat()
    };
    let other = log_of(&old_store(), SECOND);
    for (what, log) in [
        ("a step is gone", without(step(3))),
        ("the last evaluation is gone", without(evaluation)),
        ("two steps are swapped", swapped),
        ("the log is another run's", other),
    ] {
        let workbench = old_store();
        fs::write(workbench.path("runs").join(FIRST).join("events.log"), log).unwrap();
        let listed = workbench.run("list");
        assert!(listed.stderr.contains(&format!("run {FIRST} is left out")), "{what}: {}", listed.stderr);
        assert!(!workbench.list().iter().any(|row| row["id"] == FIRST), "{what}");
        assert_eq!(
            (workbench.run(&format!("show {FIRST}")).code, workbench.run("doctor").code),
            (Some(1), Some(1)),
            "{what}"
        );
    }
}

/// A specification that was edited afterwards is not what its run was trained with.
#[test]
fn an_edited_specification_of_an_old_store_is_named() {
    let workbench = old_store();
    let path = workbench.path("runs").join(FIRST).join("spec.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("mask_ratio = 0.15", "mask_ratio = 0.25", 1)).unwrap();
    let listed = workbench.run("list");
    assert!(listed.stderr.contains("spec.toml` is not what it was when the run was made"), "{}", listed.stderr);
    assert!(!workbench.list().iter().any(|row| row["id"] == FIRST));
}
