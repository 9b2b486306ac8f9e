//! Executing from a page: sweeps and runs are asked to stop, and what was interrupted or failed is set going again.
//!
//! A stop is a request in the store, which whoever executes finds there. Setting going is the work of an [`Executor`], which the server
//! is given or not: without `--execute` there is no way from a page to a process.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::json;

use super::App;
use super::fault::Fault;
use super::http::{Reply, Request};
use super::wire::{self, shown};
use crate::store::{RunState, StoredSweep};
use crate::types::RunId;

/// Runs that one request may speak of.
const MOST_RUNS: usize = 300;

/// What starts programs.
pub trait Executor: Debug + Send + Sync {
    /// Starts `ablate` with these arguments in a folder, and returns once it is at work: whether it still is.
    ///
    /// # Errors
    /// What it said when it ended at once.
    fn start(&self, arguments: &[String], folder: Option<&Path>) -> Result<AtWork, String>;
}

/// Whether a program is still at work.
pub type AtWork = Arc<AtomicBool>;

/// The executor, and what it started: a sweep that prepares its corpus is not in the store yet.
#[derive(Debug)]
pub struct Execution {
    executor: Arc<dyn Executor>,
    started: Mutex<BTreeMap<String, AtWork>>,
}

impl Execution {
    pub fn new(executor: Arc<dyn Executor>) -> Self {
        Self { executor, started: Mutex::default() }
    }

    /// Starts what is called so, unless it is still at work.
    fn start(&self, what: &str, arguments: &[String], folder: Option<&Path>) -> Result<(), Fault> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.retain(|_, at_work| at_work.load(Ordering::Relaxed));
        if started.contains_key(what) {
            return Err(Fault::invalid(format!(
                "{} was set going and is at work still: it prepares, trains or draws",
                shown(what)
            )));
        }
        let at_work = self.executor.start(arguments, folder).map_err(Fault::invalid)?;
        started.insert(what.to_owned(), at_work);
        Ok(())
    }
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
    let execution = app.execution.as_ref().ok_or_else(not_executing)?;
    let sweeps = app.store().sweeps()?;
    match (wanted.r#do, wanted.experiment, &wanted.runs[..]) {
        (Act::Stop, Some(name), []) => stop_sweeps(app, &of_experiment(&sweeps, &name), &name)?,
        (act, Some(name), []) => go_on(execution, &of_experiment(&sweeps, &name), &name, act)?,
        (act, None, runs @ [_, ..]) if runs.len() <= MOST_RUNS => {
            let runs = runs.iter().map(|id| app.run_id(id)).collect::<Result<Vec<_>, _>>()?;
            match act {
                Act::Stop => stop_runs(app, &sweeps, &runs)?,
                _ => resume_runs(execution, &runs, act)?,
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
    sweeps.iter().filter(|sweep| sweep.is_of(name)).collect()
}

fn stop_sweeps(app: &App, sweeps: &[&StoredSweep], name: &str) -> Result<(), Fault> {
    let mut alive = sweeps.iter().filter(|sweep| sweep.is_alive).peekable();
    if alive.peek().is_none() {
        return Err(Fault::invalid(format!("no sweep of '{}' is running", shown(name))));
    }
    alive.try_for_each(|sweep| Ok(app.store().ask_to_stop(&sweep.record.id, None)?))
}

/// Stops those of the runs that are at work. Of several sweeps that wait for one another's runs, each is told.
fn stop_runs(app: &App, sweeps: &[StoredSweep], runs: &[RunId]) -> Result<(), Fault> {
    let mut why_not = None;
    let mut is_any = false;
    for id in runs {
        let run = app.store().overview(id)?.run;
        let spec = run.planned().map(|spec| spec.hash());
        let mut at_it = sweeps
            .iter()
            .filter(|sweep| run.state == RunState::Running && spec.as_ref().is_ok_and(|spec| sweep.executes(*spec)))
            .peekable();
        match at_it.peek() {
            None => why_not = Some(format!("run {id} is {}: no sweep is at it", run.state)),
            Some(_) => is_any = true,
        }
        at_it.try_for_each(|sweep| app.store().ask_to_stop(&sweep.record.id, Some(id)))?;
    }
    why_not.filter(|_| !is_any).map_or(Ok(()), |text| Err(Fault::invalid(text)))
}

/// Executes the newest sweep of an experiment again: what is finished is reused.
fn go_on(execution: &Execution, sweeps: &[&StoredSweep], name: &str, act: Act) -> Result<(), Fault> {
    if sweeps.iter().any(|sweep| sweep.is_alive) {
        return Err(Fault::invalid(format!("a sweep of '{}' is running", shown(name))));
    }
    // What resumed some of its runs is not what began them all.
    let own = sweeps.iter().map(|sweep| &sweep.record).find(|record| record.experiment.is_some());
    let Some(last) = own.filter(|record| is_a_sweep(&record.again)) else {
        return Err(Fault::invalid(format!(
            "nothing is known of a sweep of '{}': resume its runs, or start `ablate run FILE` again",
            shown(name)
        )));
    };
    let mut arguments = last.again.clone();
    if act == Act::Retry {
        arguments.insert(1, "--retry".to_owned());
    }
    execution.start(&format!("the sweep of '{name}'"), &arguments, Some(&last.folder))
}

/// Whether these are arguments that execute an experiment's file, and nothing else: a store may come from anywhere.
fn is_a_sweep(arguments: &[String]) -> bool {
    let mut rest = arguments.iter().map(String::as_str);
    if rest.next() != Some("run") {
        return false;
    }
    loop {
        match rest.next() {
            Some("--set" | "--jobs" | "--threads" | "--data") => drop(rest.next()),
            Some("--no-sharing" | "--no-halving") => {}
            Some("--") => return rest.next().is_some() && rest.next().is_none(),
            _ => return false,
        }
    }
}

fn resume_runs(execution: &Execution, runs: &[RunId], act: Act) -> Result<(), Fault> {
    let query = runs.iter().map(|run| format!("id = {run}")).collect::<Vec<_>>().join(" or ");
    let retry = (act == Act::Retry).then(|| "--retry".to_owned());
    let arguments: Vec<String> = ["resume".to_owned(), query.clone()].into_iter().chain(retry).collect();
    execution.start(&format!("what was chosen ({query})"), &arguments, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sweep_of_a_file_is_executed() {
        let is_one = |words: &str| is_a_sweep(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for good in
            ["run -- a.toml", "run --set a=b --jobs auto --data /d --no-halving -- -odd-", "run --threads 2 -- --retry"]
        {
            assert!(is_one(good), "{good}");
        }
        for bad in [
            "",
            "run",
            "run a.toml",
            "run --",
            "run -- a b",
            "run --runs /x -- a",
            "run --retry -- a",
            "--runs /x run -- a",
            "run --set -- a",
            "delete -- a",
            "serve --port 5 -- a",
            "run --out /x -- a",
        ] {
            assert!(!is_one(bad), "{bad}");
        }
    }
}
