//! The statistics of comparing a handful of runs: Student's t for intervals, exact enumeration where it is cheap.
//!
//! A handful of seeds is too few for a bootstrap, whose intervals are then too narrow; Student's t is right for any n
//! from two up when the values are near normal, and the sign-flip test assumes no shape at all. One value has no
//! interval, and every function here says so by `None` instead of by a width of zero.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The share of intervals that hold the true mean in the long run.
pub const CONFIDENCE: f64 = 0.95;

/// Up to so many differences, all sign patterns are enumerated (2^16 of them).
const MAX_EXACT: usize = 16;

/// A closed range of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Half of the width: what stands after `±`.
    pub fn half_width(self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Whether `value` lies inside.
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// A mean and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub n: usize,
    pub mean: f64,
    pub min: f64,
    pub max: f64,
    /// The sample standard deviation (n - 1); absent below two values.
    pub sd: Option<f64>,
    /// The 95 % interval of the mean by Student's t; absent below two values.
    pub interval: Option<Interval>,
}

impl Estimate {
    /// The estimate from independent `values`; absent where there is none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let mean = mean(values)?;
        let sd = sample_sd(values);
        let n = values.len();
        let half = sd.map(|sd| t_quantile(0.5 + CONFIDENCE / 2.0, n - 1) * sd / (n as f64).sqrt());
        let interval = half.map(|half| Interval { low: mean - half, high: mean + half });
        Some(Self { n, mean, min, max, sd, interval })
    }
}

/// The mean of paired differences, and how likely so large a one is by chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedDifference {
    pub estimate: Estimate,
    /// Two-sided p of Student's paired t; absent below two pairs.
    pub p_t: Option<f64>,
    /// Two-sided p of the exact sign-flip test; absent below two pairs and above 16. It cannot fall below 2^(1-n).
    pub p_exact: Option<f64>,
}

impl PairedDifference {
    /// The statistics of `differences`, one for each pair; absent where there is none.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let estimate = Estimate::of(differences)?;
        let p_t = estimate.sd.map(|sd| {
            let standard_error = sd / (estimate.n as f64).sqrt();
            if estimate.mean == 0.0 { 1.0 } else { t_two_sided_p(estimate.mean / standard_error, estimate.n - 1) }
        });
        Some(Self { estimate, p_t, p_exact: sign_flip_p(differences) })
    }
}

/// The arithmetic mean; absent for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation, with n - 1 in the denominator; absent below two values.
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The 95 % interval of a share of which `hits` of `n` are known (Wilson 1927): never beyond 0 and 1.
pub fn wilson_interval(hits: usize, n: usize) -> (f64, f64) {
    /// The 97.5 % quantile of the normal distribution.
    const Z: f64 = 1.959_963_984_540_054;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (share, n) = (hits as f64 / n as f64, n as f64);
    let centre = share + Z * Z / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0))
}

/// The quantile `q` in [0, 1] of sorted `values`, linear between neighbours (Hyndman & Fan's type 7, as in R and NumPy).
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = q.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + share * (sorted[above] - sorted[below]))
}

/// The quantile `p` of Student's t with `degrees` degrees of freedom.
///
/// # Panics
/// When `degrees` is 0: such a distribution does not exist.
pub fn t_quantile(p: f64, degrees: usize) -> f64 {
    students_t(degrees).inverse_cdf(p)
}

/// The probability that |t| is at least as large by chance, with `degrees` degrees of freedom.
fn t_two_sided_p(t: f64, degrees: usize) -> f64 {
    if t.is_infinite() { 0.0 } else { (2.0 * students_t(degrees).sf(t.abs())).min(1.0) }
}

fn students_t(degrees: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees as f64).expect("invariant: one degree of freedom or more")
}

/// The exact two-sided p of "the sign of each difference is a coin flip" (Fisher 1935), by enumeration.
///
/// Absent below two differences, where it says nothing, and above 16, where Student's t serves as well.
pub fn sign_flip_p(differences: &[f64]) -> Option<f64> {
    let n = differences.len();
    if !(2..=MAX_EXACT).contains(&n) {
        return None;
    }
    let observed = differences.iter().sum::<f64>().abs();
    let slack = 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    // The first sign may be fixed: a pattern and its opposite have the same |sum|.
    let patterns = 1u32 << (n - 1);
    let as_extreme = (0..patterns).filter(|pattern| {
        let signed = differences.iter().enumerate().map(|(i, d)| if pattern >> i & 1 == 1 { -d } else { *d });
        signed.sum::<f64>().abs() >= observed - slack
    });
    Some(as_extreme.count() as f64 / f64::from(patterns))
}

