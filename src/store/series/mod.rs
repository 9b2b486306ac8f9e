//! A run's series, whatever their length: what is asked of them costs what the answer holds, not what was logged.
//!
//! A short log is read whole each time. Of a long one a [`Digest`](digest) is kept in the store's cache: everything but the
//! points, and the points in chunks by series, each with its extrema. It is derived, and made anew from the log whenever it
//! does not fit it; of a log that has grown, only what was added is read.

mod chunks;
mod digest;
mod zoom;

use std::collections::BTreeMap;

pub use zoom::{Buckets, Points, Series, Stretch, zoomed};
pub(super) use zoom::{greatest, least};

use self::digest::Digest;
use super::frame::Place;
use super::history::{History, Measured};
use super::run_dir::RunDir;
use super::{RunState, StoreError};
use crate::types::MetricName;

/// Bytes of a log from which on a digest of it is kept: so many are read in some hundredths of a second.
const LONG: i64 = if cfg!(test) { 4 << 10 } else { 4 << 20 };

/// The series of a run, to be asked for.
#[derive(Debug)]
pub struct SeriesBook(Source);

#[derive(Debug)]
enum Source {
    Whole(BTreeMap<MetricName, Vec<Measured>>),
    Digest(Box<Digest>),
}

impl RunDir {
    /// Whether the log is so long that nobody should read it whole to answer a question.
    ///
    /// # Errors
    /// When there is no log.
    pub fn is_long(&self) -> Result<bool, StoreError> {
        Ok(self.log_stamp()?.size >= LONG)
    }

    /// The history so far without its points, the state that follows from it and from who holds the lease, and the series.
    ///
    /// # Errors
    /// Those of [`read_history`](Self::read_history).
    pub fn read_overview(&self) -> Result<(History, RunState, SeriesBook), StoreError> {
        loop {
            let stamp = self.log_stamp()?;
            let LogRead { history, series, .. } = self.read_log()?;
            if let Some(state) = self.state_now(history.recorded_state(), stamp)? {
                return Ok((history, state, series));
            }
        }
    }

    /// What the log says now.
    pub(super) fn read_log(&self) -> Result<LogRead, StoreError> {
        if self.is_long()? {
            let digest = Digest::of(self)?;
            let (history, place) = (digest.history(), digest.place());
            return Ok(LogRead { history, series: SeriesBook(Source::Digest(Box::new(digest))), place });
        }
        let mut reader = self.events()?;
        let history = self.read_history_from(&mut reader)?;
        let series = SeriesBook::of(&history);
        Ok(LogRead { history: history.without_points(), series, place: reader.place() })
    }
}

/// What a log says.
pub(super) struct LogRead {
    /// Without its points.
    pub history: History,
    pub series: SeriesBook,
    /// Where the reading ended, if it can go on from there.
    pub place: Option<Place>,
}

impl SeriesBook {
    /// The series of a history that was read whole.
    pub fn of(history: &History) -> Self {
        Self(Source::Whole(history.all_measured().map(|(name, points)| (name.clone(), points)).collect()))
    }

    /// What there is of each metric in short: none is empty.
    pub fn summaries(&self) -> BTreeMap<&MetricName, Stretch> {
        let of = |points: &[Measured]| points.iter().map(Stretch::of).reduce(|all, next| all.and(&next));
        match &self.0 {
            Source::Whole(series) => series.iter().filter_map(|(name, points)| Some((name, of(points)?))).collect(),
            Source::Digest(digest) => digest.summaries(),
        }
    }

    /// A metric's values from step `from` to step `to` in no more than `most` points or buckets; `None` when nothing measured it.
    ///
    /// # Errors
    /// When the points cannot be read.
    pub fn zoomed(
        &self,
        metric: &str,
        from: Option<i64>,
        to: Option<i64>,
        most: usize,
    ) -> Result<Option<Series>, StoreError> {
        match &self.0 {
            Source::Whole(series) => {
                let found = metric.parse::<MetricName>().ok().and_then(|metric| series.get(&metric));
                Ok(found.map(|points| zoomed(points, from, to, most)))
            }
            Source::Digest(digest) => match digest.zoomed(metric, from, to, most) {
                // Points that are not what was written: they are in the log.
                Err(StoreError::Io { .. }) => digest.anew()?.zoomed(metric, from, to, most),
                result => result,
            },
        }
    }

    /// No more than `most` points of every metric, in order of step: all, or those on which stretches of equal width end, so the
    /// last is always among them.
    ///
    /// # Errors
    /// When the points cannot be read.
    pub fn thinned(&self, most: usize) -> Result<BTreeMap<MetricName, Vec<Measured>>, StoreError> {
        let mut all = BTreeMap::new();
        for name in self.summaries().into_keys() {
            let found = self.zoomed(name.as_str(), None, None, most)?.unwrap_or_default();
            let (steps, values) = match (found.exact, found.buckets) {
                (Some(points), _) => (points.steps, points.values),
                (None, Some(buckets)) => (buckets.to, buckets.last),
                (None, None) => continue,
            };
            let points = steps.into_iter().zip(values).map(|(step, value)| Measured { step, value, at: None });
            all.insert(name.clone(), points.collect());
        }
        Ok(all)
    }

