//! `ablate reindex`: makes the index anew from the run folders.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::store::Index;

/// What `ablate reindex` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {}

/// Reads every run anew.
pub fn reindex(context: &Context, _: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let index = Index::anew(&store, &mut |done, all| context.say_reading(done, all))?;
    let runs = index.count()?;
    context.say_unreadable(&index);
    context.printer.status(Style::Good, "Indexed", format::plural(runs, "run"));
    Ok(())
}
