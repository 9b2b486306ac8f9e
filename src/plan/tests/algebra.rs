//! The sweep algebra: each of its parts as a person reads it.

use super::{alone, file, planned, read};

const WHOLE: &str = r#"
[sweep.grid]
"objective.mask_ratio" = [0.15, 0.3, 0.4]
"objective.nsp" = ["off", "random"]
[[sweep.zip]]
"model.preset" = ["nano", "micro"]
"optimizer.lr" = [1e-3, 5e-4]
[[sweep.when]]
if = { "objective.nsp" = "random" }
grid = { "objective.short_seq_prob" = [0.0, 0.1] }
[[sweep.exclude]]
match = { "objective.mask_ratio" = 0.4, "model.preset" = "micro" }
because = "OOM on 8 GB"
[[sweep.include]]
"objective.mask_ratio" = 0.8
[[sweep.include]]
"objective.mask_ratio" = 0.8
[sweep.replicates]
seeds = 2
"#;

#[test]
fn the_arithmetic_says_what_each_stage_did() {
    let plan = planned(&file(WHOLE), &[]);
    insta::assert_snapshot!(plan.tally, @"grid 3 x 2 x zip 2 = 12, when +6, exclude -3 (OOM on 8 GB), include +2, duplicates -1 = 16 cells");
    assert_eq!((plan.cells.len(), plan.runs().len()), (16, 32));
    let labels: Vec<&str> = plan.cells.iter().map(|cell| cell.label.as_str()).collect();
    insta::assert_snapshot!(labels.join("\n"), @r"
    preset=nano mask_ratio=0.15 nsp=off lr=0.001
    preset=micro mask_ratio=0.15 nsp=off lr=5e-4
    preset=nano mask_ratio=0.15 nsp=random short_seq_prob=0 lr=0.001
    preset=nano mask_ratio=0.15 nsp=random short_seq_prob=0.1 lr=0.001
    preset=micro mask_ratio=0.15 nsp=random short_seq_prob=0 lr=5e-4
    preset=micro mask_ratio=0.15 nsp=random short_seq_prob=0.1 lr=5e-4
    preset=nano mask_ratio=0.3 nsp=off lr=0.001
    preset=micro mask_ratio=0.3 nsp=off lr=5e-4
    preset=nano mask_ratio=0.3 nsp=random short_seq_prob=0 lr=0.001
    preset=nano mask_ratio=0.3 nsp=random short_seq_prob=0.1 lr=0.001
    preset=micro mask_ratio=0.3 nsp=random short_seq_prob=0 lr=5e-4
    preset=micro mask_ratio=0.3 nsp=random short_seq_prob=0.1 lr=5e-4
    preset=nano mask_ratio=0.4 nsp=off lr=0.001
    preset=nano mask_ratio=0.4 nsp=random short_seq_prob=0 lr=0.001
    preset=nano mask_ratio=0.4 nsp=random short_seq_prob=0.1 lr=0.001
    mask_ratio=0.8
    ");
    let plain = planned(&file("[sweep.grid]\ntrain.batch_size = [1, 2]\n"), &[]);
    assert_eq!(plain.tally.to_string(), "grid 2 = 2 cells");
    assert_eq!(planned(&file(""), &[]).tally.to_string(), "1 cell");
}

#[test]
fn an_absent_axis_has_no_value_and_the_run_has_the_file_s() {
    let text = "objective.short_seq_prob = 0.3\n".to_owned() + WHOLE;
    let plan = planned(&file(&text), &[]);
    assert!(plan.cells[0].axes.iter().all(|(key, _)| *key != "objective.short_seq_prob"));
    assert_eq!(plan.cells[0].runs[0].spec.objective().short_seq_prob, 0.3);
    assert_eq!(plan.cells[2].runs[0].spec.objective().short_seq_prob, 0.0);
    let row = plan.cells.last().expect("cells");
    assert_eq!(row.axes.len(), 1);
    assert_eq!(row.runs[0].spec.model.hidden_size, 128, "no preset");
}

#[test]
fn ranges_are_axes_of_exact_decimals() {
    let by_step = "[sweep.grid]\n\"objective.mask_ratio\" = { from = 0.1, to = 0.5, step = 0.1 }\n\"optimizer.lr\" = [1e-5, { logspace = [1e-4, 1e-2], n = 3 }]\n";
    let by_hand = "[sweep.grid]\n\"objective.mask_ratio\" = [0.1, 0.2, 0.3, 0.4, 0.5]\n\"optimizer.lr\" = [1e-5, 1e-4, 1e-3, 1e-2]\n";
    let hashes = |text: &str| planned(&file(text), &[]).runs().iter().map(|run| run.hash).collect::<Vec<_>>();
    assert_eq!(hashes(by_step), hashes(by_hand));
    assert_eq!(hashes(by_step).len(), 20);
}

/// The mistakes and oddities of a file with this sweep.
fn mistakes(sweep: &str) -> String {
    match read(&file(sweep), "x.toml", &[], &mut alone) {
        Err(problems) => problems.to_string(),
        Ok(experiment) => {
            let lines: Vec<String> =
                experiment.warnings.iter().map(|problem| problem.line(&experiment.source)).collect();
            lines.join("\n")
        }
    }
}

#[test]
fn every_part_has_its_shape() {
    insta::assert_snapshot!(mistakes(r#"
[sweep]
zip = 3
[[sweep.when]]
if = { "objective.nsp" = "of" }
grids = { "objective.nsp_negative_prob" = [0.3] }
[[sweep.when]]
if = { "objective.nsp" = "random", "optimizer.lr" = 1e-3 }
grid = { "optimizer.lr" = [1e-4, 1e-3] }
[[sweep.when]]
if = {}
grid = {}
[[sweep.exclude]]
match = { "train.seed" = 3 }
[[sweep.exclude]]
because = "why not"
[[sweep.include]]
[[sweep.include]]
"objective.mask_ration" = 0.8
"train.steps" = 3
"train.epochs" = 3
"#), @r#"
    x.toml:5:1: error: `sweep.zip` must be a list of tables, not 3 (write `[[sweep.zip]]` above each, and its keys below)
    x.toml:6:1: error: a `[[sweep.when]]` needs `if` and `grid` (write `if = { KEY = VALUE }` and `grid = { KEY = [VALUES] }`)
    x.toml:8:1: error: unknown key `grids` (did you mean `grid`?)
    x.toml:11:10: error: this `[[sweep.when]]` gives `optimizer.lr` values where it has one (a condition names keys that other parts of the sweep vary)
    x.toml:13:6: error: the `if` of this `[[sweep.when]]` is empty (name a key, or take the table out)
    x.toml:14:8: error: the `grid` of this `[[sweep.when]]` is empty (name a key, or take the table out)
    x.toml:15:1: error: a `[[sweep.exclude]]` must say why: `because` is missing (write `because = "..."`: plan and report show it)
    x.toml:16:11: error: `train.seed` cannot be swept (seeds repeat a cell, they are no axis: `[sweep.replicates]` with `seeds = 3`)
    x.toml:17:1: error: a `[[sweep.exclude]]` needs `match` (write `match = { KEY = VALUE }`)
    x.toml:19:1: error: `[[sweep.include]]` names no keys (name the values of the cell, or take it out)
    x.toml:21:1: error: unknown key `objective.mask_ration` (did you mean `objective.mask_ratio`?)
    x.toml:23:18: error: `train.steps` and `train.epochs` exclude each other (take one of them out)
    "#);
}

#[test]
fn parts_that_match_nothing_say_why() {
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.mask_ratio" = [0.15, 0.3]
"objective.nsp" = ["off", "random"]
[[sweep.when]]
if = { "objective.nsp" = "swap" }
grid = { "objective.nsp_negative_prob" = [0.3, 0.5] }
[[sweep.exclude]]
match = { "objective.mask_ratio" = 0.5 }
because = "too much"
[[sweep.exclude]]
match = { "train.batch_size" = 64 }
because = "too large"
[[sweep.include]]
"objective.mask_ratio" = 0.15
"objective.nsp" = "off"
"#), @r"
    x.toml:8:26: error: this `[[sweep.when]]` holds in no cell, so its axes never exist (the axis has off, random)
    x.toml:11:36: error: this `[[sweep.exclude]]` matches no cell (the axis has 0.15, 0.3)
    x.toml:14:32: error: this `[[sweep.exclude]]` matches no cell (`train.batch_size` is no axis, and is 32 here)
    x.toml:16:1: warning: this `[[sweep.include]]` adds nothing: the sweep has the cell already (take it out)
    ");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
[[sweep.include]]
"objective.nsp" = "off"
"#), @"x.toml:6:1: warning: this `[[sweep.include]]` adds nothing: the sweep has the cell already (take it out)");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
[[sweep.exclude]]
match = { "objective.nsp" = ["off", "random"] }
because = "nothing works"
"#), @"x.toml:7:1: error: the plan has no runs: every cell is excluded (let the exclusions match fewer cells)");
}

#[test]
fn conditional_axes_do_not_contradict_each_other() {
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"objective.mask_ratio" = [0.15, 0.3]
[[sweep.when]]
if = { "objective.nsp" = "random" }
grid = { "objective.short_seq_prob" = [0.1, 0.2] }
[[sweep.when]]
if = { "objective.mask_ratio" = 0.3, "objective.nsp" = "random" }
grid = { "objective.short_seq_prob" = [0.3, 0.4] }
"#), @"x.toml:8:1: error: two `[[sweep.when]]` give `objective.short_seq_prob` values in one cell (they contradict each other where objective.mask_ratio = 0.3, objective.nsp = random: let their conditions exclude each other)");
    insta::assert_snapshot!(mistakes(r#"
[[sweep.when]]
if = { "train.batch_size" = 8 }
grid = { "train.eval_every" = [5, 10] }
[[sweep.when]]
if = { "train.eval_every" = 10 }
grid = { "train.batch_size" = [8, 16] }
"#), @"x.toml:8:1: error: these `[[sweep.when]]` wait for each other: each asks for an axis that another gives (let one of them ask for axes of [sweep.grid] or [[sweep.zip]] alone)");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"schedule.warmup_ratio" = [0.1, 0.2]
[[sweep.zip]]
"objective.nsp" = ["off", "random"]
[[sweep.when]]
if = { "objective.nsp" = "off" }
grid = { "schedule.warmup_steps" = [10, 20] }
"#), @"x.toml:8:1: error: `objective.nsp` is varied by [sweep.grid] and by a [[sweep.zip]] (take it out of one of them)");
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"schedule.warmup_ratio" = [0.1, 0.2]
[[sweep.when]]
if = { "objective.nsp" = "off" }
grid = { "schedule.warmup_steps" = [10, 20] }
"#), @"x.toml:6:1: error: `schedule.warmup_ratio` and `schedule.warmup_steps` exclude each other, and cells have both (let their conditions exclude each other, or take one of them out)");
}

#[test]
fn an_axis_that_no_run_reads_is_a_mistake() {
    insta::assert_snapshot!(mistakes(r#"
data.text_field = "body"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"objective.nsp_negative_prob" = [0.3, 0.5]
"data.text_field" = ["text", "body"]
"#), @r#"
    x.toml:4:19: error: `data.text_field` is swept, so this value is never used (take one of them out)
    x.toml:7:1: error: `objective.nsp_negative_prob` is varied, but no run reads it where `objective.nsp` is off (vary it only where it is read: `[[sweep.when]]` with `if = { "objective.nsp" = ["random", "swap"] }` and `grid = { "objective.nsp_negative_prob" = [...] }`)
    x.toml:8:1: error: `data.text_field` is varied, but no run reads it where `data.corpus` is demo (vary it only where it is read: `[[sweep.when]]` with `if = { "data.corpus" = "corpus/*.jsonl" }` and `grid = { "data.text_field" = [...] }`)
    "#);
    insta::assert_snapshot!(mistakes("[sweep.grid]\n\"train.batch_size\" = [8]\n"), @"x.toml:4:1: warning: the axis `train.batch_size` has one value, so it compares nothing (give it more, or write `batch_size` under [train])");
}

#[test]
fn ranges_say_what_is_wrong_with_them() {
    insta::assert_snapshot!(mistakes(r#"
[sweep.grid]
"objective.mask_ratio" = { from = 0.2, to = 1.0, step = 0.2 }
"train.batch_size" = [8, { from = 8, to = 17, step = 4 }]
"train.eval_every" = { linspace = [1, 2], n = 3 }
"optimizer.lr" = { logspace = [0, 1e-2], n = 3 }
"#), @r"
    x.toml:5:26: error: `objective.mask_ratio` must be a number more than 0 and less than 1, not 1 (`objective.mask_ratio`: The share of ordinary tokens selected for prediction)
    x.toml:6:26: error: steps of 4 from 8 miss 17 (the steps nearest to it are 16 and 20)
    x.toml:7:22: error: `train.eval_every` must be a whole number, at least 1, not 1.5 (`train.eval_every`: Steps between evaluations)
    x.toml:8:31: error: a `logspace` is between numbers above 0 (`linspace` may begin at 0)
    ");
}

#[test]
fn arguments_fix_axes_of_the_grid_alone() {
    let refused =
        |set: &str| read(&file(WHOLE), "x.toml", &[set.to_owned()], &mut alone).expect_err("refused").to_string();
    insta::assert_snapshot!(refused("model.preset=nano"), @"--set model.preset=nano: error: `model.preset` is varied by a `[[sweep.zip]]`, and cannot be fixed alone (an argument can fix axes of [sweep.grid]; change the file for the others)");
    insta::assert_snapshot!(refused("objective.short_seq_prob=0.1"), @"--set objective.short_seq_prob=0.1: error: `objective.short_seq_prob` is varied by a `[[sweep.when]]`, and cannot be fixed alone (an argument can fix axes of [sweep.grid]; change the file for the others)");
}

#[test]
fn computed_keys_follow_the_cell() {
    let text = "[sweep.derive]\n\"model.intermediate_size\" = \"4 * model.hidden_size\"\n\"schedule.warmup_steps\" = \"round(train.steps / 16)\"\n\"optimizer.lr\" = \"0.1 + 0.2\"\n[sweep.grid]\n\"model.hidden_size\" = [32, 64]\n";
    let plan = planned(&file(text), &[]);
    let spec = |i: usize| &plan.cells[i].runs[0].spec;
    assert_eq!((spec(0).model.intermediate_size, spec(1).model.intermediate_size), (128, 256));
    assert_eq!(spec(0).schedule().warmup, crate::plan::Warmup::Steps(63));
    assert_eq!(spec(0).optimizer().lr.to_bits(), 0.3f64.to_bits());
    assert_eq!(plan.cells[0].label, "hidden_size=32", "a computed key is no axis");
}

#[test]
fn formulas_say_what_is_wrong_with_them() {
    insta::assert_snapshot!(mistakes(r#"
train.batch_size = 8
[sweep.grid]
"model.hidden_size" = [64, 100]
[[sweep.exclude]]
match = { "model.num_attention_heads" = 2 }
because = "too few"
[sweep.derive]
"model.num_attention_heads" = "model.hidden_size / 64"
"model.num_hidden_layers" = "model.hidden_size / (model.hidden_size - 64)"
"train.batch_size" = "32"
"train.steps" = "train.eval_every * 10"
"train.eval_every" = "train.steps / 10"
"train.seq_len" = "4 * model.hidden_sise"
"train.checkpoint_every" = "sine(2)"
"model.hidden_act" = "1"
"train.eval_instances" = 3
"#), @r#"
    x.toml:4:20: error: `train.batch_size` is computed, so it can have no other value (take one of them out)
    x.toml:8:41: error: a condition asks for `model.num_attention_heads`, which is computed (ask for the keys that it is computed from)
    x.toml:11:31: error: `model.num_attention_heads` must be a whole number, at least 1 and at most 1024, and is computed as 1.5625 (in the cell where model.hidden_size = 100; round(), floor() and ceil() make whole numbers)
    x.toml:12:29: error: `model.num_hidden_layers` must be a whole number, at least 1 and at most 1024, and is computed as 2.77778 (in the cell where model.hidden_size = 100; round(), floor() and ceil() make whole numbers)
    x.toml:12:50: error: `model.num_hidden_layers` cannot be computed: this divides by zero (in the cell where model.hidden_size = 64)
    x.toml:14:18: error: computed keys need each other, so none can be computed (compute one of them from other keys)
    x.toml:16:24: error: `train.seq_len` is computed by no formula: unknown key `model.hidden_sise` (did you mean `model.hidden_size`?)
    x.toml:17:29: error: `train.checkpoint_every` is computed by no formula: unknown function `sine` (the functions are min, max, floor, ceil, round, abs, sqrt, log2)
    x.toml:18:1: error: `model.hidden_act` cannot be computed: `model.hidden_act` is not a number (`model.hidden_act`: The feed-forward activation)
    x.toml:19:26: error: a computed key takes a formula in quotes, not 3 (write for example `"train.eval_instances" = "2 * train.eval_instances"`)
    "#);
}

/// Every typo of every word of the algebra's tables is refused by name.
#[test]
fn the_words_of_the_algebra_are_checked() {
    for (word, typo) in [("if", "iff"), ("grid", "gird"), ("match", "mach"), ("because", "becuase"), ("zip", "zipp")] {
        let problems = mistakes(&WHOLE.replacen(&format!("{word} = "), &format!("{typo} = "), 1).replacen(
            &format!("sweep.{word}]]"),
            &format!("sweep.{typo}]]"),
            1,
        ));
        assert!(
            problems.contains(&format!("did you mean `{word}`?"))
                || problems.contains(&format!("did you mean `[[sweep.{word}]]`?")),
            "{typo}: {problems}"
        );
    }
}

/// Nothing is asserted about its time and memory: run it under a tool that measures them.
#[test]
#[ignore = "large"]
fn a_hundred_thousand_cells_are_planned() {
    let axis = |key: &str, from: usize, n: usize| {
        format!("\"{key}\" = {{ from = {from}, to = {}, step = 1 }}\n", from + n - 1)
    };
    let keys = [("tokenizer.vocab_size", 100), ("train.eval_every", 50), ("train.batch_size", 20)];
    let axes: String = keys.iter().map(|(key, n)| axis(key, 100, *n)).collect();
    let experiment = super::experiment(&file(&format!("[sweep.grid]\n{axes}")), &[]);
    let plan = crate::plan::plan(&experiment, super::facts).expect("a plan");
    assert_eq!((plan.cells.len(), plan.runs().len()), (100_000, 100_000));
}
