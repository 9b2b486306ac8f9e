//! Parallel coordinates (Inselberg 1985): every cell a line through its axis values to its result, for more axes than
//! panels can show.

use super::curves::extent;
use super::encoding::{empty_panel, metric_label, names, seed_count};
use super::finals::quantity;
use super::positions::Positions;
use crate::analysis::{Axis, Comparison, Goal, strongest_axes, summarize};
use crate::plot::figure::{
    Colour, Dash, Figure, Ink, LegendItem, Mark, Owner, Panel, PlotAxis, Sample, Scale, Stroke, Tick,
};
use crate::plot::ticks::{linear_axis, number};

/// From this number of axes on, panels and dashes leave something out; more than the most are not legible.
const LEAST_AXES: usize = 4;
const MOST_AXES: usize = 8;
/// The letters of all names of axes on one line.
const LETTERS: usize = 78;
/// Where cells without a result end, below the axis of the metric.
const NO_RESULT: f64 = -0.13;
/// The colours, from worst to best.
const SHADES: u8 = 5;

/// The lines of all cells. Absent below four axes, and where no run has finished.
pub fn parallel_coordinates(comparison: &Comparison) -> Option<Figure> {
    let ranked = strongest_axes(comparison);
    if ranked.len() < LEAST_AXES {
        return None;
    }
    // The strongest stands next to the result.
    let (mut axes, left_out) =
        (ranked[..ranked.len().min(MOST_AXES)].to_vec(), ranked.get(MOST_AXES..).unwrap_or_default());
    axes.reverse();
    let summary = summarize(comparison);
    let mean = |i: usize| summary.cells[i].estimate.map(|estimate| estimate.mean);
    let (low, high) = extent((0..summary.cells.len()).filter_map(mean))?;
    let scale = linear_axis(String::new(), low, high, 5);
    let height = |value: f64| (value - scale.low) / (scale.high - scale.low);
    let places = axes.iter().map(|axis| Positions::of(axis)).collect::<Vec<_>>();
    let mut panel = empty_panel(String::new(), name_axis(comparison, &axes), hidden_axis());
    // The worst first, so that the best lie on top; those without a result before all.
    let mut order = (0..summary.cells.len()).filter(|i| !summary.ranking.contains(i)).collect::<Vec<_>>();
    order.extend(summary.ranking.iter().rev());
    let mut missing = 0;
    for i in order {
        let cell = &summary.cells[i];
        let points = axes.iter().zip(&places).enumerate().map(|(x, (axis, places))| {
            let place = cell.key.value(&axis.name).and_then(|value| axis.values.iter().position(|v| v == value));
            (x as f64, place.and_then(|place| places.share(place)).unwrap_or(NO_RESULT))
        });
        let mut points = points.collect::<Vec<_>>();
        points.push((axes.len() as f64, mean(i).map_or(NO_RESULT, height)));
        let (ink, dash) = match mean(i) {
            Some(mean) => (shade(goodness(comparison, mean, (low, high))), Dash::Solid),
            None => (Ink::Muted, Dash::Dotted),
        };
        let colour = Colour::full(ink);
        let end = points[points.len() - 1];
        let since = panel.so_far();
        let width = if summary.ranking.first() == Some(&i) { 2.2 } else { 0.9 };
        panel.marks.push(Mark::Line { points, stroke: Stroke { colour, width, dash } });
        if mean(i).is_none() {
            missing += 1;
            panel.marks.push(Mark::Cross { at: end, colour });
        }
        panel.give(since, Owner::cell(&cell.key));
    }
    draw_axes(&places, &scale, &mut panel);
    let counts = summary.cells.iter().filter_map(|cell| Some(cell.estimate?.n)).collect::<Vec<_>>();
    let mut caption = format!(
        "Lines: cells, ending at the mean of their finished seeds ({}); the best is bold. Axes from left to right: the \
         stronger, the nearer to the result.",
        seed_count(&counts)
    );
    if !left_out.is_empty() {
        caption += &format!(" Left out: {} weaker axes ({}).", left_out.len(), names(left_out));
    }
    Some(Figure {
        kind: "parallel",
        name: "parallel-coordinates".to_owned(),
        title: format!("{}: every cell to its {}", comparison.experiment, quantity(comparison)),
        subtitle: format!("The last axis is the {}.", metric_label(&comparison.metric)),
        legend: legend(comparison, (low, high), missing),
        caption,
        height: 320.0,
        columns: 1,
        panels: vec![panel],
    })
}

/// From 0 for the worst mean to 1 for the best.
fn goodness(comparison: &Comparison, mean: f64, (low, high): (f64, f64)) -> f64 {
    let share = if high > low { (mean - low) / (high - low) } else { 1.0 };
    if comparison.goal == Goal::Minimize && high > low { 1.0 - share } else { share }
}

fn shade(goodness: f64) -> Ink {
    Ink::Ramp { ramp: 0, index: (goodness * f64::from(SHADES - 1)).round() as u8, of: SHADES }
}

/// The colour bar from the worst to the best.
fn legend(comparison: &Comparison, (low, high): (f64, f64), missing: usize) -> Vec<LegendItem> {
    let (worst, best) = if comparison.goal == Goal::Minimize { (high, low) } else { (low, high) };
    let decimals = (2.0 - (high - low).max(1e-9).log10()).ceil().clamp(0.0, 6.0) as usize;
    let colours = (0..SHADES).map(|index| Colour::full(Ink::Ramp { ramp: 0, index, of: SHADES }));
    let mut items = vec![
        LegendItem::Heading(metric_label(&comparison.metric)),
        LegendItem::Entry {
            sample: Sample::Scale(colours.collect()),
            text: format!("{} (worst) to {} (best)", number(worst, decimals), number(best, decimals)),
        },
    ];
    if missing > 0 {
        let stroke = Stroke { colour: Colour::full(Ink::Muted), width: 0.9, dash: Dash::Dotted };
        items.push(LegendItem::Entry {
            sample: Sample::Line(stroke),
            text: format!("no run of the cell finished ({missing})"),
        });
    }
    items
}

