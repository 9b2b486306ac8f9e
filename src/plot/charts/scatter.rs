//! The final metric against what it costs: parameters or time.

use std::collections::BTreeMap;

use super::curves::{extent, height_for};
use super::encoding::{Choice, Encoding, Group, empty_panel, metric_label, names};
use super::finals::{add_floors, caption, draw_estimate, quantity, value_axis};
use crate::analysis::statistics::{Estimate, mean};
use crate::analysis::{Axis, Cell, Comparison, RunData};
use crate::plot::figure::{Figure, Label, Mark, Owner, Panel, PlotAxis, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, log_axis};
use crate::types::MetricName;

/// How far apart the groups of one size stand, as a share of the axis.
const DODGE: f64 = 0.022;

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
            Self::Seconds => {
                let pad = 0.06 * (high - low).max(0.02 * high);
                linear_axis("wall-clock time (s)", (low - pad).max(0.0), high + pad, 5)
            }
        }
    }
}

/// The final metric of every finished run against its cost. Absent where no run has finished, and for parameters where
/// all models have one size.
pub fn outcome_against(comparison: &Comparison, abscissa: Abscissa, choice: &Choice) -> Option<Figure> {
    let finished = comparison.runs.iter().filter(|run| run.outcome(&comparison.metric).is_some());
    let (low, high) = extent(finished.map(|run| abscissa.of(run)).filter(|&x| x > 0.0))?;
    if abscissa == Abscissa::Parameters && low == high {
        return None;
    }
    let sizes = size_axes(comparison);
    let taken = if abscissa == Abscissa::Parameters { &sizes[..] } else { &[] };
    let encoding = Encoding::new(comparison, choice, taken);
    let palette = Palette::of(&comparison.axes);
    let cells = comparison.cells();
    let outcomes = cells.iter().flat_map(|cell| cell.outcomes(&comparison.metric).into_values());
    let (y, is_cut) = match abscissa {
        Abscissa::Parameters => value_axis(comparison, outcomes)?,
        Abscissa::Seconds => (run_axis(comparison, outcomes)?, false),
    };
    let mut counts = Vec::new();
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let mut panel = empty_panel(title, abscissa.axis(low, high), y.clone());
        add_floors(comparison, &mut panel);
        let groups = encoding.groups(&cells, &key, &palette);
        for (i, group) in groups.iter().enumerate() {
            match abscissa {
                Abscissa::Parameters => {
                    let aside = (high / low).powf(DODGE * (i as f64 - (groups.len() - 1) as f64 / 2.0));
                    counts.extend(by_size(comparison, group, aside, encoding.rest.is_empty(), &mut panel));
                }
                Abscissa::Seconds => by_run(comparison, group, &mut panel),
            }
        }
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let rows = panels.len().div_ceil(encoding.columns());
    let (kind, name, against) = match abscissa {
        Abscissa::Parameters => ("parameters", "loss-by-parameters", "model size"),
        Abscissa::Seconds => ("time", "loss-by-time", "training time"),
    };
    let caption = match abscissa {
        Abscissa::Parameters => caption(encoding.rest.is_empty(), &counts, is_cut, &names(&encoding.rest)),
        Abscissa::Seconds => {
            "Each dot is one finished run; labels stand at the mean of their runs. Time depends on the \
                              machine and on what else it did."
                .to_owned()
        }
    };
    Some(Figure {
        kind,
        name: name.to_owned(),
        title: format!("{}: final {} by {against}", comparison.experiment, quantity(comparison)),
        subtitle: dots_instead_of_lines(encoding.explanation(), abscissa),
        caption,
        height: height_for(rows),
        columns: encoding.columns(),
        panels,
    })
}

/// Where there are no lines, the dash axis is told by open and full dots.
fn dots_instead_of_lines(explanation: String, abscissa: Abscissa) -> String {
    match abscissa {
        Abscissa::Parameters => explanation,
        Abscissa::Seconds => explanation
            .replace("Line:", "Dots:")
            .replace(" solid", " full")
            .replace(" dashed", " open")
            .replace(" dotted", " open"),
    }
}

