//! The runs that a query finds, as `list` shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::store::{RunRow, RunState};
use crate::types::{MetricName, RunId, SpecHash, Step, Timestamp};

/// Runs, in the order of the query: newest first.
#[derive(Clone, Debug, Serialize)]
pub struct Listing {
    format: &'static str,
    pub runs: Vec<ListedRun>,
}

/// One run of a listing.
#[derive(Clone, Debug, Serialize)]
pub struct ListedRun {
    pub id: RunId,
    pub spec_hash: SpecHash,
    pub state: RunState,
    pub reason: Option<String>,
    pub created_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub steps_done: Step,
    pub total_steps: Option<u64>,
    pub parameters: Option<u64>,
    pub experiment: Option<String>,
    /// The cell of the sweep: axis values by key.
    pub axes: Map<String, Value>,
    /// The run that this one executes again.
    pub reproduces: Option<RunId>,
    /// The last value of each metric.
    pub metrics: BTreeMap<MetricName, f64>,
}

impl Listing {
    /// The listing of `rows`, in their order.
    pub fn of(rows: Vec<RunRow>) -> Self {
        Self { format: "ablate-list-1", runs: rows.into_iter().map(ListedRun::of).collect() }
    }
}

impl ListedRun {
    fn of(row: RunRow) -> Self {
        Self {
            id: row.id,
            spec_hash: row.spec_hash,
            state: row.state,
            reason: row.reason,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            steps_done: row.steps_done,
            total_steps: row.total_steps,
            parameters: row.parameters,
            experiment: row.experiment,
            axes: row.axes,
            reproduces: row.reproduces,
            metrics: row.metrics.into_iter().map(|(name, summary)| (name, summary.last)).collect(),
        }
    }
}
