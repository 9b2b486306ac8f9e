//! The final metric against what it costs: parameters or time.

use std::collections::BTreeMap;

use super::curves::{extent, height_for};
use super::encoding::{Choice, Encoding, Group, Samples, empty_panel, names};
use super::estimates::Estimates;
use super::finals::{add_floors, quantity, value_axis};
use crate::analysis::{Axis, Cell, CellKey, Comparison, RunData, strongest_axes};
use crate::plot::figure::{Figure, Mark, Owner, Panel, PlotAxis, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, log_axis};
use crate::types::MetricName;

/// An axis of model size changes the parameters by this ratio; what changes them less, such as a second output, does not.
const SIZE: f64 = 1.1;
/// Times over more than this ratio are told apart on a logarithmic axis only.
const WIDE: f64 = 6.0;

/// What the metric is drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abscissa {
    /// Trainable parameters, on a logarithmic axis; runs of one size are taken together.
    Parameters,
    /// Wall-clock time, each run at its own place.
    Seconds,
}

impl Abscissa {
    fn of(self, run: &RunData) -> f64 {
        match self {
            Self::Parameters => run.parameters as f64,
            Self::Seconds => run.elapsed_secs,
        }
    }

    fn axis(self, low: f64, high: f64) -> PlotAxis {
        match self {
            Self::Parameters => log_axis("parameters (log scale)", low, high),
            Self::Seconds if high > WIDE * low => log_axis("wall-clock time of training (s, log scale)", low, high),
            Self::Seconds => {
                let pad = 0.06 * (high - low).max(0.02 * high);
                linear_axis("wall-clock time of training (s)", (low - pad).max(0.0), high + pad, 5)
            }
        }
    }
}

/// The final metric against its cost. Absent where no run has finished, and for parameters where no axis changes the size of
/// the model.
pub fn outcome_against(comparison: &Comparison, abscissa: Abscissa, choice: &Choice) -> Option<Figure> {
    let finished = comparison.runs.iter().filter(|run| run.outcome(&comparison.metric).is_some());
    let (low, high) = extent(finished.map(|run| abscissa.of(run)).filter(|&x| x > 0.0))?;
    match abscissa {
        Abscissa::Parameters => by_size(comparison, choice, (low, high)),
        Abscissa::Seconds => by_time(comparison, choice, (low, high)),
    }
}

/// A line over the values of the strongest axis of model size, for each setting of the others; of drawn values, each cell.
fn by_size(comparison: &Comparison, choice: &Choice, (low, high): (f64, f64)) -> Option<Figure> {
    let size = size_axes(comparison).into_iter().next()?;
    let is_drawn = comparison.axes.iter().any(Axis::is_continuous);
    let taken = if is_drawn { &[][..] } else { &[size.name.as_str()][..] };
    let encoding = Encoding::new(comparison, choice, taken);
    let palette = Palette::of(&comparison.axes);
    let cells = comparison.cells();
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let groups = encoding.groups(&cells, &key, &palette).into_iter();
        (title, groups.map(|group| (points_of(size, &group, is_drawn), group)).collect::<Vec<_>>())
    });
    let panels = panels.collect::<Vec<_>>();
    let parts = panels.iter().flat_map(|(_, lines)| lines).flat_map(|(points, _)| points);
    let estimates = Estimates::of(comparison, &parts.map(|(_, keys)| keys.clone()).collect::<Vec<_>>());
    let y = value_axis(comparison, estimates.heights())?;
    let mut drawn = estimates.drawn.iter();
    let panels = panels.iter().map(|(title, lines)| {
        let mut panel = empty_panel(title.clone(), Abscissa::Parameters.axis(low, high), y.clone());
        add_floors(comparison, &mut panel);
        for (points, group) in lines {
            let means = points.iter().zip(drawn.by_ref().take(points.len()));
            let means = means.filter_map(|((x, _), one)| Some((*x, one.as_ref()?))).collect::<Vec<_>>();
            let stroke = Stroke { colour: group.colour(), width: 1.1, dash: group.dash };
            let since = panel.so_far();
            if !is_drawn && means.len() > 1 {
                let points = means.iter().map(|(x, one)| (*x, one.mean)).collect();
                panel.marks.push(Mark::Line { points, stroke });
            }
            panel.give(since, group.owner());
            means.iter().for_each(|(x, one)| one.draw(*x, (group.ink, group.filled()), &mut panel));
        }
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let caption = if is_drawn { estimates.caption("") } else { estimates.caption(&names(&encoding.rest)) };
    Some(figure(comparison, &encoding, &palette, ("parameters", "loss-by-parameters", "model size"), caption, panels))
}

/// For each size in order its parameters and the cells of it, as far as they have a result; of drawn values each cell alone.
fn points_of(size: &Axis, group: &Group<'_>, is_drawn: bool) -> Vec<(f64, Vec<CellKey>)> {
    let mut sizes = BTreeMap::<usize, (u64, Vec<CellKey>)>::new();
    for (i, cell) in group.cells.iter().enumerate() {
        let value = size.values.iter().position(|value| Some(value.as_str()) == cell.key.value(&size.name));
        let parameters = cell.runs.iter().map(|run| run.parameters).find(|&parameters| parameters > 0);
        let (Some(value), Some(parameters)) = (value, parameters) else { continue };
        let entry = sizes.entry(if is_drawn { i } else { value }).or_insert((0, Vec::new()));
        entry.0 += parameters;
        entry.1.push(cell.key.clone());
    }
    let mut points = sizes.into_values().map(|(sum, keys)| (sum as f64 / keys.len() as f64, keys)).collect::<Vec<_>>();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// Every run at its own time.
fn by_time(comparison: &Comparison, choice: &Choice, (low, high): (f64, f64)) -> Option<Figure> {
    let encoding = Encoding::new(comparison, choice, &[]);
    let palette = Palette::of(&comparison.axes);
    let cells = comparison.cells();
    let outcomes = cells.iter().flat_map(|cell| cell.outcomes(&comparison.metric).into_values());
    let y = value_axis(comparison, outcomes)?;
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let mut panel = empty_panel(title, Abscissa::Seconds.axis(low, high), y.clone());
        add_floors(comparison, &mut panel);
        for group in encoding.groups(&cells, &key, &palette) {
            let runs = group.cells.iter().flat_map(|cell| runs_of(cell, &comparison.metric));
            let (colour, filled) = (group.colour(), group.filled());
            for (run, at) in runs {
                let since = panel.so_far();
                panel.marks.push(Mark::Dot { at, radius: 2.4, colour, filled });
                panel.give(since, Owner::run(run));
            }
        }
        panel
    });
    let caption = "Each dot is one finished run. Time depends on the machine and on what else it did.".to_owned();
    let panels = panels.collect::<Vec<_>>();
    Some(figure(comparison, &encoding, &palette, ("time", "loss-by-time", "training time"), caption, panels))
}

