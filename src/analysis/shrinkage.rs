//! The winner's curse: the best of many noisy cells looks better than it is, and by how much can be estimated.
//!
//! The empirical-Bayes correction of James & Stein (1961), towards a fit instead of a point (Efron & Morris 1973, section
//! 4). With k cells, a fit of q parameters, noise variance v of a cell mean (from what is left after cells, and after seeds
//! where all cells share them, with d degrees of freedom) and S the sum of squared distances of the cell means from the fit, every mean keeps the share
//!
//! ```text
//! 1 - (k - q - 2) d / (d + 2) v / S,   at least 0,
//! ```
//!
//! of its distance from the fit. The fit is the sum of the axes' main effects where the sweep is a full grid with three
//! degrees of freedom to spare, and the grand mean elsewhere (q = 1).

use std::collections::BTreeMap;

use super::comparison::{CellKey, Comparison};
use super::luck::Design;
use super::means::is_full_grid;
use super::statistics::{mean, sample_variance};
use crate::types::Seed;

/// What the winner would probably come to if it was run again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shrunken {
    /// The winner's mean, as measured: too good on the average, because it was chosen for being good.
    pub raw: f64,
    /// The same, shrunken towards the fit.
    pub shrunken: f64,
    /// The share of the distance from the fit that is kept, from 0 to 1.
    pub kept: f64,
    pub towards: Fit,
}

/// What means are shrunken towards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    GrandMean,
    MainEffects,
}

impl Fit {
    /// As a reader would call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::GrandMean => "the mean of all cells",
            Self::MainEffects => "the sum of the axes' main effects",
        }
    }
}

/// The shrunken estimate of the cell at place `winner`. Absent with fewer than four finished cells, or without a cell and a
/// seed to spare: then there is nothing to estimate the noise from.
pub(super) fn shrink_winner(comparison: &Comparison, design: &Design, winner: usize) -> Option<Shrunken> {
    let finished = (0..design.keys.len()).filter(|&i| !design.outcomes[i].is_empty()).collect::<Vec<_>>();
    let table = finished.iter().map(|&i| design.outcomes[i].clone()).collect::<Vec<_>>();
    let Additive { means, noise, degrees } =
        if design.is_common() { Additive::fit(&table)? } else { Additive::within(&table)? };
    let k = finished.len();
    let main_effects = 1 + comparison.axes.iter().map(|axis| axis.values.len() - 1).sum::<usize>();
    let is_whole = k == design.keys.len() && is_full_grid(comparison);
    let (towards, fitted, q) = if is_whole && k >= main_effects + 3 {
        (Fit::MainEffects, fit_main_effects(comparison, &design.keys, &means), main_effects)
    } else {
        (Fit::GrandMean, vec![mean(&means)?; k], 1)
    };
    if k < q + 3 {
        return None;
    }
    let distance = means.iter().zip(&fitted).map(|(mean, fit)| (mean - fit).powi(2)).sum::<f64>();
    let inverse = table.iter().map(|cell| 1.0 / cell.len() as f64).sum::<f64>() / k as f64;
    let degrees = degrees as f64;
    let taken = (k - q - 2) as f64 * degrees / (degrees + 2.0) * noise * inverse / distance;
    let kept = if distance > 0.0 { (1.0 - taken).max(0.0) } else { 0.0 };
    let place = finished.iter().position(|&i| i == winner)?;
    // The seeds of the winner stay as they are: only its distance from the fit shrinks.
    let raw = mean(&table[place].values().copied().collect::<Vec<_>>())?;
    Some(Shrunken { raw, shrunken: raw + (1.0 - kept) * (fitted[place] - means[place]), kept, towards })
}

/// Outcomes as the sum of a cell and a seed, by least squares.
struct Additive {
    /// The mean of each cell, as if every seed had finished everywhere.
    means: Vec<f64>,
    /// The variance of what is left, and its degrees of freedom.
    noise: f64,
    degrees: usize,
}

impl Additive {
    /// Cells alone, where no seed is in all of them.
    fn within(table: &[BTreeMap<Seed, f64>]) -> Option<Self> {
        let values = table.iter().map(|cell| cell.values().copied().collect::<Vec<_>>()).collect::<Vec<_>>();
        let means = values.iter().map(|values| mean(values)).collect::<Option<Vec<_>>>()?;
        let degrees = values.iter().map(|values| values.len() - 1).sum::<usize>();
        let squares = values.iter().filter_map(|values| Some(sample_variance(values)? * (values.len() - 1) as f64));
        (degrees > 0).then(|| Self { means, noise: squares.sum::<f64>() / degrees as f64, degrees })
    }

    fn fit(table: &[BTreeMap<Seed, f64>]) -> Option<Self> {
        let seeds = table.iter().flat_map(|cell| cell.keys().copied()).collect::<std::collections::BTreeSet<_>>();
        let values = table.iter().map(BTreeMap::len).sum::<usize>();
        let degrees = (values + 1).checked_sub(table.len() + seeds.len()).filter(|&degrees| degrees > 0)?;
        let mut shifts = seeds.into_iter().map(|seed| (seed, 0.0)).collect::<BTreeMap<Seed, f64>>();
        let mut means = vec![0.0; table.len()];
        // Cells and seeds in turns (Gauss-Seidel); a balanced table is done after the first.
        for _ in 0..200 {
            for (cell_mean, cell) in means.iter_mut().zip(table) {
                *cell_mean = cell.iter().map(|(seed, value)| value - shifts[seed]).sum::<f64>() / cell.len() as f64;
            }
            let mut largest = 0.0_f64;
            for (seed, shift) in &mut shifts {
                let left = table.iter().zip(&means).filter_map(|(cell, mean)| Some(cell.get(seed)? - mean));
                let found = mean(&left.collect::<Vec<_>>()).unwrap_or(0.0);
                largest = largest.max((found - *shift).abs());
                *shift = found;
            }
            if largest < 1e-13 {
                break;
            }
        }
        let left = table.iter().zip(&means).flat_map(|(cell, mean)| {
            cell.iter().map(|(seed, value)| (value - mean - shifts[seed]).powi(2)).collect::<Vec<_>>()
        });
        let squares = left.sum::<f64>();
        Some(Self { means, noise: squares / degrees as f64, degrees })
    }
}

