//! Curves over steps, tokens, compute or seconds: losses with their replicates, and learning-rate schedules.
//!
//! Every x is proportional to the step within a run: a batch has as many tokens at every step, and a run's time is taken
//! to pass evenly, because the log keeps the time of a run and not of each step; the caption says so.

use std::collections::BTreeSet;

use super::encoding::{Choice, Encoding, Group, empty_panel, metric_label, seed_count};
use crate::analysis::series::{BandPoint, band, decimate, mean_curve, smooth};
use crate::analysis::statistics::quantile;
use crate::analysis::{Axis, Comparison, Cost, Point, RunData, RunState};
use crate::plot::figure::{Colour, Dash, Figure, HEIGHT_PT, Ink, Label, Mark, Owner, Panel, PlotAxis, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, si};
use crate::types::MetricName;

const STEP_LABEL: &str = "optimizer step";
/// Enough for two points a pixel of a panel.
const BUCKETS: usize = 300;
/// The share of the steps at the start that may run off the top, so that the ends can be told apart.
const START: f64 = 0.12;

/// From so many finished runs on, quartiles say more than single lines.
const LEAST_BAND: usize = 4;

/// The curve of one run.
struct Drawn {
    points: Vec<Point>,
    /// From steps to what the x axis shows.
    per_step: f64,
    state: RunState,
    owner: Owner,
}

/// Whether curves are smoothed. The caption always says so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smoothing {
    None,
    /// A debiased exponential moving average with this weight on the past.
    Average(f64),
}

/// What a curve runs along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Along {
    Steps,
    /// Tokens seen.
    Tokens,
    /// Floating-point operations of training, as [`Cost::Flops`] estimates them.
    Flops,
    /// Wall-clock time.
    Seconds,
}

impl Along {
    /// How far along a step of `run` goes; absent where that is not known.
    fn per_step(self, run: &RunData) -> Option<f64> {
        let last = run.series.values().filter_map(|points| points.last()).map(|point| point.step).max()? as f64;
        let total = match self {
            Self::Steps => return Some(1.0),
            Self::Tokens => run.tokens as f64,
            Self::Flops => Cost::Flops.of(run),
            Self::Seconds => run.elapsed_secs,
        };
        (last > 0.0 && total > 0.0).then(|| total / last)
    }

    fn label(self) -> &'static str {
        match self {
            Self::Steps => STEP_LABEL,
            Self::Tokens => "tokens seen",
            Self::Flops => "training compute (FLOPs)",
            Self::Seconds => "wall-clock time of training (s)",
        }
    }

    /// Whether curves along this differ from curves over steps: whether a step means something else from run to run.
    pub fn says_more(self, comparison: &Comparison) -> bool {
        let finished = comparison.runs.iter().filter(|run| run.state == RunState::Finished);
        let paces = extent(finished.filter_map(|run| self.per_step(run)));
        self != Self::Steps && paces.is_some_and(|(low, high)| high > 1.1 * low)
    }
}

