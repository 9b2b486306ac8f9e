//! `ablate resume`: goes on with runs that were interrupted, without the file that they were planned in.

use std::collections::BTreeSet;

use crate::cli::args::Workers;
use crate::cli::commands::run::{How, sweep_through};
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::report::format;
use crate::runner::announcement::Announced;
use crate::runner::execute::{Options, Task};
use crate::runner::stop::Stop;
use crate::store::{RunRow, RunState, Trash};

/// What `ablate resume` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Which runs, as `ablate list` takes it
    #[arg(required = true, value_name = "QUERY")]
    pub query: Vec<String>,
    #[command(flatten)]
    pub workers: Workers,
    /// Execute runs again that failed
    #[arg(long)]
    pub retry: bool,
}

/// Runs of which it is told why they are not resumed, where none is.
const TOLD: usize = 5;

/// Executes runs from where they stand; fails when one does not come to its end.
pub fn resume(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let (_, rows) = context.found(&store, &arguments.query, Trash::Without)?;
    let (mut tasks, mut passed, mut experiments) = (Vec::new(), Vec::new(), BTreeSet::new());
    for row in &rows {
        match why_not(row, arguments.retry) {
            Some(why) => passed.push(format!("{} {why}", row.id)),
            None => {
                experiments.extend(row.experiments.iter().map(|group| group.name.clone()));
                let run = store.load(&row.id)?;
                let (spec, label) = (run.planned()?.clone(), row.experiment().unwrap_or_default().to_owned());
                tasks.push(Task { hash: spec.hash(), spec, label, experiment: None, reproduces: None });
            }
        }
    }
    if tasks.is_empty() {
        let more = passed.len().saturating_sub(TOLD);
        passed.truncate(TOLD);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        return Err(CliError::request(format!("nothing to resume: {}{more}", passed.join("; "))));
    }
    for text in passed {
        context.printer.status(Style::Caution, "Passed over", text);
    }
    context.printer.status(Style::Good, "Resuming", format::plural(tasks.len(), "run"));
    let options = Options { retry: arguments.retry, command: context.command.clone(), ..Options::default() };
    let (sources, stop) = (context.sources()?, Stop::on_signals());
    let how = How { announced: Announced::Runs(&experiments), again: Vec::new(), workers: arguments.workers };
    let counts = sweep_through(context, &sources, &tasks, options, &how, &stop)?;
    if counts.failed > 0 { Err(CliError::Said) } else { Ok(()) }
}

/// Why a run is not resumed, if it is not.
fn why_not(row: &RunRow, retry: bool) -> Option<&'static str> {
    match row.state {
        _ if row.spec_hash.is_none() => Some("was logged by another program"),
        _ if row.reproduces.is_some() => Some("is a reproduction: `ablate reproduce` makes another"),
        RunState::Finished => Some("is finished"),
        RunState::Running => Some("is running"),
        RunState::Failed if !retry => Some("failed; --retry executes it again"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Index;
    use crate::store::testing::{asked, at, create, new_store, spec, state};

    /// A run of our own in a state is resumed if there is something to go on with, and else it is said why not.
    #[test]
    fn what_cannot_go_on_says_why() {
        let (_folder, store) = new_store();
        let states =
            [RunState::Planned, RunState::Finished, RunState::Failed, RunState::Interrupted, RunState::Stopped];
        for (seed, last) in (1..).zip(states) {
            let run = create(&store, &spec(seed, 0.15), &serde_json::json!({}), at(0)).unwrap();
            let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
            if last != RunState::Planned {
                log.append(&state(RunState::Running, 1)).unwrap();
                log.append(&state(last, 2)).unwrap();
            }
        }
        let mut index = Index::open(&store).unwrap();
        index.catch_up().unwrap();
        let rows = index.query(&asked("")).unwrap();
        let told = |row: &RunRow| (row.state, why_not(row, false), why_not(row, true));
        let mut found: Vec<_> = rows.iter().map(told).collect();
        found.sort_by_key(|(state, ..)| states.iter().position(|known| known == state));
        let failed = Some("failed; --retry executes it again");
        assert_eq!(
            found,
            [
                (RunState::Planned, None, None),
                (RunState::Finished, Some("is finished"), Some("is finished")),
                (RunState::Failed, failed, None),
                (RunState::Interrupted, None, None),
                (RunState::Stopped, None, None),
            ]
        );
        let (guest, copy) = (
            RunRow { spec_hash: None, ..rows[0].clone() },
            RunRow { reproduces: Some(rows[1].id.clone()), ..rows[0].clone() },
        );
        assert_eq!(why_not(&guest, true), Some("was logged by another program"));
        assert!(why_not(&copy, true).is_some_and(|why| why.starts_with("is a reproduction")));
    }
}
