//! Curves over steps, tokens, compute or seconds: losses and scores with their replicates.
//!
//! Every x is proportional to the step within a run: a batch has as many tokens at every step, and a run's time is taken
//! to pass evenly, because the log keeps the time of a run and not of each step; the caption says so.

use super::encoding::{Choice, Encoding, Group, Samples, empty_panel, metric_label, seed_count};
use crate::analysis::series::{BandPoint, band, decimate, mean_curve, smooth};
use crate::analysis::statistics::quantile;
use crate::analysis::{Comparison, Cost, Floor, Goal, Point, RunData, RunState};
use crate::plot::figure::{Dash, Figure, HEIGHT_PT, Mark, Owner, Panel, PlotAxis, Scale, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, log_axis, si};
use crate::types::MetricName;

pub(super) const STEP_LABEL: &str = "optimizer step";
/// Enough for two points a pixel of a panel.
const BUCKETS: usize = 300;
/// The share of each curve at its start that is left out where it would hide the rest, and how many times higher than the
/// rest it has to reach for that.
const START: f64 = 0.12;
const FAR: f64 = 2.5;
/// Runs whose ends lie further apart than this ratio are drawn along a logarithmic axis.
const UNLIKE: f64 = 1.5;

/// The line of a group.
const BOLD: f64 = 1.6;

/// From so many finished runs on, quartiles say more than single lines.
const LEAST_BAND: usize = 4;

/// The curve of one run.
struct Drawn {
    points: Vec<Point>,
    /// What was recorded, where `points` are smoothed.
    raw: Vec<Point>,
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
    let drawn = |run: &RunData| {
        let points = run.series.get(metric).map_or(&[][..], Vec::as_slice);
        let raw = points.iter().copied().filter(|point| point.value.is_finite()).collect::<Vec<_>>();
        let (per_step, owner) = (along.per_step(run)?, Owner::run(run));
        Some(match smoothing {
            Smoothing::None => Drawn { points: raw, raw: Vec::new(), per_step, state: run.state, owner },
            Smoothing::Average(weight) => {
                Drawn { points: smooth(&raw, weight), raw, per_step, state: run.state, owner }
            }
        })
    };
    let all = comparison.runs.iter().filter_map(&drawn).collect::<Vec<_>>();
    let Ranges { x, y, from } = ranges(&all, along, metric)?;
    // What is left out of a picture is left out of its curves: nothing runs off the frame.
    let drawn = |run: &RunData| {
        let mut drawn = drawn(run)?;
        for points in [&mut drawn.points, &mut drawn.raw] {
            let start = start_of(points, from);
            points.retain(|point| point.step as f64 >= start);
            points.retain(|point| x.scale == Scale::Linear || point.step > 0);
        }
        Some(drawn)
    };
    let mut ended_early = 0;
    let (mut counts, mut members) = (Vec::new(), Vec::new());
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let mut panel = empty_panel(title, x.clone(), y.clone());
        let floors = comparison.drawn_floors_of(metric).filter(|floor| is_inside(floor, &y));
        panel.marks.extend(floors.map(|floor| Mark::Floor { y: floor.value, text: floor_name(floor) }));
        let groups = encoding.groups(&cells, &key, &palette);
        let mut means = Vec::new();
        for group in &groups {
            let runs = group.cells.iter().flat_map(|cell| &cell.runs).filter_map(|run| drawn(run)).collect::<Vec<_>>();
            ended_early += draw_replicates(group, &runs, &mut panel);
            let seeds = group.cells.iter().map(|cell| cell.outcomes(metric).len()).filter(|&n| n > 0);
            counts.extend(seeds);
            members.push(runs.iter().filter(|run| run.state == RunState::Finished && !run.points.is_empty()).count());
            let since = panel.so_far();
            means.extend(middle_of_group(group, &runs, &mut panel).map(|mark| (mark, group.owner())));
            panel.give(since, group.owner());
        }
        for (mark, owner) in means {
            let since = panel.so_far();
            panel.marks.push(mark);
            panel.give(since, owner);
        }
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let rows = panels.len().div_ceil(encoding.columns());
    let (ending, words) = match along {
        Along::Steps => ("", ""),
        Along::Tokens => ("-by-tokens", " over tokens"),
        Along::Flops => ("-by-compute", " over compute"),
        Along::Seconds => ("-by-time", " over time"),
    };
    Some(Figure {
        kind: "curves",
        name: format!("curves-{}{ending}", metric.as_str().replace('/', "-")),
        title: format!(
            "{}: {}{words}",
            comparison.experiment,
            metric_label(metric).split(" (").next().unwrap_or_default(),
        ),
        subtitle: encoding.explanation(),
        legend: encoding.legend(&palette, Samples::Lines),
        caption: caption_of(
            comparison,
            metric,
            (along, smoothing),
            &y,
            &Shown { counts, members, ended_early, is_cut: from > 0.0 },
        ),
        height: height_for(rows),
        columns: encoding.columns(),
        panels,
    })
}

