//! Every kind of mistake, as a person reads it.

use super::{alone, file, read};
use crate::experiment::{Severity, keys};

fn mistakes(text: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    match read(text, "x.toml", &sets, &mut alone) {
        Err(problems) => problems.to_string(),
        Ok(experiment) => experiment.warnings.iter().map(|warning| warning.line(&experiment.source)).collect(),
    }
}

#[test]
fn all_mistakes_of_a_file_are_found_in_one_pass() {
    let text = r#"
# 실험: 마스크 비율
[experiment]
metric = "valid/mlm_los"
baseline = { "schedule.kind" = "linear" }
[data]
corpus = 3
[modle]
hidden_size = 3
[model]
hidden_size = 100       # 머리 수로 나누어지지 않는다
num_attention_heads = 3
hidden_dropout_prob = 1.0
[objective]
mask_ration = 0.15
whole_word = true
mask_ratio = [0.15, 0.3]
mask_token_prob = 0.9
random_token_prob = 0.2
[optimizer]
kind = "lion"
[schedule]
warmup_ratio = 0.1
warmup_steps = 10
[train]
batch_size = 0
eval_every = "often"
seq_len = 1024
device = "gpu"
[sweep.grid]
"train.seed" = [1, 2]
"tokenizer.vocab_size" = []
"optimizer.lr" = [1e-3, 0.001, -1]
"optimiser.eps" = [1e-8]
"schedule.kind" = "linear"
[[sweep.zip]]
"train.steps" = [1, 2]
"train.checkpoint_every" = [1]
[sweep.replicates]
seeds = [1, 1]
[report]
colour_by = "nsp"
x = "schedule.kind"
[finetune]
task = "ner"
"#;
    insta::assert_snapshot!(mistakes(text, &["train.batch_size=-1", "nonsense"]), @r#"
    x.toml:1:1: error: `experiment.name` is missing (write `name = "..."` under [experiment])
    x.toml:4:10: error: `experiment.metric` cannot be the text "valid/mlm_los" (did you mean "valid/mlm_loss"?)
    x.toml:7:10: error: `data.corpus` must be a text, not 3 (`data.corpus`: `demo` for the built-in corpus, or a file, folder or glob; required)
    x.toml:8:2: error: unknown table `[modle]` (did you mean `[model]`?)
    x.toml:11:15: error: `model.hidden_size` 100 is not divisible by `model.num_attention_heads` 3 (the nearest widths that are: 99 and 102; or give `model.attention_head_size`)
    x.toml:13:23: error: `model.hidden_dropout_prob` must be a number at least 0 and less than 1, not 1.0 (`model.hidden_dropout_prob`: Dropout on embeddings and residual branches)
    x.toml:15:1: error: unknown key `objective.mask_ration` (did you mean `objective.mask_ratio`?)
    x.toml:17:14: error: `objective.mask_ratio` must be a number more than 0 and less than 1, not the list [0.15, 0.3] (to compare several values, write `"objective.mask_ratio" = [...]` under [sweep.grid])
    x.toml:18:19: error: `objective.mask_token_prob` 0.9 and `objective.random_token_prob` 0.2 add up to more than 1 (the rest of the selected tokens is kept; BERT has 0.8 and 0.1)
    x.toml:21:8: error: `optimizer.kind = "lion"` is not supported yet (`optimizer.kind` must be "adamw", "adam", "lamb" or "muon")
    x.toml:23:16: error: `schedule.warmup_ratio` and `schedule.warmup_steps` exclude each other (take one of them out)
    x.toml:26:14: error: `train.batch_size` must be a whole number, at least 1 and at most 1048576, not 0 (`train.batch_size`: Sequences a forward pass; a step learns from gradient_accumulation_steps times as many)
    x.toml:27:14: error: `train.eval_every` must be a whole number, at least 1, not the text "often" (`train.eval_every`: Steps between evaluations)
    x.toml:28:11: error: `train.seq_len` 1024 is longer than `model.max_position_embeddings` 512 (shorten the sequences to 512, or give the model 1024 positions)
    x.toml:29:10: error: `train.device` cannot be the text "gpu" (did you mean "wgpu"?)
    x.toml:31:1: error: `train.seed` cannot be swept (seeds repeat a cell, they are no axis: `[sweep.replicates]` with `seeds = 3`)
    x.toml:32:26: error: the axis `tokenizer.vocab_size` is empty (give it values, or take it out)
    x.toml:33:25: error: the axis `optimizer.lr` has the value 0.001 twice
    x.toml:33:32: error: `optimizer.lr` must be a number more than 0, not -1 (`optimizer.lr`: The peak learning rate)
    x.toml:34:1: error: unknown key `optimiser.eps` (did you mean `optimizer.eps`?)
    x.toml:35:19: error: the axis `schedule.kind` must be a list of values, not the text "linear" (write the values in brackets)
    x.toml:37:1: error: the lists of a `[[sweep.zip]]` must be of one length: `train.steps` differs (the first values go together, then the second, and so on)
    x.toml:40:9: error: `sweep.replicates.seeds` has the seed 1 twice (`sweep.replicates.seeds` must be how many seeds, at least 1, or a list of distinct whole numbers)
    x.toml:42:13: error: `report.colour_by` must name an axis of the sweep, not "nsp" (the axes are tokenizer.vocab_size, optimizer.lr, schedule.kind)
    x.toml:45:8: error: `finetune.data` is missing (write `data = "..."` under [finetune])
    --set train.batch_size=-1: error: `train.batch_size` must be a whole number, at least 1 and at most 1048576, not -1 (`train.batch_size`: Sequences a forward pass; a step learns from gradient_accumulation_steps times as many)
    --set nonsense: error: `--set` takes KEY=VALUE (write for example --set train.steps=100)
    "#);
}

#[test]
fn laws_between_settings_name_the_value_that_breaks_them() {
    let text = file(
        r#"
train.seq_len = 200
train.steps = 10
schedule.warmup_steps = 11
data.format = "jsonl"
[sweep.grid]
model.preset = ["nano", "bert-tiny"]
model.num_attention_heads = [2, 5, 7]
"#,
    );
    insta::assert_snapshot!(mistakes(&text, &[]), @r#"
    x.toml:4:17: error: `train.seq_len` 200 is longer than `model.max_position_embeddings` 128 (shorten the sequences to 128, or give the model 200 positions)
    x.toml:6:25: error: `schedule.warmup_steps` 11 is more than `train.steps` 10 (a tenth of the steps is usual: `warmup_ratio = 0.1`)
    x.toml:7:15: error: the built-in corpus has a format of its own, not `jsonl` (take `data.format` out, or write "auto")
    x.toml:10:33: error: `model.hidden_size` 32 is not divisible by `model.num_attention_heads` 5 (the nearest widths that are: 30 and 35; or give `model.attention_head_size`)
    x.toml:10:33: error: `model.hidden_size` 128 is not divisible by `model.num_attention_heads` 5 (the nearest widths that are: 125 and 130; or give `model.attention_head_size`)
    x.toml:10:36: error: `model.hidden_size` 32 is not divisible by `model.num_attention_heads` 7 (the nearest widths that are: 28 and 35; or give `model.attention_head_size`)
    x.toml:10:36: error: `model.hidden_size` 128 is not divisible by `model.num_attention_heads` 7 (the nearest widths that are: 126 and 133; or give `model.attention_head_size`)
    "#);
}

#[test]
fn axes_do_not_contradict_the_rest() {
    let text = file(
        r#"
train.epochs = 3
train.seed = 1
objective.mask_ratio = 0.15
[sweep.grid]
objective.mask_ratio = [0.15, 0.3]
train.steps = [10, 20]
"objective.mask_ratio" = [0.2]
[sweep.replicates]
seeds = [3, 4]
"#,
    );
    insta::assert_snapshot!(mistakes(&text, &[]), @r"
    x.toml:4:16: error: `train.steps` and `train.epochs` exclude each other (take one of them out)
    x.toml:5:14: error: `train.seed` is never used where `sweep.replicates.seeds` lists the seeds (take one of them out)
    x.toml:6:24: error: `objective.mask_ratio` is swept, so this value is never used (take one of them out)
    x.toml:10:1: error: the axis `objective.mask_ratio` is given twice
    ");
}

#[test]
fn a_baseline_is_one_cell_of_the_sweep() {
    let check = |baseline: &str| {
        let grid = "[sweep.grid]\nobjective.mask_ratio = [0.15, 0.3]\nobjective.nsp = [\"off\", \"swap\"]";
        mistakes(&file(&format!("[experiment.baseline]\n{baseline}\n{grid}")), &[])
    };
    insta::assert_snapshot!(check("objective.mask_ratio = 0.2\nobjective.nsp = \"off\""), @"x.toml:4:24: error: the baseline objective.mask_ratio = 0.2, objective.nsp = off is no cell of the sweep (give axis values that the sweep has)");
    insta::assert_snapshot!(check("objective.mask_ratio = 0.15"), @"x.toml:4:24: error: the baseline objective.mask_ratio = 0.15 describes 2 cells, not one (add objective.nsp)");
    insta::assert_snapshot!(check("objective.masking = \"static\"\nobjective.nsp = \"of\""), @r#"
    x.toml:4:21: error: the baseline names `objective.masking`, which is no axis of the sweep (the axes are objective.mask_ratio, objective.nsp)
    x.toml:5:17: error: `objective.nsp` cannot be the text "of" (did you mean "off"?)
    "#);
}

#[test]
fn a_metric_must_be_recorded() {
    insta::assert_snapshot!(mistakes(&file("experiment.metric = \"valid/nsp_loss\""), &[]), @"x.toml:3:21: error: no run records `valid/nsp_loss`: `objective.nsp` is off (`valid/mlm_loss_mask` is recorded by every run)");
    let some = file("experiment.metric = \"valid/nsp_loss\"\n[sweep.grid]\nobjective.nsp = [\"off\", \"swap\"]");
    insta::assert_snapshot!(mistakes(&some, &[]), @"x.toml:3:21: warning: 1 of 2 cells do not record `valid/nsp_loss`: their `objective.nsp` is off (`valid/mlm_loss_mask` is recorded by every run)");
}

#[test]
fn text_that_is_not_toml_is_reported_where_it_stops_being_it() {
    insta::assert_snapshot!(mistakes("[experiment]\nname = \"가나\n[data]\ncorpus = = 3\n", &[]), @r#"
    x.toml:2:11: error: this is not TOML: invalid basic string, expected `"`
    x.toml:4:10: error: this is not TOML: extra `=`, expected nothing
    x.toml:4:12: error: this is not TOML: unexpected key or value, expected newline, `#`
    "#);
}

#[test]
fn a_sweep_beyond_reason_is_refused_before_it_is_expanded() {
    let values: Vec<String> = (1..=200).map(|value| value.to_string()).collect();
    let values = values.join(", ");
    let axes = ["train.batch_size", "train.eval_every", "train.steps", "tokenizer.min_frequency", "data.demo_seed"];
    let axes: String = axes.iter().map(|key| format!("\"{key}\" = [{values}]\n")).collect();
    let found = mistakes(&file(&format!("[sweep.grid]\n{axes}")), &[]);
    assert!(found.contains("the sweep has 200 x 200 x 200 x 200 x 200 cells, more than 200000"), "{found}");
}

/// Whatever stands where a value belongs, the answer is a value or an error at that place, for every key.
#[test]
fn any_value_for_any_key_is_taken_or_refused_by_name() {
    let odd = [
        "true",
        "-1",
        "0",
        "3",
        "1e400",
        "nan",
        "0x10",
        "99999999999999999999",
        "\"\"",
        "\"off\"",
        "\"가\"",
        "[]",
        "[[1]]",
        "[0.5, 0.6]",
        "{}",
        "{ copies = 3 }",
        "1979-05-27",
        "[\"curves\"]",
    ];
    for key in keys::all() {
        for value in odd {
            let stage: &[_] = if key.name.starts_with("finetune.") {
                &[("finetune.task", "classify"), ("finetune.data", "a.tsv")]
            } else {
                &[]
            };
            let required = [("experiment.name", "demo"), ("data.corpus", "demo")];
            let required = required.iter().chain(stage).filter(|(name, _)| *name != key.name);
            let required: String = required.map(|(name, value)| format!("{name} = \"{value}\"\n")).collect();
            for text in [
                format!("{} = {value}\n{required}", key.name),
                format!("sweep.grid.\"{}\" = [{value}]\n{required}", key.name),
                format!("experiment.baseline.\"{}\" = {value}\n{required}", key.name),
            ] {
                let Err(problems) = read(&text, "x.toml", &[], &mut alone) else { continue };
                for problem in &problems.list {
                    assert!(problem.severity == Severity::Error || problem.message.contains("has one value"));
                    assert!(!problem.labels.is_empty(), "{problems}");
                }
                let line = problems.to_string();
                let section = keys::split(key.name).1;
                assert!(line.contains(section) || line.contains("not TOML"), "{text}\n{line}");
            }
        }
    }
}
