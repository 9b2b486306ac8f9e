//! PED-ANOVA (Watanabe, Bansal & Hutter 2023): which axis sets the best quarter of the cells apart, for designs that are no
//! full factorial.
//!
//! Let b be 1 for the best quarter of the cells and 0 elsewhere. The paper shows that the variance of b that one axis
//! accounts for by itself is a Pearson divergence: of the distribution of the axis among the best cells from that among all.
//! With n cells, of which t are best, and n_k and t_k of them in class k of the axis,
//!
//! ```text
//! V = (t / n)^2 sum_k (n_k / n) (t_k n / (n_k t) - 1)^2,    share = V / (t / n (1 - t / n)).
//! ```
//!
//! The paper divides by the sum over the axes; here the whole variance of b divides, so that what no axis accounts for by
//! itself (interactions, noise) stays visible. Chance alone gives a share of (K - 1) / (n - 1) on average with K classes
//! (the t_k are hypergeometric), which is taken off: `1 - (1 - share) (n - 1) / (n - K)`, the adjusted R squared of b. An
//! axis that exists in some cells only is judged among those, and its share counts as much as they are of all cells.

use super::statistics::{Interval, mean, quantile};

/// The best 1 / `BEST` of the cells are set apart.
pub const BEST: usize = 4;
/// Samples of the bootstrap, and permutations of the test; fewer where cells are so many that they would take seconds.
const SAMPLES: usize = 1_000;
/// Numbers of more different values than this are taken in classes of equal count.
const MOST_VALUES: usize = 6;
/// The least cells in such a class, and the most classes.
const CLASS_CELLS: usize = 8;
const MOST_CLASSES: usize = 4;

/// How much one axis sets the best cells apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leaning {
    pub share: f64,
    /// 95 % by the bootstrap over cells, centred on the share.
    pub interval: Interval,
    /// How often a random order of the cells gives as large a share.
    pub p: f64,
}

/// The class of every cell on one axis; absent where the cell does not have the axis.
pub(super) type Classes = Vec<Option<usize>>;

/// The classes of each axis, and for each cell a number that is lower for better ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    pub(super) axes: Vec<Classes>,
    pub(super) badness: Vec<f64>,
}

/// How much each axis sets the best cells apart.
pub(super) fn ped_anova(Input { axes, badness }: &Input) -> Vec<Leaning> {
    let samples = (4_000_000 / badness.len().max(1)).clamp(100, SAMPLES);
    axes.iter().enumerate().map(|(i, classes)| leaning(classes, badness, samples, i as u64)).collect()
}

fn leaning(classes: &Classes, badness: &[f64], samples: usize, stream: u64) -> Leaning {
    let cells = classes.iter().zip(badness).filter_map(|(class, &bad)| Some(((*class)?, bad))).collect::<Vec<_>>();
    let weight = cells.len() as f64 / badness.len().max(1) as f64;
    let observed = share(&cells);
    let mut draws = Draws::new(stream);
    let mut resampled = (0..samples).map(|_| {
        let sample = (0..cells.len()).map(|_| cells[draws.below(cells.len())]).collect::<Vec<_>>();
        adjusted(share(&sample), &sample)
    });
    let mut resampled = resampled.by_ref().collect::<Vec<_>>();
    resampled.sort_by(f64::total_cmp);
    // Cells that are drawn twice agree with themselves, which lifts every sample: only the spread of the samples counts.
    let (centre, point) = (mean(&resampled).unwrap_or(0.0), adjusted(observed, &cells));
    let limit = |q: f64| weight * (point + quantile(&resampled, q).unwrap_or(0.0) - centre).clamp(0.0, 1.0);
    let mut order = cells.iter().map(|(_, bad)| *bad).collect::<Vec<_>>();
    let as_large = (0..samples).filter(|_| {
        for i in (1..order.len()).rev() {
            order.swap(i, draws.below(i + 1));
        }
        let shuffled = cells.iter().zip(&order).map(|((class, _), &bad)| (*class, bad)).collect::<Vec<_>>();
        share(&shuffled) >= observed - 1e-12
    });
    let p = (as_large.count() + 1) as f64 / (samples + 1) as f64;
    Leaning { share: weight * point.max(0.0), interval: Interval { low: limit(0.025), high: limit(0.975) }, p }
}

