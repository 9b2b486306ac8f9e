//! What a run and another do not have in common, as `ablate diff` tells it: settings, results, and who executed them.

use maud::{Markup, html};
use serde_json::Value;

use super::super::{View, typed};
use crate::clock;
use crate::report::comparison::read;
use crate::report::difference::Difference;
use crate::report::find::find_named;
use crate::report::format;
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::wire::required;
use crate::store::{Index, RunQuery, RunState, StoreError, StoredRun, Subject};
use crate::types::RunId;
use crate::types::metrics::Goal;

/// The form that asks what differs, and the runs that come to mind.
pub fn asking(app: &App, run: &StoredRun) -> Result<Markup, Fault> {
    let candidates = app.reader.ask(|index| Ok(candidates(index, run)))?;
    Ok(html! {
        section {
            h2 { "What differs from another run" }
            form.actions method="get" action={ (app.root_path) "/runs/" (run.id) "/diff" } {
                label for="with" { "Run" }
                input id="with" name="with" required placeholder="id or name" autocomplete="off" spellcheck="false";
                button type="submit" { "Show" }
            }
            @if !candidates.is_empty() {
                ul {
                    @for (what, other) in &candidates {
                        li { (what) ": " a.id href={ (app.root_path) "/runs/" (run.id) "/diff/" (other) } { (other) } }
                    }
                }
            }
        }
    })
}

