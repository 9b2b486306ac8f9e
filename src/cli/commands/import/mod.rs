//! `ablate import`: what other programs wrote becomes runs of the store.
//!
//! A new format is a file here and a line in [`Format`].

pub(in crate::cli::commands) mod archive;
mod hf;
#[cfg(unix)]
mod mlflow;

use std::path::PathBuf;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;

/// What `ablate import` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What was written
    #[arg(value_enum)]
    pub format: Format,
    /// Where it is
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// A further folder of which artifacts may be read, where a store says that they lie elsewhere
    #[arg(long, value_name = "DIR")]
    pub artifacts: Vec<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

/// What can be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A BERT of Hugging Face's transformers: the folder with config.json, model.safetensors and tokenizer.json
    Hf,
    /// Runs of another store, in the file that `ablate archive` wrote
    Archive,
    /// A store of MLflow: the folder `mlruns` of any version, or its database `mlflow.db`
    #[cfg(unix)]
    Mlflow,
}

/// Takes in what the format says.
pub fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    if !arguments.artifacts.is_empty() && matches!(arguments.format, Format::Hf | Format::Archive) {
        return Err(CliError::request("--artifacts names folders for `import mlflow`"));
    }
    match arguments.format {
        Format::Hf => hf::import(context, arguments),
        Format::Archive => archive::import(context, arguments),
        #[cfg(unix)]
        Format::Mlflow => mlflow::import(context, arguments),
    }
}
