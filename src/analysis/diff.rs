//! Two runs side by side: the settings that differ, and how far apart their metrics ended.

use std::collections::BTreeMap;

use super::comparison::Point;
use crate::types::MetricName;

/// One setting that differs; absent on the side that does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafDifference {
    pub key: String,
    pub left: Option<String>,
    pub right: Option<String>,
}

/// The leaves whose values differ, in the order of the left list, then those that only the right list has.
pub fn diff_leaves(left: &[(String, String)], right: &[(String, String)]) -> Vec<LeafDifference> {
    let find = |leaves: &[(String, String)], key: &str| {
        leaves.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone())
    };
    let from_left = left.iter().map(|(key, value)| LeafDifference {
        key: key.clone(),
        left: Some(value.clone()),
        right: find(right, key),
    });
    let only_right = right.iter().filter(|(key, _)| find(left, key).is_none());
    let only_right =
        only_right.map(|(key, value)| LeafDifference { key: key.clone(), left: None, right: Some(value.clone()) });
    from_left.filter(|leaf| leaf.left != leaf.right).chain(only_right).collect()
}

/// The last values of one metric in two runs.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricDelta {
    pub metric: MetricName,
    pub left: Option<Point>,
    pub right: Option<Point>,
}

impl MetricDelta {
    /// Right minus left; absent where one side has no value.
    pub fn delta(&self) -> Option<f64> {
        Some(self.right?.value - self.left?.value)
    }
}

/// The last values of every metric that either run has, in order of name.
pub fn metric_deltas(
    left: &BTreeMap<MetricName, Vec<Point>>,
    right: &BTreeMap<MetricName, Vec<Point>>,
) -> Vec<MetricDelta> {
    let last = |series: &BTreeMap<MetricName, Vec<Point>>, metric: &MetricName| series.get(metric)?.last().copied();
    let mut metrics = left.keys().chain(right.keys()).collect::<Vec<_>>();
    metrics.sort();
    metrics.dedup();
    let delta = |metric: &MetricName| MetricDelta {
        metric: metric.clone(),
        left: last(left, metric),
        right: last(right, metric),
    };
    metrics.into_iter().map(delta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::metric;

    fn leaves(text: &str) -> Vec<(String, String)> {
        text.split_whitespace()
            .filter_map(|leaf| leaf.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn only_what_differs_is_listed() {
        let difference = diff_leaves(&leaves("a=1 b=2 c=3"), &leaves("b=2 a=9 d=4"));
        let shown = difference.iter().map(|d| format!("{}: {:?} {:?}", d.key, d.left.as_deref(), d.right.as_deref()));
        insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r#"
        a: Some("1") Some("9")
        c: Some("3") None
        d: None Some("4")
        "#);
        assert_eq!(diff_leaves(&leaves("a=1 b=2"), &leaves("b=2 a=1")), vec![]);
    }

    #[test]
    fn deltas_are_right_minus_left_of_the_last_values() {
        let series = |value: f64| vec![Point { step: 1, value: 9.0 }, Point { step: 2, value }];
        let left = BTreeMap::from([(metric("valid/mlm_loss"), series(5.0)), (metric("valid/nsp_loss"), series(0.5))]);
        let right = BTreeMap::from([(metric("valid/mlm_loss"), series(4.5))]);
        let deltas = metric_deltas(&left, &right);
        assert_eq!(deltas.iter().map(MetricDelta::delta).collect::<Vec<_>>(), [Some(-0.5), None]);
    }
}
