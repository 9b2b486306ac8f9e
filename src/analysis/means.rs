//! Means over part of a sweep: what a value of an axis, or of two, comes to on the average over everything else.

use super::comparison::{Cell, CellKey, Comparison};
use super::luck::Design;
use super::statistics::Estimate;

/// The means of a comparison, with intervals from the design of its luck.
#[derive(Debug)]
pub struct Means(Design);

impl Means {
    pub fn of(comparison: &Comparison) -> Self {
        Self(Design::of(comparison))
    }

    /// The mean over all cells with these axis values, each with equal weight; absent where one of them has no finished
    /// run.
    pub fn over(&self, values: &[(&str, &str)]) -> Option<Estimate> {
        let is_in = |key: &CellKey| values.iter().all(|(axis, value)| key.value(axis) == Some(value));
        let cells = (0..self.0.keys.len()).filter(|&i| is_in(&self.0.keys[i])).collect::<Vec<_>>();
        self.estimate(&cells)
    }

    /// The mean of one cell.
    pub fn of_cell(&self, key: &CellKey) -> Option<Estimate> {
        let cell = self.0.keys.iter().position(|other| other == key)?;
        self.estimate(&[cell])
    }

    fn estimate(&self, cells: &[usize]) -> Option<Estimate> {
        let group = cells.iter().map(|&cell| (cell, 1.0 / cells.len() as f64)).collect::<Vec<_>>();
        let found = self.0.measure(&[group])?;
        let values = cells.iter().flat_map(|&cell| self.0.outcomes[cell].values().copied()).collect::<Vec<_>>();
        let n = cells.iter().map(|&cell| self.0.outcomes[cell].len()).min()?;
        let interval = match cells {
            [only] => self.0.interval_of_cell(*only),
            _ => found.measured.and_then(|measured| measured.interval()),
        };
        Some(Estimate { n, mean: found.mean, interval, ..Estimate::of(&values)? })
    }
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
        let means = Means::of(&comparison);
        let off = means.over(&[("nsp", "off")]).unwrap();
        let by_hand = comparison.runs.iter().filter(|run| run.axis("nsp") == Some("off"));
        let by_hand = by_hand.map(|run| run.outcome(&comparison.metric).unwrap()).sum::<f64>() / 12.0;
        assert!((off.mean - by_hand).abs() < 1e-12 && off.n == 3);
        assert_eq!(means.over(&[("nsp", "random")]).unwrap().n, 2, "seed 2 lacks a cell with nsp");
        assert_eq!(means.over(&[("nsp", "swap")]), None);
        assert!(is_full_grid(&comparison));
    }

    #[test]
    fn a_sweep_with_a_hole_is_no_full_grid() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
        assert!(!is_full_grid(&comparison));
    }
}
