//! What two runs do not have in common: settings, final metrics, provenance.

use serde::Serialize;

use super::comparison::Curves;
use super::spelling;
use crate::analysis::{Point, diff_leaves, metric_deltas};
use crate::store::StoredRun;
use crate::types::{MetricName, RunId};

/// The difference of two runs.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    format: &'static str,
    pub runs: [RunId; 2],
    pub settings: Vec<SettingDifference>,
    /// Every metric of either, whether it differs or not.
    pub metrics: Vec<MetricDifference>,
    pub provenance: Vec<ProvenanceDifference>,
}

/// A setting; `None` where a run does not have it.
#[derive(Clone, Debug, Serialize)]
pub struct SettingDifference {
    pub key: String,
    pub first: Option<String>,
    pub second: Option<String>,
}

/// The last values of a metric.
#[derive(Clone, Debug, Serialize)]
pub struct MetricDifference {
    pub metric: MetricName,
    pub first: Option<f64>,
    pub second: Option<f64>,
    pub delta: Option<f64>,
}

/// A key of the provenance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProvenanceDifference {
    pub key: String,
    pub first: String,
    pub second: String,
}

impl Difference {
    /// Compares two runs; what differs in their provenance is told by who can read it.
    pub fn of(
        (first, of_first): &(StoredRun, Curves),
        (second, of_second): &(StoredRun, Curves),
        provenance: Vec<ProvenanceDifference>,
    ) -> Self {
        let settings = diff_leaves(&first.subject.settings(), &second.subject.settings()).into_iter();
        let metrics = metric_deltas(of_first, of_second);
        let value = |point: Option<Point>| point.map(|point| point.value);
        let metric = |d: crate::analysis::MetricDelta| MetricDifference {
            first: value(d.left),
            second: value(d.right),
            delta: d.delta(),
            metric: d.metric,
        };
        Self {
            format: "ablate-diff-1",
            runs: [first.id.clone(), second.id.clone()],
            settings: settings
                .map(|d| {
                    let [first, second] = [d.left, d.right].map(|side| side.map(|value| spelling::setting(&value)));
                    SettingDifference { key: d.key, first, second }
                })
                .collect(),
            metrics: metrics.into_iter().map(metric).collect(),
            provenance,
        }
    }
}