/// The share of the variance of "is among the best" that the classes account for, chance included.
fn share(cells: &[(usize, f64)]) -> f64 {
    let n = cells.len();
    let mut order = cells.iter().map(|(_, bad)| *bad).collect::<Vec<_>>();
    if n < 2 {
        return 0.0;
    }
    let (_, threshold, _) = order.select_nth_unstable_by(n.div_ceil(BEST) - 1, f64::total_cmp);
    let threshold = *threshold;
    let classes = cells.iter().map(|(class, _)| class + 1).max().unwrap_or(0);
    let mut counts = vec![(0.0, 0.0); classes];
    for &(class, bad) in cells {
        counts[class].0 += 1.0;
        counts[class].1 += f64::from(u8::from(bad <= threshold));
    }
    let (n, best) = (n as f64, counts.iter().map(|(_, best)| best).sum::<f64>());
    if best >= n {
        return 0.0;
    }
    let divergence = counts.iter().filter(|(all, _)| *all > 0.0);
    let divergence = divergence.map(|(all, top)| all / n * (top * n / (all * best) - 1.0).powi(2)).sum::<f64>();
    // (t / n)^2 D over t / n (1 - t / n).
    divergence * best / (n - best)
}

/// Without what chance alone accounts for; below zero where that is more.
fn adjusted(share: f64, cells: &[(usize, f64)]) -> f64 {
    let mut classes = cells.iter().map(|(class, _)| *class).collect::<Vec<_>>();
    classes.sort_unstable();
    classes.dedup();
    let (n, k) = (cells.len() as f64, classes.len() as f64);
    if n > k { 1.0 - (1.0 - share) * (n - 1.0) / (n - k) } else { 0.0 }
}

/// The classes of values in an order: as they are where they are few, else in parts of equal count. `places` says which
/// value each cell has.
pub(super) fn classes_of(places: &[Option<usize>], is_number: bool) -> Classes {
    let mut present = places.iter().flatten().copied().collect::<Vec<_>>();
    present.sort_unstable();
    let mut values = present.clone();
    values.dedup();
    if !is_number || values.len() <= MOST_VALUES {
        return places.to_vec();
    }
    let parts = (present.len() / CLASS_CELLS).clamp(2, MOST_CLASSES);
    let edges = (1..parts).map(|part| present[part * present.len() / parts]).collect::<Vec<_>>();
    let class = |place: usize| edges.iter().filter(|&&edge| place >= edge).count();
    places.iter().map(|place| place.map(class)).collect()
}

/// Numbers that depend on nothing but a stream and a counter (SplitMix64; Steele, Lea & Flood 2014), so that the same cells
/// have the same interval everywhere.
struct Draws {
    counter: u64,
}

impl Draws {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

    fn new(stream: u64) -> Self {
        Self { counter: stream.wrapping_mul(0xD1B5_4A32_D192_ED03) }
    }

