//! `ablate import`: a model from elsewhere becomes a run of the store.

use serde_json::json;

use crate::cli::args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::format;
use crate::cli::printer::Style;
use crate::runner::import::{TakeInError, take_in};

/// Takes a folder of Hugging Face's in, and says how to start from it.
pub fn import(context: &Context, arguments: &args::Import) -> Result<(), CliError> {
    let args::ImportFormat::Hf = arguments.format;
    let store = context.store()?;
    let taken = take_in(&store, &arguments.folder, &context.command);
    let taken = taken.map_err(|error| match error {
        TakeInError::Import(_) => CliError::request(error),
        _ => CliError::work(error),
    })?;
    if arguments.json.wanted {
        context.printer.json(&json!({
            "format": "ablate-import-1",
            "run": taken.run,
            "known": taken.is_known,
            "parameters": taken.parameters,
            "warnings": taken.warnings,
        }));
        return Ok(());
    }
    taken.warnings.iter().for_each(|text| context.printer.status(Style::Caution, "Warning", text));
    let verb = if taken.is_known { "Known" } else { "Imported" };
    let what = format!("{} parameters as run {}", format::thousands(taken.parameters), taken.run);
    context.printer.status(
        Style::Good,
        verb,
        format!("{what}; to start from it: `run = \"{}\"` under [finetune]", taken.run),
    );
    context.printer.data(&taken.run);
    Ok(())
}
