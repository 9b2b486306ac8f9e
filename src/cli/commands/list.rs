//! `ablate list`: the runs of the store, newest first.

use std::collections::{BTreeMap, BTreeSet};

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::format;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::clock;
use crate::report::listing::{ListedRun, Listing};
use crate::store::{Index, RunQuery, RunState, shortest_unique_prefixes};
use crate::types::RunId;
use crate::types::metrics::{self, Measurement};

/// What `ablate list` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Words of a query: an experiment's name, KEY=VALUE, state=failed, limit=20
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
    #[command(flatten)]
    pub json: Json,
}

/// Prints the runs that the query finds.
pub fn list(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let query: RunQuery = arguments.query.join(" ").parse()?;
    let mut index = Index::open(&store)?;
    let listing = Listing::of(index.query(&query)?);
    for (run, error) in index.unreadable() {
        context.printer.status(Style::Caution, "Warning", format!("run {run} is left out: {error}"));
    }
    if arguments.json.wanted {
        context.printer.json(&listing);
        return Ok(());
    }
    if listing.runs.is_empty() {
        context.printer.say("no runs");
        return Ok(());
    }
    let ids = store.run_ids()?;
    let prefixes = shortest_unique_prefixes(&ids);
    // A metric that all runs are judged by is named once, at the top.
    let judged: BTreeSet<&str> = listing.runs.iter().filter_map(|row| Some(result(row)?.0.name())).collect();
    let only = if judged.len() == 1 { judged.first().copied() } else { None };
    let header = only.unwrap_or("result");
    let columns = [
        ("run", Align::Left),
        ("state", Align::Left),
        ("started", Align::Left),
        ("took", Align::Right),
        ("steps", Align::Right),
        (header, Align::Right),
        ("experiment", Align::Left),
        ("cell", Align::Left),
    ];
    let text = table(&columns, listing.runs.iter().map(|row| cells(context, row, &prefixes, only.is_none())));
    context.printer.data(text);
    Ok(())
}

fn cells(context: &Context, row: &ListedRun, prefixes: &BTreeMap<RunId, usize>, names_result: bool) -> Vec<String> {
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
        match result(row).filter(|_| names_result) {
            Some((metric, value)) => format!("{} {}", metric.name(), format::metric(Some(value))),
            None => format::metric(result(row).map(|(_, value)| value)),
        },
        row.experiment.clone().unwrap_or_else(|| "-".into()),
        match &row.reproduces {
            Some(original) => format!("reproduces {original}"),
            None => cell(row),
        },
    ]
}

/// What a run is judged by, as it was measured last: the metric that usually decides in its stage.
fn result(row: &ListedRun) -> Option<Measurement> {
    metrics::deciding_by_stage().find_map(|metric| Some((metric, *row.metrics.get(&metric.metric_name())?)))
}

/// `mask_ratio=0.3 nsp=off`.
fn cell(row: &ListedRun) -> String {
    let part = |(key, value): (&String, &serde_json::Value)| {
        let name = key.strip_suffix(".kind").unwrap_or_else(|| key.rsplit('.').next().unwrap_or(key));
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        format!("{name}={value}")
    };
    row.axes.iter().map(part).collect::<Vec<_>>().join(" ")
}