/// The curves of `metric`: each run thin, the mean over the finished runs of each group bold; from four finished runs on,
/// their median and the band of their quartiles instead. Absent where nothing was recorded.
pub fn learning_curves(
    comparison: &Comparison,
    metric: &MetricName,
    along: Along,
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
    let drawn = |run: &RunData| {
        let per_step = along.per_step(run)?;
        Some(Drawn { points: curve(run), per_step, state: run.state, owner: Owner::run(run) })
    };
    let all = comparison.runs.iter().filter_map(&drawn).collect::<Vec<_>>();
    let (x, y, is_cut) = ranges(&all, along, metric)?;
    let mut ended_early = 0;
    let (mut counts, mut members) = (Vec::new(), Vec::new());
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let mut panel = empty_panel(title, x.clone(), y.clone());
        let floors = comparison.floors_of(metric).filter(|floor| (y.low..=y.high).contains(&floor.value));
        panel.marks.extend(floors.map(|floor| Mark::Floor { y: floor.value, text: floor.label.clone() }));
        let groups = encoding.groups(&cells, &key, &palette);
        let mut means = Vec::new();
        for group in &groups {
            let runs = group.cells.iter().flat_map(|cell| &cell.runs).filter_map(|run| drawn(run)).collect::<Vec<_>>();
            ended_early += draw_replicates(group, &runs, &mut panel);
            let seeds = group.cells.iter().map(|cell| cell.outcomes(metric).len()).filter(|&n| n > 0);
            counts.extend(seeds);
            members.push(runs.iter().filter(|run| run.state == RunState::Finished && !run.points.is_empty()).count());
            let since = panel.so_far();
            means.extend(middle_of_group(group, &runs, &mut panel).map(|line| (line, group.owner())));
            panel.give(since, group.owner());
        }
        for (line, owner) in means {
            let since = panel.so_far();
            panel.marks.push(line);
            panel.give(since, owner);
        }
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let rows = panels.len().div_ceil(encoding.columns());
    Some(Figure {
        kind: "curves",
        name: match along {
            Along::Steps => format!("curves-{}", metric.as_str().replace('/', "-")),
            Along::Tokens => format!("curves-{}-by-tokens", metric.as_str().replace('/', "-")),
            Along::Flops => format!("curves-{}-by-compute", metric.as_str().replace('/', "-")),
            Along::Seconds => format!("curves-{}-by-time", metric.as_str().replace('/', "-")),
        },
        title: format!(
            "{}: {}{}",
            comparison.experiment,
            metric_label(metric).split(" (").next().unwrap_or_default(),
            match along {
                Along::Steps => "",
                Along::Tokens => " over tokens",
                Along::Flops => " over compute",
                Along::Seconds => " over time",
            }
        ),
        subtitle: encoding.explanation(),
        caption: caption_of(
            comparison,
            metric,
            (along, smoothing),
            &y,
            &Shown { counts, members, ended_early, is_cut },
        ),
        height: height_for(rows),
        columns: encoding.columns(),
        panels,
    })
}

/// What a figure of curves came to show.
struct Shown {
    /// Finished seeds of each cell.
    counts: Vec<usize>,
    /// Finished runs of each group, which its bold line is over.
    members: Vec<usize>,
    ended_early: usize,
    is_cut: bool,
}

