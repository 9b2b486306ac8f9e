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

/// What a power cut leaves that comes between a checkpoint and the records of its steps: the run goes on from what is
/// recorded, and no point is missing at its end.
#[test]
fn a_checkpoint_that_is_ahead_of_its_log_is_not_gone_on_from() {
    for which in [1, 0] {
        let (workbench, run) = stopped();
        let first_lost = step_of(&checkpoints(&run)[which]);
        let log = fs::read_to_string(run.join("events.log")).unwrap();
        let is_kept = |line: &&str| !line.contains(&format!("{{\"step\":{{\"step\":{first_lost},"));
        let kept: String = log.split_inclusive('\n').take_while(is_kept).collect();
        fs::write(run.join("events.log"), kept + "0123456789abcdef {\"st").unwrap();
        let what = format!("all from step {first_lost} on");
        assert!(workbench.run("list").stderr.contains("are no whole record"), "{what}");
        assert!(workbench.stdout("doctor").contains("1 with a torn last record"), "{what}");
        let output = workbench.run(LINE);
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        assert!(output.stderr.contains("is ahead of the run's log"), "{what}: {}", output.stderr);
        let run = workbench.only_run();
        assert_eq!(run["series"]["train/loss"]["steps"].as_array().unwrap().len(), 600, "{what}");
        assert_eq!(&bits(&workbench), undisturbed(), "{what}");
    }
}

/// The step of a checkpoint.
fn step_of(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().strip_prefix("step-").unwrap().parse().unwrap()
}

/// Whatever vanishes from a log, is put in or comes from elsewhere is named by list and doctor, and never compared.
#[test]
fn records_cannot_vanish_or_come_from_another_run() {
    let workbench = Workbench::tiny("[sweep.replicates]\nseeds = 2\n");
    workbench.stdout("run tiny.toml");
    let [path, other] = [0, 1].map(|i| workbench.run_folders()[i].join("events.log"));
    let original = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = original.split_inclusive('\n').collect();
    let step = lines.iter().position(|line| line.contains("{\"step\":{\"step\":20,")).unwrap();
    let evaluation = lines.iter().rposition(|line| line.contains("{\"evaluation\"")).unwrap();
    let without = |from: usize, to: usize| [&lines[..from], &lines[to..]].concat().concat();
    let mut swapped = lines.clone();
    swapped.swap(step, step + 1);
    let others = fs::read_to_string(&other).unwrap();
    let foreign = others.lines().find(|line| line.contains("{\"evaluation\"")).unwrap();
    let put_in = [lines[..=step].concat(), format!("{foreign}\n"), lines[step + 1..].concat()].concat();
    for (what, log) in [
        ("a step", without(step, step + 1)),
        ("ten steps", without(step, step + 10)),
        ("the last evaluation", without(evaluation, evaluation + 1)),
        ("two swapped", swapped.concat()),
        ("an evaluation of another run", put_in),
        ("the log of another run", others.clone()),
    ] {
        fs::write(&path, log).unwrap();
        let id = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
        for command in ["list", "compare tiny"] {
            let output = workbench.run(command);
            assert!(output.stderr.contains(&format!("run {id} is left out: ")), "{what}: {command}: {}", output.stderr);
        }
        assert_eq!((workbench.list().len(), workbench.run("doctor").code), (1, Some(1)), "{what}");
        assert_eq!(workbench.run(&format!("show {id}")).code, Some(1), "{what}");
    }
    fs::write(&path, &original).unwrap();
    assert_eq!((workbench.list().len(), workbench.run("doctor").code), (2, Some(0)));
}

/// An edited specification or provenance is no other run's result: it is named, and nothing is reused by it.
#[test]
fn a_run_is_not_what_an_edited_file_says() {
    for (file, from, to) in [
        ("spec.toml", "mask_ratio = 0.15", "mask_ratio = 0.25"),
        ("provenance.json", "\"rustc\": \"", "\"rustc\": \"x"),
    ] {
        let workbench = Workbench::tiny("");
        workbench.stdout("run tiny.toml");
        let path = workbench.run_folders()[0].join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let output = workbench.run("run tiny.toml --set objective.mask_ratio=0.25");
        assert!(output.stderr.contains("1 trained"), "{}", output.stderr);
        let listed = workbench.run("list");
        let said = format!("{file}` is not what it was when the run was made");
        assert!(listed.stderr.contains(&said) && workbench.list().len() == 1, "{}", listed.stderr);
        let id = path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(workbench.run(&format!("show {id}")).stderr.contains(&said));
        assert_eq!(workbench.run(&format!("reproduce {id}")).code, Some(1));
    }
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
