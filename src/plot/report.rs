//! The report: one HTML file that answers the question, opens offline and prints well.
//!
//! It refers to nothing outside itself: style and figures are inside, and there is no script. What it says in words is no
//! surer than the runs: the sentence comes from the same summary that the command line prints.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figure::{Colour, Figure};
use super::palette::Palette;
use super::render::{RenderError, render_svg};
use super::theme::Theme;
use super::ticks::{number, si};
use crate::analysis::statistics::decimals_for;
use crate::analysis::{
    CellSummary, Comparison, Effect, Importance, NoImportance, Part, RunData, RunState, Summary, Verdict,
    against_baseline, cautions, importance, luck_in_words, marginal_effects, summarize,
};
use crate::types::RunId;

/// What the report is made of.
pub struct Report<'a> {
    pub comparison: &'a Comparison,
    pub figures: &'a [Figure],
    /// Names and values for the foot of the page: experiment file, program version, commit, date.
    pub provenance: &'a [(String, String)],
}

/// The whole page.
pub fn report_html(report: &Report<'_>) -> Result<String, RenderError> {
    let comparison = report.comparison;
    let summary = summarize(comparison);
    let svgs = report.figures.iter().map(render_svg).collect::<Result<Vec<_>, _>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (comparison.experiment) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (answer(comparison, &summary))
                (figures(report.figures, &svgs))
                (cells_table(comparison, &summary))
                (importance_table(&importance(comparison)))
                (effects_table("What each axis does", "Mean difference between two values of an axis over the \
                    settings of all others. Its scatter is that between independent seeds, whatever a seed does to several \
                    cells at once; p is Student's, corrected over the whole report.",
                    &marginal_effects(comparison)))
                (effects_table("Every cell against the baseline", "Rows name what differs from the baseline. \
                    \u{201c}By\u{201d} an axis: the cells' own runs cannot tell, the effect of the axis can.", &against_baseline(comparison)))
                (effects_table("Every cell against the best", "Rows name what differs from the best cell, in order of rank. \
                    p is corrected over all pairs of cells, because the best was chosen by its outcome.",
                    &summary.rivals))
                (runs_table(comparison))
                (provenance(report.provenance))
            }
        }
    };
    Ok(page.into_string())
}

/// The answer before everything else: what matters, by how much, what is best, how sure.
fn answer(comparison: &Comparison, summary: &Summary) -> Markup {
    let (effects, cautions) = (marginal_effects(comparison), cautions(comparison));
    html! {
        header {
            p.kind { "Experiment" }
            h1 { (comparison.experiment) }
            @if !comparison.question.is_empty() { p.question { (comparison.question) } }
            div.answer {
                @if !cautions.is_empty() {
                    h2 { "First" }
                    ul { @for caution in &cautions { li.bad { (caution) } } }
                }
                @match importance(comparison) {
                    Ok(found) => { h2 { "What matters" } p { (found.statement()) } },
                    Err(NoImportance::NoAxis) => {},
                    Err(why) => { h2 { "What matters" } p { (why) } },
                }
                @if !effects.is_empty() {
                    h2 { "By how much" }
                    ul { @for effect in &effects { li { (effect.sentence()) } } }
                }
                h2 { "What is best" }
                p { (summary.statement()) }
                @if let Some(text) = summary.rerun_statement() { p { (text) } }
                h2 { "How sure" }
                p { (how_sure(comparison, summary)) }
            }
            @if !comparison.floors.is_empty() {
                dl.floors {
                    @for floor in &comparison.floors {
                        dt { (floor.label) " " b { (floor.in_words()) } " " code { (floor.metric) } }
                        dd { (floor.explanation) }
                    }
                }
            }
        }
    }
}

