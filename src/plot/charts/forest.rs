//! Forest plots: one row for each paired difference, with its interval and its verdict in words.

use super::encoding::metric_label;
use super::finals::quantity;
use crate::analysis::statistics::Interval;
use crate::analysis::{Comparison, Effect, Goal, Verdict, against_baseline, marginal_effects, strongest_axes};
use crate::plot::figure::{Colour, Figure, Ink, Label, LegendItem, Mark, Owner, PlotAxis, Sample, Scale, Tick};
use crate::plot::ticks::{linear_axis, signed};

const ROW_PT: f64 = 6.0;
const LINE_PT: f64 = 9.4;
/// Characters of a row's name on one line.
const LINE_CHARS: usize = 34;
/// An interval longer than so many times the range of the means and 0 is left out: it would flatten all others.
const LONGEST: f64 = 5.0;
/// The most cells that are drawn against the baseline.
const MOST_ROWS: usize = 32;

/// The effect of each axis on the average over the others. Absent where no two matched runs have finished.
pub fn marginal_forest(comparison: &Comparison) -> Option<Figure> {
    let effects = marginal_effects(comparison);
    let title = format!("{}: what each axis does to {}", comparison.experiment, quantity(comparison));
    let subtitle = "Each row: mean difference between two values of an axis, over the settings of all others.";
    let effects = by_strength(comparison, effects);
    forest(comparison, &effects, "effects", title, subtitle)
}

/// Every cell against the baseline. Absent without a baseline.
pub fn baseline_forest(comparison: &Comparison) -> Option<Figure> {
    let effects = against_baseline(comparison);
    let baseline = effects.first()?.reference.clone();
    let title = format!("{}: every cell against the baseline", comparison.experiment);
    let mut subtitle = format!("Baseline: {baseline}. Rows name what differs from it, the best first.");
    let mut effects = effects.into_iter().filter(|effect| effect.difference.is_some()).collect::<Vec<_>>();
    let mean = |effect: &Effect| effect.difference.map_or(0.0, |difference| difference.mean);
    effects.sort_by(|a, b| match comparison.goal {
        Goal::Minimize => mean(a).total_cmp(&mean(b)),
        Goal::Maximize => mean(b).total_cmp(&mean(a)),
    });
    if effects.len() > MOST_ROWS {
        subtitle += &format!(" Left out: the {} in the middle.", effects.len() - MOST_ROWS);
        effects.drain(MOST_ROWS / 2..effects.len() - MOST_ROWS / 2);
    }
    forest(comparison, &effects, "against-baseline", title, &subtitle)
}

