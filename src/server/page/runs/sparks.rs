//! A metric's curve as a small drawing in a row of the table, `~train/loss` among the columns: at most [`POINTS`] points, from the
//! digest of a long log. What was drawn is kept as long as its run says the same. A view waits for new ones for no more than a
//! moment: those that are left are there when it is asked for again, which the script does.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use maud::{Markup, PreEscaped, html};

use crate::clock::Stopwatch;
use crate::report::format;
use crate::store::{Facts, RunVersion, Series, Store, StoreError};
use crate::types::RunId;

/// Points or buckets of a curve.
const POINTS: usize = 60;

/// Seconds after which a view begins no further drawing: a log that nobody looked into yet may be long.
const PATIENCE_SECS: f64 = 0.15;

/// Drawings that are kept, some 1 kB each.
const MOST_KEPT: usize = 4_000;

/// Width and height, in the units of the drawing.
const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 22.0;

/// What was drawn, by run and metric.
#[derive(Default)]
pub struct Sparks(Mutex<HashMap<(RunId, String), Drawn>>);

/// A drawing, and what its run was like then.
type Drawn = (RunVersion, Arc<str>);

impl Sparks {
    /// The curve of a metric of a run; nothing where the run has none. Of a run that cannot be read it is said why: the others are
    /// shown all the same.
    pub fn of(&self, store: &Store, (facts, version): &(Facts, RunVersion), metric: &str, since: &Stopwatch) -> Markup {
        let Some(metric) = metric_of(facts, metric) else { return html! { span.none { "\u{2013}" } } };
        let key = (facts.row.id.clone(), metric);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, drawn)) = known.filter(|(of, _)| of == version) {
            return PreEscaped(drawn.to_string());
        }
        if since.elapsed_secs() > PATIENCE_SECS {
            return html! { span.none data-later title="not drawn yet" { "\u{2026}" } };
        }
        let drawn = match series_of(store, &key.0, &key.1) {
            Ok(series) => drawing(&key.1, &series),
            Err(error) => return html! { span.none title=(error) { "not readable" } },
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            kept.clear();
        }
        kept.insert(key, (*version, drawn.0.as_str().into()));
        drawn
    }
}

fn series_of(store: &Store, run: &RunId, metric: &str) -> Result<Series, StoreError> {
    let (_, _, series) = store.run(run)?.read_overview()?;
    Ok(series.zoomed(metric, None, None, POINTS)?.unwrap_or_default())
}

/// The metric that a run has under a name, or under a name that ends so.
fn metric_of(facts: &Facts, name: &str) -> Option<String> {
    let mut known = facts.row.metrics.keys().map(|metric| metric.as_str());
    let exact = known.clone().find(|metric| *metric == name);
    exact.or_else(|| known.find(|metric| metric.rsplit('/').next() == Some(name))).map(str::to_owned)
}

/// Values by step as a line; of buckets their last values, and behind them all that is between their extrema.
fn drawing(metric: &str, series: &Series) -> Markup {
    let points = line(series);
    let finite =
        || points.iter().flat_map(|point| [point.low, point.value, point.high]).filter(|value| value.is_finite());
    let (low, high) = finite().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return html! {} };
    let number = |value: f64| format::metric(Some(value));
    let label = format!(
        "{metric}: {} to {}, {}",
        number(first.value),
        number(last.value),
        format::plural(series.points, "point")
    );
    let span = (last.step - first.step).max(1.0);
    let at = |step: f64, value: f64| {
        let share = if high > low { (high - value) / (high - low) } else { 0.5 };
        format!("{:.1},{:.1} ", 1.0 + (step - first.step) / span * (WIDTH - 2.0), 1.0 + share * (HEIGHT - 2.0))
    };
    // What is not finite leaves a gap.
    let pieces = points.split(|point| ![point.low, point.value, point.high].iter().all(|value| value.is_finite()));
    let (mut lines, mut band) = (String::new(), String::new());
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        let text: String = piece.iter().map(|point| at(point.step, point.value)).collect();
        // A single point is a dot: a line of no length with round ends.
        let again = if piece.len() == 1 { text.as_str() } else { "" };
        let _ = write!(lines, "M{text}{again}");
        if series.buckets.is_some() {
            let above: String = piece.iter().map(|point| at(point.step, point.high)).collect();
            let below: String = piece.iter().rev().map(|point| at(point.step, point.low)).collect();
            let _ = write!(band, "M{above}{below}Z");
        }
    }
    html! {
        svg.spark viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } width=(WIDTH) height=(HEIGHT) role="img" aria-label=(label) {
            title { (label) }
            @if !band.is_empty() { path.band d=(band.trim_end()) {} }
            path d=(lines.trim_end()) {}
        }
    }
}

/// A place of the line.
struct Place {
    step: f64,
    value: f64,
    low: f64,
    high: f64,
}

fn line(series: &Series) -> Vec<Place> {
    if let Some(exact) = &series.exact {
        let place =
            |(step, value): (&i64, &f64)| Place { step: *step as f64, value: *value, low: *value, high: *value };
        return exact.steps.iter().zip(&exact.values).map(place).collect();
    }
    let Some(buckets) = &series.buckets else { return Vec::new() };
    let place = |at: usize| Place {
        step: buckets.to[at] as f64,
        value: buckets.last[at],
        low: buckets.min[at].unwrap_or(f64::NAN),
        high: buckets.max[at].unwrap_or(f64::NAN),
    };
    (0..buckets.to.len()).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Measured, zoomed};

    fn drawn(values: &[f64], most: usize) -> String {
        let points: Vec<Measured> = values
            .iter()
            .enumerate()
            .map(|(step, value)| Measured { step: step as i64, value: *value, at: None })
            .collect();
        drawing("a<b", &zoomed(&points, None, None, most)).into_string()
    }

    #[test]
    fn a_curve_says_in_words_what_it_shows() {
        insta::assert_snapshot!(drawn(&[3.0, 1.0, 2.0], 60), @r#"<svg class="spark" viewBox="0 0 120 22" width="120" height="22" role="img" aria-label="a&lt;b: 3.0000 to 2.0000, 3 points"><title>a&lt;b: 3.0000 to 2.0000, 3 points</title><path d="M1.0,1.0 60.0,21.0 119.0,11.0"></path></svg>"#);
        assert_eq!(drawn(&[], 60), "");
    }

    #[test]
    fn no_peak_is_lost_and_what_is_not_finite_is_a_gap() {
        let mut values = vec![1.0; 600];
        values[333] = 9.0;
        let band = drawn(&values, POINTS);
        assert!(band.contains("class=\"band\"") && band.contains(",1.0 "), "the peak is at the top: {band}");
        assert_eq!(band.matches(',').count(), 2 + 3 * POINTS, "{band}");
        let gap = drawn(&[1.0, f64::NAN, 2.0, f64::INFINITY], 60);
        assert_eq!(gap.matches('M').count(), 2, "{gap}");
        let path = gap.split(" d=").nth(1).expect("a path");
        assert!(!path.contains("NaN") && !path.contains("inf"), "{gap}");
        assert!(drawn(&[f64::NAN], 60).contains("NaN to NaN, 1 point"));
    }
}
