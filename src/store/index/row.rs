//! A run as the index gives it back.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::store::series::{greatest, least};
use crate::store::{Group, Labels, Measured, RunState, Stretch};
use crate::types::{MetricName, RunId, SpecHash, Step, Timestamp};

/// One run, as far as a table needs to know it.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    pub id: RunId,
    /// `None` for a guest's run, which has no specification.
    pub spec_hash: Option<SpecHash>,
    /// The hash of the specification as this program would plan it: equal for runs of the same science.
    pub identity: Option<SpecHash>,
    /// Who logged the run, where it is a guest's.
    pub logged_by: Option<String>,
    pub state: RunState,
    pub reason: Option<String>,
    pub created_at: Option<Timestamp>,
    /// When training began for the first time.
    pub started_at: Option<Timestamp>,
    /// When the run came to rest, if it did.
    pub ended_at: Option<Timestamp>,
    /// Milliseconds that workers were at it, up to its last state.
    pub worked_ms: i64,
    /// When the worker began whose end is not recorded.
    pub running_since: Option<Timestamp>,
    pub steps_done: Step,
    /// `None` while a run over epochs has not said how many steps those are.
    pub total_steps: Option<u64>,
    /// Parameters of the model, when the run has said so.
    pub parameters: Option<u64>,
    /// Every experiment that the run belongs to.
    pub experiments: Vec<Group>,
    /// Whether the first of them is the one that the run was made for.
    pub was_made_for_one: bool,
    /// What people say about the run.
    pub labels: Labels,
    /// The run that this one executes again.
    pub reproduces: Option<RunId>,
    pub metrics: BTreeMap<MetricName, MetricSummary>,
    /// Bytes of a last record that is not whole: a crash tore it, or it is being written right now.
    pub torn_bytes: u64,
    /// Bytes of all its files.
    pub disk_bytes: u64,
    /// The data sets that a guest says it read, as it said it.
    pub inputs: Option<Value>,
}

/// The last and the best values of a metric. A value that is not a number is never the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricSummary {
    /// The value at [`last_step`](Self::last_step), which may be NaN.
    pub last: f64,
    /// The smallest value; `None` when all are NaN.
    pub min: Option<f64>,
    /// The largest value; `None` when all are NaN.
    pub max: Option<f64>,
    /// The value of the first step, which may be NaN.
    pub first: f64,
    pub last_step: i64,
    /// When a guest says that it measured the last value.
    pub last_at: Option<Timestamp>,
}

impl RunRow {
    /// The experiment that the run was made for, or the first that it joined.
    pub fn experiment(&self) -> Option<&str> {
        self.experiments.first().map(|group| group.name.as_str())
    }

    /// The cell of that experiment's sweep: axis values by key.
    pub fn axes(&self) -> &Map<String, Value> {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        self.experiments.first().map_or(&NONE, |group| &group.axes)
    }

    /// The part of its steps that is done, from 0 to 1. One that ended without its last needs no more of them.
    pub fn done(&self) -> f64 {
        match (self.state, self.total_steps) {
            (RunState::Finished | RunState::Failed | RunState::Stopped, _) => 1.0,
            (_, Some(total)) if total > 0 => (self.steps_done.0 as f64 / total as f64).min(1.0),
            _ => 0.0,
        }
    }

    /// Seconds that workers were at it, once it is at rest.
    pub fn worked_secs(&self) -> Option<f64> {
        self.ended_at.map(|_| self.worked_ms as f64 / 1e3)
    }

    /// The run's place in the experiment `name`.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.experiments.iter().find(|group| group.name == name)
    }
}

impl MetricSummary {
    /// Of all values of a metric.
    pub(super) fn of(all: &Stretch) -> Self {
        Self {
            last: all.last.value,
            min: all.min,
            max: all.max,
            first: all.first.value,
            last_step: all.last.step,
            last_at: all.last.at,
        }
    }

    /// After one more value, of a later step.
    pub(super) fn extend(known: Option<Self>, step: i64, value: f64, at: Option<Timestamp>) -> Self {
        let new = Self::of(&Stretch::of(&Measured { step, value, at }));
        let Some(known) = known else { return new };
        Self { first: known.first, min: least(known.min, new.min), max: greatest(known.max, new.max), ..new }
    }
}
