//! Experiments: their names, and of each one its cells with the states of their runs, what came out, and the answer.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::cells::Cells;
use super::{View, encoded, equal, experiment, problem, state, sweep, typed};
use crate::clock;
use crate::report::format;
use crate::report::listing::{ListedRun, Listing};
use crate::server::App;
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::store::{RunQuery, RunState, StoreError};
use crate::types::{ContentHash, MetricName};

/// Runs up to which an answer comes with the page; of more, so many are looked at for their metrics.
const AT_ONCE: usize = 1_000;
const SAMPLE: usize = 100;

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
    let (name, now) = (&request.names[0], clock::now());
    let text = equal("experiment", name);
    let query = RunQuery::default().within_experiments(&[name]).called(&text);
    let may_wait = request.asked("answer") == Some("now");
    let Found { states, versions, runs } = find(app, &query, may_wait)?;
    let sweep = sweep::newest(app, name, now)?;
    if runs.is_empty() && sweep.is_none() {
        return Err(Fault::missing("no experiment has this name"));
    }
    let metric = request.asked("metric").filter(|metric| !metric.is_empty());
    let is_whole = runs.len() == states.len();
    let answered = is_whole.then(|| app.answers.of(app, (&query, &text), versions, metric)).transpose()?;
    let decides = answered.as_ref().and_then(|answered| answered.decides.clone());
    let asked = metric.and_then(|metric| metric.parse::<MetricName>().ok());
    let decides = decides.or(asked).or_else(|| runs.iter().find_map(|run| run.metric.clone()));
    let waiting = sweep.as_ref().map(|sweep| &sweep.waiting[..]).unwrap_or_default();
    let shown = if is_whole { &runs[..] } else { &[] };
    let cells = Cells::new(shown, waiting, decides.as_ref(), answered.as_ref().map(|answered| &answered.axes));
    let sides = (request.asked("x"), request.asked("y"));
    let body = html! {
        p.kind { "Experiment" }
        h1 { (typed(name)) }
        div id="progress" data-live { (progress(&states, shown, sweep.is_none())) }
        div id="sweep" data-live { @if let Some(sweep) = &sweep { (sweep::shown(app, name, sweep, now)) } }
        (choice(&runs, decides.as_ref()))
        div id="answer" data-live {
            @match &answered { Some(answered) => (answered.html), None => (later(&experiment(app, name), &request, states.len())) }
        }
        div id="map" data-live { @if is_whole { (cells.map(app, sides, &experiment(app, name))) } }
        div id="grid" data-live { @if is_whole { (cells.table(app)) } }
        p { a href={ (app.root_path) "/?q=" (encoded(&text)) } { "Its runs as a table" } }
    };
    Ok(View { title: name, place: "Experiments", body }.reply(app))
}

/// What is known of an experiment's runs.
struct Found {
    states: Vec<RunState>,
    /// What changes when one of them does.
    versions: ContentHash,
    /// All of them; or of very many, where nobody may wait, some.
    runs: Vec<ListedRun>,
}

fn find(app: &App, query: &RunQuery, may_wait: bool) -> Result<Found, Fault> {
    app.reader.ask(|index| {
        let all = index.page(query, None, usize::MAX)?.runs;
        let states = all.iter().map(|(_, version)| version.state).collect();
        let versions = ContentHash::of(format!("{all:?}").as_bytes());
        let taken = if may_wait || all.len() <= AT_ONCE { all.len() } else { SAMPLE };
        let facts = all[..taken].iter().filter_map(|(id, version)| index.facts_of(id, version).transpose());
        let facts = facts.collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Found { states, versions, runs: Listing::of(facts, query).runs })
    })
}

/// In place of an answer that takes a while: where it is. The script goes there by itself.
fn later(address: &str, request: &Request, runs: usize) -> Markup {
    let asked = ["metric", "x", "y"].into_iter().filter_map(|key| Some((key, request.asked(key)?)));
    let asked: String = asked.map(|(key, value)| format!("&{key}={}", encoded(value))).collect();
    html! {
        p.quiet data-later {
            "The comparison of " (format::thousands(runs as u64)) " runs takes a moment: "
            a href={ (address) "?answer=now" (asked) } { "the answer and the cells" }
        }
    }
}

/// How many runs are in which state, and what failed unless the sweep says so.
fn progress(states: &[RunState], runs: &[ListedRun], tells_reasons: bool) -> Markup {
    let mut counts = BTreeMap::<&str, (RunState, usize)>::new();
    for state in states {
        counts.entry(state.name()).or_insert((*state, 0)).1 += 1;
    }
    let failed = runs.iter().filter(|run| run.state == RunState::Failed);
    let reasons: BTreeSet<&str> = failed.filter(|_| tells_reasons).filter_map(|run| run.reason.as_deref()).collect();
    let worked: f64 = runs.iter().filter_map(|run| run.worked_secs).sum();
    html! {
        p.progress {
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
