//! Curves over the optimizer step: losses with their replicates, and learning-rate schedules.

use std::collections::BTreeSet;

use super::encoding::{Choice, Encoding, Group, empty_panel, metric_label, seed_count};
use crate::analysis::series::{decimate, mean_curve, smooth};
use crate::analysis::{Axis, Comparison, Point, RunData, RunState};
use crate::plot::figure::{Colour, Dash, Figure, HEIGHT_PT, Ink, Label, Mark, Panel, PlotAxis, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::linear_axis;
use crate::types::MetricName;

const STEP_LABEL: &str = "optimizer step";
/// Enough for two points a pixel of a panel.
const BUCKETS: usize = 300;
/// The share of the steps at the start that may run off the top, so that the ends can be told apart.
const START: f64 = 0.12;

/// Whether curves are smoothed. The caption always says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smoothing {
    None,
    /// A debiased exponential moving average with this weight on the past.
    Average(f64),
}

/// The curves of `metric`: each run thin, the mean over the finished runs of each group bold. Absent where nothing was
/// recorded.
pub fn learning_curves(
    comparison: &Comparison,
    metric: &MetricName,
    smoothing: Smoothing,
    choice: &Choice,
) -> Option<Figure> {
    let encoding = Encoding::new(comparison, choice, &[]);
    let palette = Palette::of(&comparison.axes);
    let cells = comparison.cells();
    let curve = |run: &RunData| {
        let points = run.series.get(metric).map_or(&[][..], Vec::as_slice);
        let points = points.iter().copied().filter(|point| point.value.is_finite()).collect::<Vec<_>>();
        match smoothing {
            Smoothing::None => points,
            Smoothing::Average(weight) => smooth(&points, weight),
        }
    };
    let all = comparison.runs.iter().map(&curve).collect::<Vec<_>>();
    let (x, y, is_cut) = ranges(&all, metric)?;
    let mut ended_early = 0;
    let mut counts = Vec::new();
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let mut panel = empty_panel(title, x.clone(), y.clone());
        let floors = comparison.floors_of(metric).filter(|floor| (y.low..=y.high).contains(&floor.value));
        panel.marks.extend(floors.map(|floor| Mark::Floor { y: floor.value, text: floor.label.clone() }));
        let groups = encoding.groups(&cells, &key, &palette);
        let mut means = Vec::new();
        for group in &groups {
            let runs = group.cells.iter().flat_map(|cell| &cell.runs).map(|run| (*run, curve(run))).collect::<Vec<_>>();
            ended_early += draw_replicates(group, &runs, &mut panel);
            let seeds = group.cells.iter().map(|cell| cell.outcomes(metric).len()).filter(|&n| n > 0);
            counts.extend(seeds);
            means.extend(mean_of_group(group, &runs, &mut panel));
        }
        panel.marks.extend(means);
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let rows = panels.len().div_ceil(encoding.columns());
    Some(Figure {
        name: format!("curves-{}", metric.as_str().replace('/', "-")),
        title: format!("{}: {}", comparison.experiment, metric_label(metric).split(" (").next().unwrap_or_default()),
        subtitle: encoding.explanation(),
        caption: caption_of(comparison, metric, smoothing, &y, &Shown { counts, ended_early, is_cut }),
        height: height_for(rows),
        columns: encoding.columns(),
        panels,
    })
}

/// What a figure of curves came to show.
struct Shown {
    /// Finished seeds of each cell.
    counts: Vec<usize>,
    ended_early: usize,
    is_cut: bool,
}

fn caption_of(
    comparison: &Comparison,
    metric: &MetricName,
    smoothing: Smoothing,
    y: &PlotAxis,
    shown: &Shown,
) -> String {
    let mut caption = format!("Bold: mean over finished runs, {}; thin: single runs.", seed_count(&shown.counts));
    if let Smoothing::Average(weight) = smoothing {
        caption += &format!(" Every curve is a debiased exponential moving average with weight {weight}.");
    }
    if shown.ended_early > 0 {
        caption += &format!(" A cross marks where a run ended early ({}); it is not in the mean.", shown.ended_early);
    }
    if shown.is_cut {
        caption += " The first values run off the top.";
    }
    for floor in comparison.floors_of(metric).filter(|floor| !(y.low..=y.high).contains(&floor.value)) {
        caption += &format!(" Outside the picture: {} at {:.2}.", floor.label, floor.value);
    }
    caption
}

/// The height of a figure of so many rows.
pub(super) fn height_for(rows: usize) -> f64 {
    HEIGHT_PT + 130.0 * rows.saturating_sub(1) as f64
}

