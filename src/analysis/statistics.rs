//! The statistics of comparing a handful of runs: Student's t, corrections for many comparisons, rank correlation.
//!
//! A handful of seeds is too few for a bootstrap, whose intervals are then too narrow; Student's t is right for any n
//! from two up when the values are near normal. One value has no interval, and every function here says so by `None`
//! instead of by a width of zero.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The share of intervals that hold the true mean in the long run.
pub const CONFIDENCE: f64 = 0.95;

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
        let half = sd.map(|sd| t_quantile(0.5 + CONFIDENCE / 2.0, (n - 1) as f64) * sd / (n as f64).sqrt());
        let interval = half.map(|half| Interval { low: mean - half, high: mean + half });
        Some(Self { n, mean, min, max, sd, interval })
    }
}

/// The arithmetic mean; absent for no values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample variance, with n - 1 in the denominator; absent below two values.
pub fn sample_variance(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|_| values.len() > 1)?;
    Some(values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64)
}

/// The square root of [`sample_variance`].
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    sample_variance(values).map(f64::sqrt)
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

/// The quantile `p` of Student's t with `degrees` degrees of freedom, whole or not.
///
/// # Panics
/// When `degrees` is not above 0: such a distribution does not exist.
pub fn t_quantile(p: f64, degrees: f64) -> f64 {
    students_t(degrees).inverse_cdf(p)
}

/// The probability that |t| is at least as large by chance, with `degrees` degrees of freedom.
pub fn t_two_sided_p(t: f64, degrees: f64) -> f64 {
    if t.is_infinite() { 0.0 } else { (2.0 * students_t(degrees).sf(t.abs())).min(1.0) }
}

fn students_t(degrees: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees).expect("invariant: degrees of freedom are above 0")
}

/// The derivative of digamma, for positive `x`: the recurrence up to 8, and the asymptotic series from there
/// (Abramowitz & Stegun 6.4.6, 6.4.12), good to 1e-10.
pub fn trigamma(x: f64) -> f64 {
    let (mut sum, mut x) = (0.0, x);
    while x < 8.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series = 1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0));
    sum + 1.0 / x + 0.5 * square + square / x * series
}

/// Spearman's rank correlation with its two-sided p by Student's t; absent below four pairs or where one side is constant.
pub fn rank_correlation(pairs: &[(f64, f64)]) -> Option<(f64, f64)> {
    let (left, right): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (left, right) = (ranks(&left), ranks(&right));
    let centre = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - centre) * (b - centre)).sum::<f64>();
    let spread = (product(&left, &left) * product(&right, &right)).sqrt();
    if pairs.len() < 4 || spread <= 0.0 {
        return None;
    }
    let rho = (product(&left, &right) / spread).clamp(-1.0, 1.0);
    let degrees = pairs.len() as f64 - 2.0;
    Some((rho, t_two_sided_p(rho * (degrees / (1.0 - rho * rho)).sqrt(), degrees)))
}

/// The rank of each value from 1; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let below = |value: f64| sorted.partition_point(|other| *other < value);
    let through = |value: f64| sorted.partition_point(|other| *other <= value);
    values.iter().map(|&value| (below(value) + through(value) + 1) as f64 / 2.0).collect()
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

/// How many decimals a mean has: those of its uncertainty, and no fewer than show it to four digits or to thousandths, so that
/// a wide interval does not round it away.
pub fn decimals_for_mean(mean: f64, uncertainty: Option<f64>) -> usize {
    let size = mean.abs().max(uncertainty.unwrap_or_default());
    let digits = if size >= 1.0 && size.is_finite() { (3.0 - size.log10().floor()).max(0.0) as usize } else { 3 };
    uncertainty.map_or(digits, |uncertainty| decimals_for(uncertainty).max(digits))
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

    /// Against the figures of Newcombe 1998, table I.
    /// `6.3 ± 1.9` would hide the difference between 6.346 and 6.326.
    #[test]
    fn a_wide_interval_does_not_round_a_mean_away() {
        let check = |mean: f64, half: Option<f64>, expected: &str| {
            assert_eq!(format!("{mean:.0$}", decimals_for_mean(mean, half)), expected, "{mean} {half:?}");
        };
        check(6.346, Some(1.9), "6.346");
        check(4.6551, Some(0.064), "4.655");
        check(0.492, Some(0.1), "0.492");
        check(0.02012, Some(0.34), "0.020");
        check(0.0249, Some(0.0078), "0.0249");
        check(-345.678, Some(23.0), "-345.7");
        check(561_167.2, Some(1_200.0), "561167");
        check(4.63149, None, "4.631");
        check(0.0, None, "0.000");
    }

    #[test]
    fn wilson_intervals_are_the_published_ones() {
        for (hits, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let (l, h) = wilson_interval(hits, n);
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{hits}/{n}: {l} {h}");
        }
    }

    /// Table values of Student's t, two-sided 95 %.
    #[test]
    fn t_quantiles_are_those_of_the_tables() {
        for (degrees, expected) in [
            (1.0, 12.706_204_736),
            (2.0, 4.302_652_730),
            (3.0, 3.182_446_305),
            (9.0, 2.262_157_163),
            (30.0, 2.042_272_456),
            (1000.0, 1.962_339_08),
        ] {
            close(t_quantile(0.975, degrees), expected, 1e-6);
            close(t_two_sided_p(expected, degrees), 0.05, 1e-8);
        }
        // One degree of freedom is Cauchy, two have a closed form.
        close(t_quantile(0.9, 1.0), (std::f64::consts::PI * 0.4).tan(), 1e-8);
        close(t_quantile(0.9, 2.0), 0.8 * (2.0_f64 / (4.0 * 0.9 * 0.1)).sqrt(), 1e-8);
    }

    /// Gosset's sleep data (1908), the textbook example of the paired t test: t = -4.0621, p = 0.002833.
    #[test]
    fn the_sleep_data_give_the_textbook_answer() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let differences = first.iter().zip(second).map(|(a, b)| a - b).collect::<Vec<_>>();
        let estimate = Estimate::of(&differences).unwrap();
        close(estimate.mean, -1.58, 1e-12);
        close(t_two_sided_p(estimate.mean / (estimate.sd.unwrap() / 10.0_f64.sqrt()), 9.0), 0.002_833, 1e-6);
        let interval = estimate.interval.unwrap();
        close(interval.low, -2.459_885_8, 1e-6);
        close(interval.high, -0.700_114_2, 1e-6);
    }

    #[test]
    fn one_value_has_no_interval() {
        let single = Estimate::of(&[0.3]).unwrap();
        assert_eq!((single.interval, single.sd, Estimate::of(&[])), (None, None, None));
    }

    /// The textbook table of IQ and hours of television: rho = -29/165, p = 0.627188.
    #[test]
    fn rank_correlation_is_that_of_the_textbook() {
        let iq = [106.0, 100.0, 86.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0];
        let hours = [7.0, 27.0, 2.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        let (rho, p) = rank_correlation(&iq.into_iter().zip(hours).collect::<Vec<_>>()).unwrap();
        close(rho, -29.0 / 165.0, 1e-12);
        close(p, 0.627_188, 1e-6);
        assert_eq!(ranks(&[2.0, 1.0, 2.0, 5.0]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(rank_correlation(&[(1.0, 2.0); 6]), None);
    }

    /// The worked example of Holm's method: 0.01, 0.04, 0.03, 0.005 at m = 4.
    #[test]
    fn holm_gives_the_worked_example() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (value, expected) in adjusted.into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
            close(value, expected, 1e-12);
        }
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