/// The cell means as the grand mean and what each axis adds to it; the cells are a full grid.
fn fit_main_effects(comparison: &Comparison, cells: &[CellKey], means: &[f64]) -> Vec<f64> {
    let grand = means.iter().sum::<f64>() / means.len() as f64;
    let effect = |axis: &str, value: Option<&str>| {
        let same = cells.iter().zip(means).filter(|(cell, _)| cell.value(axis) == value).map(|(_, mean)| *mean);
        mean(&same.collect::<Vec<_>>()).map_or(0.0, |mean| mean - grand)
    };
    let fit = |cell: &CellKey| {
        grand + comparison.axes.iter().map(|axis| effect(&axis.name, cell.value(&axis.name))).sum::<f64>()
    };
    cells.iter().map(fit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{self, Noise};
    use crate::analysis::{AxisKind, Point, RunState};

    fn winner(design: &Design) -> usize {
        let mean = |i: &usize| mean(&design.outcomes[*i].values().copied().collect::<Vec<_>>()).unwrap();
        (0..design.keys.len()).min_by(|a, b| mean(a).total_cmp(&mean(b))).unwrap()
    }

    /// Over simulated sweeps whose cells differ by chance as much as by nature: the raw winner is too good, the shrunken
    /// one has less than half of the bias, and is nearer to the truth.
    fn check(axes: &[(&str, usize)], main: f64, towards: Fit) {
        let names = ["a", "b", "c", "d", "e", "f"];
        let axes = axes.iter().map(|(name, n)| fixture::axis(name, &names[..*n], AxisKind::Category)).collect();
        let mut comparison = fixture::sweep_over("curse", axes, 3);
        let (metric, mut noise, trials) = (comparison.metric.clone(), Noise::new(77), 400);
        let (sigma, spread) = (0.10, 0.06);
        let (mut raw_bias, mut bias, mut raw_error, mut error) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..trials {
            let cells = comparison.runs.len() / 3;
            let truth = (0..cells).map(|_| spread * noise.normal()).collect::<Vec<_>>();
            let shifts = [0.2 * noise.normal(), 0.2 * noise.normal(), 0.2 * noise.normal()];
            let shift = shifts.iter().sum::<f64>() / 3.0;
            for (i, run) in comparison.runs.iter_mut().enumerate() {
                run.state = RunState::Finished;
                let size = if run.axes[0].1 == "a" { 0.0 } else { main };
                let value = 5.0 + size + truth[i / 3] + shifts[i % 3] + sigma * noise.normal();
                run.series.insert(metric.clone(), vec![Point { step: 1, value }]);
            }
            let design = Design::of(&comparison);
            let best = winner(&design);
            let found = shrink_winner(&comparison, &design, best).unwrap();
            assert_eq!(found.towards, towards);
            let size = if design.keys[best].0[0].1 == "a" { 0.0 } else { main };
            let truth = 5.0 + size + truth[best] + shift;
            raw_bias += (found.raw - truth) / f64::from(trials);
            bias += (found.shrunken - truth) / f64::from(trials);
            raw_error += (found.raw - truth).powi(2);
            error += (found.shrunken - truth).powi(2);
        }
        assert!(raw_bias < -0.03 && bias.abs() < 0.5 * raw_bias.abs(), "raw bias {raw_bias}, shrunken {bias}");
        assert!(error < 0.8 * raw_error, "raw error {raw_error}, shrunken {error}");
    }

    #[test]
    fn the_winner_is_too_good_and_shrinking_mends_it() {
        check(&[("cell", 6), ("other", 4)], 0.0, Fit::MainEffects);
        check(&[("cell", 6)], 0.0, Fit::GrandMean);
    }

    /// A large effect of one axis does not keep the correction from working among the cells that share it.
    #[test]
    fn a_large_main_effect_does_not_hide_the_curse() {
        check(&[("size", 2), ("mask", 4), ("nsp", 3)], -1.0, Fit::MainEffects);
    }

    #[test]
    fn seeds_that_are_missing_change_the_fit_by_least_squares() {
        // By hand: y = cell + seed, without noise, with holes.
        let seed = |i: u64, v: f64| (Seed(i), v);
        let table = [
            BTreeMap::from([seed(1, 1.0), seed(2, 1.5), seed(3, 0.8)]),
            BTreeMap::from([seed(1, 3.0), seed(3, 2.8)]),
            BTreeMap::from([seed(2, 5.5), seed(3, 4.8)]),
        ];
        let fit = Additive::fit(&table).unwrap();
        assert!((fit.means[1] - fit.means[0] - 2.0).abs() < 1e-9 && (fit.means[2] - fit.means[0] - 4.0).abs() < 1e-9);
        assert!(fit.noise < 1e-18 && fit.degrees == 2);
    }

    #[test]
    fn one_seed_or_three_cells_are_too_few() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.seed == Seed(1));
        assert_eq!(shrink_winner(&comparison, &Design::of(&comparison), 0), None);
        let axes = vec![fixture::axis("cell", &["a", "b", "c"], AxisKind::Category)];
        let comparison = fixture::sweep_over("three", axes, 3);
        assert_eq!(shrink_winner(&comparison, &Design::of(&comparison), 0), None);
    }
}
