//! Experiments: their names, and of each one its cells with the states of their runs, what came out, and the answer.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::compare::compared;
use super::{View, encoded, experiment, problem, short, state, typed};
use crate::analysis::{Comparison, summarize};
use crate::report::answer::Answer;
use crate::report::listing::{ListedRun, Listing};
use crate::report::page::sentences;
use crate::report::{format, spelling};
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::store::{RunQuery, RunState, StoreError};
use crate::types::MetricName;
use crate::types::metrics::Goal;

/// Shades of a grid, the best first.
const SHADES: usize = 5;

/// The names of all experiments.
pub fn list(app: &App, _: Request) -> Result<Reply, Fault> {
    let names = app.reader.ask(|index| index.experiments())?;
    let body = html! {
        h1.quiet { "Experiments" }
        @if names.is_empty() { p.empty { "No experiments yet." } }
        ul.names {
            @for name in &names {
                li { a href=(experiment(app, name)) { (typed(name)) } }
            }
        }
    };
    Ok(View { title: "Experiments", place: "Experiments", body }.reply(app))
}

/// One experiment.
pub fn one(app: &App, request: Request) -> Result<Reply, Fault> {
    let name = &request.names[0];
    let text = named(name);
    let query = RunQuery::default().within_experiments(&[name]).called(&text);
    let runs = app.reader.ask(|index| {
        let rows = index.query(&query)?;
        Ok::<_, StoreError>(Listing::of(index.facts(rows)?, &query).runs)
    })?;
    if runs.is_empty() {
        return Err(Fault::missing("no experiment has this name"));
    }
    let metric = request.asked("metric").filter(|metric| !metric.is_empty());
    let compared = compared(app, &query, metric);
    let decides = compared.as_ref().ok().map(|comparison| comparison.metric.clone());
    let decides = decides.or_else(|| runs.iter().find_map(|run| run.metric.clone()));
    let body = html! {
        p.kind { "Experiment" }
        h1 { (typed(name)) }
        (progress(&runs))
        (choice(&runs, decides.as_ref()))
        (answer(app, &text, &compared))
        (grid(app, &runs, decides.as_ref(), compared.as_ref().ok()))
        p { a href={ (app.root_path) "/?q=" (encoded(&text)) } { "Its runs as a table" } }
    };
    Ok(View { title: name, place: "Experiments", body }.reply(app))
}

/// A query that finds an experiment by its name. Quotes cannot be quoted in both kinds of them: then any letter stands for one.
fn named(name: &str) -> String {
    match (name.contains('"'), name.contains('\'')) {
        (false, _) => format!("experiment = \"{name}\""),
        (true, false) => format!("experiment = '{name}'"),
        (true, true) => format!("experiment like \"{}\"", name.replace('"', "_")),
    }
}

/// How many runs are in which state, and what failed.
fn progress(runs: &[ListedRun]) -> Markup {
    let mut counts = BTreeMap::<&str, (RunState, usize)>::new();
    for run in runs {
        counts.entry(run.state.name()).or_insert((run.state, 0)).1 += 1;
    }
    let failed = runs.iter().filter(|run| run.state == RunState::Failed);
    let reasons: BTreeSet<&str> = failed.filter_map(|run| run.reason.as_deref()).collect();
    let worked: f64 = runs.iter().filter_map(|run| run.worked_secs).sum();
    html! {
        p.progress id="progress" data-live {
            @for (of_state, count) in counts.values() { span { (count) " " (state(*of_state)) } " " }
            @if worked > 0.0 { span.quiet { (format::duration(worked)) " of work" } }
        }
        @for reason in reasons { (problem(reason)) }
    }
}

/// The metrics that somebody may want to see instead.
fn choice(runs: &[ListedRun], decides: Option<&MetricName>) -> Markup {
    let names: BTreeSet<&MetricName> = runs.iter().flat_map(|run| run.metrics.keys()).collect();
    html! {
        @if names.len() > 1 {
            form.metric method="get" {
                label for="metric" { "Metric" }
                select id="metric" name="metric" {
                    @for name in names { option value=(name) selected[Some(name) == decides] { (name) } }
                }
                button type="submit" { "Show" }
            }
        }
    }
}

