//! Schema 1, which is read for ever: the bytes, the hashes and the meaning of runs that were stored under it.

use super::{file, planned, spec};
use crate::plan::{PlannedRun, Role, RunSpec, Schema, SpecError, StageSpec, TokenizerKind};
use crate::types::{ContentHash, Seed};

/// What `spec("model.preset = ...")` of [`super::stored`] was stored as, without the settings that came later.
const PRETRAIN: &str = include_str!("schema_1/pretrain.toml");
/// A run that was fine-tuned from another.
const FINETUNE: &str = include_str!("schema_1/finetune.toml");
/// A model that was imported.
const IMPORT: &str = include_str!("schema_1/import.toml");
/// One of each stage.
pub const STORED: [&str; 3] = [PRETRAIN, FINETUNE, IMPORT];

fn read(text: &str) -> RunSpec {
    RunSpec::from_toml(text).expect("a specification of schema 1")
}

/// The specification as it would be planned today.
fn restated(text: &str) -> RunSpec {
    RunSpec { schema: Schema::Second, ..read(text) }
}

#[test]
fn text_and_hash_are_what_they_were() {
    for (text, hash) in [
        (PRETRAIN, "33ce1ea7b6b2777e5eb25c7aa5fc7d3da2ea441a278f6aa4c8e728ef973620f2"),
        (FINETUNE, "ed079988c4f47a7e0820579986fca8b682a438cba39d99f86292fb9e414f8df6"),
        (IMPORT, "c2b4f4bc08b2ea6f5bd0365407282d9571d28dc60a43bdefacbd61f8b942f472"),
    ] {
        let spec = read(text);
        assert_eq!((spec.hash().to_string().as_str(), spec.to_toml().expect("TOML").as_str()), (hash, text));
        assert_ne!(restated(text).hash(), spec.hash());
    }
}

#[test]
fn the_canonical_bytes_are_these() {
    insta::assert_snapshot!(read(PRETRAIN).canonical(), @r"
    data.corpus_hash=8e12da091f17b7dd4e5e6c97755765e6efdd51f40027d4e4c28e2df50ec9c436
    data.demo.documents=2000
    data.demo.seed=0
    data.format=demo
    data.text_field=text
    data.valid_fraction=5e-2
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
    schema=1
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
}

/// A plan finds what was stored before: the same science is the same specification.
#[test]
fn what_was_pretrained_is_what_would_be_planned() {
    let planned =
        spec("model.preset = \"aiffel-1.26m\"\nobjective.nsp = \"swap\"\nobjective.masking = { copies = 10 }\n");
    assert_eq!(restated(PRETRAIN), planned);
}

/// Settings that came later have the values that runs had before, written or not.
#[test]
fn later_settings_are_the_same_said_or_unsaid() {
    let said = PRETRAIN.replace("[schedule]\n", "[schedule]\ndecay_ratio = 0.1\nplateau_patience = 10\n");
    let used = PRETRAIN.replace("[schedule]\n", "[schedule]\nplateau_patience = 3\n");
    assert_eq!(read(&said).leaves().len(), read(PRETRAIN).leaves().len());
    assert_eq!((read(&said).hash(), restated(&said)), (read(PRETRAIN).hash(), restated(PRETRAIN)));
    assert!(read(&used).canonical().contains("schedule.plateau_patience=3\n"));
    assert_ne!(read(&used).hash(), read(PRETRAIN).hash());
}

/// The name of data is a label, in a file of any age.
#[test]
fn labels_are_no_part_of_the_identity() {
    let renamed = FINETUNE.replace("\"train.tsv\"", "\"elsewhere/train.tsv\"");
    assert_eq!(read(&renamed).hash(), read(FINETUNE).hash());
}

/// A specification from before the number of the arithmetic is read as it was, under its old hash, and is another run.
#[test]
fn a_specification_without_numerics_is_of_the_first() {
    let old = read(&PRETRAIN.replace("numerics = 2\n", ""));
    assert_eq!(old.numerics, 1);
    assert!(!old.canonical().contains("numerics"));
    assert_ne!(old.hash(), read(PRETRAIN).hash());
    assert_ne!(RunSpec { schema: Schema::Second, ..old }.hash(), restated(PRETRAIN).hash());
}

/// Fine-tuning keeps its task, its input and the corpus of its tokenizer, and loses an objective that was never its own.
#[test]
fn fine_tuning_means_its_task_and_its_input() {
    let spec = restated(FINETUNE);
    let before = "3086674eb3c91b46992756f5ae2c944a16c9278dc1c92bd19b5c1f8b28fad753";
    assert_eq!(spec.inputs[&Role::Weights].to_string(), before);
    assert!(spec.pretraining().is_none() && spec.data().is_some() && !spec.canonical().contains("objective."));
    let (task, training) = (spec.task().expect("a task"), spec.training().expect("a training"));
    assert_eq!((task.labels.len(), training.optimizer.lr, training.train.seq_len), (2, 2e-3, 32));
}

/// An imported model is its files, its shape and its vocabulary: whatever the defaults of training were, they are gone.
#[test]
fn an_import_hangs_on_no_default_of_training() {
    let spec = restated(IMPORT);
    assert!(matches!(&spec.stage, StageSpec::Import(its) if its.folder == "hf" && !its.nsp_head));
    assert!(spec.training().is_none() && spec.data().is_none());
    assert_eq!(spec.tokenizer.kind, TokenizerKind::Imported);
    let other_defaults =
        IMPORT.replace("eval_every = 100", "eval_every = 50").replace("min_frequency = 2", "min_frequency = 3");
    assert_ne!(read(&other_defaults).hash(), read(IMPORT).hash());
    assert_eq!(restated(&other_defaults).hash(), spec.hash());
}

#[test]
fn what_is_no_specification_of_schema_1_says_why() {
    let refused = |text: &str| RunSpec::from_toml(text).expect_err("no specification");
    let unknown = PRETRAIN.replace("lowercase = false", "lowercase = false\nuppercase = true");
    assert!(matches!(refused(&unknown), SpecError::UnknownKey { key, .. } if key == "tokenizer.uppercase"));
    let other = FINETUNE.replace("stage = \"finetune\"", "stage = \"pretrain\"");
    insta::assert_snapshot!(refused(&other), @"a specification of the stage `pretrain` has no use for a table [finetune]");
}

/// A chain of stages is planned from its first run to its last, each once.
#[test]
fn runs_come_after_all_of_their_inputs() {
    let grid = "[sweep.grid]\n\"finetune.head\" = [\"linear\", \"crf\"]\n\"objective.mask_ratio\" = [0.15, 0.3]\n";
    let mut plan = planned(&file(&format!("finetune.task = \"ner\"\nfinetune.data = \"a.ner\"\n{grid}")), &[]);
    // A stage after the next, which has both of the others as inputs.
    let last = plan.cells[0].runs[0].clone();
    let hash = crate::types::SpecHash(ContentHash::of(b"a third stage"));
    let inputs = vec![last.clone(), last.inputs[0].clone()];
    plan.cells[0].runs[0] =
        PlannedRun { seed: Seed(0), replicate: last.replicate, spec: last.spec.clone(), hash, inputs };
    let runs = plan.runs();
    assert_eq!(runs.len(), 2 + 4 + 1);
    for (i, run) in runs.iter().enumerate() {
        assert!(run.inputs.iter().all(|input| runs[..i].iter().any(|earlier| earlier.hash == input.hash)));
    }
}
