//! `ablate plan`: what an experiment file amounts to. Never trains, writes nothing.

use crate::cli::args::{ExperimentFile, Json};
use crate::cli::commands::explain::explain;
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::printer::{Stream, Style, terminal_width};
use crate::cli::table::{Align, table};
use crate::experiment::Value;
use crate::plan::{PlannedRun, Savings};
use crate::report::comparison::forewarning;
use crate::report::estimate::{Basis, Here};
use crate::report::format;
use crate::report::planned::{Existing, PlanReport, cost};
use crate::runner::bench::training_speed;
use crate::runner::provenance::{Machine, cores};
use crate::runner::sweep;
use crate::store::RunState;

/// What `ablate plan` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    pub experiment: ExperimentFile,
    /// Show every cell, however many there are
    #[arg(long)]
    pub all: bool,
    /// Show where the value of a key comes from, layer by layer, instead of the cells
    #[arg(long, value_name = "KEY")]
    pub explain: Option<String>,
    #[command(flatten)]
    pub json: Json,
}

/// Shapes of which a few steps are tried where no finished run tells their speed; each takes about a second.
const TRIED: usize = 4;

/// Bytes of a corpus from which a tokenizer is learnt in about a second, to see whether its vocabulary can be filled.
const LEARNT_AT_ONCE: u64 = 8 << 20;

/// Columns of a terminal from which on each axis has a column of its own.
const WIDE: usize = 100;

/// Cells that are shown unless all are asked for.
const ROWS: usize = 200;

/// Prints the cells with their costs, and how much of the plan is done.
pub fn plan(context: &Context, arguments: &Arguments) -> Result<(), CliError> {
    if let Some(key) = &arguments.explain {
        return explain(context, &context.read(&arguments.experiment)?, key, arguments.json.wanted);
    }
    let loaded = context.load(&arguments.experiment)?;
    sweep::check_tokenizers(&loaded.plan, &loaded.search, &context.runs.join("cache"), LEARNT_AT_ONCE)?;
    let here = Here { host: Machine::this(cores(), "").host, threads: cores() };
    let mut existing = match context.runs.exists() {
        true => Existing::read(&context.store()?, here)?,
        false => Existing::nothing(here),
    };
    let runs = loaded.plan.runs();
    let missing = runs.iter().filter(|run| existing.state(run.hash) != Some(RunState::Finished));
    let missing = missing.map(|run| &run.spec).collect::<Vec<_>>();
    existing.speeds.try_others(missing.into_iter(), TRIED, training_speed);
    if arguments.json.wanted {
        context.printer.json(&PlanReport::of(&loaded.experiment, &loaded.plan, &existing));
    } else {
        print(context, &loaded, &existing, if arguments.all { usize::MAX } else { ROWS });
    }
    Ok(())
}

fn print(context: &Context, loaded: &Loaded, existing: &Existing, rows: usize) {
    let Loaded { experiment, plan, .. } = loaded;
    let printer = &context.printer;
    printer.data(printer.paint(Stream::Out, Style::Strong, &experiment.name));
    if !experiment.question.is_empty() {
        printer.prose(&experiment.question);
    }
    let is_narrow = terminal_width().is_some_and(|width| width < WIDE);
    let labels = plan.axes.iter().map(|axis| axis.label.as_str()).collect::<Vec<_>>();
    let together = labels.join(" ");
    let mut columns: Vec<(&str, Align)> = labels.iter().map(|label| (*label, Align::Left)).collect();
    if columns.is_empty() {
        columns.push(("cell", Align::Left));
    } else if is_narrow {
        columns = vec![(&together, Align::Left)];
    }
    columns.extend([
        ("parameters", Align::Right),
        ("steps", Align::Right),
        ("positions", Align::Right),
        ("FLOPs", Align::Right),
        ("time a run", Align::Right),
        ("finished", Align::Right),
    ]);
    let shown = rows.min(plan.cells.len());
    let rows = plan.cells[..shown].iter().map(|cell| {
        let shown = |value: Option<&Value>| value.map_or_else(|| "-".to_owned(), Value::to_string);
        let mut row: Vec<String> = plan.values(cell).map(|(_, value)| shown(value)).collect();
        if row.is_empty() {
            row.push("all".into());
        } else if is_narrow {
            row = vec![row.join(" ")];
        }
        let cost = cost(cell);
        let known = |value: Option<String>| value.unwrap_or_else(|| "?".into());
        let time = cell.runs.first().and_then(|run| existing.speeds.predict(&run.spec));
        row.extend([
            known(cost.map(|c| format::thousands(c.parameters.total()))),
            known(cost.and_then(|c| c.steps).map(format::thousands)),
            known(cost.and_then(|c| c.positions).map(|positions| format::si(positions as f64))),
            known(cost.and_then(|c| c.flops).map(format::si)),
            known(time.map(|p| {
                format!("{}{}", if p.basis == Basis::OtherShapes { "~" } else { "" }, format::duration(p.secs))
            })),
            existing.of(cell),
        ]);
        row
    });
    printer.data(format!("\n{}\n", table(&columns, rows)));
    if shown < plan.cells.len() {
        printer.data(format!("the first {shown} of {} cells; `--all` shows every one\n", plan.cells.len()));
    }
    printer.prose(&arithmetic(loaded, existing));
    if let Some(text) = forewarning(plan, &experiment.metric) {
        printer.status(Style::Caution, "Note", text);
    }
}