    /// Every point of a metric in order of step; none when nothing measured it.
    pub fn points<'b>(&'b self, metric: &str) -> Box<dyn Iterator<Item = Result<Measured, StoreError>> + 'b> {
        match &self.0 {
            Source::Whole(series) => {
                let found = metric.parse::<MetricName>().ok().and_then(|metric| series.get(&metric));
                Box::new(found.into_iter().flatten().map(|point| Ok(*point)))
            }
            Source::Digest(digest) => digest.all_points(metric),
        }
    }

    /// Some points of a metric in order of step, from the first at or after a step on; none where there is no such point.
    ///
    /// # Errors
    /// When the points cannot be read.
    pub fn some_from(&self, metric: &str, from: i64) -> Result<Vec<Measured>, StoreError> {
        /// As many as a chunk has.
        const SOME: usize = 512;

        match &self.0 {
            Source::Whole(series) => {
                let found = metric.parse::<MetricName>().ok().and_then(|metric| series.get(&metric));
                let points = found.map(Vec::as_slice).unwrap_or_default();
                let start = points.partition_point(|point| point.step < from);
                Ok(points[start..].iter().take(SOME).copied().collect())
            }
            Source::Digest(digest) => {
                let mut points = match digest.chunk_from(metric, from) {
                    Err(StoreError::Io { .. }) => digest.anew()?.chunk_from(metric, from)?,
                    result => result?,
                };
                points.retain(|point| point.step >= from);
                Ok(points)
            }
        }
    }

    /// The values of a metric at these steps, which rise; `None` at those at which nothing measured it.
    ///
    /// # Errors
    /// When the points cannot be read.
    pub fn at_each(&self, metric: &str, steps: &[i64]) -> Result<Vec<Option<f64>>, StoreError> {
        let mut near = Vec::<Measured>::new();
        let value = |&step| {
            if near.last().is_none_or(|last| last.step < step) {
                near = self.some_from(metric, step)?;
            }
            let found = near.binary_search_by_key(&step, |point| point.step);
            Ok(found.ok().map(|at| near[at].value))
        };
        steps.iter().map(value).collect()
    }

    /// The value of a metric at a step.
    ///
    /// # Errors
    /// When the points cannot be read.
    pub fn at(&self, metric: &str, step: i64) -> Result<Option<f64>, StoreError> {
        let series = self.zoomed(metric, Some(step), Some(step), 1)?;
        Ok(series.and_then(|series| series.exact?.values.first().copied()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Looked up one after another, as in a map of all points.
        #[test]
        fn values_at_steps_are_those_of_the_points(
            points in prop::collection::btree_map(0_i64..3_000, any::<f64>(), 0..2_000),
            steps in prop::collection::btree_set(-5_i64..3_005, 0..200),
        ) {
            let all: Vec<Measured> = points.iter().map(|(&step, &value)| Measured { step, value, at: None }).collect();
            let book = SeriesBook(Source::Whole(BTreeMap::from([("loss".parse().unwrap(), all)])));
            let steps: Vec<i64> = steps.into_iter().collect();
            let bits = |value: &f64| value.to_bits();
            let found: Vec<_> = book.at_each("loss", &steps).unwrap().iter().map(|value| value.as_ref().map(bits)).collect();
            prop_assert_eq!(found, steps.iter().map(|step| points.get(step).map(bits)).collect::<Vec<_>>());
        }

        /// What is thinned is points that there are, in their order, the last among them.
        #[test]
        fn thinned_points_are_points(
            points in prop::collection::btree_map(any::<i64>(), any::<f64>(), 1..300),
            most in 1_usize..50,
        ) {
            let points: Vec<Measured> = points.into_iter().map(|(step, value)| Measured { step, value, at: None }).collect();
            let bits = |point: &Measured| (point.step, point.value.to_bits());
            let name: MetricName = "loss".parse().unwrap();
            let book = SeriesBook(Source::Whole(BTreeMap::from([(name.clone(), points.clone())])));
            let thinned = &book.thinned(most).unwrap()[&name];
            prop_assert!(thinned.len() <= most);
            let mut rest = points.iter().map(bits);
            prop_assert!(thinned.iter().all(|point| rest.any(|of_all| of_all == bits(point))));
            prop_assert_eq!(thinned.last().map(bits), points.last().map(bits));
            prop_assert!(points.len() > most || thinned.len() == points.len());
        }
    }
}
