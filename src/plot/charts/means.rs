//! Marginal and interaction plots: the mean at each value of an axis, and at each pair of values of two axes.
//!
//! Parallel lines mean that two axes add up; lines that part or cross mean that the effect of one depends on the other.

use super::curves::{extent, height_for};
use super::encoding::{empty_panel, metric_label, seed_count};
use super::finals::quantity;
use crate::analysis::statistics::Estimate;
use crate::analysis::{Axis, AxisKind, Comparison, Means, is_full_grid};
use crate::plot::figure::{Colour, Dash, Figure, Ink, Label, Mark, Panel, PlotAxis, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, named_axis};

/// The room of one axis value that the lines share, in units of the distance between values.
const SPREAD: f64 = 0.22;

/// One line of a panel: where the axis has a mean.
struct Series<'a> {
    /// The value of the second axis, for an interaction.
    value: Option<(&'a Axis, usize)>,
    means: Vec<Option<Estimate>>,
}

/// A panel before it is drawn: the axis below and the lines.
struct Plot<'a> {
    title: String,
    x: &'a Axis,
    series: Vec<Series<'a>>,
}

/// One panel for each axis: the mean at each of its values over all other axes. Absent below two axes, and where the
/// sweep is no full grid.
pub fn marginal_means(comparison: &Comparison) -> Option<Figure> {
    let axes = varied(comparison)?;
    let means = Means::of(comparison);
    let plots = axes.iter().map(|x| {
        let at = |value: &String| means.over(&[(&x.name, value)]);
        Plot { title: String::new(), x, series: vec![Series { value: None, means: x.values.iter().map(at).collect() }] }
    });
    let what = format!("final {} by each axis", quantity(comparison));
    let subtitle = "Each panel: the mean at each value of one axis, over all values of the others.";
    draw(comparison, "marginal-means", &what, subtitle, &plots.collect::<Vec<_>>(), 4)
}

/// One panel for each pair of axes. Absent below two axes, and where the sweep is no full grid.
pub fn interactions(comparison: &Comparison) -> Option<Figure> {
    let axes = varied(comparison)?;
    let means = Means::of(comparison);
    let pairs = (0..axes.len()).flat_map(|a| (a + 1..axes.len()).map(move |b| (a, b)));
    let plots = pairs.map(|(a, b)| {
        // What has an order, or more values, goes along the panel.
        let weight = |axis: &Axis| (axis.kind != AxisKind::Category, axis.values.len());
        let (x, lines) = if weight(axes[b]) > weight(axes[a]) { (axes[b], axes[a]) } else { (axes[a], axes[b]) };
        let series = lines.values.iter().enumerate().map(|(i, line)| {
            let at = |value: &String| means.over(&[(&x.name, value), (&lines.name, line)]);
            Series { value: Some((lines, i)), means: x.values.iter().map(at).collect() }
        });
        Plot { title: format!("{} by {}", lines.name, x.name), x, series: series.collect() }
    });
    let what = format!("final {} by pairs of axes", quantity(comparison));
    let subtitle =
        "Each panel: means at each pair of values of two axes, over the others. Parallel lines: the two add up.";
    draw(comparison, "interactions", &what, subtitle, &plots.collect::<Vec<_>>(), 3)
}

fn varied(comparison: &Comparison) -> Option<Vec<&Axis>> {
    let axes = comparison.axes.iter().filter(|axis| axis.values.len() > 1).collect::<Vec<_>>();
    let is_list = !axes.iter().any(|axis| axis.is_continuous());
    (axes.len() > 1 && is_list && is_full_grid(comparison)).then_some(axes)
}

