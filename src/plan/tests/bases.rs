//! `base = "other.toml"`: files that build on files.

use super::{Plan, QUICKSTART, facts};
use crate::experiment::{Diagnostics, Experiment, Source};
use crate::plan::{plan, read};

/// Reads the first of some files, which build on each other by their names.
pub fn layered(files: &[(&str, &str)], sets: &[&str]) -> Result<Experiment, Diagnostics> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let load = &mut |path: &str, _: &str| match files.iter().find(|(name, _)| *name == path) {
        Some((name, text)) => Ok(Source { name: (*name).to_owned(), text: (*text).to_owned() }),
        None => Err(format!("nobody has `{path}`")),
    };
    read(files[0].1, files[0].0, &sets, load)
}

fn planned(files: &[(&str, &str)], sets: &[&str]) -> Plan {
    let experiment = layered(files, sets).unwrap_or_else(|problems| panic!("{problems}"));
    plan(&experiment, facts).unwrap_or_else(|problems| panic!("{problems}"))
}

fn labels(plan: &Plan) -> Vec<&str> {
    plan.cells.iter().map(|cell| cell.label.as_str()).collect()
}

const BASE: &str = r#"
experiment.name = "base"
data.corpus = "demo"
[train]
batch_size = 8
steps = 100
[objective]
masking = "static"
[experiment.baseline]
"objective.nsp" = "off"
"schedule.kind" = "linear"
[sweep.grid]
"objective.nsp" = ["off", "random"]
"schedule.kind" = ["linear", "cosine"]
[sweep.derive]
"model.intermediate_size" = "2 * model.hidden_size"
[[sweep.exclude]]
match = { "objective.nsp" = "random", "schedule.kind" = "cosine" }
because = "known"
[report]
colour_by = "nsp"
"#;

#[test]
fn a_file_has_what_its_base_has() {
    let plan = planned(&[("x.toml", "base = \"base.toml\"\n"), ("base.toml", BASE)], &[]);
    assert_eq!(labels(&plan), ["nsp=off schedule=linear", "nsp=off schedule=cosine", "nsp=random schedule=linear"]);
    let alone = planned(&[("base.toml", BASE)], &[]);
    let hashes = |plan: &Plan| plan.runs().iter().map(|run| run.hash).collect::<Vec<_>>();
    assert_eq!(hashes(&plan), hashes(&alone));
    assert_eq!(plan.baseline, Some(0));
}

