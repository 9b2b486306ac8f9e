//! Analysis of variance for a full factorial (Fisher 1935; Montgomery, "Design and Analysis of Experiments", chapters 5 and
//! 14): how much of the variance each axis, each pair of axes and luck account for.
//!
//! In a full grid of cell means the effects are orthogonal, so their sums of squares add up. What a part is measured against
//! is its own error: the caller says how its contrasts scatter, because luck that cells share cancels in some contrasts and
//! not in others. An effect's variance over the grid, `(SS - df * MS_error) / N`, is the variance component that a Sobol
//! index divides by the total.

use super::luck::Group;
use super::noncentral::{Measured, noise_interval, noncentrality_interval, share_interval};
use super::statistics::Interval;

/// What a part of the variance comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// One axis, or the interaction of two: their places among the axes.
    Axes(Vec<usize>),
    /// All interactions of three axes and more together.
    HigherOrder,
    /// What is left: chance.
    Noise,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub source: Source,
    pub degrees: usize,
    pub sum_of_squares: f64,
    /// Against its own error; absent for the noise itself and where there is none to test against.
    pub f: Option<f64>,
    /// Omega squared: the share of the variance among all runs, corrected for what luck alone would show, and at least 0.
    pub share: f64,
    /// The 95 % interval of the share; absent without an error to compare with.
    pub interval: Option<Interval>,
}

/// The variance of one run's share in a contrast, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Error {
    pub variance: f64,
    pub degrees: f64,
}

/// Contrasts of the highest orders are many: so many of them say how they scatter.
const MOST_CONTRASTS: usize = 64;

/// The table of a factorial with `levels` values an axis and `means` of cells in the order of the axes with the last
/// fastest, each of `runs` runs. `noise` is the variance of a run about its cell, `error` that of contrasts of unit length,
/// times the runs. Without them: shares only, chance included.
pub(super) fn anova(
    levels: &[usize],
    means: &[f64],
    runs: f64,
    noise: Option<Error>,
    error: impl Fn(&[Group]) -> Option<Error>,
) -> Vec<Row> {
    let cells = levels.iter().product::<usize>();
    assert_eq!(means.len(), cells, "invariant: every cell has a mean");
    let grand = means.iter().sum::<f64>() / cells as f64;
    let between_cells = runs * means.iter().map(|mean| (mean - grand).powi(2)).sum::<f64>();
    let mut parts = Vec::new();
    for axes in singles_and_pairs(levels.len()) {
        let degrees = axes.iter().map(|&axis| levels[axis] - 1).product::<usize>();
        let squares = runs * effect_squares(levels, means, &axes);
        parts.push((Source::Axes(axes.clone()), degrees, squares, error(&contrasts(levels, &axes))));
    }
    let (degrees, squares) = parts.iter().fold((0, 0.0), |(d, s), part| (d + part.1, s + part.2));
    if cells - 1 > degrees {
        let axes = (0..1usize << levels.len()).filter(|subset| subset.count_ones() > 2);
        let subsets = axes.map(|subset| (0..levels.len()).filter(|axis| subset >> axis & 1 == 1).collect::<Vec<_>>());
        let its = subsets.flat_map(|axes| contrasts(levels, &axes)).take(MOST_CONTRASTS).collect::<Vec<_>>();
        parts.push((Source::HigherOrder, cells - 1 - degrees, (between_cells - squares).max(0.0), error(&its)));
    }
    parts.retain(|part| part.1 > 0);
    rows(&parts, runs * cells as f64, noise)
}

/// Orthonormal contrasts of one effect: products of Helmert's for each of its axes.
fn contrasts(levels: &[usize], axes: &[usize]) -> Vec<Group> {
    let cells = levels.iter().product::<usize>();
    // Helmert's contrast k: the first k + 1 levels against the next one.
    let helmert = |k: usize, level: usize| match level {
        _ if level <= k => 1.0,
        _ if level == k + 1 => -((k + 1) as f64),
        _ => 0.0,
    };
    let orders = axes.iter().fold(vec![Vec::new()], |orders: Vec<Vec<usize>>, &axis| {
        let with = |order: &Vec<usize>, k| order.iter().copied().chain([k]).collect::<Vec<_>>();
        orders
            .iter()
            .flat_map(|order| (0..levels[axis] - 1).map(move |k| with(order, k)))
            .take(MOST_CONTRASTS)
            .collect()
    });
    let weights = orders.into_iter().map(|order| {
        let weight = |cell| axes.iter().zip(&order).map(|(&axis, &k)| helmert(k, level(levels, cell, axis))).product();
        let weights = (0..cells).map(weight).collect::<Vec<f64>>();
        let length = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
        weights.iter().enumerate().filter(|(_, w)| **w != 0.0).map(|(cell, w)| (cell, w / length)).collect()
    });
    weights.collect()
}