fn draw(
    comparison: &Comparison,
    name: &str,
    what: &str,
    subtitle: &str,
    plots: &[Plot<'_>],
    most_columns: usize,
) -> Option<Figure> {
    let estimates = || plots.iter().flat_map(|plot| &plot.series).flat_map(|series| &series.means);
    let found = estimates().flatten().copied().collect::<Vec<_>>();
    let missing = estimates().count() - found.len();
    let (y, is_cut) = mean_axis(comparison, &found)?;
    let palette = Palette::of(&comparison.axes);
    let panels = plots.iter().map(|plot| draw_plot(plot, &y, comparison, &palette)).collect::<Vec<_>>();
    let columns = if panels.len() == 4 && most_columns < 4 { 2 } else { panels.len().min(most_columns) };
    let rows = panels.len().div_ceil(columns);
    let counts = found.iter().map(|estimate| estimate.n).collect::<Vec<_>>();
    let mut caption = if counts.iter().all(|&n| n < 2) {
        format!("Dots: means, {}: no interval can be given.", seed_count(&counts))
    } else {
        let bars = "Dots and bars: mean and 95 % interval over seeds (Student's t)";
        format!(
            "{bars}, {}. Differences may be surer than bars that overlap suggest: luck that cells share cancels.",
            seed_count(&counts)
        )
    };
    if counts.iter().max() != counts.iter().min() || missing > 0 {
        caption += " A seed counts where it finished in every cell that a mean is over.";
    }
    if missing > 0 {
        caption += &format!(" A cross at the frame: no seed did ({}).", missing);
    }
    if is_cut {
        caption += " A bar that reaches the frame goes on beyond it.";
    }
    Some(Figure {
        kind: "means",
        name: name.to_owned(),
        title: format!("{}: {what}", comparison.experiment),
        subtitle: subtitle.to_owned(),
        caption,
        height: if rows == 1 { 250.0 } else { height_for(rows) },
        columns,
        panels,
    })
}

fn draw_plot(plot: &Plot<'_>, y: &PlotAxis, comparison: &Comparison, palette: &Palette) -> Panel {
    let mut panel = empty_panel(plot.title.clone(), named_axis(&plot.x.name, &plot.x.values), y.clone());
    for (i, series) in plot.series.iter().enumerate() {
        let aside = SPREAD * ((i as f64 + 0.5) / plot.series.len() as f64 - 0.5);
        let ink = series.value.map_or(Ink::Text, |(axis, value)| palette.ink(&axis.name, &axis.values[value]));
        let colour = Colour::full(ink);
        let x = |place: usize| place as f64 + aside;
        let points = series.means.iter().enumerate();
        let points = points.filter_map(|(place, mean)| Some((x(place), mean.as_ref()?.mean))).collect::<Vec<_>>();
        let stroke = Stroke { colour, width: 1.3, dash: Dash::nth(series.value.map_or(0, |(_, value)| value)) };
        if let (Some(last), Some((axis, value))) = (points.last(), series.value) {
            panel.labels.push(Label { y: last.1, text: axis.values[value].clone(), colour });
        }
        panel.marks.push(Mark::Line { points, stroke });
        for (place, mean) in series.means.iter().enumerate() {
            let Some(mean) = mean else {
                let worse = if comparison.goal.prefers(0.0, 1.0) { y.high } else { y.low };
                panel.marks.push(Mark::Cross { at: (x(place), worse), colour });
                continue;
            };
            if let Some(interval) = mean.interval {
                panel.marks.push(Mark::Interval { x: x(place), low: interval.low, high: interval.high, colour });
            }
            panel.marks.push(Mark::Dot { at: (x(place), mean.mean), nudge: 0.0, radius: 2.6, colour, filled: true });
        }
    }
    panel
}

/// The y axis over all means, with room for their intervals as long as those do not flatten the means.
fn mean_axis(comparison: &Comparison, estimates: &[Estimate]) -> Option<(PlotAxis, bool)> {
    let (low, high) = extent(estimates.iter().map(|estimate| estimate.mean))?;
    let ends = estimates.iter().filter_map(|estimate| estimate.interval).flat_map(|bar| [bar.low, bar.high]);
    let (bars_low, bars_high) = extent(ends).unwrap_or((low, high));
    let span = if high > low { high - low } else { high.abs().max(1.0) * 0.1 };
    let (bottom, top) = (bars_low.max(low - span).min(low), bars_high.min(high + span).max(high));
    let pad = 0.06 * (top - bottom).max(span);
    let axis = linear_axis(metric_label(&comparison.metric), bottom - pad, top + pad, 5);
    let is_cut = bars_low < axis.low || bars_high > axis.high;
    Some((axis, is_cut))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{RunState, fixture};

    fn count(figure: &Figure, wanted: fn(&Mark) -> bool) -> usize {
        figure.panels.iter().flat_map(|panel| &panel.marks).filter(|mark| wanted(mark)).count()
    }

    #[test]
    fn every_value_and_every_pair_has_its_mean() {
        let comparison = fixture::sweep();
        let dots = |figure: &Figure| count(figure, |mark| matches!(mark, Mark::Dot { .. }));
        let marginal = marginal_means(&comparison).unwrap();
        assert_eq!((marginal.panels.len(), dots(&marginal)), (3, 6));
        let pairs = interactions(&comparison).unwrap();
        let titles = pairs.panels.iter().map(|panel| panel.title.as_str()).collect::<Vec<_>>();
        assert_eq!((titles, dots(&pairs)), (vec!["mask_ratio by size", "nsp by size", "nsp by mask_ratio"], 12));
    }

    #[test]
    fn what_never_finished_is_a_cross() {
        let mut comparison = fixture::sweep();
        let dead =
            |run: &&mut crate::analysis::RunData| run.axis("size") == Some("mini") && run.axis("nsp") == Some("off");
        comparison.runs.iter_mut().filter(dead).for_each(|run| run.state = RunState::Failed);
        let figure = interactions(&comparison).unwrap();
        assert_eq!(count(&figure, |mark| matches!(mark, Mark::Cross { .. })), 5);
        assert!(figure.caption.contains("no seed did (5)"), "{}", figure.caption);
    }

    #[test]
    fn one_axis_and_holes_have_neither() {
        let one = fixture::sweep_over("one", vec![fixture::axis("nsp", &["off", "random"], AxisKind::Category)], 2);
        assert_eq!((marginal_means(&one), interactions(&one)), (None, None));
        let mut holes = fixture::sweep();
        holes.runs.retain(|run| run.axis("nsp") == Some("off") || run.axis("size") == Some("tiny"));
        assert_eq!((marginal_means(&holes), interactions(&holes)), (None, None));
    }
}
