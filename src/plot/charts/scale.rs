//! The final metric over an axis whose values are a scale: drawn values, each with its own place.

use super::curves::extent;
use super::encoding::{empty_panel, names, seed_count};
use super::finals::{add_floors, missing_in_words, quantity, value_axis};
use crate::analysis::{Axis, Comparison, Means};
use crate::plot::figure::{Colour, Figure, HEIGHT_PT, Ink, Mark, Owner, PlotAxis};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, log_axis};

/// Values over more than this ratio are told apart on a logarithmic axis only.
const WIDE: f64 = 20.0;

/// Every cell at its value of `axis`. Absent where no run has finished. All other axes vary freely below the dots, so
/// that the figure shows association; one other axis, with few values, is the colour.
pub fn final_over_scale(comparison: &Comparison, axis: &Axis) -> Option<Figure> {
    let cells = comparison.cells();
    let outcomes = cells.iter().flat_map(|cell| cell.outcomes(&comparison.metric).into_values());
    let (y, is_cut) = value_axis(comparison, outcomes)?;
    let place = |value: &str| value.parse::<f64>().ok().filter(|place| place.is_finite());
    let (low, high) = extent(axis.values.iter().filter_map(|value| place(value)))?;
    let colour_axis = comparison.axes.iter().find(|other| other.values.len() > 1 && !other.is_continuous());
    let palette = Palette::of(&comparison.axes);
    let mut panel = empty_panel(String::new(), scale_axis(axis, low, high), y);
    add_floors(comparison, &mut panel);
    let (mut counts, mut missing, mut elsewhere) = (Vec::new(), 0, 0);
    let worse = if comparison.goal.prefers(0.0, 1.0) { panel.y.high } else { panel.y.low };
    let means = Means::of(comparison);
    for cell in &cells {
        let value = |axis: &Axis| cell.key.value(&axis.name).map(str::to_owned);
        let Some(x) = value(axis).and_then(|value| place(&value)) else {
            elsewhere += 1;
            continue;
        };
        let ink = colour_axis.and_then(|axis| Some(palette.ink(&axis.name, &value(axis)?))).unwrap_or(Ink::Category(0));
        let values = cell.outcomes(&comparison.metric).into_values().collect::<Vec<_>>();
        missing += cell.runs.len() - values.len();
        let Some(estimate) = means.of_cell(&cell.key) else {
            panel.marks.push(Mark::Cross { at: (x, worse), colour: Colour::full(ink) });
            continue;
        };
        counts.push(estimate.n);
        let since = panel.so_far();
        super::finals::draw_estimate((ink, true), x, &values, &estimate, true, &mut panel);
        panel.give(since, Owner::cell(&cell.key));
    }
    let others = comparison.axes.iter().filter(|other| other.name != axis.name && other.values.len() > 1);
    let others = others.collect::<Vec<_>>();
    let mut caption =
        format!("Each dot: a cell, mean over {}; bars: 95 % interval (Student's t).", seed_count(&counts));
    if !others.is_empty() {
        caption += &format!(" {} vary from dot to dot: the figure shows association.", names(&others));
    }
    if elsewhere > 0 {
        caption += &format!(" Cells without {}: {elsewhere}, not drawn.", axis.name);
    }
    if is_cut {
        caption += " A bar that reaches the frame goes on beyond it.";
    }
    let colours = colour_axis.map(|axis| {
        let values = axis
            .values
            .iter()
            .enumerate()
            .map(|(i, value)| if i == 0 { format!("{value} first") } else { value.clone() });
        format!("Colour: {} ({}).", axis.name, values.collect::<Vec<_>>().join(", "))
    });
    Some(Figure {
        kind: "axes",
        name: format!("final-by-{}", axis.name),
        title: format!("{}: final {} over {}", comparison.experiment, quantity(comparison), axis.name),
        subtitle: colours.unwrap_or_default(),
        caption: caption + &missing_in_words(missing),
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

pub(super) fn scale_axis(axis: &Axis, low: f64, high: f64) -> PlotAxis {
    if low > 0.0 && high > WIDE * low {
        let mut scale = log_axis(format!("{} (log scale)", axis.name), low, high);
        scale.ticks.iter_mut().filter(|tick| tick.at < 1.0).for_each(|tick| tick.text = format!("{}", tick.at));
        scale.ticks.iter_mut().filter(|tick| tick.at < 1e-3).for_each(|tick| {
            tick.text = format!("{:.0e}", tick.at).replace('-', "\u{2212}");
        });
        return scale;
    }
    let pad = 0.04 * (high - low);
    linear_axis(axis.name.clone(), low - pad, high + pad, 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{AxisKind, RunState, fixture};

    fn drawn(values: usize) -> Comparison {
        let values = (1..=values).map(|i| format!("{:e}", 1e-5 * 1.5_f64.powi(i as i32))).collect::<Vec<_>>();
        let values = values.iter().map(String::as_str).collect::<Vec<_>>();
        let axes = vec![
            fixture::axis("nsp", &["off", "random"], AxisKind::Category),
            fixture::axis("lr", &values, AxisKind::Numeric),
        ];
        fixture::sweep_over("drawn", axes, 1)
    }

    #[test]
    fn every_cell_has_its_place_on_the_scale() {
        let mut comparison = drawn(12);
        comparison.runs[3].state = RunState::Failed;
        let figure = final_over_scale(&comparison, &comparison.axes[1]).unwrap();
        let count = |wanted: fn(&Mark) -> bool| figure.panels[0].marks.iter().filter(|mark| wanted(mark)).count();
        assert_eq!(count(|mark| matches!(mark, Mark::Dot { .. })), 22, "{}", figure.caption);
        assert_eq!(count(|mark| matches!(mark, Mark::Cross { .. })), 2);
        let ticks = figure.panels[0].x.ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>();
        assert!(ticks.contains(&"2e\u{2212}5") && ticks.contains(&"0.001"), "{ticks:?}");
    }

    #[test]
    fn a_random_sweep_has_readable_figures() {
        let mut comparison = drawn(40);
        let place = |run: &crate::analysis::RunData| {
            comparison.axes[1].values.iter().position(|value| Some(value.as_str()) == run.axis("lr")).unwrap()
        };
        let is_kept = |run: &crate::analysis::RunData| (run.axis("nsp") == Some("off")) == place(run).is_multiple_of(2);
        let kept = comparison.runs.iter().filter(|run| is_kept(run)).cloned().collect();
        (comparison.runs, comparison.baseline) = (kept, None);
        for figure in super::super::standard_figures(&comparison, &Default::default()) {
            let most = figure.panels.iter().map(|panel| panel.x.ticks.len().max(panel.labels.len())).max();
            assert!(figure.panels.len() <= 6 && most <= Some(12), "{}: {most:?}", figure.name);
        }
    }
}
