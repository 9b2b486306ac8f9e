//! `ablate worker`: executes one run. Started by `run` and `reproduce`, not by people.

use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::runner::worker::{Order, work};

/// Executes the run and records how it ended; the parent reads that from the run's folder.
pub fn worker(context: &Context, arguments: &args::Worker) -> Result<(), CliError> {
    let args::Worker { run, until, tethered } = arguments.clone();
    let order = Order { runs: context.runs.clone(), run, data_root: context.data_root.clone(), until, tethered };
    work(&order).map(drop).map_err(CliError::work)
}
