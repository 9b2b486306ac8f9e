//! Curves: smoothing that says it smooths, decimation that keeps every extreme, replicates on common steps.
//!
//! All of this is for drawing. Numbers in tables come from the recorded points themselves.

use std::collections::BTreeMap;

use super::comparison::Point;
use super::statistics::quantile;

/// The exponential moving average with `weight` in [0, 1) on the past, debiased as Adam debiases its moments
/// (Kingma & Ba 2015, section 3), so that the first value is not pulled towards zero. Weight 0 changes nothing.
///
/// A value that is not finite is passed through and leaves the average as it was.
pub fn smooth(points: &[Point], weight: f64) -> Vec<Point> {
    let (mut average, mut remaining_bias) = (0.0, 1.0);
    let smooth_one = |point: &Point| {
        if !point.value.is_finite() {
            return *point;
        }
        average = weight * average + (1.0 - weight) * point.value;
        remaining_bias *= weight;
        Point { step: point.step, value: average / (1.0 - remaining_bias) }
    };
    points.iter().map(smooth_one).collect()
}

/// At most `2 * buckets + 2` of the points: the first, the last, and the lowest and highest of each bucket of
/// consecutive points, so that no spike is lost. Fewer points than that come back as they are.
pub fn decimate(points: &[Point], buckets: usize) -> Vec<Point> {
    if points.len() <= 2 * buckets + 2 || buckets == 0 {
        return points.to_vec();
    }
    let mut kept = vec![points[0]];
    let inner = &points[1..points.len() - 1];
    for bucket in 0..buckets {
        let slice = &inner[bucket * inner.len() / buckets..(bucket + 1) * inner.len() / buckets];
        let by_value = |a: &(usize, &Point), b: &(usize, &Point)| a.1.value.total_cmp(&b.1.value);
        let low = slice.iter().enumerate().min_by(by_value);
        let high = slice.iter().enumerate().max_by(by_value);
        if let (Some((low, _)), Some((high, _))) = (low, high) {
            kept.push(slice[low.min(high)]);
            if low != high {
                kept.push(slice[low.max(high)]);
            }
        }
    }
    kept.push(points[points.len() - 1]);
    kept
}

/// The values of all replicates at each step that every one of them has: a mean over it never changes its members.
pub fn align(replicates: &[&[Point]]) -> Vec<(i64, Vec<f64>)> {
    let mut by_step = BTreeMap::<i64, Vec<f64>>::new();
    for point in replicates.iter().flat_map(|points| points.iter()) {
        by_step.entry(point.step).or_default().push(point.value);
    }
    by_step.into_iter().filter(|(_, values)| values.len() == replicates.len()).collect()
}

/// The mean over replicates at each common step.
pub fn mean_curve(replicates: &[&[Point]]) -> Vec<Point> {
    let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
    align(replicates).into_iter().map(|(step, values)| Point { step, value: mean(values) }).collect()
}

/// One step of a [`band`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BandPoint {
    pub step: i64,
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

/// The quantiles `low`, 0.5 and `high` over replicates at each common step.
pub fn band(replicates: &[&[Point]], low: f64, high: f64) -> Vec<BandPoint> {
    let at_step = |(step, mut values): (i64, Vec<f64>)| {
        values.sort_by(f64::total_cmp);
        let at = |q| quantile(&values, q);
        Some(BandPoint { step, low: at(low)?, middle: at(0.5)?, high: at(high)? })
    };
    align(replicates).into_iter().filter_map(at_step).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn points(values: &[f64]) -> Vec<Point> {
        values.iter().enumerate().map(|(i, &value)| Point { step: i as i64 * 10, value }).collect()
    }

    /// Against the weighted mean that the debiased average equals: weights w^(n-1-i), normalised.
    fn weighted_mean(values: &[f64], weight: f64) -> f64 {
        let weights = (0..values.len()).map(|i| weight.powi((values.len() - 1 - i) as i32)).collect::<Vec<_>>();
        values.iter().zip(&weights).map(|(v, w)| v * w).sum::<f64>() / weights.iter().sum::<f64>()
    }

    #[test]
    fn a_value_that_is_not_finite_leaves_the_average_alone() {
        let smoothed = smooth(&points(&[2.0, f64::NAN, 2.0]), 0.9);
        assert!(smoothed[1].value.is_nan());
        assert!((smoothed[2].value - 2.0).abs() < 1e-12);
    }

    #[test]
    fn replicates_meet_on_common_steps_only() {
        let long = points(&[1.0, 2.0, 3.0]);
        let short = points(&[3.0, 4.0]);
        assert_eq!(mean_curve(&[&long, &short]), points(&[2.0, 3.0]));
        assert_eq!(band(&[&long], 0.25, 0.75)[2], BandPoint { step: 20, low: 3.0, middle: 3.0, high: 3.0 });
        assert_eq!(align(&[]), vec![]);
    }

    proptest! {
        #[test]
        fn smoothing_is_the_normalised_weighted_mean(values in prop::collection::vec(-5.0..5.0f64, 1..40), weight in 0.0..0.99f64) {
            let smoothed = smooth(&points(&values), weight);
            for (i, point) in smoothed.iter().enumerate() {
                prop_assert!((point.value - weighted_mean(&values[..=i], weight)).abs() < 1e-9);
            }
        }

        #[test]
        fn decimation_keeps_ends_extremes_and_order(values in prop::collection::vec(-5.0..5.0f64, 1..400), buckets in 1usize..40) {
            let all = points(&values);
            let kept = decimate(&all, buckets);
            let extreme = |points: &[Point], pick: fn(f64, f64) -> f64| points.iter().map(|p| p.value).reduce(pick);
            prop_assert!(kept.len() <= (2 * buckets + 2).max(1));
            prop_assert_eq!(kept.first(), all.first());
            prop_assert_eq!(kept.last(), all.last());
            prop_assert_eq!(extreme(&kept, f64::min), extreme(&all, f64::min));
            prop_assert_eq!(extreme(&kept, f64::max), extreme(&all, f64::max));
            prop_assert!(kept.windows(2).all(|pair| pair[0].step < pair[1].step));
        }
    }
}
