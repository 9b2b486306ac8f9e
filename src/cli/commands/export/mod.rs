//! `ablate export`: runs and models for other programs.
//!
//! A new format is a file here and a line in [`Format`].

mod hf;
#[cfg(unix)]
mod mlflow;
mod table;

use std::path::PathBuf;

use crate::cli::args::{Checkpoint, Json};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::exchange::table::Spelling;
use crate::runner::trained::Which;

/// What `ablate export` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A model of one run (any unique beginning of its id, its name, or `latest`); of the other formats which runs, as `list` takes them
    #[arg(value_name = "QUERY", required = true)]
    pub query: Vec<String>,
    /// For which program
    #[arg(long, value_enum)]
    pub format: Format,
    /// Where to, which must be new or empty [default: a name made from the format's]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Of a table: what a row is [default: runs]
    #[arg(long, value_enum)]
    pub shape: Option<Rows>,
    #[command(flatten)]
    pub checkpoint: Checkpoint,
    #[command(flatten)]
    pub json: Json,
}

/// What a row of a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Rows {
    /// A run: settings, labels, times, the last, least and largest value of each metric
    Runs,
    /// A point: run, metric, step, value, time
    Long,
    /// A step of a run, with a column for each metric
    Wide,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The model of one run as Hugging Face's transformers loads it
    Hf,
    /// A table (see --shape), to standard output unless --out names a file
    Csv,
    /// A table of an object a line, to standard output unless --out names a file
    Jsonl,
    /// A table for pandas, polars, DuckDB, R; to the file that --out names
    Parquet,
    /// Runs as a store of files that MLflow opens, from its version 1.30 on
    #[cfg(unix)]
    Mlflow,
}

/// Writes what the format asks for.
pub fn export(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let is_table = matches!(arguments.format, Format::Csv | Format::Jsonl | Format::Parquet);
    if arguments.shape.is_some() && !is_table {
        return Err(CliError::request("--shape says what a row of a table is: of --format csv, jsonl and parquet"));
    }
    if arguments.checkpoint.which() == Which::Best && arguments.format != Format::Hf {
        return Err(CliError::request("--best says which checkpoint is the model: of --format hf"));
    }
    match arguments.format {
        Format::Hf => hf::export(context, arguments),
        Format::Csv => table::export(context, arguments, Spelling::Csv),
        Format::Jsonl => table::export(context, arguments, Spelling::JsonLines),
        Format::Parquet => table::export(context, arguments, Spelling::Parquet),
        #[cfg(unix)]
        Format::Mlflow => mlflow::export(context, arguments),
    }
}
