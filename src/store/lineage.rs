//! Lineage: which runs a run stands on, and in which role, so that none of them is collected unseen.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{RunId, Step};

/// The runs that a run stands on. Written when the run is made, and never changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Whose last weights it starts from: the stage before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_from: Option<RunId>,
    /// Whose recorded steps and checkpoint it took over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<Origin>,
    /// Which run it executes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduces: Option<RunId>,
    /// In whose artifacts its tokenizer lies, where it is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses_tokenizer_of: Option<RunId>,
}

/// Where a run resumes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pub run: RunId,
    /// The step of that run's checkpoint.
    pub step: Step,
}

/// What one run is to another that stands on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    StartsFrom,
    Continues,
    Reproduces,
    UsesTokenizerOf,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::StartsFrom, Self::Continues, Self::Reproduces, Self::UsesTokenizerOf];

    /// The role as it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::StartsFrom => "starts_from",
            Self::Continues => "continues",
            Self::Reproduces => "reproduces",
            Self::UsesTokenizerOf => "uses_tokenizer_of",
        }
    }

    /// The role of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    /// Whether the run that stands on the other needs its files for what it can still do. A continued or reproduced run
    /// has been copied or compared; losing it loses the record of that.
    pub fn needs_files(self) -> bool {
        matches!(self, Self::StartsFrom | Self::UsesTokenizerOf)
    }
}

impl Lineage {
    /// Whether the run stands on no other.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every run that this one stands on, and in which role.
    pub fn edges(&self) -> impl Iterator<Item = (Role, &RunId)> {
        let continued = self.continues.as_ref().map(|origin| &origin.run);
        let all = [
            (Role::StartsFrom, self.starts_from.as_ref()),
            (Role::Continues, continued),
            (Role::Reproduces, self.reproduces.as_ref()),
            (Role::UsesTokenizerOf, self.uses_tokenizer_of.as_ref()),
        ];
        all.into_iter().filter_map(|(role, run)| Some((role, run?)))
    }

    /// As runs had it before lineage had a file of its own: in their provenance, and the tokenizer's in nothing but the
    /// rule that an imported one lies with the run that it started from.
    pub(super) fn of_provenance(provenance: &Value, has_imported_tokenizer: bool) -> Self {
        let run = |key: &str| provenance.get(key).and_then(Value::as_str).and_then(|id| id.parse().ok());
        let starts_from: Option<RunId> = run("starts_from");
        Self {
            continues: provenance.get("continues").and_then(|json| serde_json::from_value(json.clone()).ok()),
            reproduces: run("reproduces"),
            uses_tokenizer_of: starts_from.clone().filter(|_| has_imported_tokenizer),
            starts_from,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_role_is_an_edge() {
        let [a, b, c, d]: [RunId; 4] = ["aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"].map(|id| id.parse().unwrap());
        let lineage = Lineage {
            starts_from: Some(a.clone()),
            continues: Some(Origin { run: b.clone(), step: Step(7) }),
            reproduces: Some(c.clone()),
            uses_tokenizer_of: Some(d.clone()),
        };
        let found: Vec<_> = lineage.edges().map(|(role, run)| (role, run.clone())).collect();
        assert_eq!(found, Role::ALL.into_iter().zip([a, b, c, d]).collect::<Vec<_>>());
        assert_eq!(serde_json::from_value::<Lineage>(json!(lineage)).unwrap(), lineage);
        assert!(Role::ALL.iter().all(|role| Role::from_name(role.name()) == Some(*role)));
    }

    #[test]
    fn old_provenance_is_understood() {
        let old = json!({ "starts_from": "aaaaaaaa", "continues": { "run": "bbbbbbbb", "step": 5 }, "host": "h" });
        let lineage = Lineage::of_provenance(&old, false);
        assert_eq!(lineage.starts_from.as_ref().map(RunId::as_str), Some("aaaaaaaa"));
        assert_eq!(lineage.continues.as_ref().map(|origin| origin.step), Some(Step(5)));
        assert_eq!((lineage.reproduces.as_ref(), lineage.uses_tokenizer_of.as_ref()), (None, None));
        assert_eq!(Lineage::of_provenance(&old, true).uses_tokenizer_of, lineage.starts_from);
        assert!(Lineage::of_provenance(&json!({}), false).is_empty());
    }
}
