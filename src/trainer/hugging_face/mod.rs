//! From and to Hugging Face's `transformers`. [`import`] is the one way; the other is here: the files of a model folder that `from_pretrained` loads with equal logits.
//!
//! A model is exported as BERT, whose names and shapes its weights have already, or as [`modern_bert`]. What it lacks that these
//! have is written out where a value makes it the same function (a bias of zeros, the table of sinusoidal positions); a model
//! that they cannot be is refused, with what keeps it from being one.

mod config;
pub mod import;
mod modern_bert;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

use super::model::parameters::Parameter;
use super::model::sinusoidal_table;
use super::tokenizer::Tokenizer;
use crate::plan::{
    Activation, Answers, HeadKind, ModelSpec, NormPosition, NormType, Pooling, PositionEmbedding, RunSpec,
};

/// Why a model is none of `transformers`' BERTs and ModernBERTs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    #[error("`transformers` has no {class} with `{key}` = {value}: its {class} has {theirs}")]
    Differs { class: &'static str, key: &'static str, value: String, theirs: String },
    #[error(
        "`transformers` has no BERT with a {0} head; export a run with `finetune.head = \"linear\"`, or the pretraining run"
    )]
    NoSuchHead(&'static str),
    #[error("the weights cannot be written: {0}")]
    Safetensors(String),
}

/// A file of a model folder: its name and its bytes.
pub type File = (&'static str, Vec<u8>);

/// The files of a model folder, the model card left out.
///
/// # Errors
/// When the model is no BERT and no ModernBERT, as `transformers` has them.
pub fn files(spec: &RunSpec, weights: &[Parameter], tokenizer: &Tokenizer) -> Result<Vec<File>, ExportError> {
    check(spec)?;
    let (config, tensors) = if modern_bert::is_nearest(spec) {
        (modern_bert::config(spec, weights, tokenizer.special_ids()), modern_bert::tensors(spec, weights))
    } else {
        (config(spec), tensors(spec, weights))
    };
    Ok(vec![
        ("config.json", pretty(&config)),
        ("model.safetensors", safetensors(&tensors)?),
        ("tokenizer.json", tokenizer.json().as_bytes().to_vec()),
        ("tokenizer_config.json", pretty(&tokenizer_config(spec, tokenizer))),
    ])
}

/// The class of `transformers` that has all of the model's heads.
pub fn architecture(spec: &RunSpec) -> &'static str {
    if modern_bert::is_nearest(spec) {
        return modern_bert::CLASS;
    }
    match spec.task().map(|task| task.task.answers()) {
        Some(Answers::Class) => "BertForSequenceClassification",
        Some(Answers::Tags) => "BertForTokenClassification",
        None if spec.has_nsp_head() => "BertForPreTraining",
        None => "BertForMaskedLM",
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("invariant: JSON values can be written");
    text.push(b'\n');
    text
}

/// Whether the model is a BERT or a ModernBERT.
fn check(spec: &RunSpec) -> Result<(), ExportError> {
    if modern_bert::is_nearest(spec) {
        return modern_bert::check(spec);
    }
    let model = &spec.model;
    let of_bert = |is_bert, key, value: &dyn ToString, bert: &dyn ToString| {
        if is_bert { Ok(()) } else { Err(differs("BERT", key, value, bert)) }
    };
    of_bert(model.norm_position == NormPosition::Post, "model.norm_position", &"pre", &"post")?;
    of_bert(model.embedding_layer_norm, "model.embedding_layer_norm", &false, &true)?;
    let is_rotary = model.position_embedding_type == PositionEmbedding::Rotary;
    of_bert(!is_rotary, "model.position_embedding_type", &"rotary", &"absolute or relative_key")?;
    of_bert(model.local_attention == 0, "model.local_attention", &model.local_attention, &0)?;
    of_bert(!model.is_gated_act, "model.is_gated_act", &true, &false)?;
    of_bert(model.norm_type == NormType::LayerNorm, "model.norm_type", &"rms_norm", &"layer_norm")?;
    match spec.task().map(|task| task.head) {
        Some(HeadKind::Crf) => return Err(ExportError::NoSuchHead("CRF")),
        Some(HeadKind::BilstmCrf) => return Err(ExportError::NoSuchHead("BiLSTM + CRF")),
        Some(HeadKind::Linear) => {
            let pooling = spec.task().map_or(Pooling::Cls, |task| task.pooling);
            of_bert(pooling == Pooling::Cls, "finetune.pooling", &pooling.name(), &Pooling::Cls.name())?;
        }
        None => of_bert(model.mlm_head_transform, "model.mlm_head_transform", &false, &true)?,
    }
    heads_divide_width(model, "BERT")
}

/// That `class` has something else under `key`.
fn differs(class: &'static str, key: &'static str, value: &dyn ToString, theirs: &dyn ToString) -> ExportError {
    ExportError::Differs { class, key, value: value.to_string(), theirs: theirs.to_string() }
}

/// The width of a head is never a key of its own there.
fn heads_divide_width(model: &ModelSpec, class: &'static str) -> Result<(), ExportError> {
    let width = model.hidden_size / model.num_attention_heads;
    let is_divided = width * model.num_attention_heads == model.hidden_size && width == model.attention_head_size;
    let theirs = "hidden_size / num_attention_heads";
    if is_divided {
        return Ok(());
    }
    Err(differs(class, "model.attention_head_size", &model.attention_head_size, &theirs))
}

fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Gelu => "gelu",
        Activation::GeluNew => "gelu_new",
        Activation::Relu => "relu",
    }
}

