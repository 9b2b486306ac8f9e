//! `ablate list`: the runs of the store, newest first.

use serde_json::json;

use super::show::torn;
use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::format;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::runner::clock;
use crate::store::{Group, Index, RunQuery, RunRow, RunState, shortest_unique_prefixes};
use crate::types::{MetricName, RunId};

/// The result that the table shows.
const SHOWN_METRIC: &str = "valid/mlm_loss";

/// Prints the runs that the query finds.
pub fn list(context: &Context, arguments: &args::List) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let query: RunQuery = arguments.query.join(" ").parse()?;
    let mut index = Index::open(&store)?;
    let rows = index.query(&query)?;
    context.say_unreadable(&index);
    for row in rows.iter().filter(|row| row.state != RunState::Running) {
        if let Some(text) = torn(row.torn_bytes) {
            context.printer.status(Style::Caution, "Warning", format!("run {}: {text}", row.id));
        }
    }
    if arguments.json.wanted {
        context
            .printer
            .json(&json!({ "format": "ablate-list-1", "runs": rows.iter().map(row_json).collect::<Vec<_>>() }));
        return Ok(());
    }
    if rows.is_empty() {
        context.printer.say("no runs");
        return Ok(());
    }
    let ids = store.run_ids()?;
    let prefixes = shortest_unique_prefixes(&ids);
    let columns = [
        ("run", Align::Left),
        ("state", Align::Left),
        ("started", Align::Left),
        ("took", Align::Right),
        ("steps", Align::Right),
        (SHOWN_METRIC, Align::Right),
        ("experiment", Align::Left),
        ("cell", Align::Left),
    ];
    let text = table(&columns, rows.iter().map(|row| cells(context, &query, row, &prefixes)));
    context.printer.data(text);
    Ok(())
}

fn cells(
    context: &Context,
    query: &RunQuery,
    row: &RunRow,
    prefixes: &std::collections::BTreeMap<RunId, usize>,
) -> Vec<String> {
    // Of several experiments, the one that was asked for.
    let asked = query.experiment.iter().chain(&query.words).find_map(|name| row.group(name));
    let group = asked.or(row.experiments.first());
    let printer = &context.printer;
    let (unique, rest) = row.id.as_str().split_at(prefixes.get(&row.id).copied().unwrap_or(RunId::LEN));
    let id = format!("{}{rest}", printer.paint(Stream::Out, Style::Id, unique));
    let style = match row.state {
        RunState::Finished => Style::Good,
        RunState::Failed => Style::Bad,
        RunState::Running => Style::Hint,
        RunState::Interrupted | RunState::Stopped | RunState::Lost | RunState::Planned => Style::Caution,
    };
    let took = row.started_at.zip(row.ended_at).map(|(start, end)| format::duration(end.secs_since(start)));
    let steps = match row.total_steps {
        Some(total) if total != row.steps_done.0 => format!("{}/{total}", row.steps_done),
        _ => row.steps_done.to_string(),
    };
    vec![
        id,
        printer.paint(Stream::Out, style, row.state.name()),
        row.started_at.map(|at| format::moment(at, clock::now())).unwrap_or_else(|| "-".into()),
        took.unwrap_or_else(|| "-".into()),
        steps,
        format::metric(shown(row)),
        group.map_or_else(|| "-".into(), |group| group.name.clone()),
        match &row.reproduces {
            Some(original) => format!("reproduces {original}"),
            None => group.map(cell).unwrap_or_default(),
        },
    ]
}

fn shown(row: &RunRow) -> Option<f64> {
    let name: MetricName = SHOWN_METRIC.parse().ok()?;
    Some(row.metrics.get(&name)?.last)
}

/// `mask_ratio=0.3 nsp=off`.
fn cell(group: &Group) -> String {
    let part = |(key, value): (&String, &serde_json::Value)| {
        let name = key.strip_suffix(".kind").unwrap_or_else(|| key.rsplit('.').next().unwrap_or(key));
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={value}")
    };
    group.axes.iter().map(part).collect::<Vec<_>>().join(" ")
}

fn row_json(row: &RunRow) -> serde_json::Value {
    let metrics: serde_json::Map<_, _> =
        row.metrics.iter().map(|(name, summary)| (name.to_string(), json!(summary.last))).collect();
    json!({
        "id": row.id,
        "spec_hash": row.spec_hash,
        "state": row.state,
        "reason": row.reason,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "steps_done": row.steps_done,
        "total_steps": row.total_steps,
        "parameters": row.parameters,
        "experiment": row.experiment(),
        "axes": row.axes(),
        "experiments": row.experiments,
        "labels": row.labels,
        "logged_by": row.logged_by,
        "torn_bytes": row.torn_bytes,
        "reproduces": row.reproduces,
        "metrics": metrics,
    })
}
