//! Same program, same specification, same corpus: the same bits, at any number of threads, alone or beside other runs,
//! uninterrupted or killed and resumed; and `reproduce` proves it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Workbench, children_of, finish, signal, steps_logged, wait_for};

/// A model with every source of randomness and every kind of record in it, and steps enough to be killed between them.
const EVERYTHING: &str = "[objective]\nnsp = \"random\"\n[schedule]\nkind = \"cosine\"\n";

/// Chain and weights of a finished run.
pub fn bits(run: &Value) -> [String; 2] {
    assert_eq!(run["state"], "finished", "{}", run["reason"]);
    ["final_chain", "final_weights"].map(|fact| run["facts"][fact].as_str().unwrap().to_owned())
}

/// All that was recorded and does not come from the clock.
pub fn recorded(run: &Value) -> Vec<(String, Value)> {
    let series = run["series"].as_object().unwrap().iter();
    series.filter(|(name, _)| !name.starts_with("time/")).map(|(name, points)| (name.clone(), points.clone())).collect()
}

/// A fresh, uninterrupted run of one thread.
fn alone(extra: &str) -> Value {
    let workbench = Workbench::tiny(extra);
    workbench.stdout("run tiny.toml --threads 1");
    workbench.only_run()
}

#[test]
fn threads_and_neighbours_leave_every_bit_as_it_is() {
    let reference = alone(EVERYTHING);
    for line in ["run tiny.toml --threads 2", "run tiny.toml --threads 3"] {
        let workbench = Workbench::tiny(EVERYTHING);
        workbench.stdout(line);
        let run = workbench.only_run();
        assert_eq!((bits(&run), recorded(&run)), (bits(&reference), recorded(&reference)), "{line}");
    }
    let workbench = Workbench::tiny(&format!("{EVERYTHING}[sweep.replicates]\nseeds = [0, 1]\n"));
    workbench.stdout("run tiny.toml --jobs 2");
    let runs = workbench.list();
    assert_eq!(runs.len(), 2);
    let all: Vec<_> = runs.iter().map(|row| bits(&show(&workbench, row["id"].as_str().unwrap()))).collect();
    assert!(all.contains(&bits(&reference)), "beside another run");
    assert_ne!(all[0], all[1], "two seeds");
}

fn show(workbench: &Workbench, id: &str) -> Value {
    workbench.json(&format!("show {id} --json"), "ablate-run-1")
}

/// Who is killed.
#[derive(Clone, Copy, Debug)]
pub enum Victim {
    Worker,
    /// `ablate run` itself; its worker sees its standard input close.
    Parent,
    /// Both at once: a power cut.
    Both,
}

/// Kills `victim` once the run has made `step` steps more than before; returns the exit code of `ablate run`.
pub fn kill_after(workbench: &Workbench, line: &str, victim: Victim, step: usize) -> Option<i32> {
    let parent = workbench.start(line);
    let id = parent.id();
    let worker = wait_for("a worker", || children_of(id).first().copied());
    wait_for("a step", || workbench.run_folders().first().filter(|run| steps_logged(run) >= step).map(drop));
    match victim {
        Victim::Worker => signal("KILL", worker),
        Victim::Parent => signal("KILL", id),
        Victim::Both => {
            signal("KILL", id);
            signal("KILL", worker);
        }
    }
    let code = finish(parent).code;
    wait_for("the worker's end", || (!Path::new(&format!("/proc/{worker}")).exists()).then_some(()));
    code
}

/// Steps enough for any kill to hit a run at work.
const LONG: &str = " --set train.steps=800 --set train.eval_every=200 --threads 1";

