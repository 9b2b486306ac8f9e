//! `Recipe`: how a task is learnt, where fine-tuning differs from the pretraining before it.
//!
//! All of this came after the first stored runs: where a specification says nothing of it, the recipe is theirs.

use serde::{Deserialize, Serialize};

use super::sections::ModelSpec;

/// How a task is learnt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Dropout on the embeddings and on both residual branches; absent: the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_dropout_prob: Option<f64>,
    /// Dropout on the attention probabilities; absent: the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_probs_dropout_prob: Option<f64>,
    /// Dropout before the classifier; absent: `hidden_dropout_prob`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier_dropout: Option<f64>,
}

impl Recipe {
    /// `model` with the dropout of its fine-tuning.
    pub fn with_dropout(&self, model: &ModelSpec) -> ModelSpec {
        ModelSpec {
            hidden_dropout_prob: self.hidden_dropout_prob.unwrap_or(model.hidden_dropout_prob),
            attention_probs_dropout_prob: self
                .attention_probs_dropout_prob
                .unwrap_or(model.attention_probs_dropout_prob),
            ..model.clone()
        }
    }

    /// Dropout before the classifier on a `model`.
    pub fn classifier_dropout(&self, model: &ModelSpec) -> f64 {
        self.classifier_dropout.or(self.hidden_dropout_prob).unwrap_or(model.hidden_dropout_prob)
    }
}
