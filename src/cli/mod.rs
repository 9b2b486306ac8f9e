//! People: arguments, tables, progress and error reports.
//!
//! Standard output is data, standard error is talk. Exit codes: 0 done, 1 the work failed, 2 the request was wrong.

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

use args::{Arguments, Command};
use context::Context;

/// Runs the program: parses the command line, does what it asks, and reports how that went.
pub fn main() -> ExitCode {
    let Arguments { global, command } = Arguments::parse();
    let context = Context::new(&global);
    let result = match &command {
        Command::Plan(arguments) => commands::plan(&context, arguments),
        Command::Run(arguments) => commands::run(&context, arguments),
        Command::List(arguments) => commands::list(&context, arguments),
        Command::Show(arguments) => commands::show(&context, arguments),
        Command::Diff(arguments) => commands::diff(&context, arguments),
        Command::Compare(arguments) => commands::compare(&context, arguments),
        Command::Reproduce(arguments) => commands::reproduce(&context, arguments),
        Command::FillMask(arguments) => commands::fill_mask_of(&context, arguments),
        Command::Predict(arguments) => commands::predict(&context, arguments),
        Command::Memorisation(arguments) => commands::memorisation(&context, arguments),
        Command::Tokenizer(arguments) => commands::tokenizer(&context, arguments),
        Command::Import(arguments) => commands::import(&context, arguments),
        Command::Export(arguments) => commands::export(&context, arguments),
        Command::Doctor(arguments) => commands::doctor(&context, arguments),
        Command::Bench(arguments) => commands::bench(&context, arguments),
        Command::Worker(arguments) => commands::worker(&context, arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(&context.printer),
    }
}
