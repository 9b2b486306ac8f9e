//! The keys of the experiment file: the one table that says which there are, what each takes, and what it is when the
//! file says nothing.
//!
//! Parsing, "did you mean", `--set`, the checks of sweep axes and the order of a sweep's axes all come from here. A new
//! setting is one line in the table and one field of the run's specification, of the same name. Names are Hugging Face's
//! `BertConfig` names where it has one.

mod roles;

use std::sync::LazyLock;

pub use roles::{BOOKKEEPING, basis, redraws_luck};
use toml::de::DeValue;

use super::number::Bounds;
use super::presets;
use super::value::Kind::{Betas, Bool, Choice, Float, FloatOrOff, Integer, Masking, Seeds, Text, Words};
use super::value::{self, Kind, Value};
use crate::suggest;
use crate::types::metrics;

/// One key of the experiment file.
#[derive(Debug)]
pub struct Key {
    /// `section.key`.
    pub name: &'static str,
    pub kind: Kind,
    /// The value when nothing is said, as TOML.
    pub default: Option<&'static str>,
    /// One line for people.
    pub doc: &'static str,
    /// Whether the key came after the first stored specifications. Where it has its default it is left out of a run's
    /// canonical form, so that they keep their meaning and their hash; its default can therefore never change.
    pub is_later: bool,
}

impl Key {
    /// Whether the key is part of a run, and may therefore be swept; the others describe the experiment as a whole.
    pub fn is_setting(&self) -> bool {
        is_setting(self.name)
    }

    /// The place in the table: the order in which axes are expanded.
    pub fn position(&self) -> usize {
        all().position(|key| key.name == self.name).unwrap_or(usize::MAX)
    }

    /// The default, read.
    pub fn default_value(&self) -> Option<Value> {
        DEFAULTS.iter().find(|(key, _)| key.name == self.name).map(|(_, value)| value.clone())
    }
}

/// [`Key::is_setting`] for a key's name.
pub fn is_setting(name: &str) -> bool {
    let section = name.split_once('.').map_or(name, |(section, _)| section);
    !matches!(section, "experiment" | "sweep" | "report")
}

/// All keys, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Key> {
    TABLE.iter().copied().flatten()
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

/// The default of every key that has one.
pub fn defaults() -> &'static [(&'static Key, Value)] {
    &DEFAULTS
}

/// Section and last part of a key's name.
pub fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// A short name for each of these keys: the last part where that is unique among them, the section for a key `kind`.
pub fn short_names(keys: &[&str]) -> Vec<String> {
    let short = |key: &&'_ str| match split(key) {
        (section, "kind") => section.to_owned(),
        (_, leaf) => leaf.to_owned(),
    };
    let all: Vec<String> = keys.iter().map(short).collect();
    let is_unique = |name: &String| all.iter().filter(|other| *other == name).count() == 1;
    keys.iter().zip(&all).map(|(key, name)| if is_unique(name) { name.clone() } else { (*key).to_owned() }).collect()
}

/// The key that `path` probably means: the nearest by its last part, in the same section before any other, or by the
/// whole path, for when the mistake is in the section. Of two that are as near, it is the one that is not `given` already.
pub fn nearest_key(path: &str, given: &[&str]) -> Option<&'static str> {
    let (section, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    // By rank, then by heading (right, mistaken, another), then by the whole path; the distance is for the verdict.
    let score = |name: &'static str| {
        let (its_section, its_leaf) = name.rsplit_once('.').unwrap_or(("", name));
        let (whole, by_leaf) = (suggest::distance(path, name), suggest::distance(leaf, its_leaf));
        // A short leaf says too little alone.
        let is_misplaced = by_leaf < whole && (by_leaf == 0 || its_leaf.len() > 3);
        if its_section == section {
            // One edit under the right heading is as good as the very word under another.
            (by_leaf.saturating_sub(1), 0, whole, by_leaf)
        } else if is_misplaced {
            (by_leaf, 2, whole, by_leaf)
        } else {
            (whole, 1, whole, whole)
        }
    };
    let scored = all().map(|key| (score(key.name), key.name));
    let ((_, _, _, distance), name) = scored.min_by_key(|(score, name)| (*score, given.contains(name)))?;
    suggest::is_near(distance, leaf).then_some(name)
}

