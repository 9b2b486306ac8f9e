//! Schema 1, as runs were stored until schema 2 came: read for ever, planned and written anew never.
//!
//! One table had the sections of all stages: a fine-tuned run carried the objective of the pretraining before it, an imported
//! model the defaults of a training that never was. What such a run means is read into today's [`RunSpec`]; what it *is*, its
//! text and its hash, stays with it as an [`Original`], and rests on nothing that can change: neither on today's keys nor on
//! their defaults.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::leaves::{StageName, leaves_of, lines, refuse_unknown, to_json};
use super::{
    CorpusFormat, DataSpec, DemoSpec, FinetuneSpec, ImportSpec, ModelSpec, Nsp, ObjectiveSpec, OptimizerSpec,
    PretrainSpec, Role, RunSpec, ScheduleSpec, Schema, SpecError, StageSpec, TaskSpec, TokenizerKind, TokenizerSpec,
    TrainSpec, Training,
};
use crate::experiment::read_toml;
use crate::types::{ContentHash, SpecHash};

/// A specification as it was stored under schema 1.
#[derive(Debug, PartialEq)]
pub struct Original {
    text: String,
    json: Value,
    leaves: Vec<(String, String)>,
    corpus_hash: ContentHash,
}

/// Keys that name data for people.
const LABEL_KEYS: [&str; 4] = ["data.corpus", "finetune.data", "finetune.test", "tokenizer.dictionary"];

/// Settings that came after the first stored runs, with the values that these have: left out of the canonical form.
const LATER: [(&str, &str); 14] = [
    ("objective.whole_word", "false"),
    ("objective.mask_dice", "token"),
    ("objective.mask_replacement", "false"),
    ("objective.mlm_weight", "1e0"),
    ("objective.mlm_mean", "masked"),
    ("objective.nsp_weight", "1e0"),
    ("objective.nsp_double_softmax", "false"),
    ("optimizer.decay_exempt", "bias_and_norm"),
    ("optimizer.clip_scope", "global"),
    ("schedule.decay_ratio", "1e-1"),
    ("schedule.plateau_factor", "1e-1"),
    ("schedule.plateau_patience", "10"),
    ("schedule.plateau_threshold", "1e-4"),
    ("train.gradient_accumulation_steps", "1"),
];

impl Original {
    /// The specification that `text` means, and is.
    pub(super) fn read(text: &str) -> Result<RunSpec, SpecError> {
        let file: File = read_toml(text)?;
        let all = leaves_of(&to_json(&file));
        refuse_unknown(text, &all)?;
        let json: Value = read_toml(text)?;
        // As written, and behind that what came later: today's sections may have more than schema 1 ever had.
        let written: Vec<String> = leaves_of(&json).into_iter().map(|(key, _)| key).collect();
        let later = LATER.iter().map(|(key, _)| (*key).to_owned()).filter(|key| !written.contains(key));
        let read: BTreeMap<String, String> = all.into_iter().collect();
        let keys = written.iter().cloned().chain(later);
        let leaves = keys.filter_map(|key| Some((key.clone(), read.get(&key)?.clone()))).collect();
        let original = Self { text: text.to_owned(), json, leaves, corpus_hash: file.data.corpus_hash };
        file.meaning(Arc::new(original))
    }

    /// As it is stored.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn json(&self) -> &Value {
        &self.json
    }

    pub(super) fn leaves(&self) -> &[(String, String)] {
        &self.leaves
    }

    pub(super) fn corpus_hash(&self) -> ContentHash {
        self.corpus_hash
    }

    pub(super) fn canonical(&self) -> String {
        let is_left_out = |(key, value): &&(String, String)| {
            LABEL_KEYS.contains(&key.as_str()) || LATER.contains(&(key.as_str(), value.as_str()))
        };
        lines(self.leaves.iter().filter(|leaf| !is_left_out(leaf)).cloned().collect())
    }
}

/// The file.
#[derive(Serialize, Deserialize)]
struct File {
    schema: u32,
    /// Specifications from before there was a number have none.
    #[serde(default = "first_numerics", skip_serializing_if = "is_first_numerics")]
    numerics: u32,
    stage: StageName,
    data: Data,
    tokenizer: TokenizerSpec,
    model: ModelSpec,
    objective: ObjectiveSpec,
    optimizer: OptimizerSpec,
    schedule: ScheduleSpec,
    train: TrainSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finetune: Option<Finetune>,
}

/// The corpus, or the folder that a model was imported from.
#[derive(Serialize, Deserialize)]
struct Data {
    corpus: String,
    corpus_hash: ContentHash,
    format: Format,
    text_field: String,
    valid_fraction: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    demo: Option<DemoSpec>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Sentences,
    Eod,
    Jsonl,
    Prose,
    Demo,
    /// No corpus, but a model.
    HuggingFace,
}

/// A task, and the hash of the run that it starts from.
#[derive(Serialize, Deserialize)]
struct Finetune {
    #[serde(flatten)]
    task: TaskSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<SpecHash>,
}

fn first_numerics() -> u32 {
    1
}

fn is_first_numerics(numerics: &u32) -> bool {
    *numerics == first_numerics()
}

impl File {
    /// What the specification means today.
    fn meaning(self, original: Arc<Original>) -> Result<RunSpec, SpecError> {
        let mut inputs = BTreeMap::new();
        let training = Training { optimizer: self.optimizer, schedule: self.schedule, train: self.train };
        let stage_needs = |stage: StageName, problem, table| SpecError::Stage { stage: stage.as_str(), problem, table };
        let corpus = self.data.corpus();
        let stage = match (self.stage, self.finetune) {
            (StageName::Pretrain, None) => {
                let data = corpus.ok_or_else(|| stage_needs(self.stage, "needs a corpus in", "data"))?;
                StageSpec::Pretrain(Box::new(PretrainSpec { data, objective: self.objective, training }))
            }
            (StageName::Finetune, Some(Finetune { task, before })) => {
                inputs.extend(before.map(|before| (Role::Weights, before)));
                StageSpec::Finetune(Box::new(FinetuneSpec { data: corpus, task, training }))
            }
            (StageName::Import, None) => StageSpec::Import(ImportSpec {
                folder: self.data.corpus,
                hash: self.data.corpus_hash,
                nsp_head: self.objective.nsp != Nsp::Off,
            }),
            (StageName::Finetune, None) => return Err(stage_needs(self.stage, "needs", "finetune")),
            (_, Some(_)) => return Err(stage_needs(self.stage, "has no use for", "finetune")),
        };
        // What is said of how an imported tokenizer was trained is made up.
        let tokenizer = match self.tokenizer.kind {
            TokenizerKind::Imported => TokenizerSpec::imported(self.tokenizer.vocab_size),
            _ => self.tokenizer,
        };
        let (schema, numerics, model) = (Schema::First(original), self.numerics, self.model);
        Ok(RunSpec { schema, numerics, tokenizer, model, stage, inputs })
    }
}

impl Data {
    fn corpus(&self) -> Option<DataSpec> {
        let format = match self.format {
            Format::Sentences => CorpusFormat::Sentences,
            Format::Eod => CorpusFormat::Eod,
            Format::Jsonl => CorpusFormat::Jsonl,
            Format::Prose => CorpusFormat::Prose,
            Format::Demo => CorpusFormat::Demo,
            Format::HuggingFace => return None,
        };
        Some(DataSpec {
            corpus: self.corpus.clone(),
            corpus_hash: self.corpus_hash,
            format,
            text_field: self.text_field.clone(),
            valid_fraction: self.valid_fraction,
            demo: self.demo,
        })
    }
}
