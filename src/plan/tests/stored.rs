//! The stored form of a specification: its bytes must never drift, for they are the identity of runs.

use proptest::prelude::*;

use super::{QUICKSTART, file, planned, spec};
use crate::experiment::keys;
use crate::plan::{RunSpec, SpecError, StageSpec};

#[test]
fn the_canonical_bytes_are_these() {
    let spec = spec("model.preset = \"aiffel-1.26m\"\nobjective.nsp = \"swap\"\nobjective.masking = { copies = 10 }\n");
    insta::assert_snapshot!(spec.canonical(), @r"
    data.corpus_hash=8e12da091f17b7dd4e5e6c97755765e6efdd51f40027d4e4c28e2df50ec9c436
    data.demo.documents=2000
    data.demo.seed=0
    data.format=demo
    data.text_field=text
    data.valid_fraction=5e-2
    model.architecture=bert
    model.attention_head_size=16
    model.attention_probs_dropout_prob=0e0
    model.embedding_layer_norm=true
    model.hidden_act=gelu_new
    model.hidden_dropout_prob=1e-1
    model.hidden_size=128
    model.initializer_range=2e-2
    model.intermediate_size=256
    model.layer_norm_eps=1e-12
    model.max_position_embeddings=128
    model.mlm_head_bias=false
    model.mlm_head_transform=false
    model.norm_position=post
    model.nsp_head_bias=false
    model.num_attention_heads=4
    model.num_hidden_layers=2
    model.position_embedding_type=absolute
    model.tie_word_embeddings=true
    model.type_vocab_size=2
    numerics=2
    objective.mask_ratio=1.5e-1
    objective.mask_token_prob=8e-1
    objective.masking.copies=10
    objective.nsp=swap
    objective.nsp_negative_prob=5e-1
    objective.random_token_prob=1e-1
    objective.short_seq_prob=1e-1
    optimizer.betas.0=9e-1
    optimizer.betas.1=9.99e-1
    optimizer.clip_norm=1e0
    optimizer.eps=1e-8
    optimizer.kind=adamw
    optimizer.lr=5e-4
    optimizer.weight_decay=1e-2
    schedule.kind=linear
    schedule.warmup_ratio=1e-1
    schema=2
    stage=pretrain
    tokenizer.kind=wordpiece
    tokenizer.limit_alphabet=6000
    tokenizer.lowercase=false
    tokenizer.min_frequency=2
    tokenizer.vocab_size=8000
    train.batch_size=32
    train.checkpoint_every=500
    train.device=flex
    train.eval_every=100
    train.eval_instances=512
    train.isa=native
    train.keep_checkpoints=2
    train.seed=0
    train.seq_len=128
    train.steps=1000
    ");
    insta::assert_snapshot!(spec.hash(), @"e0fb6c72520c8dc9c9a3c846c2d8c1a87ec01f87870691186010720e62a99c4b");
}

#[test]
fn the_stored_file_reads_like_an_experiment() {
    insta::assert_snapshot!(spec("").to_toml().expect("TOML"), @r#"
    schema = 2
    numerics = 2
    stage = "pretrain"

    [data]
    corpus = "demo"
    corpus_hash = "8e12da091f17b7dd4e5e6c97755765e6efdd51f40027d4e4c28e2df50ec9c436"
    format = "demo"
    text_field = "text"
    valid_fraction = 0.05

    [data.demo]
    documents = 2000
    seed = 0

    [tokenizer]
    kind = "wordpiece"
    vocab_size = 8000
    min_frequency = 2
    limit_alphabet = 6000
    lowercase = false

    [model]
    architecture = "bert"
    hidden_size = 128
    num_hidden_layers = 2
    num_attention_heads = 2
    attention_head_size = 64
    intermediate_size = 512
    max_position_embeddings = 512
    type_vocab_size = 2
    hidden_act = "gelu"
    hidden_dropout_prob = 0.1
    attention_probs_dropout_prob = 0.1
    initializer_range = 0.02
    layer_norm_eps = 0.000000000001
    position_embedding_type = "absolute"
    norm_position = "post"
    embedding_layer_norm = true
    tie_word_embeddings = true
    mlm_head_transform = true
    mlm_head_bias = true
    nsp_head_bias = true
    rope_theta = 10000.0
    local_attention = 0
    global_attn_every_n_layers = 0
    mlm_bias_init = "zeros"
    is_gated_act = false
    norm_type = "layer_norm"
    first_attention_norm = true

    [objective]
    mask_ratio = 0.15
    mask_token_prob = 0.8
    random_token_prob = 0.1
    masking = "dynamic"
    nsp = "off"
    nsp_negative_prob = 0.5
    short_seq_prob = 0.1
    packing = "full_sentences"
    whole_word = false
    mask_dice = "token"
    mask_replacement = false
    mlm_weight = 1.0
    mlm_mean = "masked"
    nsp_weight = 1.0
    nsp_double_softmax = false

    [optimizer]
    kind = "adamw"
    lr = 0.0005
    betas = [0.9, 0.999]
    eps = 0.00000001
    weight_decay = 0.01
    decay_exempt = "bias_and_norm"
    clip_norm = 1.0
    clip_scope = "global"
    momentum = 0.95

    [schedule]
    kind = "linear"
    warmup_ratio = 0.1
    decay_ratio = 0.1
    plateau_factor = 0.1
    plateau_patience = 10
    plateau_threshold = 0.0001

    [train]
    steps = 1000
    batch_size = 32
    gradient_accumulation_steps = 1
    seq_len = 128
    eval_every = 100
    eval_instances = 512
    checkpoint_every = 500
    keep_checkpoints = 2
    seed = 0
    device = "flex"
    isa = "native"
    "#);
}

/// Each stage has its own sections and no others: fine-tuning has no objective of pretraining, and names what it starts from.
#[test]
fn a_fine_tuned_run_is_stored_with_its_task_and_its_input() {
    let spec = spec("[finetune]\ntask = \"ner\"\ndata = \"a.ner\"\ntest = \"b.ner\"\n");
    let text = spec.to_toml().expect("TOML");
    assert_eq!(RunSpec::from_toml(&text), Ok(spec));
    let tables: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
    insta::assert_snapshot!(tables.join(" "), @"[data] [data.demo] [tokenizer] [model] [optimizer] [schedule] [train] [finetune] [inputs]");
    let alone = planned(&file(""), &[]).cells[0].runs[0].hash;
    assert!(text.ends_with(&format!("[inputs]\nweights = \"{alone}\"\n")), "{text}");
}

#[test]
fn stored_specifications_come_back_whole() {
    for run in planned(QUICKSTART, &["sweep.replicates.seeds=[0, 9007199254740992]"]).runs() {
        let text = run.spec.to_toml().expect("TOML");
        let back = RunSpec::from_toml(&text).expect("a specification");
        assert_eq!((&back, back.hash()), (&run.spec, run.hash));
    }
    for rest in [
        "train.epochs = 1.5\nschedule.warmup_steps = 3",
        "optimizer.clip_norm = \"off\"",
        "objective.masking = { copies = 2 }",
    ] {
        let spec = spec(rest);
        assert_eq!(RunSpec::from_toml(&spec.to_toml().expect("TOML")), Ok(spec));
    }
}

/// A specification that was stored before a key existed means what it meant, and is the same run.
#[test]
fn settings_that_came_later_have_their_defaults_in_older_files() {
    let new = spec("");
    let text = new.to_toml().expect("TOML");
    let is_later = |line: &&str| {
        let name = line.split(" = ").next().unwrap_or_default();
        keys::all().any(|key| key.is_later && keys::split(key.name).1 == name)
    };
    let old: Vec<&str> = text.lines().filter(|line| !is_later(line)).collect();
    assert!(old.len() < text.lines().count());
    assert_eq!(RunSpec::from_toml(&old.join("\n")), Ok(new.clone()));
    assert!(keys::all().filter(|key| key.is_later).all(|key| !new.canonical().contains(&format!("{}=", key.name))));
}

/// Away from its default a later key is part of the identity.
#[test]
fn settings_that_came_later_count_when_they_are_used() {
    let changed = spec("schedule.kind = \"plateau\"\nschedule.plateau_patience = 3");
    assert!(changed.canonical().contains("schedule.plateau_patience=3\n"));
    assert_ne!(changed.hash(), spec("schedule.kind = \"plateau\"").hash());
}

/// A stage that says nothing of its recipe is the run that it was before there were recipes; what it says counts.
#[test]
fn a_recipe_that_is_not_told_is_not_in_the_identity() {
    let stage = |rest: &str| spec(&format!("[finetune]\ntask = \"classify\"\ndata = \"a.tsv\"\n{rest}"));
    let plain = stage("");
    let text = plain.canonical();
    let of_task = |line: &&str| line.starts_with("finetune.") && !line.contains("_hash=");
    insta::assert_snapshot!(text.lines().filter(of_task).collect::<Vec<_>>().join("\n"), @"
    finetune.encoder=trained
    finetune.head=linear
    finetune.label_column=label
    finetune.labels.0=0
    finetune.labels.1=1
    finetune.lstm_hidden_size=128
    finetune.start=pretrained
    finetune.task=classify
    finetune.text_column=text
    finetune.valid_fraction=5e-2
    ");
    let defaults = "pooling = \"cls\"\nlayer_lr_decay = 1\nload_best_model_at_end = false\nlabel_smoothing_factor = 0\nbpe_dropout = 0\n";
    assert_eq!(stage(defaults).hash(), plain.hash());
    let mut hashes = vec![plain.hash()];
    for changed in [
        "pooling = \"mean\"",
        "hidden_dropout_prob = 0.1",
        "attention_probs_dropout_prob = 0.1",
        "classifier_dropout = 0.1",
        "layer_lr_decay = 0.9",
        "head_lr = 5e-5",
        "early_stopping_patience = 1",
        "load_best_model_at_end = true",
        "label_smoothing_factor = 0.1",
        "limit = 100",
        "fold = \"1/5\"",
    ] {
        let changed = stage(changed);
        assert_eq!(RunSpec::from_toml(&changed.to_toml().expect("TOML")), Ok(changed.clone()));
        assert!(!hashes.contains(&changed.hash()));
        hashes.push(changed.hash());
    }
    let of_bpe = |p: f64| {
        let stage = "[finetune]\ntask = \"classify\"\ndata = \"a.tsv\"\n";
        spec(&format!("tokenizer.kind = \"bpe\"\n{stage}bpe_dropout = {p}\n"))
    };
    assert_eq!(RunSpec::from_toml(&of_bpe(0.1).to_toml().expect("TOML")), Ok(of_bpe(0.1)));
    assert!(of_bpe(0.1).hash() != of_bpe(0.0).hash() && !of_bpe(0.0).canonical().contains("bpe_dropout"));
}

#[test]
fn what_is_no_specification_says_why() {
    let text = spec("").to_toml().expect("TOML");
    let refused = |text: &str| RunSpec::from_toml(text).expect_err("no specification").to_string();
    insta::assert_snapshot!(refused(&text.replace("schema = 2", "schema = 3")), @"the specification has schema 3, and this program reads up to 2: use a newer one");
    insta::assert_snapshot!(refused(&text.replace("mask_ratio", "mask_ration")), @r#"
    not a run specification: TOML parse error at line 52, column 1
       |
    52 | [objective]
       | ^^^^^^^^^^^
    missing field `mask_ratio`
    "#);
    insta::assert_snapshot!(refused(&text.replace("lowercase = false", "lowercase = false\nuppercase = true")), @"the specification has the unknown key `tokenizer.uppercase`: did you mean `tokenizer.lowercase`?");
    insta::assert_snapshot!(refused(&text.replace("kind = \"adamw\"", "kind = \"sgd\"")), @r#"
    not a run specification: TOML parse error at line 70, column 8
       |
    70 | kind = "sgd"
       |        ^^^^^
    unknown variant `sgd`, expected one of `adamw`, `adam`, `lamb`, `muon`
    "#);
    let lacking = text.split("\n[objective]").next().expect("a part").to_owned()
        + "\n[optimizer]"
        + text.split("[optimizer]").nth(1).expect("a part");
    insta::assert_snapshot!(refused(&lacking), @"a specification of the stage `pretrain` needs a table [objective]");
    assert!(matches!(RunSpec::from_toml("schema = "), Err(SpecError::Malformed(_))));
}

#[test]
fn the_name_of_the_corpus_is_a_label() {
    let plan = planned(&file("").replace("demo", "a.txt"), &[]);
    let mut renamed = plan.cells[0].runs[0].spec.clone();
    let StageSpec::Pretrain(stage) = &mut renamed.stage else { panic!("a pretraining run") };
    stage.data.corpus = "/elsewhere/a.txt".to_owned();
    assert_eq!(renamed.hash(), plan.cells[0].runs[0].hash);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_order_of_a_stored_file_changes_nothing(seed in any::<u64>()) {
        let spec = spec("");
        let text = spec.to_toml().expect("TOML");
        let mut tables: Vec<Vec<&str>> = vec![Vec::new()];
        for line in text.lines().filter(|line| !line.is_empty()) {
            if line.starts_with('[') {
                tables.push(Vec::new());
            }
            tables.last_mut().expect("one").push(line);
        }
        // The head stays first; the other tables and the lines within each table are sorted by a seeded hash.
        let rank = |line: &str| crate::types::ContentHash::of(format!("{seed} {line}").as_bytes());
        tables[1..].sort_by_key(|table| rank(table[0]));
        for table in &mut tables {
            let head = usize::from(table[0].starts_with('['));
            table[head..].sort_by_key(|line| rank(line));
        }
        prop_assert_eq!(RunSpec::from_toml(&tables.concat().join("\n")), Ok(spec));
    }
}