#[test]
fn the_nearer_file_wins_key_by_key() {
    let middle = "base = \"base.toml\"\ntrain.batch_size = 16\ntrain.eval_every = 7\nexperiment.name = \"middle\"\n";
    let near = r#"
base = "middle.toml"
experiment.name = "near"
objective.nsp = "swap"
model.intermediate_size = 99
[train]
epochs = 2
batch_size = 32
[sweep]
exclude = []
[experiment.baseline]
"objective.masking" = "dynamic"
[sweep.grid]
"schedule.kind" = ["constant", "linear"]
"objective.masking" = ["static", "dynamic"]
"#;
    let files = [("x.toml", near), ("middle.toml", middle), ("base.toml", BASE)];
    let experiment = layered(&files, &["train.eval_every=9"]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((experiment.name.as_str(), experiment.report.colour_by.is_none()), ("near", true));
    let plan = plan(&experiment, facts).expect("a plan");
    assert_eq!(
        labels(&plan),
        [
            "masking=static schedule=constant",
            "masking=static schedule=linear",
            "masking=dynamic schedule=constant",
            "masking=dynamic schedule=linear"
        ]
    );
    let spec = &plan.cells[0].runs[0].spec;
    assert_eq!((spec.train().batch_size, spec.train().eval_every, spec.model.intermediate_size), (32, 9, 99));
    assert_eq!(spec.train().length, crate::plan::TrainLength::Epochs(2.0), "steps and epochs exclude each other");
    assert_eq!(spec.objective().nsp, crate::plan::Nsp::Swap, "a value takes the axis of a base away");
    assert_eq!(plan.baseline, Some(3), "and out of its baseline");
}

#[test]
fn the_shipped_example_has_every_part() {
    let algebra = include_str!("../../../experiments/algebra.toml");
    let files = [("algebra.toml", algebra), ("quickstart.toml", QUICKSTART)];
    let experiment = layered(&files, &[]).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(experiment.warnings.is_empty());
    let plan = planned(&files, &[]);
    insta::assert_snapshot!(plan.tally, @"grid 3 x 2 x zip 2 x random 2 = 24, when +12, exclude -6 (known from the quickstart), include +1, duplicates -0 = 31 cells");
    assert_eq!((plan.baseline, plan.runs().len()), (Some(plan.cells.len() - 1), 3 * plan.cells.len()));
    insta::assert_snapshot!([0, 3, 30].map(|i: usize| plan.cells[i].label.as_str()).join("\n"), @r"
    preset=modern-nano hidden_act=relu hidden_dropout_prob=0.123259 mask_ratio=0.1 nsp=off lr=0.002 weight_decay=0.0072346 batch_size=28
    preset=modern-micro hidden_act=gelu hidden_dropout_prob=0.170247 mask_ratio=0.1 nsp=off lr=0.001 weight_decay=0.0539903 batch_size=40
    preset=modern-nano mask_ratio=0.15 nsp=off
    ");
}

#[test]
fn lists_of_tables_are_taken_whole() {
    let near = r#"
base = "base.toml"
[[sweep.exclude]]
match = { "schedule.kind" = "cosine" }
because = "too slow"
"#;
    let plan = planned(&[("x.toml", near), ("base.toml", BASE)], &[]);
    assert_eq!(plan.tally.to_string(), "grid 2 x 2 = 4, exclude -2 (too slow), duplicates -0 = 2 cells");
}

#[test]
fn mistakes_are_told_in_the_file_that_makes_them() {
    let check = |files: &[(&str, &str)]| layered(files, &[]).expect_err("mistakes").to_string();
    let base = "experiment.name = \"b\"\ndata.corpus = \"demo\"\n# 실험\ntrain.stepz = 3\nmodel.hidden_size = 33\n[sweep.grid]\n\"train.batch_size\" = [8, 8]\n[sweep.derive]\n\"train.steps\" = \"1 / 0\"\n";
    let near = "base = \"b.toml\"\ntrain.seq_len = 4\nmodel.num_attention_heads = 2\n";
    insta::assert_snapshot!(check(&[("x.toml", near), ("b.toml", base)]), @r"
    x.toml:2:17: error: `train.seq_len` must be a whole number, at least 8 and at most 1048576, not 4 (`train.seq_len`: Tokens a sequence, special tokens included)
    b.toml:4:7: error: unknown key `train.stepz` (did you mean `train.steps`?)
    b.toml:5:21: error: `model.hidden_size` 33 is not divisible by `model.num_attention_heads` 2 (the nearest widths that are: 32 and 34; or give `model.attention_head_size`)
    b.toml:7:26: error: the axis `train.batch_size` has the value 8 twice
    b.toml:9:22: error: `train.steps` cannot be computed: this divides by zero (in the cell where nothing is needed)
    ");
    insta::assert_snapshot!(check(&[("x.toml", "base = \"b.toml\"\ntrain.stepz = 1\n"), ("b.toml", "x = = 3")]), @r"
    x.toml:2:7: error: unknown key `train.stepz` (did you mean `train.steps`?)
    b.toml:1:5: error: this is not TOML: extra `=`, expected nothing
    b.toml:1:7: error: this is not TOML: unexpected key or value, expected newline, `#`
    ");
}

#[test]
fn a_base_that_is_none_is_told_where_it_is_named() {
    let check = |files: &[(&str, &str)], sets: &[&str]| layered(files, sets).expect_err("mistakes").to_string();
    let whole = "experiment.name = \"x\"\ndata.corpus = \"demo\"\n";
    insta::assert_snapshot!(check(&[("x.toml", &format!("base = \"gone.toml\"\n{whole}"))], &[]), @"x.toml:1:8: error: the base is not there: nobody has `gone.toml`");
    insta::assert_snapshot!(check(&[("x.toml", &format!("base = [\"a.toml\"]\n{whole}"))], &[]), @r#"x.toml:1:8: error: `base` must be the path of an experiment file, not the list [the text "a.toml"] (write `base = "other.toml"`: the path is taken from this file's folder)"#);
    insta::assert_snapshot!(check(&[("x.toml", &format!("bsae = \"a.toml\"\n{whole}"))], &[]), @"x.toml:1:1: error: unknown key `bsae` (did you mean `base`?)");
    insta::assert_snapshot!(check(&[("x.toml", whole)], &["base=a.toml"]), @r#"--set base=a.toml: error: `base` is no argument: a file says itself what it builds on (write `base = "..."` in the file)"#);
    let circle = [
        ("x.toml", "base = \"b.toml\"\n"),
        ("b.toml", "base = \"c.toml\"\n"),
        ("c.toml", "base = \"b.toml\"\nexperiment.name = \"x\"\ndata.corpus = \"demo\"\n"),
    ];
    insta::assert_snapshot!(check(&circle, &[]), @"c.toml:1:8: error: a file cannot build on itself: b.toml -> c.toml -> b.toml (take `base` out of one of them)");
}
