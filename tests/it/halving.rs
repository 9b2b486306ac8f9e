//! Early stopping by successive halving: who goes on follows from the recorded values, and stopping changes no bit.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::determinism::{bits, recorded};
use crate::support::Workbench;

const RATES: [&str; 6] = ["1e-4", "3e-3", "3e-4", "1e-3", "1e35", "1e-2"];
const HALVING: &str = "[sweep.halving]\nmin_steps = 10\nreduction_factor = 2\n";

fn sweep(extra: &str) -> Workbench {
    Workbench::tiny(&format!("[sweep.grid]\n\"optimizer.lr\" = [{}]\n{extra}", RATES.join(", ")))
}

/// The runs by learning rate, in the order of [`RATES`].
fn runs(workbench: &Workbench) -> Vec<Value> {
    let show = |row: &Value| workbench.json(&format!("show {} --json", row["id"].as_str().unwrap()), "ablate-run-1");
    let by_rate: BTreeMap<String, Value> =
        workbench.list().iter().map(|row| (row["axes"]["optimizer.lr"].to_string(), show(row))).collect();
    assert_eq!(by_rate.len(), RATES.len());
    let rate = |text: &&str| serde_json::to_string(&text.parse::<f64>().unwrap()).unwrap();
    RATES.iter().map(|text| by_rate[&rate(text)].clone()).collect()
}

/// The valid loss at a step; infinite where the run did not come there.
fn loss(run: &Value, step: u64) -> f64 {
    let series = &run["series"]["valid/mlm_loss"];
    let at = series["steps"].as_array().and_then(|steps| steps.iter().position(|its| its == step));
    at.and_then(|at| series["values"][at].as_f64()).unwrap_or(f64::INFINITY)
}

fn steps_done(run: &Value) -> usize {
    run["series"]["train/loss"]["steps"].as_array().map_or(0, Vec::len)
}

/// How many rungs each cell comes to when they are trained one at a time, from values that are known beforehand: the
/// algorithm once more, by its words.
fn expected(full: &[Value]) -> Vec<usize> {
    const RUNGS: [u64; 3] = [10, 20, 40];
    let mut came_to = vec![0; full.len()];
    loop {
        let goes_on = (0..2).rev().find_map(|rung| {
            let mut there: Vec<usize> = (0..full.len()).filter(|&cell| came_to[cell] > rung).collect();
            there.sort_by(|&a, &b| loss(&full[a], RUNGS[rung]).total_cmp(&loss(&full[b], RUNGS[rung])));
            let best = &there[..there.len() / 2];
            let is_able = |cell: &&usize| came_to[**cell] == rung + 1 && loss(&full[**cell], RUNGS[rung]).is_finite();
            best.iter().find(is_able).copied()
        });
        match goes_on.or_else(|| came_to.iter().position(|&rungs| rungs == 0)) {
            Some(cell) => came_to[cell] += 1,
            None => return came_to,
        }
    }
}

#[test]
fn who_goes_on_follows_from_the_values_and_the_rest_can_be_trained_on() {
    let full = sweep("");
    assert_eq!(full.run("run tiny.toml").code, Some(1), "one learning rate diverges");
    let full = runs(&full);
    let expected = expected(&full);
    assert!(expected.contains(&3) && expected.contains(&1), "{expected:?}");

    let halved = sweep(HALVING);
    let output = halved.run("run tiny.toml");
    assert!(output.stderr.contains("stopped early (`--no-halving` trains them on)"), "{}", output.stderr);
    for ((run, full), rungs) in runs(&halved).iter().zip(&full).zip(&expected) {
        match (rungs, full["state"].as_str().unwrap()) {
            (_, "failed") => assert_eq!(run["state"], "failed"),
            (3, _) => assert_eq!((bits(run), recorded(run)), (bits(full), recorded(full))),
            (rungs, _) => {
                assert_eq!(run["state"], "stopped", "{rungs} {run}");
                let step = [10, 20][rungs - 1];
                assert_eq!(steps_done(run) as u64, step);
                assert_eq!(loss(run, step), loss(full, step));
                let reason = run["reason"].as_str().unwrap();
                assert!(reason.starts_with(&format!("stopped at rung {}, step {step}: ", rungs - 1)), "{reason}");
            }
        }
    }
    // Asked again, nothing is left to train; asked without halving, the stopped runs come to the bits of the others.
    let again = halved.run("run tiny.toml");
    assert!(again.stderr.contains("0 trained"), "{}", again.stderr);
    halved.run("run tiny.toml --no-halving");
    for (run, full) in runs(&halved).iter().zip(&full).filter(|(_, full)| full["state"] == "finished") {
        assert_eq!((bits(run), recorded(run)), (bits(full), recorded(full)));
    }
}

#[test]
fn a_comparison_shows_what_was_stopped() {
    let workbench = sweep(HALVING);
    workbench.run("run tiny.toml --jobs 2");
    let table = workbench.run("compare tiny.toml");
    assert!(table.stdout.contains("stopped"), "{}", table.stdout);
    let report = std::fs::read_to_string(workbench.path("runs/reports/tiny/latest/report.html")).unwrap();
    assert!(report.contains("stopped at rung 0, step 10"), "the report gives the reason");
}
