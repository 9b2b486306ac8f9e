//! The tables of the page: cells by rank, effects, importance, runs. A row says whose it is, as the marks of figures do.

use maud::{Markup, html};

use super::figures::swatch;
use super::record::Record;
use crate::analysis::statistics::decimals_for;
use crate::analysis::{
    CellSummary, Comparison, Effect, Importance, NoImportance, Part, RunData, RunState, Summary, Verdict,
};
use crate::plot::Palette;
use crate::plot::ticks::{number, si};
use crate::report::spelling::p_value;
use crate::types::metrics::Goal;

/// What is not there.
const NOTHING: &str = "\u{2013}";

/// What a table of effects is about.
pub(super) struct About {
    id: &'static str,
    /// The name of its file.
    file: &'static str,
    caption: &'static str,
}

pub(super) const EFFECTS: About = About {
    id: "effects",
    file: "effects",
    caption: "Mean difference between two values of an axis over the settings of all others. Its scatter is that between \
              independent seeds, whatever a seed does to several cells at once; p is Student's, corrected over the whole report.",
};

pub(super) const BASELINE: About = About {
    id: "baseline",
    file: "against-baseline",
    caption: "Every cell against the baseline; rows name what differs from it. \u{201c}By\u{201d} an axis: the cells' own runs \
              cannot tell, the effect of the axis can.",
};

pub(super) const RIVALS: About = About {
    id: "rivals",
    file: "against-best",
    caption: "Every cell against the best, in order of rank; rows name what differs from it. p is corrected over all pairs of \
              cells, because the best was chosen by its outcome.",
};

/// A table that scrolls by itself where it is wider than the page; `head` and `body` are rows, `file` lies beside the page.
fn table((section, file): (&str, &str), caption: &Markup, head: &Markup, body: &Markup) -> Markup {
    html! {
        div.wide role="region" aria-labelledby={ (section) "-title" } tabindex="0" {
            table.sortable { caption { span { (caption) } } thead { tr { (head) } } tbody { (body) } }
        }
        p.files {
            a href={ "tables/" (file) ".csv" } { "CSV" } " " a href={ "tables/" (file) ".tex" } { "LaTeX" }
        }
    }
}

/// `size=mini\tnsp=off`: the settings of a row, as a figure's marks have them.
fn settings(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(axis, value)| format!("{axis}={value}")).collect::<Vec<_>>().join("\t")
}

fn column(name: &str) -> Markup {
    html! { th scope="col" { (name) } }
}

fn number_column(name: &str) -> Markup {
    html! { th.number scope="col" { (name) } }
}

pub(super) fn cells(comparison: &Comparison, summary: &Summary) -> Markup {
    let palette = Palette::of(&comparison.axes);
    let decimals = shared_decimals(summary);
    let value = |value: Option<f64>| value.map_or(NOTHING.to_owned(), |value| number(value, decimals));
    let rank = |i: usize| summary.ranking.iter().position(|&ranked| ranked == i).map(|rank| (rank + 1).to_string());
    let caption = html! {
        "The best first. Mean of " code { (summary.metric) } " over n finished seeds with the half-width of its 95 % interval \
         (Student's t, pooled over cells of independent luck); one seed has none. Every seed in order; a run without a value \
         says what became of it."
        @for axis in comparison.axes.iter().filter(|axis| !axis.also.is_empty()) {
            " " (axis.name) " stands for all that changes with it: " (axis.also.join(", ")) "."
        }
    };
    let head = html! {
        (number_column("rank"))
        @for axis in &comparison.axes { (column(&axis.name)) }
        @for name in ["n", "mean", "± 95 %", "min", "max"] { (number_column(name)) }
        (column("every seed"))
    };
    let body = html! {
        @for (i, cell) in summary.by_rank() {
            tr.best[summary.ranking.first() == Some(&i)] data-set=(settings(&cell.key.0)) {
                td.number { (rank(i).unwrap_or_else(|| NOTHING.to_owned())) }
                @for (axis, value) in &cell.key.0 { td { (swatch(&palette, axis, value)) (value) } }
                td.number { (cell.estimate.map_or(0, |estimate| estimate.n)) }
                td.number { (value(cell.estimate.map(|estimate| estimate.mean))) }
                td.number { (value(cell.estimate.and_then(|e| e.interval).map(|interval| interval.half_width()))) }
                td.number { (value(cell.estimate.map(|estimate| estimate.min))) }
                td.number { (value(cell.estimate.map(|estimate| estimate.max))) }
                td { (every_seed(cell, decimals)) }
            }
        }
    };
    table(("cells", "cells"), &caption, &head, &body)
}

/// Two digits of the typical interval and no less than three decimals.
fn shared_decimals(summary: &Summary) -> usize {
    let mut widths =
        summary.cells.iter().filter_map(|cell| Some(cell.estimate?.interval?.half_width())).collect::<Vec<_>>();
    widths.sort_by(f64::total_cmp);
    widths.get(widths.len() / 2).map_or(3, |&width| decimals_for(width).max(3))
}

fn every_seed(cell: &CellSummary, decimals: usize) -> Markup {
    html! {
        @for outcome in &cell.outcomes {
            span.seed {
                @match outcome.value {
                    Some(value) => (number(value, decimals)),
                    None => span.bad title=(outcome.reason.as_deref().unwrap_or_default()) {
                        (outcome.state)
                        @if let Some(step) = outcome.last_step { " after step " (number(step as f64, 0)) }
                    },
                }
            }
            " "
        }
    }
}

