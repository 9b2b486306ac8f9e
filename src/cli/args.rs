//! The command line as it is typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::types::{MetricName, RunId};

/// Declare a sweep over small masked language models, train it, compare it honestly, reproduce any run bit for bit.
#[derive(Debug, Parser)]
#[command(name = "ablate", version, propagate_version = true, max_term_width = 110)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

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

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what an experiment file amounts to, without training
    Plan(Plan),
    /// Train what is missing of an experiment and draw the comparison
    Run(Run),
    /// List runs
    List(List),
    /// Show everything about a run
    Show(Show),
    /// Compare two runs: settings, results, provenance
    Diff(Diff),
    /// Compare the runs of an experiment, or any runs: tables, figures, report.html
    Compare(Compare),
    /// Execute a finished run again and prove that it comes out the same
    Reproduce(Reproduce),
    /// Check this machine, this program and the store
    Doctor(Doctor),
    /// Execute one run (what `run` starts)
    #[command(hide = true)]
    Worker(Worker),
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

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// Show every cell, however many there are
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// Runs at a time
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,
    /// Threads a run; by default the cores are divided among the jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Execute runs again that failed
    #[arg(long)]
    pub retry: bool,
    /// Where the comparison is written [default: reports/NAME in the store]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A TrueType font with the glyphs that the built-in one lacks, such as Hangul, for PNG files
    #[arg(long, value_name = "FILE", env = "ABLATE_FONT")]
    pub font: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct List {
    /// Words of a query: an experiment's name, KEY=VALUE, state=failed, limit=20
    #[arg(value_name = "QUERY")]
    pub query: Vec<String>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Show {
    /// A run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Diff {
    /// A run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub first: String,
    /// The run it is compared with
    #[arg(value_name = "RUN")]
    pub second: String,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Compare {
    /// An experiment file; or words of a query over the runs, as `list` takes them: ids, names, KEY=VALUE, state=finished
    #[arg(value_name = "FILE|QUERY", required = true)]
    pub what: Vec<String>,
    /// Override a key of the file, as in --set train.steps=500
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// The metric that decides [default: the experiment's; valid/mlm_loss for a query]
    #[arg(long, value_name = "METRIC")]
    pub metric: Option<MetricName>,
    /// Which way is better [default: the experiment's, or what is usual for the metric]
    #[arg(long, value_enum)]
    pub goal: Option<Goal>,
    /// Where figures and report are written [default: reports/NAME in the store]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A TrueType font with the glyphs that the built-in one lacks, such as Hangul, for PNG files
    #[arg(long, value_name = "FILE", env = "ABLATE_FONT")]
    pub font: Option<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

/// Which direction of a metric is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    Minimize,
    Maximize,
}

#[derive(Debug, Args)]
pub struct Reproduce {
    /// A finished run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Threads to compute with; the result does not depend on them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Worker {
    pub run: RunId,
}

/// Whether the answer is for a program.
#[derive(Clone, Copy, Debug, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long = "json")]
    pub wanted: bool,
}
