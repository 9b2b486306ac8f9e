//! What commands have in common on the command line; what each takes beside that stands in its own file.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::runner::trained::Which;

/// Options of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The run store
    #[arg(long, global = true, value_name = "DIR", env = "ABLATE_RUNS", default_value = "runs")]
    pub runs: PathBuf,
    /// Where corpora are looked up that are not beside the experiment file
    #[arg(long, global = true, value_name = "DIR", env = "ABLATE_DATA", default_value = "data")]
    pub data: PathBuf,
    /// When to colour
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
    /// Say nothing but results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    Always,
    Never,
}

/// An experiment file and what changes it.
#[derive(Debug, Args)]
pub struct ExperimentFile {
    /// The experiment file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Override a key, as in --set train.steps=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
}

/// Whether the answer is for a program.
#[derive(Clone, Copy, Debug, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long = "json")]
    pub wanted: bool,
}

/// Which of a run's checkpoints is meant.
#[derive(Clone, Copy, Debug, Args)]
pub struct Checkpoint {
    /// Take the checkpoint of the best evaluation, not the last one
    #[arg(long)]
    best: bool,
}

impl Checkpoint {
    /// The checkpoint that is meant.
    pub fn which(self) -> Which {
        if self.best { Which::Best } else { Which::Last }
    }
}