/// The tables that a file may have, by path.
pub fn sections() -> impl Iterator<Item = &'static str> {
    SECTIONS.iter().copied()
}

/// What the keys of each stage of training begin with: pretraining, fine-tuning.
pub const STAGES: [&str; 2] = ["", "finetune."];

/// Keys of which at most one may be given: giving one on the command line takes the other back.
pub const EXCLUSIVE: &[&[&str]] = &[
    &["train.steps", "train.epochs", "train.budget"],
    &["schedule.warmup_ratio", "schedule.warmup_steps"],
    &["finetune.train.steps", "finetune.train.epochs"],
    &["finetune.schedule.warmup_ratio", "finetune.schedule.warmup_steps"],
];

/// The keys that a key excludes.
pub fn rivals(name: &str) -> impl Iterator<Item = &'static str> {
    let group = EXCLUSIVE.iter().find(|group| group.contains(&name)).copied().unwrap_or_default();
    group.iter().copied().filter(move |other| *other != name)
}

/// Keys of [train] that a fine-tuning stage has no values of its own for: it runs as its pretraining does.
pub const SHARED_BY_STAGES: [&str; 3] = ["device", "isa", "gradient_checkpointing"];

macro_rules! figures {
    ($first:literal $(, $name:literal)*) => {
        /// The figures that a comparison draws: learning curves, final metric by axis, importance of axes, paired effects,
        /// marginal means and interactions, Pareto fronts, parallel coordinates, learning rate by step, final metric by
        /// parameters, by time; slices with a fit, two axes at once, paired seeds, scaling law, train and valid together, how
        /// a search went, the sweep over time.
        pub const FIGURES: &[&str] = &[$first $(, $name)*];

        /// All of them, as TOML.
        const EVERY_FIGURE: &str = concat!("['", $first, "'", $(", '", $name, "'",)* "]");
    };
}

#[rustfmt::skip]
figures![
    "curves", "axes", "importance", "effects", "means", "pareto", "parallel", "schedules", "parameters", "time",
    "slices", "heatmap", "paired", "scaling", "gap", "search", "timeline", "confusion", "entities"
];

const SECTIONS: &[&str] = &[
    "experiment",
    "experiment.baseline",
    "data",
    "tokenizer",
    "model",
    "objective",
    "optimizer",
    "schedule",
    "train",
    "finetune",
    "finetune.optimizer",
    "finetune.schedule",
    "finetune.train",
    "sweep",
    "sweep.grid",
    "sweep.zip",
    "sweep.when",
    "sweep.exclude",
    "sweep.include",
    "sweep.derive",
    "sweep.random",
    "sweep.replicates",
    "sweep.halving",
    "report",
];

const ANY: Bounds = Bounds::between(0.0, f64::INFINITY);
const FROM_ZERO: Bounds = Bounds::below(0.0, f64::INFINITY);
const INSIDE: Bounds = Bounds::between(0.0, 1.0);
const SHARE: Bounds = Bounds::closed(0.0, 1.0);
const DROPOUT: Bounds = Bounds::below(0.0, 1.0);
const SCHEDULES: Kind =
    one_of(&["constant", "linear", "cosine", "noam", "wsd", "one_cycle", "plateau", "constant_then_noam"]);
const OPTIMIZERS: Kind = Choice { choices: &["adamw", "adam", "lamb", "muon"], planned: &["lion", "sgd", "adafactor"] };
const EXEMPT: Kind = one_of(&["bias_and_norm", "bias", "nothing"]);
const COUNT: Kind = Integer { min: 1, max: i64::MAX };
const SIZE: Kind = Integer { min: 1, max: 1 << 20 };
const SEED: Kind = Integer { min: 0, max: value::MAX_SEED };

