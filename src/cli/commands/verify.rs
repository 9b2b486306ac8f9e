//! `ablate verify`: whether every bit of an archive is the one that was written.

use std::path::PathBuf;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::exchange::archive;
use crate::report::format;

/// What `ablate verify` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An archive of runs
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub json: Json,
}

/// Faults that are printed: of a file that was cut, every file in it has one.
const MOST: usize = 20;

/// Reads every byte of an archive and names what is changed, missing or added; fails when anything is.
pub fn verify(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    if !arguments.file.exists() {
        return Err(CliError::request(format!("there is no file `{}`", arguments.file.display())));
    }
    let verified = archive::verify(&arguments.file, &mut context.bytes_told("Verifying"))?;
    if arguments.json.wanted {
        context.printer.json(&verified);
    } else {
        let shown = verified.faults.iter().take(MOST);
        shown.for_each(|fault| context.printer.lines(&crate::cli::visible::visible(&fault.to_string())));
        if verified.faults.len() > MOST {
            context.printer.data(format!("and {} more; --json has all", verified.faults.len() - MOST));
        }
        if let (Some(root), true) = (verified.root, verified.whole) {
            context.printer.data(format!("root {root}"));
        }
    }
    let (runs, files) = (format::plural(verified.runs, "run"), format::plural(verified.files, "file"));
    let bytes = format::si(verified.bytes as f64);
    if verified.whole {
        let text = format!("{runs}, {files}, {bytes}B: every bit is as it was written");
        context.printer.status(Style::Good, "Verified", text);
        return Ok(());
    }
    let faults = format::plural(verified.faults.len(), "fault");
    context.printer.status(Style::Bad, "Damaged", format!("`{}`: {faults}", arguments.file.display()));
    Err(CliError::Said)
}
