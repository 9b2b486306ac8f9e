//! Forest plots: one row for each paired difference, with its interval and its verdict in words.

use super::encoding::metric_label;
use super::finals::quantity;
use crate::analysis::{Comparison, Effect, Goal, Verdict, against_baseline, marginal_effects};
use crate::plot::figure::{Colour, Figure, Ink, Label, Mark, Owner, PlotAxis, Scale, Tick};
use crate::plot::ticks::{linear_axis, signed};

const ROW_PT: f64 = 10.0;
const LINE_PT: f64 = 9.5;
/// Characters of a row's name on one line.
const LINE_CHARS: usize = 30;
/// An interval longer than so many times the largest mean difference is cut off.
const LONGEST: f64 = 3.0;

/// The effect of each axis on the average over the others. Absent where no two matched runs have finished.
pub fn marginal_forest(comparison: &Comparison) -> Option<Figure> {
    let effects = marginal_effects(comparison);
    let title = format!("{}: what each axis does to {}", comparison.experiment, quantity(comparison));
    let subtitle = "Each row: mean difference between two values of an axis, over the settings of all others.";
    forest(comparison, &effects, "effects", title, subtitle)
}

/// Every cell against the baseline. Absent without a baseline.
pub fn baseline_forest(comparison: &Comparison) -> Option<Figure> {
    let effects = against_baseline(comparison);
    let baseline = effects.first()?.reference.clone();
    let title = format!("{}: every cell against the baseline", comparison.experiment);
    let subtitle = format!("Baseline: {baseline}. Rows name what differs from it.");
    forest(comparison, &effects, "against-baseline", title, &subtitle)
}

fn forest(comparison: &Comparison, effects: &[Effect], name: &str, title: String, subtitle: &str) -> Option<Figure> {
    let rows = effects.iter().filter(|effect| effect.difference.is_some()).collect::<Vec<_>>();
    let (x, is_cut) = difference_axis(comparison, &rows)?;
    let mut panel = super::encoding::empty_panel(String::new(), x, row_axis(&rows));
    panel.marks.push(Mark::Zero { x: 0.0 });
    for (i, effect) in rows.iter().enumerate() {
        let (y, colour) = (-(i as f64), verdict_colour(effect.verdict));
        let Some(mean) = effect.difference.map(|difference| difference.mean) else { continue };
        let since = panel.so_far();
        if let Some(interval) = effect.interval() {
            panel.marks.push(Mark::Span { y, low: interval.low, high: interval.high, colour });
        }
        let filled = effect.verdict != Verdict::Inconclusive;
        panel.marks.push(Mark::Dot { at: (mean, y), nudge: 0.0, radius: 2.9, colour, filled });
        panel.labels.push(Label { y, text: row_text(effect), colour });
        if let Some(axis) = &effect.axis {
            panel.give(since, Owner::Settings(vec![(axis.clone(), effect.treatment.clone())]));
        }
    }
    let better = if comparison.goal == Goal::Minimize { "left" } else { "right" };
    let mut caption = format!(
        "Bars: 95 % interval of the difference (Student's t, by the design of the seeds); better is {better}. Verdicts at \
         5 % over the whole report; hollow: inconclusive."
    );
    if rows.iter().any(|effect| effect.interval().is_none()) {
        caption += " Without a second seed there is no interval.";
    }
    if is_cut {
        caption += " A bar that reaches the frame goes on beyond it.";
    }
    let subtitle = subtitle.to_owned();
    let lines = panel.y.ticks.iter().map(|tick| tick.text.lines().count()).max().unwrap_or(1);
    let height = 100.0 + (ROW_PT + LINE_PT * lines as f64) * rows.len() as f64;
    Some(Figure {
        kind: "effects",
        name: name.to_owned(),
        title,
        subtitle,
        caption,
        height,
        columns: 1,
        panels: vec![panel],
    })
}