const fn one_of(choices: &'static [&'static str]) -> Kind {
    Choice { choices, planned: &[] }
}

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default: Some(default), doc, is_later: false }
}

const fn later(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { is_later: true, ..key(name, kind, default, doc) }
}

const fn without_default(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, default: None, doc, is_later: false }
}

/// The table, in the order in which axes are expanded.
static TABLE: &[&[Key]] = &[
    EXPERIMENT,
    DATA,
    TOKENIZER,
    MODEL,
    OBJECTIVE,
    PRETRAINING.update,
    LENGTH,
    PRETRAINING.train,
    TRAIN,
    FINETUNE,
    FINE_TUNING.update,
    FINETUNE_LENGTH,
    FINE_TUNING.train,
    SWEEP,
    REPORT,
];

#[rustfmt::skip]
const EXPERIMENT: &[Key] = &[
    without_default("experiment.name", Text, "What the experiment is called in lists and reports; required"),
    without_default("experiment.question", Text, "The question that it is to answer, in a sentence"),
    key("experiment.metric", one_of(metrics::NAMES), "'valid/mlm_loss_mask'", "The metric that decides"),
    without_default("experiment.goal", one_of(&["minimize", "maximize"]), "Which way is better; follows from the metric when not given"),
];

#[rustfmt::skip]
const DATA: &[Key] = &[
    without_default("data.corpus", Text, "`demo` for the built-in corpus, or a file, folder or glob; required"),
    key("data.format", one_of(&["auto", "sentences", "eod", "jsonl", "prose"]), "'auto'", "How the text is cut into documents and sentences"),
    key("data.text_field", Text, "'text'", "The field of a JSON line that holds the text"),
    key("data.valid_fraction", Float(INSIDE), "0.05", "The share of documents held out"),
    key("data.demo_documents", Integer { min: 2, max: 100_000_000 }, "2000", "Documents of the built-in corpus"),
    key("data.demo_seed", SEED, "0", "The seed of the built-in corpus"),
];

#[rustfmt::skip]
const TOKENIZER: &[Key] = &[
    key("tokenizer.kind", one_of(&["wordpiece", "bpe", "unigram", "character"]), "'wordpiece'", "The tokenizer's algorithm"),
    key("tokenizer.vocab_size", Integer { min: 16, max: 1 << 24 }, "8000", "Entries of the vocabulary, the special tokens included: five with wordpiece, seven with the others"),
    key("tokenizer.min_frequency", COUNT, "2", "A pair that occurs less often is not merged"),
    key("tokenizer.limit_alphabet", COUNT, "6000", "At most so many different characters enter the alphabet"),
    key("tokenizer.lowercase", Bool, "false", "Whether text is lower-cased first"),
    without_default("tokenizer.separator", Text, "What cuts words into morphemes, in text that was analysed beforehand"),
    without_default("tokenizer.dictionary", Text, "A folder with a MeCab dictionary in lindera's format, or `ko-dic` for the built-in one: words are cut into morphemes first"),
];

