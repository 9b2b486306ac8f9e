//! `ablate reproduce`: executes a finished run again and says whether it came out the same.

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style};
use crate::cli::progress::SweepProgress;
use crate::clock;
use crate::report::find::find_run;
use crate::runner::execute::{Options, TaskOutcome, execute};
use crate::runner::launch::LocalProcesses;
use crate::runner::reproduce::{ProvenanceDifference, ReproduceError, Verdict, compare, provenance_differences, task};
use crate::runner::stop::Stop;

/// What `ablate reproduce` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A finished run: any unique beginning of its id, its name, or `latest`
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Threads to compute with; the result does not depend on them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub json: Json,
}

/// Re-executes the run from its stored specification, in a new folder that points at it; fails when the two differ.
pub fn reproduce(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    let store = context.existing_store()?;
    let original = find_run(&store, &arguments.run, clock::now())?;
    let tasks = [task(&original).map_err(CliError::request)?];
    let options = Options { command: context.command.clone(), ..Options::default() };
    let stop = Stop::on_signals();
    let mut progress = SweepProgress::new(&context.printer, &tasks, vec![1.0]);
    let sources = context.sources()?.of_run(&original);
    let mut launcher = LocalProcesses::new(&sources, 1, arguments.threads.map(usize::from));
    let outcomes = execute(&sources, &tasks, &options, &mut launcher, &stop, &mut |event| progress.watch(&event));
    progress.finish();
    let run = match outcomes?.into_iter().next() {
        Some(TaskOutcome::Finished(run)) => run,
        Some(TaskOutcome::Broken { reason }) => return Err(CliError::work(reason)),
        Some(TaskOutcome::Failed { run, reason }) => {
            return Err(CliError::work(ReproduceError::Failed { run, reason }));
        }
        _ if stop.is_requested() => {
            return Err(CliError::Interrupted("interrupted before the run was reproduced".to_owned()));
        }
        outcome => {
            let why = match &outcome {
                Some(TaskOutcome::Interrupted(run)) => {
                    store.load(run).ok().and_then(|run| run.history.reason().map(str::to_owned))
                }
                _ => None,
            };
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            return Err(CliError::work(format!("interrupted before the run was reproduced{why}")));
        }
    };
    let again = store.load(&run)?;
    let device = original.planned()?.train().device;
    let verdict = compare(device, &original.history, &again.history);
    let basis = Verdict::basis(device);
    let differences = provenance_differences(&original, &again);
    if arguments.json.wanted {
        context.printer.json(&json!({
            "format": "ablate-reproduce-1",
            "original": original.id,
            "reproduction": again.id,
            "basis": basis,
            "verdict": verdict,
            "provenance": differences,
        }));
    } else {
        context.printer.data(in_words(context, &original.id.to_string(), &again.id.to_string(), &verdict));
        context.printer.data(provenance_in_words(&basis, differences.as_deref()));
    }
    if verdict.is_reproduced() { Ok(()) } else { Err(CliError::Said) }
}

fn in_words(context: &Context, original: &str, again: &str, verdict: &Verdict) -> String {
    let printer = &context.printer;
    let value =
        |value: &Option<f64>| value.map_or_else(|| "nothing".into(), |v| format!("{v} (bits {:016x})", v.to_bits()));
    match verdict {
        Verdict::Identical { steps, compared_values, chain, weights } => format!(
            "{} {again} is {original}, bit for bit: {compared_values} recorded values over {steps} steps, \
             the digest chain ({}) and the final weights ({})",
            printer.paint(Stream::Out, Style::Good, "identical:"),
            &chain[..chain.len().min(12)],
            &weights[..weights.len().min(12)],
        ),
        Verdict::WithinTolerance { steps, compared_values, tolerance, largest } => format!(
            "{} {again} is {original} within {} %: {compared_values} losses over {steps} steps, the largest difference {:.1e} \
             of the value",
            printer.paint(Stream::Out, Style::Good, "reproduced:"),
            tolerance * 100.0,
            largest,
        ),
        Verdict::Different { step, metric, original: first, reproduced } => format!(
            "{} {again} leaves {original} at step {step}: {metric} is {}, not {}",
            printer.paint(Stream::Out, Style::Bad, "different:"),
            value(reproduced),
            value(first),
        ),
        Verdict::DifferentEnd { what, original: first, reproduced } => format!(
            "{} every recorded value of {again} is that of {original}, but {what} is {reproduced}, not {first}",
            printer.paint(Stream::Out, Style::Bad, "different:"),
        ),
    }
}

fn provenance_in_words(basis: &str, differences: Option<&[ProvenanceDifference]>) -> String {
    let basis = if basis == "bitwise" { "bits" } else { basis };
    let Some(differences) = differences else {
        return format!("the verdict rests on {basis}; the provenance of one of the two cannot be read");
    };
    if differences.is_empty() {
        return format!("the verdict rests on {basis}; program and machine are the same");
    }
    let lines = differences.iter().map(|d| format!("  {}: {} -> {}", d.key, d.original, d.reproduced));
    format!("the verdict rests on {basis}; what differs in the provenance:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
