//! `ablate list`: the runs of the store, newest first.

use std::collections::{BTreeMap, BTreeSet};

use super::show::torn;
use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style, terminal_width};
use crate::cli::table::{Align, table};
use crate::cli::visible::visible;
use crate::clock;
use crate::report::format;
use crate::report::listing::{ListedColumns, ListedRun, Listing};
use crate::report::spelling;
use crate::report::tables::csv_of_runs;
use crate::store::{Cell, Facts, Index, RunQuery, RunState};
use crate::types::{RunId, Timestamp};

/// What `ablate list` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs: `quickstart`, `state=failed limit=20`, `mask_ratio >= 0.3 and (valid/mlm_loss.min < 5 or tag:keep)`
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
    /// Sort by this, smallest first; with `-` before it largest first, as in --sort -valid/mlm_loss
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Show these columns: whatever a query can name, as in --columns id,seed,lr,valid/mlm_loss.min
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub columns: Vec<String>,
    /// Print CSV
    #[arg(long, conflicts_with = "wanted")]
    pub csv: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Columns of a terminal from which on moments and metrics are written out.
const WIDE: usize = 110;

/// Prints the runs that the query finds.
pub fn list(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let mut query = RunQuery::parse(&arguments.query.join(" "), clock::now())?;
    if let Some(key) = &arguments.sort {
        query = query.sorted_by(key);
    }
    let mut index = context.index(&store)?;
    let rows = index.query(&query)?;
    context.say_unreadable(&index);
    for row in rows.iter().filter(|row| row.state != RunState::Running) {
        if let Some(text) = torn(row.torn_bytes) {
            context.printer.status(Style::Caution, "Warning", format!("run {}: {text}", row.id));
        }
    }
    if arguments.csv || !arguments.columns.is_empty() {
        return list_columns(context, arguments, &index, &index.facts(rows)?);
    }
    let listing = Listing::of_rows(&index, rows, &query)?;
    if arguments.json.wanted {
        context.printer.json(&listing);
        return Ok(());
    }
    if listing.runs.is_empty() {
        context.printer.say("no runs");
        return Ok(());
    }
    let prefixes = index.prefixes(listing.runs.iter().map(|run| &run.id))?;
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
        ("name", Align::Left),
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
    let is_named = listing.runs.iter().any(|run| run.labels.name.is_some());
    let is_shown = |name: &str| match name {
        "name" => is_named && !is_narrow,
        "took" | "experiment" => !is_narrow,
        "steps" => !(is_narrow && is_all_done),
        _ => true,
    };
    let rows = listing.runs.iter().map(|run| {
        let mut cells = cells(context, run, &prefixes, metric.is_some(), is_narrow);
        if let (true, Some(experiment), Some(cell)) =
            (is_narrow && experiments.len() > 1, &run.experiment, cells.last_mut())
        {
            *cell = format!("{}: {cell}", visible(experiment));
        }
        let shown = cells.into_iter().zip(&columns).filter(|(_, (name, _))| is_shown(name));
        shown.map(|(cell, _)| cell).collect::<Vec<_>>()
    });
    let shown = columns.iter().copied().filter(|(name, _)| is_shown(name)).collect::<Vec<_>>();
    context.printer.data(table(&shown, rows));
    Ok(())
}

/// Prints the runs by columns that were asked for, or every one that programs may want.
fn list_columns(context: &Context, arguments: &Arguments, index: &Index, runs: &[Facts]) -> Result<(), CliError> {
    let names = match &arguments.columns[..] {
        [] => columns_of_all(runs),
        named => named.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect(),
    };
    let rows = index.columns(&names, runs)?;
    if arguments.json.wanted {
        context.printer.json(&ListedColumns::new(names, rows));
    } else if arguments.csv {
        context.printer.raw(&csv_of_runs(&names, &rows));
    } else {
        let now = clock::now();
        let is_number = |i: usize| !rows.iter().any(|row| matches!(row[i], Some(Cell::Text(_) | Cell::Moment(_))));
        let align = |i: usize| if is_number(i) { Align::Right } else { Align::Left };
        let head = names.iter().enumerate().map(|(i, name)| (name.as_str(), align(i))).collect::<Vec<_>>();
        let shown = rows.iter().map(|row| row.iter().map(|cell| shown(cell.as_ref(), now)).collect::<Vec<_>>());
        context.printer.data(table(&head, shown));
    }
    Ok(())
}

/// What is known of every run, the axes of all, and the last value of each metric.
fn columns_of_all(runs: &[Facts]) -> Vec<String> {
    let common = ["id", "state", "experiment", "name", "tag", "started", "ended", "took", "steps_done", "parameters"];
    let mut names = common.map(str::to_owned).to_vec();
    let axes = runs.iter().flat_map(|run| run.row.experiments.iter().flat_map(|group| group.axes.keys()));
    names.extend(axes.collect::<BTreeSet<_>>().into_iter().cloned());
    let metrics = runs.iter().flat_map(|run| run.row.metrics.keys()).collect::<BTreeSet<_>>();
    names.extend(metrics.into_iter().map(ToString::to_string));
    names
}

/// A cell for a person.
fn shown(cell: Option<&Cell>, now: Timestamp) -> String {
    cell.map_or_else(|| "-".to_owned(), |cell| visible(&format::cell(cell, now)))
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
    let took = row.worked_secs.map(format::duration);
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
        row.labels.name.as_deref().map_or_else(|| "-".into(), visible),
        printer.paint(Stream::Out, style, row.state.name()),
        started.unwrap_or_else(|| "-".into()),
        took.unwrap_or_else(|| "-".into()),
        steps,
        result,
        row.experiment.as_deref().map_or_else(|| "-".into(), visible),
        row.seed.map_or_else(|| "-".into(), |seed| seed.to_string()),
        match &row.reproduces {
            Some(original) => format!("reproduces {original}"),
            None => visible(&cell(row, is_narrow)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{asked, at, store_of_samples};

    #[test]
    fn a_cell_is_called_by_the_ends_of_its_keys() {
        let (_folder, store) = store_of_samples();
        let mut index = Index::open(&store).unwrap();
        index.catch_up().unwrap();
        let (query, rows) = (asked(""), index.query(&asked("")).unwrap());
        let mut run = Listing::of_rows(&index, rows, &query).unwrap().runs.remove(0);
        run.axes = serde_json::from_str(r#"{"schedule.kind":"cosine","optimizer.lr":0.001,"note":"a"}"#).unwrap();
        assert_eq!(cell(&run, false), "schedule=cosine lr=0.001 note=a");
        assert_eq!(cell(&run, true), "cosine 0.001 a");
        run.axes.clear();
        assert_eq!(cell(&run, false), "-");
    }

    /// Without a choice of columns a table has what every run has, the axes, and every metric of any run, once each.
    #[test]
    fn the_columns_of_all_runs() {
        let (_folder, store) = store_of_samples();
        let mut index = Index::open(&store).unwrap();
        index.catch_up().unwrap();
        let rows = index.query(&asked("")).unwrap();
        let facts = index.facts(rows).unwrap();
        let names = columns_of_all(&facts);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert_eq!(names[0], "id");
        assert!(
            ["train/loss", "accuracy", "valid/mlm_loss"].iter().all(|metric| names.iter().any(|name| name == metric))
        );
        assert!(index.columns(&names, &facts).unwrap().iter().all(|row| row.len() == names.len()));
        assert_eq!(shown(None, at(0)), "-");
    }
}
