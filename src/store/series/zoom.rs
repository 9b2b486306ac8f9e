//! A series at any zoom: as it is where it is short, and else in buckets of steps that keep the exact extrema, so that no
//! peak is lost that a reader could have seen.

use serde::Serialize;

use super::super::history::Measured;
use crate::types::Timestamp;

/// A metric's values over a range of steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Series {
    /// Points of the whole series, and of the range.
    pub points: usize,
    pub in_range: usize,
    /// Steps of the whole series: the first and the last; absent when it is empty.
    pub first_step: Option<i64>,
    pub last_step: Option<i64>,
    /// Each point of the range, where there are no more than were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<Points>,
    /// Buckets of the range, where there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Buckets>,
}

/// Points by column.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Points {
    pub steps: Vec<i64>,
    pub values: Vec<f64>,
    /// When each was measured, where a guest says it.
    #[serde(skip)]
    pub at: Vec<Option<Timestamp>>,
}

/// Buckets by column: each holds the points from one step to another, and the next begins after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Buckets {
    pub from: Vec<i64>,
    pub to: Vec<i64>,
    /// When the first and the last point were measured, where a guest says it.
    #[serde(skip)]
    pub from_at: Vec<Option<Timestamp>>,
    #[serde(skip)]
    pub to_at: Vec<Option<Timestamp>>,
    pub first: Vec<f64>,
    pub last: Vec<f64>,
    /// The extrema of the values that are numbers, infinite ones included; `null` where none is.
    pub min: Vec<Option<f64>>,
    pub max: Vec<Option<f64>>,
    pub points: Vec<usize>,
    /// Points that are not a number.
    pub nans: Vec<usize>,
}

/// What is shown of `all`, whose steps rise, from step `from` to step `to`, in no more than `most` points or buckets.
///
/// Buckets are of equal width in steps, as the pixels of a chart are.
pub fn zoomed(all: &[Measured], from: Option<i64>, to: Option<i64>, most: usize) -> Series {
    let start = from.map_or(0, |from| all.partition_point(|point| point.step < from));
    let end = to.map_or(all.len(), |to| all.partition_point(|point| point.step <= to));
    let range = &all[start.min(end)..end];
    let series = Series {
        points: all.len(),
        in_range: range.len(),
        first_step: all.first().map(|point| point.step),
        last_step: all.last().map(|point| point.step),
        ..Series::default()
    };
    let [first, .., last] = range else { return Series { exact: Some(Points::of(range)), ..series } };
    if range.len() <= most {
        return Series { exact: Some(Points::of(range)), ..series };
    }
    let mut filling = Filling::new(first.step, last.step, most);
    range.iter().for_each(|point| filling.add(&Stretch::of(point)));
    Series { buckets: Some(filling.finish()), ..series }
}

impl Points {
    pub(super) fn of(points: &[Measured]) -> Self {
        let (steps, values) = points.iter().map(|point| (point.step, point.value)).unzip();
        Self { steps, values, at: points.iter().map(|point| point.at).collect() }
    }
}

/// What is kept of points whose steps rise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    pub first: Measured,
    pub last: Measured,
    /// The extrema of the values that are numbers; `None` where none is.
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub points: usize,
    pub nans: usize,
}

impl Stretch {
    /// Of one point.
    pub fn of(point: &Measured) -> Self {
        let number = Some(point.value).filter(|value| !value.is_nan());
        let nans = usize::from(number.is_none());
        Self { first: *point, last: *point, min: number, max: number, points: 1, nans }
    }

    /// Of these and the points after them.
    pub fn and(&self, after: &Self) -> Self {
        Self {
            first: self.first,
            last: after.last,
            min: least(self.min, after.min),
            max: greatest(self.max, after.max),
            points: self.points + after.points,
            nans: self.nans + after.nans,
        }
    }
}

/// The smaller of two extrema, either of which may be missing: as `total_cmp` has it, so that -0.0 is below 0.0.
pub fn least(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).min_by(f64::total_cmp)
}

/// The larger of two extrema.
pub fn greatest(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).max_by(f64::total_cmp)
}

/// Buckets that are being filled, first to last.
pub(super) struct Filling {
    start: i128,
    width: i128,
    open: Option<(i128, Stretch)>,
    buckets: Buckets,
}

impl Filling {
    /// Buckets for steps from `first` to `last`, at most `most`.
    pub fn new(first: i64, last: i64, most: usize) -> Self {
        let (start, last) = (i128::from(first), i128::from(last));
        let width = ((last - start) / most.max(1) as i128 + 1).max(1);
        Self { start, width, open: None, buckets: Buckets::default() }
    }

