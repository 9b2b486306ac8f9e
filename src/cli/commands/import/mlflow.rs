//! `ablate import mlflow`: the runs of a store of MLflow become runs of this one.

use super::Arguments;
use super::told::{Told, progress, say};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::clock;
use crate::exchange::mlflow::import::{ImportError, Options, import as import_store};

/// Takes the store in, and says what came and what did not.
pub(super) fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.store()?;
    let options = Options { artifacts: arguments.artifacts.clone(), now: clock::now() };
    let imported =
        import_store(&store, arguments.path()?, &options, &mut progress(context)).map_err(|error| match error {
            ImportError::NoStore { .. } | ImportError::Io { .. } => CliError::request(error),
            ImportError::Store(error) => error.into(),
            ImportError::Database(_) => CliError::work(error),
        })?;
    let told = Told {
        experiments: imported.experiments.len(),
        runs: imported.runs.iter().map(|run| &run.run).collect(),
        known: imported.known.len(),
        points: imported.runs.iter().map(|run| run.points).sum(),
        artifacts: imported.runs.iter().map(|run| run.artifacts).sum(),
        artifact_bytes: imported.runs.iter().map(|run| run.artifact_bytes).sum(),
    };
    say(context, arguments, "ablate-import-mlflow-1", &imported, &imported.findings, &told);
    Ok(())
}