#[rustfmt::skip]
const MODEL: &[Key] = &[
    without_default("model.preset", one_of(presets::NAMES), "A known model; single keys win over it"),
    key("model.hidden_size", SIZE, "128", "Width of the model"),
    key("model.num_hidden_layers", Integer { min: 1, max: 1024 }, "2", "Encoder layers"),
    key("model.num_attention_heads", Integer { min: 1, max: 1024 }, "2", "Attention heads a layer"),
    without_default("model.attention_head_size", SIZE, "Width of one head; hidden_size / num_attention_heads when not given"),
    key("model.intermediate_size", SIZE, "512", "Width of the feed-forward sublayer"),
    key("model.max_position_embeddings", SIZE, "512", "The longest sequence that has positions"),
    key("model.type_vocab_size", Integer { min: 2, max: 2 }, "2", "Segment embeddings: A and B"),
    key("model.hidden_act", one_of(&["gelu", "gelu_new", "relu"]), "'gelu'", "The feed-forward activation"),
    key("model.hidden_dropout_prob", Float(DROPOUT), "0.1", "Dropout on embeddings and residual branches"),
    key("model.attention_probs_dropout_prob", Float(DROPOUT), "0.1", "Dropout on attention probabilities"),
    key("model.initializer_range", Float(ANY), "0.02", "Standard deviation of the initial weights"),
    key("model.layer_norm_eps", Float(ANY), "1e-12", "Added to the variance in LayerNorm"),
    key("model.position_embedding_type", one_of(&["absolute", "sinusoidal", "rotary", "relative_key"]), "'absolute'", "Learned positions, sines and cosines, queries and keys turned by their position (RoFormer), or a learned vector for each distance of query and key (Shaw et al. 2018)"),
    key("model.norm_position", one_of(&["post", "pre"]), "'post'", "LayerNorm after each residual sum (BERT), or before each sublayer"),
    key("model.embedding_layer_norm", Bool, "true", "Whether the embeddings are normalised"),
    key("model.tie_word_embeddings", Bool, "true", "Whether the MLM head projects onto the word embeddings"),
    key("model.mlm_head_transform", Bool, "true", "Whether dense + activation + LayerNorm stand before the MLM projection"),
    key("model.mlm_head_bias", Bool, "true", "Whether the MLM projection has a bias"),
    key("model.nsp_head_bias", Bool, "true", "Whether the NSP classifier has a bias"),
    later("model.rope_theta", Float(ANY), "10000.0", "The base of the frequencies of rotary positions"),
    later("model.local_attention", Integer { min: 0, max: 1 << 20 }, "0", "The window of attention, in tokens: half of it to each side (ModernBERT); 0: the whole sequence"),
    later("model.global_attn_every_n_layers", Integer { min: 0, max: 1024 }, "0", "Of layers with a window, every so many sees the whole sequence, the first among them; 0: none"),
    later("model.mlm_bias_init", one_of(&["zeros", "unigram"]), "'zeros'", "Whether the bias of the MLM projection starts at 0, or at the logarithm of how often each token occurs in the train text"),
    later("model.norm_type", one_of(&["layer_norm", "rms_norm"]), "'layer_norm'", "What normalises: LayerNorm, or its root mean square without mean and offset"),
    later("model.first_attention_norm", Bool, "true", "Whether the first attention reads a normalised input, as those of all other layers do; false, for norm_position pre alone, is ModernBERT's"),
    later("model.is_gated_act", Bool, "false", "Whether the activation of the feed-forward sublayer gates a second projection (GLU)"),
];

