//! `ablate explain`: what a problem is, why it is refused, and an example of what is wrong beside what is right.

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::experiment::problem::{self, Problem};
use crate::suggest::nearest;

/// What `ablate explain` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The name of a problem, as an error shows it [default: list all]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

/// Explains the problem of this name, or lists all.
pub fn explain_problem(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let named = arguments.name.as_ref().map(|name| problem::find(name).ok_or_else(|| unknown(name))).transpose()?;
    let shown: Vec<&Problem> = named.map_or_else(|| problem::all().collect(), |problem| vec![problem]);
    if arguments.json.wanted {
        let problems: Vec<_> = shown.iter().map(|problem| as_json(problem)).collect();
        context.printer.json(&json!({ "format": "ablate-problems-1", "problems": problems }));
        return Ok(());
    }
    match named {
        Some(problem) => {
            let title = context.printer.paint(Stream::Out, Style::Strong, problem.name());
            let example = |text: &str| text.lines().map(|line| format!("    {line}\n")).collect::<String>();
            context.printer.data(format!(
                "{title}\n\n{} {}\n\nWrong:\n\n{}\nRight:\n\n{}",
                problem.what,
                problem.why,
                example(problem.wrong),
                example(problem.right).trim_end()
            ));
        }
        None => {
            let rows = shown.iter().map(|problem| vec![problem.name().to_owned(), problem.what.to_owned()]);
            context.printer.data(table(&[("problem", Align::Left), ("", Align::Left)], rows));
        }
    }
    Ok(())
}

fn unknown(name: &str) -> CliError {
    CliError::request(match nearest(name, problem::all().map(Problem::name)) {
        Some(meant) => format!("there is no problem `{name}`; did you mean `{meant}`?"),
        None => format!("there is no problem `{name}`; `ablate explain` lists all"),
    })
}

fn as_json(problem: &Problem) -> serde_json::Value {
    json!({
        "name": problem.name(),
        "what": problem.what,
        "why": problem.why,
        "wrong": problem.wrong,
        "right": problem.right,
    })
}
