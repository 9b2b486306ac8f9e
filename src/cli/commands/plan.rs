//! `ablate plan`: what an experiment file amounts to. Never trains, writes nothing.

use std::collections::BTreeMap;

use serde_json::json;

use crate::cli::args;
use crate::cli::commands::explain::explain;
use crate::cli::context::{Context, Loaded};
use crate::cli::error::CliError;
use crate::cli::estimates::Speeds;
use crate::cli::format;
use crate::cli::printer::{Stream, Style};
use crate::cli::table::{Align, table};
use crate::experiment::Value;
use crate::plan::{Cell, Estimate, Measured, PlannedRun, Savings, estimate};
use crate::store::{Index, RunQuery, RunRow, RunState, Store};
use crate::types::SpecHash;

/// Cells that are shown unless all are asked for.
const ROWS: usize = 200;

/// Prints the cells with their costs, and how much of the plan is done.
pub fn plan(context: &Context, arguments: &args::Plan) -> Result<(), CliError> {
    if let Some(key) = &arguments.explain {
        return explain(context, &context.read(&arguments.experiment)?, key, arguments.json.wanted);
    }
    let loaded = context.load(&arguments.experiment)?;
    let existing = Existing::read(context)?;
    if arguments.json.wanted {
        context.printer.json(&as_json(&loaded, &existing));
    } else {
        print(context, &loaded, &existing, if arguments.all { usize::MAX } else { ROWS });
    }
    Ok(())
}

/// What the store has of a plan.
struct Existing {
    states: BTreeMap<SpecHash, RunState>,
    speeds: Speeds,
}

impl Existing {
    fn read(context: &Context) -> Result<Self, CliError> {
        let mut existing = Self { states: BTreeMap::new(), speeds: Speeds::default() };
        if !context.runs.exists() {
            return Ok(existing);
        }
        let store = Store::open(&context.runs)?;
        for row in Index::open(&store)?.query(&RunQuery::default())? {
            existing.take(&row);
        }
        existing.speeds = Speeds::read(&store)?;
        Ok(existing)
    }

    /// Of several runs of one specification, the one nearest to being finished counts.
    fn take(&mut self, row: &RunRow) {
        let Some(hash) = row.spec_hash.filter(|_| row.reproduces.is_none()) else { return };
        let state = self.states.entry(hash).or_insert(row.state);
        if row.state.distance() < state.distance() {
            *state = row.state;
        }
    }

    fn count(&self, runs: &[&PlannedRun], state: RunState) -> usize {
        runs.iter().filter(|run| self.states.get(&run.hash) == Some(&state)).count()
    }

    /// `2/3` finished, and what else there is.
    fn of(&self, cell: &Cell) -> String {
        let states: Vec<RunState> = cell.runs.iter().filter_map(|run| self.states.get(&run.hash).copied()).collect();
        let count = |state| states.iter().filter(|&&s| s == state).count();
        let mut text = format!("{}/{}", count(RunState::Finished), cell.runs.len());
        for state in RunState::ALL {
            let n = count(state);
            if state != RunState::Finished && n > 0 {
                text.push_str(&format!(", {n} {state}"));
            }
        }
        text
    }
}

fn cost(cell: &Cell) -> Option<Estimate> {
    cell.runs.first().map(|run| estimate(&run.spec, Measured::default()))
}

fn print(context: &Context, loaded: &Loaded, existing: &Existing, rows: usize) {
    let Loaded { experiment, plan, .. } = loaded;
    let printer = &context.printer;
    printer.data(printer.paint(Stream::Out, Style::Strong, &experiment.name));
    if !experiment.question.is_empty() {
        printer.data(&experiment.question);
    }
    let mut columns: Vec<(&str, Align)> = plan.axes.iter().map(|axis| (axis.label.as_str(), Align::Left)).collect();
    if columns.is_empty() {
        columns.push(("cell", Align::Left));
    }
    columns.extend([
        ("parameters", Align::Right),
        ("steps", Align::Right),
        ("tokens", Align::Right),
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
        }
        let cost = cost(cell);
        let known = |value: Option<String>| value.unwrap_or_else(|| "?".into());
        let time = cell.runs.first().and_then(|run| existing.speeds.predict(&run.spec));
        row.extend([
            known(cost.map(|c| format::thousands(c.parameters.total()))),
            known(cost.and_then(|c| c.steps).map(format::thousands)),
            known(cost.and_then(|c| c.tokens).map(|tokens| format::si(tokens as f64))),
            known(cost.and_then(|c| c.flops).map(format::si)),
            known(time.map(|p| format!("{}{}", if p.same_size { "" } else { "~" }, format::duration(p.secs)))),
            existing.of(cell),
        ]);
        row
    });
    printer.data(format!("\n{}\n", table(&columns, rows)));
    if shown < plan.cells.len() {
        printer.data(format!("the first {shown} of {} cells; `--all` shows every one\n", plan.cells.len()));
    }
    printer.data(arithmetic(loaded, existing));
}

