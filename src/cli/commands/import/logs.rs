//! `ablate import tensorboard`, `wandb` and `csv`: what other trackers left on the disk becomes runs of the store.

use super::told::{Told, progress, say};
use super::{Arguments, Format};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::clock;
use crate::exchange::{ImportError, Options, csv, tensorboard, wandb};

/// Takes the logs in, and says what came and what did not.
pub(super) fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.store()?;
    let options = Options { experiment: arguments.experiment.clone(), now: clock::now() };
    let tell = &mut progress(context);
    let (format, imported) = match arguments.format {
        Format::Wandb => ("ablate-import-wandb-1", wandb::import::import(&store, arguments.path()?, &options, tell)),
        Format::Csv => {
            let imported = csv::import::import(&store, &arguments.paths, &arguments.metric, &options, tell);
            ("ablate-import-csv-1", imported)
        }
        _ => ("ablate-import-tensorboard-1", tensorboard::import::import(&store, arguments.path()?, &options, tell)),
    };
    let imported = imported.map_err(|error| match error {
        ImportError::NoSource { .. } | ImportError::Io { .. } => CliError::request(error),
        ImportError::Store(error) => error.into(),
    })?;
    let told = Told {
        experiments: imported.experiments.len(),
        runs: imported.runs.iter().map(|run| &run.run).collect(),
        known: imported.known.len(),
        points: imported.runs.iter().map(|run| run.points).sum(),
        artifacts: imported.runs.iter().map(|run| run.artifacts).sum(),
        artifact_bytes: imported.runs.iter().map(|run| run.artifact_bytes).sum(),
    };
    say(context, arguments, format, &imported, &imported.findings, &told);
    Ok(())
}
