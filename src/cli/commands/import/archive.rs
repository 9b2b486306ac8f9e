//! `ablate import archive`: the runs of an archive become runs of the store, ids and every byte as they were.

use serde_json::{Value, json};

use super::Arguments;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::exchange::archive::{ExperimentTaken, TakenRun, Why, import as take_in};
use crate::report::{format, kept};

/// Takes the archive in, and says what was there already.
pub(super) fn import(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let path = arguments.path()?;
    if !path.exists() {
        return Err(CliError::request(format!("there is no file `{}`", path.display())));
    }
    let store = context.store()?;
    let taken = take_in(&store, path, &mut context.bytes_told("Verifying"))?;
    for report in taken.reports.iter().filter(|report| !report.is_known) {
        kept::list_newest(&context.reports(), &report.shelf)?;
    }
    context.index(&store)?;
    if arguments.json.wanted {
        let report = |report: &crate::exchange::archive::TakenReport| json!({ "experiment": report.shelf, "name": report.name, "known": report.is_known });
        context.printer.json(&json!({
            "format": "ablate-import-archive-1",
            "root": taken.root,
            "runs": taken.runs.iter().map(|run| json_of(run, None)).collect::<Vec<_>>(),
            "reports": taken.reports.iter().map(report).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    taken.runs.iter().for_each(|run| say_run(context, run, "Imported", ""));
    say_experiments(context, &taken.experiments);
    let new = taken.runs.iter().filter(|run| !run.is_known).count();
    let reports = taken.reports.iter().filter(|report| !report.is_known).count();
    let reports = if reports > 0 { format!(", {}", format::plural(reports, "report")) } else { String::new() };
    let text = format!("{}{reports}; {} known", format::plural(new, "run"), taken.runs.len() - new);
    context.printer.status(Style::Good, "Took in", text);
    context.printer.data(format!("root {}", taken.root));
    Ok(())
}

/// Says what became of a run.
pub(in crate::cli::commands) fn say_run(context: &Context, run: &TakenRun, verb: &str, why: &str) {
    match (&run.kept, run.is_known) {
        (Some(kept), true) => {
            context.printer.status(Style::Caution, "Known", format!("run {}; it keeps {kept}", run.id))
        }
        (None, true) => context.printer.status(Style::Hint, "Known", format!("run {}, byte for byte", run.id)),
        (_, false) => context.printer.status(Style::Good, verb, format!("run {}{why}", run.id)),
    }
}

/// Says which experiments the store knows otherwise.
pub(in crate::cli::commands) fn say_experiments(context: &Context, experiments: &[ExperimentTaken]) {
    for experiment in experiments.iter().filter(|experiment| !experiment.is_taken) {
        let text = format!("experiment `{}` keeps the names and tags that it has here", experiment.name);
        context.printer.status(Style::Caution, "Known", text);
    }
}

/// What became of a run, for programs.
pub(in crate::cli::commands) fn json_of(run: &TakenRun, why: Option<Why>) -> Value {
    let mut json = json!({ "id": run.id, "known": run.is_known, "kept": run.kept });
    if let Some(why) = why {
        json["why"] = json!(why);
    }
    json
}
