//! What the key table says of luck, held against what the trainer draws: the first weights and the batches of a run and of
//! the same run with one setting changed.
//!
//! What counts is the draws. Weights are compared by name, as multiples of `model.initializer_range`, and those that nothing
//! draws (they start as a constant, or from the text) are left out; batches by what the model sees and is asked. A dropout probability is a threshold for uniform
//! numbers that hang on seed, step and place alone, so that it shares luck like all that comes after the batch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ablate::experiment::keys;
use ablate::plan::{self, CorpusRef, DeviceKind, RunSpec};
use ablate::runner::corpora;
use ablate::runner::data_sources::{DataSources, SearchPath};
use ablate::store::Store;
use ablate::trainer::device;
use ablate::trainer::model::parameters::{Parameter, Weights};
use ablate::trainer::pretraining::batch::Batch;
use ablate::trainer::pretraining::{Corpus, Pretraining};
use ablate::trainer::step_loop::Stage;

type Settings<'s> = BTreeMap<&'s str, &'s str>;

const BASE: [(&str, &str); 7] = [
    ("experiment.name", "'x'"),
    ("data.corpus", "'demo'"),
    ("data.demo_documents", "60"),
    ("tokenizer.vocab_size", "900"),
    ("model.preset", "'nano'"),
    ("train.batch_size", "8"),
    ("train.seq_len", "32"),
];

const PAIRS: &[(&str, &str)] = &[("objective.nsp", "'random'")];
const ROTARY: &[(&str, &str)] = &[("model.position_embedding_type", "'rotary'")];
const PRE: &[(&str, &str)] = &[("model.norm_position", "'pre'")];
const WINDOW: &[(&str, &str)] = &[("model.local_attention", "8")];
const MUON: &[(&str, &str)] = &[("optimizer.kind", "'muon'")];
const WORDS: &[(&str, &str)] = &[("objective.whole_word", "true")];
const TEXT: &[(&str, &str)] = &[("data.corpus", "'a.txt'"), ("tokenizer.vocab_size", "150")];
const LINES: &[(&str, &str)] = &[("data.corpus", "'a.jsonl'"), ("tokenizer.vocab_size", "150")];

