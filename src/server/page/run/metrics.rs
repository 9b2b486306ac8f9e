//! The metrics of a run: what each came to, how far that is from what costs no learning, and where all its points are.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::{encoded, typed};
use crate::analysis::Floor;
use crate::report::comparison::floors_of;
use crate::report::format;
use crate::server::App;
use crate::store::{StoredRun, Stretch};
use crate::types::MetricName;
use crate::types::metrics::Goal;

/// A row for each metric.
pub fn metrics(app: &App, run: &StoredRun, rows: &BTreeMap<&MetricName, Stretch>) -> Markup {
    let floors = floors_of(run);
    let floors_of = |name: &MetricName| floors.iter().filter(|floor| floor.metric == *name).collect::<Vec<_>>();
    let has_floors = rows.keys().any(|name| !floors_of(name).is_empty());
    let csv = |name: &MetricName| {
        format!("{}/api/v1/runs/{}/series.csv?metric={}", app.root_path, run.id, encoded(name.as_str()))
    };
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Metrics" }
                div.scroll tabindex="0" role="region" aria-label="Metrics" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "metric" }
                                @for name in ["last", "min", "max"] { th.number scope="col" { (name) } }
                                @if has_floors { th scope="col" { "against its floors" } }
                                @for name in ["points", "step"] { th.number scope="col" { (name) } }
                                th scope="col" { "all points" }
                            }
                        }
                        tbody {
                            @for (name, all) in rows {
                                tr {
                                    th scope="row" { (typed(name.as_str())) }
                                    td.number { (format::metric(Some(all.last.value))) }
                                    td.number { (format::metric(all.min)) }
                                    td.number { (format::metric(all.max)) }
                                    @if has_floors { td { (against(&floors_of(name), all.last.value)) } }
                                    td.number { (format::thousands(all.points as u64)) }
                                    td.number { (all.last.step) }
                                    td { a href=(csv(name)) download { "CSV" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// How far a value is from each floor, a line each.
fn against(floors: &[&Floor], value: f64) -> Markup {
    html! {
        @if floors.is_empty() { span.none { "\u{2013}" } }
        @for floor in floors {
            @let (word, is_better) = distance(floor, value);
            div.floor title=(floor.explanation) {
                span class=[(!is_better).then_some("missed")] { (word) }
                " " (floor.label) " " span.quiet { (floor.in_words()) }
            }
        }
    }
}

/// `1.6930 below`, and whether it is better by more than the sample of an evaluation explains.
fn distance(floor: &Floor, value: f64) -> (String, bool) {
    let goal = Goal::usual(floor.metric.as_str());
    let is_better = floor.is_passed_by(value, [], goal);
    let off = value - floor.value;
    let word = match off {
        _ if !off.is_finite() => return ("not comparable with".to_owned(), false),
        0.0 => "as".to_owned(),
        _ => format!("{} {}", format::metric(Some(off.abs())), if off < 0.0 { "below" } else { "above" }),
    };
    (if is_better { word } else { format!("{word}, no better than") }, is_better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_held_against_its_floor() {
        let floor = |metric: &str, error| Floor {
            metric: metric.parse().unwrap(),
            label: String::new(),
            value: 5.0,
            error,
            range: None,
            own: BTreeMap::new(),
            explanation: String::new(),
        };
        for (metric, error, value, expected, is_better) in [
            ("valid/mlm_loss", None, 4.5, "0.5000 below", true),
            ("valid/mlm_loss", Some(0.6), 4.5, "0.5000 below, no better than", false),
            ("valid/mlm_loss", None, 5.5, "0.5000 above, no better than", false),
            ("valid/masked_accuracy", None, 5.5, "0.5000 above", true),
            ("valid/mlm_loss", None, 5.0, "as, no better than", false),
            ("valid/mlm_loss", None, f64::NAN, "not comparable with", false),
        ] {
            assert_eq!(distance(&floor(metric, error), value), (expected.to_owned(), is_better), "{metric} {value}");
        }
    }
}
