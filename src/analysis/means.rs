//! Means over part of a sweep: what a value of an axis, or of two, comes to on the average over everything else.
//!
//! A mean's own interval holds all luck, also what cells share and what therefore cancels between them: drawn as bars, such
//! intervals overlap where the difference is sure. [`Means::against_each_other`] gives bars that are made to be compared.

use super::comparison::{Cell, CellKey, Comparison};
use super::luck::Design;
use super::statistics::{Estimate, Interval, mean};

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

    /// The mean over those of `keys` that have a finished run, each with equal weight. Where no seed has finished in all of
    /// them, it is a mean of different seeds, and has no interval.
    pub fn of_cells(&self, keys: &[CellKey]) -> Option<Estimate> {
        let cells = self.finished(keys);
        self.estimate(&cells).or_else(|| {
            let outcomes = cells.iter().map(|&cell| self.0.outcomes[cell].values().copied().collect::<Vec<_>>());
            let outcomes = outcomes.collect::<Vec<_>>();
            let means = outcomes.iter().filter_map(|values| mean(values)).collect::<Vec<_>>();
            let n = outcomes.iter().map(Vec::len).min()?;
            Some(Estimate { n, mean: mean(&means)?, interval: None, ..Estimate::of(&outcomes.concat())? })
        })
    }

    /// An interval about the mean of each part, a list of cells, for reading the parts against each other: two that do not
    /// overlap differ beyond the 95 % interval of their difference, the one that verdicts rest on. With two parts that is
    /// exact; with more, each interval is half of w, where the sums of two w come as near to the widths of the
    /// differences' intervals as they can (least squares; Goldstein & Healy 1995, Firth & de Menezes 2004). Absent where no
    /// difference has an interval; a single part has its own.
    pub fn against_each_other(&self, parts: &[Vec<CellKey>]) -> Vec<Option<Interval>> {
        let cells = parts.iter().map(|keys| self.finished(keys)).collect::<Vec<_>>();
        if let [only] = &cells[..] {
            return vec![self.estimate(only).and_then(|estimate| estimate.interval)];
        }
        let half_width = |a: usize, b: usize| {
            let weights = |cells: &Vec<usize>, sign: f64| {
                let weight = sign / cells.len() as f64;
                cells.iter().map(move |&cell| (cell, weight)).collect::<Vec<_>>()
            };
            let group = [weights(&cells[a], 1.0), weights(&cells[b], -1.0)].concat();
            Some(self.0.measure(&[group])?.measured?.interval()?.half_width())
        };
        let mut widths = vec![vec![None; parts.len()]; parts.len()];
        for (a, b) in (0..parts.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            if !cells[a].is_empty() && !cells[b].is_empty() {
                let width = half_width(a, b);
                (widths[a][b], widths[b][a]) = (width, width);
            }
        }
        let halves = shares_of_sums(&widths);
        let interval = |(cells, half): (&Vec<usize>, Option<f64>)| {
            let (centre, half) = (self.estimate(cells)?.mean, half?);
            Some(Interval { low: centre - half, high: centre + half })
        };
        cells.iter().zip(halves).map(interval).collect()
    }

    fn finished(&self, keys: &[CellKey]) -> Vec<usize> {
        let places = (0..self.0.keys.len()).filter(|&cell| keys.contains(&self.0.keys[cell]));
        places.filter(|&cell| !self.0.outcomes[cell].is_empty()).collect()
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

/// Numbers w >= 0 such that w[a] + w[b] comes as near as possible to each known `sums[a][b]`, by coordinate descent: the
/// problem is convex, so that it ends where no single w can be bettered. Absent where no sum is known.
fn shares_of_sums(sums: &[Vec<Option<f64>>]) -> Vec<Option<f64>> {
    const SWEEPS: usize = 200;
    let known = |a: usize| sums[a].iter().enumerate().filter_map(|(b, sum)| Some((b, (*sum)?)));
    let mut shares = (0..sums.len())
        .map(|a| {
            let count = known(a).count();
            (count > 0).then(|| known(a).map(|(_, sum)| sum).sum::<f64>() / (2 * count) as f64)
        })
        .collect::<Vec<_>>();
    for _ in 0..SWEEPS {
        for a in 0..sums.len() {
            let rests = known(a).map(|(b, sum)| sum - shares[b].unwrap_or_default()).collect::<Vec<_>>();
            if !rests.is_empty() {
                shares[a] = Some((rests.iter().sum::<f64>() / rests.len() as f64).max(0.0));
            }
        }
    }
    shares
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

    fn cells_with(comparison: &Comparison, axis: &str, value: &str) -> Vec<CellKey> {
        let keys = comparison.cells().into_iter().map(|cell| cell.key);
        keys.filter(|key| key.value(axis) == Some(value)).collect()
    }

    /// Two bars touch exactly where the interval of the difference ends at 0.
    #[test]
    fn two_parts_share_the_interval_of_their_difference() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.state = crate::analysis::RunState::Finished);
        let means = Means::of(&comparison);
        for effect in crate::analysis::marginal_effects(&comparison) {
            let axis = effect.axis.clone().unwrap();
            let parts =
                [&effect.treatment, &effect.reference].map(|value| cells_with(&comparison, &axis, value)).to_vec();
            let bars = means.against_each_other(&parts);
            let [treated, reference] = [0, 1].map(|i| bars[i].unwrap());
            let sum = treated.half_width() + reference.half_width();
            let interval = effect.interval().unwrap();
            assert!((sum / interval.half_width() - 1.0).abs() < 1e-9, "{axis}");
            let apart = treated.high < reference.low || reference.high < treated.low;
            assert_eq!(apart, !interval.contains(0.0), "{axis}");
        }
    }

    #[test]
    fn shares_add_up_to_sums_that_can_be_had() {
        let wanted = [0.3, 0.1, 0.7, 0.2];
        let sum = |a: usize, b: usize| (a != b && (a, b) != (0, 1) && (a, b) != (1, 0)).then(|| wanted[a] + wanted[b]);
        let sums = (0..4).map(|a| (0..4).map(|b| sum(a, b)).collect()).collect::<Vec<_>>();
        for (share, wanted) in shares_of_sums(&sums).into_iter().zip(wanted) {
            assert!((share.unwrap() - wanted).abs() < 1e-6, "{share:?} {wanted}");
        }
        assert_eq!(shares_of_sums(&[vec![None, None], vec![None, None]]), [None, None]);
    }

    #[test]
    fn a_single_part_has_its_own_interval_and_one_seed_none() {
        let mut comparison = fixture::sweep();
        let key = comparison.cells()[0].key.clone();
        let means = Means::of(&comparison);
        assert_eq!(means.against_each_other(&[vec![key.clone()]]), [means.of_cell(&key).unwrap().interval]);
        assert_eq!(means.of_cells(std::slice::from_ref(&key)), means.of_cell(&key));
        comparison.runs.retain(|run| run.seed == crate::types::Seed(1));
        let parts = ["off", "random"].map(|value| cells_with(&comparison, "nsp", value)).to_vec();
        assert_eq!(Means::of(&comparison).against_each_other(&parts), [None, None]);
    }

    #[test]
    fn cells_that_share_no_seed_have_a_mean_all_the_same() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.seed.0 == if run.axis("nsp") == Some("off") { 1 } else { 2 });
        comparison.runs.iter_mut().for_each(|run| run.state = crate::analysis::RunState::Finished);
        // A planned run joins the two to one plot, in which no seed has both.
        let mut planned = comparison.runs[0].clone();
        (planned.seed, planned.state) = (crate::types::Seed(2), crate::analysis::RunState::Planned);
        comparison.runs.push(planned);
        let keys = comparison.cells().into_iter().map(|cell| cell.key).take(2).collect::<Vec<_>>();
        let means = Means::of(&comparison);
        let single = |key: &CellKey| means.of_cell(key).unwrap().mean;
        let both = means.of_cells(&keys).unwrap();
        assert!((both.mean - (single(&keys[0]) + single(&keys[1])) / 2.0).abs() < 1e-12 && both.interval.is_none());
    }

    #[test]
    fn a_sweep_with_a_hole_is_no_full_grid() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
        assert!(!is_full_grid(&comparison));
    }
}
