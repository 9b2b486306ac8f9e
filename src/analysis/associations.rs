//! Which axes go together with the outcome, where a sweep has no matched cells to compare: drawn values, designs with holes.
//!
//! Two looks at each axis. Spearman's rank correlation (1904) of the axis's numbers with the cells' means sees whatever
//! rises or falls throughout; PED-ANOVA sees what sets the best cells apart, such as an optimum in the middle. The p of an
//! axis is twice the smaller of the two. Both say that things go together: where axes vary together, they cannot tell which is
//! at work.

use super::comparison::{Axis, AxisKind, CellKey, Comparison, Goal};
use super::luck::Design;
use super::ped_anova::{Input, classes_of, ped_anova};
use super::statistics::{Interval, mean, rank_correlation};

/// Nothing is said about fewer cells.
pub(super) const LEAST_CELLS: usize = 8;

/// How one axis goes together with the outcome.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Association {
    pub axis: String,
    /// PED-ANOVA's share of what sets the best cells apart, with its 95 % interval.
    pub share: f64,
    pub interval: Interval,
    /// Spearman's rank correlation with the metric, for an axis of numbers.
    pub rank_correlation: Option<f64>,
    /// Not corrected for the number of axes.
    pub p: f64,
}

/// Every axis with two values; nothing with fewer than [`LEAST_CELLS`] finished cells.
pub(super) fn associations(comparison: &Comparison, design: &Design) -> Vec<Association> {
    let axes = comparison.axes.iter().filter(|axis| axis.values.len() > 1).collect::<Vec<_>>();
    let finished = design.keys.iter().zip(&design.outcomes);
    let finished = finished.filter_map(|(key, seeds)| Some((key, mean(&seeds.values().copied().collect::<Vec<_>>())?)));
    let finished = finished.collect::<Vec<_>>();
    if finished.len() < LEAST_CELLS {
        return Vec::new();
    }
    let badness = finished.iter().map(|(_, mean)| if comparison.goal == Goal::Minimize { *mean } else { -mean });
    let classes = axes.iter().map(|axis| {
        let place = |key: &CellKey| axis.values.iter().position(|value| Some(value.as_str()) == key.value(&axis.name));
        let places = finished.iter().map(|(key, _)| place(key)).collect::<Vec<_>>();
        classes_of(&by_size(axis, &places), axis.kind == AxisKind::Numeric)
    });
    let input = Input { axes: classes.collect(), badness: badness.collect() };
    let leanings = comparison.leanings.get(input, ped_anova);
    let found = axes.into_iter().zip(leanings).map(|(axis, leaning)| {
        let number = |key: &CellKey| key.value(&axis.name)?.parse::<f64>().ok();
        let pairs = finished.iter().filter_map(|(key, mean)| Some((number(key)?, *mean))).collect::<Vec<_>>();
        let ranked = rank_correlation(&pairs).filter(|_| axis.kind == AxisKind::Numeric);
        Association {
            axis: axis.name.clone(),
            share: leaning.share,
            interval: leaning.interval,
            rank_correlation: ranked.map(|(rho, _)| rho),
            p: ranked.map_or(leaning.p, |(_, p)| (2.0 * p.min(leaning.p)).min(1.0)),
        }
    });
    found.collect()
}

/// Places among the values in the order of their size: a random sweep declares them in the order of the draws.
fn by_size(axis: &Axis, places: &[Option<usize>]) -> Vec<Option<usize>> {
    let number = |value: &String| value.parse::<f64>().unwrap_or(f64::NAN);
    let mut order = (0..axis.values.len()).collect::<Vec<_>>();
    if axis.kind == AxisKind::Numeric {
        order.sort_by(|&a, &b| number(&axis.values[a]).total_cmp(&number(&axis.values[b])));
    }
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(i, &place)| rank[place] = i);
    places.iter().map(|place| place.map(|place| rank[place])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    /// What is kept of one comparison is not told of another that it became.
    #[test]
    fn what_is_kept_follows_the_outcomes() {
        let mut comparison = fixture::drawn(20);
        let found = |comparison: &Comparison| associations(comparison, &Design::of(comparison));
        let before = found(&comparison);
        assert_eq!(found(&comparison), before);
        fixture::fill(&mut comparison, |run| {
            run.axis("dropout").and_then(|rate| rate.parse().ok()).unwrap_or_default()
        });
        let after = found(&comparison);
        assert!(before[1].p > 0.05 && after[1].p < 0.01, "{before:?} {after:?}");
        comparison.leanings = Default::default();
        assert_eq!(found(&comparison), after);
    }
}
