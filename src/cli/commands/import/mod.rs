//! `ablate import`: what other programs wrote becomes runs of the store.
//!
//! A new format is a file here and a line in [`Format`].

pub(in crate::cli::commands) mod archive;
mod hf;

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
}

/// Takes in what the format says.
pub fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    match arguments.format {
        Format::Hf => hf::import(context, arguments),
        Format::Archive => archive::import(context, arguments),
    }
}
