//! What `plan --explain KEY` says.

use std::collections::BTreeSet;

use super::bases::layered;
use super::{QUICKSTART, experiment};
use crate::experiment::{Experiment, keys};
use crate::plan::explain;

/// Each layer in a line: name, value, place, cells.
fn explained(experiment: &Experiment, key: &str) -> String {
    let explanation = explain(experiment, keys::find(key).expect("a key"));
    let mut lines: Vec<String> = Vec::new();
    for layer in &explanation.layers {
        let place = layer.place.as_ref().map_or("-".to_owned(), |place| experiment.source.describe(place));
        lines.push(format!("{} | {} | {place} | {} of {}", layer.name, layer.value, layer.cells, explanation.cells));
    }
    if explanation.absent > 0 {
        lines.push(format!("no value | {} of {}", explanation.absent, explanation.cells));
    }
    lines.join("\n")
}

const BASE: &str = r#"
experiment.name = "base"
data.corpus = "demo"
train.steps = 200
train.eval_every = 5
schedule.warmup_ratio = 0.2
[sweep.grid]
"objective.mask_ratio" = [0.1, 0.2]
"objective.nsp" = ["off", "random"]
[sweep.derive]
"model.intermediate_size" = "3 * model.hidden_size"
"#;

const NEAR: &str = r#"
base = "base.toml"
experiment.name = "near"
train.eval_every = 7
schedule.warmup_steps = 20
[sweep.grid]
"objective.mask_ratio" = [0.3, 0.4, 0.5]
[[sweep.zip]]
"model.preset" = ["nano", "micro", "nano"]
"optimizer.lr" = [1e-3, 2e-3, 3e-3]
[[sweep.when]]
if = { "objective.nsp" = "random" }
grid = { "objective.short_seq_prob" = [0.0, 0.2] }
[sweep.derive]
"model.intermediate_size" = "2 * model.hidden_size"
[[sweep.include]]
"objective.mask_ratio" = 0.5
"train.batch_size" = 8
"#;

#[test]
fn every_layer_is_shown_and_which_one_counts() {
    let files = [("x.toml", NEAR), ("base.toml", BASE)];
    let experiment = layered(&files, &["train.eval_every=9", "train.eval_every=11"]).expect("no mistakes");
    insta::assert_snapshot!(explained(&experiment, "train.eval_every"), @r"
    default | 100 | - | 0 of 28
    base | 5 | base.toml:5:20 | 0 of 28
    file | 7 | x.toml:4:20 | 0 of 28
    --set | 9 | --set train.eval_every=9 | 0 of 28
    --set | 11 | --set train.eval_every=11 | 28 of 28
    ");
    insta::assert_snapshot!(explained(&experiment, "objective.mask_ratio"), @r"
    default | 0.15 | - | 0 of 28
    [sweep.grid] of the base | 0.1 | base.toml:8:27 | 0 of 28
    [sweep.grid] of the base | 0.2 | base.toml:8:32 | 0 of 28
    [sweep.grid] | 0.3 | x.toml:7:27 | 9 of 28
    [sweep.grid] | 0.4 | x.toml:7:32 | 9 of 28
    [sweep.grid] | 0.5 | x.toml:7:37 | 10 of 28
    [[sweep.include]] | 0.5 | x.toml:17:26 | 10 of 28
    ");
    insta::assert_snapshot!(explained(&experiment, "model.hidden_size"), @r"
    default | 128 | - | 1 of 28
    preset nano | 32 | x.toml:9:19 | 18 of 28
    preset micro | 64 | x.toml:9:27 | 9 of 28
    ");
    insta::assert_snapshot!(explained(&experiment, "model.intermediate_size"), @r"
    default | 512 | - | 0 of 28
    preset nano | 64 | x.toml:9:19 | 0 of 28
    preset micro | 128 | x.toml:9:27 | 0 of 28
    [sweep.derive] of the base | 3 * model.hidden_size | base.toml:11:29 | 0 of 28
    [sweep.derive] | 2 * model.hidden_size = 128, 256, 64 | x.toml:15:29 | 28 of 28
    ");
    insta::assert_snapshot!(explained(&experiment, "objective.short_seq_prob"), @r"
    default | 0.1 | - | 10 of 28
    [[sweep.when]] | 0 | x.toml:13:40 | 9 of 28
    [[sweep.when]] | 0.2 | x.toml:13:45 | 9 of 28
    ");
    insta::assert_snapshot!(explained(&experiment, "schedule.warmup_ratio"), @r"
    default | 0.1 | - | 0 of 28
    base | 0.2 | base.toml:6:25 | 0 of 28
    no value | 28 of 28
    ");
    insta::assert_snapshot!(explained(&experiment, "experiment.name"), @r"
    base | base | base.toml:2:19 | 0 of 28
    file | near | x.toml:3:19 | 28 of 28
    ");
}

#[test]
fn an_argument_fixes_an_axis() {
    let experiment = experiment(QUICKSTART, &["objective.nsp=random"]);
    insta::assert_snapshot!(explained(&experiment, "objective.nsp"), @r#"
    default | off | - | 0 of 8
    [sweep.grid] | off | x.toml:44:20 | 0 of 8
    [sweep.grid] | random | x.toml:44:27 | 0 of 8
    --set | random | --set objective.nsp=random | 8 of 8
    "#);
}

/// Whatever the sweep, every cell's value is accounted for: by one layer, or as none.
#[test]
fn the_cells_add_up() {
    let files = [("x.toml", NEAR), ("base.toml", BASE)];
    let experiment = layered(&files, &["train.batch_size=4"]).expect("no mistakes");
    for key in keys::all() {
        let explanation = explain(&experiment, key);
        // A value that several parts of the sweep have is said by each of them, with the same cells.
        let counted: BTreeSet<(&str, usize)> =
            explanation.layers.iter().map(|layer| (layer.value.as_str(), layer.cells)).collect();
        let sum: usize = counted.iter().map(|(_, cells)| cells).sum();
        assert_eq!(sum + explanation.absent, explanation.cells, "{}: {:?}", key.name, explanation.layers);
    }
}
