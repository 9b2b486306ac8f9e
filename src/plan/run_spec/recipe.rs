//! `Recipe`: how a task is learnt, where fine-tuning differs from the pretraining before it.
//!
//! All of this came after the first stored runs: where a specification says nothing of it, the recipe is theirs.

use serde::{Deserialize, Serialize};

use super::later;
use super::sections::ModelSpec;

/// How a task is learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// What each layer's learning rate is of that of the layer above it, in (0, 1].
    #[serde(default = "later::layer_lr_decay")]
    pub layer_lr_decay: f64,
    /// The peak learning rate of what stands on the encoder; absent: the optimizer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_lr: Option<f64>,
    /// The run ends after so many evaluations in a row without a new best; absent: at its last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping_patience: Option<u64>,
    /// Whether the weights of the best evaluation are what the run was for, not the last ones.
    #[serde(default = "later::load_best_model_at_end")]
    pub load_best_model_at_end: bool,
    /// The share of the training loss that is a mean over all classes in place of the right one, in [0, 1).
    #[serde(default = "later::label_smoothing_factor")]
    pub label_smoothing_factor: f64,
    /// The probability with which each merge is left out where an epoch splits the train texts anew, in [0, 1] (Provilkov et
    /// al. 2020).
    #[serde(default = "later::bpe_dropout")]
    pub bpe_dropout: f64,
}

impl Default for Recipe {
    /// That of the runs from before there were recipes.
    fn default() -> Self {
        Self {
            hidden_dropout_prob: None,
            attention_probs_dropout_prob: None,
            classifier_dropout: None,
            layer_lr_decay: later::layer_lr_decay(),
            head_lr: None,
            early_stopping_patience: None,
            load_best_model_at_end: later::load_best_model_at_end(),
            label_smoothing_factor: later::label_smoothing_factor(),
            bpe_dropout: later::bpe_dropout(),
        }
    }
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
