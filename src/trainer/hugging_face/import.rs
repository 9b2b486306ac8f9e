//! Import from Hugging Face's `transformers`: a folder with `config.json`, `model.safetensors` and `tokenizer.json` of a BERT or
//! of a [ModernBERT](modern_bert) becomes a specification, weights under our names, and a tokenizer.
//!
//! Names of older checkpoints are understood (`LayerNorm.gamma`, a body without the prefix `bert.`), and half precision is
//! widened. What is missing, misshapen or no BERT is refused by the name of the tensor or of the setting.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors};

use super::config::Config;
pub use super::config::ImportError;
use super::modern_bert::{self, Place};
use crate::plan::{
    Architecture, ImportSpec, ModelSpec, NormPosition, PositionEmbedding, RunSpec, StageSpec, TokenizerSpec, later,
};
use crate::trainer::model::BertForPreTraining;
use crate::trainer::model::parameters::{Parameter, Weights};
use crate::trainer::tokenizer::Tokenizer;
use crate::types::{ContentHash, ContentHasher};

/// A model folder, read and checked.
pub struct Imported {
    pub spec: RunSpec,
    /// The parameters of the model in their order, and the pooler behind them where there is one without a head.
    pub weights: Vec<Parameter>,
    pub tokenizer: Tokenizer,
    /// Tensors of the file that this program has no use for.
    pub ignored: Vec<String>,
    /// Parts of the model that the folder does not have, and that start as nothing.
    pub missing_head: bool,
}

/// Reads a model folder.
///
/// # Errors
/// When a file is missing or is none of its kind, or the model is no BERT and no ModernBERT of this program.
pub fn import(folder: &Path) -> Result<Imported, ImportError> {
    let config_path = folder.join("config.json");
    let config_bytes = read(&config_path, "; a folder that `save_pretrained` wrote has one")?;
    let weights_path = folder.join("model.safetensors");
    let hint = "; an older `pytorch_model.bin` becomes one by `save_pretrained` of transformers 4.35 or later";
    let weight_bytes = read(&weights_path, hint)?;
    let tokenizer_path = folder.join("tokenizer.json");
    let hint = "; `AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(...)` writes it";
    let tokenizer = Tokenizer::import(&tokenizer_path, &read(&tokenizer_path, hint)?)?;
    let tensors = SafeTensors::deserialize(&weight_bytes)
        .map_err(|error| ImportError::Safetensors { path: weights_path.clone(), problem: error.to_string() })?;
    let config = Config::read(&config_path, &config_bytes)?;
    let kind = Kind::of(&config)?;
    let names = kind.names(&tensors);
    let has = |name: &str| kind.place(name).is_some_and(|place| names.contains_key(&place.name));
    let mut model = match kind {
        Kind::Bert => bert(&config)?,
        Kind::ModernBert => modern_bert::model(&config)?,
    };
    model.mlm_head_transform = has("cls.predictions.transform.dense.weight");
    model.mlm_head_bias = has("cls.predictions.bias");
    let vocab_size = config.integer("vocab_size")?;
    if tokenizer.vocab_size() > vocab_size {
        let tokens = tokenizer.vocab_size();
        let problem =
            format!("the tokenizer has {tokens} entries, and `vocab_size` is {vocab_size}: ids would lie beyond it");
        return Err(ImportError::Config { path: config_path, problem });
    }
    let has_pairs = has("cls.seq_relationship.weight") && has("bert.pooler.dense.weight");
    let hash = ContentHasher::new()
        .update(&config_bytes)
        .update(ContentHash::of(&weight_bytes).as_bytes())
        .update(tokenizer.hash().as_bytes())
        .finish();
    let name =
        folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned());
    let stage = StageSpec::Import(ImportSpec { folder: name, hash, nsp_head: has_pairs });
    let spec = RunSpec::new(TokenizerSpec::imported(vocab_size), model, stage, BTreeMap::new());
    let (mut weights, mut used) = (Vec::new(), BTreeSet::new());
    for Parameter { name, shape: expected, .. } in BertForPreTraining::new(&spec, &Device::flex()).parameters() {
        // What the configuration denies is not read, as it is not by `transformers`.
        if kind == Kind::ModernBert && modern_bert::leaves_out(&config, &name) {
            let values = vec![0.0; expected.iter().product()];
            weights.push(Parameter { name, shape: expected, values });
            continue;
        }
        let place = kind.place(&name);
        let source = place.as_ref().and_then(|place| Some((names.get(&place.name)?, place)));
        let Some((theirs, place)) = source else {
            let expected = place.as_ref().map_or(expected.clone(), |place| place.shape(&expected));
            let name = place.map_or(name, |place| place.name);
            return Err(ImportError::Missing { path: weights_path, name, expected });
        };
        used.insert(place.name.clone());
        let its = parameter(&weights_path, &tensors, theirs, name, Some(&place.shape(&expected)))?;
        weights.push(place.part(its));
    }
    for name in ["bert.pooler.dense.weight", "bert.pooler.dense.bias"] {
        if let Some(theirs) = names.get(name).filter(|_| !has_pairs) {
            weights.push(parameter(&weights_path, &tensors, theirs, name.to_owned(), None)?);
            used.insert(name.to_owned());
        }
    }
    if spec.model.tie_word_embeddings {
        check_tied(&config, kind, &names, &tensors)?;
    }
    let ignored = names.keys().filter(|name| !used.contains(*name) && !is_copy(name, &spec.model)).cloned().collect();
    let missing_head = !spec.model.mlm_head_transform;
    Ok(Imported { spec, weights, tokenizer, ignored, missing_head })
}