#[test]
fn a_run_that_is_killed_at_any_step_comes_out_the_same() {
    let line = format!("run tiny.toml{LONG} --set train.checkpoint_every=20");
    let reference = Workbench::tiny(EVERYTHING);
    reference.stdout(&line);
    let reference = reference.only_run();
    for victim in [Victim::Worker, Victim::Parent, Victim::Both] {
        let workbench = Workbench::tiny(EVERYTHING);
        // Before the first checkpoint and beyond some; how near to one is up to the machine.
        for step in [3, 55, 142] {
            let code = kill_after(&workbench, &line, victim, step);
            assert_eq!(code, if matches!(victim, Victim::Worker) { Some(1) } else { None }, "{victim:?}");
            let state = workbench.only_run()["state"].as_str().unwrap().to_owned();
            // Of two that are killed together, the parent may live long enough to note the worker's end.
            let both = matches!(victim, Victim::Both) && state == "lost";
            assert!(both || state == "interrupted", "{victim:?} killed after {step} steps: {state}");
        }
        workbench.stdout(&line);
        let run = workbench.only_run();
        assert_eq!((bits(&run), recorded(&run)), (bits(&reference), recorded(&reference)), "{victim:?}");
        assert_eq!(workbench.stdout(&line), workbench.stdout(&line), "run again");
    }
}

/// The newer parts of a run that have a state or draw at random: what `plateau` has seen, LAMB's moments, accumulated
/// batches, whole words, a SentencePiece vocabulary. The schedule falls at every evaluation.
#[test]
fn a_schedule_with_a_state_is_resumed_with_it() {
    let extra = "[objective]\nnsp = \"swap\"\nwhole_word = true\nmask_dice = \"word\"\n\
                 [optimizer]\nkind = \"lamb\"\nclip_scope = \"per_tensor\"\n\
                 [schedule]\nkind = \"plateau\"\nplateau_patience = 0\nplateau_threshold = 0.9\nplateau_factor = 0.5\n";
    let line = "run tiny.toml --set tokenizer.kind=bpe --set train.steps=200 --set train.eval_every=25 \
                --set train.gradient_accumulation_steps=2 --set train.checkpoint_every=20 --threads 1";
    let reference = Workbench::tiny(extra);
    reference.stdout(line);
    let reference = reference.only_run();
    let workbench = Workbench::tiny(extra);
    for step in [3, 90] {
        kill_after(&workbench, line, Victim::Worker, step);
    }
    workbench.stdout(&line.replace("--threads 1", "--threads 2"));
    let run = workbench.only_run();
    assert_eq!((bits(&run), recorded(&run)), (bits(&reference), recorded(&reference)));
    let rates = run["series"]["train/lr"]["values"].as_array().unwrap();
    let distinct: std::collections::BTreeSet<u64> =
        rates[40..].iter().map(|rate| rate.as_f64().unwrap().to_bits()).collect();
    assert!(distinct.len() > 3, "the rate has fallen {} times", distinct.len());
}

#[test]
fn ctrl_c_keeps_a_checkpoint_and_the_same_command_goes_on() {
    let line = format!("run tiny.toml{LONG} --set train.checkpoint_every=1000");
    let reference = Workbench::tiny("");
    reference.stdout(&line);
    let workbench = Workbench::tiny("");
    let child = workbench.start(&line);
    wait_for("20 steps", || workbench.run_folders().first().filter(|run| steps_logged(run) >= 20).map(drop));
    signal("INT", child.id());
    let output = finish(child);
    assert_eq!(output.code, Some(130), "{}", output.stderr);
    assert!(output.stderr.contains("the same command resumes"), "{}", output.stderr);
    let run = workbench.only_run();
    assert_eq!((&run["state"], &run["reason"]), (&json!("interrupted"), &json!("asked to stop")));
    let steps = steps_logged(&workbench.run_folders()[0]);
    let checkpoint = workbench.run_folders()[0].join(format!("checkpoints/step-{steps:08}.safetensors"));
    assert!(checkpoint.exists() && steps < 800, "the last step, {steps}, has a checkpoint");
    let again = workbench.run(&line);
    assert!(again.stderr.contains("Resuming"), "{}", again.stderr);
    let run = workbench.only_run();
    assert_eq!(bits(&run), bits(&reference.only_run()));
    // It went on from there: no step was made twice.
    assert_eq!(steps_logged(&workbench.run_folders()[0]), 800);
}