/// The axes whose value changes the number of parameters where all others stay.
fn size_axes(comparison: &Comparison) -> Vec<&str> {
    let changes = |axis: &&Axis| {
        let mut by_rest = BTreeMap::<Vec<&str>, u64>::new();
        let rest = |run| others(comparison, axis, run);
        comparison.runs.iter().any(|run| *by_rest.entry(rest(run)).or_insert(run.parameters) != run.parameters)
    };
    comparison.axes.iter().filter(changes).map(|axis| axis.name.as_str()).collect()
}

fn others<'a>(comparison: &'a Comparison, axis: &Axis, run: &'a RunData) -> Vec<&'a str> {
    let others = comparison.axes.iter().filter(|other| other.name != axis.name);
    others.map(|other| run.axis(&other.name).unwrap_or_default()).collect()
}

/// Mean and interval for each model size, joined by a line and set `aside` by a factor; returns the numbers of seeds.
fn by_size(comparison: &Comparison, group: &Group<'_>, aside: f64, has_bars: bool, panel: &mut Panel) -> Vec<usize> {
    let mut sizes = BTreeMap::<u64, Vec<f64>>::new();
    for cell in &group.cells {
        let parameters = cell.runs.first().map_or(0, |run| run.parameters);
        sizes.entry(parameters).or_default().extend(cell.outcomes(&comparison.metric).into_values());
    }
    let sizes = sizes.into_iter().filter(|(parameters, _)| *parameters > 0);
    let estimates =
        sizes.filter_map(|(x, values)| Some((aside * x as f64, Estimate::of(&values)?, values))).collect::<Vec<_>>();
    let line = estimates.iter().map(|(x, estimate, _)| (*x, estimate.mean)).collect::<Vec<_>>();
    let stroke = Stroke { colour: group.colour(), width: 1.1, dash: group.dash };
    let since = panel.so_far();
    panel.marks.push(Mark::Line { points: line, stroke });
    for (x, estimate, values) in &estimates {
        draw_estimate((group.ink, group.filled()), *x, values, estimate, has_bars, panel);
    }
    if let (Some((_, estimate, _)), false) = (estimates.last(), group.label.is_empty()) {
        panel.labels.push(Label { y: estimate.mean, text: group.label.clone(), colour: group.colour() });
    }
    panel.give(since, group.owner());
    estimates.iter().map(|(_, estimate, _)| estimate.n).collect()
}

/// The y axis where only single runs are drawn.
fn run_axis(comparison: &Comparison, outcomes: impl Iterator<Item = f64>) -> Option<PlotAxis> {
    let (low, high) = extent(outcomes)?;
    let pad = 0.08 * (high - low);
    Some(linear_axis(metric_label(&comparison.metric), low - pad, high + pad, 5))
}

fn by_run(comparison: &Comparison, group: &Group<'_>, panel: &mut Panel) {
    let runs = group.cells.iter().flat_map(|cell| runs_of(cell, &comparison.metric)).collect::<Vec<_>>();
    for (run, at) in &runs {
        let since = panel.so_far();
        let (colour, filled) = (group.colour(), group.filled());
        panel.marks.push(Mark::Dot { at: *at, nudge: 0.0, radius: 2.4, colour, filled });
        panel.give(since, Owner::run(run));
    }
    let height = mean(&runs.iter().map(|(_, (_, y))| *y).collect::<Vec<_>>());
    let since = panel.so_far();
    if let (Some(y), false) = (height, group.label.is_empty()) {
        panel.labels.push(Label { y, text: group.label.clone(), colour: group.colour() });
    }
    panel.give(since, group.owner());
}

fn runs_of<'a>(cell: &Cell<'a>, metric: &MetricName) -> Vec<(&'a RunData, (f64, f64))> {
    cell.runs.iter().filter_map(|run| Some((*run, (run.elapsed_secs, run.outcome(metric)?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn only_axes_that_change_the_size_are_on_the_size_axis() {
        assert_eq!(size_axes(&fixture::sweep()), ["size"]);
    }

    #[test]
    fn one_size_has_no_figure_over_sizes() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.parameters = 1_052_256);
        assert_eq!(outcome_against(&comparison, Abscissa::Parameters, &Choice::default()), None);
        assert!(outcome_against(&comparison, Abscissa::Seconds, &Choice::default()).is_some());
    }
}