#[rustfmt::skip]
const OBJECTIVE: &[Key] = &[
    key("objective.mask_ratio", Float(INSIDE), "0.15", "The share of ordinary tokens selected for prediction"),
    key("objective.mask_token_prob", Float(SHARE), "0.8", "Of the selected, the share replaced by [MASK]"),
    key("objective.random_token_prob", Float(SHARE), "0.1", "Of the selected, the share replaced by a random token"),
    key("objective.masking", Masking, "'dynamic'", "When masks are drawn anew"),
    key("objective.nsp", one_of(&["off", "random", "swap"]), "'off'", "Next-sentence prediction: off, against another document, or against the swapped pair"),
    key("objective.nsp_negative_prob", Float(INSIDE), "0.5", "The share of pairs that are not consecutive"),
    key("objective.short_seq_prob", Float(SHARE), "0.1", "The share of pairs built to a shorter random length"),
    later("objective.packing", one_of(&["full_sentences", "concatenated"]), "'full_sentences'", "How text becomes sequences where there are no pairs: whole sentences as long as they fit, a longer one cut off, or all text end to end and cut to length"),
    later("objective.whole_word", Bool, "false", "Whether words are selected as a whole"),
    later("objective.mask_dice", one_of(&["token", "word"]), "'token'", "Whether [MASK], random or kept is decided for each token of a whole word, or once for the word"),
    later("objective.mask_replacement", Bool, "false", "Whether tokens are drawn with replacement, as long8v/torch_study does by mistake"),
    later("objective.mlm_weight", Float(FROM_ZERO), "1.0", "What the MLM loss is multiplied with"),
    later("objective.mlm_mean", one_of(&["masked", "positions"]), "'masked'", "Whether the MLM loss is a mean over the masked tokens, or over all positions"),
    later("objective.nsp_weight", Float(FROM_ZERO), "1.0", "What the NSP loss is multiplied with"),
    without_default("objective.nsp_negative_documents", Integer { min: 1, max: 1 << 31 }, "Negatives come from the first so many documents only, as Chuck2Win/BERT does by mistake"),
    later("objective.nsp_double_softmax", Bool, "false", "Whether a second softmax stands in the NSP loss, as in AIFFEL's TensorFlow model by mistake"),
];

/// The keys of [optimizer], [schedule] and [train] that every stage of training has.
struct StageKeys {
    /// [optimizer] and [schedule].
    update: &'static [Key],
    /// [train], but for how long the stage lasts.
    train: &'static [Key],
}

/// Where the keys of stages differ.
struct StageDefaults {
    lr: &'static str,
    /// What the length of its sequences is.
    seq_len: &'static str,
    eval_every: &'static str,
    /// How many instances an evaluation judges, and what these are.
    eval_instances: (&'static str, &'static str),
    checkpoint_every: &'static str,
    keep_checkpoints: &'static str,
}

/// The keys of the stage whose names begin with `$stage`. Those that came after its first stored specifications are `$added`:
/// [`later`] or [`key`].
macro_rules! stage_keys {
    ($stage:literal, $added:ident, $defaults:expr) => {{
        const OF: StageDefaults = $defaults;
        StageKeys {
            update: &[
                key(concat!($stage, "optimizer.kind"), OPTIMIZERS, "'adamw'", "The optimizer"),
                key(concat!($stage, "optimizer.lr"), Float(ANY), OF.lr, "The peak learning rate"),
                key(concat!($stage, "optimizer.betas"), Betas, "[0.9, 0.999]", "Decay rates of the two moments"),
                key(concat!($stage, "optimizer.eps"), Float(ANY), "1e-8", "Added to the root of the second moment"),
                key(
                    concat!($stage, "optimizer.weight_decay"),
                    Float(FROM_ZERO),
                    "0.01",
                    "Decay: decoupled in adamw, L2 in adam",
                ),
                $added(
                    concat!($stage, "optimizer.decay_exempt"),
                    EXEMPT,
                    "'bias_and_norm'",
                    "What has no weight decay",
                ),
                key(concat!($stage, "optimizer.clip_norm"), FloatOrOff(ANY), "1.0", "The largest gradient norm"),
                $added(
                    concat!($stage, "optimizer.clip_scope"),
                    one_of(&["global", "per_tensor"]),
                    "'global'",
                    "Whether the norm is of all gradients together, or of each tensor's",
                ),
                later(
                    concat!($stage, "optimizer.momentum"),
                    Float(Bounds::below(0.0, 1.0)),
                    "0.95",
                    "The momentum of muon's hidden matrices",
                ),
                key(concat!($stage, "schedule.kind"), SCHEDULES, "'linear'", "The learning rate after the warmup"),
                key(
                    concat!($stage, "schedule.warmup_ratio"),
                    Float(SHARE),
                    "0.1",
                    "The warmup as a share of all steps; excludes warmup_steps",
                ),
                without_default(
                    concat!($stage, "schedule.warmup_steps"),
                    Integer { min: 0, max: i64::MAX },
                    "The warmup in steps; excludes warmup_ratio",
                ),
                $added(
                    concat!($stage, "schedule.decay_ratio"),
                    Float(SHARE),
                    "0.1",
                    "The last share of all steps, in which wsd falls to 0",
                ),
                $added(
                    concat!($stage, "schedule.plateau_factor"),
                    Float(INSIDE),
                    "0.1",
                    "What plateau multiplies the learning rate with",
                ),
                $added(
                    concat!($stage, "schedule.plateau_patience"),
                    Integer { min: 0, max: i64::MAX },
                    "10",
                    "Evaluations without improvement that plateau waits through",
                ),
                $added(
                    concat!($stage, "schedule.plateau_threshold"),
                    Float(Bounds::below(0.0, 1.0)),
                    "1e-4",
                    "The share by which the valid loss must fall to count as improvement",
                ),
            ],
            train: &[
                key(
                    concat!($stage, "train.batch_size"),
                    SIZE,
                    "32",
                    "Sequences a forward pass; a step learns from gradient_accumulation_steps times as many",
                ),
                $added(
                    concat!($stage, "train.gradient_accumulation_steps"),
                    SIZE,
                    "1",
                    "Batches whose mean gradient makes a step",
                ),
                key(concat!($stage, "train.seq_len"), Integer { min: 8, max: 1 << 20 }, "128", OF.seq_len),
                key(concat!($stage, "train.eval_every"), COUNT, OF.eval_every, "Steps between evaluations"),
                key(concat!($stage, "train.eval_instances"), COUNT, OF.eval_instances.0, OF.eval_instances.1),
                key(concat!($stage, "train.checkpoint_every"), COUNT, OF.checkpoint_every, "Steps between checkpoints"),
                key(
                    concat!($stage, "train.keep_checkpoints"),
                    Integer { min: 1, max: 10_000 },
                    OF.keep_checkpoints,
                    "How many recent checkpoints to keep, besides the best",
                ),
            ],
        }
    }};
}

