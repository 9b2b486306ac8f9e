//! `ablate worker`: executes one run. Started by `run` and `reproduce`, not by people.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::runner::worker::{Order, work};
use crate::types::RunId;

/// What the worker is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    pub run: RunId,
    /// Stop after this step
    #[arg(long)]
    pub until: Option<u64>,
    /// Stop when standard input ends
    #[arg(long)]
    pub tethered: bool,
}

/// Executes the run and records how it ended; the parent reads that from the run's folder.
pub fn worker(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let Arguments { run, until, tethered } = arguments.clone();
    let order = Order { runs: context.runs.clone(), run, data_root: context.data_root.clone(), until, tethered };
    work(&order).map(drop).map_err(CliError::work)
}
