//! `[sweep.random]` from the file to the plan; what is drawn is tested in `experiment::random`.

use super::bases::layered;
use super::{alone, experiment, file, planned, read};

/// The mistakes and oddities of a file with this sweep.
fn mistakes(sweep: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    read(&file(sweep), "x.toml", &sets, &mut alone).expect_err("mistakes").to_string()
}

const DRAWN: &str = r#"
[sweep.random]
n = 8
seed = 3
"optimizer.lr" = { log_uniform = [1e-4, 1e-2] }
"objective.mask_ratio" = { uniform = [0.1, 0.5] }
"model.num_hidden_layers" = { integer = [1, 4] }
"objective.nsp" = { choice = ["random", "off"] }
"#;

fn labels(text: &str, sets: &[&str]) -> String {
    planned(text, sets).cells.iter().map(|cell| cell.label.clone()).collect::<Vec<_>>().join("\n")
}

#[test]
fn rows_are_cells() {
    let plan = planned(&file(DRAWN), &[]);
    assert_eq!(plan.tally.to_string(), "random 8 = 8 cells");
    insta::assert_snapshot!(labels(&file(DRAWN), &[]), @r"
    num_hidden_layers=1 mask_ratio=0.358702 nsp=off lr=0.00193498
    num_hidden_layers=3 mask_ratio=0.225871 nsp=random lr=4.34818e-4
    num_hidden_layers=4 mask_ratio=0.463857 nsp=off lr=0.00670313
    num_hidden_layers=2 mask_ratio=0.166391 nsp=random lr=2.17752e-4
    num_hidden_layers=2 mask_ratio=0.409072 nsp=random lr=1.50879e-4
    num_hidden_layers=4 mask_ratio=0.136958 nsp=off lr=0.00343887
    num_hidden_layers=3 mask_ratio=0.312748 nsp=random lr=8.51203e-4
    num_hidden_layers=1 mask_ratio=0.285006 nsp=off lr=0.00118027
    ");
    let values = |axis: usize| plan.axes[axis].values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(
        (values(0), values(2)),
        ("1 2 3 4".to_owned(), "random off".to_owned()),
        "in order, whatever was drawn first"
    );
    let composed = file(&format!(
        "{DRAWN}[sweep.grid]\n\"train.batch_size\" = [8, 16]\n[[sweep.when]]\nif = {{ \"objective.nsp\" = \"random\" }}\ngrid = {{ \"objective.nsp_negative_prob\" = [0.3, 0.5] }}\n"
    ));
    assert_eq!(planned(&composed, &[]).tally.to_string(), "grid 2 x random 8 = 16, when +8, duplicates -0 = 24 cells");
}

#[test]
fn the_order_of_the_file_draws_nothing_else() {
    let mut lines: Vec<&str> = DRAWN.trim().lines().collect();
    lines[1..].reverse();
    assert_eq!(labels(&file(&lines.join("\n")), &[]), labels(&file(DRAWN), &[]));
    let nested = DRAWN.replace("\"optimizer.lr\"", "optimizer.lr").replace("1e-4", "0.0001");
    assert_eq!(labels(&file(&nested), &[]), labels(&file(DRAWN), &[]));
}

#[test]
fn arguments_and_bases_change_what_is_drawn() {
    let more = planned(&file(DRAWN), &["sweep.random.n=16"]);
    assert_eq!(more.cells.len(), 16);
    let first: Vec<&str> = more.cells[..8].iter().map(|cell| cell.label.as_str()).collect();
    assert_eq!(first.join("\n"), labels(&file(DRAWN), &[]), "more rows keep the first ones");
    assert_ne!(labels(&file(DRAWN), &["sweep.random.seed=4"]), labels(&file(DRAWN), &[]));
    assert_ne!(labels(&file(DRAWN), &["sweep.random.sampler=uniform"]), labels(&file(DRAWN), &[]));
    let near = "base = \"b.toml\"\nobjective.nsp = \"off\"\n[sweep.random]\nn = 4\n\"train.batch_size\" = { log_uniform = [4, 64] }\n";
    let experiment = layered(
        &[("x.toml", near), ("b.toml", &file(DRAWN))],
        &["sweep.random.\"optimizer.lr\"={ choice = [1e-3, 2e-3] }"],
    );
    let experiment = experiment.unwrap_or_else(|problems| panic!("{problems}"));
    let axes: Vec<(&str, usize)> =
        experiment.axes.iter().map(|axis| (axis.label.as_str(), axis.values.len())).collect();
    assert_eq!(axes, [("num_hidden_layers", 4), ("mask_ratio", 4), ("lr", 2), ("batch_size", 4)]);
}

#[test]
fn what_cannot_be_drawn_says_why() {
    insta::assert_snapshot!(mistakes(r#"
train.batch_size = 8
[sweep.random]
n = 0
seed = -1
sampler = "halton"
sampeler = "sobol"
"train.batch_size" = { integer = [4, 64] }
"train.eval_every" = { uniform = [4, 64] }
"train.steps" = { integer = [1.5, 4] }
"train.seq_len" = { integer = [64, 32] }
"objective.nsp" = { uniform = [0, 1] }
"objective.masking" = { choice = [] }
"objective.mask_ratio" = { uniform = [0, 0.5] }
"objective.nsp_negative_prob" = { unifrom = [0.1, 0.5] }
"optimizer.weight_decay" = { log_uniform = [0, 0.1] }
"optimizer.lr" = [1e-4, 1e-2]
"optimizer.eps" = { uniform = [1e-8, 1e-6], choice = [1e-8] }
"optimizer.clip_norm" = { integer = [0.5, 2] }
"train.seed" = { integer = [1, 2] }
"model.layer_norm_eps" = { uniform = 3 }
"#, &[]), @r#"
    x.toml:6:5: error: `sweep.random.n` must be a whole number, at least 1 and at most 100000, not 0 (`sweep.random.n`: How many rows are drawn)
    x.toml:7:8: error: `sweep.random.seed` must be a whole number, at least 0 and at most 9007199254740992, not -1 (`sweep.random.seed`: Another seed draws other rows)
    x.toml:8:11: error: `sweep.random.sampler` must be "sobol" or "uniform", not the text "halton" (`sweep.random.sampler`: Evenly spread quasi-random rows, or independent ones)
    x.toml:9:1: error: unknown key `sampeler` (did you mean `sweep.random.sampler`?)
    x.toml:11:34: error: `train.eval_every` takes whole numbers, which `uniform` does not draw (write `integer` for equal chances, or `log_uniform`)
    x.toml:12:30: error: `train.steps` must be a whole number, at least 1, not 1.5 (`train.steps`: Optimizer steps; excludes epochs and budget)
    x.toml:13:31: error: `integer` goes from a number to a larger one, not from 64 to 32 (write the smaller one first)
    x.toml:14:31: error: `objective.nsp` is not a number, and has no range (draw it by { choice = [VALUES] })
    x.toml:15:34: error: the axis `objective.masking` is empty (give it values, or take it out)
    x.toml:16:39: error: `objective.mask_ratio` must be a number more than 0 and less than 1, not 0 (`objective.mask_ratio`: The share of ordinary tokens selected for prediction)
    x.toml:17:35: error: nothing is drawn by `unifrom` (did you mean `uniform`?)
    x.toml:18:44: error: `log_uniform` is between numbers above 0 (`uniform` may begin at 0)
    x.toml:19:18: error: `[sweep.random]` draws `optimizer.lr` from a range, not the list [1e-4, 1e-2] (write { uniform = [FROM, TO] }, { log_uniform = [FROM, TO] }, { integer = [FROM, TO] } or { choice = [VALUES] })
    x.toml:20:19: error: `optimizer.eps` is drawn from one range or list, not 2 (write { uniform = [FROM, TO] }, { log_uniform = [FROM, TO] }, { integer = [FROM, TO] } or { choice = [VALUES] })
    x.toml:21:37: error: `integer` is between whole numbers, not 0.5 and 2 (`uniform` draws any number)
    x.toml:22:1: error: `train.seed` cannot be swept (seeds repeat a cell, they are no axis: `[sweep.replicates]` with `seeds = 3`)
    x.toml:23:38: error: `uniform` takes two numbers, not 3 (the least and the largest, as in [1, 4])
    "#);
    insta::assert_snapshot!(mistakes("[sweep.random]\n\"optimizer.lr\" = { uniform = [1, 2] }", &[]), @"x.toml:4:1: error: `sweep.random.n` is missing: how many rows are drawn (write for example `n = 64` under [sweep.random])");
    insta::assert_snapshot!(mistakes("[sweep.random]\nn = 3", &[]), @r#"x.toml:4:5: error: `sweep.random.n` is given, but `[sweep.random]` names no keys to draw (name one, as in `"optimizer.lr" = { log_uniform = [1e-4, 1e-2] }`)"#);
    insta::assert_snapshot!(mistakes("[sweep.random]\nn = 3\n\"optimizer.lr\" = { uniform = [1, 2] }\n\"objective.nsp_negative_prob\" = { uniform = [0.1, 0.2] }\n[sweep.grid]\n\"optimizer.lr\" = [1e-3, 1e-4]", &[]), @r#"
    x.toml:5:1: error: `optimizer.lr` is varied by [sweep.grid] and by [sweep.random] (take it out of one of them)
    x.toml:6:1: error: `objective.nsp_negative_prob` is varied, but no run reads it where `objective.nsp` is off (vary it only where it is read: `[[sweep.when]]` with `if = { "objective.nsp" = ["random", "swap"] }` and `grid = { "objective.nsp_negative_prob" = [...] }`)
    "#);
    insta::assert_snapshot!(mistakes(DRAWN, &["optimizer.lr=1e-3"]), @"--set optimizer.lr=1e-3: error: `optimizer.lr` is varied by `[sweep.random]`, and cannot be fixed alone (an argument can fix axes of [sweep.grid]; change the file for the others)");
}

#[test]
fn sobol_points_have_so_many_dimensions() {
    let floats = [
        "model.hidden_dropout_prob",
        "model.attention_probs_dropout_prob",
        "model.initializer_range",
        "model.layer_norm_eps",
        "objective.mask_ratio",
        "objective.mask_token_prob",
        "optimizer.lr",
        "optimizer.eps",
        "optimizer.weight_decay",
        "optimizer.clip_norm",
        "schedule.warmup_ratio",
    ];
    let whole = [
        "tokenizer.vocab_size",
        "tokenizer.min_frequency",
        "tokenizer.limit_alphabet",
        "data.demo_documents",
        "data.demo_seed",
        "model.num_hidden_layers",
        "model.attention_head_size",
        "model.intermediate_size",
        "train.steps",
        "train.batch_size",
        "train.seq_len",
        "train.eval_every",
        "train.eval_instances",
        "train.checkpoint_every",
        "train.keep_checkpoints",
    ];
    let words = [
        "model.hidden_act",
        "model.position_embedding_type",
        "model.norm_position",
        "model.embedding_layer_norm",
        "model.tie_word_embeddings",
        "model.mlm_head_transform",
        "model.mlm_head_bias",
    ];
    let choices = ["\"relu\"", "\"absolute\"", "\"pre\"", "true", "true", "true", "true"];
    let mut text = "[sweep.random]\nn = 4\n".to_owned();
    floats.iter().for_each(|key| text.push_str(&format!("\"{key}\" = {{ uniform = [0.01, 0.1] }}\n")));
    whole.iter().for_each(|key| text.push_str(&format!("\"{key}\" = {{ integer = [16, 32] }}\n")));
    words.iter().zip(choices).for_each(|(key, word)| text.push_str(&format!("\"{key}\" = {{ choice = [{word}] }}\n")));
    assert_eq!(floats.len() + whole.len() + words.len(), 33);
    insta::assert_snapshot!(mistakes(&text, &[]), @r#"x.toml:30:1: error: Sobol points have at most 32 keys, and these are 33 (write `sampler = "uniform"`, or draw fewer keys)"#);
    let by_uniform = text.replace("n = 4", "n = 4\nsampler = \"uniform\"");
    assert_eq!(experiment(&file(&by_uniform), &[]).axes.len(), 33);
}