/// Holm's step-down adjustment (Holm 1979) of p-values, in their order: compare each with the level of the family.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    holm_in_family(p_values, p_values.len())
}

/// Holm's adjustment of those p-values of a family of `size` that are looked at.
///
/// Which ones are looked at may depend on the outcomes. A member's rank among those looked at is at most its rank in the
/// family, so that whatever is rejected here Holm's method over the whole family rejects too, and the chance of a single
/// false rejection stays below the level. A size below the number of p-values is taken as that number.
pub fn holm_in_family(p_values: &[f64], size: usize) -> Vec<f64> {
    let size = size.max(p_values.len());
    let mut order = (0..p_values.len()).collect::<Vec<_>>();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        largest = largest.max((p_values[i] * (size - rank) as f64).min(1.0));
        adjusted[i] = largest;
    }
    adjusted
}

/// The fewest pairs with which a true difference of `mean` with deviation `sd` is found in four of five experiments,
/// two-sided at `level`; absent above 10,000 or where `mean` is 0.
///
/// The usual approximation with central t quantiles: n such that (t[1 - level/2] + t[0.8]) sd / sqrt(n) <= |mean|.
pub fn pairs_needed(mean: f64, sd: f64, level: f64) -> Option<u64> {
    const POWER: f64 = 0.8;
    const MOST: usize = 10_000;
    let suffices = |n: usize| {
        let t = t_quantile(1.0 - level / 2.0, n - 1) + t_quantile(POWER, n - 1);
        t * sd / (n as f64).sqrt() <= mean.abs()
    };
    if mean == 0.0 || !suffices(MOST) {
        return None;
    }
    let (mut too_few, mut enough) = (1, MOST);
    while enough - too_few > 1 {
        let middle = too_few.midpoint(enough);
        if suffices(middle) { enough = middle } else { too_few = middle }
    }
    Some(enough as u64)
}

