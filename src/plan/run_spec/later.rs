//! The defaults of settings that came after the first schema, as the key table has them: what a specification means that was
//! stored before.

use serde_json::Value;

use super::sections::{BiasInit, ClipScope, DecayExempt, MaskDice, MlmMean, NormType, Packing};
use super::task::Pooling;
use crate::experiment::keys;

fn default<T: serde::de::DeserializeOwned>(key: &str) -> T {
    let value = keys::find(key).and_then(keys::Key::default_value).and_then(|value| value.to_json());
    let value = value.unwrap_or(Value::Null);
    serde_json::from_value(value).expect("invariant: the key table and the specification agree")
}

macro_rules! defaults {
    ($($name:ident: $type:ty = $key:literal;)*) => {
        $(
            #[doc = concat!("The default of `", $key, "`.")]
            pub fn $name() -> $type { default($key) }
        )*
    };
}

defaults! {
    rope_theta: f64 = "model.rope_theta";
    local_attention: usize = "model.local_attention";
    global_attn_every_n_layers: usize = "model.global_attn_every_n_layers";
    mlm_bias_init: BiasInit = "model.mlm_bias_init";
    is_gated_act: bool = "model.is_gated_act";
    norm_type: NormType = "model.norm_type";
    packing: Packing = "objective.packing";
    whole_word: bool = "objective.whole_word";
    mask_dice: MaskDice = "objective.mask_dice";
    mask_replacement: bool = "objective.mask_replacement";
    mlm_weight: f64 = "objective.mlm_weight";
    mlm_mean: MlmMean = "objective.mlm_mean";
    nsp_weight: f64 = "objective.nsp_weight";
    nsp_double_softmax: bool = "objective.nsp_double_softmax";
    decay_exempt: DecayExempt = "optimizer.decay_exempt";
    clip_scope: ClipScope = "optimizer.clip_scope";
    momentum: f64 = "optimizer.momentum";
    gradient_accumulation_steps: usize = "train.gradient_accumulation_steps";
    decay_ratio: f64 = "schedule.decay_ratio";
    plateau_factor: f64 = "schedule.plateau_factor";
    plateau_patience: u64 = "schedule.plateau_patience";
    plateau_threshold: f64 = "schedule.plateau_threshold";
    pooling: Pooling = "finetune.pooling";
    layer_lr_decay: f64 = "finetune.layer_lr_decay";
    load_best_model_at_end: bool = "finetune.load_best_model_at_end";
    label_smoothing_factor: f64 = "finetune.label_smoothing_factor";
    bpe_dropout: f64 = "finetune.bpe_dropout";
}
