//! A store that something else has laid hands on: damage is seen, named, and costs no more than it touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;

use crate::support::{Workbench, finish, signal, steps_logged, wait_for};

const LINE: &str = "run tiny.toml --threads 1 --set train.steps=600";

/// A store with a run that was stopped between two checkpoints.
fn stopped() -> (Workbench, PathBuf) {
    let workbench = Workbench::tiny("");
    let child = workbench.start(LINE);
    wait_for("27 steps", || workbench.run_folders().first().filter(|run| steps_logged(run) >= 27).map(drop));
    signal("INT", child.id());
    assert_eq!(finish(child).code, Some(130));
    let run = workbench.run_folders().remove(0);
    (workbench, run)
}

/// Chain and weights of the run when nothing happens to it.
fn undisturbed() -> &'static [Value; 2] {
    static BITS: LazyLock<[Value; 2]> = LazyLock::new(|| {
        let workbench = Workbench::tiny("");
        workbench.stdout(LINE);
        bits(&workbench)
    });
    &BITS
}

/// The checkpoints of a run by step, without the best.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("step-"));
    files.sort();
    files
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn bits(workbench: &Workbench) -> [Value; 2] {
    let run = workbench.only_run();
    ["final_chain", "final_weights"].map(|fact| run["facts"][fact].clone())
}

#[test]
fn a_damaged_checkpoint_is_stepped_over_and_the_run_says_so() {
    for damaged in [1, 2] {
        let (workbench, run) = stopped();
        let files = checkpoints(&run);
        assert_eq!(files.len(), 2);
        files.iter().rev().take(damaged).for_each(|path| flip(path));
        let output = workbench.run(LINE);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        for file in files.iter().rev().take(damaged) {
            let said =
                format!("{} is damaged: its content does not match its digest", file.file_name().unwrap().display());
            let instead = if damaged < files.len() { "the one before it is used" } else { "so the run starts anew" };
            assert!(output.stderr.contains(&said) && output.stderr.contains(instead), "{}", output.stderr);
            assert!(workbench.stdout("show latest").contains(&said));
        }
        assert_eq!(workbench.only_run()["warnings"].as_array().unwrap().len(), damaged);
        assert_eq!(&bits(&workbench), undisturbed(), "{damaged} damaged");
    }
}

#[test]
fn a_torn_last_record_is_passed_over() {
    let (workbench, run) = stopped();
    let log = run.join("events.log");
    let mut text = fs::read_to_string(&log).unwrap();
    text.push_str("12345678 {\"step\":{\"st");
    fs::write(&log, text).unwrap();
    assert_eq!(workbench.only_run()["state"], "interrupted");
    workbench.stdout(LINE);
    assert_eq!(&bits(&workbench), undisturbed());
}

#[test]
fn a_damaged_log_is_named_and_hides_no_other_run() {
    let workbench = Workbench::tiny("[sweep.replicates]\nseeds = 2\n");
    workbench.stdout("run tiny.toml");
    let log = workbench.run_folders()[0].join("events.log");
    let text = fs::read_to_string(&log).unwrap();
    fs::write(&log, text.replacen("\"step\":3,", "\"step\":4,", 1)).unwrap();
    let listed = workbench.run("list");
    assert_eq!((listed.code, listed.stdout.lines().count()), (Some(0), 2), "{}", listed.stdout);
    assert!(listed.stderr.contains("events.log` is damaged at line "), "{}", listed.stderr);
    assert_eq!(workbench.run("doctor").code, Some(1));
    // Its specification is missing now, so it is executed again; the damaged folder is left as it is.
    workbench.stdout("run tiny.toml");
    assert_eq!(workbench.run_folders().len(), 3);
    assert_eq!(workbench.list().len(), 2);
}

#[test]
fn the_index_can_be_lost_at_any_time() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml");
    let before = workbench.list();
    let index = workbench.path("runs/index.sqlite");
    fs::remove_file(&index).unwrap();
    assert_eq!(workbench.list(), before);
    fs::write(&index, "no database").unwrap();
    assert_eq!(workbench.list(), before);
    fs::write(&index, "").unwrap();
    assert_eq!(workbench.list(), before);
}

#[test]
fn a_damaged_cache_is_built_anew() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml");
    let bits = |workbench: &Workbench| {
        let run = workbench.json("show latest --json", "ablate-run-1");
        ["final_chain", "final_weights"].map(|fact| run["facts"][fact].clone())
    };
    let before = bits(&workbench);
    let id = workbench.only_run()["id"].as_str().unwrap().to_owned();
    for folder in ["tokenizers", "tokens"] {
        for entry in fs::read_dir(workbench.path("runs/cache").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            workbench.stdout(&format!("reproduce {id}"));
            assert_eq!(bits(&workbench), before, "{}", path.display());
            assert_eq!(fs::read(&path).unwrap(), bytes, "{}", path.display());
        }
    }
}
