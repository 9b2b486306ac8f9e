//! `ablate reproduce`: executes a finished run again and says whether it came out the same.

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::printer::{Printer, Stream, Style};
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
        context.printer.data(in_words(&context.printer, &original.id.to_string(), &again.id.to_string(), &verdict));
        context.printer.data(provenance_in_words(&basis, differences.as_deref()));
    }
    if verdict.is_reproduced() { Ok(()) } else { Err(CliError::Said) }
}

fn in_words(printer: &Printer, original: &str, again: &str, verdict: &Verdict) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Step;

    #[test]
    fn each_verdict_says_what_it_rests_on() {
        let said = |verdict: &Verdict| in_words(&Printer::silent(), "aaaaaaaa", "bbbbbbbb", verdict);
        let (chain, weights) = ("c".repeat(64), "w".repeat(64));
        insta::assert_snapshot!(said(&Verdict::Identical { steps: Step(20), compared_values: 156, chain, weights }), @"identical: bbbbbbbb is aaaaaaaa, bit for bit: 156 recorded values over 20 steps, the digest chain (cccccccccccc) and the final weights (wwwwwwwwwwww)");
        let close = Verdict::WithinTolerance { steps: Step(20), compared_values: 8, tolerance: 0.01, largest: 3.2e-6 };
        insta::assert_snapshot!(said(&close), @"reproduced: bbbbbbbb is aaaaaaaa within 1 %: 8 losses over 20 steps, the largest difference 3.2e-6 of the value");
        let metric = "train/loss".parse().unwrap();
        let apart = Verdict::Different { step: Step(3), metric, original: Some(1.5), reproduced: None };
        insta::assert_snapshot!(said(&apart), @"different: bbbbbbbb leaves aaaaaaaa at step 3: train/loss is nothing, not 1.5 (bits 3ff8000000000000)");
        let end = Verdict::DifferentEnd { what: "final_weights".into(), original: "a".into(), reproduced: "b".into() };
        insta::assert_snapshot!(said(&end), @"different: every recorded value of bbbbbbbb is that of aaaaaaaa, but final_weights is b, not a");
    }

    #[test]
    fn what_differs_in_the_provenance_is_listed() {
        let difference = |key: &str| ProvenanceDifference {
            key: key.to_owned(),
            original: "1".to_owned(),
            reproduced: "2".to_owned(),
        };
        assert_eq!(
            provenance_in_words("bitwise", Some(&[])),
            "the verdict rests on bits; program and machine are the same"
        );
        assert_eq!(
            provenance_in_words("bitwise", Some(&[difference("threads")])),
            "the verdict rests on bits; what differs in the provenance:\n  threads: 1 -> 2"
        );
        assert!(provenance_in_words("x", None).ends_with("cannot be read"));
    }
}
