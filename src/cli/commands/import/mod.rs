//! `ablate import`: what other programs wrote becomes runs of the store.
//!
//! A new format is a file here and a line in [`Format`].

pub(in crate::cli::commands) mod archive;
mod hf;
#[cfg(unix)]
mod logs;
#[cfg(unix)]
mod mlflow;
#[cfg(unix)]
mod told;

use std::path::{Path, PathBuf};

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
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
    /// A further folder of which artifacts may be read, where a store says that they lie elsewhere
    #[arg(long, value_name = "DIR")]
    pub artifacts: Vec<PathBuf>,
    /// A column that was measured, of a table with a run a row; the others are settings
    #[arg(long, value_name = "COLUMN")]
    pub metric: Vec<String>,
    /// The experiment that the runs are counted to, in place of the one that their files say
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
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
    /// TensorBoard's logs: a folder with event files, or with folders of them, or one such file
    #[cfg(unix)]
    Tensorboard,
    /// W&B's offline runs: a folder `wandb`, the folder of a run, or a `.wandb` file
    #[cfg(unix)]
    Wandb,
    /// Tables: files, or folders of them, with a point, a step or a run a row
    #[cfg(unix)]
    Csv,
}

impl Format {
    /// Whether it takes --artifacts, --experiment and --metric.
    fn options(self) -> [bool; 3] {
        match self {
            Self::Hf | Self::Archive => [false, false, false],
            #[cfg(unix)]
            Self::Mlflow => [true, false, false],
            #[cfg(unix)]
            Self::Tensorboard | Self::Wandb => [false, true, false],
            #[cfg(unix)]
            Self::Csv => [false, true, true],
        }
    }
}

impl Arguments {
    /// The one path that most formats take.
    fn path(&self) -> Result<&Path, CliError> {
        match &self.paths[..] {
            [path] => Ok(path),
            paths => Err(CliError::request(format!("one path is imported at a time, not {}", paths.len()))),
        }
    }
}

/// Takes in what the format says.
pub fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let format = arguments.format;
    let [takes_folders, takes_experiment, takes_metrics] = format.options();
    if !arguments.artifacts.is_empty() && !takes_folders {
        return Err(CliError::request("--artifacts names folders for `import mlflow`"));
    }
    if arguments.experiment.is_some() && !takes_experiment {
        return Err(CliError::request("--experiment names an experiment for `import tensorboard`, `wandb` or `csv`"));
    }
    if !arguments.metric.is_empty() && !takes_metrics {
        return Err(CliError::request("--metric names columns for `import csv`"));
    }
    match format {
        Format::Hf => hf::import(context, arguments),
        Format::Archive => archive::import(context, arguments),
        #[cfg(unix)]
        Format::Mlflow => mlflow::import(context, arguments),
        #[cfg(unix)]
        Format::Tensorboard | Format::Wandb | Format::Csv => logs::import(context, arguments),
    }
}
