//! Runs that differ in their number of steps alone share the steps that they have in common, and no bit shows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::determinism::{Victim, bits, kill_after, recorded};
use crate::support::{TINY, Workbench};

/// Twelve cells that are four trajectories of three lengths each.
const SWEEP: &str = "[schedule]\nkind = \"constant\"\nwarmup_steps = 4\n\
    [sweep.grid]\n\"train.steps\" = [60, 20, 40]\n\"objective.mask_ratio\" = [0.15, 0.3]\n\
    \"objective.nsp\" = [\"off\", \"random\"]\n";

/// A folder whose experiment sweeps `train.steps`.
fn lengths(sweep: &str) -> Workbench {
    Workbench::tiny("").write("tiny.toml", format!("{}{sweep}", TINY.replace("steps = 40\n", "")))
}

/// Every run by its specification.
fn runs(workbench: &Workbench) -> BTreeMap<String, Value> {
    let show = |row: &Value| workbench.json(&format!("show {} --json", row["id"].as_str().unwrap()), "ablate-run-1");
    let rows = workbench.list();
    rows.iter().map(|row| (row["spec_hash"].as_str().unwrap().to_owned(), show(row))).collect()
}

/// Steps that a finished run made itself.
fn executed(run: &Value) -> u64 {
    run["facts"]["total_steps"].as_u64().unwrap() - run["facts"]["continues"]["step"].as_u64().unwrap_or(0)
}

/// The tensors of a run's checkpoints, by file name: what follows the header, whose metadata tells the time apart.
fn tensors(workbench: &Workbench, run: &Value) -> BTreeMap<String, Vec<u8>> {
    let folder = workbench.path("runs").join(run["id"].as_str().unwrap()).join("checkpoints");
    let tensors = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        bytes[8 + header..].to_vec()
    };
    let newest = format!("step-{:08}.safetensors", run["facts"]["total_steps"].as_u64().unwrap());
    [newest, "best.safetensors".to_owned()].map(|name| (name.clone(), tensors(&folder.join(name)))).into()
}

fn assert_same(shared: &Workbench, alone: &Workbench) {
    let (ours, theirs) = (runs(shared), runs(alone));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (run, other) in ours.values().zip(theirs.values()) {
        assert_eq!((bits(run), recorded(run)), (bits(other), recorded(other)));
        assert_eq!(tensors(shared, run), tensors(alone, other));
        for fact in ["mask_rate", "train_instances", "real_token_share", "parameters", "unigram_entropy"] {
            assert_eq!(run["facts"][fact], other["facts"][fact], "{fact}");
        }
    }
}

#[test]
fn twelve_cells_cost_their_longest_runs_and_come_out_as_without_sharing() {
    let (shared, alone) = (lengths(SWEEP), lengths(SWEEP));
    let plan = shared.stdout("plan tiny.toml");
    assert!(plan.contains("8 of them resume where shorter ones end: sharing -240 steps"), "{plan}");
    shared.stdout("run tiny.toml --jobs 2");
    alone.stdout("run tiny.toml --no-sharing");
    assert_same(&shared, &alone);
    assert_eq!(runs(&shared).values().map(executed).sum::<u64>(), 4 * 60);
    assert_eq!(runs(&alone).values().map(executed).sum::<u64>(), 4 * (20 + 40 + 60));
    // A longer run that is asked for later, and one between two that are there.
    for steps in ["80", "50"] {
        shared.stdout(&format!("run tiny.toml --set train.steps={steps}"));
        alone.stdout(&format!("run tiny.toml --no-sharing --set train.steps={steps}"));
    }
    assert_same(&shared, &alone);
    assert_eq!(runs(&shared).values().map(executed).sum::<u64>(), 4 * (60 + 20 + 10));
    let latest = shared.json("reproduce latest --json", "ablate-reproduce-1");
    assert_eq!(latest["verdict"]["verdict"], "identical");
}

#[test]
fn a_crash_in_the_shared_beginning_resumes_all_that_stand_on_it() {
    let extra = "[schedule]\nkind = \"noam\"\nwarmup_steps = 10\n[sweep.grid]\n\"train.steps\" = [400, 420, 440]\n";
    let line = "run tiny.toml --threads 1 --set train.eval_every=20 --set train.checkpoint_every=50";
    let (shared, alone) = (lengths(extra), lengths(extra));
    kill_after(&shared, line, Victim::Both, 60);
    assert_eq!(runs(&shared).len(), 1);
    shared.stdout(line);
    alone.stdout(&format!("{line} --no-sharing"));
    assert_same(&shared, &alone);
    let from: Vec<_> = runs(&shared).values().map(|run| run["facts"]["continues"]["step"].clone()).collect();
    assert!(from.contains(&json!(400)) && from.contains(&json!(420)) && from.contains(&Value::Null), "{from:?}");
}

#[test]
fn a_damaged_beginning_costs_time_and_nothing_else() {
    let extra = "[schedule]\nkind = \"constant\"\nwarmup_steps = 0\n";
    let (shared, alone) = (Workbench::tiny(extra), Workbench::tiny(extra));
    shared.stdout("run tiny.toml");
    for checkpoint in fs::read_dir(shared.run_folders()[0].join("checkpoints")).unwrap() {
        let path = checkpoint.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    alone.stdout("run tiny.toml --no-sharing");
    shared.stdout("run tiny.toml --set train.steps=60");
    alone.stdout("run tiny.toml --no-sharing --set train.steps=60");
    let longer = runs(&shared).into_values().find(|run| run["facts"]["total_steps"] == 60).unwrap();
    assert_eq!(executed(&longer), 60);
    assert!(longer["warnings"].to_string().contains("so it starts anew"), "{}", longer["warnings"]);
    let reference = runs(&alone).into_values().find(|run| run["facts"]["total_steps"] == 60).unwrap();
    assert_eq!((bits(&longer), recorded(&longer)), (bits(&reference), recorded(&reference)));
}
