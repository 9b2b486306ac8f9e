//! ModernBERT (Warner et al. 2024) of `transformers`: which of our models are one, its configuration, and its names.
//!
//! Pre-LN layers with rotary positions and gates are ModernBERT's, where the first attention reads the normalised embeddings as
//! they are (`model.first_attention_norm = false`). Its queries, keys and values are one matrix, and it has no segments: the vector
//! of the first segment, which every token of an unpaired text has, is added to the words. The projection onto the vocabulary is
//! then no longer that table, and is written beside it.

use serde_json::{Value, json};

use super::config::{Config, ImportError};
use super::{ExportError, activation_name, differs, heads_divide_width};
use crate::plan::{Architecture, ModelSpec, NormPosition, NormType, Nsp, PositionEmbedding, RunSpec, StageSpec, later};
use crate::trainer::model::parameters::Parameter;
use crate::trainer::tokenizer::SpecialIds;

/// What the configuration calls the architecture.
pub const MODEL_TYPE: &str = "modernbert";

/// The class that an exported model is.
pub const CLASS: &str = "ModernBertForMaskedLM";

const WORDS: &str = "bert.embeddings.word_embeddings.weight";
const SEGMENTS: &str = "bert.embeddings.token_type_embeddings.weight";
const DECODER: &str = "cls.predictions.decoder.weight";

/// Whether a model is meant for ModernBERT rather than for BERT: whatever else it has, its positions and its norms are that one's.
pub fn is_nearest(spec: &RunSpec) -> bool {
    let model = &spec.model;
    model.position_embedding_type == PositionEmbedding::Rotary && model.norm_position == NormPosition::Pre
}

/// Whether the model, which [is nearest](is_nearest) to it, is a ModernBERT for masked tokens.
pub fn check(spec: &RunSpec) -> Result<(), ExportError> {
    let model = &spec.model;
    let of_theirs = |is_theirs, key, value: &dyn ToString, theirs: &dyn ToString| {
        if is_theirs { Ok(()) } else { Err(differs("ModernBERT", key, value, theirs)) }
    };
    let task = spec.task().map_or("", |task| task.task.name());
    of_theirs(spec.task().is_none(), "finetune.task", &task, &"a head with a norm there; export the pretraining run")?;
    of_theirs(model.norm_type == NormType::LayerNorm, "model.norm_type", &"rms_norm", &"layer_norm")?;
    of_theirs(model.embedding_layer_norm, "model.embedding_layer_norm", &false, &true)?;
    of_theirs(!model.first_attention_norm, "model.first_attention_norm", &true, &false)?;
    of_theirs(model.is_gated_act, "model.is_gated_act", &false, &true)?;
    of_theirs(model.mlm_head_transform, "model.mlm_head_transform", &false, &true)?;
    let pairs = match &spec.stage {
        StageSpec::Pretrain(stage) if stage.objective.nsp == Nsp::Swap => "swap",
        _ => "random",
    };
    of_theirs(!spec.has_nsp_head(), "objective.nsp", &pairs, &"off")?;
    heads_divide_width(model, "ModernBERT")
}

