//! `ablate diff`: what two runs do not have in common.

use serde_json::json;

use crate::analysis::{Point, diff_leaves, metric_deltas};
use crate::cli::args;
use crate::cli::comparison::run_data;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::format;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::runner::reproduce::provenance_differences;

/// Prints the settings, the final metrics and the provenance that differ.
pub fn diff(context: &Context, arguments: &args::Diff) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let first = store.load(&store.resolve(&arguments.first)?)?;
    let second = store.load(&store.resolve(&arguments.second)?)?;
    let settings = diff_leaves(&first.subject.settings(), &second.subject.settings());
    let metrics = metric_deltas(&run_data(&first, Vec::new()).series, &run_data(&second, Vec::new()).series);
    let provenance = provenance_differences(&first.provenance, &second.provenance).unwrap_or_default();
    let value = |point: Option<Point>| point.map(|point| point.value);
    if arguments.json.wanted {
        let settings = settings.iter().map(|d| json!({ "key": d.key, "first": d.left, "second": d.right }));
        let metrics = metrics.iter().map(
            |d| json!({ "metric": d.metric, "first": value(d.left), "second": value(d.right), "delta": d.delta() }),
        );
        let provenance =
            provenance.iter().map(|d| json!({ "key": d.key, "first": d.original, "second": d.reproduced }));
        context.printer.json(&json!({
            "format": "ablate-diff-1",
            "runs": [first.id, second.id],
            "settings": settings.collect::<Vec<_>>(),
            "metrics": metrics.collect::<Vec<_>>(),
            "provenance": provenance.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let (a, b) = (first.id.as_str(), second.id.as_str());
    let section = |title: &str, text: String| {
        context.printer.data(format!("{}\n{text}\n", context.printer.paint(Stream::Out, Style::Strong, title)));
    };
    let missing = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    if settings.is_empty() {
        section("Settings", "the same specification".into());
    } else {
        let columns = [("key", Align::Left), (a, Align::Right), (b, Align::Right)];
        let rows = settings.iter().map(|d| vec![d.key.clone(), missing(&d.left), missing(&d.right)]);
        section("Settings", table(&columns, rows));
    }
    let columns = [("metric", Align::Left), (a, Align::Right), (b, Align::Right), ("difference", Align::Right)];
    let rows = metrics.iter().map(|d| {
        let delta = d.delta().map_or_else(|| "-".into(), |delta| format!("{delta:+.4}"));
        vec![d.metric.to_string(), format::metric(value(d.left)), format::metric(value(d.right)), delta]
    });
    section("Final metrics", table(&columns, rows));
    if !provenance.is_empty() {
        let columns = [("key", Align::Left), (a, Align::Left), (b, Align::Left)];
        let rows = provenance.into_iter().map(|d| vec![d.key, d.original, d.reproduced]);
        section("Provenance", table(&columns, rows));
    }
    Ok(())
}