fn answer(app: &App, query: &str, compared: &Result<Comparison, String>) -> Markup {
    let comparison = match compared {
        Ok(comparison) => comparison,
        Err(why) => return html! { p.quiet { "No comparison: " (why) } },
    };
    let answer = Answer::of(comparison, &summarize(comparison));
    let report =
        format!("{}/compare?q={}&metric={}", app.root_path, encoded(query), encoded(comparison.metric.as_str()));
    html! {
        section.answer id="answer" data-live aria-label="Answer" {
            (sentences(&answer))
            p { a href=(report) { "Figures, tables and every effect" } }
        }
    }
}

/// A cell of the sweep with its runs.
struct Cell<'r> {
    axes: Vec<(String, String)>,
    runs: Vec<&'r ListedRun>,
    mean: Option<f64>,
}

/// The cells, the best first, and of each run its state and its value.
fn grid(app: &App, runs: &[ListedRun], decides: Option<&MetricName>, comparison: Option<&Comparison>) -> Markup {
    let value = |run: &ListedRun| run.metrics.get(decides?).copied();
    // The axes of a sweep are in its plan; those of other runs are the settings in which they differ.
    let found = comparison.into_iter().flat_map(|comparison| &comparison.runs);
    let found: BTreeMap<_, _> = found.filter_map(|run| Some((run.id.as_ref()?, &run.axes))).collect();
    let planned =
        |run: &ListedRun| run.axes.iter().map(|(key, value)| (key.clone(), spelling::axis_value(value))).collect();
    let is_planned = runs.iter().any(|run| !run.axes.is_empty());
    let mut cells = BTreeMap::<Vec<(String, String)>, Vec<&ListedRun>>::new();
    for run in runs.iter().filter(|run| run.reproduces.is_none()) {
        let axes = if is_planned { planned(run) } else { found.get(&run.id).copied().cloned().unwrap_or_default() };
        cells.entry(axes).or_default().push(run);
    }
    let mut cells: Vec<Cell<'_>> = cells
        .into_iter()
        .map(|(axes, mut runs)| {
            runs.sort_by_key(|run| (run.replicate, run.seed, run.id.clone()));
            let finished: Vec<f64> =
                runs.iter().filter(|run| run.state == RunState::Finished).filter_map(|run| value(run)).collect();
            let mean = (!finished.is_empty()).then(|| finished.iter().sum::<f64>() / finished.len() as f64);
            Cell { axes, runs, mean }
        })
        .collect();
    let sign = match decides.map(|metric| Goal::usual(metric.as_str())) {
        Some(Goal::Maximize) => -1.0,
        _ => 1.0,
    };
    let order = |cell: &Cell<'_>| cell.mean.map_or(f64::INFINITY, |mean| sign * mean);
    cells.sort_by(|a, b| order(a).total_cmp(&order(b)).then_with(|| a.axes.cmp(&b.axes)));
    let ranked = cells.iter().filter(|cell| cell.mean.is_some()).count();
    let shade = |place: usize| (place < ranked).then(|| format!("shade{}", place * SHADES / ranked.max(1)));
    let keys: Vec<&String> = cells
        .iter()
        .flat_map(|cell| cell.axes.iter().map(|(key, _)| key))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    html! {
        h2 { "Cells" }
        div.scroll tabindex="0" role="region" aria-label="Cells" {
            table.grid id="grid" data-live {
                thead {
                    tr {
                        @for key in &keys { th scope="col" title=(key) { (short(key)) } }
                        th.number scope="col" { @match decides { Some(metric) => { "mean " (metric) }, None => "mean" } }
                        th scope="col" { "runs" }
                    }
                }
                tbody {
                    @for (place, cell) in cells.iter().enumerate() {
                        tr class=[shade(place)] {
                            @for key in &keys {
                                td { @match cell.axes.iter().find(|(known, _)| known == *key) {
                                    Some((_, value)) => (typed(value)), None => span.none { "\u{2013}" },
                                } }
                            }
                            td.number.mean { (format::metric(cell.mean)) }
                            td.squares {
                                @for run in &cell.runs {
                                    a class={ "square " (run.state.name()) } href={ (app.root_path) "/runs/" (run.id) } title=(about(run, value(run))) {
                                        (value(run).map_or_else(|| run.state.name().to_owned(), |value| format::metric(Some(value))))
                                    }
                                    " "
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn about(run: &ListedRun, value: Option<f64>) -> String {
    let steps = match run.total_steps {
        Some(total) => format!("{} of {total} steps", run.steps_done),
        None => format!("{} steps", run.steps_done),
    };
    let seed = run.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    format!("{} {}: {}, {steps}{seed}", run.id, run.state.name(), format::metric(value))
}
