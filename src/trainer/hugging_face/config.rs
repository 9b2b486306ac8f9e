//! The `config.json` of a model folder, read by its keys, and why a folder cannot be imported.

use std::path::{Path, PathBuf};

use safetensors::tensor::Dtype;
use serde_json::Value;

use crate::plan::Activation;
use crate::trainer::tokenizer::TokenizerError;

/// Why a folder cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {path}: {source}{hint}")]
    Read { path: PathBuf, source: std::io::Error, hint: &'static str },
    #[error("{path}: {problem}")]
    Config { path: PathBuf, problem: String },
    #[error("{path}: the tensor `{name}` is missing; this model needs it with the shape {expected:?}")]
    Missing { path: PathBuf, name: String, expected: Vec<usize> },
    #[error("{path}: the tensor `{name}` has the shape {found:?}, and config.json makes it {expected:?}")]
    Misshapen { path: PathBuf, name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error("{path}: the tensor `{name}` is of type {dtype:?}; F32, F16 and BF16 are read")]
    Type { path: PathBuf, name: String, dtype: Dtype },
    #[error("{path}: not a safetensors file: {problem}")]
    Safetensors { path: PathBuf, problem: String },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// `config.json`.
pub(super) struct Config<'p> {
    path: &'p Path,
    fields: serde_json::Map<String, Value>,
}

impl<'p> Config<'p> {
    pub(super) fn read(path: &'p Path, bytes: &[u8]) -> Result<Self, ImportError> {
        let fields = serde_json::from_slice(bytes).map_err(|error| ImportError::Config {
            path: path.to_owned(),
            problem: format!("no JSON object: {error}"),
        })?;
        Ok(Self { path, fields })
    }

    pub(super) fn problem(&self, problem: String) -> ImportError {
        ImportError::Config { path: self.path.to_owned(), problem }
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.fields.get(key)
    }

    pub(super) fn integer(&self, key: &str) -> Result<usize, ImportError> {
        let value = self.fields.get(key).and_then(Value::as_u64).filter(|&value| value > 0);
        value
            .map(|value| value as usize)
            .ok_or_else(|| self.problem(format!("`{key}` is missing or no number above 0")))
    }

    pub(super) fn number(&self, key: &str, default: f64) -> f64 {
        self.fields.get(key).and_then(Value::as_f64).unwrap_or(default)
    }

    pub(super) fn flag(&self, key: &str, default: bool) -> bool {
        self.fields.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    pub(super) fn text(&self, key: &str, default: &'static str) -> &str {
        self.fields.get(key).and_then(Value::as_str).unwrap_or(default)
    }

    /// The activation function under `key`, GELU where nothing is said.
    pub(super) fn activation(&self, key: &str) -> Result<Activation, ImportError> {
        match self.text(key, "gelu") {
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluNew),
            "relu" => Ok(Activation::Relu),
            other => Err(self.problem(format!("`{key}` is `{other}`; gelu, gelu_new and relu are there"))),
        }
    }

    /// The width of the model, and its heads, which share it.
    pub(super) fn width_and_heads(&self) -> Result<(usize, usize), ImportError> {
        let (width, heads) = (self.integer("hidden_size")?, self.integer("num_attention_heads")?);
        if width.is_multiple_of(heads) {
            return Ok((width, heads));
        }
        Err(self.problem(format!("`hidden_size` {width} is not divisible by `num_attention_heads` {heads}")))
    }
}