/// The cells and their arithmetic, the seeds, the runs, and what of them is done.
fn arithmetic(loaded: &Loaded, existing: &Existing) -> String {
    let Loaded { experiment, plan, .. } = loaded;
    let runs = plan.runs();
    let seeds = experiment.replicates.len();
    let mut text = format!("{} x {}", plan.tally, format::plural(seeds, "seed"));
    let stages = if plan.cells.iter().flat_map(|cell| &cell.runs).any(|run| !run.inputs.is_empty()) {
        ", each after its pretraining"
    } else {
        ""
    };
    text.push_str(stages);
    let shared = plan.duplicates();
    if shared > 0 {
        text.push_str(&format!(", shared -{shared}"));
    }
    let finished = existing.count(&runs, RunState::Finished);
    let failed = existing.count(&runs, RunState::Failed);
    text.push_str(&format!(" = {}; {finished} finished", format::plural(runs.len(), "run")));
    if failed > 0 {
        text.push_str(&format!(", {failed} failed (`--retry` executes them again)"));
    }
    text.push_str(&format!(", {} to run", runs.len() - finished - failed));
    let is_missing =
        |run: &PlannedRun| !matches!(existing.state(run.hash), Some(RunState::Finished | RunState::Failed));
    text.push_str(&sharing(plan.savings(is_missing)));
    let missing: Vec<_> = runs.iter().filter(|run| is_missing(run)).collect();
    let predictions: Vec<_> = missing.iter().filter_map(|run| existing.speeds.predict(&run.spec)).collect();
    if missing.is_empty() {
        return text;
    }
    let secs = format::duration(predictions.iter().map(|p| p.secs).sum());
    let runs = predictions.iter().map(|p| if let Basis::LikeRuns(n) = p.basis { n } else { 0 }).max().unwrap_or(0);
    match predictions.iter().map(|p| p.basis).max() {
        None => text.push_str("; how long that takes is not known before the first run is finished"),
        Some(Basis::LikeRuns(_)) => {
            text.push_str(&format!(", about {secs} one after another (from {})", format::plural(runs, "like run")));
        }
        Some(Basis::Tried) => {
            text.push_str(&format!(", about {secs} one after another (from steps that were tried just now)"));
        }
        Some(Basis::OtherShapes) => {
            text.push_str(&format!(", roughly {secs} one after another (from models or batches of other sizes)"));
        }
    }
    text
}

/// What runs of different lengths share, or why they do not.
fn sharing(savings: Savings) -> String {
    let Savings { runs, steps, apart } = savings;
    let mut text = String::new();
    if runs > 0 {
        let steps = format::thousands(steps);
        text.push_str(&format!(", {runs} of them resume where shorter ones end: sharing -{steps} steps"));
    }
    if apart > 0 {
        text.push_str(&format!(
            ", {apart} cannot resume from a shorter one (their schedule or their lengths of sequences depend on their \
             length, or the shorter run ends between evaluations)"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_told_and_why_the_rest_is_not() {
        assert_eq!(sharing(Savings::default()), "");
        let text = sharing(Savings { runs: 2, steps: 12_000, apart: 0 });
        assert_eq!(text, ", 2 of them resume where shorter ones end: sharing -12,000 steps");
        let text = sharing(Savings { runs: 0, steps: 0, apart: 3 });
        assert!(text.starts_with(", 3 cannot resume from a shorter one (their schedule or their lengths"), "{text}");
    }
}