    /// Whether all points from one step to another fall into one bucket.
    pub fn is_one(&self, from: i64, to: i64) -> bool {
        self.number(from) == self.number(to)
    }

    fn number(&self, step: i64) -> i128 {
        (i128::from(step) - self.start) / self.width
    }

    /// Adds points that fall into one bucket, and come after all that were added.
    pub fn add(&mut self, points: &Stretch) {
        let number = self.number(points.first.step);
        self.open = Some(match self.open.take() {
            Some((open, fold)) if open == number => (open, fold.and(points)),
            before => {
                self.close(before);
                (number, *points)
            }
        });
    }

    fn close(&mut self, open: Option<(i128, Stretch)>) {
        let Some((_, fold)) = open else { return };
        let buckets = &mut self.buckets;
        buckets.from.push(fold.first.step);
        buckets.to.push(fold.last.step);
        buckets.from_at.push(fold.first.at);
        buckets.to_at.push(fold.last.at);
        buckets.first.push(fold.first.value);
        buckets.last.push(fold.last.value);
        buckets.min.push(fold.min);
        buckets.max.push(fold.max);
        buckets.points.push(fold.points);
        buckets.nans.push(fold.nans);
    }

    pub fn finish(mut self) -> Buckets {
        let open = self.open.take();
        self.close(open);
        self.buckets
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub fn any_series() -> impl Strategy<Value = Vec<Measured>> {
        let value = prop_oneof![8 => -9.0..9.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)];
        prop::collection::btree_map(prop_oneof![9 => -50i64..200, 1 => any::<i64>()], value, 0..120)
            .prop_map(|points| points.into_iter().map(|(step, value)| Measured { step, value, at: None }).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Every point of the range is in one bucket, in order, and the bucket says its extremes: by looking at each.
        #[test]
        fn buckets_are_what_is_in_them(all in any_series(), a in -60i64..210, b in -60i64..210, most in 1usize..40) {
            let series = zoomed(&all, Some(a), Some(b), most);
            let range: Vec<&Measured> = all.iter().filter(|point| (a..=b).contains(&point.step)).collect();
            prop_assert_eq!((series.points, series.in_range), (all.len(), range.len()));
            if let Some(points) = &series.exact {
                prop_assert!(range.len() <= most);
                prop_assert_eq!(&points.steps, &range.iter().map(|point| point.step).collect::<Vec<_>>());
            }
            let Some(buckets) = series.buckets else { return Ok(()) };
            prop_assert!(range.len() > most && buckets.from.len() <= most);
            prop_assert_eq!(buckets.points.iter().sum::<usize>(), range.len());
            for at in 0..buckets.from.len() {
                let (from, to) = (buckets.from[at], buckets.to[at]);
                prop_assert!(from <= to && (at == 0 || buckets.to[at - 1] < from));
                let inside: Vec<f64> = range.iter().filter(|p| (from..=to).contains(&p.step)).map(|p| p.value).collect();
                prop_assert_eq!(inside.len(), buckets.points[at]);
                let numbers: Vec<f64> = inside.iter().copied().filter(|value| !value.is_nan()).collect();
                prop_assert_eq!(inside.len() - numbers.len(), buckets.nans[at]);
                prop_assert_eq!(buckets.min[at].is_some(), !numbers.is_empty());
                for (found, is_beaten) in [(buckets.min[at], f64::lt as fn(&f64, &f64) -> bool), (buckets.max[at], f64::gt)] {
                    let Some(found) = found else { continue };
                    prop_assert!(numbers.contains(&found) && !numbers.iter().any(|value| is_beaten(value, &found)));
                }
                prop_assert_eq!(buckets.first[at].to_bits(), inside[0].to_bits());
                prop_assert_eq!(buckets.last[at].to_bits(), inside[inside.len() - 1].to_bits());
            }
        }
    }

    #[test]
    fn a_peak_of_one_step_is_seen_from_afar() {
        let value = |step| if step == 654_321 { 99.0 } else { 1.0 };
        let all: Vec<Measured> = (0..1_000_000).map(|step| Measured { step, value: value(step), at: None }).collect();
        let buckets = zoomed(&all, None, None, 800).buckets.unwrap();
        assert_eq!(buckets.max.iter().filter(|max| **max == Some(99.0)).count(), 1);
        assert!(buckets.min.iter().all(|min| *min == Some(1.0)) && buckets.from.len() > 790);
    }
}