fn row_axis(rows: &[&Effect]) -> PlotAxis {
    let ticks = rows.iter().enumerate().map(|(i, effect)| Tick { at: -(i as f64), text: in_lines(&effect.name()) });
    let low = 0.4 - rows.len() as f64;
    PlotAxis { label: String::new(), scale: Scale::Linear, low, high: 0.6, ticks: ticks.collect(), grid: false }
}

/// A long name on several lines, broken between words.
fn in_lines(name: &str) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in name.split(' ') {
        let length = word.chars().count();
        if used > 0 {
            text.push(if used + 1 + length > LINE_CHARS { '\n' } else { ' ' });
            used = if used + 1 + length > LINE_CHARS { 0 } else { used + 1 };
        }
        text.push_str(word);
        used += length;
    }
    text
}

/// Room for zero, every mean and the intervals, as far as those are not absurdly long.
fn difference_axis(comparison: &Comparison, rows: &[&Effect]) -> Option<(PlotAxis, bool)> {
    let means = rows.iter().filter_map(|effect| Some(effect.difference?.mean)).collect::<Vec<_>>();
    let largest = means.iter().map(|mean| mean.abs()).reduce(f64::max)?.max(1e-9);
    let ends = rows.iter().filter_map(|effect| effect.interval()).flat_map(|interval| [interval.low, interval.high]);
    let ends = ends.chain(means).chain([0.0]).collect::<Vec<_>>();
    let limit = LONGEST * largest;
    let is_cut = ends.iter().any(|end| end.abs() > limit);
    let (low, high) = super::curves::extent(ends.into_iter().map(|end| end.clamp(-limit, limit)))?;
    let pad = 0.06 * (high - low).max(1e-9);
    let label = format!("difference in {}", metric_label(&comparison.metric));
    let mut axis = linear_axis(label, low - pad, high + pad, 5);
    for tick in &mut axis.ticks {
        let decimals = tick.text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        tick.text = if tick.at.abs() < 1e-12 { "0".to_owned() } else { signed(tick.at, decimals) };
    }
    Some((axis, is_cut))
}

/// `−0.123 ± 0.040: better`.
fn row_text(effect: &Effect) -> String {
    format!("{}: {}", effect.size().unwrap_or_default(), effect.word())
}

fn verdict_colour(verdict: Verdict) -> Colour {
    Colour::full(match verdict {
        Verdict::Better => Ink::Category(0),
        Verdict::Worse => Ink::Category(1),
        Verdict::Negligible | Verdict::Inconclusive => Ink::Muted,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    fn texts(figure: &Figure) -> String {
        let panel = &figure.panels[0];
        let rows =
            panel.y.ticks.iter().zip(&panel.labels).map(|(tick, label)| format!("{} | {}", tick.text, label.text));
        rows.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn inconclusive_is_said() {
        let figure = marginal_forest(&fixture::sweep()).unwrap();
        insta::assert_snapshot!(texts(&figure), @"
        size: mini − tiny | −0.217 ± 0.023: better
        mask_ratio: 0.30 − 0.15 | −0.092 ± 0.031: better
        nsp: random − off | +0.012 ± 0.030: inconclusive
        ");
    }

    #[test]
    fn rows_against_the_baseline_name_what_differs() {
        let figure = baseline_forest(&fixture::sweep()).unwrap();
        insta::assert_snapshot!(texts(&figure), @"
        nsp=random | −0.002 ± 0.025: inconclusive
        mask_ratio=0.30 | −0.108 ± 0.033: better by mask_ratio
        mask_ratio=0.30 nsp=random | −0.078 ± 0.064: inconclusive
        size=mini | −0.225 ± 0.042: better by size
        size=mini nsp=random | −0.219 ± 0.041: inconclusive
        size=mini mask_ratio=0.30 | −0.316 ± 0.072: better by size, mask_ratio
        size=mini mask_ratio=0.30
        nsp=random | −0.312 ± 0.22: inconclusive
        ");
    }
}