/// Thin lines, and a cross where a run ended without finishing; returns how many did.
fn draw_replicates(group: &Group<'_>, runs: &[(&RunData, Vec<Point>)], panel: &mut Panel) -> usize {
    let is_alone = runs.len() == 1;
    let mut ended = 0;
    for (run, points) in runs {
        if !is_alone || run.state != RunState::Finished {
            let stroke = Stroke { colour: group.pale(), width: 0.7, dash: Dash::Solid };
            panel.marks.push(Mark::Line { points: coordinates(points), stroke });
        }
        let is_dead = matches!(run.state, RunState::Failed | RunState::Interrupted | RunState::Lost);
        if let (true, Some(last)) = (is_dead, points.last()) {
            panel.marks.push(Mark::Cross { at: (last.step as f64, last.value), colour: group.colour() });
            ended += 1;
        }
    }
    ended
}

/// The bold line of a group, labelled at its end. Where no run has finished, the mean is over those that run.
fn mean_of_group(group: &Group<'_>, runs: &[(&RunData, Vec<Point>)], panel: &mut Panel) -> Option<Mark> {
    let in_state = |state| runs.iter().filter(move |(run, _)| run.state == state);
    let of = |state| in_state(state).map(|(_, points)| points.as_slice()).filter(|points| !points.is_empty());
    let mut members = of(RunState::Finished).collect::<Vec<_>>();
    if members.is_empty() {
        members = of(RunState::Running).collect();
    }
    let mean = mean_curve(&members);
    let last = mean.last()?;
    if !group.label.is_empty() {
        panel.labels.push(Label { y: last.value, text: group.label.clone(), colour: group.colour() });
    }
    let stroke = Stroke { colour: group.colour(), width: 1.7, dash: group.dash };
    Some(Mark::Line { points: coordinates(&mean), stroke })
}

fn coordinates(points: &[Point]) -> Vec<(f64, f64)> {
    decimate(points, BUCKETS).into_iter().map(|point| (point.step as f64, point.value)).collect()
}

/// The axes for `curves`, and whether the start of some curve is cut off at the top.
fn ranges(curves: &[Vec<Point>], metric: &MetricName) -> Option<(PlotAxis, PlotAxis, bool)> {
    let points = || curves.iter().flatten();
    let last = points().map(|point| point.step).max()? as f64;
    let first = points().map(|point| point.step).min()? as f64;
    let (low, high) = extent(points().map(|point| point.value))?;
    let settled = points().filter(|point| point.step as f64 >= first + START * (last - first));
    let (_, settled_high) = extent(settled.map(|point| point.value)).unwrap_or((low, high));
    // Cutting is worth it only where it gives the rest clearly more room.
    let is_cut = high - low > 1.5 * (settled_high - low) && settled_high > low;
    let top = if is_cut { settled_high } else { high };
    let pad = 0.05 * (top - low);
    let x = linear_axis(STEP_LABEL, first.min(0.0), last, 5);
    Some((x, linear_axis(metric_label(metric), low - pad, top + pad, 5), is_cut))
}