fn caption_of(
    comparison: &Comparison,
    metric: &MetricName,
    (along, smoothing): (Along, Smoothing),
    y: &PlotAxis,
    shown: &Shown,
) -> String {
    let seeds = seed_count(&shown.counts);
    let is_any = |wanted: fn(&usize) -> bool| shown.members.iter().any(wanted);
    let has_bands = is_any(|&n| n >= LEAST_BAND);
    let has_lines = is_any(|&n| n > 0 && n < LEAST_BAND);
    let mut caption = match (has_bands, has_lines) {
        (false, _) => format!("Bold: mean over finished runs, {seeds}; thin: single runs."),
        (true, false) => format!("Bold: median over finished runs, {seeds}; band: their quartiles."),
        (true, true) => format!(
            "Bold and band: median and quartiles over finished runs, {seeds}; with fewer than {LEAST_BAND} runs the mean, and \
             each run thin."
        ),
    };
    if along == Along::Flops {
        caption += " Compute is counted by matrix products, as the plan counts it.";
    }
    if along == Along::Seconds {
        caption += " Time is taken to pass evenly over the steps of a run; it depends on the machine.";
    }
    if let Smoothing::Average(weight) = smoothing {
        caption += &format!(" Every curve is a debiased exponential moving average with weight {weight}.");
    }
    if shown.ended_early > 0 {
        caption +=
            &format!(" A cross marks where a run ended early ({}); it is not in the bold line.", shown.ended_early);
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
fn draw_replicates(group: &Group<'_>, runs: &[Drawn], panel: &mut Panel) -> usize {
    let finished = runs.iter().filter(|run| run.state == RunState::Finished).count();
    let mut ended = 0;
    for run in runs {
        let since = panel.so_far();
        let is_told = run.state == RunState::Finished && (runs.len() == 1 || finished >= LEAST_BAND);
        if !is_told {
            let stroke = Stroke { colour: group.pale(), width: 0.7, dash: Dash::Solid };
            panel.marks.push(Mark::Line { points: coordinates(&run.points, run.per_step), stroke });
        }
        let is_dead = !matches!(run.state, RunState::Planned | RunState::Running | RunState::Finished);
        if let (true, Some(last)) = (is_dead, run.points.last()) {
            let at = (last.step as f64 * run.per_step, last.value);
            panel.marks.push(Mark::Cross { at, colour: group.colour() });
            ended += 1;
        }
        panel.give(since, run.owner.clone());
    }
    ended
}

/// The bold line of a group, labelled at its end, with its band. Where no run has finished, the mean is over those that
/// run.
fn middle_of_group(group: &Group<'_>, runs: &[Drawn], panel: &mut Panel) -> Option<Mark> {
    let of = |state| runs.iter().filter(move |run| run.state == state && !run.points.is_empty()).collect::<Vec<_>>();
    let mut members = of(RunState::Finished);
    if members.is_empty() {
        members = of(RunState::Running);
    }
    let points = members.iter().map(|run| run.points.as_slice()).collect::<Vec<_>>();
    let mut paces = members.iter().map(|run| run.per_step).collect::<Vec<_>>();
    paces.sort_by(f64::total_cmp);
    let per_step = quantile(&paces, 0.5)?;
    let middle = if members.len() < LEAST_BAND {
        mean_curve(&points)
    } else {
        let band = band(&points, 0.25, 0.75);
        let edge = |value: fn(&BandPoint) -> f64| band.iter().map(|p| (p.step as f64 * per_step, value(p))).collect();
        panel.marks.push(Mark::Band { low: edge(|p| p.low), high: edge(|p| p.high), colour: group.colour() });
        band.iter().map(|p| Point { step: p.step, value: p.middle }).collect()
    };
    let last = middle.last()?;
    if !group.label.is_empty() {
        panel.labels.push(Label { y: last.value, text: group.label.clone(), colour: group.colour() });
    }
    let stroke = Stroke { colour: group.colour(), width: 1.7, dash: group.dash };
    Some(Mark::Line { points: coordinates(&middle, per_step), stroke })
}

fn coordinates(points: &[Point], per_step: f64) -> Vec<(f64, f64)> {
    decimate(points, BUCKETS).into_iter().map(|point| (point.step as f64 * per_step, point.value)).collect()
}

/// The axes for `curves`, and whether the start of some curve is cut off at the top.
fn ranges(curves: &[Drawn], along: Along, metric: &MetricName) -> Option<(PlotAxis, PlotAxis, bool)> {
    let points =
        || curves.iter().flat_map(|run| run.points.iter().map(|point| (point.step as f64 * run.per_step, point.value)));
    let (first, last) = extent(points().map(|(x, _)| x))?;
    let (low, high) = extent(points().map(|(_, y)| y))?;
    // The start of a curve is the first part of its own length.
    let settled = curves.iter().flat_map(|run| {
        let ends = run.points.first().zip(run.points.last()).map(|(a, b)| (a.step as f64, b.step as f64));
        let start = ends.map_or(0.0, |(first, last)| first + START * (last - first));
        run.points.iter().filter(move |point| point.step as f64 >= start).map(|point| point.value)
    });
    let (_, settled_high) = extent(settled).unwrap_or((low, high));
    // Cutting is worth it only where it gives the rest clearly more room.
    let is_cut = high - low > 1.5 * (settled_high - low) && settled_high > low;
    let top = if is_cut { settled_high } else { high };
    let pad = 0.05 * (top - low);
    let mut x = linear_axis(along.label(), first.min(0.0), last, 5);
    if matches!(along, Along::Tokens | Along::Flops) {
        x.ticks.iter_mut().for_each(|tick| tick.text = si(tick.at));
    }
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
        panel.marks.push(Mark::Line { points: coordinates(points, 1.0), stroke });
        let text = values.iter().map(|(_, value)| *value).collect::<Vec<_>>().join(", ");
        if let (false, Some(last)) = (text.is_empty(), points.last()) {
            panel.labels.push(Label { y: last.value, text, colour: stroke.colour });
        }
    }
    let names = super::encoding::names(&axes);
    Some(Figure {
        kind: "schedules",
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
        let figure =
            learning_curves(&comparison, &comparison.metric, Along::Steps, Smoothing::None, &Choice::default())
                .unwrap();
        let count = |wanted: fn(&Mark) -> bool| {
            figure.panels.iter().flat_map(|panel| &panel.marks).filter(|mark| wanted(mark)).count()
        };
        assert_eq!(count(|mark| matches!(mark, Mark::Line { stroke, .. } if stroke.colour.pale)), 24);
        assert_eq!(count(|mark| matches!(mark, Mark::Line { stroke, .. } if !stroke.colour.pale)), 8);
        assert_eq!(count(|mark| matches!(mark, Mark::Cross { .. })), 1);
        insta::assert_snapshot!(format!("{}\n{}\n{}", figure.title, figure.subtitle, figure.caption), @"
        마스크 비율 mask-ratio: validation MLM loss
        Colour: mask_ratio. Line: nsp (off solid, random dashed). Panels: size.
        Bold: mean over finished runs, n = 2 to 3 seeds; thin: single runs. A cross marks where a run ended early (1); it is not in the bold line. The first values run off the top.
        ");
    }

    #[test]
    fn four_seeds_are_a_band_and_fewer_are_lines() {
        let axes = vec![fixture::axis("nsp", &["off", "random"], crate::analysis::AxisKind::Category)];
        let figure = |seeds| {
            let comparison = fixture::sweep_over("bands", axes.clone(), seeds);
            learning_curves(&comparison, &comparison.metric, Along::Steps, Smoothing::None, &Choice::default()).unwrap()
        };
        let count = |figure: &Figure, wanted: fn(&Mark) -> bool| {
            figure.panels.iter().flat_map(|panel| &panel.marks).filter(|mark| wanted(mark)).count()
        };
        let is_band = |mark: &Mark| matches!(mark, Mark::Band { .. });
        let is_thin = |mark: &Mark| matches!(mark, Mark::Line { stroke, .. } if stroke.colour.pale);
        let (six, four) = (figure(6), figure(4));
        // One run of the last cell failed, and stays a thin line with a cross.
        assert_eq!((count(&six, is_band), count(&six, is_thin)), (2, 1));
        assert_eq!((count(&four, is_band), count(&four, is_thin)), (1, 4));
        assert!(six.caption.starts_with("Bold: median over finished runs, n = 5 to 6 seeds"), "{}", six.caption);
        assert!(four.caption.contains("with fewer than 4 runs the mean"), "{}", four.caption);
    }

    #[test]
    fn time_and_tokens_stretch_each_run_by_its_own_pace() {
        let mut comparison = fixture::sweep();
        assert!(Along::Seconds.says_more(&comparison) && !Along::Tokens.says_more(&comparison));
        comparison.runs.iter_mut().filter(|run| run.axis("size") == Some("mini")).for_each(|run| {
            run.tokens *= 2;
            run.flops *= 2.0;
        });
        assert!(Along::Tokens.says_more(&comparison) && !Along::Steps.says_more(&comparison));
        let metric = comparison.metric.clone();
        let figure = |along| learning_curves(&comparison, &metric, along, Smoothing::None, &Choice::default()).unwrap();
        let (steps, tokens) = (figure(Along::Steps), figure(Along::Tokens));
        let ends = |figure: &Figure| {
            let last = |mark: &Mark| match mark {
                Mark::Line { points, stroke } if !stroke.colour.pale => points.last().map(|point| point.0),
                _ => None,
            };
            figure.panels.iter().map(|panel| panel.marks.iter().find_map(last).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(ends(&steps), [2_000.0, 2_000.0]);
        assert_eq!(ends(&tokens), [2_000.0 * 8_192.0, 2_000.0 * 16_384.0]);
        let flops = [1_052_256.0 * 8_192.0, 4_551_936.0 * 16_384.0].map(|product| 6.0 * 2_000.0 * product);
        let drawn = ends(&figure(Along::Flops));
        assert!(drawn.iter().zip(flops).all(|(drawn, flops)| (drawn / flops - 1.0).abs() < 1e-12), "{drawn:?}");
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
