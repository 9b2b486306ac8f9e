//! What a key means for a comparison, beside its value: whether it re-draws luck, what losses stand on, whether it only says
//! what is kept.

use crate::types::metrics::Basis;

/// Keys of a section that re-draws luck which share it all the same: their values meet the same draws. A dropout
/// probability is another threshold for the same uniform numbers, the initial range another factor of the same normal
/// ones, and what starts as a constant (biases, normalisations) draws nothing.
const SHARING: [&str; 19] = [
    "model.hidden_act",
    "model.hidden_dropout_prob",
    "model.attention_probs_dropout_prob",
    "model.initializer_range",
    "model.layer_norm_eps",
    "model.norm_position",
    "model.norm_type",
    "model.first_attention_norm",
    "model.embedding_layer_norm",
    "model.mlm_head_bias",
    "model.nsp_head_bias",
    "model.mlm_bias_init",
    "model.rope_theta",
    "model.local_attention",
    "model.global_attn_every_n_layers",
    "objective.mlm_weight",
    "objective.mlm_mean",
    "objective.nsp_weight",
    "objective.nsp_double_softmax",
];

/// Whether another value of the key re-draws what chance decides in a run: the text, the initial weights, the batches, the
/// masks. The others (schedule, optimizer, steps, heads over one pretraining) share it, so that their values meet the same
/// luck under one seed.
///
/// That is so for leaves of a specification as for keys. The seeds of replicates are derived from the leaves of which it
/// is true (`plan::luck`): another answer here gives a sweep other runs. A test holds it against what the trainer draws.
/// Fine-tuning over a pretraining has that one's luck, whatever its own settings are.
pub fn redraws_luck(name: &str) -> bool {
    let section = name.split_once('.').map_or(name, |(section, _)| section);
    match section {
        "data" | "tokenizer" | "model" | "objective" => !SHARING.contains(&name),
        "train" => {
            matches!(
                name,
                "train.batch_size"
                    | "train.gradient_accumulation_steps"
                    | "train.seq_len"
                    | "train.seq_len_warmup"
                    | "train.seed"
                    | "train.run"
            )
        }
        _ => false,
    }
}

/// What metrics of held-out data are means over, as far as the key or leaf of this name decides it.
pub fn basis(name: &str) -> Option<Basis> {
    match name.split_once('.')? {
        ("data", _) => Some(Basis::Texts),
        ("tokenizer", leaf) => (leaf != "dictionary").then_some(Basis::Tokens),
        ("finetune", leaf) => {
            let of_examples =
                ["data", "data_hash", "test", "test_hash", "valid_fraction", "fold", "label_column", "task"];
            of_examples.contains(&leaf).then_some(Basis::Examples)
        }
        _ => None,
    }
}

/// Keys that say what is kept of a run and when, and nothing of how it comes out.
pub const BOOKKEEPING: [&str; 4] = [
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "finetune.train.checkpoint_every",
    "finetune.train.keep_checkpoints",
];
