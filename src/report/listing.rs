//! The runs that a query finds, as `list` shows them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::json;
use crate::store::{Cell, Facts, Group, Index, Labels, RunQuery, RunRow, RunState, StoreError};
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
    /// Seconds that workers were at it, once it is at rest.
    pub worked_secs: Option<f64>,
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
    /// Bytes of all its files.
    pub disk_bytes: u64,
    /// The metric that decides in the run's experiment, as far as the run has recorded it.
    pub metric: Option<MetricName>,
    /// The last value of each metric.
    pub metrics: BTreeMap<MetricName, f64>,
}

/// Chosen columns of runs.
#[derive(Clone, Debug, Serialize)]
pub struct ListedColumns {
    format: &'static str,
    pub columns: Vec<String>,
    /// A value for each column: a text, a number, a moment, seconds or bytes; `null` where the run has none.
    pub rows: Vec<Vec<Value>>,
}

impl ListedColumns {
    /// These columns of some runs, row by row.
    pub fn new(columns: Vec<String>, rows: Vec<Vec<Option<Cell>>>) -> Self {
        let value = |cell: Option<Cell>| match cell {
            None => Value::Null,
            Some(Cell::Text(text)) => Value::String(text),
            Some(Cell::Number(number) | Cell::Seconds(number)) => json::value(&number),
            Some(Cell::Count(count) | Cell::Bytes(count)) => count.into(),
            Some(Cell::Moment(at)) => Value::String(at.to_string()),
        };
        let rows = rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect();
        Self { format: "ablate-columns-1", columns, rows }
    }
}

impl Listing {
    /// The listing of the runs that `query` found, in their order.
    pub fn of(runs: Vec<Facts>, query: &RunQuery) -> Self {
        Self::from_runs(runs.into_iter().map(|run| ListedRun::of(run, query)).collect())
    }

    /// The listing of rows of an index, each read as it is listed.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn of_rows(index: &Index, rows: Vec<RunRow>, query: &RunQuery) -> Result<Self, StoreError> {
        let runs = index.facts_in_turn(rows).map(|facts| Ok(ListedRun::of(facts?, query)));
        Ok(Self::from_runs(runs.collect::<Result<_, StoreError>>()?))
    }

    fn from_runs(runs: Vec<ListedRun>) -> Self {
        Self { format: "ablate-list-1", runs }
    }
}

impl ListedRun {
    fn of(facts: Facts, query: &RunQuery) -> Self {
        let Facts { row, settings, provenance, .. } = facts;
        let asked = query.experiments().find_map(|name| row.group(name));
        let group = asked.or(row.experiments.first()).cloned();
        let declared = provenance.get("experiment.metric").map(String::as_str);
        let seed = ["finetune.train.seed", "train.seed", "seed"].iter().find_map(|key| settings.get(*key));
        let worked_secs = row.worked_secs();
        let metrics: BTreeMap<_, _> = row.metrics.into_iter().map(|(name, summary)| (name, summary.last)).collect();
        let is_imported = settings.get("stage").is_some_and(|stage| stage == "import");
        Self {
            id: row.id,
            spec_hash: row.spec_hash,
            logged_by: row.logged_by,
            state: row.state,
            reason: row.reason,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            worked_secs,
            steps_done: row.steps_done,
            total_steps: row.total_steps.filter(|_| !is_imported),
            parameters: row.parameters,
            experiment: group.as_ref().map(|group| group.name.clone()),
            axes: group.map(|group| group.axes).unwrap_or_default(),
            experiments: row.experiments,
            labels: row.labels,
            replicate: provenance.get("experiment.replicate").and_then(|number| number.parse().ok()),
            seed: seed.and_then(|seed| seed.parse().ok()).map(Seed),
            reproduces: row.reproduces,
            torn_bytes: row.torn_bytes,
            disk_bytes: row.disk_bytes,
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