fn read(path: &Path, hint: &'static str) -> Result<Vec<u8>, ImportError> {
    std::fs::read(path).map_err(|source| {
        let hint = if source.kind() == std::io::ErrorKind::NotFound { hint } else { "" };
        ImportError::Read { path: path.to_owned(), source, hint }
    })
}

/// A decoder in the file is the embeddings once more where the configuration ties them. Versions of `transformers` differ in which
/// of two they take, so that a folder that has both is no model before it says which.
fn check_tied(
    config: &Config,
    kind: Kind,
    names: &BTreeMap<String, String>,
    tensors: &SafeTensors,
) -> Result<(), ImportError> {
    let theirs = |ours: &str| names.get(&kind.place(ours)?.name);
    let pair = theirs("bert.embeddings.word_embeddings.weight").zip(theirs("cls.predictions.decoder.weight"));
    let data = |name: &String| tensors.tensor(name).map(|view| view.data()).ok();
    match pair.filter(|(words, decoder)| data(words) != data(decoder)) {
        Some((words, decoder)) => Err(config.problem(format!(
            "`tie_word_embeddings` is true, and the file's `{decoder}` is not its `{words}`; say false to take both"
        ))),
        None => Ok(()),
    }
}

/// Tensors that `transformers` writes beside the ones that they repeat, or does not read.
fn is_copy(name: &str, model: &ModelSpec) -> bool {
    let is_decoder = matches!(name, "cls.predictions.decoder.weight" | "decoder.weight") && model.tie_word_embeddings;
    let is_unread = name == "bert.embeddings.position_embeddings.weight" && model.distances().is_some();
    is_decoder || is_unread || name == "cls.predictions.decoder.bias" || name == "bert.embeddings.position_ids"
}

/// The architectures that are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bert,
    ModernBert,
}

impl Kind {
    /// The one that a configuration is of.
    fn of(config: &Config) -> Result<Self, ImportError> {
        match config.text("model_type", "bert") {
            "bert" => Ok(Self::Bert),
            modern_bert::MODEL_TYPE => Ok(Self::ModernBert),
            kind => Err(config.problem(format!(
                "`model_type` is `{kind}`, and BERTs (`bert`) and ModernBERTs (`{}`) are imported",
                modern_bert::MODEL_TYPE
            ))),
        }
    }

    /// The name in the file of each of its tensors, by the name that it has in a model with a head for masked tokens.
    fn names(self, tensors: &SafeTensors) -> BTreeMap<String, String> {
        let theirs = tensors.names();
        let (prefix, heads) = match self {
            Self::Bert => ("bert.", ["cls.", "classifier."]),
            Self::ModernBert => ("model.", ["head.", "decoder."]),
        };
        let has_prefix = theirs.iter().any(|name| name.starts_with(prefix));
        let usual = |name: &str| {
            let name = name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias");
            let is_head = heads.iter().any(|head| name.starts_with(head));
            if has_prefix || is_head { name } else { format!("{prefix}{name}") }
        };
        theirs.iter().map(|name| (usual(name), (*name).to_owned())).collect()
    }

