//! Labels: what people say about a run, at any time and whoever writes its log.
//!
//! `labels.json` is replaced whole by an atomic rename, so that nobody ever reads half of it. It is beside the log and
//! not in it, because the log belongs to the worker that holds the lease.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::format;
use crate::types::Timestamp;

/// What people say about a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// What the run is called, beside its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Words to find it by. A guest's tags with a value are written `key=value`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// A remark of any length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Experiments that the run belongs to, beside the one that it was made for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// When it was put into the trash, if it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed_at: Option<Timestamp>,
}

/// An experiment that a run belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    /// The cell of the experiment's sweep: axis values by key.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub axes: serde_json::Map<String, serde_json::Value>,
}

/// `labels.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct LabelsFile {
    pub version: u32,
    #[serde(flatten)]
    pub labels: Labels,
}

impl LabelsFile {
    pub fn new(labels: &Labels) -> Self {
        Self { version: format::LABELS, labels: labels.clone() }
    }
}

/// Characters of a tag at most.
const LONGEST_TAG: usize = 200;

impl Labels {
    /// Whether people may take a text for a tag.
    ///
    /// # Errors
    /// What a tag is instead.
    pub fn check_tag(text: &str) -> Result<(), String> {
        match text {
            "" => Err("a tag has a letter at least".to_owned()),
            _ if text.chars().count() > LONGEST_TAG || text.contains(char::is_control) => {
                Err(format!("a tag is one line of at most {LONGEST_TAG} characters"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the run is in the trash.
    pub fn is_trashed(&self) -> bool {
        self.trashed_at.is_some()
    }

    /// Counts the run to an experiment; a place in it that the run had before is replaced.
    pub fn join(&mut self, group: Group) {
        match self.groups.iter_mut().find(|known| known.name == group.name) {
            Some(known) => *known = group,
            None => self.groups.push(group),
        }
    }
}