/// Where a curve begins that leaves out this share of itself.
fn start_of(points: &[Point], share: f64) -> f64 {
    let ends = points.first().zip(points.last()).map(|(first, last)| (first.step as f64, last.step as f64));
    ends.map_or(0.0, |(first, last)| first + share * (last - first))
}

fn is_inside(floor: &Floor, y: &PlotAxis) -> bool {
    (y.low..=y.high).contains(&floor.value)
}

/// A floor and where it lies.
pub(super) fn floor_name(floor: &Floor) -> String {
    format!("{} {:.2}", floor.label, floor.value)
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
    let has_means = is_any(|&n| n > 1);
    let mut caption = match (has_bands, has_lines) {
        (false, _) if smoothing != Smoothing::None => format!("Bold: mean over finished runs, {seeds}."),
        (false, _) if !has_means && shown.members.iter().any(|&n| n > 0) => "Lines: single runs.".to_owned(),
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
        caption += &format!(
            " Curves are debiased exponential moving averages with weight {weight} of the recorded values, which are pale."
        );
    }
    if shown.ended_early > 0 {
        caption +=
            &format!(" A cross marks where a run ended early ({}); it is not in the bold line.", shown.ended_early);
    }
    if shown.is_cut {
        let side = if Goal::usual(metric.as_str()) == Goal::Minimize { "higher" } else { "lower" };
        caption += &format!(" The first {:.0} % of each curve, which are far {side}, are left out.", 100.0 * START);
    }
    for floor in comparison.drawn_floors_of(metric).filter(|floor| !is_inside(floor, y)) {
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
        let thin = |width| Stroke { colour: group.pale(), width, dash: Dash::Solid };
        if !run.raw.is_empty() {
            panel.marks.push(Mark::Line { points: coordinates(&run.raw, run.per_step), stroke: thin(0.4) });
        }
        let is_told = run.state == RunState::Finished && (finished == 1 || finished >= LEAST_BAND);
        if !is_told && run.raw.is_empty() {
            panel.marks.push(Mark::Line { points: coordinates(&run.points, run.per_step), stroke: thin(0.7) });
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

/// The bold line of a group with its band, or its dot where there is one evaluation. Where no run has finished, the mean is
/// over those that run.
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
        if band.len() > 1 {
            panel.marks.push(Mark::Band { low: edge(|p| p.low), high: edge(|p| p.high), colour: group.colour() });
        }
        band.iter().map(|p| Point { step: p.step, value: p.middle }).collect()
    };
    if let [only] = middle[..] {
        for member in &members {
            let at = (only.step as f64 * member.per_step, member.points[0].value);
            let colour = group.pale();
            panel.marks.push(Mark::Dot { at, radius: 1.3, colour, filled: true });
        }
        let at = (only.step as f64 * per_step, only.value);
        return Some(Mark::Dot { at, radius: 2.9, colour: group.colour(), filled: group.filled() });
    }
    let stroke = Stroke { colour: group.colour(), width: BOLD, dash: group.dash };
    (!middle.is_empty()).then(|| Mark::Line { points: coordinates(&middle, per_step), stroke })
}

pub(super) fn coordinates(points: &[Point], per_step: f64) -> Vec<(f64, f64)> {
    decimate(points, BUCKETS).into_iter().map(|point| (point.step as f64 * per_step, point.value)).collect()
}

/// The axes of a figure of curves.
struct Ranges {
    x: PlotAxis,
    y: PlotAxis,
    /// The share of each curve that is left out at its start.
    from: f64,
}

fn ranges(curves: &[Drawn], along: Along, metric: &MetricName) -> Option<Ranges> {
    let values = |from: f64| {
        let after = move |points: &[Point]| {
            let start = start_of(points, from);
            points.iter().filter(|point| point.step as f64 >= start).map(|point| point.value).collect::<Vec<_>>()
        };
        extent(curves.iter().flat_map(|run| after(&run.points).into_iter().chain(after(&run.raw))))
    };
    let (low, high) = values(0.0)?;
    let (settled_low, settled_high) = values(START)?;
    let has_curves = curves.iter().any(|run| run.points.len() > 3);
    // Leaving out is worth it only where it gives the rest far more room.
    let from = if has_curves && high - low > FAR * (settled_high - settled_low) { START } else { 0.0 };
    let (low, high) = if from > 0.0 { (settled_low, settled_high) } else { (low, high) };
    let pad = 0.05 * (high - low);
    let places = || curves.iter().flat_map(|run| run.points.iter().map(|point| point.step as f64 * run.per_step));
    let (first, last) = extent(places())?;
    let ends = extent(curves.iter().filter_map(|run| Some(run.points.last()?.step as f64 * run.per_step)))?;
    let is_wide = along != Along::Steps && ends.0 > 0.0 && ends.1 > UNLIKE * ends.0;
    let mut x = match extent(places().filter(|&x| x > 0.0)) {
        Some((first, last)) if is_wide => log_axis(format!("{}, log scale", along.label()), first, last),
        _ => linear_axis(along.label(), first.min(0.0), last + 0.015 * (last - first.min(0.0)), 5),
    };
    if matches!(along, Along::Tokens | Along::Flops) {
        x.ticks.iter_mut().filter(|_| !is_wide).for_each(|tick| tick.text = si(tick.at));
    }
    Some(Ranges { x, y: linear_axis(metric_label(metric), low - pad, high + pad, 5), from })
}

/// The least and the greatest of `values`.
pub(super) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
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
        // NSP does next to nothing, so that each line is over both of its values.
        assert_eq!(count(|mark| matches!(mark, Mark::Line { stroke, .. } if stroke.colour.pale)), 1, "the failed run");
        assert_eq!(count(|mark| matches!(mark, Mark::Line { stroke, .. } if !stroke.colour.pale)), 4);
        assert_eq!(count(|mark| matches!(mark, Mark::Cross { .. })), 1);
        insta::assert_snapshot!(format!("{}\n{}\n{}", figure.title, figure.subtitle, figure.caption), @"
        마스크 비율 mask-ratio: validation MLM loss
        Averaged over nsp.
        Bold: median over finished runs, n = 2 to 3 seeds; band: their quartiles. A cross marks where a run ended early (1); it is not in the bold line.
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
            let mut ends = figure.panels[0].marks.iter().filter_map(last).collect::<Vec<_>>();
            ends.dedup();
            ends
        };
        assert_eq!(ends(&steps), [2_000.0]);
        assert_eq!(ends(&tokens), [2_000.0 * 8_192.0, 2_000.0 * 16_384.0]);
        let flops = [1_052_256.0 * 8_192.0, 4_551_936.0 * 16_384.0].map(|product| 6.0 * 2_000.0 * product);
        let drawn = ends(&figure(Along::Flops));
        assert!(drawn.iter().zip(flops).all(|(drawn, flops)| (drawn / flops - 1.0).abs() < 1e-12), "{drawn:?}");
    }
}