/// The names of the axes below, on two lines where they are long, the metric's last.
fn name_axis(comparison: &Comparison, axes: &[&Axis]) -> PlotAxis {
    let names = axes.iter().map(|axis| axis.name.clone()).chain([quantity(comparison)]);
    let ticks =
        names.enumerate().map(|(i, text)| Tick { at: i as f64, text: in_lines(&text, LETTERS / (axes.len() + 1)) });
    let high = axes.len() as f64 + 0.45;
    PlotAxis { label: String::new(), scale: Scale::Linear, low: -0.3, high, ticks: ticks.collect(), grid: false }
}

/// A name broken behind underscores and spaces so that no line is longer than so many letters, if that can be.
fn in_lines(name: &str, letters: usize) -> String {
    let (mut text, mut used) = (String::new(), 0);
    for part in name.split_inclusive(['_', ' ']) {
        let length = part.trim_end().chars().count();
        if used > 0 && used + length > letters {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            used = 0;
        }
        text.push_str(part);
        used += part.chars().count();
    }
    text
}

fn hidden_axis() -> PlotAxis {
    PlotAxis { label: String::new(), scale: Scale::Linear, low: -0.2, high: 1.12, ticks: Vec::new(), grid: false }
}

/// The rulers and the values on them, over the lines.
fn draw_axes(places: &[Positions], scale: &PlotAxis, panel: &mut Panel) {
    let colour = Colour::full(Ink::Text);
    let ruler = |x: usize| {
        let points = vec![(x as f64, -0.1), (x as f64, 1.1)];
        Mark::Line { points, stroke: Stroke { colour: Colour::full(Ink::Muted), width: 0.8, dash: Dash::Solid } }
    };
    panel.marks.extend((0..=places.len()).map(ruler));
    for (x, places) in places.iter().enumerate() {
        let mut above = f64::NEG_INFINITY;
        for (share, text) in places.ticks_by_share() {
            // Two texts need a twentieth of the height between them.
            if share - above >= 0.05 {
                above = share;
                panel.marks.push(Mark::Note { at: (x as f64, share), text, colour });
            }
        }
    }
    for tick in &scale.ticks {
        let at = (places.len() as f64, (tick.at - scale.low) / (scale.high - scale.low));
        panel.marks.push(Mark::Note { at, text: tick.text.clone(), colour });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{AxisKind, RunState, fixture};

    fn four() -> Comparison {
        let axes = ["size", "mask", "nsp", "schedule"].map(|name| fixture::axis(name, &["a", "b"], AxisKind::Category));
        fixture::sweep_over("four", axes.to_vec(), 2)
    }

    #[test]
    fn every_cell_has_its_line_and_what_failed_ends_in_a_cross() {
        let mut comparison = four();
        comparison.runs.iter_mut().take(2).for_each(|run| run.state = RunState::Failed);
        let figure = parallel_coordinates(&comparison).unwrap();
        let count = |wanted: fn(&Mark) -> bool| figure.panels[0].marks.iter().filter(|mark| wanted(mark)).count();
        assert_eq!(count(|mark| matches!(mark, Mark::Line { .. })), 16 + 5, "cells and rulers");
        assert_eq!(count(|mark| matches!(mark, Mark::Cross { .. })), 1);
        let is_told =
            |item: &LegendItem| matches!(item, LegendItem::Entry { text, .. } if text.ends_with("finished (1)"));
        assert!(figure.legend.iter().any(is_told), "{:?}", figure.legend);
    }

    #[test]
    fn numbers_are_at_their_place_and_weak_axes_are_left_out() {
        let axes = (0..9).map(|i| {
            let values = if i == 8 { &["0.1", "0.2", "0.5"][..] } else { &["a", "b"][..] };
            fixture::axis(&format!("axis_{i}"), values, if i == 8 { AxisKind::Numeric } else { AxisKind::Category })
        });
        let mut comparison = fixture::sweep_over("nine", axes.collect(), 1);
        fixture::fill(&mut comparison, |run| {
            let of = |axis: &str| run.axis(axis).unwrap();
            of("axis_8").parse::<f64>().unwrap() + if of("axis_0") == "a" { 0.05 } else { 0.0 }
        });
        let figure = parallel_coordinates(&comparison).unwrap();
        assert!(figure.caption.contains("Left out: 1 weaker axes"), "{}", figure.caption);
        let names = figure.panels[0].x.ticks.iter().map(|tick| tick.text.replace('\n', "")).collect::<Vec<_>>();
        assert_eq!(names[6..8], ["axis_0", "axis_8"], "the strongest is next to the result");
        let heights = figure.panels[0].marks.iter().filter_map(|mark| match mark {
            Mark::Line { points, .. } if points.len() == 9 => Some(points[7].1),
            _ => None,
        });
        assert!(heights.clone().any(|y| (y - 0.25).abs() < 1e-9) && heights.clone().all(|y| y != 0.5));
    }

    #[test]
    fn a_long_name_has_lines() {
        assert_eq!(in_lines("num_hidden_layers", 12), "num_hidden_\nlayers");
        assert_eq!(in_lines("lr", 12), "lr");
    }

    #[test]
    fn three_axes_have_better_figures() {
        assert_eq!(parallel_coordinates(&fixture::sweep()), None);
    }
}