/// What the answer rests on, and what it leaves open.
fn how_sure(comparison: &Comparison, summary: &Summary) -> String {
    let count = |state| comparison.runs.iter().filter(|run| run.state == state).count();
    let mut text = format!("{} of {} runs finished", count(RunState::Finished), comparison.runs.len());
    for state in RunState::ALL.into_iter().filter(|&state| state != RunState::Finished && count(state) > 0) {
        text += &format!(", {} {state}", count(state));
    }
    let seeds = summary.cells.iter().map(|cell| cell.estimate.map_or(0, |estimate| estimate.n));
    let (low, high) = seeds.fold((usize::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
    let seeds = match (low, high) {
        (_, 0) => "no seed".to_owned(),
        (1, 1) => "one seed".to_owned(),
        (low, high) if low == high => format!("{high} seeds"),
        (low, high) => format!("{low} to {high} seeds"),
    };
    text += &format!(
        "; {} cells with {seeds} each. The metric is {}, the last value of each finished run. After \u{b1} stands half of a \
         95 % interval by Student's t. Better, worse and clear are said at the 5 % level over all tables together, so that \
         at most one report of twenty says any of them falsely. What is inconclusive may still be there: it is only not \
         seen in so few runs. {}",
        summary.cells.len(),
        comparison.metric,
        luck_in_words(comparison),
    );
    text
}

fn figures(figures: &[Figure], svgs: &[String]) -> Markup {
    html! {
        section {
            h2 { "Figures" }
            @for (figure, svg) in figures.iter().zip(svgs) {
                figure title=(figure.title) { (PreEscaped(svg)) }
            }
        }
    }
}

fn cells_table(comparison: &Comparison, summary: &Summary) -> Markup {
    let palette = Palette::of(&comparison.axes);
    let decimals = shared_decimals(summary);
    let value = |value: Option<f64>| value.map_or("\u{2013}".to_owned(), |value| number(value, decimals));
    let rank = |i: usize| summary.ranking.iter().position(|&ranked| ranked == i).map(|rank| (rank + 1).to_string());
    html! {
        section {
            h2 { "Cells" }
            p.note { "Mean of " code { (summary.metric) } " over n finished seeds with the half-width of its 95 % interval \
                      (Student's t, pooled over cells of independent luck); one seed has none. Every seed in order; a run without a value says what became of it." }
            @for axis in comparison.axes.iter().filter(|axis| !axis.also.is_empty()) {
                p.note { (axis.name) " stands for all that changes with it: " (axis.also.join(", ")) "." }
            }
            div.wide { table {
                thead { tr {
                    th { "rank" }
                    @for axis in &comparison.axes { th { (axis.name) } }
                    th.number { "n" } th.number { "mean" } th.number { "± 95 %" } th.number { "min" } th.number { "max" }
                    th { "every seed" }
                } }
                tbody {
                    @for (i, cell) in summary.by_rank() {
                        tr.best[summary.ranking.first() == Some(&i)] {
                            td { (rank(i).unwrap_or_else(|| "\u{2013}".to_owned())) }
                            @for (axis, value) in &cell.key.0 { td { (swatch(&palette, axis, value)) (value) } }
                            td.number { (cell.estimate.map_or(0, |estimate| estimate.n)) }
                            td.number { (value(cell.estimate.map(|estimate| estimate.mean))) }
                            td.number { (value(cell.estimate.and_then(|e| e.interval).map(|interval| interval.half_width()))) }
                            td.number { (value(cell.estimate.map(|estimate| estimate.min))) }
                            td.number { (value(cell.estimate.map(|estimate| estimate.max))) }
                            td { (every_seed(cell, decimals)) }
                        }
                    }
                }
            } }
        }
    }
}

/// Two digits of the typical interval, three decimals where there is none.
fn shared_decimals(summary: &Summary) -> usize {
    let mut widths =
        summary.cells.iter().filter_map(|cell| Some(cell.estimate?.interval?.half_width())).collect::<Vec<_>>();
    widths.sort_by(f64::total_cmp);
    widths.get(widths.len() / 2).map_or(3, |&width| decimals_for(width).max(2))
}

fn every_seed(cell: &CellSummary, decimals: usize) -> Markup {
    html! {
        @for outcome in &cell.outcomes {
            span.seed title={ "seed " (outcome.seed) } {
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

/// A small square in the colour that the value has in the figures.
fn swatch(palette: &Palette, axis: &str, value: &str) -> Markup {
    let colour = Colour::full(palette.ink(axis, value));
    let hex = |[r, g, b]: [u8; 3]| format!("#{r:02X}{g:02X}{b:02X}");
    let style = format!("--light:{};--dark:{}", hex(Theme::LIGHT.rgb(colour)), hex(Theme::DARK.rgb(colour)));
    html! { span.swatch style=(style) {} }
}

fn effects_table(title: &str, note: &str, effects: &[Effect]) -> Markup {
    if effects.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { (title) }
            p.note { (note) }
            div.wide { table {
                thead { tr {
                    th { "difference" } th.number { "mean ± 95 %" } th.number { "settings" }
                    th.number { "p (corrected)" } th { "verdict" }
                } }
                tbody {
                    @for effect in effects {
                        tr {
                            td { (effect.name()) }
                            td.number { (effect.size().unwrap_or_else(|| "\u{2013}".to_owned())) }
                            td.number { (effect.blocks()) }
                            td.number { (p(effect.adjusted_p)) }
                            td { (verdict(effect)) }
                        }
                    }
                }
            } }
        }
    }
}

fn p(p: Option<f64>) -> String {
    p.map_or("\u{2013}".to_owned(), |p| if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") })
}

fn importance_table(table: &Result<Importance, NoImportance>) -> Markup {
    let Ok(table) = table else { return html! {} };
    let has_rows = table.parts.iter().all(|part| part.row.is_some());
    let row = |part: &Part| {
        html! { tr {
            td { (part.name) }
            @if has_rows {
                td.number { (part.row.as_ref().map_or(0, |row| row.degrees)) }
                td.number { (part.row.as_ref().and_then(|row| row.f).map_or("\u{2013}".to_owned(), |f| number(f, 2))) }
            }
            td.number { (p(part.adjusted_p)) }
            td.number { (part.share_in_words()) }
            td { span class=(if part.is_clear() { "good" } else { "open" }) { (part.word()) } }
        } }
    };
    html! {
        section {
            h2 { "What matters" }
            p.note { (table.explanation()) " " (table.basis()) }
            div.wide { table {
                thead { tr {
                    th { "part" }
                    @if has_rows { th.number { "df" } th.number { "F" } }
                    th.number { "p (corrected)" } th.number { "share" } th { "verdict" }
                } }
                tbody { @for part in &table.parts { (row(part)) } }
            } }
        }
    }
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

fn runs_table(comparison: &Comparison) -> Markup {
    html! {
        section {
            h2 { "Runs" }
            p.note { "Any run can be repeated from its id: " code { "ablate reproduce RUN" } "." }
            div.wide { table.runs {
                thead { tr {
                    th { "run" } th { "state" }
                    @for axis in &comparison.axes { th { (axis.name) } }
                    th.number { "seed" } th.number { "parameters" } th.number { "tokens" } th.number { "seconds" }
                    th.number { (comparison.metric) } th { "spec" }
                } }
                tbody { @for run in &comparison.runs { (run_row(comparison, run)) } }
            } }
        }
    }
}

fn run_row(comparison: &Comparison, run: &RunData) -> Markup {
    let last = run.last(&comparison.metric);
    html! {
        tr {
            td { code { (run.id.as_ref().map_or("\u{2013}", RunId::as_str)) } }
            td {
                span.bad[!matches!(run.state, RunState::Finished | RunState::Running | RunState::Planned)] { (run.state) }
                @if let Some(reason) = &run.reason { ": " (reason) }
            }
            @for axis in &comparison.axes { td { (run.axis(&axis.name).unwrap_or("\u{2013}")) } }
            td.number { (run.seed) }
            td.number { (number(run.parameters as f64, 0)) }
            td.number { (si(run.tokens as f64)) }
            td.number { (number(run.elapsed_secs, 1)) }
            td.number {
                @match last {
                    Some(point) if run.state == RunState::Finished => (number(point.value, 4)),
                    Some(point) => { (number(point.value, 4)) " at step " (number(point.step as f64, 0)) },
                    None => "\u{2013}",
                }
            }
            td { @if let Some(spec) = run.spec { code title=(spec) { (spec.0.short()) } } @else { "\u{2013}" } }
        }
    }
}

fn provenance(lines: &[(String, String)]) -> Markup {
    html! {
        footer {
            @if !lines.is_empty() {
                h2 { "Provenance" }
                dl { @for (name, value) in lines { dt { (name) } dd { (value) } } }
            }
        }
    }
}

const STYLE: &str = "
:root{--ground:#fff;--text:#1a1a1a;--muted:#5c5f66;--line:#e3e5e8;--tint:#f4f6f8;--good:#0072b2;--bad:#b34700}
@media screen and (prefers-color-scheme:dark){:root{--ground:#16181c;--text:#e8e9eb;--muted:#9da2ab;--line:#2e3239;
--tint:#1e2127;--good:#4aa8e0;--bad:#f2843c}}
*{box-sizing:border-box}
body{font:15px/1.5 'DejaVu Sans',Helvetica,Arial,'Noto Sans KR',sans-serif;background:var(--ground);color:var(--text);
max-width:860px;margin:2.5rem auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .4rem}
h2{font-size:1.1rem;margin:2.6rem 0 .4rem}
.kind{color:var(--muted);margin:0;font-size:.85rem}
.question{font-size:1.05rem;color:var(--muted);margin:.2rem 0 1rem}
.answer{font-size:1.05rem;background:var(--tint);border-left:4px solid var(--good);padding:.7rem 1rem;margin:1rem 0}
.answer h2{font-size:.8rem;letter-spacing:.04em;text-transform:uppercase;color:var(--muted);margin:.9rem 0 .15rem}
.answer h2:first-child{margin-top:.1rem}
.answer p{margin:0 0 .5rem}.answer ul{margin:0 0 .5rem;padding-left:1.2rem}
.answer p:last-child{font-size:.9rem;color:var(--muted);margin:0}
.note,dd{color:var(--muted);font-size:.85rem}
dl{margin:.6rem 0}dt{font-size:.9rem}dd{margin:0 0 .4rem}
figure{margin:1.6rem 0;border:1px solid var(--line);border-radius:4px;overflow:hidden}
figure svg{display:block;width:100%;height:auto}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.8rem;width:100%;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:600;border-bottom:1.5px solid var(--muted);padding:.3rem .5rem;vertical-align:bottom}
td{border-bottom:1px solid var(--line);padding:.3rem .5rem;vertical-align:top}
.number{text-align:right;white-space:nowrap}
tr.best td{background:var(--tint);font-weight:600}
code{font:.95em 'DejaVu Sans Mono',Consolas,monospace}
.seed{white-space:nowrap;margin-right:.5em}
.bad{color:var(--bad)}.good{color:var(--good)}.open{color:var(--muted)}
.swatch{display:inline-block;width:.7em;height:.7em;border-radius:2px;margin-right:.4em;background:var(--light)}
@media screen and (prefers-color-scheme:dark){.swatch{background:var(--dark)}}
@media print{body{max-width:none;margin:0;font-size:10pt}figure,tr{break-inside:avoid}h2{break-after:avoid}
.wide{overflow:visible}table{font-size:7pt}.swatch,.answer,tr.best td{print-color-adjust:exact}}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::plot::charts::{Choice, standard_figures};

    fn page(comparison: &Comparison) -> String {
        let figures = standard_figures(comparison, &Choice::default());
        let provenance = [("commit".to_owned(), "0123abc".to_owned())];
        report_html(&Report { comparison, figures: &figures, provenance: &provenance }).unwrap()
    }

    #[test]
    fn the_page_holds_every_run_and_refers_to_nothing() {
        let comparison = fixture::sweep();
        let html = page(&comparison);
        assert!(html.contains("Variance among all runs: size 84 %") && html.contains("mask_ratio × nsp"));
        for part in [
            "What matters",
            "By how much",
            "What is best",
            "How sure",
            "23 of 24 runs finished, 1 failed",
            "failed after step 600",
        ] {
            assert!(html.contains(part), "{part}");
        }
        for figure in ["what matters for", "against parameters", "by pairs of axes"] {
            assert!(html.contains(figure), "{figure}");
        }
        for run in &comparison.runs {
            assert!(html.contains(run.id.as_ref().unwrap().as_str()) && html.contains(&run.spec.unwrap().0.short()));
        }
        assert!(html.contains("the loss was NaN at step 640") && html.contains("unigram entropy"));
        assert!(html.contains(&comparison.experiment) && html.contains("inconclusive"));
        for outside in ["href=", "src=", "url(", "@import", "<script", "<link"] {
            assert!(!html.contains(outside), "the page has {outside}");
        }
        assert_eq!(html, page(&comparison), "the same comparison gives the same bytes");
    }

    #[test]
    fn a_sweep_with_holes_says_why_it_has_no_importance() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
        let html = page(&comparison);
        assert!(html.contains("of the 8 combinations of the axis values the sweep has 6, and PED-ANOVA takes 8 cells"));
    }

    /// Figures and page depend on the runs alone: to the last byte.
    #[test]
    fn the_same_runs_give_the_same_bytes() {
        let comparison = fixture::sweep();
        let svgs = |comparison: &Comparison| {
            let figures = standard_figures(comparison, &Choice::default());
            figures.iter().map(|figure| render_svg(figure).unwrap()).collect::<Vec<_>>()
        };
        let first = svgs(&comparison);
        assert_eq!(first, svgs(&comparison.clone()));
        let axes = ["size", "mask", "nsp", "schedule"];
        let axes = axes.map(|name| fixture::axis(name, &["a", "b"], crate::analysis::AxisKind::Category)).to_vec();
        let four = fixture::sweep_over("four", axes, 2);
        let html = page(&four);
        assert!(html.contains("every cell to its") && html == page(&four), "parallel coordinates are in the report");
    }

    #[test]
    fn text_from_an_experiment_file_is_escaped() {
        let mut comparison = fixture::sweep();
        comparison.experiment = "<b>&\"bold\"</b>".to_owned();
        let html = page(&comparison);
        assert!(!html.contains("<b>&\"bold") && html.contains("&lt;b&gt;&amp;"));
    }
}
