//! `ablate stop`: asks sweeps, or single runs of them, for checkpoints and an orderly end, from any terminal and machine.

use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::Style;
use crate::clock;
use crate::report::find::find_run;
use crate::store::RunState;

/// What `ablate stop` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// An experiment whose sweep is running, or a running run; without it every sweep of the store
    #[arg(value_name = "EXPERIMENT|RUN")]
    pub what: Option<String>,
}

/// Writes the request; whoever executes sees it within a second.
pub fn stop(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let alive: Vec<_> = store.sweeps()?.into_iter().filter(|sweep| sweep.is_alive).collect();
    if alive.is_empty() {
        return Err(CliError::request("no sweep is running in this store"));
    }
    let named: Vec<_> = match &arguments.what {
        None => alive.iter().collect(),
        Some(name) => alive.iter().filter(|sweep| sweep.is_of(name)).collect(),
    };
    for sweep in &named {
        store.ask_to_stop(&sweep.record.id, None)?;
        let name = sweep.record.experiment.as_deref().unwrap_or("what `ablate resume` began");
        let text = format!(
            "{name} (process {} on {}) was asked to; the same command resumes it",
            sweep.record.process, sweep.record.host
        );
        context.printer.status(Style::Good, "Stopping", text);
    }
    let Some(name) = arguments.what.as_ref().filter(|_| named.is_empty()) else { return Ok(()) };
    let run = find_run(&store, name, clock::now())?;
    let spec = run.planned()?.hash();
    let is_at_it = run.state == RunState::Running;
    let sweep = alive.iter().find(|sweep| is_at_it && sweep.executes(spec)).ok_or_else(|| {
        CliError::request(format!("run {} is {}: no sweep of this store is at it", run.id, run.state))
    })?;
    store.ask_to_stop(&sweep.record.id, Some(&run.id))?;
    context.printer.status(
        Style::Good,
        "Stopping",
        format!("{} was asked to; `ablate resume {}` goes on with it", run.id, run.id),
    );
    Ok(())
}