    /// Where it has what our parameter of this name holds, if it has something of the kind.
    fn place(self, ours: &str) -> Option<Place> {
        match self {
            Self::Bert => Some(Place { name: ours.to_owned(), third: None }),
            Self::ModernBert => modern_bert::place(ours),
        }
    }
}

/// The model of a BERT's configuration.
fn bert(config: &Config) -> Result<ModelSpec, ImportError> {
    let positions = match config.text("position_embedding_type", "absolute") {
        "absolute" => PositionEmbedding::Absolute,
        "relative_key" => PositionEmbedding::RelativeKey,
        other => {
            let problem = format!("`position_embedding_type` is `{other}`; absolute and relative_key are there");
            return Err(config.problem(problem));
        }
    };
    let hidden_act = config.activation("hidden_act")?;
    let segments = config.integer("type_vocab_size")?;
    if segments != 2 {
        return Err(config.problem(format!("`type_vocab_size` is {segments}, and BERT has 2 segments")));
    }
    let (width, heads) = config.width_and_heads()?;
    Ok(ModelSpec {
        architecture: Architecture::Bert,
        hidden_size: width,
        num_hidden_layers: config.integer("num_hidden_layers")?,
        num_attention_heads: heads,
        attention_head_size: width / heads,
        intermediate_size: config.integer("intermediate_size")?,
        max_position_embeddings: config.integer("max_position_embeddings")?,
        type_vocab_size: segments,
        hidden_act,
        hidden_dropout_prob: config.number("hidden_dropout_prob", 0.1),
        attention_probs_dropout_prob: config.number("attention_probs_dropout_prob", 0.1),
        initializer_range: config.number("initializer_range", 0.02),
        layer_norm_eps: config.number("layer_norm_eps", 1e-12),
        position_embedding_type: positions,
        norm_position: NormPosition::Post,
        embedding_layer_norm: true,
        tie_word_embeddings: config.flag("tie_word_embeddings", true),
        mlm_head_transform: true,
        mlm_head_bias: true,
        nsp_head_bias: true,
        rope_theta: later::rope_theta(),
        local_attention: later::local_attention(),
        global_attn_every_n_layers: later::global_attn_every_n_layers(),
        mlm_bias_init: later::mlm_bias_init(),
        is_gated_act: later::is_gated_act(),
        norm_type: later::norm_type(),
        first_attention_norm: later::first_attention_norm(),
    })
}

fn parameter(
    path: &Path,
    tensors: &SafeTensors,
    theirs: &str,
    name: String,
    expected: Option<&[usize]>,
) -> Result<Parameter, ImportError> {
    let view = tensors
        .tensor(theirs)
        .map_err(|error| ImportError::Safetensors { path: path.to_owned(), problem: error.to_string() })?;
    let shape = view.shape().to_vec();
    if let Some(expected) = expected.filter(|expected| *expected != shape) {
        let (name, expected) = (theirs.to_owned(), expected.to_vec());
        return Err(ImportError::Misshapen { path: path.to_owned(), name, found: shape, expected });
    }
    let bits = |bytes: &[u8]| u16::from_le_bytes([bytes[0], bytes[1]]);
    let values = match view.dtype() {
        Dtype::F32 => bytemuck::pod_collect_to_vec(view.data()),
        Dtype::BF16 => view.data().chunks_exact(2).map(|b| f32::from_bits(u32::from(bits(b)) << 16)).collect(),
        Dtype::F16 => view.data().chunks_exact(2).map(|b| from_half(bits(b))).collect(),
        dtype => return Err(ImportError::Type { path: path.to_owned(), name, dtype }),
    };
    Ok(Parameter { name, shape, values })
}

/// The value of an IEEE 754 half.
fn from_half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (f32::from(1 - 2 * (bits >> 15) as i16), (bits >> 10) & 31, bits & 1023);
    match exponent {
        0 => sign * f32::from(fraction) / 16_777_216.0,
        31 if fraction == 0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + f32::from(fraction) / 1024.0) * f32::from_bits((u32::from(exponent) + 112) << 23),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_widened_exactly() {
        let cases = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x3555, 0.333_251_95),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in cases {
            assert_eq!(from_half(bits).to_bits(), f32::to_bits(value), "{bits:04x}");
        }
        assert!(from_half(0x7e00).is_nan());
    }
}
