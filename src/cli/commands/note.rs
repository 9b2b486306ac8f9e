//! `ablate note`: a remark about a run.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::cli::visible::visible;
use crate::clock;
use crate::report::find::find_id;

/// What `ablate note` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// What is to be said of it; without it, the note is printed
    #[arg(value_name = "TEXT", trailing_var_arg = true)]
    pub text: Vec<String>,
    /// Take the note away
    #[arg(long, conflicts_with = "text")]
    pub remove: bool,
}

/// Replaces the note of a run, or prints it.
pub fn note(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let id = find_id(&store, &arguments.run, clock::now())?;
    if arguments.text.is_empty() && !arguments.remove {
        match store.run(&id)?.labels()?.note {
            Some(note) => context.printer.data(visible(&note)),
            None => context.printer.say(format!("run {id} has no note")),
        }
        return Ok(());
    }
    let text = Some(arguments.text.join(" ")).filter(|text| !text.trim().is_empty());
    let said = if text.is_some() { "is noted" } else { "has no note any more" };
    store.run(&id)?.relabel(|labels| labels.note = text)?;
    context.printer.status(Style::Good, "Noted", format!("run {id} {said}"));
    Ok(())
}
