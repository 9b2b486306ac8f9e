//! How a specification is written: as TOML beside its run, and as the canonical text whose hash is the identity of the run.
//!
//! The canonical form is one `key=value` line per leaf, sorted by key, with floats in one decimal spelling.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::run_spec::{RunSpec, SPEC_SCHEMA};
use crate::experiment::{CodecError, keys, read_toml, write_toml};
use crate::suggest::nearest;
use crate::types::{ContentHash, SpecHash};

/// The keys that name data for people; the identity of data is the hash of its bytes alone.
const LABEL_KEYS: [&str; 4] = ["data.corpus", "finetune.data", "finetune.test", "tokenizer.dictionary"];

/// The canonical value of every later key's default, by key: see [`keys::Key::is_later`].
static LATER_DEFAULTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let mut leaves = Vec::new();
    for (key, value) in keys::defaults().iter().filter(|(key, _)| key.is_later) {
        collect_leaves(key.name, &value.to_json().unwrap_or(Value::Null), &mut leaves);
    }
    leaves.into_iter().collect()
});

/// A stored specification that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("not a run specification: {0}")]
    Malformed(#[from] CodecError),
    #[error("the specification has schema {found}, and this program reads up to {SPEC_SCHEMA}: use a newer one")]
    FromTheFuture { found: u32 },
    #[error("the specification has the unknown key `{key}`{}", hint(.nearest))]
    UnknownKey { key: String, nearest: Option<String> },
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|key| format!(": did you mean `{key}`?")).unwrap_or_default()
}

impl RunSpec {
    /// The specification as TOML, as it is kept beside a run.
    ///
    /// # Errors
    /// When a number is beyond TOML's: a seed or a count above 2^63 - 1.
    pub fn to_toml(&self) -> Result<String, CodecError> {
        write_toml(self)
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote, in any order of its keys.
    ///
    /// # Errors
    /// When the text is no specification, is one of a later version, or has a key that would be ignored: a run that
    /// leaves something out of its specification would not be the same run.
    pub fn from_toml(text: &str) -> Result<Self, SpecError> {
        #[derive(Deserialize)]
        struct Header {
            schema: u32,
        }
        let Header { schema } = read_toml(text)?;
        if schema > SPEC_SCHEMA {
            return Err(SpecError::FromTheFuture { found: schema });
        }
        let spec: Self = read_toml(text)?;
        let known: Vec<String> = spec.leaves().into_iter().map(|(key, _)| key).collect();
        let mut written = Vec::new();
        collect_leaves("", &read_toml::<Value>(text)?, &mut written);
        match written.into_iter().find(|(key, _)| !known.contains(key)) {
            Some((key, _)) => {
                let nearest = nearest(&key, known.iter().map(String::as_str)).map(str::to_owned);
                Err(SpecError::UnknownKey { key, nearest })
            }
            None => Ok(spec),
        }
    }

    /// The identity of the run: the hash of [`canonical`](Self::canonical).
    pub fn hash(&self) -> SpecHash {
        SpecHash(ContentHash::of(self.canonical().as_bytes()))
    }

    /// One `key=value` line per leaf, sorted by key: the same text for the same science, on every machine.
    ///
    /// Floats are written as the shortest decimal that reads back the same, in scientific notation (`1e-4`), so that
    /// `0.10` and `0.1` agree; integers and floats of one value stay apart. The corpus label is left out, and so are the
    /// settings that came after the first schema where they have their default.
    pub fn canonical(&self) -> String {
        canonical_lines("", &self.to_json())
    }

    /// Every leaf as a dotted key and its canonical value, in the order of the fields: what `diff` compares.
    pub fn leaves(&self) -> Vec<(String, String)> {
        let mut leaves = Vec::new();
        collect_leaves("", &self.to_json(), &mut leaves);
        leaves
    }

    fn to_json(&self) -> Value {
        serde_json::to_value(self).expect("invariant: a spec holds only finite numbers and string keys")
    }
}

/// The canonical lines of the part of a specification below `key`.
pub(super) fn canonical_lines(key: &str, part: &Value) -> String {
    let mut leaves = Vec::new();
    collect_leaves(key, part, &mut leaves);
    leaves.retain(|(key, value)| !LABEL_KEYS.contains(&key.as_str()) && LATER_DEFAULTS.get(key) != Some(value));
    leaves.sort();
    leaves.into_iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}={value}");
        text
    })
}

fn collect_leaves(key: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                collect_leaves(&key, field, leaves);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                collect_leaves(&format!("{key}.{i}"), item, leaves);
            }
        }
        Value::Number(number) if number.is_f64() => {
            let float = number.as_f64().expect("invariant: is_f64 was checked");
            leaves.push((key.to_owned(), format!("{float:e}")));
        }
        Value::String(text) => leaves.push((key.to_owned(), text.clone())),
        other => leaves.push((key.to_owned(), other.to_string())),
    }
}