/// A key, another value of it, and what must be set for it to count.
type Change = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// Another value of every key of a pretraining.
const CHANGES: &[Change] = &[
    ("data.corpus", "'b.txt'", TEXT),
    ("data.format", "'prose'", TEXT),
    ("data.text_field", "'other'", LINES),
    ("data.valid_fraction", "0.2", &[]),
    ("data.demo_documents", "70", &[]),
    ("data.demo_seed", "1", &[]),
    ("tokenizer.kind", "'bpe'", &[]),
    ("tokenizer.vocab_size", "1000", &[]),
    ("tokenizer.limit_alphabet", "300", &[]),
    ("tokenizer.lowercase", "true", TEXT),
    ("tokenizer.separator", "'+'", TEXT),
    ("model.preset", "'micro'", &[]),
    ("model.hidden_size", "48", &[]),
    ("model.num_hidden_layers", "3", &[]),
    ("model.num_attention_heads", "4", &[("model.attention_head_size", "16")]),
    ("model.attention_head_size", "8", &[]),
    ("model.intermediate_size", "100", &[]),
    ("model.max_position_embeddings", "64", &[]),
    ("model.hidden_act", "'relu'", &[]),
    ("model.hidden_dropout_prob", "0.3", &[]),
    ("model.attention_probs_dropout_prob", "0.3", &[]),
    ("model.initializer_range", "0.05", &[]),
    ("model.layer_norm_eps", "1e-5", &[]),
    ("model.position_embedding_type", "'sinusoidal'", &[]),
    ("model.norm_position", "'pre'", &[]),
    ("model.embedding_layer_norm", "false", &[]),
    ("model.tie_word_embeddings", "false", &[]),
    ("model.mlm_head_transform", "false", &[]),
    ("model.mlm_head_bias", "false", &[]),
    ("model.nsp_head_bias", "false", PAIRS),
    ("model.rope_theta", "100.0", ROTARY),
    ("model.local_attention", "8", &[]),
    ("model.global_attn_every_n_layers", "2", WINDOW),
    ("model.mlm_bias_init", "'unigram'", &[]),
    ("model.is_gated_act", "true", &[]),
    ("model.norm_type", "'rms_norm'", &[]),
    ("model.first_attention_norm", "false", PRE),
    ("objective.mask_ratio", "0.3", &[]),
    ("objective.mask_token_prob", "0.5", &[]),
    ("objective.random_token_prob", "0.2", &[]),
    ("objective.masking", "'static'", &[]),
    ("objective.nsp", "'swap'", PAIRS),
    ("objective.nsp_negative_prob", "0.2", PAIRS),
    ("objective.short_seq_prob", "0.9", PAIRS),
    ("objective.packing", "'concatenated'", &[]),
    ("objective.whole_word", "true", &[]),
    ("objective.mask_dice", "'word'", WORDS),
    ("objective.mask_replacement", "true", &[]),
    ("objective.mlm_weight", "2.0", &[]),
    ("objective.mlm_mean", "'positions'", &[]),
    ("objective.nsp_weight", "2.0", PAIRS),
    ("objective.nsp_negative_documents", "5", PAIRS),
    ("objective.nsp_double_softmax", "true", PAIRS),
    ("optimizer.kind", "'lamb'", &[]),
    ("optimizer.lr", "1e-2", &[]),
    ("optimizer.betas", "[0.8, 0.9]", &[]),
    ("optimizer.eps", "1e-6", &[]),
    ("optimizer.weight_decay", "0.1", &[]),
    ("optimizer.decay_exempt", "'nothing'", &[]),
    ("optimizer.clip_norm", "'off'", &[]),
    ("optimizer.clip_scope", "'per_tensor'", &[]),
    ("optimizer.momentum", "0.5", MUON),
    ("schedule.kind", "'cosine'", &[]),
    ("schedule.warmup_ratio", "0.3", &[]),
    ("schedule.warmup_steps", "7", &[]),
    ("schedule.decay_ratio", "0.3", &[("schedule.kind", "'wsd'")]),
    ("schedule.plateau_factor", "0.3", &[("schedule.kind", "'plateau'")]),
    ("schedule.plateau_patience", "3", &[("schedule.kind", "'plateau'")]),
    ("schedule.plateau_threshold", "0.1", &[("schedule.kind", "'plateau'")]),
    ("train.steps", "70", &[]),
    ("train.epochs", "2.0", &[]),
    ("train.budget", "{ tokens = 1e5 }", &[]),
    ("train.batch_size", "4", &[]),
    ("train.gradient_accumulation_steps", "2", &[]),
    ("train.seq_len", "24", &[]),
    ("train.seq_len_warmup", "[[16, 0.5]]", &[]),
    ("train.eval_every", "7", &[]),
    ("train.eval_instances", "64", &[]),
    ("train.checkpoint_every", "7", &[]),
    ("train.keep_checkpoints", "1", &[]),
    ("train.seed", "1", &[]),
    ("train.device", "'tch'", &[]),
    ("train.isa", "'avx2'", &[]),
    ("train.gradient_checkpointing", "true", &[]),
];

/// Keys that cannot be changed here, and count as re-drawing luck.
const LEFT_OUT: [&str; 4] = [
    // Needs a stored run.
    "train.run",
    // A pair that is too rare is not merged, and too few merges are refused.
    "tokenizer.min_frequency",
    // Needs a dictionary.
    "tokenizer.dictionary",
    // Has one value.
    "model.type_vocab_size",
];

#[test]
fn a_key_redraws_luck_exactly_where_the_trainer_draws_otherwise() {
    let settings = keys::all().filter(|key| key.is_setting() && !key.name.starts_with("finetune."));
    let settings = settings.map(|key| key.name).collect::<BTreeSet<_>>();
    let here = CHANGES.iter().map(|(key, ..)| *key).chain(LEFT_OUT).collect::<BTreeSet<_>>();
    assert_eq!(settings, here);
    assert!(LEFT_OUT.into_iter().all(keys::redraws_luck));

    let folder = tempfile::tempdir().unwrap();
    write_texts(folder.path());
    let search = SearchPath { experiment_dir: Some(folder.path().to_owned()), data_root: folder.path().to_owned() };
    let sources = DataSources { search, store: Store::open(folder.path().join("runs")).unwrap() };
    let mut drawn = BTreeMap::new();
    let mut wrong = Vec::new();
    for (key, value, with) in CHANGES {
        let before = BASE.iter().chain(*with).copied().collect::<Settings<'_>>();
        let mut after = before.clone();
        after.insert(key, value);
        let [before, after] = [before, after].map(|settings| {
            drawn.entry(text(&settings)).or_insert_with_key(|text| Drawn::by(&spec(text, &sources), &sources)).clone()
        });
        if before.is_as(&after) == keys::redraws_luck(key) {
            wrong.push(*key);
        }
    }
    assert!(wrong.is_empty(), "the table is wrong about {wrong:?}");
}

