//! Parallel coordinates (Inselberg 1985): every cell a line through its axis values to its result, for more axes than
//! panels can show.

use super::curves::extent;
use super::encoding::{empty_panel, metric_label, seed_count};
use super::finals::quantity;
use crate::analysis::{CellSummary, Comparison, Summary, summarize};
use crate::plot::figure::{Colour, Dash, Figure, Ink, Mark, Owner, Panel, PlotAxis, Scale, Stroke, Tick};
use crate::plot::ticks::linear_axis;

/// From this number of axes on, panels and dashes leave something out.
const LEAST_AXES: usize = 4;
/// Lines of one axis value stand so far apart, in order of their result, as a share of the axis.
const FAN: f64 = 0.16;
/// Where cells without a result end, below the axis of the metric.
const NO_RESULT: f64 = -0.13;
/// The colours, from best to worst.
const SHADES: u8 = 5;

/// The lines of all cells. Absent below four axes, and where no run has finished.
pub fn parallel_coordinates(comparison: &Comparison) -> Option<Figure> {
    let axes = comparison.axes.iter().filter(|axis| axis.values.len() > 1).collect::<Vec<_>>();
    if axes.len() < LEAST_AXES {
        return None;
    }
    let summary = summarize(comparison);
    let value = |cell: &CellSummary| cell.estimate.map(|estimate| estimate.mean);
    let (low, high) = extent(summary.cells.iter().filter_map(value))?;
    let scale = linear_axis(String::new(), low, high, 5);
    let height = |value: f64| (value - scale.low) / (scale.high - scale.low);
    let mut panel = empty_panel(String::new(), name_axis(comparison, &axes), hidden_axis());
    // The worst first, so that the best lie on top; those without a result before all.
    let mut order = (0..summary.cells.len()).filter(|i| !summary.ranking.contains(i)).collect::<Vec<_>>();
    order.extend(summary.ranking.iter().rev());
    let mut missing = 0;
    for i in order {
        let cell = &summary.cells[i];
        let rank = summary.ranking.iter().position(|&ranked| ranked == i);
        let share = rank.map_or(1.0, |rank| rank as f64 / (summary.ranking.len().max(2) - 1) as f64);
        let points = axes.iter().enumerate().map(|(x, axis)| {
            let place = cell.key.value(&axis.name).and_then(|value| axis.values.iter().position(|v| v == value));
            let at = place.map_or(NO_RESULT, |place| place as f64 / (axis.values.len() - 1) as f64);
            let fan = if axis.is_continuous() { 0.0 } else { FAN };
            (x as f64, at + fan * (place_in_fan(&summary, i, &axis.name) - 0.5))
        });
        let mut points = points.collect::<Vec<_>>();
        points.push((axes.len() as f64, value(cell).map_or(NO_RESULT, height)));
        let shade = (share * f64::from(SHADES - 1)).round() as u8;
        let (ink, dash) = match rank {
            Some(_) => (Ink::Ramp { ramp: 0, index: SHADES - 1 - shade, of: SHADES }, Dash::Solid),
            None => (Ink::Muted, Dash::Dotted),
        };
        let colour = Colour::full(ink);
        let end = points[points.len() - 1];
        let since = panel.so_far();
        let width = if rank == Some(0) { 2.2 } else { 0.9 };
        panel.marks.push(Mark::Line { points, stroke: Stroke { colour, width, dash } });
        if rank.is_none() {
            missing += 1;
            panel.marks.push(Mark::Cross { at: end, colour });
        }
        panel.give(since, Owner::cell(&cell.key));
    }
    draw_axes(&axes, &scale, &mut panel);
    let counts = summary.cells.iter().filter_map(|cell| Some(cell.estimate?.n)).collect::<Vec<_>>();
    let mut caption = format!(
        "Lines: cells, ending at the mean of their finished seeds ({}); dark is better, the best is bold. Lines of one \
         value are spread in the order of their result.",
        seed_count(&counts)
    );
    if missing > 0 {
        caption += &format!(" Dotted, with a cross: no run of the cell finished ({missing}).");
    }
    Some(Figure {
        kind: "parallel",
        name: "parallel-coordinates".to_owned(),
        title: format!("{}: every cell to its {}", comparison.experiment, quantity(comparison)),
        subtitle: format!("The last axis is the {}.", metric_label(&comparison.metric)),
        caption,
        height: 320.0,
        columns: 1,
        panels: vec![panel],
    })
}

/// Where the line of cell `i` lies among those that share its value of `axis`, from 0 to 1; a good result is low.
fn place_in_fan(summary: &Summary, i: usize, axis: &str) -> f64 {
    let same = |j: &&usize| summary.cells[**j].key.value(axis) == summary.cells[i].key.value(axis);
    let fan = summary.ranking.iter().filter(same).collect::<Vec<_>>();
    let place = fan.iter().position(|&&j| j == i).unwrap_or(fan.len());
    place as f64 / fan.len().saturating_sub(1).max(1) as f64
}

/// The names of the axes below, the metric's last.
fn name_axis(comparison: &Comparison, axes: &[&crate::analysis::Axis]) -> PlotAxis {
    let names = axes.iter().map(|axis| axis.name.clone()).chain([quantity(comparison)]);
    let ticks = names.enumerate().map(|(i, text)| Tick { at: i as f64, text }).collect();
    let high = axes.len() as f64 + 0.45;
    PlotAxis { label: String::new(), scale: Scale::Linear, low: -0.3, high, ticks, grid: false }
}

fn hidden_axis() -> PlotAxis {
    PlotAxis { label: String::new(), scale: Scale::Linear, low: -0.2, high: 1.12, ticks: Vec::new(), grid: false }
}

/// The rulers and the values on them, over the lines.
fn draw_axes(axes: &[&crate::analysis::Axis], scale: &PlotAxis, panel: &mut Panel) {
    let colour = Colour::full(Ink::Text);
    let ruler = |x: usize| {
        let points = vec![(x as f64, -0.1), (x as f64, 1.1)];
        Mark::Line { points, stroke: Stroke { colour: Colour::full(Ink::Muted), width: 0.8, dash: Dash::Solid } }
    };
    panel.marks.extend((0..=axes.len()).map(ruler));
    for (x, axis) in axes.iter().enumerate() {
        let last = axis.values.len() - 1;
        let is_noted = |i: usize| !axis.is_continuous() || [0, last / 2, last].contains(&i);
        for (i, value) in axis.values.iter().enumerate().filter(|(i, _)| is_noted(*i)) {
            let at = (x as f64, i as f64 / (axis.values.len() - 1) as f64);
            panel.marks.push(Mark::Note { at, text: value.clone(), colour });
        }
    }
    for tick in &scale.ticks {
        let at = (axes.len() as f64, (tick.at - scale.low) / (scale.high - scale.low));
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
        assert!(figure.caption.ends_with("no run of the cell finished (1)."), "{}", figure.caption);
    }

    #[test]
    fn three_axes_have_better_figures() {
        assert_eq!(parallel_coordinates(&fixture::sweep()), None);
    }
}