/// The cells and their arithmetic, the seeds, the runs, and what of them is done.
fn arithmetic(loaded: &Loaded, existing: &Existing) -> String {
    let Loaded { experiment, plan, .. } = loaded;
    let runs = plan.runs();
    let seeds = experiment.seeds.len();
    let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let mut text = format!("{} x {}", plan.tally, plural(seeds, "seed"));
    let stages = if plan.cells.iter().flat_map(|cell| &cell.runs).any(|run| run.before.is_some()) {
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
    text.push_str(&format!(" = {}; {finished} finished", plural(runs.len(), "run")));
    if failed > 0 {
        text.push_str(&format!(", {failed} failed (`--retry` executes them again)"));
    }
    text.push_str(&format!(", {} to run", runs.len() - finished - failed));
    let is_missing =
        |run: &PlannedRun| !matches!(existing.states.get(&run.hash), Some(RunState::Finished | RunState::Failed));
    text.push_str(&sharing(plan.savings(is_missing)));
    let missing: Vec<_> = runs.iter().filter(|run| is_missing(run)).collect();
    let predictions: Vec<_> = missing.iter().filter_map(|run| existing.speeds.predict(&run.spec)).collect();
    if missing.is_empty() {
        return text;
    }
    let secs = format::duration(predictions.iter().map(|p| p.secs).sum());
    match predictions.iter().map(|p| p.runs).max() {
        Some(n) if predictions.iter().all(|p| p.same_size) => {
            text.push_str(&format!(", about {secs} one after another (from {})", plural(n, "similar run")));
        }
        Some(n) => {
            text.push_str(&format!(", roughly {secs} one after another (from {} of other sizes)", plural(n, "run")));
        }
        None => text.push_str("; how long that takes is not known before the first run is finished"),
    }
    text
}

/// What runs of different lengths share, or why they do not.
fn sharing(savings: Savings) -> String {
    let Savings { runs, steps, apart } = savings;
    let mut text = String::new();
    if runs > 0 {
        let steps = format::thousands(steps);
        text.push_str(&format!(", {runs} of them go on where shorter ones end: sharing -{steps} steps"));
    }
    if apart > 0 {
        text.push_str(&format!(
            ", {apart} share nothing with shorter ones (their schedule or warmup looks ahead, or those end between \
             evaluations)"
        ));
    }
    text
}

fn as_json(loaded: &Loaded, existing: &Existing) -> serde_json::Value {
    let Loaded { experiment, plan, .. } = loaded;
    let cell = |cell: &Cell| {
        let cost = cost(cell);
        let axes: serde_json::Map<_, _> =
            cell.axes.iter().map(|(key, value)| ((*key).to_owned(), value.to_json().unwrap_or_default())).collect();
        let runs: Vec<_> = cell
            .runs
            .iter()
            .map(|run| {
                json!({
                    "seed": run.seed,
                    "spec_hash": run.hash,
                    "state": existing.states.get(&run.hash),
                    "seconds": existing.speeds.predict(&run.spec).map(|p| p.secs),
                })
            })
            .collect();
        json!({
            "axes": axes,
            "label": cell.label,
            "parameters": cost.map(|c| c.parameters.total()),
            "steps": cost.and_then(|c| c.steps),
            "tokens": cost.and_then(|c| c.tokens),
            "flops": cost.and_then(|c| c.flops),
            "disk_bytes": cost.map(|c| c.disk_bytes),
            "runs": runs,
        })
    };
    json!({
        "format": "ablate-plan-1",
        "experiment": experiment.name,
        "question": experiment.question,
        "arithmetic": plan.tally.to_string(),
        "cells": plan.cells.iter().map(cell).collect::<Vec<_>>(),
        "runs": plan.runs().len(),
        "duplicates": plan.duplicates(),
        "shared_steps": plan.savings(|_| true).steps,
    })
}
