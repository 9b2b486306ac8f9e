//! Everything about one run, as `show` has it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::plan::RunSpec;
use crate::store::{RunState, StoredRun};
use crate::types::{MetricName, RunId, SpecHash, Timestamp};

/// The record of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunRecord<'a> {
    format: &'static str,
    pub id: &'a RunId,
    pub spec_hash: SpecHash,
    pub state: RunState,
    pub reason: Option<&'a str>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub spec: &'a RunSpec,
    pub provenance: &'a Value,
    pub facts: &'a BTreeMap<String, Value>,
    pub warnings: &'a [String],
    pub series: BTreeMap<&'a MetricName, RecordedSeries>,
}

/// The values of a metric, and the steps that they are of.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RecordedSeries {
    pub steps: Vec<u64>,
    pub values: Vec<f64>,
}

impl<'a> RunRecord<'a> {
    /// The record of `run`.
    pub fn of(run: &'a StoredRun) -> Self {
        let history = &run.history;
        let series = history.all_series().map(|(name, points)| {
            let (steps, values) = points.iter().map(|point| (point.step.0, point.value)).unzip();
            (name, RecordedSeries { steps, values })
        });
        Self {
            format: "ablate-run-1",
            id: &run.id,
            spec_hash: run.spec.hash(),
            state: run.state,
            reason: history.reason(),
            started_at: history.started_at(),
            ended_at: history.ended_at(),
            spec: &run.spec,
            provenance: &run.provenance,
            facts: &history.facts,
            warnings: &history.warnings,
            series: series.collect(),
        }
    }
}
