//! `ablate import hf`: a model from elsewhere becomes a run of the store.

use serde_json::json;

use super::Arguments;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::runner::import::{ImportModelError, import_model};

/// Takes a folder of Hugging Face's in, and says how to start from it.
pub(super) fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.store()?;
    let taken = import_model(&store, arguments.path()?, &context.command);
    let taken = taken.map_err(|error| match error {
        ImportModelError::Import(_) => CliError::request(error),
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
