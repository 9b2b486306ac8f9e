//! The runs that a query finds, as `list` shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::plan::StageSpec;
use crate::store::{Group, Labels, RunQuery, RunRow, RunState, Store};
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
    /// `None` for a guest's run, which has no specification.
    pub spec_hash: Option<SpecHash>,
    /// Who logged the run, where it is a guest's.
    pub logged_by: Option<String>,
    pub state: RunState,
    pub reason: Option<String>,
    pub created_at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub steps_done: Step,
    /// `None` where they are not known yet, and for a model that was imported.
    pub total_steps: Option<u64>,
    pub parameters: Option<u64>,
    /// Of the experiments that the run belongs to, the one that was asked for, or the one that it was made for.
    pub experiment: Option<String>,
    /// The cell of that experiment's sweep: axis values by key.
    pub axes: Map<String, Value>,
    /// Every experiment that the run belongs to.
    pub experiments: Vec<Group>,
    /// What people say about the run.
    pub labels: Labels,
    /// Which repetition of the cell, as far as its run says so.
    pub replicate: Option<u64>,
    pub seed: Option<Seed>,
    /// The run that this one executes again.
    pub reproduces: Option<RunId>,
    /// Bytes of a last record that is not whole.
    pub torn_bytes: u64,
    /// The metric that decides in the run's experiment, as far as the run has recorded it.
    pub metric: Option<MetricName>,
    /// The last value of each metric.
    pub metrics: BTreeMap<MetricName, f64>,
}

impl Listing {
    /// The listing of `rows` of `store`, which `query` found, in their order.
    pub fn of(rows: Vec<RunRow>, query: &RunQuery, store: &Store) -> Self {
        Self { format: "ablate-list-1", runs: rows.into_iter().map(|row| ListedRun::of(row, query, store)).collect() }
    }
}

impl ListedRun {
    fn of(row: RunRow, query: &RunQuery, store: &Store) -> Self {
        let asked = query.experiment.iter().chain(&query.words).find_map(|name| row.group(name));
        let group = asked.or(row.experiments.first()).cloned();
        let run = store.run(&row.id).ok();
        let spec = run.as_ref().and_then(|run| run.read_spec().ok());
        let provenance = run.as_ref().and_then(|run| run.read_provenance().ok()).unwrap_or_default();
        let declared = provenance.pointer("/experiment/metric").and_then(Value::as_str);
        let metrics: BTreeMap<_, _> = row.metrics.into_iter().map(|(name, summary)| (name, summary.last)).collect();
        let is_imported = spec.as_ref().is_some_and(|spec| matches!(spec.stage, StageSpec::Import(_)));
        Self {
            id: row.id,
            spec_hash: row.spec_hash,
            logged_by: row.logged_by,
            state: row.state,
            reason: row.reason,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            steps_done: row.steps_done,
            total_steps: row.total_steps.filter(|_| !is_imported),
            parameters: row.parameters,
            experiment: group.as_ref().map(|group| group.name.clone()),
            axes: group.map(|group| group.axes).unwrap_or_default(),
            experiments: row.experiments,
            labels: row.labels,
            replicate: provenance.pointer("/experiment/replicate").and_then(Value::as_u64),
            seed: spec.as_ref().map(|spec| spec.seed()),
            reproduces: row.reproduces,
            torn_bytes: row.torn_bytes,
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