fn config(spec: &RunSpec) -> Value {
    let model = match spec.task() {
        Some(task) => &task.recipe.with_dropout(&spec.model),
        None => &spec.model,
    };
    let mut config = json!({
        "architectures": [architecture(spec)],
        "attention_probs_dropout_prob": model.attention_probs_dropout_prob,
        "classifier_dropout": spec.task().and_then(|task| task.recipe.classifier_dropout),
        "hidden_act": activation_name(model.hidden_act),
        "hidden_dropout_prob": model.hidden_dropout_prob,
        "hidden_size": model.hidden_size,
        "initializer_range": model.initializer_range,
        "intermediate_size": model.intermediate_size,
        "layer_norm_eps": model.layer_norm_eps,
        "max_position_embeddings": model.max_position_embeddings,
        "model_type": "bert",
        "num_attention_heads": model.num_attention_heads,
        "num_hidden_layers": spec.encoder_layers(),
        "pad_token_id": 0,
        "position_embedding_type": if model.distances().is_some() { "relative_key" } else { "absolute" },
        "tie_word_embeddings": model.tie_word_embeddings,
        "torch_dtype": "float32",
        "type_vocab_size": model.type_vocab_size,
        "vocab_size": spec.tokenizer.vocab_size,
    });
    if let Some(stage) = spec.task() {
        let numbered = || stage.labels.iter().enumerate();
        config["id2label"] = numbered().map(|(id, label)| (id.to_string(), json!(label))).collect::<Map<_, _>>().into();
        config["label2id"] = numbered().map(|(id, label)| (label.clone(), json!(id))).collect::<Map<_, _>>().into();
        match stage.task.answers() {
            Answers::Class => config["problem_type"] = json!("single_label_classification"),
            Answers::Tags => {}
        }
    }
    config
}

fn tokenizer_config(spec: &RunSpec, tokenizer: &Tokenizer) -> Value {
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": spec.model.max_position_embeddings,
        "clean_up_tokenization_spaces": false,
    });
    for token in tokenizer.convention().special_tokens() {
        let name = token.trim_matches(['[', ']']).to_lowercase();
        config[format!("{name}_token")] = json!(token);
    }
    if modern_bert::is_nearest(spec) {
        config["model_input_names"] = json!(["input_ids", "attention_mask"]);
    }
    config
}

/// The tensors of a BERT.
fn tensors(spec: &RunSpec, weights: &[Parameter]) -> Vec<Parameter> {
    let mut tensors = weights.to_vec();
    let (model, vocab) = (&spec.model, spec.tokenizer.vocab_size);
    let mut add = |name: &str, shape: Vec<usize>, values: Vec<f32>| {
        if !tensors.iter().any(|tensor| tensor.name == name) {
            tensors.push(Parameter { name: name.to_owned(), shape, values });
        }
    };
    if model.position_embedding_type == PositionEmbedding::Sinusoidal {
        let (positions, width) = (model.max_position_embeddings, model.hidden_size);
        let table = sinusoidal_table(positions, width);
        add("bert.embeddings.position_embeddings.weight", vec![positions, width], table);
    }
    // Its BERT has a table of positions also where it does not read it.
    if model.distances().is_some() {
        let (positions, width) = (model.max_position_embeddings, model.hidden_size);
        add("bert.embeddings.position_embeddings.weight", vec![positions, width], vec![0.0; positions * width]);
    }
    if spec.task().is_none() {
        add("cls.predictions.bias", vec![vocab], vec![0.0; vocab]);
    }
    if spec.has_nsp_head() {
        add("cls.seq_relationship.bias", vec![2], vec![0.0; 2]);
    }
    // `transformers` has the bias of the projection under two names; not every version ties them.
    let bias = tensors.iter().find(|tensor| tensor.name == "cls.predictions.bias").cloned();
    tensors.extend(bias.map(|bias| Parameter { name: "cls.predictions.decoder.bias".to_owned(), ..bias }));
    tensors
}

