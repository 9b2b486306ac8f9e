//! `ablate list`: the runs of the store, newest first.

use std::collections::{BTreeMap, BTreeSet};

use super::show::torn;
use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::format;
use crate::cli::printer::{Stream, Style, terminal_width};
use crate::cli::table::{Align, table};
use crate::clock;
use crate::report::find::unknown_word;
use crate::report::listing::{ListedRun, Listing};
use crate::report::spelling;
use crate::store::{Index, RunQuery, RunState, shortest_unique_prefixes};
use crate::types::RunId;

/// What `ablate list` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Words of a query: an experiment's name, KEY=VALUE, state=failed, limit=20
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
    #[command(flatten)]
    pub json: Json,
}

/// Columns of a terminal from which on moments and metrics are written out.
const WIDE: usize = 110;

/// Prints the runs that the query finds.
pub fn list(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let query: RunQuery = arguments.query.join(" ").parse()?;
    let mut index = Index::open(&store)?;
    if let Some(word) = unknown_word(&query, &mut index)? {
        let text = format!("`{word}` is no experiment and begins no run's id; `ablate list` shows all runs");
        return Err(CliError::request(text));
    }
    let listing = Listing::of(index.query(&query)?, &query, &store);
    context.say_unreadable(&index);
    for run in listing.runs.iter().filter(|run| run.state != RunState::Running) {
        if let Some(text) = torn(run.torn_bytes) {
            context.printer.status(Style::Caution, "Warning", format!("run {}: {text}", run.id));
        }
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
    // One metric for all, or each with its own.
    let metrics = listing.runs.iter().filter_map(|run| Some(run.result()?.0.as_str())).collect::<BTreeSet<_>>();
    let metric = metrics.first().copied().filter(|_| metrics.len() == 1);
    let is_narrow = terminal_width().is_some_and(|width| width < WIDE);
    let result = match metric {
        Some(metric) if is_narrow => metric.rsplit('/').next().unwrap_or(metric),
        metric => metric.unwrap_or("result"),
    };
    let columns = [
        ("run", Align::Left),
        ("state", Align::Left),
        ("started", Align::Left),
        ("took", Align::Right),
        ("steps", Align::Right),
        (result, Align::Right),
        ("experiment", Align::Left),
        ("seed", Align::Right),
        ("cell", Align::Left),
    ];
    // A narrow terminal has no room for what is the same in all rows, nor for the names of the axes.
    let experiments = listing.runs.iter().map(|run| &run.experiment).collect::<BTreeSet<_>>();
    let is_all_done = listing.runs.iter().all(|run| run.total_steps.is_none_or(|total| total == run.steps_done.0));
    let is_shown = |name: &str| match name {
        "took" | "experiment" => !is_narrow,
        "steps" => !(is_narrow && is_all_done),
        _ => true,
    };
    let rows = listing.runs.iter().map(|run| {
        let mut cells = cells(context, run, &prefixes, metric.is_some(), is_narrow);
        if let (true, Some(experiment), Some(cell)) =
            (is_narrow && experiments.len() > 1, &run.experiment, cells.last_mut())
        {
            *cell = format!("{experiment}: {cell}");
        }
        let shown = cells.into_iter().zip(&columns).filter(|(_, (name, _))| is_shown(name));
        shown.map(|(cell, _)| cell).collect::<Vec<_>>()
    });
    let shown = columns.iter().copied().filter(|(name, _)| is_shown(name)).collect::<Vec<_>>();
    context.printer.data(table(&shown, rows));
    Ok(())
}

fn cells(
    context: &Context,
    row: &ListedRun,
    prefixes: &BTreeMap<RunId, usize>,
    is_one_metric: bool,
    is_narrow: bool,
) -> Vec<String> {
    let printer = &context.printer;
    let (unique, rest) = row.id.as_str().split_at(prefixes.get(&row.id).copied().unwrap_or(RunId::LEN));
    let id = format!("{}{rest}", printer.paint(Stream::Out, Style::Id, unique));
    let style = match row.state {
        RunState::Finished => Style::Good,
        RunState::Failed => Style::Bad,
        RunState::Running => Style::Hint,
        RunState::Interrupted | RunState::Stopped | RunState::Lost | RunState::Planned => Style::Caution,
    };
    let now = clock::now();
    let started =
        row.started_at.map(|at| if is_narrow { format::ago(now.secs_since(at)) } else { format::moment(at, now) });
    let took = row.started_at.zip(row.ended_at).map(|(start, end)| format::duration(end.secs_since(start)));
    let steps = match row.total_steps {
        Some(total) if total != row.steps_done.0 => format!("{}/{total}", row.steps_done),
        None if row.steps_done.0 == 0 => "-".to_owned(),
        _ => row.steps_done.to_string(),
    };
    let result = match row.result() {
        Some((name, value)) if !is_one_metric => format!("{name} {}", format::metric(Some(value))),
        result => format::metric(result.map(|(_, value)| value)),
    };
    vec![
        id,
        printer.paint(Stream::Out, style, row.state.name()),
        started.unwrap_or_else(|| "-".into()),
        took.unwrap_or_else(|| "-".into()),
        steps,
        result,
        row.experiment.clone().unwrap_or_else(|| "-".into()),
        row.seed.map_or_else(|| "-".into(), |seed| seed.to_string()),
        match &row.reproduces {
            Some(original) => format!("reproduces {original}"),
            None => cell(row, is_narrow),
        },
    ]
}

/// `mask_ratio=0.3 nsp=off`, or without the names of the axes.
fn cell(row: &ListedRun, is_narrow: bool) -> String {
    let part = |(key, value): (&String, &serde_json::Value)| {
        if is_narrow {
            return spelling::axis_value(value);
        }
        let name = key.strip_suffix(".kind").unwrap_or_else(|| key.rsplit('.').next().unwrap_or(key));
        format!("{name}={}", spelling::axis_value(value))
    };
    if row.axes.is_empty() { "-".to_owned() } else { row.axes.iter().map(part).collect::<Vec<_>>().join(" ") }
}