#[rustfmt::skip]
const PRETRAINING: StageKeys = stage_keys!("", later, StageDefaults {
    lr: "5e-4",
    seq_len: "Tokens a sequence, special tokens included",
    eval_every: "100",
    eval_instances: ("512", "Valid instances an evaluation"),
    checkpoint_every: "500",
    keep_checkpoints: "2",
});

#[rustfmt::skip]
const FINE_TUNING: StageKeys = stage_keys!("finetune.", key, StageDefaults {
    lr: "5e-5",
    seq_len: "Tokens that an example is cut to, special tokens included",
    eval_every: "500",
    eval_instances: ("100000", "Held-out examples an evaluation, at most"),
    checkpoint_every: "1000",
    keep_checkpoints: "1",
});

#[rustfmt::skip]
const LENGTH: &[Key] = &[
    key("train.steps", COUNT, "1000", "Optimizer steps; excludes epochs and budget"),
    without_default("train.epochs", Float(ANY), "Passes over the train instances; excludes steps and budget"),
    without_default("train.budget", Kind::Budget, "What a run may cost, in place of steps and epochs"),
    without_default("train.run", Text, "A run of the store whose weights pretraining starts from, in place of random ones: an imported model, or one that was pretrained. Model and tokenizer are that run's"),
    later("train.seq_len_warmup", Kind::Lengths, "'off'", "Shorter sequences first: lengths, each with its share of all steps; the rest is made at seq_len. A step has as many tokens at every length"),
];

/// What both stages share.
#[rustfmt::skip]
const TRAIN: &[Key] = &[
    key("train.seed", SEED, "0", "The seed of cells that are not repeated; replicates count from it"),
    key("train.device", one_of(&["flex", "tch", "tch_cuda", "cuda", "wgpu", "vulkan"]), "'flex'", "What the run computes on; see `ablate doctor`"),
    key("train.isa", one_of(&["native", "avx512", "avx2"]), "'native'", "The instruction set of the matrix kernels"),
    key("train.gradient_checkpointing", Bool, "false", "Whether the backward pass computes sublayers again to save memory"),
];