/// `config.json`. What versions before 5 of `transformers` read is there under their names; they stop at a window in every layer,
/// which their `global_attn_every_n_layers` cannot say.
pub fn config(spec: &RunSpec, weights: &[Parameter], specials: SpecialIds) -> Value {
    let model = &spec.model;
    let layers = 0..model.num_hidden_layers;
    let has_window = model.local_attention > 0;
    let layer_type = |l: usize| if model.reach(l).is_some() { "sliding_attention" } else { "full_attention" };
    let rope = json!({ "rope_type": "default", "rope_theta": model.rope_theta });
    let activation = activation_name(model.hidden_act);
    json!({
        "architectures": [CLASS],
        "attention_bias": true,
        "attention_dropout": model.attention_probs_dropout_prob,
        "bos_token_id": specials.cls,
        "classifier_activation": activation,
        "classifier_bias": true,
        "cls_token_id": specials.cls,
        "decoder_bias": model.mlm_head_bias,
        "embedding_dropout": model.hidden_dropout_prob,
        "eos_token_id": specials.sep,
        "global_attn_every_n_layers": if has_window { model.global_attn_every_n_layers } else { 1 },
        "global_rope_theta": model.rope_theta,
        "hidden_activation": activation,
        "hidden_size": model.hidden_size,
        "initializer_range": model.initializer_range,
        "intermediate_size": model.intermediate_size,
        "layer_types": layers.map(layer_type).collect::<Vec<_>>(),
        "local_attention": if has_window { model.local_attention } else { 2 * model.max_position_embeddings },
        "local_rope_theta": model.rope_theta,
        "max_position_embeddings": model.max_position_embeddings,
        "mlp_bias": true,
        "mlp_dropout": model.hidden_dropout_prob,
        "model_type": MODEL_TYPE,
        "norm_bias": true,
        "norm_eps": model.layer_norm_eps,
        "num_attention_heads": model.num_attention_heads,
        "num_hidden_layers": model.num_hidden_layers,
        "pad_token_id": specials.pad,
        "rope_parameters": { "full_attention": rope, "sliding_attention": rope },
        "sep_token_id": specials.sep,
        "tie_word_embeddings": model.tie_word_embeddings && first_segment(weights).is_none(),
        "torch_dtype": "float32",
        "vocab_size": spec.tokenizer.vocab_size,
    })
}

/// Where ModernBERT has what one of our parameters holds: a tensor, or a third of its rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub name: String,
    pub third: Option<usize>,
}

impl Place {
    /// The shape of the tensor that holds a parameter of the shape `ours` here.
    pub fn shape(&self, ours: &[usize]) -> Vec<usize> {
        let mut shape = ours.to_vec();
        shape[0] *= if self.third.is_some() { 3 } else { 1 };
        shape
    }

    /// What of the tensor is here.
    pub fn part(&self, mut whole: Parameter) -> Parameter {
        let Some(third) = self.third else { return whole };
        let length = whole.values.len() / 3;
        whole.shape[0] /= 3;
        Parameter { values: whole.values[third * length..(third + 1) * length].to_vec(), ..whole }
    }
}

/// The place of our parameter of this name; segments have none.
pub fn place(ours: &str) -> Option<Place> {
    const WHOLE: [(&str, &str); 7] = [
        ("bert.embeddings.word_embeddings", "model.embeddings.tok_embeddings"),
        ("bert.embeddings.LayerNorm", "model.embeddings.norm"),
        ("bert.encoder.norm", "model.final_norm"),
        ("cls.predictions.transform.dense", "head.dense"),
        ("cls.predictions.transform.LayerNorm", "head.norm"),
        ("cls.predictions.decoder", "decoder"),
        ("cls.predictions", "decoder"),
    ];
    const OF_LAYERS: [(&str, &str, Option<usize>); 8] = [
        ("attention.self.query", "attn.Wqkv", Some(0)),
        ("attention.self.key", "attn.Wqkv", Some(1)),
        ("attention.self.value", "attn.Wqkv", Some(2)),
        ("attention.output.dense", "attn.Wo", None),
        ("attention.output.LayerNorm", "attn_norm", None),
        ("intermediate.dense", "mlp.Wi", None),
        ("output.dense", "mlp.Wo", None),
        ("output.LayerNorm", "mlp_norm", None),
    ];
    let (module, tensor) = ours.rsplit_once('.')?;
    if let Some((_, theirs)) = WHOLE.iter().find(|(ours, _)| *ours == module) {
        return Some(Place { name: format!("{theirs}.{tensor}"), third: None });
    }
    let (layer, part) = module.strip_prefix("bert.encoder.layer.")?.split_once('.')?;
    let (_, theirs, third) = OF_LAYERS.iter().find(|(ours, ..)| *ours == part)?;
    Some(Place { name: format!("model.layers.{layer}.{theirs}.{tensor}"), third: *third })
}

