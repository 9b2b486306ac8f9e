//! Everything about one run, as `show` has it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::plan::RunSpec;
use crate::store::{Labels, Lineage, Logged, RunState, StoredRun, Subject};
use crate::types::{MetricName, RunId, SpecHash, Timestamp};

/// The record of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord<'a> {
    format: &'static str,
    pub id: &'a RunId,
    /// `None` for a guest's run, which has no specification.
    pub spec_hash: Option<SpecHash>,
    pub state: RunState,
    pub reason: Option<&'a str>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub spec: Option<&'a RunSpec>,
    /// What a guest says of its run.
    pub logged: Option<&'a Logged>,
    pub lineage: &'a Lineage,
    pub labels: &'a Labels,
    /// Bytes of a last record that is not whole.
    pub torn_bytes: u64,
    pub provenance: &'a Value,
    pub facts: &'a BTreeMap<String, Value>,
    pub warnings: &'a [String],
    pub series: BTreeMap<&'a MetricName, RecordedSeries>,
}

/// The values of a metric, and the steps that they are of.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecordedSeries {
    pub steps: Vec<i64>,
    pub values: Vec<f64>,
}

impl<'a> RunRecord<'a> {
    /// The record of `run`.
    pub fn of(run: &'a StoredRun) -> Self {
        let history = &run.history;
        let series = history.all_measured().map(|(name, points)| {
            let (steps, values) = points.iter().map(|point| (point.step, point.value)).unzip();
            (name, RecordedSeries { steps, values })
        });
        Self {
            format: "ablate-run-1",
            id: &run.id,
            spec_hash: run.subject.hash(),
            state: run.state,
            reason: history.reason(),
            started_at: history.started_at(),
            ended_at: history.ended_at(),
            spec: run.planned().ok(),
            logged: match &run.subject {
                Subject::Planned(_) => None,
                Subject::Logged(logged) => Some(logged),
            },
            lineage: &run.lineage,
            labels: &run.labels,
            torn_bytes: history.torn_bytes,
            provenance: &run.provenance,
            facts: &history.facts,
            warnings: &history.warnings,
            series: series.collect(),
        }
    }
}
