//! The head of the page: the question, and the answer in a box, its details folded.

use maud::{Markup, html};

use super::record::Record;
use crate::analysis::{Comparison, NoImportance, Summary, importance, luck_in_words};
use crate::report::answer::Answer;
use crate::report::spelling::minute;

pub(super) fn header(comparison: &Comparison, answer: &Answer, summary: &Summary, record: &Record) -> Markup {
    html! {
        header {
            p.kind { "Experiment" @if let Some(drawn) = record.drawn_at { ", drawn " time { (minute(drawn)) } } }
            h1 { (comparison.experiment) }
            @if !comparison.question.is_empty() { p.question { (comparison.question) } }
        }
        section.answer id="answer" aria-label="Answer" {
            (sentences(answer))
            (details(comparison, answer, summary))
        }
    }
}

/// The box's sentences: what has to be known first, then the answer.
pub fn sentences(answer: &Answer) -> Markup {
    html! {
        @if !answer.cautions.is_empty() {
            div.first { h2 { "Read this first" } ul { @for caution in &answer.cautions { li { (caution) } } } }
        }
        dl {
            @if let Some(text) = &answer.matters { dt { "What matters" } dd { (text) } }
            @if let Some(text) = &answer.by_how_much { dt { "By how much" } dd { (text) } }
            dt { "What is best" } dd { (answer.best) }
            dt { "How sure" } dd { (answer.how_sure) }
        }
    }
}

/// What the sentences leave out.
fn details(comparison: &Comparison, answer: &Answer, summary: &Summary) -> Markup {
    html! {
        details {
            summary { "Details: every effect, and what the errors rest on" }
            @match importance(comparison) {
                Ok(found) => p { (found.statement()) },
                Err(NoImportance::NoAxis) => {},
                Err(why) => p { (why) },
            }
            @if !answer.effects.is_empty() {
                ul { @for effect in &answer.effects { li { (effect.sentence()) } } }
            }
            p { (summary.statement()) }
            @if let Some(text) = summary.rerun_statement() { p { (text) } }
            p {
                "The metric is " code { (comparison.metric) } ", the last value of each finished run. After \u{b1} stands half \
                 of a 95 % interval by Student's t. Better, worse and clear are said at the 5 % level over all tables together. \
                 What is inconclusive may still be there: it is only not seen in so few runs. " (luck_in_words(comparison))
            }
        }
    }
}