/// The tensors of `model.safetensors`.
pub fn tensors(spec: &RunSpec, weights: &[Parameter]) -> Vec<Parameter> {
    let mut weights = weights.to_vec();
    if let Some(segment) = first_segment(&weights).map(<[f32]>::to_vec) {
        let words = weights.iter_mut().find(|its| its.name == WORDS).expect("invariant: every model has words");
        let decoder = spec.model.tie_word_embeddings.then(|| Parameter { name: DECODER.to_owned(), ..words.clone() });
        for word in words.values.chunks_exact_mut(segment.len()) {
            word.iter_mut().zip(&segment).for_each(|(value, segment)| *value += segment);
        }
        weights.extend(decoder);
    }
    let mut placed: Vec<(Place, Parameter)> =
        weights.into_iter().filter_map(|weight| Some((place(&weight.name)?, weight))).collect();
    placed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut tensors: Vec<Parameter> = Vec::new();
    for (Place { name, .. }, weight) in placed {
        match tensors.last_mut().filter(|last| last.name == name) {
            Some(above) => {
                above.shape[0] += weight.shape[0];
                above.values.extend(weight.values);
            }
            None => tensors.push(Parameter { name, ..weight }),
        }
    }
    tensors
}

/// What every token of an unpaired text has added to its word, unless that is nothing.
fn first_segment(weights: &[Parameter]) -> Option<&[f32]> {
    let table = weights.iter().find(|weight| weight.name == SEGMENTS)?;
    let first = &table.values[..table.shape[1]];
    first.iter().any(|value| *value != 0.0).then_some(first)
}

/// Whether a model of this configuration has none of our parameter of this name, which is then 0.
pub fn leaves_out(config: &Config, ours: &str) -> bool {
    let Some(place) = place(ours) else { return true };
    let (key, default) = match place.name.trim_end_matches(".bias") {
        module if module.contains(".attn.") => ("attention_bias", false),
        module if module.contains(".mlp.") => ("mlp_bias", false),
        "head.dense" => ("classifier_bias", false),
        "decoder" => ("decoder_bias", true),
        _ => ("norm_bias", false),
    };
    place.name.ends_with(".bias") && !config.flag(key, default)
}

/// The model of a ModernBERT's configuration.
pub fn model(config: &Config) -> Result<ModelSpec, ImportError> {
    let (width, heads) = config.width_and_heads()?;
    let hidden_act = config.activation("hidden_activation")?;
    if config.activation("classifier_activation")? != hidden_act {
        return Err(
            config.problem("`classifier_activation` is not `hidden_activation`, and there is one here".to_owned())
        );
    }
    let layers = config.integer("num_hidden_layers")?;
    let is_local = local_layers(config, layers)?;
    let has_window = is_local.contains(&true);
    let fits = |every: &usize| is_local.iter().enumerate().all(|(l, is_local)| *is_local != l.is_multiple_of(*every));
    let every = if is_local.contains(&false) { (1..=layers).find(fits) } else { Some(0) };
    let Some(every) = every else {
        let problem = "`layer_types` has no full attention in every so many layers, the first among them";
        return Err(config.problem(problem.to_owned()));
    };
    Ok(ModelSpec {
        architecture: Architecture::Bert,
        hidden_size: width,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        attention_head_size: width / heads,
        intermediate_size: config.integer("intermediate_size")?,
        max_position_embeddings: config.integer("max_position_embeddings")?,
        type_vocab_size: 2,
        hidden_act,
        hidden_dropout_prob: config.number("embedding_dropout", 0.0),
        attention_probs_dropout_prob: config.number("attention_dropout", 0.0),
        initializer_range: config.number("initializer_range", 0.02),
        layer_norm_eps: config.number("norm_eps", 1e-5),
        position_embedding_type: PositionEmbedding::Rotary,
        norm_position: NormPosition::Pre,
        embedding_layer_norm: true,
        tie_word_embeddings: config.flag("tie_word_embeddings", true),
        mlm_head_transform: true,
        mlm_head_bias: true,
        nsp_head_bias: true,
        rope_theta: rope_theta(config, &is_local)?,
        local_attention: if has_window { config.integer("local_attention")? } else { 0 },
        global_attn_every_n_layers: if has_window { every } else { later::global_attn_every_n_layers() },
        mlm_bias_init: later::mlm_bias_init(),
        is_gated_act: true,
        norm_type: NormType::LayerNorm,
        first_attention_norm: false,
    })
}

