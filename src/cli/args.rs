//! The command line as it is typed.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::runner::provenance::cores;
use crate::runner::trained::Which;
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
    /// What a trained model expects behind each [MASK] of a text
    FillMask(FillMask),
    /// What a model trained for a task says about the texts of a file
    Predict(Predict),
    /// Which spans of its train documents a model gives back word for word
    Memorisation(Memorisation),
    /// Train, inspect and compare tokenizers
    Tokenizer(Tokenizer),
    /// Take a model from elsewhere into the store, to fine-tune it
    Import(Import),
    /// Write a trained model for other programs
    Export(Export),
    /// Check this machine, this program and the store
    Doctor(Doctor),
    /// Measure training steps of known shapes on this machine
    Bench(Bench),
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
    /// Show where the value of a key comes from, layer by layer, instead of the cells
    #[arg(long, value_name = "KEY")]
    pub explain: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// Runs at a time; `auto` takes as many as there are cores, each with a thread of its own, which wastes least
    #[arg(long, short, value_name = "N", default_value = "1")]
    pub jobs: Jobs,
    /// Threads a run; by default the cores are divided among the jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Execute runs again that failed
    #[arg(long)]
    pub retry: bool,
    /// Train every run from its first step, also where a shorter run has done the beginning
    #[arg(long)]
    pub no_sharing: bool,
    /// Train every run to its end, whatever [sweep.halving] says
    #[arg(long)]
    pub no_halving: bool,
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
pub struct FillMask {
    /// A run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The text, with [MASK] where the model is to guess
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// Guesses for each mask
    #[arg(long, short = 'k', value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub top: u16,
    /// Take the checkpoint with the lowest valid loss, not the last one
    #[arg(long)]
    pub best: bool,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Predict {
    /// A fine-tuned run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// A text a line, a TSV with a header, or JSON lines; `-` for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Take the checkpoint with the lowest valid loss, not the last one
    #[arg(long)]
    pub best: bool,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Memorisation {
    /// A pretrained run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Spans of either side
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..))]
    pub spans: u16,
    /// Tokens of a span
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub length: u16,
    /// Spans that are shown of those that came back
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub show: u16,
    /// Take the checkpoint with the lowest valid loss, not the last one
    #[arg(long)]
    pub best: bool,
    #[command(flatten)]
    pub json: Json,
}

impl Memorisation {
    /// The checkpoint that is meant.
    pub fn which(&self) -> Which {
        which(self.best)
    }
}

#[derive(Debug, Args)]
pub struct Import {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// Hugging Face's transformers: a BERT
    Hf,
}

#[derive(Debug, Args)]
pub struct Export {
    /// A run: any unique beginning of its id, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// For which program
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// The folder, which must be new or empty [default: RUN-hf]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Take the checkpoint with the lowest valid loss, not the last one
    #[arg(long)]
    pub best: bool,
    #[command(flatten)]
    pub json: Json,
}

/// What a model is exported for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Hugging Face's transformers
    Hf,
}

impl FillMask {
    /// The checkpoint that is meant.
    pub fn which(&self) -> Which {
        which(self.best)
    }
}

impl Predict {
    /// The checkpoint that is meant.
    pub fn which(&self) -> Which {
        which(self.best)
    }
}

impl Export {
    /// The checkpoint that is meant.
    pub fn which(&self) -> Which {
        which(self.best)
    }
}

fn which(best: bool) -> Which {
    if best { Which::Best } else { Which::Last }
}

#[derive(Debug, Args)]
pub struct Tokenizer {
    #[command(subcommand)]
    pub command: TokenizerCommand,
}

#[derive(Debug, Subcommand)]
pub enum TokenizerCommand {
    /// Train every tokenizer of an experiment
    Train(TokenizerTrain),
    /// Show the pieces of words
    Inspect(TokenizerInspect),
    /// Compare the tokenizers of an experiment on its held-out text
    Compare(TokenizerCompare),
}

#[derive(Debug, Args)]
pub struct TokenizerTrain {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// Where tokenizer.json is written; of several tokenizers, each in a folder of its own
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct TokenizerInspect {
    /// A tokenizer.json, or a run: any unique beginning of its id, or `latest`
    #[arg(value_name = "TOKENIZER")]
    pub tokenizer: String,
    /// The text whose words are cut
    #[arg(value_name = "TEXT", required = true)]
    pub text: Vec<String>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct TokenizerCompare {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// A word whose pieces are shown too
    #[arg(long = "word", value_name = "WORD")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub json: Json,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub json: Json,
}

#[derive(Clone, Debug, Args)]
pub struct Worker {
    pub run: RunId,
    /// Stop after this step
    #[arg(long)]
    pub until: Option<u64>,
    /// Stop when standard input ends
    #[arg(long)]
    pub tethered: bool,
}

/// How many runs are executed at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    Auto,
    Count(NonZeroU16),
}

impl Jobs {
    /// Runs at a time for so many runs in all.
    pub fn count(self, runs: usize) -> usize {
        match self {
            Self::Auto => cores().min(runs).max(1),
            Self::Count(count) => usize::from(count.get()),
        }
    }
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "auto" => Ok(Self::Auto),
            Ok(count) => Ok(Self::Count(count)),
            Err(_) => Err("a number from 1 to 65535, or `auto`".to_owned()),
        }
    }
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Shapes to measure; all of them when none is named
    #[arg(value_name = "SHAPE")]
    pub shapes: Vec<String>,
    /// Measured steps, after two that warm up
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub steps: u16,
    /// Sequences a step, in place of the shape's own
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: Option<u16>,
    /// What to compute on, as `train.device`
    #[arg(long, value_name = "DEVICE", default_value = "flex")]
    pub device: String,
    /// By burn's own operations instead of the kernels, also on `flex`
    #[arg(long)]
    pub composed: bool,
    /// Compute sublayers again in the backward pass, as `train.gradient_checkpointing`
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Show where a step's time goes, kernel by kernel
    #[arg(long)]
    pub profile: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Whether the answer is for a program.
#[derive(Clone, Copy, Debug, Args)]
pub struct Json {
    /// Print JSON
    #[arg(long = "json")]
    pub wanted: bool,
}