/// Runs that one compares with: what a run reproduces, and the baseline and the best of its experiment.
fn candidates(index: &Index, run: &StoredRun) -> Vec<(&'static str, RunId)> {
    let experiment = match &run.subject {
        Subject::Logged(logged) => logged.experiment.as_deref(),
        Subject::Planned(_) => run.provenance.pointer("/experiment/name").and_then(Value::as_str),
    };
    let first = |query: RunQuery| index.page(&query.limited(1), None, 1).ok()?.runs.into_iter().next();
    let mut found: Vec<(&'static str, RunId)> =
        run.lineage.reproduces.iter().map(|other| ("the run that it reproduces", other.clone())).collect();
    if let Some(experiment) = experiment {
        let of_experiment = |query: RunQuery| query.within_experiments(&[experiment]);
        // Of a baseline's runs that of the same repetition, which differs in nothing else.
        let baseline = baseline(run).into_iter().find_map(|text| {
            let query = RunQuery::parse(&text, clock::now()).ok()?;
            first(of_experiment(query))
        });
        found.extend(baseline.map(|(id, _)| ("the baseline of its experiment", id)));
        if let Some(metric) = run.provenance.pointer("/experiment/metric").and_then(Value::as_str) {
            let sign = if Goal::usual(metric) == Goal::Maximize { "-" } else { "" };
            let finished = RunQuery::in_states(&[RunState::Finished]).sorted_by(&format!("{sign}{metric}"));
            found.extend(first(of_experiment(finished)).map(|(id, _)| ("the best of its experiment", id)));
        }
    }
    found.retain(|(_, other)| *other != run.id);
    found
}

/// Queries that find the baseline of a run's experiment, the closest first; none where it names none.
fn baseline(run: &StoredRun) -> Vec<String> {
    let experiment = &run.provenance["experiment"];
    let Some(cell) = experiment["baseline"].as_object().filter(|cell| !cell.is_empty()) else { return Vec::new() };
    let settings: Vec<String> = cell.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let any = settings.join(" and ");
    let same = experiment["replicate"].as_u64().map(|number| format!("{any} and experiment.replicate = {number}"));
    same.into_iter().chain([any]).collect()
}

/// The page of what differs from the run that was named in a form.
pub fn with(app: &App, request: Request) -> Result<Reply, Fault> {
    let word = required("with", request.asked("with").map(str::trim))?;
    let other = match app.store().resolve(word) {
        Err(unknown @ StoreError::UnknownRun { .. }) => {
            app.reader.ask(|index| find_named(index, word))?.ok_or(unknown)?
        }
        found => found?,
    };
    page(app, &app.run_id(&request.names[0])?, &other)
}

/// The page of what differs between two runs.
pub fn of_two(app: &App, request: Request) -> Result<Reply, Fault> {
    page(app, &app.run_id(&request.names[0])?, &app.run_id(&request.names[1])?)
}

fn page(app: &App, first: &RunId, second: &RunId) -> Result<Reply, Fault> {
    let (first, second) = (read(app.store(), first)?, read(app.store(), second)?);
    let provenance = app.models.provenance_differences(&first.0, &second.0);
    let found = Difference::of(&first, &second, provenance);
    let (a, b) = (&first.0, &second.0);
    let outcome = [(a, b), (b, a)].into_iter().find(|(run, again)| again.lineage.reproduces.as_ref() == Some(&run.id));
    let outcome = outcome.and_then(|(run, again)| Some((run, again, super::ends::outcome(run, again)?)));
    let settings = found.settings.iter().map(|d| (d.key.as_str(), spelled(&d.first), spelled(&d.second), None));
    let metrics = found.metrics.iter().map(|d| {
        let [first, second] = [d.first, d.second].map(|value| spelled(&value.map(|value| format::metric(Some(value)))));
        (d.metric.as_str(), first, second, Some(d.delta.map_or_else(|| "\u{2013}".to_owned(), signed)))
    });
    let provenance = found.provenance.iter().map(|d| (d.key.as_str(), d.first.clone(), d.second.clone(), None));
    let body = html! {
        p.kind { "Difference" }
        h1 { (named(app, a)) " and " (named(app, b)) }
        p { a href={ (app.root_path) "/runs/" (b.id) "/diff/" (a.id) } { "The other way round" } }
        @if let Some((run, again, outcome)) = outcome { p { code { (again.id) } " reproduces " code { (run.id) } ": " (outcome) } }
        (table("Settings", [a, b], settings.collect(), "The same specification."))
        (table("Results", [a, b], metrics.collect(), "Neither measured anything."))
        @if !found.provenance.is_empty() { (table("Provenance", [a, b], provenance.collect(), "")) }
    };
    Ok(View { title: "Difference", place: "Runs", body }.reply(app))
}

fn named(app: &App, run: &StoredRun) -> Markup {
    html! {
        a href={ (app.root_path) "/runs/" (run.id) } {
            @if let Some(name) = &run.labels.name { (typed(name)) " " }
            code.id { (run.id) }
        }
    }
}

fn spelled(value: &Option<String>) -> String {
    value.clone().unwrap_or_else(|| "\u{2013}".to_owned())
}

/// How far one value is from another; what is not nothing is never shown as 0.
fn signed(delta: f64) -> String {
    match delta {
        0.0 => "0".to_owned(),
        _ if delta.abs() < 5e-5 => format!("{delta:+.1e}"),
        _ => format!("{delta:+.4}"),
    }
}

/// A key, what each of the two has, and how far the second is from the first.
type Row<'r> = (&'r str, String, String, Option<String>);

fn table(title: &str, runs: [&StoredRun; 2], rows: Vec<Row<'_>>, otherwise: &str) -> Markup {
    let has_deltas = rows.iter().any(|(.., delta)| delta.is_some());
    html! {
        section {
            h2 { (title) }
            @if rows.is_empty() { p.empty { (otherwise) } } @else {
                div.scroll tabindex="0" role="region" aria-label=(title) {
                    table.difference {
                        thead {
                            tr {
                                td {}
                                @for run in runs { th.number[has_deltas] scope="col" { code { (run.id) } } }
                                @if has_deltas { th.number scope="col" { "difference" } }
                            }
                        }
                        tbody {
                            @for (key, first, second, delta) in &rows {
                                tr {
                                    th scope="row" { (typed(key)) }
                                    @for value in [first, second] { td.number[has_deltas] { (typed(value)) } }
                                    @if let Some(delta) = delta { td.number { (delta) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
