//! What the index keeps of one run, and how it is drawn from the run's folder.
//!
//! From the provenance it takes `experiment.name`, `experiment.axes` (an object), `reproduces` (a run id) and `tags` (an
//! array); from the facts `parameters` and `total_steps`. All of these may be missing.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use super::rows::RunRow;
use super::schema::RUN_COLUMNS;
use crate::plan::TrainLength;
use crate::store::history::Point;
use crate::store::run_dir::LogStamp;
use crate::store::{History, RunDir, StoreError};
use crate::types::{MetricName, Timestamp};

/// One run as the index keeps it.
pub(super) struct Summary {
    row: RunRow,
    /// Settings by key: the leaves of the specification, then the axes, which may name what is no leaf (`model.preset`).
    settings: Vec<(String, String)>,
    stamp: LogStamp,
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
    pub last_step: u64,
}

impl Summary {
    /// Reads the folder. The stamp is taken first: what is written meanwhile makes it stale, and is read next time.
    pub fn read(run: &RunDir) -> Result<Self, StoreError> {
        let stamp = run.log_stamp()?;
        let history = run.read_history()?;
        let (spec, provenance) = (run.read_spec()?, run.read_provenance()?);
        let count = |fact: &str| history.facts.get(fact).and_then(Value::as_u64);
        let text = |pointer: &str| provenance.pointer(pointer).and_then(Value::as_str);
        let axes = provenance.pointer("/experiment/axes").and_then(Value::as_object).cloned().unwrap_or_default();
        let tags = provenance.get("tags").and_then(Value::as_array).into_iter().flatten();
        let row = RunRow {
            id: run.id().clone(),
            spec_hash: spec.hash(),
            identity: run.read_restated_spec()?.hash(),
            state: history.recorded_state(),
            reason: history.reason().map(str::to_owned),
            created_at: history.created_at(),
            started_at: history.started_at(),
            ended_at: history.ended_at(),
            steps_done: history.last_step(),
            total_steps: match spec.training().map(|training| training.train.length) {
                Some(TrainLength::Steps(steps)) => Some(steps),
                Some(TrainLength::Epochs(_)) | None => count("total_steps"),
            },
            parameters: count("parameters"),
            experiment: text("/experiment/name").map(str::to_owned),
            reproduces: text("/reproduces").and_then(|id| id.parse().ok()),
            tags: tags.filter_map(Value::as_str).map(str::to_owned).collect(),
            metrics: summarise(&history),
            axes,
        };
        let settings = spec.leaves().into_iter().chain(axis_settings(&row.axes)).collect();
        Ok(Self { row, settings, stamp })
    }

    /// Puts the run's rows in place of those it has.
    pub fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let id = self.row.id.as_str();
        remove(connection, id)?;
        self.write_run(connection)?;
        let mut insert = connection.prepare_cached("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)")?;
        for (name, metric) in &self.row.metrics {
            let last = (!metric.last.is_nan()).then_some(metric.last);
            insert.execute(params![id, name.as_str(), last, metric.min, metric.max, to_sql(metric.last_step)])?;
        }
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO settings VALUES (?, ?, ?)")?;
        for (key, value) in &self.settings {
            insert.execute(params![id, key, value])?;
        }
        Ok(())
    }

    fn write_run(&self, connection: &Connection) -> rusqlite::Result<()> {
        let row = &self.row;
        let millis = |at: Option<Timestamp>| at.map(Timestamp::unix_millis);
        connection
            .prepare_cached("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                row.id.as_str(),
                row.spec_hash.to_string(),
                row.identity.to_string(),
                row.state.name(),
                row.reason,
                millis(row.created_at),
                millis(row.started_at),
                millis(row.ended_at),
                to_sql(row.steps_done.0),
                row.total_steps.map(to_sql),
                row.parameters.map(to_sql),
                row.experiment,
                Value::Object(row.axes.clone()).to_string(),
                row.reproduces.as_ref().map(|id| id.as_str()),
                Value::from(row.tags.clone()).to_string(),
                self.stamp.size,
                self.stamp.modified_ns,
            ])?;
        Ok(())
    }
}

/// Takes everything of the run `id` out of the index.
pub(super) fn remove(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    for (table, column) in RUN_COLUMNS {
        connection.prepare_cached(&format!("DELETE FROM {table} WHERE {column} = ?"))?.execute([id])?;
    }
    Ok(())
}

fn summarise(history: &History) -> BTreeMap<MetricName, MetricSummary> {
    history.all_series().filter_map(|(name, points)| Some((name.clone(), summary_of(points)?))).collect()
}

fn summary_of(points: &[Point]) -> Option<MetricSummary> {
    let last = points.last()?;
    let numbers = || points.iter().map(|point| point.value).filter(|value| !value.is_nan());
    Some(MetricSummary {
        last: last.value,
        min: numbers().min_by(f64::total_cmp),
        max: numbers().max_by(f64::total_cmp),
        last_step: last.step.0,
    })
}

/// The axes in the spelling of [`RunSpec::leaves`](crate::plan::RunSpec::leaves).
fn axis_settings(axes: &Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    axes.iter().map(|(key, value)| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => format!("{float:e}"),
                _ => number.to_string(),
            },
            other => other.to_string(),
        };
        (key.clone(), text)
    })
}

fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
