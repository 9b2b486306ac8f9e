//! `ablate rename`: what a run is called, beside its id.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::cli::visible::visible;
use crate::clock;
use crate::report::find::find_id;
use crate::store::StoreError;

/// What `ablate rename` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Its new name; without it, the name is printed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Take the name away
    #[arg(long, conflicts_with = "name")]
    pub remove: bool,
}

/// Replaces the name of a run, or prints it.
pub fn rename(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let id = find_id(&store, &arguments.run, clock::now())?;
    if arguments.name.is_none() && !arguments.remove {
        match store.run(&id)?.labels()?.name {
            Some(name) => context.printer.data(visible(&name)),
            None => context.printer.say(format!("run {id} has no name")),
        }
        return Ok(());
    }
    let name = arguments.name.clone().filter(|name| !name.trim().is_empty());
    if name.as_ref().is_some_and(|name| name.contains(char::is_control)) {
        return Err(CliError::request("a name is one line without control characters"));
    }
    if let Some(name) = &name {
        let other = match name.as_str() {
            "latest" => Some("the run that was started last".to_owned()),
            option if option.starts_with('-') => Some("an option".to_owned()),
            name => match store.resolve(name) {
                Err(StoreError::UnknownRun { .. }) => None,
                Ok(run) => Some(format!("run {run}, whose id begins so")),
                Err(_) => Some("runs whose ids begin so".to_owned()),
            },
        };
        if let Some(other) = other {
            return Err(CliError::request(format!("`{name}` means {other}: it would not be found by this name")));
        }
    }
    let said = name.as_ref().map_or("has no name any more".to_owned(), |name| format!("is called `{name}`"));
    store.run(&id)?.relabel(|labels| labels.name = name)?;
    context.printer.status(Style::Good, "Renamed", format!("run {id} {said}"));
    Ok(())
}