/// `[0], [1], ..., [0, 1], [0, 2], ...`
fn singles_and_pairs(axes: usize) -> Vec<Vec<usize>> {
    let pairs = (0..axes).flat_map(|a| (a + 1..axes).map(move |b| vec![a, b]));
    (0..axes).map(|axis| vec![axis]).chain(pairs).collect()
}

/// The sum over cells of the squared effect of `axes` (one or two): their marginal mean less what its parts explain.
fn effect_squares(levels: &[usize], cells: &[f64], axes: &[usize]) -> f64 {
    let grand = cells.iter().sum::<f64>() / cells.len() as f64;
    let marginals = (0..1usize << axes.len()).map(|subset| {
        let kept = axes.iter().enumerate().filter(|(i, _)| subset >> i & 1 == 1).map(|(_, &axis)| axis);
        let kept = kept.collect::<Vec<_>>();
        let sign = if (axes.len() - kept.len()).is_multiple_of(2) { 1.0 } else { -1.0 };
        (sign, marginal(levels, cells, &kept, grand))
    });
    let marginals = marginals.collect::<Vec<_>>();
    let effect = |cell: usize| marginals.iter().map(|(sign, means)| sign * means[cell]).sum::<f64>();
    (0..cells.len()).map(|cell| effect(cell).powi(2)).sum()
}

/// For every cell, the mean over all cells that share its values of `kept`, less the grand mean.
fn marginal(levels: &[usize], cells: &[f64], kept: &[usize], grand: f64) -> Vec<f64> {
    let group = |cell: usize| kept.iter().fold(0, |group, &axis| group * levels[axis] + level(levels, cell, axis));
    let groups = kept.iter().map(|&axis| levels[axis]).product::<usize>();
    let mut sums = vec![0.0; groups];
    for (cell, value) in cells.iter().enumerate() {
        sums[group(cell)] += value - grand;
    }
    let size = (cells.len() / groups) as f64;
    (0..cells.len()).map(|cell| sums[group(cell)] / size).collect()
}

/// The place of `cell` on `axis`.
pub(super) fn level(levels: &[usize], cell: usize, axis: usize) -> usize {
    cell / levels[axis + 1..].iter().product::<usize>() % levels[axis]
}

/// Sums of squares become variance components and their shares.
fn rows(parts: &[(Source, usize, f64, Option<Error>)], count: f64, noise: Option<Error>) -> Vec<Row> {
    let ratio = |degrees: usize, squares: f64, error: &Option<Error>| {
        error.filter(|error| error.variance > 0.0).map(|error| squares / degrees as f64 / error.variance)
    };
    let components = parts.iter().map(|(_, degrees, squares, error)| {
        let variance = error.map_or(0.0, |error| error.variance);
        let value = (squares - *degrees as f64 * variance).max(0.0) / count;
        let Some((f, error)) = ratio(*degrees, *squares, error).zip(*error) else { return Measured::exact(value) };
        let range = noncentrality_interval(f, *degrees, whole(error.degrees));
        let scale = error.variance / count;
        Measured { value, range: Interval { low: scale * range.low, high: scale * range.high } }
    });
    let mut components = components.collect::<Vec<_>>();
    let luck = noise.map(|Error { variance, degrees }| Measured {
        value: variance,
        range: noise_interval(variance, whole(degrees)),
    });
    components.extend(luck);
    let total = components.iter().map(|component| component.value).sum::<f64>();
    let share = |i: usize| if total > 0.0 { components[i].value / total } else { 0.0 };
    let interval = |i: usize| {
        let others = components.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, component)| *component);
        noise.filter(|noise| noise.variance > 0.0).map(|_| share_interval(components[i], &others.collect::<Vec<_>>()))
    };
    let row = |(i, (source, degrees, squares, error)): (usize, &(Source, usize, f64, Option<Error>))| Row {
        source: source.clone(),
        degrees: *degrees,
        sum_of_squares: *squares,
        f: ratio(*degrees, *squares, error),
        share: share(i),
        interval: interval(i).filter(|_| error.is_some()),
    };
    let mut rows = parts.iter().enumerate().map(row).collect::<Vec<_>>();
    rows.extend(noise.map(|Error { variance, degrees }| Row {
        source: Source::Noise,
        degrees: whole(degrees),
        sum_of_squares: variance * degrees,
        f: None,
        share: share(parts.len()),
        interval: interval(parts.len()),
    }));
    rows
}

