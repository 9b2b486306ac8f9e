//! `ablate export --format mlflow`: runs as a store of files that MLflow opens.

use std::fs;

use serde::Serialize;

use super::Arguments;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::exchange::mlflow::export::{ExportError, Exported, export as export_runs};
use crate::report::format;
use crate::store::{RunQuery, Trash};

/// Runs between two lines that say how far it is.
const EVERY: usize = 500;

/// What was written, for programs.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    folder: &'a std::path::Path,
    #[serde(flatten)]
    exported: &'a Exported,
}

/// Writes the runs that the query finds.
pub(super) fn export(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let folder = arguments.out.clone().unwrap_or_else(|| "mlruns".into());
    if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let shown = folder.display();
        return Err(CliError::request(format!("`{shown}` is not empty; name another folder with --out DIR")));
    }
    let store = context.existing_store()?;
    let (_, mut rows) = context.found(&store, &arguments.query, Trash::Without)?;
    rows.reverse(); // The oldest first, as they came to be.
    let is_of_all = RunQuery::parse(&arguments.query.join(" "), clock::now())?.is_of_all();
    let mut tell = |done: usize, all: usize| {
        if done > 0 && done.is_multiple_of(EVERY) {
            context.printer.status(Style::Hint, "Writing", format!("{done} of {all} runs"));
        }
    };
    let exported = export_runs(&store, &rows, &folder, is_of_all, &mut tell).map_err(|error| match error {
        ExportError::Store(error) => error.into(),
        error => CliError::work(error),
    })?;
    if arguments.json.wanted {
        context.printer.json(&Document { format: "ablate-export-mlflow-1", folder: &folder, exported: &exported });
        return Ok(());
    }
    context.say_findings(&exported.findings);
    let points: u64 = exported.runs.iter().map(|run| run.points).sum();
    let runs = format::plural(exported.runs.len(), "run");
    let text = format!(
        "{runs} with {} points; `mlflow ui --backend-store-uri {}` shows them",
        format::thousands(points),
        folder.display()
    );
    context.printer.status(Style::Good, "Wrote", text);
    context.printer.data(folder.display());
    Ok(())
}