#[rustfmt::skip]
const FINETUNE: &[Key] = &[
    without_default("finetune.task", one_of(metrics::TASKS), "What the model is trained for after pretraining: classes of texts, or named entities"),
    without_default("finetune.data", Text, "The labelled examples to learn from: TSV or JSON lines for classify, KLUE-NER's format for ner; required"),
    without_default("finetune.test", Text, "Labelled examples that are judged once, after the last step"),
    key("finetune.text_column", Text, "'text'", "The column, or the field of a JSON line, that holds the text"),
    without_default("finetune.pair_column", Text, "The column that holds a second text"),
    key("finetune.label_column", Text, "'label'", "The column that holds the class"),
    key("finetune.valid_fraction", Float(INSIDE), "0.05", "The share of the labelled examples held out"),
    without_default("finetune.fold", Text, "The part of the labelled examples held out in place of a share, for cross-validation: '1/5' is the first of five"),
    without_default("finetune.limit", COUNT, "Labelled examples learnt from, at most: drawn by the seed, fewer of them among more; all when not given"),
    key("finetune.start", one_of(&["pretrained", "random"]), "'pretrained'", "Whether the encoder starts as pretraining left it, or with fresh weights"),
    without_default("finetune.run", Text, "A run of the store to start from, in place of pretraining: an imported model, or any that was trained"),
    key("finetune.encoder", one_of(&["trained", "frozen", "embeddings"]), "'trained'", "Whether the encoder learns with the head, stays as it is, or is left out but for its embeddings"),
    key("finetune.head", one_of(&["linear", "crf", "bilstm_crf"]), "'linear'", "What stands on the encoder"),
    key("finetune.lstm_hidden_size", SIZE, "128", "Width of each direction of the LSTM of bilstm_crf"),
    later("finetune.pooling", one_of(&["cls", "mean", "max"]), "'cls'", "What classify reads of a text: its first token, the mean over its tokens, or the largest value of each feature"),
    without_default("finetune.hidden_dropout_prob", Float(DROPOUT), "Dropout on embeddings and residual branches in fine-tuning; model.hidden_dropout_prob when not given"),
    without_default("finetune.attention_probs_dropout_prob", Float(DROPOUT), "Dropout on attention probabilities in fine-tuning; model.attention_probs_dropout_prob when not given"),
    without_default("finetune.classifier_dropout", Float(DROPOUT), "Dropout before the classifier; that on residual branches when not given"),
    later("finetune.layer_lr_decay", Float(Bounds::above(0.0, 1.0)), "1.0", "What each layer's learning rate is of that of the layer above it: what stands on the encoder has finetune.optimizer.lr, the embeddings the least"),
    without_default("finetune.head_lr", Float(ANY), "The peak learning rate of what stands on the encoder; finetune.optimizer.lr when not given"),
    without_default("finetune.early_stopping_patience", COUNT, "Evaluations in a row without a better score of the held-out examples, after which a run ends; at its last step when not given"),
    later("finetune.label_smoothing_factor", Float(DROPOUT), "0.0", "The share of the training loss that is a mean over all classes"),
    later("finetune.bpe_dropout", Float(SHARE), "0.0", "The probability with which a merge is left out where an epoch splits the texts to learn from anew; for bpe"),
    later("finetune.load_best_model_at_end", Bool, "false", "Whether the weights of the best held-out score are the model that comes out and is judged, in place of the last ones"),
];

#[rustfmt::skip]
const FINETUNE_LENGTH: &[Key] = &[
    key("finetune.train.epochs", Float(ANY), "3.0", "Passes over the labelled examples; excludes steps"),
    without_default("finetune.train.steps", COUNT, "Optimizer steps; excludes epochs"),
];

