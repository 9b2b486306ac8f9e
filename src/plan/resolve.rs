//! The settings of a cell, the facts of its corpus and a seed, to a [`RunSpec`].
//!
//! A setting's key is the path of its field in the specification, so that resolving is reading: the settings become a
//! tree of JSON, and the tree becomes the specification. What is resolved beyond that is here, and short: the corpus, the
//! width of a head, the seed.

use serde_json::{Map, Value as Json, json};

use super::run_spec::{CorpusFormat, DemoSpec, RunSpec, SPEC_SCHEMA, Stage};
use crate::experiment::{Diagnostic, Settings, keys};
use crate::types::{ContentHash, Seed};

/// A corpus as an experiment names it: all that its bytes depend on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CorpusRef {
    /// `demo`, a path or a glob, as written.
    pub name: String,
    /// The format, unless it is to be found out from the text.
    pub format: Option<CorpusFormat>,
    /// The field of a JSON line that holds the text.
    pub text_field: String,
    /// Settings of the built-in corpus, when it is that.
    pub demo: Option<DemoSpec>,
}

/// What is known of a corpus once it was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorpusFacts {
    /// The hash of its bytes (of the generator's settings for `demo`).
    pub hash: ContentHash,
    pub format: CorpusFormat,
    pub bytes: u64,
    /// How many documents it has, where they were counted.
    pub documents: Option<u64>,
}

impl CorpusRef {
    /// The corpus of a cell.
    pub fn of(settings: &Settings) -> Self {
        let text =
            |key: &str| settings.text(key).expect("invariant: a released experiment names its corpus").to_owned();
        let number = |key: &str| settings.integer(key).map_or(0, i64::unsigned_abs);
        let name = text("data.corpus");
        let is_demo = name == "demo";
        let format = serde_json::from_value(json!(text("data.format"))).ok();
        let demo = DemoSpec { documents: number("data.demo_documents"), seed: number("data.demo_seed") };
        Self {
            name,
            format: if is_demo { Some(CorpusFormat::Demo) } else { format },
            text_field: text("data.text_field"),
            demo: is_demo.then_some(demo),
        }
    }
}

impl CorpusFacts {
    /// A corpus is cut into train and valid by document, so it needs two.
    pub(super) fn check(self) -> Result<Self, String> {
        match self.documents {
            Some(documents) if documents < 2 => {
                Err(format!("the corpus has {documents} document(s), and needs at least 2"))
            }
            _ if self.bytes == 0 => Err("the corpus is empty".to_owned()),
            _ => Ok(self),
        }
    }
}

/// An error at the place that names the corpus.
pub(super) fn blame_corpus(settings: &Settings, message: String) -> Diagnostic {
    let place = settings.get("data.corpus").and_then(|setting| setting.place.clone());
    Diagnostic::error(message).at(place.unwrap_or((0..0).into()), "this corpus")
}

/// The specification of one run.
pub(super) fn spec(settings: &Settings, facts: &CorpusFacts, seed: Seed) -> RunSpec {
    let mut tree = Map::new();
    tree.insert("schema".to_owned(), json!(SPEC_SCHEMA));
    tree.insert("stage".to_owned(), json!(Stage::Pretrain));
    for (name, setting) in settings.iter() {
        if let Some(value) = setting.value.to_json() {
            put(&mut tree, name, value);
        }
    }
    let width = |key| settings.integer(key).unwrap_or(1);
    if settings.get("model.attention_head_size").is_none() {
        put(
            &mut tree,
            "model.attention_head_size",
            json!(width("model.hidden_size") / width("model.num_attention_heads")),
        );
    }
    put(&mut tree, "data.corpus_hash", json!(facts.hash));
    put(&mut tree, "data.format", json!(facts.format));
    if let Some(demo) = CorpusRef::of(settings).demo {
        put(&mut tree, "data.demo", json!(demo));
    }
    put(&mut tree, "train.seed", json!(seed));
    serde_json::from_value(Json::Object(tree)).expect("invariant: the key table and the specification agree")
}

fn put(tree: &mut Map<String, Json>, key: &str, value: Json) {
    let (section, leaf) = keys::split(key);
    let section = tree.entry(section).or_insert_with(|| Json::Object(Map::new()));
    if let Json::Object(fields) = section {
        fields.insert(leaf.to_owned(), value);
    }
}
