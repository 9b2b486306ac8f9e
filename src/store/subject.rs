//! What a run is a run of: a specification that this program planned, or parameters that a guest logged.
//!
//! A guest is whatever records its own training here: a program under a sweep, a client of a tracking protocol, an
//! imported store. Its parameters are what it says they are, so nothing of it can be executed again; everything that only
//! looks (list, show, compare, diff) needs no more than the settings, which both kinds have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::StoreError;
use super::format;
use crate::plan::RunSpec;
use crate::types::{RunId, SpecHash};

/// What a run is a run of.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A resolved specification, which can be executed again.
    Planned(Box<RunSpec>),
    /// The parameters of a guest.
    Logged(Logged),
}

/// What a guest says of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Logged {
    /// Who records the run: `mlflow client 2.22`, `train.py`.
    pub by: String,
    /// The experiment that the guest counts the run to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Parameters by key, nested where the guest nests them.
    pub parameters: Map<String, Value>,
}

/// `params.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct LoggedFile {
    pub version: u32,
    #[serde(flatten)]
    pub logged: Logged,
}

impl LoggedFile {
    pub fn new(logged: &Logged) -> Self {
        Self { version: format::PARAMS, logged: logged.clone() }
    }
}

impl Subject {
    /// The specification's hash, where there is a specification.
    pub fn hash(&self) -> Option<SpecHash> {
        match self {
            Self::Planned(spec) => Some(spec.hash()),
            Self::Logged(_) => None,
        }
    }

    /// Every setting as a dotted key and its value in canonical spelling.
    pub fn settings(&self) -> Vec<(String, String)> {
        match self {
            Self::Planned(spec) => spec.leaves(),
            Self::Logged(logged) => leaves(&logged.parameters),
        }
    }

    /// The specification of the run `id`.
    ///
    /// # Errors
    /// [`StoreError::NotPlanned`] when it has none.
    pub fn planned(&self, id: &RunId) -> Result<&RunSpec, StoreError> {
        match self {
            Self::Planned(spec) => Ok(spec),
            Self::Logged(logged) => Err(StoreError::NotPlanned { run: id.clone(), by: logged.by.clone() }),
        }
    }

    /// Takes in parameters that the guest logged after the run was made; a later value replaces an earlier one.
    pub(super) fn add(&mut self, parameters: &BTreeMap<String, Value>) {
        if let Self::Logged(logged) = self {
            logged.parameters.extend(parameters.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
}

/// The leaves of a JSON object in the spelling of [`RunSpec::leaves`].
pub(super) fn leaves(object: &Map<String, Value>) -> Vec<(String, String)> {
    fn collect(key: String, value: &Value, leaves: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, field)| collect(format!("{key}.{name}"), field, leaves));
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(i, item)| collect(format!("{key}.{i}"), item, leaves));
            }
            Value::String(text) => leaves.push((key, text.clone())),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => leaves.push((key, format!("{float:e}"))),
                _ => leaves.push((key, number.to_string())),
            },
            other => leaves.push((key, other.to_string())),
        }
    }
    let mut found = Vec::new();
    object.iter().for_each(|(key, value)| collect(key.clone(), value, &mut found));
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::spec;
    use super::*;

    #[test]
    fn both_kinds_have_settings_in_one_spelling() {
        let Value::Object(parameters) = json!({ "lr": 1e-4, "layers": [2, 3], "model": { "kind": "gru" }, "on": true })
        else {
            unreachable!()
        };
        let subject = Subject::Logged(Logged { by: "train.py".into(), experiment: None, parameters });
        let found: Vec<String> = subject.settings().iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(found, ["lr=1e-4", "layers.0=2", "layers.1=3", "model.kind=gru", "on=true"]);
        assert!(subject.hash().is_none());
        let planned = Subject::Planned(Box::new(spec(1, 0.15)));
        assert!(planned.settings().contains(&("optimizer.lr".into(), "1e-4".into())));
        let Value::Object(as_json) = serde_json::to_value(spec(1, 0.15)).unwrap() else { unreachable!() };
        assert_eq!(leaves(&as_json), planned.settings());
    }

    #[test]
    fn who_needs_a_specification_is_told_that_there_is_none() {
        let logged = Logged { by: "mlflow client 2.22".into(), ..Logged::default() };
        let error = Subject::Logged(logged).planned(&"7h2kq9xw".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "run 7h2kq9xw was logged by mlflow client 2.22: it has no specification, so there is nothing to execute, \
             continue or predict with"
        );
    }
}