/// Which layers attend to a window.
fn local_layers(config: &Config, layers: usize) -> Result<Vec<bool>, ImportError> {
    let Some(types) = config.value("layer_types").and_then(Value::as_array) else {
        let every = config.integer("global_attn_every_n_layers")?;
        return Ok((0..layers).map(|l| !l.is_multiple_of(every)).collect());
    };
    let is_local = |value: &Value| match value.as_str() {
        Some("sliding_attention") => Ok(true),
        Some("full_attention") => Ok(false),
        _ => Err(config.problem(format!("`layer_types` has {value}; full_attention and sliding_attention are there"))),
    };
    match types.len() {
        n if n == layers => types.iter().map(is_local).collect(),
        n => Err(config.problem(format!("`layer_types` has {n} layers, and `num_hidden_layers` is {layers}"))),
    }
}

/// The base of the frequencies, which all layers share here.
fn rope_theta(config: &Config, is_local: &[bool]) -> Result<f64, ImportError> {
    let of = |layer_type: &str, key: &str, default: f64| {
        let Some(rope) = config.value("rope_parameters").and_then(|all| all.get(layer_type)) else {
            return Ok(config.number(key, default));
        };
        match rope.get("rope_type").and_then(Value::as_str) {
            None | Some("default") => Ok(rope.get("rope_theta").and_then(Value::as_f64).unwrap_or(default)),
            Some(other) => Err(config.problem(format!("`rope_type` is `{other}`, and `default` is what there is"))),
        }
    };
    let global = of("full_attention", "global_rope_theta", 160_000.0)?;
    let local_default = if config.value("local_rope_theta") == Some(&Value::Null) { global } else { 10_000.0 };
    let local = of("sliding_attention", "local_rope_theta", local_default)?;
    if is_local.contains(&true) && is_local.contains(&false) && global != local {
        return Err(config.problem(format!(
            "`rope_theta` is {global} in layers of full attention and {local} in those of a window; one base for all is what \
             there is"
        )));
    }
    Ok(if is_local.contains(&false) { global } else { local })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::model::BertForPreTraining;
    use crate::trainer::model::parameters::Weights;
    use crate::trainer::model::tests::tiny_spec;
    use burn::tensor::Device;

    /// A tiny model of ModernBERT's kind.
    fn modern(change: fn(&mut RunSpec)) -> RunSpec {
        let mut spec = tiny_spec();
        spec.objective_mut().nsp = Nsp::Off;
        let model = &mut spec.model;
        (model.position_embedding_type, model.norm_position) = (PositionEmbedding::Rotary, NormPosition::Pre);
        (model.is_gated_act, model.first_attention_norm) = (true, false);
        (model.local_attention, model.global_attn_every_n_layers) = (8, 2);
        change(&mut spec);
        spec
    }

    fn weights(spec: &RunSpec) -> Vec<Parameter> {
        BertForPreTraining::new(spec, &Device::flex()).parameters()
    }

    /// Names and shapes are those that `transformers` 5.23 gives its `ModernBertForMaskedLM` of this size.
    #[test]
    fn the_weights_are_all_that_modern_bert_has() {
        let spec = modern(|_| {});
        let tensors = tensors(&spec, &weights(&spec));
        let lines: Vec<String> = tensors.iter().map(|its| format!("{} {:?}", its.name, its.shape)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        decoder.bias [50]
        decoder.weight [50, 12]
        head.dense.bias [12]
        head.dense.weight [12, 12]
        head.norm.bias [12]
        head.norm.weight [12]
        model.embeddings.norm.bias [12]
        model.embeddings.norm.weight [12]
        model.embeddings.tok_embeddings.weight [50, 12]
        model.final_norm.bias [12]
        model.final_norm.weight [12]
        model.layers.0.attn.Wo.bias [12]
        model.layers.0.attn.Wo.weight [12, 12]
        model.layers.0.attn.Wqkv.bias [36]
        model.layers.0.attn.Wqkv.weight [36, 12]
        model.layers.0.mlp.Wi.bias [40]
        model.layers.0.mlp.Wi.weight [40, 12]
        model.layers.0.mlp.Wo.bias [12]
        model.layers.0.mlp.Wo.weight [12, 20]
        model.layers.0.mlp_norm.bias [12]
        model.layers.0.mlp_norm.weight [12]
        model.layers.1.attn.Wo.bias [12]
        model.layers.1.attn.Wo.weight [12, 12]
        model.layers.1.attn.Wqkv.bias [36]
        model.layers.1.attn.Wqkv.weight [36, 12]
        model.layers.1.attn_norm.bias [12]
        model.layers.1.attn_norm.weight [12]
        model.layers.1.mlp.Wi.bias [40]
        model.layers.1.mlp.Wi.weight [40, 12]
        model.layers.1.mlp.Wo.bias [12]
        model.layers.1.mlp.Wo.weight [12, 20]
        model.layers.1.mlp_norm.bias [12]
        model.layers.1.mlp_norm.weight [12]
        ");
        for tensor in &tensors {
            assert_eq!(tensor.values.len(), tensor.shape.iter().product::<usize>(), "{}", tensor.name);
        }
    }

    /// Segments become part of the words, which the projection then no longer shares; without any it still does.
    #[test]
    fn the_first_segment_is_added_to_the_words() {
        let spec = modern(|_| {});
        let mut weights = weights(&spec);
        let of =
            |list: &[Parameter], name: &str| list.iter().find(|its| its.name == name).map(|its| its.values.clone());
        let tied = |weights: &[Parameter]| {
            let specials = SpecialIds { pad: 0, cls: 2, sep: 3, mask: 4, first_ordinary: 5 };
            config(&spec, weights, specials)["tie_word_embeddings"].clone()
        };
        let (words, segments) = (of(&weights, WORDS).unwrap(), of(&weights, SEGMENTS).unwrap());
        let theirs = tensors(&spec, &weights);
        let sums: Vec<f32> = words.iter().enumerate().map(|(i, word)| word + segments[i % 12]).collect();
        assert_eq!(of(&theirs, "model.embeddings.tok_embeddings.weight").unwrap(), sums);
        assert_eq!((of(&theirs, "decoder.weight"), tied(&weights)), (Some(words.clone()), json!(false)));
        let query = of(&weights, "bert.encoder.layer.1.attention.self.query.weight").unwrap();
        let value = of(&weights, "bert.encoder.layer.1.attention.self.value.weight").unwrap();
        let all = of(&theirs, "model.layers.1.attn.Wqkv.weight").unwrap();
        assert_eq!((&all[..query.len()], &all[2 * query.len()..]), (&*query, &*value));
        weights.iter_mut().filter(|its| its.name == SEGMENTS).for_each(|its| its.values.fill(0.0));
        let theirs = tensors(&spec, &weights);
        assert_eq!(of(&theirs, "model.embeddings.tok_embeddings.weight"), Some(words));
        assert_eq!((of(&theirs, "decoder.weight"), tied(&weights)), (None, json!(true)));
    }

    #[test]
    fn what_is_no_modern_bert_is_refused_by_name() {
        let refused = |change: fn(&mut RunSpec)| super::super::check(&modern(change)).unwrap_err().to_string();
        insta::assert_snapshot!(refused(|spec| spec.model.first_attention_norm = true), @"`transformers` has no ModernBERT with `model.first_attention_norm` = true: its ModernBERT has false");
        insta::assert_snapshot!(refused(|spec| spec.model.is_gated_act = false), @"`transformers` has no ModernBERT with `model.is_gated_act` = false: its ModernBERT has true");
        insta::assert_snapshot!(refused(|spec| spec.model.norm_type = NormType::RmsNorm), @"`transformers` has no ModernBERT with `model.norm_type` = rms_norm: its ModernBERT has layer_norm");
        insta::assert_snapshot!(refused(|spec| spec.model.embedding_layer_norm = false), @"`transformers` has no ModernBERT with `model.embedding_layer_norm` = false: its ModernBERT has true");
        insta::assert_snapshot!(refused(|spec| spec.model.mlm_head_transform = false), @"`transformers` has no ModernBERT with `model.mlm_head_transform` = false: its ModernBERT has true");
        insta::assert_snapshot!(refused(|spec| spec.objective_mut().nsp = Nsp::Swap), @"`transformers` has no ModernBERT with `objective.nsp` = swap: its ModernBERT has off");
        insta::assert_snapshot!(refused(|spec| spec.model.attention_head_size = 2), @"`transformers` has no ModernBERT with `model.attention_head_size` = 2: its ModernBERT has hidden_size / num_attention_heads");
        assert!(super::super::check(&modern(|_| {})).is_ok());
    }

    /// A configuration in the words of either version says what was exported; what there is no word for here is refused.
    #[test]
    fn configurations_come_back() {
        let spec = modern(|_| {});
        let specials = SpecialIds { pad: 0, cls: 2, sep: 3, mask: 4, first_ordinary: 5 };
        let original = config(&spec, &weights(&spec), specials);
        let read = |value: &Value| {
            let bytes = serde_json::to_vec(value).unwrap();
            model(&Config::read(std::path::Path::new("config.json"), &bytes).unwrap())
                .map_err(|error| error.to_string())
        };
        let expected = ModelSpec { tie_word_embeddings: false, ..spec.model.clone() };
        assert_eq!(read(&original).as_ref(), Ok(&expected));
        let without = |keys: &[&str]| {
            let mut value = original.clone();
            keys.iter().for_each(|key| drop(value.as_object_mut().unwrap().remove(*key)));
            value
        };
        assert_eq!(read(&without(&["layer_types", "rope_parameters"])), Ok(expected));
        let with = |key: &str, new: Value| {
            let mut value = original.clone();
            value[key] = new;
            read(&value)
        };
        let (full, window) = ("full_attention", "sliding_attention");
        let all = with("layer_types", json!([full, full])).unwrap();
        assert_eq!((all.local_attention, all.global_attn_every_n_layers), (0, 0));
        let every = with("layer_types", json!([window, window])).unwrap();
        assert_eq!((every.local_attention, every.global_attn_every_n_layers), (8, 0));
        let refused = |key: &str, new: Value| with(key, new).unwrap_err();
        insta::assert_snapshot!(refused("layer_types", json!([window, full])), @"config.json: `layer_types` has no full attention in every so many layers, the first among them");
        insta::assert_snapshot!(refused("layer_types", json!([full])), @"config.json: `layer_types` has 1 layers, and `num_hidden_layers` is 2");
        insta::assert_snapshot!(refused("rope_parameters", json!({ window: { "rope_theta": 7.0 } })), @"config.json: `rope_theta` is 10000 in layers of full attention and 7 in those of a window; one base for all is what there is");
        insta::assert_snapshot!(refused("rope_parameters", json!({ full: { "rope_type": "yarn" } })), @"config.json: `rope_type` is `yarn`, and `default` is what there is");
        insta::assert_snapshot!(refused("classifier_activation", json!("relu")), @"config.json: `classifier_activation` is not `hidden_activation`, and there is one here");
    }
}