/// How many decimals show two significant digits of `uncertainty`, between 0 and 6.
pub fn decimals_for(uncertainty: f64) -> usize {
    if uncertainty <= 0.0 || !uncertainty.is_finite() {
        return 3;
    }
    (1.0 - uncertainty.log10().floor()).clamp(0.0, 6.0) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::fixture::Noise;

    fn close(left: f64, right: f64, tolerance: f64) {
        assert!((left - right).abs() <= tolerance, "{left} is not {right}");
    }

    /// Table values of Student's t, two-sided 95 %.
    /// Against the figures of Newcombe 1998, table I.
    #[test]
    fn wilson_intervals_are_the_published_ones() {
        for (hits, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (l, h) = wilson_interval(hits, n);
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{hits}/{n}: {l} {h}");
        }
    }

    #[test]
    fn t_quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (3, 3.182_446_305),
            (9, 2.262_157_163),
            (30, 2.042_272_456),
            (1000, 1.962_339_08),
        ] {
            close(t_quantile(0.975, degrees), expected, 1e-6);
            close(t_two_sided_p(expected, degrees), 0.05, 1e-8);
        }
        // One degree of freedom is Cauchy, two have a closed form.
        close(t_quantile(0.9, 1), (std::f64::consts::PI * 0.4).tan(), 1e-8);
        close(t_quantile(0.9, 2), 0.8 * (2.0_f64 / (4.0 * 0.9 * 0.1)).sqrt(), 1e-8);
    }

    /// Gosset's sleep data (1908), the textbook example of the paired t test: t = -4.0621, p = 0.002833.
    #[test]
    fn the_sleep_data_give_the_textbook_answer() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let differences = first.iter().zip(second).map(|(a, b)| a - b).collect::<Vec<_>>();
        let paired = PairedDifference::of(&differences).unwrap();
        close(paired.estimate.mean, -1.58, 1e-12);
        close(paired.p_t.unwrap(), 0.002_833, 1e-6);
        let interval = paired.estimate.interval.unwrap();
        close(interval.low, -2.459_885_8, 1e-6);
        close(interval.high, -0.700_114_2, 1e-6);
        // All differences but one, a zero, have one sign: 2 of 2^9 patterns, times 2 for the zero's free sign.
        close(paired.p_exact.unwrap(), 4.0 / 1024.0, 1e-12);
    }

    #[test]
    fn one_value_has_no_interval_and_no_p() {
        let single = PairedDifference::of(&[0.3]).unwrap();
        assert_eq!(
            (single.estimate.interval, single.estimate.sd, single.p_t, single.p_exact),
            (None, None, None, None)
        );
        assert_eq!(Estimate::of(&[]), None);
    }

    #[test]
    fn equal_differences_are_certain_and_zeros_are_not() {
        assert_eq!(PairedDifference::of(&[0.5, 0.5]).unwrap().p_t, Some(0.0));
        assert_eq!(PairedDifference::of(&[0.0, 0.0]).unwrap().p_t, Some(1.0));
    }

    /// The worked example of Holm's method: 0.01, 0.04, 0.03, 0.005 at m = 4.
    #[test]
    fn holm_gives_the_worked_example() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in adjusted.into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
            close(value, expected, 1e-12);
        }
    }

    #[test]
    fn more_pairs_than_needed_are_not_asked_for() {
        // One standard deviation at 80 % power and 5 %: ten pairs by this approximation, as in the usual tables.
        assert_eq!(pairs_needed(1.0, 1.0, 0.05), Some(10));
        assert_eq!(pairs_needed(0.0, 1.0, 0.05), None);
        assert_eq!(pairs_needed(1e-6, 1.0, 0.05), None);
    }

    /// The long-run promise of the interval, over 4,000 simulated sweeps for each n.
    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        let mut noise = Noise::new(11);
        for n in [2, 3, 5, 8] {
            let trials = 4_000;
            let covered = (0..trials)
                .filter(|_| {
                    let values = (0..n).map(|_| 3.0 + 0.2 * noise.normal()).collect::<Vec<_>>();
                    Estimate::of(&values).unwrap().interval.unwrap().contains(3.0)
                })
                .count();
            let share = covered as f64 / f64::from(trials);
            close(share, CONFIDENCE, 4.0 * (0.95 * 0.05 / f64::from(trials)).sqrt());
        }
    }

    #[test]
    fn uncertainty_sets_the_digits() {
        for (uncertainty, decimals) in [(0.031, 3), (0.31, 2), (1.2, 1), (45.0, 0), (0.0, 3), (1e-12, 6)] {
            assert_eq!(decimals_for(uncertainty), decimals, "{uncertainty}");
        }
    }

    proptest! {
        /// Against the enumeration of all 2^n patterns, without the symmetry that the function uses.
        #[test]
        fn sign_flips_agree_with_brute_force(tenths in prop::collection::vec(-30i32..30, 2..9)) {
            let differences = tenths.iter().map(|&t| f64::from(t)).collect::<Vec<_>>();
            let observed = tenths.iter().sum::<i32>().abs();
            let patterns = 1u32 << tenths.len();
            let extreme = (0..patterns).filter(|pattern| {
                let sum = tenths.iter().enumerate().map(|(i, t)| if pattern >> i & 1 == 1 { -t } else { *t }).sum::<i32>();
                sum.abs() >= observed
            }).count();
            let expected = extreme as f64 / f64::from(patterns);
            prop_assert!((sign_flip_p(&differences).unwrap() - expected).abs() < 1e-12);
        }

        /// Holm rejects exactly what the step-down procedure, run by hand, rejects.
        #[test]
        fn holm_rejects_what_stepping_down_rejects(p_values in prop::collection::vec(0.0..0.2f64, 1..8)) {
            let mut sorted = p_values.clone();
            sorted.sort_by(f64::total_cmp);
            let rejected = sorted.iter().enumerate().take_while(|(i, p)| **p <= 0.05 / (sorted.len() - i) as f64).count();
            let by_adjustment = holm(&p_values).iter().filter(|p| **p <= 0.05).count();
            prop_assert_eq!(by_adjustment, rejected);
        }

        /// What is rejected among the members that are looked at, Holm's method over the whole family rejects as well.
        #[test]
        fn a_part_of_a_family_rejects_no_more_than_the_family(family in prop::collection::vec(0.0..0.03f64, 2..9), looked in 1usize..9) {
            let looked = looked.min(family.len());
            let whole = holm(&family);
            for (part, whole) in holm_in_family(&family[..looked], family.len()).into_iter().zip(whole) {
                prop_assert!(part >= whole - 1e-15);
            }
        }

        #[test]
        fn quantiles_hit_the_ends_and_never_fall(mut values in prop::collection::vec(-1e3..1e3f64, 1..20)) {
            values.sort_by(f64::total_cmp);
            prop_assert_eq!(quantile(&values, 0.0), Some(values[0]));
            prop_assert_eq!(quantile(&values, 1.0), values.last().copied());
            let swept = (0..=20).map(|i| quantile(&values, f64::from(i) / 20.0).unwrap()).collect::<Vec<_>>();
            prop_assert!(swept.windows(2).all(|pair| pair[0] <= pair[1] + 1e-9));
        }
    }
}