/// None where there is no effect.
pub(super) fn effects(about: &About, effects: &[Effect]) -> Option<Markup> {
    let head = html! {
        (column("difference"))
        @for name in ["mean ± 95 %", "settings", "p (corrected)"] { (number_column(name)) }
        (column("verdict"))
    };
    let of_axis = |effect: &Effect| effect.axis.as_ref().map(|axis| format!("{axis}={}", effect.treatment));
    let body = html! {
        @for effect in effects {
            tr data-set=[of_axis(effect)] {
                th scope="row" { (effect.name()) }
                td.number data-v=[effect.difference.map(|difference| difference.mean)] {
                    (effect.size().unwrap_or_else(|| NOTHING.to_owned()))
                }
                td.number { (effect.blocks()) }
                (p_cell(effect.adjusted_p))
                td { (verdict(effect)) }
            }
        }
    };
    (!effects.is_empty()).then(|| table((about.id, about.file), &html! { (about.caption) }, &head, &body))
}

fn p_cell(p: Option<f64>) -> Markup {
    let text = p.map_or(NOTHING.to_owned(), p_value);
    html! { td.number data-v=[p] { (text) } }
}

fn verdict(effect: &Effect) -> Markup {
    let class = match effect.verdict {
        Verdict::Better => "good",
        Verdict::Worse => "bad",
        Verdict::Negligible | Verdict::Inconclusive => "open",
    };
    html! {
        span class=(class) { (effect.word()) }
        @if let Some(advice) = effect.advice() { " \u{2013} " (advice) }
    }
}

/// None where there is no axis.
pub(super) fn importance(table_of: &Result<Importance, NoImportance>) -> Option<Markup> {
    let found = match table_of {
        Ok(found) => found,
        Err(NoImportance::NoAxis) => return None,
        Err(why) => return Some(html! { p.note { (why) } }),
    };
    let has_rows = found.parts.iter().all(|part| part.row.is_some());
    let row = |part: &Part| {
        html! { tr {
            th scope="row" { (part.name) }
            td.number data-v=[part.share] { (part.share_in_words()) }
            @if has_rows {
                td.number { (part.row.as_ref().map_or(0, |row| row.degrees)) }
                td.number { (part.row.as_ref().and_then(|row| row.f).map_or(NOTHING.to_owned(), |f| number(f, 2))) }
            }
            (p_cell(part.adjusted_p))
            td { span class=(if part.is_clear() { "good" } else { "open" }) { (part.word()) } }
        } }
    };
    let head = html! {
        (column("part")) (number_column("share"))
        @if has_rows { (number_column("df")) (number_column("F")) }
        (number_column("p (corrected)")) (column("verdict"))
    };
    let body = html! { @for part in &found.parts { (row(part)) } };
    Some(table(("importance", "importance"), &html! { (found.explanation()) " " (found.basis()) }, &head, &body))
}

/// Every run, the best first.
pub(super) fn runs(comparison: &Comparison, record: &Record) -> Markup {
    let mut runs = comparison.runs.iter().collect::<Vec<_>>();
    let value = |run: &RunData| run.outcome(&comparison.metric);
    runs.sort_by(|a, b| match (value(a), value(b)) {
        (Some(a), Some(b)) if comparison.goal == Goal::Minimize => a.total_cmp(&b),
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    let caption = html! {
        "The best first. Any run can be repeated from its id: " code { "ablate reproduce RUN" } "."
        @if record.runs_at.is_some() { " An id leads to the folder of its run." }
    };
    let head = html! {
        (column("run")) (number_column(comparison.metric.as_str()))
        @for axis in &comparison.axes { (column(&axis.name)) }
        (column("state"))
        @for name in ["seed", "parameters", "tokens", "seconds"] { (number_column(name)) }
        (column("spec"))
    };
    let body = html! { @for run in runs { (run_row(comparison, run, record)) } };
    table(("runs", "runs"), &caption, &head, &body)
}

fn run_row(comparison: &Comparison, run: &RunData, record: &Record) -> Markup {
    let last = run.last(&comparison.metric);
    let axes = comparison.axes.iter().filter_map(|axis| Some((axis.name.clone(), run.axis(&axis.name)?.to_owned())));
    let is_well = matches!(run.state, RunState::Finished | RunState::Running | RunState::Planned);
    html! {
        tr data-run=[run.id.as_ref()] data-set=(settings(&axes.collect::<Vec<_>>())) {
            th scope="row" {
                @match (&run.id, &record.runs_at) {
                    (Some(id), Some(runs)) => a href={ (runs) "/" (id) "/" } { code { (id) } },
                    (Some(id), None) => code { (id) },
                    (None, _) => (NOTHING),
                }
            }
            td.number data-v=[last.map(|point| point.value)] {
                @match last {
                    Some(point) if run.state == RunState::Finished => (number(point.value, 4)),
                    Some(point) => { (number(point.value, 4)) " at step " (number(point.step as f64, 0)) },
                    None => (NOTHING),
                }
            }
            @for axis in &comparison.axes { td { (run.axis(&axis.name).unwrap_or(NOTHING)) } }
            td {
                span.bad[!is_well] { (run.state) }
                @if let Some(reason) = &run.reason { ": " (reason) }
            }
            td.number { (run.seed) }
            td.number data-v=(run.parameters) { (si(run.parameters as f64)) }
            td.number data-v=(run.tokens) { (si(run.tokens as f64)) }
            td.number { (number(run.elapsed_secs, 1)) }
            td { @if let Some(spec) = run.spec { code { (spec.0.short()) } } @else { (NOTHING) } }
        }
    }
}
