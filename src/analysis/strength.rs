//! Which axis moves the outcome most: what a reader wants to see first, in the largest way.
//!
//! An order for drawing and not a verdict: it costs next to nothing and is also given where nothing is sure. In a full grid it
//! is the share of the variance of the cells' means that goes with an axis, as in the table of variance without its
//! correction for luck. Elsewhere it is that share less what chance gives so many values, and for a scale the square of the
//! rank correlation or the share between its quarters, whichever is more: the one sees what rises or falls throughout, the
//! other an optimum in the middle.

use super::comparison::{Axis, CellKey, Comparison};
use super::means::is_full_grid;
use super::statistics::{mean, rank_correlation};

/// The axes with two values or more, the strongest first; axes of one strength in the order of the file.
pub fn strongest_axes(comparison: &Comparison) -> Vec<&Axis> {
    axis_strengths(comparison).into_iter().map(|(axis, _)| axis).collect()
}

/// The same with the share of the variance that goes with each axis; chance can make it negative.
pub fn axis_strengths(comparison: &Comparison) -> Vec<(&Axis, f64)> {
    let outcomes = cell_means(comparison);
    let is_grid = is_full_grid(comparison) && outcomes.len() == comparison.cells().len();
    let axes = comparison.axes.iter().filter(|axis| axis.values.len() > 1);
    let mut ranked = axes.map(|axis| (axis, strength(axis, &outcomes, is_grid))).collect::<Vec<_>>();
    ranked.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    ranked
}

fn cell_means(comparison: &Comparison) -> Vec<(CellKey, f64)> {
    let cells = comparison.cells().into_iter();
    let found = cells.filter_map(|cell| {
        let values = cell.outcomes(&comparison.metric).into_values().collect::<Vec<_>>();
        Some((cell.key, mean(&values)?))
    });
    found.collect()
}

fn strength(axis: &Axis, outcomes: &[(CellKey, f64)], is_grid: bool) -> f64 {
    let place = |key: &CellKey| axis.values.iter().position(|value| Some(value.as_str()) == key.value(&axis.name));
    if !axis.is_continuous() {
        let classes = outcomes.iter().map(|(key, mean)| (place(key).unwrap_or(axis.values.len()), *mean));
        return share_between(&classes.collect::<Vec<_>>(), !is_grid);
    }
    let number = |key: &CellKey| key.value(&axis.name)?.parse::<f64>().ok();
    let mut pairs = outcomes.iter().filter_map(|(key, mean)| Some((number(key)?, *mean))).collect::<Vec<_>>();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let quarters = pairs.iter().enumerate().map(|(i, (_, mean))| (4 * i / pairs.len(), *mean)).collect::<Vec<_>>();
    let correlation = rank_correlation(&pairs).map_or(0.0, |(rho, _)| rho * rho);
    correlation.max(share_between(&quarters, true))
}

/// The share of the sum of squares that lies between classes (eta squared), less what chance gives so many of them where that
/// is asked for (epsilon squared, Kelley 1935).
fn share_between(values: &[(usize, f64)], without_chance: bool) -> f64 {
    let squares = |values: &[f64]| {
        let centre = mean(values).unwrap_or_default();
        values.iter().map(|value| (value - centre).powi(2)).sum::<f64>()
    };
    let total = squares(&values.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let classes = values.iter().map(|(class, _)| *class).collect::<std::collections::BTreeSet<_>>();
    let of = |class: usize| values.iter().filter(|(other, _)| *other == class).map(|(_, v)| *v).collect::<Vec<_>>();
    let within = classes.iter().map(|&class| squares(&of(class))).sum::<f64>();
    let degrees = values.len().saturating_sub(classes.len());
    if total <= 0.0 || without_chance && degrees == 0 {
        return 0.0;
    }
    let chance = if without_chance { within / degrees as f64 * (classes.len() - 1) as f64 } else { 0.0 };
    (total - within - chance) / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::importance;
    use crate::analysis::{AxisKind, RunState, fixture};

    fn order(comparison: &Comparison) -> Vec<&str> {
        strongest_axes(comparison).into_iter().map(|axis| axis.name.as_str()).collect()
    }

    #[test]
    fn the_order_is_that_of_the_importance() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.state = RunState::Finished);
        assert_eq!(order(&comparison), ["size", "mask_ratio", "nsp"]);
        let table = importance(&comparison).unwrap();
        let mut parts = table.parts.iter().filter(|part| comparison.axis(&part.name).is_some()).collect::<Vec<_>>();
        parts.sort_by(|a, b| b.share.unwrap().total_cmp(&a.share.unwrap()));
        assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), order(&comparison));
    }

    #[test]
    fn an_unfinished_sweep_has_an_order_all_the_same() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().take(4).for_each(|run| run.state = RunState::Running);
        assert!(importance(&comparison).is_err());
        assert_eq!(order(&comparison)[0], "size");
        comparison.runs.iter_mut().for_each(|run| run.state = RunState::Running);
        assert_eq!(order(&comparison), ["size", "mask_ratio", "nsp"], "the order of the file");
    }

    #[test]
    fn a_scale_is_ranked_by_its_correlation() {
        let values = (1..=12).map(|i| format!("{:e}", 1e-4 * 2_f64.powi(i))).collect::<Vec<_>>();
        let values = values.iter().map(String::as_str).collect::<Vec<_>>();
        let axes = vec![
            fixture::axis("nsp", &["off", "random"], AxisKind::Category),
            fixture::axis("lr", &values, AxisKind::Numeric),
        ];
        let mut comparison = fixture::sweep_over("drawn", axes, 1);
        let place = |run: &crate::analysis::RunData| values.iter().position(|v| Some(*v) == run.axis("lr")).unwrap();
        comparison.runs.retain(|run| (run.axis("nsp") == Some("off")) == place(run).is_multiple_of(2));
        fixture::fill(&mut comparison, |run| -(place(run) as f64));
        assert_eq!(order(&comparison), ["lr", "nsp"]);
        // An optimum in the middle has no correlation.
        fixture::fill(&mut comparison, |run| (place(run) as f64 - 5.5).powi(2));
        assert_eq!(order(&comparison), ["lr", "nsp"]);
    }
}
