//! The importance of axes: one bar for each part of the variance, with its interval and its verdict.

use super::encoding::{empty_panel, metric_label};
use super::finals::quantity;
use crate::analysis::{Comparison, Method, Part, importance};
use crate::plot::figure::{Colour, Dash, Figure, Ink, Label, Mark, PlotAxis, Scale, Stroke, Tick};
use crate::plot::ticks::linear_axis;

const ROW_PT: f64 = 17.0;
const BAR_PT: f64 = 8.0;

/// The shares of the variance, the greatest first and noise last. Absent where the runs are too few to say.
pub fn importance_bars(comparison: &Comparison) -> Option<Figure> {
    let table = importance(comparison).ok()?;
    let mut parts = table.parts.iter().filter(|part| part.share.is_some()).collect::<Vec<_>>();
    let share = |part: &Part| part.share.unwrap_or_default();
    parts.sort_by(|a, b| b.is_swept().cmp(&a.is_swept()).then(share(b).total_cmp(&share(a))));
    let high = parts.iter().map(|part| part.interval.map_or(share(part), |i| i.high)).fold(0.05, f64::max);
    let (label, rows_are) = match table.method {
        Method::Anova { .. } => {
            ("share of the variance among all runs (%)", "Each row: an axis, or what two axes do beyond their sum.")
        }
        Method::PedAnova { .. } => ("share of what sets the best quarter of the cells apart (%)", "Each row: an axis."),
    };
    let mut x = linear_axis(label, 0.0, 100.0 * high, 5);
    x.low = -0.012 * x.high;
    x.high *= 1.02;
    let mut panel = empty_panel(String::new(), x, rows(&parts));
    for (i, part) in parts.iter().enumerate() {
        let (y, ink) = (-(i as f64), if part.is_clear() { Ink::Category(0) } else { Ink::Muted });
        let (colour, at) = (Colour::full(ink), 100.0 * share(part));
        let bar = Stroke { colour: Colour::pale(ink), width: BAR_PT, dash: Dash::Solid };
        panel.marks.push(Mark::Line { points: vec![(0.0, y), (at, y)], stroke: bar });
        if let Some(interval) = part.interval {
            panel.marks.push(Mark::Span { y, low: 100.0 * interval.low, high: 100.0 * interval.high, colour });
        }
        panel.marks.push(Mark::Dot { at: (at, y), nudge: 0.0, radius: 2.9, colour, filled: part.is_clear() });
        let word = if part.word().is_empty() { String::new() } else { format!(": {}", part.word()) };
        panel.labels.push(Label { y, text: part.share_in_words() + &word, colour });
    }
    Some(Figure {
        kind: "importance",
        name: "importance".to_owned(),
        title: format!("{}: what matters for {}", comparison.experiment, quantity(comparison)),
        subtitle: format!("{rows_are} Metric: {}.", metric_label(&comparison.metric)),
        caption: format!("{} Hollow: not told apart from chance. {}", table.explanation(), table.basis()),
        height: 100.0 + ROW_PT * parts.len() as f64,
        columns: 1,
        panels: vec![panel],
    })
}

fn rows(parts: &[&Part]) -> PlotAxis {
    let ticks = parts.iter().enumerate().map(|(i, part)| Tick { at: -(i as f64), text: part.name.clone() });
    let low = 0.4 - parts.len() as f64;
    PlotAxis { label: String::new(), scale: Scale::Linear, low, high: 0.6, ticks: ticks.collect(), grid: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn the_greatest_comes_first_and_noise_last() {
        let figure = importance_bars(&fixture::sweep()).unwrap();
        let panel = &figure.panels[0];
        let rows =
            panel.y.ticks.iter().zip(&panel.labels).map(|(tick, label)| format!("{} | {}", tick.text, label.text));
        insta::assert_snapshot!(rows.collect::<Vec<_>>().join("\n"), @"
        size | 84 % (0.5 to 99 %): clear
        mask_ratio | 14 % (0 to 88 %): clear
        three axes and more | 0.1 % (0 to 1.4 %): not tested
        nsp | below 3.4 %: inconclusive
        size × mask_ratio | below 0.2 %: inconclusive
        size × nsp | below 1.5 %: inconclusive
        mask_ratio × nsp | below 2.0 %: inconclusive
        noise | 2.1 % (0.3 to 63 %)
        ");
    }

    #[test]
    fn a_sweep_with_holes_has_no_bars() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
        assert_eq!(importance_bars(&comparison), None);
    }
}
