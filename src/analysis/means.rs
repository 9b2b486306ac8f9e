//! Means over part of a sweep: what a value of an axis, or of two, comes to on the average over everything else.
//!
//! The unit is the seed. Within a seed the cells are averaged with equal weight, so that the mean is that of the grid; the
//! interval is Student's over seeds. A seed that lacks one of the cells does not count, because its mean would be over
//! other settings than theirs.

use super::comparison::{Cell, Comparison};
use super::statistics::{Estimate, mean};
use crate::types::MetricName;

/// The mean over all cells with these axis values; absent where no seed finished in all of them.
pub fn mean_over_cells(cells: &[Cell<'_>], metric: &MetricName, values: &[(&str, &str)]) -> Option<Estimate> {
    let matching = cells.iter().filter(|cell| values.iter().all(|(axis, value)| cell.key.value(axis) == Some(value)));
    let outcomes = matching.map(|cell| cell.outcomes(metric)).collect::<Vec<_>>();
    let by_seed = outcomes.first()?.keys().filter_map(|seed| {
        let values = outcomes.iter().map(|cell| cell.get(seed).copied()).collect::<Option<Vec<_>>>()?;
        mean(&values)
    });
    Estimate::of(&by_seed.collect::<Vec<_>>())
}

/// Whether the sweep has every combination of the values of its axes: elsewhere a mean over the others is not like with
/// like.
pub fn is_full_grid(comparison: &Comparison) -> bool {
    let cells = comparison.cells();
    let declared = |cell: &Cell<'_>| {
        comparison
            .axes
            .iter()
            .all(|axis| cell.key.value(&axis.name).is_some_and(|v| axis.values.iter().any(|d| d == v)))
    };
    let grid = comparison.axes.iter().try_fold(1usize, |grid, axis| grid.checked_mul(axis.values.len()));
    grid == Some(cells.len()) && cells.iter().all(declared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn the_mean_is_over_cells_first_and_seeds_second() {
        let comparison = fixture::sweep();
        let cells = comparison.cells();
        let of = |values: &[(&str, &str)]| mean_over_cells(&cells, &comparison.metric, values);
        let off = of(&[("nsp", "off")]).unwrap();
        let by_hand = comparison.runs.iter().filter(|run| run.axis("nsp") == Some("off"));
        let by_hand = by_hand.map(|run| run.outcome(&comparison.metric).unwrap()).sum::<f64>() / 12.0;
        assert!((off.mean - by_hand).abs() < 1e-12 && off.n == 3);
        assert_eq!(of(&[("nsp", "random")]).unwrap().n, 2, "seed 2 lacks a cell with nsp");
        assert_eq!(of(&[("nsp", "random"), ("size", "tiny")]).unwrap().n, 3);
        assert_eq!(of(&[("nsp", "swap")]), None);
        assert!(is_full_grid(&comparison));
    }

    #[test]
    fn a_sweep_with_a_hole_is_no_full_grid() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
        assert!(!is_full_grid(&comparison));
    }
}
