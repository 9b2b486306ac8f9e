//! Everything about one run, as `show` has it.

use std::collections::BTreeMap;

use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::plan::RunSpec;
use crate::store::{Labels, Lineage, Logged, Measured, RunState, SeriesBook, StoredRun, Subject};
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
    pub series: RecordedSeries<'a>,
}

/// By metric its values, and the steps that they are of: as many as there are, read as they are written out.
#[derive(Clone, Copy, Debug)]
pub struct RecordedSeries<'a>(Option<&'a SeriesBook>);

/// A number of every point of a metric.
struct Numbers<'a, T> {
    book: &'a SeriesBook,
    metric: &'a MetricName,
    count: usize,
    number: fn(&Measured) -> T,
}

#[derive(Serialize)]
struct OneSeries<'a> {
    steps: Numbers<'a, i64>,
    values: Numbers<'a, f64>,
}

impl Serialize for RecordedSeries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(book) = self.0 else { return serializer.serialize_map(Some(0))?.end() };
        let summaries = book.summaries();
        let mut map = serializer.serialize_map(Some(summaries.len()))?;
        for (metric, all) in summaries {
            let count = all.points;
            let steps = Numbers { book, metric, count, number: |point| point.step };
            let values = Numbers { book, metric, count, number: |point| point.value };
            map.serialize_entry(metric, &OneSeries { steps, values })?;
        }
        map.end()
    }
}

impl<T: Serialize> Serialize for Numbers<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.count))?;
        for point in self.book.points(self.metric.as_str()) {
            list.serialize_element(&(self.number)(&point.map_err(S::Error::custom)?))?;
        }
        list.end()
    }
}

impl<'a> RunRecord<'a> {
    /// The record of `run`, with the series that are to be in it.
    pub fn of(run: &'a StoredRun, series: Option<&'a SeriesBook>) -> Self {
        let history = &run.history;
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
            series: RecordedSeries(series),
        }
    }
}
