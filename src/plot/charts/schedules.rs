//! Learning-rate schedules, as they were applied: one line for each that differs.

use std::collections::BTreeSet;

use super::curves::{STEP_LABEL, coordinates, extent};
use super::encoding::{colours_of, empty_panel, names};
use crate::analysis::{Axis, Comparison, Point, RunData, strongest_axes};
use crate::plot::figure::{
    Colour, Dash, Figure, HEIGHT_PT, Ink, LegendItem, Mark, Owner, PlotAxis, Sample, Scale, Stroke,
};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, log_axis, short, si};
use crate::types::MetricName;

/// The most schedules that are named one by one.
const MOST_NAMED: usize = 8;
/// Peaks further apart than this ratio are drawn on a logarithmic axis, which reaches so far below the lowest peak.
const FAR_PEAKS: f64 = 5.0;
const BELOW: f64 = 30.0;

/// The learning-rate schedules: one line for each that differs, named by the axes that it depends on while those are few.
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
    let peaks = distinct.iter().map(|(points, _)| points.iter().map(|point| point.value).fold(0.0, f64::max));
    let (lowest, highest) = extent(peaks.filter(|&peak| peak > 0.0))?;
    let axes = axes_that_matter(comparison, &distinct);
    let y = if highest > FAR_PEAKS * lowest {
        log_axis("learning rate (log scale)", lowest / BELOW, highest)
    } else {
        scientific_axis(linear_axis("learning rate", 0.0, 1.04 * highest, 5))
    };
    let x = linear_axis(STEP_LABEL, 0.0, 1.015 * x_end.max(1.0), 5);
    let mut panel = empty_panel(String::new(), x, y);
    let palette = Palette::of(&comparison.axes);
    let (main, other) = (axes.first().copied(), axes.get(1).copied());
    let is_named = distinct.len() <= MOST_NAMED;
    let mut legend = match main {
        Some(axis) if !is_named => colours_of(axis, &palette),
        _ if axes.is_empty() => Vec::new(),
        _ => vec![LegendItem::Heading(names(&axes))],
    };
    // Those of the same value of the main axis are drawn in the same colour, and apart by dashes while those last.
    let mut lines = distinct.iter().map(|(points, runs)| (points, runs[0], shared(runs))).collect::<Vec<_>>();
    let place = |axis: Option<&Axis>, run: &RunData| {
        axis.and_then(|axis| axis.values.iter().position(|value| Some(value.as_str()) == run.axis(&axis.name)))
    };
    lines.sort_by_key(|(_, run, _)| (place(main, run), place(other, run)));
    for (points, run, settings) in lines {
        let ink =
            main.and_then(|axis| Some(palette.ink(&axis.name, run.axis(&axis.name)?))).unwrap_or(Ink::Category(0));
        let dash = match other {
            Some(axis) if is_named && axis.values.len() <= 3 => Dash::nth(place(other, run).unwrap_or(0)),
            _ => Dash::Solid,
        };
        let stroke = Stroke { colour: Colour::full(ink), width: if is_named { 1.7 } else { 1.0 }, dash };
        let shown = coordinates(points, 1.0);
        // Where a schedule is 0 or next to it, a logarithmic axis has no place for it.
        let shown = shown.into_iter().filter(|&(_, rate)| panel.y.scale == Scale::Linear || rate >= panel.y.low);
        let mark = Mark::Line { points: shown.collect(), stroke };
        let since = panel.so_far();
        panel.marks.push(mark);
        if !settings.is_empty() {
            panel.give(since, Owner::Settings(settings));
        }
        let values = axes.iter().filter_map(|axis| run.axis(&axis.name)).map(short).collect::<Vec<_>>();
        if is_named && !values.is_empty() {
            legend.push(LegendItem::Entry { sample: Sample::Line(stroke), text: values.join(", ") });
        }
    }
    let subtitle = match (&axes[..], is_named) {
        ([], _) => "Every run has this schedule.".to_owned(),
        (axes, true) => format!("It depends on {}.", names(axes)),
        (axes, false) => format!("{} schedules differ, by {}.", distinct.len(), names(axes)),
    };
    Some(Figure {
        kind: "schedules",
        name: "schedules".to_owned(),
        title: format!("{}: learning rate", comparison.experiment),
        subtitle,
        legend,
        caption: "As applied at each optimizer step; runs with one schedule share a line.".to_owned(),
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

/// The settings that all of the runs have.
fn shared(runs: &[&RunData]) -> Vec<(String, String)> {
    let mut settings = runs.first().map_or_else(Vec::new, |run| run.axes.clone());
    settings.retain(|(axis, value)| runs.iter().all(|run| run.axis(axis) == Some(value)));
    settings
}

/// The axes whose value differs between schedules and never within one, the strongest first.
fn axes_that_matter<'a>(comparison: &'a Comparison, distinct: &[(&[Point], Vec<&RunData>)]) -> Vec<&'a Axis> {
    if distinct.len() < 2 {
        return Vec::new();
    }
    let values = |axis: &Axis, runs: &[&RunData]| {
        runs.iter().map(|run| run.axis(&axis.name).map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    let settles = |axis: &Axis| distinct.iter().all(|(_, runs)| values(axis, runs).len() == 1);
    let varies = |axis: &Axis| distinct.iter().map(|(_, runs)| values(axis, runs)).collect::<BTreeSet<_>>().len() > 1;
    strongest_axes(comparison).into_iter().filter(|axis| settles(axis) && varies(axis)).collect()
}

/// Small numbers as `2e-4`.
fn scientific_axis(mut axis: PlotAxis) -> PlotAxis {
    axis.ticks.iter_mut().filter(|tick| tick.at < 0.01).for_each(|tick| tick.text = si(tick.at));
    axis
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

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
        let entries = figure.legend.iter().filter_map(|item| match item {
            LegendItem::Entry { text, .. } => Some(text.as_str()),
            LegendItem::Heading(_) => None,
        });
        assert_eq!(entries.collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(figure.subtitle, "It depends on schedule.");
    }

    #[test]
    fn twenty_schedules_are_told_by_a_scale() {
        let rates = (1..=20).map(|i| format!("{:e}", 1e-4 * 1.3_f64.powi(i))).collect::<Vec<_>>();
        let values = rates.iter().map(String::as_str).collect::<Vec<_>>();
        let axes = vec![fixture::axis("lr", &values, crate::analysis::AxisKind::Numeric)];
        let mut comparison = fixture::sweep_over("many", axes, 1);
        let metric = fixture::metric("train/lr");
        for run in &mut comparison.runs {
            let rate = run.axis("lr").unwrap().parse::<f64>().unwrap();
            run.series.get_mut(&metric).unwrap().iter_mut().for_each(|point| point.value *= rate / 1e-3);
        }
        let figure = schedules(&comparison, &metric).unwrap();
        assert_eq!((figure.panels[0].marks.len(), figure.panels[0].y.scale), (20, Scale::Log10));
        assert!(figure.panels[0].labels.is_empty());
        assert!(figure.legend.iter().any(|item| matches!(item, LegendItem::Entry { sample: Sample::Scale(_), .. })));
    }
}
