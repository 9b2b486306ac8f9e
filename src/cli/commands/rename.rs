//! `ablate rename`: what a run is called, beside its id.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::report::find::find_id;

/// What `ablate rename` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Its new name; nothing takes the name away
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Replaces the name of a run.
pub fn rename(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let id = find_id(&store, &arguments.run, clock::now())?;
    let name = arguments.name.clone().filter(|name| !name.trim().is_empty());
    if name.as_ref().is_some_and(|name| name.contains(char::is_control)) {
        return Err(CliError::request("a name is one line without control characters"));
    }
    let said = name.as_ref().map_or("has no name any more".to_owned(), |name| format!("is called `{name}`"));
    store.run(&id)?.relabel(|labels| labels.name = name)?;
    context.printer.status(Style::Good, "Renamed", format!("run {id} {said}"));
    Ok(())
}