#[rustfmt::skip]
const SWEEP: &[Key] = &[
    without_default("sweep.random.n", Integer { min: 1, max: 100_000 }, "How many rows are drawn"),
    key("sweep.random.seed", SEED, "0", "Another seed draws other rows"),
    key("sweep.random.sampler", one_of(&["sobol", "uniform"]), "'sobol'", "Evenly spread quasi-random rows, or independent ones"),

    without_default("sweep.halving.min_steps", COUNT, "Steps of the first rung, where cells are compared and the best survive: asynchronous successive halving"),
    key("sweep.halving.reduction_factor", Integer { min: 2, max: 1000 }, "3", "eta: 1/eta of the cells survive a rung, with eta times the steps"),

    key("sweep.replicates.seeds", Seeds, "1", "How many runs each cell has, each combination of settings that re-draw luck with seeds of its own; or a list of seeds for all cells"),
    key("sweep.replicates.paired", Bool, "false", "Whether a number of seeds is the same seeds in every cell, from train.seed on, as a list is"),
];

#[rustfmt::skip]
const REPORT: &[Key] = &[
    key("report.figures", Words(FIGURES), EVERY_FIGURE, "The figures that a comparison draws"),
    without_default("report.colour_by", Text, "The axis that is told by colour; the first one when not given"),
    without_default("report.negligible", Float(ANY), "The smallest difference of the metric that is of interest: what is surely smaller is called negligible"),
    key("report.title", Bool, "true", "Whether figures carry title, explanation and caption; captions.md has them in either case"),
    key("report.width", one_of(&["page", "column"]), "'page'", "What the figures are made for: the text width of a page, 6.5 inches, or one of two columns, 3.3 inches"),
    without_default("report.x", Text, "The axis of the figures of final values; every axis has one when not given"),
];

static DEFAULTS: LazyLock<Vec<(&'static Key, Value)>> = LazyLock::new(|| {
    let read = |key: &'static Key| {
        let text = DeValue::parse(key.default?).expect("invariant: defaults are TOML");
        Some((key, key.kind.read(text.get_ref()).expect("invariant: defaults are of their key's kind")))
    };
    all().filter_map(read).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert_eq!(defaults().len(), all().filter(|key| key.default.is_some()).count());
        for (i, key) in all().enumerate() {
            assert_eq!(key.position(), i, "{} is there twice", key.name);
            let section = key.name.rsplit_once('.').expect("a section").0;
            assert!(SECTIONS.contains(&section), "{section} is no section");
            assert!(!key.doc.is_empty() && !key.doc.ends_with('.'));
        }
        let metric = find("experiment.metric").and_then(Key::default_value).expect("a default").to_string();
        assert_eq!(metric, metrics::deciding(None).name());
        for name in EXCLUSIVE.iter().copied().flatten() {
            assert!(find(name).is_some() && rivals(name).all(|rival| rivals(rival).any(|back| back == *name)));
        }
    }

    #[test]
    fn the_same_section_comes_first() {
        assert_eq!(nearest_key("objective.mask_ration", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("schedule.kin", &[]), Some("schedule.kind"));
        assert_eq!(nearest_key("sweep.replicates.seed", &[]), Some("sweep.replicates.seeds"));
        assert_eq!(nearest_key("optimizer.kin", &[]), Some("optimizer.kind"));
        assert_eq!(nearest_key("demo.mask_ratio", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("train.lr", &[]), Some("optimizer.lr"));
        assert_eq!(nearest_key("mask_ratio", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("objectve.mask_ratio", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("chedule.kind", &[]), Some("schedule.kind"));
        assert_eq!(nearest_key("finetune.tast", &[]), Some("finetune.task"));
        assert_eq!(nearest_key("finetune.tast", &["finetune.task"]), Some("finetune.test"));
        assert_eq!(nearest_key("model.colour_of_the_sky", &[]), None);
    }
}
