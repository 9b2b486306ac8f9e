//! Runs that a guest logged: the commands that only look work on them as on others, and the rest say why they cannot.

use ablate::store::{GuestRun, Lineage, Logged, LoggedPoint, RunState, Store};
use ablate::types::Timestamp;
use serde_json::{Value, json};

use crate::support::Workbench;

/// Four runs of a program: two learning rates, two seeds each, a loss that falls to 1 / (rate + seed).
fn guests() -> (Workbench, Vec<String>) {
    let workbench = Workbench::tiny("");
    let store = Store::open(workbench.path("runs")).unwrap();
    let at = Timestamp::from_unix_millis;
    let mut ids = Vec::new();
    for (rate, seed) in [(0.1, 1), (0.1, 2), (0.5, 1), (0.5, 2)] {
        let Value::Object(parameters) = json!({ "lr": rate, "seed": seed, "model": { "kind": "gru" } }) else {
            panic!()
        };
        let logged = Logged { by: "train.py".into(), experiment: Some("grus".into()), parameters };
        let mut run: GuestRun =
            store.create_logged(&logged, &json!({ "python": "3.12" }), &Lineage::default(), at(1_000)).unwrap();
        let point = |step: i64, value: f64| LoggedPoint { key: "Val Loss".parse().unwrap(), step, at: None, value };
        run.points(vec![point(0, f64::NAN), point(10, 2.0), point(20, 1.0 / (rate + f64::from(seed)))]).unwrap();
        run.state(RunState::Finished, None, at(9_000)).unwrap();
        ids.push(run.dir().id().to_string());
    }
    (workbench, ids)
}

#[test]
fn guests_are_listed_shown_compared_and_told_apart() {
    let (workbench, ids) = guests();
    let rows = workbench.json("list grus lr=0.5 --json", "ablate-list-1")["runs"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(
            (&row["logged_by"], &row["spec_hash"], &row["steps_done"]),
            (&json!("train.py"), &Value::Null, &json!(20))
        );
    }
    let shown = workbench.stdout(&format!("show {}", ids[0]));
    assert!(
        shown.contains("logged by train.py") && shown.contains("model.kind") && shown.contains("Val Loss"),
        "{shown}"
    );
    let run = workbench.json(&format!("show {} --json", ids[0]), "ablate-run-1");
    assert_eq!(run["logged"]["parameters"], json!({ "lr": 0.1, "seed": 1, "model": { "kind": "gru" } }));
    assert_eq!(run["series"]["Val Loss"]["steps"], json!([0, 10, 20]));

    let difference = workbench.json(&format!("diff {} {} --json", ids[0], ids[2]), "ablate-diff-1");
    assert_eq!(difference["settings"], json!([{ "key": "lr", "first": "0.1", "second": "0.5" }]));
    assert_eq!(difference["metrics"][0]["delta"], json!(1.0 / 1.5 - 1.0 / 1.1));

    let output = workbench.command(&["compare", "grus", "--metric", "Val Loss", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let compared: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&compared["axes"][0]["name"], compared["cells"].as_array().unwrap().len()),
        (&json!("lr"), 2),
        "{compared}"
    );
    let mean = |rate: f64| (1.0 / (rate + 1.0) + 1.0 / (rate + 2.0)) / 2.0;
    let found: Vec<f64> =
        compared["cells"].as_array().unwrap().iter().map(|cell| cell["mean"].as_f64().unwrap()).collect();
    assert!(found.iter().zip([0.1, 0.5]).all(|(found, rate)| (found - mean(rate)).abs() < 1e-12), "{found:?}");
}

#[test]
fn what_needs_a_specification_says_that_there_is_none() {
    let (workbench, ids) = guests();
    for command in
        ["reproduce ID", "fill-mask ID [MASK]", "export ID --format hf", "memorisation ID", "predict ID tiny.toml"]
    {
        let output = workbench.run(&command.replace("ID", &ids[0]));
        assert_eq!(output.code, Some(2), "{command}: {}", output.stderr);
        let said = format!("run {} was logged by train.py: it has no specification", ids[0]);
        assert!(output.stderr.contains(&said), "{command}: {}", output.stderr);
    }
}

/// A run that one experiment trained and another reuses belongs to both.
#[test]
fn a_reused_run_is_visible_under_every_experiment_that_wants_it() {
    let workbench = Workbench::tiny("[sweep.grid]\n\"objective.mask_ratio\" = [0.15, 0.3]\n");
    workbench.stdout("run tiny.toml");
    let file = std::fs::read_to_string(workbench.path("tiny.toml")).unwrap();
    let other = file.replace("name = \"tiny\"", "name = \"other\"").replace("[0.15, 0.3]", "[0.3, 0.4]");
    let workbench = workbench.write("other.toml", other);
    let output = workbench.run("run other.toml");
    assert!(output.stderr.contains("1 trained, 1 reused"), "{}", output.stderr);
    let under = |name: &str| {
        let rows = workbench.json(&format!("list {name} --json"), "ablate-list-1")["runs"].as_array().unwrap().clone();
        let mut ratios: Vec<String> = rows.iter().map(|row| row["axes"]["objective.mask_ratio"].to_string()).collect();
        ratios.sort();
        ratios.join(" ")
    };
    assert_eq!([under("tiny"), under("other")], ["0.15 0.3", "0.3 0.4"]);
    let compared = workbench.json("compare other --json", "ablate-comparison-2");
    assert_eq!(compared["cells"].as_array().unwrap().len(), 2);
    let listed = workbench.stdout("list other");
    assert!(listed.lines().skip(1).all(|line| line.contains("other")), "{listed}");
    // Once is enough.
    let labels: Vec<_> = workbench.run_folders().iter().map(|run| run.join("labels.json").exists()).collect();
    assert_eq!(labels.iter().filter(|has| **has).count(), 1);
    workbench.stdout("run other.toml");
    assert_eq!(under("other"), "0.3 0.4");
}
