//! The runs that a query finds, as `list` shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::plan::StageSpec;
use crate::store::{RunRow, RunState, Store};
use crate::types::metrics::{self, Metric};
use crate::types::{MetricName, RunId, Seed, SpecHash, Step, Timestamp};

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
    /// `None` where they are not known yet, and for a model that was imported.
    pub total_steps: Option<u64>,
    pub parameters: Option<u64>,
    pub experiment: Option<String>,
    /// The cell of the sweep: axis values by key.
    pub axes: Map<String, Value>,
    /// Which repetition of the cell, as far as its run says so.
    pub replicate: Option<u64>,
    pub seed: Option<Seed>,
    /// The run that this one executes again.
    pub reproduces: Option<RunId>,
    /// The metric that decides in the run's experiment, as far as the run has recorded it.
    pub metric: Option<MetricName>,
    /// The last value of each metric.
    pub metrics: BTreeMap<MetricName, f64>,
}

impl Listing {
    /// The listing of `rows` of `store`, in their order.
    pub fn of(rows: Vec<RunRow>, store: &Store) -> Self {
        Self { format: "ablate-list-1", runs: rows.into_iter().map(|row| ListedRun::of(row, store)).collect() }
    }
}

impl ListedRun {
    fn of(row: RunRow, store: &Store) -> Self {
        let run = store.run(&row.id).ok();
        let spec = run.as_ref().and_then(|run| run.read_spec().ok());
        let provenance = run.as_ref().and_then(|run| run.read_provenance().ok()).unwrap_or_default();
        let declared = provenance.pointer("/experiment/metric").and_then(Value::as_str);
        let metrics: BTreeMap<_, _> = row.metrics.into_iter().map(|(name, summary)| (name, summary.last)).collect();
        let is_imported = spec.as_ref().is_some_and(|spec| matches!(spec.stage, StageSpec::Import(_)));
        Self {
            id: row.id,
            spec_hash: row.spec_hash,
            state: row.state,
            reason: row.reason,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            steps_done: row.steps_done,
            total_steps: row.total_steps.filter(|_| !is_imported),
            parameters: row.parameters,
            experiment: row.experiment,
            axes: row.axes,
            replicate: provenance.pointer("/experiment/replicate").and_then(Value::as_u64),
            seed: spec.as_ref().map(|spec| spec.seed()),
            reproduces: row.reproduces,
            metric: deciding_metric(declared, &metrics),
            metrics,
        }
    }

    /// The metric that decides, and its last value.
    pub fn result(&self) -> Option<(&MetricName, f64)> {
        self.metrics.get_key_value(self.metric.as_ref()?).map(|(name, value)| (name, *value))
    }
}

/// The first of these that the run has recorded: what its experiment declares, what usually decides in its stage.
fn deciding_metric(declared: Option<&str>, recorded: &BTreeMap<MetricName, f64>) -> Option<MetricName> {
    let declared = declared.and_then(|name| name.parse().ok());
    let usual = metrics::deciding_by_stage().map(Metric::metric_name);
    declared.into_iter().chain(usual).find(|name| recorded.contains_key(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_experiments_metric_decides_where_the_run_has_it() {
        let recorded = ["valid/mlm_loss", "valid/nsp_accuracy"].map(|name| (name.parse().unwrap(), 1.0)).into();
        let check = |declared: Option<&str>, expected: &str| {
            let found = deciding_metric(declared, &recorded).map(|name| name.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{declared:?}");
        };
        check(Some("valid/nsp_accuracy"), "valid/nsp_accuracy");
        // The pretraining stage of a fine-tuning experiment.
        check(Some("valid/entity_f1"), "valid/mlm_loss");
        check(None, "valid/mlm_loss");
        assert_eq!(deciding_metric(None, &BTreeMap::new()), None);
    }
}
