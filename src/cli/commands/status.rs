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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sweep::{Counts, Failure, Working};
    use crate::types::Timestamp;

    #[test]
    fn a_sweep_is_told_from_its_head_to_what_goes_on_with_it() {
        let at = Timestamp::from_unix_millis;
        let mut status = SweepStatus {
            id: "aaaaaaaa".parse().unwrap(),
            experiment: Some("grid".to_owned()),
            of_others: [].into(),
            is_running: true,
            is_stopping: false,
            command: ["ablate", "run", "grid.toml"].map(str::to_owned).to_vec(),
            folder: "/work".to_owned(),
            host: "here".to_owned(),
            process: 7,
            started_at: at(0),
            ended_at: None,
            slots: 2,
            threads: 1,
            counts: Counts { finished: 1, running: 1, failed: 1, waiting: 2, ..Counts::default() },
            done: 0.4999,
            remaining_secs: Some(90.0),
            working: vec![Working {
                run: "7h2kq9xw".parse().unwrap(),
                label: "lr=0.1".to_owned(),
                steps_done: 5,
                total_steps: Some(20),
                loss: Some(2.0),
            }],
            failed: vec![Failure { run: None, label: "lr=9".to_owned(), reason: "the loss is NaN".to_owned() }],
            waiting: Vec::new(),
        };
        insta::assert_snapshot!(in_words(&status, at(60_000)), @r"
        grid: running on here (process 7), begun 1 min ago; 1 finished, 1 running, 1 failed, 2 waiting; 49 % done, 1 min 30 s left
          7h2kq9xw  lr=0.1: step 5 of 20, loss 2.000
          failed: lr=9: the loss is NaN
        ");
        status.is_stopping = true;
        assert!(in_words(&status, at(60_000)).starts_with("grid: stopping, "));
        (status.is_running, status.is_stopping, status.remaining_secs) = (false, false, None);
        (status.working, status.failed) = (Vec::new(), Vec::new());
        let text = in_words(&status, at(60_000));
        assert!(
            text.starts_with("grid: not finished, ") && text.ends_with("cd /work && ablate run grid.toml"),
            "{text}"
        );
        status.counts = Counts { finished: 3, ..Counts::default() };
        assert!(in_words(&status, at(60_000)).starts_with("grid: over, begun 1 min ago; 3 finished; "));
    }
}
