//! `ablate demo`: a first answer in half a minute, from an experiment file that it leaves behind to be changed.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::cli::args::ExperimentFile;
use crate::cli::args::Jobs;
use crate::cli::commands::run;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;

/// What `ablate demo` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Where the experiment file is written; one that is there is run as it is
    #[arg(value_name = "FILE", default_value = "demo.toml")]
    pub file: PathBuf,
}

/// Two sizes, two mask ratios, three seeds.
const EXPERIMENT: &str = include_str!("../../../experiments/demo.toml");

/// Writes the experiment file and runs it, on all cores.
pub fn demo(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let file = &arguments.file;
    match write_new(file) {
        Ok(()) => context.printer.status(Style::Good, "Wrote", format!("{}: what is run now", file.display())),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            context.printer.status(Style::Good, "Reading", format!("{}, which is there", file.display()));
        }
        Err(error) => return Err(CliError::request(format!("cannot write `{}`: {error}", file.display()))),
    }
    let experiment = ExperimentFile { file: file.clone(), sets: Vec::new() };
    run::run(context, &run::Arguments::of(experiment, Jobs::Auto))
}

fn write_new(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(EXPERIMENT.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that somebody changed is never written over.
    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("demo.toml");
        write_new(&path).expect("a new file");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), EXPERIMENT);
        assert_eq!(write_new(&path).map_err(|error| error.kind()), Err(ErrorKind::AlreadyExists));
    }
}
