//! People: arguments, tables, progress and error reports.
//!
//! Standard output is data, standard error is talk. Exit codes: 0 done, 1 the work failed, 2 the request was
//! wrong, 130 the person interrupted it.

mod args;
mod commands;
mod context;
mod error;
mod format;
mod printer;
mod progress;
mod table;

use std::process::ExitCode;

use clap::Parser;

use args::Arguments;
use context::Context;

/// Runs the program: parses the command line, does what it asks, and reports how that went.
pub fn main() -> ExitCode {
    let Arguments { global, command } = Arguments::parse();
    let context = Context::new(&global);
    match command.execute(&context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(&context.printer),
    }
}
