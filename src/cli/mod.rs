//! People: arguments, tables, progress and error reports.
//!
//! Standard output is data, standard error is talk. Exit codes: 0 done, 1 the work failed, 2 the request was
//! wrong, 130 the person interrupted it.

mod args;
mod columns;
mod commands;
mod context;
mod error;
mod execution;
mod printer;
mod progress;
mod table;
mod unknown_command;
mod visible;

use std::process::ExitCode;

use clap::Parser;

use commands::Arguments;
use context::Context;

/// Runs the program: parses the command line, does what it asks, and reports how that went.
pub fn main() -> ExitCode {
    let Arguments { global, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let error = unknown_command::suggest(error);
            let _ = error.print(); // A reader that went away ends the printing without a fuss.
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let context = Context::new(&global);
    match command.execute(&context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(&context.printer),
    }
}
