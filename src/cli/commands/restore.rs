//! `ablate restore`: brings runs back from the trash.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::store::Trash;

/// What `ablate restore` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs of the trash, as `list` takes them; `ablate list trash=yes` shows them
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
}

/// Takes the runs that the query finds out of the trash.
pub fn restore(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let (_, rows) = context.found(&store, &arguments.query, Trash::Only)?;
    for row in &rows {
        store.run(&row.id)?.relabel(|labels| labels.trashed_at = None)?;
    }
    context.printer.status(Style::Good, "Restored", format::plural(rows.len(), "run"));
    Ok(())
}
