//! What the written forms of all schemas have in common: leaves of a tree as dotted keys with canonical values, the names of
//! the stages, and what can be wrong with a stored specification.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SPEC_SCHEMA;
use crate::experiment::{CodecError, read_toml};
use crate::suggest::nearest;

/// A stored specification that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("not a run specification: {0}")]
    Malformed(#[from] CodecError),
    #[error("the specification has schema {found}, and this program reads up to {SPEC_SCHEMA}: use a newer one")]
    FromTheFuture { found: u32 },
    #[error("a specification of the stage `{stage}` {problem} a table [{table}]")]
    Stage { stage: &'static str, problem: &'static str, table: &'static str },
    #[error("the specification has the unknown key `{key}`{}", hint(.nearest))]
    UnknownKey { key: String, nearest: Option<String> },
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|key| format!(": did you mean `{key}`?")).unwrap_or_default()
}

/// The stages by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    Pretrain,
    Import,
    Finetune,
}

impl StageName {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Import => "import",
            Self::Finetune => "finetune",
        }
    }
}

pub(super) fn to_json<T: Serialize>(written: &T) -> Value {
    serde_json::to_value(written).expect("invariant: a spec holds only finite numbers and string keys")
}

/// An error where `text` has a key that is not among the leaves that were read from it.
pub(super) fn refuse_unknown(text: &str, read: &[(String, String)]) -> Result<(), SpecError> {
    let is_unknown = |(key, _): &(String, String)| !read.iter().any(|(known, _)| known == key);
    match leaves_of(&read_toml::<Value>(text)?).into_iter().find(is_unknown) {
        Some((key, _)) => {
            let nearest = nearest(&key, read.iter().map(|(known, _)| known.as_str())).map(str::to_owned);
            Err(SpecError::UnknownKey { key, nearest })
        }
        None => Ok(()),
    }
}

/// Leaves as sorted lines.
pub(super) fn lines(mut leaves: Vec<(String, String)>) -> String {
    leaves.sort();
    leaves.into_iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}={value}");
        text
    })
}

/// Every leaf of a tree as a dotted key and its canonical value.
pub(super) fn leaves_of(tree: &Value) -> Vec<(String, String)> {
    let mut leaves = Vec::new();
    collect_leaves("", tree, &mut leaves);
    leaves
}

/// `[[16, 0.4], [32, 0.2]]`.
fn listed(items: &[Value]) -> String {
    let item = |item: &Value| match item {
        Value::Array(items) => listed(items),
        Value::Number(number) if number.is_f64() => number.as_f64().map_or_else(String::new, |float| float.to_string()),
        other => other.to_string(),
    };
    format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
}

pub(super) fn collect_leaves(key: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                collect_leaves(&key, field, leaves);
            }
        }
        // A list of lists is one value: its parts say nothing alone.
        Value::Array(items) if items.iter().any(Value::is_array) => leaves.push((key.to_owned(), listed(items))),
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