    fn below(&mut self, n: usize) -> usize {
        self.counter = self.counter.wrapping_add(Self::STEP);
        let mut z = self.counter;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((u128::from(z) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::Noise;

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
    }

    /// On a grid of 8 x 8 x 8 classes: the outcomes and the class of each cell on three axes.
    fn grid(f: impl Fn(usize, usize) -> f64) -> ([Vec<usize>; 3], Vec<f64>) {
        let cells = (0..512).map(|i| (i / 64, i / 8 % 8, i % 8)).collect::<Vec<_>>();
        let axis = |pick: fn(&(usize, usize, usize)) -> usize| cells.iter().map(pick).collect();
        ([axis(|c| c.0), axis(|c| c.1), axis(|c| c.2)], cells.iter().map(|c| f(c.0, c.1)).collect())
    }

    fn raw(classes: &[usize], outcomes: &[f64]) -> f64 {
        share(&classes.iter().copied().zip(outcomes.iter().copied()).collect::<Vec<_>>())
    }

    /// Where the first axis alone decides, it accounts for all: the divergence is (1 - t/n) / (t/n) = 3.
    #[test]
    fn a_step_of_one_axis_is_all_of_it() {
        let (axes, outcomes) = grid(|a, _| (a / 2) as f64);
        close(raw(&axes[0], &outcomes), 1.0, 1e-12);
        close(raw(&axes[1], &outcomes), 0.0, 1e-12);
    }

    /// The best quarter is the lower half of both axes: P(b | a) is 1/2 below and 0 above, so that each axis has
    /// 1/16 of 3/16, and their interaction the last third.
    #[test]
    fn a_step_of_two_axes_is_a_third_each() {
        let (axes, outcomes) = grid(|a, b| (a / 4).max(b / 4) as f64);
        close(raw(&axes[0], &outcomes), 1.0 / 3.0, 1e-12);
        close(raw(&axes[1], &outcomes), 1.0 / 3.0, 1e-12);
        close(raw(&axes[2], &outcomes), 0.0, 1e-12);
    }

    /// The divergence is the variance of the conditional mean of b, computed here by its definition.
    #[test]
    fn the_divergence_is_a_variance_of_means() {
        let mut noise = Noise::new(4);
        for _ in 0..300 {
            let n = 5 + (40.0 * noise.unit()) as usize;
            let cells = (0..n).map(|_| ((4.0 * noise.unit()) as usize, noise.normal())).collect::<Vec<_>>();
            let mut order = cells.iter().map(|cell| cell.1).collect::<Vec<_>>();
            order.sort_by(f64::total_cmp);
            let threshold = order[n.div_ceil(4) - 1];
            let b = |cell: &(usize, f64)| f64::from(u8::from(cell.1 <= threshold));
            let all = cells.iter().map(b).sum::<f64>() / n as f64;
            let between = cells.iter().map(|cell| {
                let class = cells.iter().filter(|other| other.0 == cell.0).map(b).collect::<Vec<_>>();
                (mean(&class).unwrap() - all).powi(2) / n as f64
            });
            close(share(&cells), between.sum::<f64>() / (all * (1.0 - all)), 1e-9);
        }
    }

    /// Random designs whose best quarter is the lower half of two of three axes: shares of 1/3, 1/3 and 0. Returns the mean
    /// shares, how often the intervals hold the truth, and how often the dead axis is told.
    fn simulate(trials: usize, cells: usize) -> ([f64; 3], [f64; 3], f64) {
        let mut noise = Noise::new(12);
        let (mut shares, mut covered, mut false_alarms) = ([0.0; 3], [0.0; 3], 0.0);
        for _ in 0..trials {
            let points = (0..cells).map(|_| [noise.unit(), noise.unit(), noise.unit()]).collect::<Vec<_>>();
            let axes = [0, 1, 2].map(|axis| points.iter().map(|x| Some((2.0 * x[axis]) as usize)).collect::<Classes>());
            let badness = points.iter().map(|x| x[0].max(x[1])).collect::<Vec<_>>();
            for (i, leaning) in ped_anova(&Input { axes: axes.to_vec(), badness }).iter().enumerate() {
                let truth = if i < 2 { 1.0 / 3.0 } else { 0.0 };
                shares[i] += leaning.share / trials as f64;
                covered[i] += f64::from(u8::from(leaning.interval.contains(truth))) / trials as f64;
                false_alarms += f64::from(u8::from(i == 2 && leaning.p < 0.05)) / trials as f64;
            }
        }
        (shares, covered, false_alarms)
    }

    fn check(trials: usize) {
        let (shares, covered, false_alarms) = simulate(trials, 64);
        // A little low: where the best quarter ends is an estimate too.
        assert!(shares[..2].iter().all(|share| (0.22..0.36).contains(share)), "{shares:?}");
        assert!(shares[2] < 0.02, "{shares:?}");
        let slack = 4.0 * (0.05 * 0.95 / trials as f64).sqrt();
        assert!(
            covered.iter().all(|share| *share > 0.90 - slack) && false_alarms < 0.05 + slack,
            "{covered:?} {false_alarms}"
        );
    }

    #[test]
    fn random_designs_have_the_known_shares() {
        check(20);
    }

    #[test]
    #[ignore = "the long version of the test above"]
    fn random_designs_have_the_known_shares_long() {
        check(500);
    }

    /// The mean of the share that chance gives is taken off exactly.
    #[test]
    fn chance_alone_has_no_share() {
        let mut noise = Noise::new(9);
        let total = (0..4_000).map(|_| {
            let cells = (0..20).map(|i| (i % 3, noise.normal())).collect::<Vec<_>>();
            adjusted(share(&cells), &cells)
        });
        close(total.sum::<f64>() / 4_000.0, 0.0, 0.008);
    }

    #[test]
    fn many_numbers_are_taken_in_classes_of_equal_count() {
        let places = (0..40).map(Some).collect::<Vec<_>>();
        let classes = classes_of(&places, true);
        assert_eq!(
            (0..4).map(|class| classes.iter().filter(|c| **c == Some(class)).count()).collect::<Vec<_>>(),
            [10; 4]
        );
        assert_eq!(classes_of(&places, false), places, "names are not put together");
        assert_eq!(classes_of(&[Some(2), None, Some(0)], true), [Some(2), None, Some(0)]);
    }

    #[test]
    fn the_same_cells_have_the_same_numbers_and_an_absent_axis_weighs_less() {
        let whole = (0..32).map(|i| Some(i / 8)).collect::<Classes>();
        let half = (0..32).map(|i| (i < 16).then_some(i / 4)).collect::<Classes>();
        let input = Input { axes: vec![whole, half], badness: (0..32).map(f64::from).collect() };
        let found = ped_anova(&input);
        assert_eq!(found, ped_anova(&input));
        close(found[0].share, 1.0, 1e-12);
        close(found[1].share, 0.5, 1e-12);
    }
}
