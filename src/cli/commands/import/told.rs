//! What an import of another tracker's runs says to people: what did not come over, what came, and the ids of the new runs.

use serde::Serialize;

use super::Arguments;
use crate::cli::context::Context;
use crate::cli::printer::Style;
use crate::exchange::Findings;
use crate::report::format;
use crate::types::RunId;

/// Runs between two lines that say how far it is.
const EVERY: usize = 500;

/// What came in, for programs.
#[derive(Serialize)]
struct Document<'a, T> {
    format: &'a str,
    #[serde(flatten)]
    imported: &'a T,
}

/// What came in, counted.
#[derive(Debug, Default)]
pub(super) struct Told<'a> {
    pub experiments: usize,
    pub runs: Vec<&'a RunId>,
    /// Runs that were here already.
    pub known: usize,
    pub points: u64,
    pub artifacts: u64,
    pub artifact_bytes: u64,
}

/// Says now and then how many runs of how many are done.
pub(super) fn progress(context: &Context) -> impl FnMut(usize, usize) {
    move |done, all| {
        if done > 0 && done.is_multiple_of(EVERY) {
            context.printer.status(Style::Hint, "Reading", format!("{done} of {all} runs"));
        }
    }
}

/// Says what came of an import: all of it as JSON, or what did not come over and the rest counted.
pub(super) fn say<T: Serialize>(
    context: &Context,
    arguments: &Arguments,
    format: &str,
    imported: &T,
    findings: &Findings,
    told: &Told<'_>,
) {
    if arguments.json.wanted {
        context.printer.json(&Document { format, imported });
        return;
    }
    context.say_findings(findings);
    let known = match told.known {
        0 => String::new(),
        known => format!("; {} here already", format::plural(known, "run")),
    };
    let text = format!(
        "{} of {} with {} points and {} artifacts ({}B){known}",
        format::plural(told.runs.len(), "run"),
        format::plural(told.experiments, "experiment"),
        format::thousands(told.points),
        format::thousands(told.artifacts),
        format::si(told.artifact_bytes as f64),
    );
    context.printer.status(Style::Good, "Imported", text);
    told.runs.iter().for_each(|run| context.printer.data(run));
}
