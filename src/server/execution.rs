//! Executing from a page: sweeps and runs are asked to stop, and what was interrupted or failed is set going again.
//!
//! A stop is a request in the store, which whoever executes finds there. Setting going is the work of an [`Executor`], which the server
//! is given or not: without `--execute` there is no way from a page to a process.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;

use super::App;
use super::fault::Fault;
use super::http::{Reply, Request};
use super::wire::{self, shown};
use crate::store::{RunState, StoredSweep};
use crate::types::RunId;

/// Runs that one request may speak of.
const MOST_RUNS: usize = 1_000;

/// What starts programs.
pub trait Executor: Debug + Send + Sync {
    /// Starts `ablate` with these arguments in a folder, and returns once it is at work.
    ///
    /// # Errors
    /// What it said when it ended at once.
    fn start(&self, arguments: &[String], folder: Option<&Path>) -> Result<(), String>;
}

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    r#do: Act,
    experiment: Option<String>,
    #[serde(default)]
    runs: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Act {
    Stop,
    Resume,
    /// Resume, and execute again what failed.
    Retry,
}

/// Stops, resumes or retries an experiment's sweep, or runs.
pub fn execute(app: &App, request: Request) -> Result<Reply, Fault> {
    let wanted: Wanted = wire::read(&request)?;
    let executor = app.executor.as_ref().ok_or_else(not_executing)?;
    let sweeps = app.store().sweeps()?;
    match (wanted.r#do, wanted.experiment, &wanted.runs[..]) {
        (Act::Stop, Some(name), []) => stop_sweeps(app, &of_experiment(&sweeps, &name), &name)?,
        (act, Some(name), []) => go_on(executor, &of_experiment(&sweeps, &name), &name, act)?,
        (act, None, runs @ [_, ..]) if runs.len() <= MOST_RUNS => {
            let runs = runs.iter().map(|id| app.run_id(id)).collect::<Result<Vec<_>, _>>()?;
            match act {
                Act::Stop => runs.iter().try_for_each(|run| stop_run(app, &sweeps, run))?,
                _ => resume_runs(executor, &runs, act)?,
            }
        }
        _ => return Err(Fault::invalid(format!("either an 'experiment', or 'runs', 1 to {MOST_RUNS} ids"))),
    }
    Ok(Reply::json(&json!({ "asked": true })))
}

/// What is said where nothing may be executed.
pub fn not_executing() -> Fault {
    Fault::denied("this server executes nothing: it was started without --execute")
}

fn of_experiment<'s>(sweeps: &'s [StoredSweep], name: &str) -> Vec<&'s StoredSweep> {
    sweeps.iter().filter(|sweep| sweep.record.experiment.as_deref() == Some(name)).collect()
}

fn stop_sweeps(app: &App, sweeps: &[&StoredSweep], name: &str) -> Result<(), Fault> {
    let mut alive = sweeps.iter().filter(|sweep| sweep.is_alive).peekable();
    if alive.peek().is_none() {
        return Err(Fault::invalid(format!("no sweep of '{}' is running", shown(name))));
    }
    alive.try_for_each(|sweep| Ok(app.store().ask_to_stop(&sweep.record.id, None)?))
}

fn stop_run(app: &App, sweeps: &[StoredSweep], id: &RunId) -> Result<(), Fault> {
    let run = app.store().overview(id)?.run;
    let spec = run.planned()?.hash();
    let sweep = sweeps.iter().find(|sweep| run.state == RunState::Running && sweep.executes(spec));
    let sweep = sweep.ok_or_else(|| Fault::invalid(format!("run {id} is {}: no sweep is at it", run.state)))?;
    Ok(app.store().ask_to_stop(&sweep.record.id, Some(id))?)
}

/// Executes the command of the newest sweep of an experiment again: what is finished is reused.
fn go_on(executor: &Arc<dyn Executor>, sweeps: &[&StoredSweep], name: &str, act: Act) -> Result<(), Fault> {
    if sweeps.iter().any(|sweep| sweep.is_alive) {
        return Err(Fault::invalid(format!("a sweep of '{}' is running", shown(name))));
    }
    let Some(last) = sweeps.first().map(|sweep| &sweep.record).filter(|record| record.command.len() > 1) else {
        return Err(Fault::invalid(format!(
            "nothing is known of a sweep of '{}': resume its runs, or start `ablate run FILE` again",
            shown(name)
        )));
    };
    let mut arguments = last.command[1..].to_vec();
    arguments.retain(|argument| argument != "--retry");
    if act == Act::Retry {
        arguments.push("--retry".to_owned());
    }
    executor.start(&arguments, Some(&last.folder)).map_err(Fault::invalid)
}

fn resume_runs(executor: &Arc<dyn Executor>, runs: &[RunId], act: Act) -> Result<(), Fault> {
    let query = runs.iter().map(|run| format!("id = {run}")).collect::<Vec<_>>().join(" or ");
    let retry = (act == Act::Retry).then(|| "--retry".to_owned());
    let arguments: Vec<String> = ["resume".to_owned(), query].into_iter().chain(retry).collect();
    executor.start(&arguments, None).map_err(Fault::invalid)
}
