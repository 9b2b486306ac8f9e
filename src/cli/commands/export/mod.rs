//! `ablate export`: runs and models for other programs.
//!
//! A new format is a file here and a line in [`Format`].

mod hf;
#[cfg(unix)]
mod mlflow;

use std::path::PathBuf;

use crate::cli::args::{Checkpoint, Json};
use crate::cli::context::Context;
use crate::cli::error::CliError;

/// What `ablate export` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model of one run (any unique beginning of its id, or `latest`); of the other formats which runs, as `list` takes them
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
    /// For which program
    #[arg(long, value_enum)]
    pub format: Format,
    /// Where to, which must be new or empty [default: a name made from the format's]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub checkpoint: Checkpoint,
    #[command(flatten)]
    pub json: Json,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The model of one run as Hugging Face's transformers loads it
    Hf,
    /// Runs as a store of files that MLflow opens, from its version 1.30 on
    #[cfg(unix)]
    Mlflow,
}

/// Writes what the format asks for.
pub fn export(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    match arguments.format {
        Format::Hf => hf::export(context, arguments),
        #[cfg(unix)]
        Format::Mlflow => mlflow::export(context, arguments),
    }
}
