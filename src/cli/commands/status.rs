//! `ablate status`: the sweeps that are running, how far they are, and what is left of the last ones.

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::clock;
use crate::report::sweep::SweepStatus;
use crate::report::{format, json};
use crate::store::StoredSweep;

/// What `ablate status` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only this experiment
    #[arg(value_name = "EXPERIMENT")]
    pub experiment: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

/// Prints how far sweeps are.
pub fn status(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let (mut index, now) = (context.index(&store)?, clock::now());
    let is_asked = |sweep: &StoredSweep| arguments.experiment.as_ref().is_none_or(|name| sweep.is_of(name));
    let sweeps = store.sweeps()?.into_iter().filter(is_asked);
    let statuses = sweeps.map(|sweep| SweepStatus::of(&sweep, &mut index, now)).collect::<Result<Vec<_>, _>>()?;
    if arguments.json.wanted {
        context.printer.json(&json!({ "format": "ablate-sweeps-1", "sweeps": json::value(&statuses) }));
        return Ok(());
    }
    if let Some(name) = arguments.experiment.as_ref().filter(|_| statuses.is_empty()) {
        return Err(CliError::request(format!("nothing is known of a sweep of `{name}`; `ablate status` shows all")));
    }
    if statuses.is_empty() {
        context.printer.data("no sweep is running, and none has left a record");
    }
    for status in &statuses {
        context.printer.data(in_words(status, now));
    }
    Ok(())
}

fn in_words(status: &SweepStatus, now: crate::types::Timestamp) -> String {
    let name = status.name();
    let state = match (status.is_running, status.is_stopping) {
        (true, true) => "stopping".to_owned(),
        (true, false) => format!("running on {} (process {})", status.host, status.process),
        (false, _) if status.is_unfinished() => "not finished".to_owned(),
        (false, _) => "over".to_owned(),
    };
    let counts: Vec<String> = status.counts.each().map(|(state, count)| format!("{count} {state}")).collect();
    let left = status.remaining_secs.map(|secs| format!(", {} left", format::duration(secs))).unwrap_or_default();
    let begun = format::ago(now.secs_since(status.started_at));
    let mut lines = vec![format!(
        "{name}: {state}, begun {begun}; {}; {} % done{left}",
        counts.join(", "),
        (100.0 * status.done).floor()
    )];
    for working in &status.working {
        let of = working.total_steps.map(|total| format!(" of {total}")).unwrap_or_default();
        let loss = working.loss.map(|loss| format!(", loss {loss:.3}")).unwrap_or_default();
        lines.push(format!("  {}  {}: step {}{of}{loss}", working.run, working.label, working.steps_done));
    }
    for failure in &status.failed {
        let run = failure.run.as_ref().map(|run| format!("{run}  ")).unwrap_or_default();
        lines.push(format!("  failed: {run}{}: {}", failure.label, failure.reason));
    }
    if !status.is_running && status.is_unfinished() {
        lines.push(format!("  goes on with: cd {} && {}", status.folder, status.command.join(" ")));
    }
    lines.join("\n")
}