fn safetensors(tensors: &[Parameter]) -> Result<Vec<u8>, ExportError> {
    let views = tensors.iter().map(|tensor| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytemuck::cast_slice(&tensor.values))
            .expect("invariant: a tensor has as many values as its shape");
        (tensor.name.as_str(), view)
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    safetensors::serialize(views, Some(metadata)).map_err(|error| ExportError::Safetensors(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Encoder, Nsp, Recipe, StageSpec, Task};
    use crate::trainer::model::parameters::Weights;
    use crate::trainer::model::tests::tiny_spec;
    use crate::trainer::model::{BertForPreTraining, task};
    use burn::tensor::Device;
    use safetensors::SafeTensors;

    fn written(change: fn(&mut RunSpec)) -> Vec<(String, Vec<usize>)> {
        let mut spec = tiny_spec();
        change(&mut spec);
        let weights = BertForPreTraining::new(&spec, &Device::flex()).parameters();
        let bytes = safetensors(&tensors(&spec, &weights)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut list: Vec<_> = tensors.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
        list.sort();
        list
    }

    /// What a model lacks and BERT has is written as a value that changes nothing.
    #[test]
    fn the_weights_are_all_that_bert_has() {
        let whole = written(|_| {});
        let lacking = written(|spec| {
            spec.model.mlm_head_bias = false;
            spec.model.nsp_head_bias = false;
            spec.model.position_embedding_type = PositionEmbedding::Sinusoidal;
        });
        assert_eq!(whole, lacking);
        assert!(whole.iter().any(|(name, shape)| name == "cls.predictions.decoder.bias" && shape == &[50]));
        let without_pairs = written(|spec| spec.objective_mut().nsp = Nsp::Off);
        assert_eq!(whole.len() - without_pairs.len(), 4, "pooler and classifier");
        let relative = written(|spec| spec.model.position_embedding_type = PositionEmbedding::RelativeKey);
        let distances: Vec<_> = relative.into_iter().filter(|tensor| !whole.contains(tensor)).collect();
        let name = |l| format!("bert.encoder.layer.{l}.attention.self.distance_embedding.weight");
        assert_eq!(distances, [0, 1].map(|l| (name(l), vec![63, 4])));
    }

    /// The configuration says what the model was last trained with: `transformers` goes on from there.
    #[test]
    fn the_dropout_of_a_fine_tuned_model_is_its_own() {
        let mut spec = task::tests::spec(Task::Classify, HeadKind::Linear, Encoder::Trained);
        let dropouts = |spec: &RunSpec| {
            let config = config(spec);
            ["hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"].map(|key| config[key].clone())
        };
        assert_eq!(dropouts(&spec), [json!(0.1), json!(0.2), Value::Null]);
        let StageSpec::Finetune(stage) = &mut spec.stage else { panic!("a fine-tuning stage") };
        stage.task.recipe = Recipe {
            hidden_dropout_prob: Some(0.3),
            attention_probs_dropout_prob: Some(0.0),
            classifier_dropout: Some(0.5),
            ..Recipe::default()
        };
        assert_eq!(dropouts(&spec), [json!(0.3), json!(0.0), json!(0.5)]);
        let StageSpec::Finetune(stage) = &mut spec.stage else { panic!("a fine-tuning stage") };
        stage.task.pooling = Pooling::Max;
        let refused = check(&spec).unwrap_err().to_string();
        insta::assert_snapshot!(refused, @"`transformers` has no BERT with `finetune.pooling` = max: its BERT has cls");
    }

    #[test]
    fn what_is_no_bert_is_refused_by_name() {
        let refused = |change: fn(&mut RunSpec)| {
            let mut spec = tiny_spec();
            change(&mut spec);
            check(&spec).unwrap_err().to_string()
        };
        insta::assert_snapshot!(refused(|spec| spec.model.norm_position = NormPosition::Pre), @"`transformers` has no BERT with `model.norm_position` = pre: its BERT has post");
        insta::assert_snapshot!(refused(|spec| spec.model.position_embedding_type = PositionEmbedding::Rotary), @"`transformers` has no BERT with `model.position_embedding_type` = rotary: its BERT has absolute or relative_key");
        insta::assert_snapshot!(refused(|spec| spec.model.local_attention = 8), @"`transformers` has no BERT with `model.local_attention` = 8: its BERT has 0");
        insta::assert_snapshot!(refused(|spec| spec.model.norm_type = NormType::RmsNorm), @"`transformers` has no BERT with `model.norm_type` = rms_norm: its BERT has layer_norm");
        insta::assert_snapshot!(refused(|spec| spec.model.is_gated_act = true), @"`transformers` has no BERT with `model.is_gated_act` = true: its BERT has false");
        insta::assert_snapshot!(refused(|spec| spec.model.mlm_head_transform = false), @"`transformers` has no BERT with `model.mlm_head_transform` = false: its BERT has true");
        insta::assert_snapshot!(refused(|spec| spec.model.attention_head_size = 2), @"`transformers` has no BERT with `model.attention_head_size` = 2: its BERT has hidden_size / num_attention_heads");
        assert!(check(&tiny_spec()).is_ok());
    }
}
