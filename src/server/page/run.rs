//! Everything about one run: its curves, its settings, where it comes from and what became of it.

pub mod ask;
mod curves;
pub mod difference;
mod ends;
pub mod files;
mod lineage;
mod metrics;

use maud::{Markup, html};
use serde_json::Value;

use super::{View, experiment as address_of, log, moment, problem, state, sweep, typed};
use crate::clock;
use crate::report::{format, spelling};
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::store::{Overview, RunState, StoredRun, Subject};
use crate::types::answers::Detail;

/// Lines of the log's end that are shown.
const LOG_LINES: usize = 200;

/// The page of a run.
pub fn run(app: &App, request: Request) -> Result<Reply, Fault> {
    let id = app.run_id(&request.names[0])?;
    let Overview { run, series } = app.store().overview(&id)?;
    let summaries = series.summaries();
    let last_step = summaries.values().map(|summary| summary.last.step).max();
    let body = html! {
        (head(app, &run, last_step)?)
        (curves::curves(&run, &series, &summaries, request.is_refresh)?)
        div id="metrics" data-live { (metrics::metrics(app, &run, &summaries)) }
        (ask::asking(app, &run))
        div id="settings" data-live { (settings(&run)) }
        div id="lineage" data-live { (lineage::lineage(app, &run)?) }
        div id="facts" data-live { (facts(&run)) }
        (difference::asking(app, &run)?)
        div id="files" data-live { (files::files(app, &run)) }
        (last_words(&run))
        (provenance(&run))
    };
    let title = run.labels.name.as_deref().unwrap_or(id.as_str());
    Ok(View { title, place: "Runs", body }.reply(app))
}

fn head(app: &App, run: &StoredRun, last_step: Option<i64>) -> Result<Markup, Fault> {
    let now = clock::now();
    let history = &run.history;
    let experiment = match &run.subject {
        Subject::Logged(logged) => logged.experiment.clone(),
        Subject::Planned(_) => run.provenance.pointer("/experiment/name").and_then(Value::as_str).map(str::to_owned),
    };
    let reproductions = lineage::reproductions(app, run)?;
    Ok(html! {
        p.kind {
            "Run" @if let Some(name) = &experiment { " of " a href=(address_of(app, name)) { (typed(name)) } }
        }
        h1 id="title" data-live data-run=(run.id) {
            @if let Some(name) = &run.labels.name { span.name { (typed(name)) } " " }
            code.id { (run.id) } " " (state(run.state))
            @if run.labels.is_trashed() { " " span.state.trash { "in the trash" } }
        }
        @if let Some(reason) = history.reason() { (problem(reason)) }
        @for warning in &history.warnings { p.warning { (warning) } }
        dl.short id="short" data-live {
            @if let Some(at) = history.started_at() { dt { "started" } dd { (moment(at, now)) } }
            @if let Some(at) = history.ended_at() { dt { "ended" } dd { (moment(at, now)) } }
            dt { "worked" } dd { (format::duration(history.working_secs())) }
            @if let Some(step) = last_step { dt { "last step" } dd { (step) } }
            @match &run.subject {
                Subject::Planned(_) => { dt { "train it again" } dd { code.copy { "ablate reproduce " (run.id) } } },
                Subject::Logged(logged) => { dt { "logged by" } dd { (typed(&logged.by)) } },
            }
            @if !reproductions.is_empty() { dt { "trained again" } dd { @for one in &reproductions { div { (one) } } } }
        }
        div.labels id="labels" data-live {
            span.tags { @for tag in &run.labels.tags { span.tag data-tag=(tag) { (typed(tag)) } " " } }
            span.bulk hidden {
                button type="button" data-do="tag" { "Add a tag" }
                button type="button" data-do="name" { "Rename" }
                @if run.labels.is_trashed() { button type="button" data-do="restore" { "Restore" } }
                @else { button type="button" data-do="trash" { "Delete" } }
            }
            @if matches!(run.subject, Subject::Planned(_)) { (sweep::run_buttons(Some(run.state))) }
        }
        form.note {
            label for="note" { "Note" }
            textarea id="note" rows="2" dir="auto" readonly { (run.labels.note.as_deref().unwrap_or_default()) }
            button type="button" data-do="note" hidden { "Save" }
        }
    })
}

fn settings(run: &StoredRun) -> Markup {
    html! {
        section {
            @match &run.subject {
                Subject::Planned(spec) => {
                    h2 { "Specification" }
                    p.quiet { code { (spec.hash()) } }
                    details { summary { "As TOML" } pre tabindex="0" { (spec.to_toml().unwrap_or_default()) } }
                },
                Subject::Logged(_) => {
                    h2 { "Parameters" }
                    (pairs(run.subject.settings().into_iter().map(|(key, value)| (key, spelling::setting(&value)))))
                },
            }
        }
    }
}

fn pairs(rows: impl Iterator<Item = (String, String)>) -> Markup {
    html! { table.pairs { tbody { @for (key, value) in rows { tr { th scope="row" { (typed(&key)) } td { (typed(&value)) } } } } } }
}

fn facts(run: &StoredRun) -> Markup {
    let facts = &run.history.facts;
    let text = |name: &str, value: &Value| match value {
        _ if Detail::is_fact(name) => "a table, in the figures".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    html! {
        @if !facts.is_empty() {
            section { details { summary { h2 { "Facts" } } (pairs(facts.iter().map(|(name, value)| (name.clone(), text(name, value))))) } }
        }
    }
}

/// The end of what the worker said.
fn last_words(run: &StoredRun) -> Markup {
    html! {
        @if let Some(shown) = log::end_of(&run.dir, LOG_LINES) {
            section { details open[run.state == RunState::Failed] { summary { h2 { "Log" } } pre tabindex="0" { (shown) } } }
        }
    }
}

fn provenance(run: &StoredRun) -> Markup {
    let text = serde_json::to_string_pretty(&run.provenance).unwrap_or_default();
    html! { section { details { summary { h2 { "Provenance" } } pre tabindex="0" { (text) } } } }
}