/// All that chance decides in the beginning of a run, and around the end of its first epoch.
#[derive(Clone, Debug)]
struct Drawn {
    /// Multiples of the initial range by name and shape.
    weights: BTreeMap<(String, Vec<usize>), Vec<f64>>,
    /// The batches of a step.
    steps: Vec<Vec<Batch>>,
}

impl Drawn {
    fn by(spec: &RunSpec, sources: &DataSources) -> Self {
        let data = corpora::prepare(spec, sources).unwrap();
        let (specials, continues) = (data.tokenizer.special_ids(), data.tokenizer.continuations());
        let corpus =
            Corpus { train: &data.train, valid: &data.valid, specials, continues: &continues, characters: &[] };
        let stage = Pretraining::new(spec, &corpus).unwrap();
        let model = stage.start(&device::open(DeviceKind::Flex).unwrap());
        let draws = |value: &f32| f64::from(*value) / spec.model.initializer_range;
        let is_drawn = |weight: &Parameter| {
            weight.values.iter().any(|v| *v != weight.values[0]) && weight.name != "cls.predictions.bias"
        };
        let weights = model.parameters().into_iter().filter(is_drawn);
        let weights = weights.map(|weight| ((weight.name, weight.shape), weight.values.iter().map(draws).collect()));
        let batches = spec.train().gradient_accumulation_steps as u64;
        let epoch = stage.instances() as u64 / spec.train().sequences_a_step();
        let steps = (0..3).chain(epoch..epoch + 3);
        let steps = steps.map(|step| (step * batches..(step + 1) * batches).map(|place| stage.batch(place)).collect());
        Self { weights: weights.collect(), steps: steps.collect() }
    }
}

impl Drawn {
    /// Whether the draws are the same, but for how far a product of single precision is from them.
    fn is_as(&self, other: &Self) -> bool {
        let close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
        let weights = self.weights.iter().zip(&other.weights);
        let mut alike = weights.map(|(a, b)| a.0 == b.0 && a.1.iter().zip(b.1).all(close));
        self.weights.len() == other.weights.len() && alike.all(|is| is) && self.steps == other.steps
    }
}

fn text(settings: &Settings<'_>) -> String {
    settings.iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
}

fn spec(text: &str, sources: &DataSources) -> RunSpec {
    let alone = &mut |_: &str, _: &str| Err("stands on no file".to_owned());
    let experiment = plan::read(text, "x.toml", &[], alone).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    let look_up = |corpus: &CorpusRef| corpora::look_up(corpus, &sources.search);
    let plan = plan::plan(&experiment, look_up).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    plan.cells[0].runs[0].spec.clone()
}

/// Documents of invented words, some in capitals, some in two morphemes: as text and as JSON lines of two fields.
fn write_texts(folder: &Path) {
    let mut state = 1_u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let syllables = ["ba", "do", "ki", "lu", "me", "no", "ra", "sho", "ti", "vu"];
    let mut word = || {
        let plain = (0..1 + below(3)).map(|_| syllables[below(10)]).collect::<String>();
        match below(4) {
            0 => plain.to_uppercase(),
            1 => format!("{plain}+{}", syllables[below(10)]),
            _ => plain,
        }
    };
    let mut sentence = || (0..6).map(|_| word()).collect::<Vec<_>>().join(" ") + ".";
    let mut document = || (0..5).map(|_| format!("{} {}", sentence(), sentence())).collect::<Vec<_>>();
    let documents = (0..80).map(|_| document()).collect::<Vec<_>>();
    let sentences = documents.iter().map(|document| document.join("\n")).collect::<Vec<_>>();
    fs::write(folder.join("a.txt"), sentences.join("\n\n")).unwrap();
    fs::write(folder.join("b.txt"), sentences[20..].join("\n\n")).unwrap();
    let line = |document: &Vec<String>| serde_json::json!({ "text": document.join(" "), "other": document[0] });
    let lines = documents.iter().map(|document| line(document).to_string()).collect::<Vec<_>>();
    fs::write(folder.join("a.jsonl"), lines.join("\n")).unwrap();
}