/// A cluster's scheduler warns a worker before it ends it, and starts workers of its own, without a parent that holds on to
/// them.
#[test]
fn a_worker_stops_at_a_schedulers_signal_and_goes_on_without_a_parent() {
    let line = format!("run tiny.toml{LONG} --set train.checkpoint_every=1000");
    let reference = Workbench::tiny("");
    reference.stdout(&line);
    for name in ["USR1", "TERM"] {
        let workbench = Workbench::tiny("");
        let parent = workbench.start(&line);
        let worker = wait_for("a worker", || children_of(parent.id()).first().copied());
        wait_for("20 steps", || workbench.run_folders().first().filter(|run| steps_logged(run) >= 20).map(drop));
        signal(name, worker);
        assert_eq!(finish(parent).code, Some(1), "nobody interrupted the parent");
        let run = workbench.only_run();
        assert_eq!((&run["state"], &run["reason"]), (&json!("interrupted"), &json!("asked to stop")), "SIG{name}");
        let folder = &workbench.run_folders()[0];
        let steps = steps_logged(folder);
        assert!(folder.join(format!("checkpoints/step-{steps:08}.safetensors")).exists(), "step {steps}");
        // Its standard input is empty, and it trains to the end all the same.
        workbench.stdout(&format!("worker {}", run["id"].as_str().unwrap()));
        assert_eq!(bits(&workbench.only_run()), bits(&reference.only_run()), "SIG{name}");
    }
}

#[test]
fn reproduce_proves_that_a_run_comes_out_the_same() {
    let workbench = Workbench::tiny(EVERYTHING);
    workbench.stdout("run tiny.toml --threads 1");
    let original = workbench.only_run();
    let id = original["id"].as_str().unwrap();
    // From the stored specification alone.
    fs::remove_file(workbench.path("tiny.toml")).unwrap();
    let verdict = workbench.json(&format!("reproduce {} --threads 2 --json", &id[..5]), "ablate-reproduce-1");
    assert_eq!(verdict["verdict"]["verdict"], "identical");
    assert_eq!((&verdict["original"], &verdict["basis"]), (&json!(id), &json!("bitwise")));
    let again = show(&workbench, verdict["reproduction"].as_str().unwrap());
    assert_eq!(again["lineage"]["reproduces"], id);
    assert_eq!((bits(&again), recorded(&again)), (bits(&original), recorded(&original)));
    let words = workbench.stdout(&format!("reproduce {id}"));
    assert!(words.starts_with("identical: "), "{words}");
    assert!(words.contains("bit for bit") && words.contains("over 40 steps"), "{words}");
}

#[test]
fn a_record_that_was_changed_is_named() {
    let workbench = Workbench::tiny("");
    workbench.stdout("run tiny.toml");
    let run = workbench.only_run();
    let id = run["id"].as_str().unwrap();
    let log = workbench.run_folders()[0].join("events.log");
    let whole = fs::read_to_string(&log).unwrap();

    rewrite(&log, |event| {
        if event["step"]["step"] == 17 {
            let loss = &mut event["step"]["metrics"]["train/mlm_loss"];
            *loss = json!(f64::from_bits(loss.as_f64().unwrap().to_bits() + 1));
        }
    });
    let output = workbench.run(&format!("reproduce {id}"));
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    assert!(output.stdout.starts_with("different: "), "{}", output.stdout);
    assert!(output.stdout.contains("at step 17: train/mlm_loss is "), "{}", output.stdout);

    fs::write(&log, &whole).unwrap();
    rewrite(&log, |event| {
        if event["fact"]["name"] == "final_weights" {
            event["fact"]["value"] = json!("00".repeat(32));
        }
    });
    let output = workbench.run(&format!("reproduce {id} --json"));
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let verdict: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(verdict["verdict"]["verdict"], "different_end");
    assert_eq!(verdict["verdict"]["original"], "00".repeat(32));
}

/// Changes records of a log and gives each its right checksum and link again, as a forger would.
fn rewrite(log: &Path, change: impl Fn(&mut Value)) {
    let lines = fs::read_to_string(log).unwrap();
    let mut link = 0;
    let changed = lines.lines().map(|line| {
        let mut event: Value = serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap();
        change(&mut event);
        let json = event.to_string();
        let is_header = link == 0;
        let hash = blake3::hash(&[&u64::to_le_bytes(link), json.as_bytes()].concat());
        link = u64::from_be_bytes(*hash.as_bytes().first_chunk().unwrap());
        match is_header {
            true => format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())),
            false => format!("{link:016x} {json}\n"),
        }
    });
    let changed: String = changed.collect();
    assert_ne!(changed, lines, "nothing was changed");
    fs::write(log, changed).unwrap();
}
