//! `ablate import mlflow`: the runs of a store of MLflow become runs of this one.

use serde::Serialize;

use super::Arguments;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::exchange::mlflow::import::{ImportError, Imported, Options, import as import_store};
use crate::report::format;

/// Runs between two lines that say how far it is.
const EVERY: usize = 500;

/// What came in, for programs.
#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    #[serde(flatten)]
    imported: &'a Imported,
}

/// Takes the store in, and says what came and what did not.
pub(super) fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.store()?;
    let options = Options { artifacts: arguments.artifacts.clone(), now: clock::now() };
    let mut tell = |done: usize, all: usize| {
        if done > 0 && done.is_multiple_of(EVERY) {
            context.printer.status(Style::Hint, "Reading", format!("{done} of {all} runs"));
        }
    };
    let imported = import_store(&store, &arguments.path, &options, &mut tell).map_err(|error| match error {
        ImportError::NoStore { .. } | ImportError::Io { .. } => CliError::request(error),
        ImportError::Store(error) => error.into(),
        ImportError::Database(_) => CliError::work(error),
    })?;
    if arguments.json.wanted {
        context.printer.json(&Document { format: "ablate-import-mlflow-1", imported: &imported });
        return Ok(());
    }
    context.say_findings(&imported.findings);
    let known = match imported.known.len() {
        0 => String::new(),
        known => format!("; {} here already", format::plural(known, "run")),
    };
    let points: u64 = imported.runs.iter().map(|run| run.points).sum();
    let artifacts: u64 = imported.runs.iter().map(|run| run.artifacts).sum();
    let bytes: u64 = imported.runs.iter().map(|run| run.artifact_bytes).sum();
    let text = format!(
        "{} of {} with {} points and {} artifacts ({}B){known}",
        format::plural(imported.runs.len(), "run"),
        format::plural(imported.experiments.len(), "experiment"),
        format::thousands(points),
        format::thousands(artifacts),
        format::si(bytes as f64),
    );
    context.printer.status(Style::Good, "Imported", text);
    imported.runs.iter().for_each(|run| context.printer.data(&run.run));
    Ok(())
}