fn forest(comparison: &Comparison, effects: &[Effect], name: &str, title: String, subtitle: &str) -> Option<Figure> {
    let rows = effects.iter().filter(|effect| effect.difference.is_some()).collect::<Vec<_>>();
    let limit = LONGEST * range_of_means(&rows)?;
    let interval = |effect: &Effect| effect.interval().filter(|interval| interval.high - interval.low <= limit);
    let x = difference_axis(comparison, &rows, &interval)?;
    let mut panel = super::encoding::empty_panel(String::new(), x, row_axis(&rows));
    panel.marks.push(Mark::Zero { x: 0.0 });
    for (i, effect) in rows.iter().enumerate() {
        let (y, colour) = (-(i as f64), verdict_colour(effect.verdict));
        let Some(mean) = effect.difference.map(|difference| difference.mean) else { continue };
        let since = panel.so_far();
        if let Some(interval) = interval(effect) {
            panel.marks.push(Mark::Span { y, low: interval.low, high: interval.high, colour });
        }
        let filled = effect.verdict != Verdict::Inconclusive;
        panel.marks.push(Mark::Dot { at: (mean, y), radius: 2.9, colour, filled });
        panel.labels.push(Label { at: (panel.x.high, y), text: row_text(effect), colour });
        if let Some(axis) = &effect.axis {
            panel.give(since, Owner::Settings(vec![(axis.clone(), effect.treatment.clone())]));
        }
    }
    let mut caption = String::new();
    if rows.iter().any(|effect| interval(effect).is_some()) {
        caption += "Bars: 95 % interval of the difference (Student's t, by the design of the seeds). Verdicts at 5 % over \
                    the whole report.";
    }
    if rows.iter().any(|effect| effect.interval().is_none()) {
        caption += " Without a second seed there is no interval.";
    }
    let omitted = rows.iter().filter(|effect| effect.interval().is_some() && interval(effect).is_none()).count();
    if omitted > 0 {
        caption += &format!(" Rows without a bar: their intervals are longer than the picture ({omitted}).");
    }
    let is_beside_zero = |effect: &Effect| effect.interval().is_some_and(|interval| !interval.contains(0.0));
    if rows.iter().any(|effect| effect.verdict == Verdict::Inconclusive && is_beside_zero(effect)) {
        caption += " A bar is of its row alone: of so many rows, one that leaves out 0 may still be chance.";
    }
    if rows.iter().any(|effect| !effect.by_axes.is_empty() && !is_beside_zero(effect)) {
        caption += " \u{201c}By\u{201d} an axis: its effect says so, not the cell's own runs.";
    }
    let caption = caption.trim_start().to_owned();
    let subtitle = subtitle.to_owned();
    let lines = panel.y.ticks.iter().map(|tick| tick.text.lines().count()).max().unwrap_or(1);
    let height = 100.0 + (ROW_PT + LINE_PT * lines as f64) * rows.len() as f64;
    Some(Figure {
        kind: "effects",
        name: name.to_owned(),
        title,
        subtitle,
        legend: verdicts_in_legend(&rows),
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

/// The effects of the strongest axis first, those of one axis in their order.
fn by_strength(comparison: &Comparison, mut effects: Vec<Effect>) -> Vec<Effect> {
    let ranked = strongest_axes(comparison);
    effects.sort_by_key(|effect| ranked.iter().position(|axis| Some(&axis.name) == effect.axis.as_ref()));
    effects
}

/// From the least of the means and 0 to the greatest; absent without rows.
fn range_of_means(rows: &[&Effect]) -> Option<f64> {
    let means = rows.iter().filter_map(|effect| Some(effect.difference?.mean)).collect::<Vec<_>>();
    if means.is_empty() {
        return None;
    }
    let (low, high) = super::curves::extent(means.into_iter().chain([0.0]))?;
    Some((high - low).max(1e-9))
}

/// Room for zero, every mean and every interval that is drawn; the label says where better is.
fn difference_axis(
    comparison: &Comparison,
    rows: &[&Effect],
    interval: &dyn Fn(&Effect) -> Option<Interval>,
) -> Option<PlotAxis> {
    let means = rows.iter().filter_map(|effect| Some(effect.difference?.mean));
    let ends = rows.iter().filter_map(|effect| interval(effect)).flat_map(|interval| [interval.low, interval.high]);
    let (low, high) = super::curves::extent(ends.chain(means).chain([0.0]))?;
    let pad = 0.05 * (high - low).max(1e-9);
    let quantity = metric_label(&comparison.metric);
    let label = match comparison.goal {
        Goal::Minimize => format!("\u{2190} better     difference in {quantity}     worse \u{2192}"),
        Goal::Maximize => format!("\u{2190} worse     difference in {quantity}     better \u{2192}"),
    };
    let mut axis = linear_axis(label, low - pad, high + pad, 5);
    for tick in &mut axis.ticks {
        let decimals = tick.text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        tick.text = if tick.at.abs() < 1e-12 { "0".to_owned() } else { signed(tick.at, decimals) };
    }
    Some(axis)
}

/// What the colours of the rows mean.
fn verdicts_in_legend(rows: &[&Effect]) -> Vec<LegendItem> {
    let verdicts = [Verdict::Better, Verdict::Worse, Verdict::Negligible, Verdict::Inconclusive];
    let found = verdicts.into_iter().filter(|verdict| rows.iter().any(|effect| effect.verdict == *verdict));
    let entry = |verdict: Verdict| {
        let (colour, filled) = (verdict_colour(verdict), verdict != Verdict::Inconclusive);
        LegendItem::Entry { sample: Sample::Dot { colour, filled }, text: verdict.word().to_owned() }
    };
    found.map(entry).collect()
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
        size=mini mask_ratio=0.30 | −0.316 ± 0.072: better by size, mask_ratio
        size=mini mask_ratio=0.30
        nsp=random | −0.312 ± 0.22: inconclusive
        size=mini | −0.225 ± 0.042: better by size
        size=mini nsp=random | −0.219 ± 0.041: inconclusive
        mask_ratio=0.30 | −0.108 ± 0.033: better by mask_ratio
        mask_ratio=0.30 nsp=random | −0.078 ± 0.064: inconclusive
        nsp=random | −0.002 ± 0.025: inconclusive
        ");
    }
}