fn figure(
    comparison: &Comparison,
    encoding: &Encoding<'_>,
    palette: &Palette,
    (kind, name, against): (&'static str, &str, &str),
    caption: String,
    panels: Vec<Panel>,
) -> Figure {
    Figure {
        kind,
        name: name.to_owned(),
        title: format!("{}: final {} by {against}", comparison.experiment, quantity(comparison)),
        subtitle: if kind == "time" && !encoding.is_drawn { String::new() } else { encoding.explanation() },
        legend: encoding.legend(palette, if kind == "time" { Samples::Dots } else { Samples::LinesAndDots }),
        caption,
        height: height_for(panels.len().div_ceil(encoding.columns())),
        columns: encoding.columns(),
        panels,
    }
}

/// The axes whose value changes the number of parameters a good deal where all others stay, the strongest first.
fn size_axes(comparison: &Comparison) -> Vec<&Axis> {
    let changes = |axis: &&Axis| {
        let mut by_rest = BTreeMap::<Vec<&str>, u64>::new();
        comparison.runs.iter().filter(|run| run.parameters > 0).any(|run| {
            let first = *by_rest.entry(others(comparison, axis, run)).or_insert(run.parameters);
            run.parameters.max(first) as f64 > SIZE * run.parameters.min(first) as f64
        })
    };
    let found = strongest_axes(comparison).into_iter().filter(changes).collect::<Vec<_>>();
    // Drawn values hardly ever match: there the number of parameters itself has to differ.
    let is_drawn = comparison.axes.iter().any(Axis::is_continuous);
    let (low, high) = extent(comparison.runs.iter().map(|run| run.parameters as f64)).unwrap_or_default();
    match &found[..] {
        [] if is_drawn && high > SIZE * low => strongest_axes(comparison).into_iter().take(1).collect(),
        _ => found,
    }
}

fn others<'a>(comparison: &'a Comparison, axis: &Axis, run: &'a RunData) -> Vec<&'a str> {
    let others = comparison.axes.iter().filter(|other| other.name != axis.name);
    others.map(|other| run.axis(&other.name).unwrap_or_default()).collect()
}

fn runs_of<'a>(cell: &Cell<'a>, metric: &MetricName) -> Vec<(&'a RunData, (f64, f64))> {
    let place = |run: &RunData| Some((run.elapsed_secs, run.outcome(metric)?)).filter(|(secs, _)| *secs > 0.0);
    cell.runs.iter().filter_map(|run| Some((*run, place(run)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn only_axes_that_change_the_size_are_on_the_size_axis() {
        let sizes = |comparison: &Comparison| {
            size_axes(comparison).into_iter().map(|axis| axis.name.clone()).collect::<Vec<_>>()
        };
        let mut comparison = fixture::sweep();
        assert_eq!(sizes(&comparison), ["size"]);
        // A second output adds a little to every size.
        let pairs = |run: &&mut RunData| run.axis("nsp") == Some("random");
        comparison.runs.iter_mut().filter(pairs).for_each(|run| run.parameters += 1_122);
        assert_eq!(sizes(&comparison), ["size"]);
    }

    #[test]
    fn no_line_turns_back() {
        let mut comparison = fixture::sweep();
        let pairs = |run: &&mut RunData| run.axis("nsp") == Some("random");
        comparison.runs.iter_mut().filter(pairs).for_each(|run| run.parameters += 1_122);
        let figure = outcome_against(&comparison, Abscissa::Parameters, &Choice::default()).unwrap();
        let lines = figure.panels.iter().flat_map(|panel| &panel.marks).filter_map(|mark| match mark {
            Mark::Line { points, .. } => Some(points),
            _ => None,
        });
        let lines = lines.collect::<Vec<_>>();
        assert_eq!(lines.len(), 2, "a line for each mask ratio");
        assert!(lines.iter().all(|points| points.len() == 2 && points[1].0 > 2.0 * points[0].0), "{lines:?}");
    }

    #[test]
    fn one_size_has_no_figure_over_sizes() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.parameters = 1_052_256);
        assert_eq!(outcome_against(&comparison, Abscissa::Parameters, &Choice::default()), None);
        assert!(outcome_against(&comparison, Abscissa::Seconds, &Choice::default()).is_some());
    }
}