/// Degrees as the tables of F take them.
fn whole(degrees: f64) -> usize {
    (degrees.floor() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::fixture::Noise;
    use crate::analysis::statistics::sample_variance;

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    fn find(rows: &[Row], source: Source) -> &Row {
        rows.iter().find(|row| row.source == source).expect("the row is in the table")
    }

    /// Cells run once in every block, all measured against what is left after cells and blocks.
    fn blocked(levels: &[usize], values: &[Vec<f64>]) -> Vec<Row> {
        let (means, residual) = residual(values);
        let error = (values.len() > 1).then_some(residual);
        anova(levels, &means, values.len() as f64, error, |_| error)
    }

    fn residual(values: &[Vec<f64>]) -> (Vec<f64>, Error) {
        let (blocks, cells) = (values.len() as f64, values[0].len());
        let means = (0..cells).map(|cell| values.iter().map(|block| block[cell]).sum::<f64>() / blocks);
        let means = means.collect::<Vec<_>>();
        let grand = means.iter().sum::<f64>() / cells as f64;
        let squares = values.iter().map(|block| {
            let shift = block.iter().sum::<f64>() / cells as f64 - grand;
            block.iter().zip(&means).map(|(value, mean)| (value - mean - shift).powi(2)).sum::<f64>()
        });
        let degrees = (cells - 1) as f64 * (blocks - 1.0);
        let variance = squares.sum::<f64>() / degrees;
        (means, Error { variance, degrees })
    }

    /// Yates's oats (1935): six blocks, three varieties, four levels of nitrogen. The published split-plot analysis has
    /// F 1.49 for the varieties, against their own error of 6,013.31 on 10 degrees; contrast by contrast it comes out.
    #[test]
    fn yates_oats_give_the_published_table() {
        #[rustfmt::skip]
        let blocks = [
            [111, 130, 157, 174, 117, 114, 161, 141, 105, 140, 118, 156],
            [ 61,  91,  97, 100,  70, 108, 126, 149,  96, 124, 121, 144],
            [ 68,  64, 112,  86,  60, 102,  89,  96,  89, 129, 132, 124],
            [ 74,  89,  81, 122,  64, 103, 132, 133,  70,  89, 104, 117],
            [ 62,  90, 100, 116,  80,  82,  94, 126,  63,  70, 109,  99],
            [ 53,  74, 118, 113,  89,  82,  86, 104,  97,  99, 119, 121],
        ];
        let values = blocks.map(|block| block.map(f64::from).to_vec()).to_vec();
        let (means, residual) = residual(&values);
        close(residual.variance * residual.degrees, 6_013.31 + 7_968.75, 0.02);
        let rows = anova(&[3, 4], &means, 6.0, Some(residual), |groups| {
            let variance = |group: &Group| {
                let value = |block: &Vec<f64>| group.iter().map(|(cell, weight)| weight * block[*cell]).sum::<f64>();
                sample_variance(&values.iter().map(value).collect::<Vec<_>>()).unwrap()
            };
            let variances = groups.iter().map(variance).collect::<Vec<_>>();
            Some(Error { variance: variances.iter().sum::<f64>() / variances.len() as f64, degrees: 5.0 })
        });
        let check = |source: Source, degrees: usize, squares: f64| {
            let row = find(&rows, source);
            assert_eq!(row.degrees, degrees);
            close(row.sum_of_squares, squares, 0.02);
        };
        check(Source::Axes(vec![0]), 2, 1_786.36);
        check(Source::Axes(vec![1]), 3, 20_020.50);
        check(Source::Axes(vec![0, 1]), 6, 321.75);
        close(find(&rows, Source::Axes(vec![0])).f.unwrap(), (1_786.36 / 2.0) / (6_013.31 / 10.0), 1e-4);
        close(rows.iter().map(|row| row.share).sum::<f64>(), 1.0, 1e-12);
    }

    /// Sobol's g-function over midpoints: closed-form variances V_i = 1 / (3 (1 + a_i)^2) of independent factors.
    #[test]
    fn shares_of_the_g_function_are_its_sobol_indices() {
        let (levels, a) = ([32, 32, 32], [0.0, 1.0, 4.5]);
        let factor = |axis: usize, level: usize| {
            let x = (level as f64 + 0.5) / levels[axis] as f64;
            ((4.0 * x - 2.0).abs() + a[axis]) / (1.0 + a[axis])
        };
        let cells = levels.iter().product();
        let value = |cell| (0..3).map(|axis| factor(axis, level(&levels, cell, axis))).product::<f64>();
        let rows = blocked(&levels, &[(0..cells).map(value).collect()]);
        let variance = a.map(|a: f64| 1.0 / (3.0 * (1.0 + a).powi(2)));
        let total = variance.iter().map(|v| 1.0 + v).product::<f64>() - 1.0;
        for axis in 0..3 {
            close(find(&rows, Source::Axes(vec![axis])).share, variance[axis] / total, 2e-3);
            let other = (axis + 1) % 3;
            let pair = vec![axis.min(other), axis.max(other)];
            close(find(&rows, Source::Axes(pair)).share, variance[axis] * variance[other] / total, 2e-3);
        }
        close(find(&rows, Source::HigherOrder).share, variance.iter().product::<f64>() / total, 2e-3);
    }

    /// Ishigami's function (a = 7, b = 0.1): first-order indices 0.3139, 0.4424 and 0, and 0.2437 for x1 with x3.
    #[test]
    fn shares_of_the_ishigami_function_are_its_sobol_indices() {
        let levels = [40; 3];
        let x = |cell, axis| std::f64::consts::PI * (2.0 * (level(&levels, cell, axis) as f64 + 0.5) / 40.0 - 1.0);
        let value = |cell| {
            let (x1, x2, x3): (f64, f64, f64) = (x(cell, 0), x(cell, 1), x(cell, 2));
            x1.sin() + 7.0 * x2.sin().powi(2) + 0.1 * x3.powi(4) * x1.sin()
        };
        let rows = blocked(&levels, &[(0..64_000).map(value).collect()]);
        let check = |axes: &[usize], index: f64| close(find(&rows, Source::Axes(axes.to_vec())).share, index, 2e-3);
        check(&[0], 0.3139);
        check(&[1], 0.4424);
        check(&[2], 0.0);
        check(&[0, 2], 0.2437);
        check(&[0, 1], 0.0);
    }

    /// How often the interval of each share holds the true share.
    fn simulate(trials: usize) -> [f64; 3] {
        let (levels, blocks, mut noise) = ([2, 3, 2], 3, Noise::new(41));
        let (main, sigma, seed_sigma) = ([0.5, 0.2, 0.0], 0.25, 0.3);
        let effect = |cell: usize| {
            (0..3).map(|axis| main[axis] * level(&levels, cell, axis) as f64).sum::<f64>()
                + if level(&levels, cell, 0) == level(&levels, cell, 2) { 0.1 } else { -0.1 }
        };
        let variance = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
        };
        let truths = [variance(&[0.0, 0.5]), variance(&[0.0, 0.2, 0.4]), 0.01];
        let total = truths.iter().sum::<f64>() + sigma * sigma;
        let sources = [Source::Axes(vec![0]), Source::Axes(vec![1]), Source::Axes(vec![0, 2])];
        let mut covered = [0.0; 3];
        for _ in 0..trials {
            let values = (0..blocks).map(|_| {
                let shift = seed_sigma * noise.normal();
                (0..12).map(|cell| effect(cell) + shift + sigma * noise.normal()).collect()
            });
            let rows = blocked(&levels, &values.collect::<Vec<_>>());
            for (i, source) in sources.iter().enumerate() {
                let interval = find(&rows, source.clone()).interval.unwrap();
                covered[i] += f64::from(u8::from(interval.contains(truths[i] / total))) / trials as f64;
            }
        }
        covered
    }

    fn check_coverage(trials: usize) {
        let slack = 4.0 * (0.05 * 0.95 / trials as f64).sqrt();
        let covered = simulate(trials);
        assert!(covered.iter().all(|share| *share > 0.95 - slack), "coverage {covered:?}");
    }

    #[test]
    fn shares_are_covered() {
        check_coverage(400);
    }

    #[test]
    #[ignore = "the long version of the test above"]
    fn shares_are_covered_long() {
        check_coverage(4_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Sums of squares and degrees add up to those of the cell means, contrast by contrast.
        #[test]
        fn the_table_adds_up(levels in prop::collection::vec(2usize..4, 1..4), raw in prop::collection::vec(-3.0..3.0f64, 27)) {
            let cells = levels.iter().product::<usize>();
            let means = raw[..cells].to_vec();
            let rows = anova(&levels, &means, 1.0, None, |_| None);
            let grand = means.iter().sum::<f64>() / cells as f64;
            let total = means.iter().map(|v| (v - grand).powi(2)).sum::<f64>();
            prop_assert!((rows.iter().map(|row| row.sum_of_squares).sum::<f64>() - total).abs() < 1e-9 * (1.0 + total));
            prop_assert_eq!(rows.iter().map(|row| row.degrees).sum::<usize>(), cells - 1);
            for row in rows.iter().filter(|row| row.source != Source::HigherOrder) {
                let Source::Axes(axes) = &row.source else { continue };
                let value = |group: &Group| group.iter().map(|(cell, weight)| weight * means[*cell]).sum::<f64>();
                let squares = contrasts(&levels, axes).iter().map(|group| value(group).powi(2)).sum::<f64>();
                prop_assert!((squares - row.sum_of_squares).abs() < 1e-9 * (1.0 + total));
            }
        }
    }
}
