//! The defaults of settings that came after the first schema, as the key table has them: what a specification means that was
//! stored before.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::experiment::keys;

fn default<T: DeserializeOwned>(key: &str) -> T {
    let value = keys::find(key).and_then(keys::Key::default_value).and_then(|value| value.to_json());
    let value = value.unwrap_or(Value::Null);
    serde_json::from_value(value).expect("invariant: the key table and the specification agree")
}

macro_rules! defaults {
    ($($name:ident = $key:literal;)*) => {
        $(
            #[doc = concat!("The default of `", $key, "`.")]
            pub fn $name<T: DeserializeOwned>() -> T { default($key) }
        )*
    };
}

defaults! {
    rope_theta = "model.rope_theta";
    local_attention = "model.local_attention";
    global_attn_every_n_layers = "model.global_attn_every_n_layers";
    mlm_bias_init = "model.mlm_bias_init";
    is_gated_act = "model.is_gated_act";
    norm_type = "model.norm_type";
    first_attention_norm = "model.first_attention_norm";
    packing = "objective.packing";
    whole_word = "objective.whole_word";
    mask_dice = "objective.mask_dice";
    mask_replacement = "objective.mask_replacement";
    mlm_weight = "objective.mlm_weight";
    mlm_mean = "objective.mlm_mean";
    nsp_weight = "objective.nsp_weight";
    nsp_double_softmax = "objective.nsp_double_softmax";
    decay_exempt = "optimizer.decay_exempt";
    clip_scope = "optimizer.clip_scope";
    momentum = "optimizer.momentum";
    gradient_accumulation_steps = "train.gradient_accumulation_steps";
    decay_ratio = "schedule.decay_ratio";
    plateau_factor = "schedule.plateau_factor";
    plateau_patience = "schedule.plateau_patience";
    plateau_threshold = "schedule.plateau_threshold";
    pooling = "finetune.pooling";
    layer_lr_decay = "finetune.layer_lr_decay";
    load_best_model_at_end = "finetune.load_best_model_at_end";
    label_smoothing_factor = "finetune.label_smoothing_factor";
    bpe_dropout = "finetune.bpe_dropout";
}
