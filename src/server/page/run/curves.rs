//! The curves of a run: what the script draws them from.
//!
//! A page brings its first curves, each as it is seen from afar. What is looked at closely, and what was measured since, the script asks of
//! `/api/v1/runs/ID/series`; a view that is only kept up is told how long each series is and no more.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Value, json};

use super::super::data;
use crate::report::comparison::floors_of;
use crate::report::json as spelled;
use crate::store::{SeriesBook, StoreError, StoredRun, Stretch};
use crate::types::MetricName;

/// Points or buckets of a curve that the page brings with it.
const BUCKETS: usize = 600;

/// Panels that are there at first; more are drawn when somebody wants to see them.
const PANELS: usize = 24;

/// Last words of metrics that rise with the steps, so that others can be laid over them.
const RISING: [&str; 6] = ["tokens", "num_input_tokens_seen", "samples", "examples", "epoch", "epochs"];

/// Curves, a panel for all metrics of one name: `train/loss` and `valid/loss` are one.
pub fn curves(
    run: &StoredRun,
    book: &SeriesBook,
    summaries: &BTreeMap<&MetricName, Stretch>,
    is_refresh: bool,
) -> Result<Markup, StoreError> {
    let floors = floors_of(run);
    let mut panels = BTreeMap::<String, Vec<Value>>::new();
    for (name, all) in summaries {
        let text = name.as_str();
        let panel = match text.split_once('/') {
            Some(("train" | "valid" | "test" | "eval" | "val", rest)) => rest,
            _ => text,
        };
        let its = floors.iter().filter(|floor| floor.metric == **name && floor.value.is_finite());
        let its: Vec<Value> = its.map(|floor| json!([floor.label, floor.value])).collect();
        let curve = json!({ "name": text, "floors": its, "points": all.points, "last": all.last.step });
        panels.entry(panel.to_owned()).or_default().push(curve);
    }
    let mut panels: Vec<(String, Vec<Value>)> = panels.into_iter().collect();
    // What decides first, then losses, and how it was done last.
    let decides = run.provenance.pointer("/experiment/metric").and_then(Value::as_str).unwrap_or_default();
    panels.sort_by_key(|(name, _)| {
        let place = match name.as_str() {
            _ if decides.ends_with(&format!("/{name}")) || decides == name => 0,
            "loss" => 1,
            _ if name.contains("loss") => 2,
            "lr" | "grad_norm" | "tokens" | "real_token_share" => 4,
            _ if name.starts_with("time/") || name.starts_with("system/") => 5,
            _ => 3,
        };
        (place, name.clone())
    });
    let brought = if is_refresh { 0 } else { PANELS };
    for curve in panels.iter_mut().take(brought).flat_map(|(_, curves)| curves) {
        let found = book.zoomed(curve["name"].as_str().unwrap_or_default(), None, None, BUCKETS)?;
        curve["series"] = spelled::value(&found);
    }
    let panels: Vec<Value> =
        panels.into_iter().map(|(name, curves)| json!({ "name": name, "curves": curves })).collect();
    let started = run.history.started_at().map(|at| at.unix_millis());
    Ok(html! {
        section.curves aria-label="Curves" hidden {
            h2 { "Curves" }
            div.switches {
                @if let [_, _, ..] = &over(summaries)[..] {
                    label { "Over " select data-over { @for (value, name) in over(summaries) { option value=(value) { (name) } } } }
                }
                label { "Smooth " input type="range" min="0" max="0.98" step="0.02" value="0" data-smooth; }
                label.check { input type="checkbox" data-log; " logarithmic" }
                button type="button" data-whole hidden { "Whole run" }
                output data-range {}
            }
            div.panels {}
        }
        (data("curves", &json!({ "panels": panels, "at_first": PANELS, "started": started })))
    })
}

/// What the curves can be laid over, as the script knows it and as people do: steps, what rises with them, and time where the
/// points have theirs. What ablate trains says how many tokens a step has seen, and not when.
fn over<'m>(summaries: &BTreeMap<&'m MetricName, Stretch>) -> Vec<(&'m str, &'m str)> {
    let rises = |name: &str| RISING.contains(&name.rsplit('/').next().unwrap_or(name));
    let rising = summaries.keys().map(|name| name.as_str()).filter(|name| rises(name)).map(|name| (name, name));
    let is_timed = summaries.values().any(|all| all.last.at.is_some());
    let timed = [("elapsed", "time since the start"), ("clock", "date and time")].into_iter().filter(|_| is_timed);
    [("step", "steps")].into_iter().chain(rising).chain(timed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Measured, zoomed};
    use crate::types::Timestamp;

    /// Nothing is offered that the points do not say.
    #[test]
    fn curves_are_laid_over_what_there_is() {
        let offered = |names: &[&str], at: Option<Timestamp>| {
            let names: Vec<MetricName> = names.iter().map(|name| name.parse().unwrap()).collect();
            let point = Stretch::of(&Measured { step: 1, value: 1.0, at });
            let summaries = names.iter().map(|name| (name, point)).collect();
            over(&summaries).into_iter().map(|(value, _)| value.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(offered(&["train/loss", "time/tokens_per_s"], None), ["step"]);
        assert_eq!(offered(&["train/loss", "train/tokens"], None), ["step", "train/tokens"]);
        let at = Some(Timestamp::from_unix_millis(1));
        assert_eq!(offered(&["loss", "epoch"], at), ["step", "epoch", "elapsed", "clock"]);
    }

    /// What the page brings of a curve has its extreme values and its last step, whatever the series.
    #[test]
    fn a_thinned_curve_keeps_its_extremes() {
        for n in [0, 1, 2, 599, 600, 601, 5_000, 123_457] {
            let value = |i: usize| match i % 97 {
                13 => f64::NAN,
                _ => ((i * 7_919) % 10_007) as f64,
            };
            let points: Vec<Measured> =
                (0..n).map(|i| Measured { step: i as i64, value: value(i), at: None }).collect();
            let series = zoomed(&points, None, None, BUCKETS);
            let (steps, values) = match (series.exact, series.buckets) {
                (Some(exact), _) => (exact.steps, exact.values),
                (None, Some(buckets)) => {
                    (buckets.to, [buckets.min, buckets.max].concat().into_iter().flatten().collect())
                }
                (None, None) => panic!("a series is exact or in buckets"),
            };
            assert!(steps.len() <= BUCKETS && steps.is_sorted(), "{n}: {}", steps.len());
            let extremes = |values: &mut dyn Iterator<Item = f64>| {
                values
                    .filter(|value| !value.is_nan())
                    .fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)))
            };
            let all = extremes(&mut points.iter().map(|point| point.value));
            assert_eq!(extremes(&mut values.iter().copied()), all);
            assert_eq!(steps.last().copied(), points.last().map(|point| point.step));
        }
    }
}
