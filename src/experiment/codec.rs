//! Values to TOML text and back: for what the program itself writes, such as a run's `spec.toml`.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Text that is not TOML of the wanted shape, or a value that TOML cannot say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

/// `value` as TOML, tables after plain keys.
pub fn write<T: Serialize>(value: &T) -> Result<String, CodecError> {
    toml::to_string(value).map_err(|error| CodecError(error.to_string()))
}

/// The value that `text` says. The error shows the line.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, CodecError> {
    toml::from_str(text).map_err(|error| CodecError(error.to_string().trim_end().to_owned()))
}
