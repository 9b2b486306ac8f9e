//! `ablate import`: a model from elsewhere becomes a run of the store.

use std::path::PathBuf;

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::runner::import::{ImportModelError, import_model};

/// What `ablate import` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// From which program
    #[arg(value_enum)]
    pub format: ImportFormat,
    /// The folder with config.json, model.safetensors and tokenizer.json
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    #[command(flatten)]
    pub json: Json,
}

/// What a model is imported from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ImportFormat {
    /// Hugging Face's transformers: a BERT
    Hf,
}

/// Takes a folder of Hugging Face's in, and says how to start from it.
pub fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let ImportFormat::Hf = arguments.format;
    let store = context.store()?;
    let taken = import_model(&store, &arguments.folder, &context.command);
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
