//! `TaskSpec`: the part of a run's configuration that says what a model is fine-tuned for, and how it starts.

use serde::{Deserialize, Serialize};

use super::recipe::Recipe;
use super::sections::later;
use crate::experiment::Settings;
use crate::types::ContentHash;
use crate::types::metrics::{self, Metric};

/// A task, its data, and what stands on the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    pub task: Task,
    /// The labelled examples as the experiment file names them. A label: not part of the identity.
    pub data: String,
    /// The hash of the examples' bytes.
    pub data_hash: ContentHash,
    /// Examples that are judged once, after the last step, as the file names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_hash: Option<ContentHash>,
    pub text_column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair_column: Option<String>,
    pub label_column: String,
    /// All labels, in the order of their numbers.
    pub labels: Vec<String>,
    /// The share of the examples held out, in (0, 1).
    pub valid_fraction: f64,
    pub start: Start,
    pub encoder: Encoder,
    pub head: HeadKind,
    /// Width of each direction of the LSTM, where the head has one.
    pub lstm_hidden_size: usize,
    /// What the pooler reads, where texts are classified.
    #[serde(default = "later::pooling")]
    pub pooling: Pooling,
    #[serde(flatten)]
    pub recipe: Recipe,
}

/// What a model is fine-tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One class for each text, or pair of texts.
    Classify,
    /// Named entities: a tag for each character.
    Ner,
}

/// What is answered of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// A class, from what is pooled of the tokens.
    Class,
    /// A tag for each token.
    Tags,
}

impl Task {
    /// All tasks.
    pub const ALL: &[Self] = &[Self::Classify, Self::Ner];

    /// The names of those whose examples stand in columns.
    pub const WITH_COLUMNS: &[&str] = &["classify"];

    /// The names of those that answer a text as a whole.
    pub const OF_WHOLE_TEXTS: &[&str] = &["classify"];

    /// The name in experiment files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::Ner => "ner",
        }
    }

    /// What is answered of each text.
    pub fn answers(self) -> Answers {
        match self {
            Self::Classify => Answers::Class,
            Self::Ner => Answers::Tags,
        }
    }

    /// The task of a cell, where it has one.
    pub fn of(settings: &Settings<'_>) -> Option<Self> {
        let name = settings.text("finetune.task")?;
        Some(*Self::ALL.iter().find(|task| task.name() == name).expect("invariant: a task of the key table"))
    }

    /// What its runs record of labelled examples: held-out scores, then test scores.
    pub fn metrics(self) -> impl Iterator<Item = &'static Metric> {
        metrics::of_task(self.name())
    }
}

/// The weights that fine-tuning starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The encoder of the stage before.
    Pretrained,
    /// Fresh ones: what pretraining is worth is the difference.
    Random,
}

/// What becomes of the encoder in fine-tuning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoder {
    /// It learns with the head.
    Trained,
    /// It stays as it is, without dropout: a function that gives features.
    Frozen,
    /// It has no layers: the head stands on the embeddings, which learn.
    Embeddings,
}

/// What stands on the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// A linear layer: on what is pooled for classes, on each token for tags.
    Linear,
    /// A linear-chain CRF on the linear layer (Lafferty et al. 2001).
    Crf,
    /// A bidirectional LSTM below them (Huang et al. 2015).
    BilstmCrf,
}

/// What the pooler reads of a text's tokens, the special ones among them (Reimers & Gurevych 2019, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token, `[CLS]` (Devlin et al. 2019).
    Cls,
    /// The mean over all.
    Mean,
    /// The largest value of each feature.
    Max,
}

impl Pooling {
    /// The name in experiment files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Mean => "mean",
            Self::Max => "max",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in experiment files, in specifications and in the table of metrics are one list.
    #[test]
    fn a_task_has_one_name() {
        assert_eq!(Task::ALL.iter().map(|task| task.name()).collect::<Vec<_>>(), metrics::TASKS);
        for task in Task::ALL {
            assert_eq!(serde_json::to_value(task).unwrap(), task.name());
            assert!(task.metrics().any(|metric| metric == metrics::deciding(Some(task.name()))));
            for list in [Task::WITH_COLUMNS, Task::OF_WHOLE_TEXTS] {
                assert!(list.contains(&task.name()) == (task.answers() == Answers::Class));
            }
        }
    }
}
