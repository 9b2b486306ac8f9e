//! Model presets: known small BERTs by name, each a set of `model` keys under whatever the file says itself.
//!
//! `bert-*` have the sizes of Google's small models (Turc et al. 2019, "Well-read students learn better") and BERT's own
//! heads, which are the defaults of the key table. `aiffel-*` are the models of the AIFFEL mini-BERT course and of its
//! students: no transform and no biases in the heads, no dropout on attention. With a vocabulary of 8,007 they have
//! 1,052,256, 4,551,936, 10,804,736 and 1,257,600 parameters. `nano` and `micro` are ours, for sweeps of minutes.
//!
//! `modern-*` are ours too: the layer of ModernBERT (Warner et al. 2024: rotary positions, gated feed-forward networks, LayerNorm
//! before each sublayer, attention to a window), without dropout and with initial weights for their width. At these sizes and
//! budgets BERT's layer learns to copy what is shown and little else; these learn context (`experiments/README.md`).

use std::sync::LazyLock;

use super::value::Value;

/// A named model.
#[derive(Debug)]
pub struct Preset {
    pub name: &'static str,
    /// Values by key.
    pub settings: Vec<(&'static str, Value)>,
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.name == name)
}

/// The names of all presets, in order of size within each family.
pub const NAMES: &[&str] = &{
    let mut names = [""; SHAPES.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = SHAPES[i].name;
        i += 1;
    }
    names
};

/// All presets, in the order of their names.
pub fn all() -> impl Iterator<Item = &'static Preset> {
    PRESETS.iter()
}

static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| SHAPES.iter().map(Shape::preset).collect());

struct Shape {
    name: &'static str,
    hidden_size: i64,
    num_hidden_layers: i64,
    num_attention_heads: i64,
    attention_head_size: Option<i64>,
    intermediate_size: i64,
    max_position_embeddings: i64,
    heads: Heads,
}

/// What stands on top of the encoder, and the details that go with it.
#[derive(Clone, Copy)]
enum Heads {
    Bert,
    Aiffel,
    Modern,
}

const fn shape(
    name: &'static str,
    heads: Heads,
    hidden: i64,
    layers: i64,
    attention_heads: i64,
    positions: i64,
) -> Shape {
    Shape {
        name,
        hidden_size: hidden,
        num_hidden_layers: layers,
        num_attention_heads: attention_heads,
        attention_head_size: None,
        intermediate_size: 4 * hidden,
        max_position_embeddings: positions,
        heads,
    }
}

const fn aiffel(name: &'static str, hidden: i64, layers: i64, heads: i64, feed_forward: i64, positions: i64) -> Shape {
    Shape { intermediate_size: feed_forward, ..shape(name, Heads::Aiffel, hidden, layers, heads, positions) }
}

/// Twice as wide inside as outside: a gate makes three matrices of two.
const fn modern(name: &'static str, hidden: i64, layers: i64, heads: i64, positions: i64) -> Shape {
    Shape { intermediate_size: 2 * hidden, ..shape(name, Heads::Modern, hidden, layers, heads, positions) }
}

const SHAPES: &[Shape] = &[
    Shape { intermediate_size: 64, ..shape("nano", Heads::Bert, 32, 1, 2, 128) },
    Shape { intermediate_size: 128, ..shape("micro", Heads::Bert, 64, 2, 4, 128) },
    aiffel("aiffel-1m", 96, 3, 3, 256, 128),
    Shape { attention_head_size: Some(16), ..aiffel("aiffel-1.26m", 128, 2, 4, 256, 128) },
    aiffel("aiffel-4m", 256, 3, 4, 1024, 256),
    aiffel("aiffel-10m", 512, 3, 8, 1024, 256),
    shape("bert-tiny", Heads::Bert, 128, 2, 2, 512),
    shape("bert-mini", Heads::Bert, 256, 4, 4, 512),
    shape("bert-small", Heads::Bert, 512, 4, 8, 512),
    shape("bert-medium", Heads::Bert, 512, 8, 8, 512),
    shape("bert-base", Heads::Bert, 768, 12, 12, 512),
    modern("modern-nano", 32, 2, 2, 128),
    modern("modern-micro", 64, 2, 4, 128),
    modern("modern-tiny", 128, 2, 4, 512),
    modern("modern-mini", 256, 4, 4, 512),
    modern("modern-small", 512, 4, 8, 512),
];

impl Shape {
    fn preset(&self) -> Preset {
        let size = |value| Some(Value::Integer(value));
        let of_aiffel = |value| matches!(self.heads, Heads::Aiffel).then_some(value);
        let of_modern = |value| matches!(self.heads, Heads::Modern).then_some(value);
        let no_dropout = || of_modern(Value::Float(0.0));
        // 0.05 at width 128, as wide models have less of it.
        let range = 0.05 * (128.0 / self.hidden_size as f64).sqrt();
        let word = |word: &str| of_modern(Value::Text(word.to_owned()));
        let settings = [
            ("model.hidden_size", size(self.hidden_size)),
            ("model.num_hidden_layers", size(self.num_hidden_layers)),
            ("model.num_attention_heads", size(self.num_attention_heads)),
            ("model.attention_head_size", self.attention_head_size.map(Value::Integer)),
            ("model.intermediate_size", size(self.intermediate_size)),
            ("model.max_position_embeddings", size(self.max_position_embeddings)),
            ("model.hidden_act", of_aiffel(Value::Text("gelu_new".to_owned()))),
            ("model.hidden_dropout_prob", no_dropout()),
            ("model.attention_probs_dropout_prob", of_aiffel(Value::Float(0.0)).or_else(no_dropout)),
            ("model.initializer_range", of_modern(Value::Float((range * 1000.0).round() / 1000.0))),
            ("model.position_embedding_type", word("rotary")),
            ("model.norm_position", word("pre")),
            ("model.rope_theta", of_modern(Value::Float(1000.0))),
            ("model.local_attention", of_modern(Value::Integer(8))),
            ("model.is_gated_act", of_modern(Value::Bool(true))),
            ("model.mlm_head_transform", of_aiffel(Value::Bool(false))),
            ("model.mlm_head_bias", of_aiffel(Value::Bool(false))),
            ("model.nsp_head_bias", of_aiffel(Value::Bool(false))),
        ];
        let settings = settings.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Preset { name: self.name, settings }
    }
}
