//! `TaskSpec`: the part of a run's configuration that says what a model is fine-tuned for, and how it starts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::later;
use super::recipe::Recipe;
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
    /// The part of the examples that is held out, in place of a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// At most so many examples are learnt from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
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

/// One of equal parts of the labelled examples, as `2/5`: what cross-validation holds out in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fold {
    /// From 1 to `of`.
    number: u32,
    of: u32,
}

/// A text that names no fold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fold is written like 2/5: the second of five parts, of which there are at least two")]
pub struct NoFold;

impl Fold {
    /// Whether something is of this part that lies at `place` among all numbers of 64 bits.
    pub fn holds(self, place: u64) -> bool {
        let part = (u128::from(place) * u128::from(self.of)) >> u64::BITS;
        part == u128::from(self.number - 1)
    }
}

impl FromStr for Fold {
    type Err = NoFold;

    fn from_str(text: &str) -> Result<Self, NoFold> {
        let (number, of) = text.split_once('/').ok_or(NoFold)?;
        let fold = Self { number: number.parse().map_err(|_| NoFold)?, of: of.parse().map_err(|_| NoFold)? };
        let is_one = (1..=fold.of).contains(&fold.number) && fold.of > 1 && fold.to_string() == text;
        if is_one { Ok(fold) } else { Err(NoFold) }
    }
}

impl fmt::Display for Fold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl TryFrom<String> for Fold {
    type Error = NoFold;

    fn try_from(text: String) -> Result<Self, NoFold> {
        text.parse()
    }
}

impl From<Fold> for String {
    fn from(fold: Fold) -> Self {
        fold.to_string()
    }
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

    /// Every place is of one of the parts, the parts are equally large, and only what is written as one is a fold.
    #[test]
    fn folds_are_parts_of_a_whole() {
        for of in [2, 3, 10] {
            let folds: Vec<Fold> = (1..=of).map(|number| format!("{number}/{of}").parse().unwrap()).collect();
            let mut counts = vec![0; folds.len()];
            for i in 0..9000 {
                let place = u64::MAX / 9000 * i;
                let of_place: Vec<usize> = (0..folds.len()).filter(|&f| folds[f].holds(place)).collect();
                assert_eq!(of_place.len(), 1, "{place}");
                counts[of_place[0]] += 1;
            }
            assert!(counts.iter().all(|count| (9000 / of as usize).abs_diff(*count) <= 1), "{counts:?}");
            assert!(folds[of as usize - 1].holds(u64::MAX) && folds[0].holds(0));
        }
        for text in ["", "1", "0/5", "6/5", "1/1", "1/0", "+1/5", "01/5", "1 / 5", "-1/5", "1/5/5"] {
            assert_eq!(text.parse::<Fold>(), Err(NoFold), "{text}");
        }
    }

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
