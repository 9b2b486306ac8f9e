//! Asking the model that a run trained: a text with masks, or one to be labelled, and what it says about it.

use maud::{Markup, html};
use serde_json::Value;

use super::super::{View, problem, typed};
use crate::server::App;
use crate::server::api::models::{USUAL, pair, top};
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::server::lent::Question;
use crate::store::{RunState, StoredRun, Subject};

/// What the model of a run can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Masks,
    Text,
    Pair,
}

/// What a run that is over was trained for, where somebody here can ask it.
fn kind(app: &App, run: &StoredRun) -> Option<Kind> {
    let Subject::Planned(spec) = &run.subject else { return None };
    let is_over = app.models.are_lent() && run.state == RunState::Finished;
    is_over.then(|| match spec.task() {
        None => Kind::Masks,
        Some(task) if task.pair_column.is_some() => Kind::Pair,
        Some(_) => Kind::Text,
    })
}

/// Where the model is asked, on the page of its run.
pub fn asking(app: &App, run: &StoredRun) -> Markup {
    html! {
        @if let Some(kind) = kind(app, run) {
            section { h2 { "Ask the model" } (form(app, run, kind, "", "", USUAL)) }
        }
    }
}

/// The page of an answer.
pub fn answer(app: &App, request: Request) -> Result<Reply, Fault> {
    let run = app.store().overview(&app.run_id(&request.names[0])?)?.run;
    let kind =
        kind(app, &run).ok_or_else(|| Fault::invalid(format!("run {} has no model that can be asked here", run.id)))?;
    let (text, second, top) = (request.asked("text").unwrap_or_default(), pair(&request), top(&request)?);
    let question = match kind {
        Kind::Masks => Question::FillMask { text, top },
        Kind::Text => Question::Predict { text, pair: None },
        Kind::Pair => Question::Predict { text, pair: second },
    };
    // A view that is kept up keeps its answer.
    let said = (!text.is_empty() && !request.is_refresh).then(|| app.models.ask(&run, question));
    let body = html! {
        p.kind { "Run " a.id href={ (app.root_path) "/runs/" (run.id) } { (run.id) } }
        h1 { "Ask " (run.labels.name.as_deref().map_or_else(|| html! { (run.id) }, typed)) }
        (form(app, &run, kind, text, second.unwrap_or_default(), top))
        @match said {
            None => {},
            Some(Err(fault)) => (problem(&fault.message)),
            Some(Ok(said)) => section aria-label="Answer" {
                @if kind == Kind::Masks { (guesses(&said)) } @else { (labels(&said, text)) }
                p.quiet { "By the weights of step " (said["step"]) "." }
            },
        }
    };
    Ok(View { title: "Ask the model", place: "Runs", body }.reply(app))
}

fn form(app: &App, run: &StoredRun, kind: Kind, text: &str, second: &str, top: usize) -> Markup {
    let label = match kind {
        Kind::Masks => "A text with [MASK] where the model is to guess",
        Kind::Text => "One text to be labelled",
        Kind::Pair => "The first text",
    };
    html! {
        form.ask method="get" action={ (app.root_path) "/runs/" (run.id) "/ask" } {
            label for="ask-text" { (label) }
            textarea id="ask-text" name="text" rows="2" dir="auto" required maxlength="9999" { (text) }
            @if kind == Kind::Pair {
                label for="ask-pair" { "The second text" }
                textarea id="ask-pair" name="pair" rows="2" dir="auto" required maxlength="9999" { (second) }
            }
            div {
                @if kind == Kind::Masks {
                    label { "Guesses " input type="number" name="k" min="1" max="100" value=(top); }
                }
                button type="submit" { "Ask" }
            }
        }
    }
}

/// The most probable tokens for each mask.
fn guesses(said: &Value) -> Markup {
    let masks = said["masks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |guess: &Value| (guess["token"].as_str().unwrap_or_default().to_owned(), guess["probability"].as_f64());
    html! {
        @for (number, mask) in (1..).zip(masks) {
            @let rows = mask["guesses"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(row).collect::<Vec<_>>();
            (bars(&format!("Mask {number}"), "token", &rows))
        }
    }
}

/// The classes by their probability, or the text with its entities marked.
fn labels(said: &Value, text: &str) -> Markup {
    let one = &said["predictions"][0];
    let names = said["labels"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = names.iter().map(|name| name.as_str().unwrap_or_default().to_owned());
    let probabilities = one["probabilities"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rows: Vec<_> = names.zip(probabilities.iter().map(Value::as_f64)).collect();
    rows.sort_by(|a, b| b.1.unwrap_or(0.0).total_cmp(&a.1.unwrap_or(0.0)));
    html! {
        @match one["entities"].as_array() {
            Some(entities) => (marked(text, entities)),
            None => (bars("Labels", "label", &rows)),
        }
    }
}

/// A table of names and probabilities, each with a bar as long as it is probable.
fn bars(caption: &str, what: &str, rows: &[(String, Option<f64>)]) -> Markup {
    html! {
        table.bars {
            caption { (caption) }
            thead { tr { th scope="col" { (what) } th.number scope="col" { "probability" } td {} } }
            tbody {
                @for (name, probability) in rows {
                    @let share = probability.unwrap_or(f64::NAN);
                    tr {
                        th scope="row" { (typed(name)) }
                        td.number { (format!("{share:.4}")) }
                        td {
                            svg.share viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
                                rect width=(format!("{:.2}", if share.is_finite() { share * 100.0 } else { 0.0 })) height="6" {}
                            }
                        }
                    }
                }
            }
        }
    }
}

fn marked(text: &str, entities: &[Value]) -> Markup {
    let characters: Vec<char> = text.chars().collect();
    let place = |entity: &Value, key: &str| entity[key].as_u64().map_or(0, |at| (at as usize).min(characters.len()));
    let (mut parts, mut at) = (Vec::new(), 0);
    for entity in entities {
        let (start, end) = (place(entity, "start").max(at), place(entity, "end").max(at));
        let piece = |from: usize, to: usize| characters[from..to.max(from)].iter().collect::<String>();
        parts.push((piece(at, start), piece(start, end.max(start)), entity["kind"].as_str().unwrap_or_default()));
        at = end.max(start);
    }
    let rest: String = characters[at..].iter().collect();
    html! {
        p.entities dir="auto" {
            @for (before, inside, kind) in &parts { (before) mark { (inside) " " small { (kind) } } }
            (rest)
        }
        @if entities.is_empty() { p.quiet { "No entities." } }
    }
}