/// The least and the greatest of `values`.
pub(super) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// The learning-rate schedules: one line for each that differs, named by the axes that it depends on.
pub fn schedules(comparison: &Comparison, metric: &MetricName) -> Option<Figure> {
    // The longest recorded schedule speaks for all runs that agree with it as far as they went.
    let mut runs = comparison.runs.iter().filter_map(|run| Some((run, run.series.get(metric)?))).collect::<Vec<_>>();
    runs.retain(|(_, points)| !points.is_empty());
    runs.sort_by_key(|(_, points)| std::cmp::Reverse(points.len()));
    let mut distinct = Vec::<(&[Point], Vec<&RunData>)>::new();
    for (run, points) in runs {
        match distinct.iter_mut().find(|(longer, _)| longer.starts_with(points)) {
            Some((_, same)) => same.push(run),
            None => distinct.push((points, vec![run])),
        }
    }
    let x_end = distinct.iter().filter_map(|(points, _)| points.last()).map(|point| point.step).max()? as f64;
    let (_, high) = extent(distinct.iter().flat_map(|(points, _)| points.iter()).map(|point| point.value))?;
    let axes = axes_that_matter(comparison, &distinct);
    let y = scientific_axis(linear_axis("learning rate", 0.0, 1.04 * high, 5));
    let mut panel = empty_panel(String::new(), linear_axis(STEP_LABEL, 0.0, x_end, 5), y);
    let palette = Palette::of(&comparison.axes);
    for (i, (points, runs)) in distinct.iter().enumerate() {
        let values = axes.iter().filter_map(|axis| Some((axis, runs[0].axis(&axis.name)?))).collect::<Vec<_>>();
        let ink = values.first().map_or(Ink::Category(0), |(axis, value)| palette.ink(&axis.name, value));
        let dash = if axes.len() == 1 { Dash::Solid } else { Dash::nth(i) };
        let stroke = Stroke { colour: Colour::full(ink), width: 1.7, dash };
        panel.marks.push(Mark::Line { points: coordinates(points), stroke });
        let text = values.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(", ");
        if let (false, Some(last)) = (text.is_empty(), points.last()) {
            panel.labels.push(Label { y: last.value, text, colour: stroke.colour });
        }
    }
    let names = super::encoding::names(&axes);
    Some(Figure {
        name: "schedules".to_owned(),
        title: format!("{}: learning rate", comparison.experiment),
        subtitle: if names.is_empty() {
            "Every run has this schedule.".to_owned()
        } else {
            format!("Labels: {names}.")
        },
        caption: "As applied at each optimizer step; runs with one schedule share a line.".to_owned(),
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

/// The axes whose value differs between schedules and never within one.
fn axes_that_matter<'a>(comparison: &'a Comparison, distinct: &[(&[Point], Vec<&RunData>)]) -> Vec<&'a Axis> {
    if distinct.len() < 2 {
        return Vec::new();
    }
    let values = |axis: &Axis, runs: &[&RunData]| {
        runs.iter().map(|run| run.axis(&axis.name).map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    let settles = |axis: &&Axis| distinct.iter().all(|(_, runs)| values(axis, runs).len() == 1);
    let varies = |axis: &&Axis| distinct.iter().map(|(_, runs)| values(axis, runs)).collect::<BTreeSet<_>>().len() > 1;
    comparison.axes.iter().filter(settles).filter(varies).collect()
}

/// Small numbers as `2e-4`.
fn scientific_axis(mut axis: PlotAxis) -> PlotAxis {
    for tick in &mut axis.ticks {
        if tick.at.abs() < 1e-12 {
            tick.text = "0".to_owned();
        } else if tick.at < 0.01 {
            let text = format!("{:.2e}", tick.at);
            let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            tick.text = format!("{digits}e{}", power.replace('-', "\u{2212}"));
        }
    }
    axis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn curves_show_every_run_and_mark_the_failed_one() {
        let comparison = fixture::sweep();
        let figure = learning_curves(&comparison, &comparison.metric, Smoothing::None, &Choice::default()).unwrap();
        let count = |wanted: fn(&Mark) -> bool| {
            figure.panels.iter().flat_map(|panel| &panel.marks).filter(|mark| wanted(mark)).count()
        };
        assert_eq!(count(|mark| matches!(mark, Mark::Line { stroke, .. } if stroke.colour.pale)), 24);
        assert_eq!(count(|mark| matches!(mark, Mark::Line { stroke, .. } if !stroke.colour.pale)), 8);
        assert_eq!(count(|mark| matches!(mark, Mark::Cross { .. })), 1);
        insta::assert_snapshot!(format!("{}\n{}\n{}", figure.title, figure.subtitle, figure.caption), @"
        마스크 비율 mask-ratio: validation MLM loss
        Colour: mask_ratio. Line: nsp (off solid, random dashed). Panels: size.
        Bold: mean over finished runs, n = 2 to 3 seeds; thin: single runs. A cross marks where a run ended early (1); it is not in the mean. The first values run off the top.
        ");
    }

    #[test]
    fn equal_schedules_share_a_line() {
        let comparison = fixture::sweep();
        let figure = schedules(&comparison, &fixture::metric("train/lr")).unwrap();
        assert_eq!(figure.panels[0].marks.len(), 1, "a failed run's shorter schedule agrees as far as it went");
        assert_eq!(figure.subtitle, "Every run has this schedule.");
        let ticks = figure.panels[0].y.ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>();
        assert_eq!(ticks, ["0", "2e\u{2212}4", "4e\u{2212}4", "6e\u{2212}4", "8e\u{2212}4", "1e\u{2212}3"]);
    }

    #[test]
    fn schedules_are_named_by_what_they_depend_on() {
        use crate::analysis::AxisKind::Category;
        let axes = ["size", "mask", "nsp", "schedule"].map(|name| fixture::axis(name, &["a", "b"], Category)).to_vec();
        let figure = schedules(&fixture::sweep_over("four", axes, 1), &fixture::metric("train/lr")).unwrap();
        assert_eq!(figure.panels[0].labels.len(), 2);
        assert_eq!(figure.subtitle, "Labels: schedule.");
    }
}
