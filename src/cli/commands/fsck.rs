//! `ablate fsck`: whether every byte of the store is what was written, and what to do where it is not.

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::runner::upkeep::inspect::{Finding, Inspection, Remedy, inspect, repair};
use crate::store::Store;

/// What `ablate fsck` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Move what is damaged below `.set-aside` in the store, where nobody reads it; nothing is deleted
    #[arg(long)]
    pub repair: bool,
    #[command(flatten)]
    pub json: Json,
}

/// Reads the whole store and names what is wrong; fails when something is, and was not repaired. What the next who writes puts right by
/// himself, as the torn end of a run that can go on, is named and is no failure.
pub fn fsck(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let all = store.run_ids()?.len();
    let mut done = 0;
    let inspection = inspect(&store, &mut |_| {
        context.say_reading(done, all);
        done += 1;
    })?;
    let mut is_healthy = true;
    let mut repaired = Vec::new();
    for finding in &inspection.findings {
        let remedied = arguments.repair && remedy(context, &store, finding, &mut repaired);
        is_healthy &= remedied || finding.remedy == Remedy::Nothing;
        if !arguments.repair && !arguments.json.wanted {
            context.printer.data(words(finding));
        }
    }
    if arguments.json.wanted {
        let document =
            json!({ "format": "ablate-fsck-1", "healthy": is_healthy, "found": inspection, "repaired": repaired });
        context.printer.json(&document);
    }
    let Inspection { runs, checkpoints, bytes, findings, .. } = &inspection;
    let (runs, checkpoints) = (format::plural(*runs, "run"), format::plural(*checkpoints, "checkpoint"));
    let text =
        format!("{runs}, {checkpoints}, {}B: {}", format::si(*bytes as f64), format::plural(findings.len(), "fault"));
    context.printer.status(if is_healthy { Style::Good } else { Style::Bad }, "Read", text);
    let is_repairable = |finding: &Finding| !matches!(finding.remedy, Remedy::Nothing | Remedy::Person);
    if !arguments.repair && findings.iter().any(is_repairable) {
        context.printer.say("`ablate fsck --repair` sets aside what is damaged; the same sweep then trains it again");
    }
    if is_healthy { Ok(()) } else { Err(CliError::Said) }
}

/// Repairs what a finding names, and says so.
fn remedy(context: &Context, store: &Store, finding: &Finding, repaired: &mut Vec<String>) -> bool {
    match repair(store, finding) {
        Ok(place) => {
            let what = match (&place, finding.remedy) {
                (Some(place), _) => format!("moved to `{}`", place.display()),
                (None, Remedy::Reindex) => "the index was made anew".to_owned(),
                (None, Remedy::Person) => {
                    let text = format!("{}; it is for you to put right", words(finding));
                    context.printer.status(Style::Bad, "Left", text);
                    return false;
                }
                (None, _) => {
                    let text = format!("{}; the next who writes puts it right", words(finding));
                    context.printer.status(Style::Caution, "Left", text);
                    return true;
                }
            };
            context.printer.status(Style::Good, "Repaired", format!("{}: {what}", words(finding)));
            repaired.push(what);
            true
        }
        Err(error) => {
            context.printer.status(Style::Bad, "Failed", format!("{}: {error}", words(finding)));
            false
        }
    }
}

fn words(finding: &Finding) -> String {
    let run = finding.run.as_ref().map(|run| format!("run {run}: ")).unwrap_or_default();
    let path = finding.path.display().to_string();
    // Most problems name the file themselves.
    if finding.problem.contains(&path) {
        format!("{run}{}", finding.problem)
    } else {
        format!("{run}`{path}`: {}", finding.problem)
    }
}
