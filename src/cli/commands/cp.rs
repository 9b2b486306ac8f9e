//! `ablate cp` and `ablate mv`: runs from one store to another, with whatever they stand on.

use std::path::PathBuf;

use serde_json::json;

use super::archive::say_absent;
use super::import::archive::{say_experiments, say_run};
use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::exchange::archive::Why;
use crate::exchange::transfer::{copy, relocate};
use crate::report::format;
use crate::store::{RunQuery, Trash};
use crate::types::RunId;

/// What `ablate cp` and `ablate mv` take.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs, as `list` takes them
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
    /// The other store, made when it is not there
    #[arg(long, value_name = "STORE")]
    pub to: PathBuf,
    #[command(flatten)]
    pub json: Json,
}

/// Whether the runs stay where they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Copy,
    Move,
}

/// Copies or moves the runs that the query finds.
pub fn transfer(context: &Context, arguments: &Arguments, way: Way) -> Result<(), CliError> {
    if way == Way::Move && RunQuery::parse(&arguments.query.join(" "), clock::now())?.is_of_all() {
        let text = "that means every run of the store; say which ones, or all of them by `id like \"%\"`";
        return Err(CliError::request(text));
    }
    let from = context.existing_store()?;
    let (index, rows) = context.found(&from, &arguments.query, Trash::Without)?;
    drop(index);
    let runs: Vec<RunId> = rows.into_iter().map(|row| row.id).collect();
    let to = context.store_at(&arguments.to)?;
    let (verb, mut tell) = match way {
        Way::Copy => ("Copied", context.bytes_told("Copying")),
        Way::Move => ("Moved", context.bytes_told("Copying")),
    };
    let done = match way {
        Way::Copy => copy(&from, &to, &runs, &mut tell),
        Way::Move => relocate(&from, &to, &runs, &mut tell),
    }?;
    say_absent(context, &done.absent);
    if arguments.json.wanted {
        let of_run = |(run, why): &(_, _)| super::import::archive::json_of(run, Some(*why));
        context.printer.json(&json!({
            "format": "ablate-copied-1",
            "moved": way == Way::Move,
            "to": arguments.to,
            "bytes": done.bytes,
            "runs": done.runs.iter().map(of_run).collect::<Vec<_>>(),
            "absent": done.absent.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    for (run, why) in &done.runs {
        let stays = *why == Why::StoodOn;
        let verb = if stays { "Copied" } else { verb };
        say_run(context, run, verb, if stays { ", which others stand on" } else { "" });
    }
    say_experiments(context, &done.experiments);
    let is_counted = |why: Why| way == Way::Copy || why == Why::Asked;
    let counted = done.runs.iter().filter(|(_, why)| is_counted(*why)).count();
    let known = done.runs.iter().filter(|(run, why)| is_counted(*why) && run.is_known).count();
    let (runs, bytes) = (format::plural(counted, "run"), format::si(done.bytes as f64));
    let known = if known > 0 { format!("; {known} were there already") } else { String::new() };
    let text = format!("{runs} to `{}`, {bytes}B{known}", arguments.to.display());
    context.printer.status(Style::Good, verb, text);
    Ok(())
}
