//! What commands have in common on the command line; what each takes beside that stands in its own file.

use std::fmt;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::runner::provenance::cores;
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

/// How many runs are executed at a time, and with how much each.
#[derive(Clone, Copy, Debug, Args)]
pub struct Workers {
    /// Runs at a time; `auto` takes as many as there are cores, each with a thread of its own, which wastes least
    #[arg(long, short, value_name = "N", default_value = "1")]
    pub jobs: Jobs,
    /// Threads a run; by default the cores are divided among the jobs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
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

impl fmt::Display for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_a_number_or_as_many_as_cores() {
        assert_eq!("3".parse::<Jobs>().unwrap().count(100), 3);
        assert_eq!("auto".parse::<Jobs>().unwrap().count(usize::MAX), cores());
        assert_eq!("auto".parse::<Jobs>().unwrap().count(0), 1);
        for wrong in ["0", "-1", "many", "70000", ""] {
            assert_eq!(wrong.parse::<Jobs>().unwrap_err(), "a number from 1 to 65535, or `auto`");
        }
    }
}
