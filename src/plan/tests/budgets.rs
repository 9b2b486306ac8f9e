//! `train.budget`: sizes compared at equal cost.

use super::{alone, facts, file, planned, spec};
use crate::plan::{RunSpec, estimate, plan, read};

/// Equal budgets give each size its own number of steps, and the specification knows only those.
#[test]
fn a_budget_becomes_the_steps_that_it_pays_for() {
    let sweep = |budget: &str| {
        let rest = format!("train.budget = {budget}\n[sweep.grid]\n\"model.preset\" = [\"nano\", \"micro\"]\n");
        let plan = planned(&file(&rest), &[]);
        plan.cells.iter().map(|cell| cell.runs[0].spec.clone()).collect::<Vec<_>>()
    };
    let cost = estimate;
    for run in sweep("{ tokens = 1e6 }") {
        assert_eq!(cost(&run).steps, Some(1_000_000 / (32 * 128)));
        assert_eq!(run, spec(&format!("model.preset = \"{}\"\ntrain.steps = 244", preset_of(&run))));
    }
    for (budget, flops) in [("{ flops = 1e13 }", 1e13), ("{ seconds = 100, flops_per_second = 1e11 }", 1e13)] {
        let specs = sweep(budget);
        let steps: Vec<u64> = specs.iter().filter_map(|spec| cost(spec).steps).collect();
        assert!(steps[0] > steps[1], "the smaller model makes more steps: {steps:?}");
        for (spec, steps) in specs.iter().zip(steps) {
            let spent = cost(spec).flops.expect("a number of steps");
            assert!(spent <= flops && spent + spent / steps as f64 > flops, "{spent} of {flops}");
        }
    }
}

/// A budget pays for steps as they are computed: with gradient accumulation a step is several batches.
#[test]
fn a_budget_pays_for_every_accumulated_batch() {
    for (accumulation, steps) in [(1, 390), (3, 130), (4, 97)] {
        let rest = format!(
            "train.budget = {{ tokens = 1e5 }}\ntrain.batch_size = 2\ntrain.gradient_accumulation_steps = {accumulation}\n"
        );
        let cost = estimate(&spec(&rest));
        assert_eq!((cost.steps, cost.positions), (Some(steps), Some(steps * accumulation * 2 * 128)));
        let alone = estimate(&spec(&format!("train.batch_size = 1\ntrain.steps = {}", steps * accumulation * 2)));
        assert_eq!(cost.flops, alone.flops, "the same sequences cost the same");
    }
}

fn preset_of(run: &RunSpec) -> &'static str {
    if run.model == spec("model.preset = \"nano\"").model { "nano" } else { "micro" }
}

#[test]
fn budgets_that_are_none_say_what_one_is() {
    let refusal = |rest: &str| match read(&file(rest), "x.toml", &[], &mut alone) {
        Ok(experiment) => plan(&experiment, facts).map(drop).expect_err("a mistake").to_string(),
        Err(problems) => problems.to_string(),
    };
    insta::assert_snapshot!(refusal("train.budget = { tokens = 10 }"), @"x.toml:3:16: error: `train.budget` 10 tokens does not pay for one step (a step takes 4096 tokens and 1.51e10 FLOPs)");
    insta::assert_snapshot!(refusal("train.budget = { seconds = 10 }"), @"x.toml:3:16: error: `train.budget` must be { tokens = N }, { flops = N }, or { seconds = N, flops_per_second = N } with the speed to count with, not a table (`train.budget`: What a run may cost, in place of steps and epochs)");
    insta::assert_snapshot!(refusal("train.budget = { flops = 1e9 }\ntrain.steps = 7"), @"x.toml:3:16: error: `train.budget` and `train.steps` exclude each other (take one of them out)");
}
