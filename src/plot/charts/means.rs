//! Marginal and interaction plots: the mean at each value of an axis, and at each pair of values of two axes.
//!
//! Parallel lines mean that two axes add up; lines that part or cross mean that the effect of one depends on the other.

use super::curves::height_for;
use super::encoding::empty_panel;
use super::estimates::{Drawn, Estimates};
use super::finals::{quantity, value_axis, worst};
use super::positions::Positions;
use crate::analysis::{Axis, AxisKind, CellKey, Comparison, is_full_grid, strongest_axes};
use crate::plot::figure::{Colour, Dash, Figure, Ink, Label, LegendItem, Mark, Owner, Panel, Sample, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::short;

/// The most panels of a figure: the strongest axes come first.
const MOST_MARGINAL: usize = 8;
const MOST_PAIRS: usize = 6;

/// One line of a panel: the cells that each of its means is over.
struct Series<'a> {
    /// The value of the second axis, for an interaction.
    value: Option<(&'a Axis, usize)>,
    parts: Vec<Vec<CellKey>>,
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
    let keys = comparison.cells().into_iter().map(|cell| cell.key).collect::<Vec<_>>();
    let plots = axes.iter().take(MOST_MARGINAL).map(|x| {
        let parts = x.values.iter().map(|value| with(&keys, &[(x, value)])).collect();
        Plot { title: String::new(), x, series: vec![Series { value: None, parts }] }
    });
    let what = format!("final {} by each axis", quantity(comparison));
    let subtitle = "Each panel: the mean at each value of one axis, over all values of the others.";
    let left_out = axes.get(MOST_MARGINAL..).unwrap_or_default();
    draw(comparison, "marginal-means", &what, subtitle, &plots.collect::<Vec<_>>(), (4, left_out.len()))
}

/// One panel for each pair of axes. Absent below two axes, and where the sweep is no full grid.
pub fn interactions(comparison: &Comparison) -> Option<Figure> {
    let axes = varied(comparison)?;
    let keys = comparison.cells().into_iter().map(|cell| cell.key).collect::<Vec<_>>();
    // Pairs of strong axes first.
    let mut pairs = (0..axes.len()).flat_map(|a| (a + 1..axes.len()).map(move |b| (a, b))).collect::<Vec<_>>();
    pairs.sort_by_key(|(a, b)| (a + b, *a));
    let plots = pairs.iter().take(MOST_PAIRS).map(|&(a, b)| {
        // What has an order, or more values, goes along the panel.
        let weight = |axis: &Axis| (axis.kind != AxisKind::Category, axis.values.len());
        let (x, lines) = if weight(axes[b]) > weight(axes[a]) { (axes[b], axes[a]) } else { (axes[a], axes[b]) };
        let series = lines.values.iter().enumerate().map(|(i, line)| {
            let parts = x.values.iter().map(|value| with(&keys, &[(x, value), (lines, line)]));
            Series { value: Some((lines, i)), parts: parts.collect() }
        });
        Plot { title: format!("{} by {}", lines.name, x.name), x, series: series.collect() }
    });
    let what = format!("final {} by pairs of axes", quantity(comparison));
    let subtitle =
        "Each panel: means at each pair of values of two axes, over the others. Parallel lines: the two add up.";
    let left_out = pairs.len().saturating_sub(MOST_PAIRS);
    draw(comparison, "interactions", &what, subtitle, &plots.collect::<Vec<_>>(), (3, left_out))
}

/// The axes, where the sweep is a full grid over two or more of them; the strongest first.
fn varied(comparison: &Comparison) -> Option<Vec<&Axis>> {
    let axes = strongest_axes(comparison);
    let is_list = !axes.iter().any(|axis| axis.is_continuous());
    (axes.len() > 1 && is_list && is_full_grid(comparison)).then_some(axes)
}

fn with(keys: &[CellKey], values: &[(&Axis, &String)]) -> Vec<CellKey> {
    let has = |key: &&CellKey| values.iter().all(|(axis, value)| key.value(&axis.name) == Some(value.as_str()));
    keys.iter().filter(has).cloned().collect()
}

fn draw(
    comparison: &Comparison,
    name: &str,
    what: &str,
    subtitle: &str,
    plots: &[Plot<'_>],
    (most_columns, left_out): (usize, usize),
) -> Option<Figure> {
    // Each panel is read by itself: its bars compare its own means.
    let estimates = plots.iter().map(|plot| {
        let parts = plot.series.iter().flat_map(|series| series.parts.iter().cloned()).collect::<Vec<_>>();
        Estimates::of(comparison, &finished(comparison, &parts))
    });
    let estimates = estimates.collect::<Vec<_>>();
    let y = value_axis(comparison, estimates.iter().flat_map(|one| one.heights_without_runs()))?;
    let palette = Palette::of(&comparison.axes);
    let panels = plots.iter().zip(&estimates);
    let panels = panels.map(|(plot, found)| {
        let mut panel = empty_panel(plot.title.clone(), Positions::of(plot.x).x, y.clone());
        draw_plot(plot, &found.drawn, comparison, &palette, &mut panel);
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let missing = estimates.iter().flat_map(|one| &one.drawn).filter(|one| one.is_none()).count();
    let columns = if panels.len() == 4 && most_columns < 4 { 2 } else { panels.len().min(most_columns) };
    let rows = panels.len().div_ceil(columns);
    let mut caption = Estimates::caption_of_all(&estimates);
    if left_out > 0 {
        caption += &format!(" Left out: {left_out} panels of weaker axes.");
    }
    let legend = (missing > 0).then(|| LegendItem::Entry {
        sample: Sample::Cross(Colour::full(Ink::Muted)),
        text: format!("means that lack a finished run ({missing})"),
    });
    Some(Figure {
        kind: "means",
        name: name.to_owned(),
        title: format!("{}: {what}", comparison.experiment),
        subtitle: subtitle.to_owned(),
        legend: legend.into_iter().collect(),
        caption,
        height: if rows == 1 { 250.0 } else { height_for(rows) },
        columns,
        panels,
    })
}

/// A mean over a part of which some cell has no finished run is not like with like: such a part is emptied.
fn finished(comparison: &Comparison, parts: &[Vec<CellKey>]) -> Vec<Vec<CellKey>> {
    let cells = comparison.cells().into_iter().filter(|cell| !cell.outcomes(&comparison.metric).is_empty());
    let finished = cells.map(|cell| cell.key).collect::<std::collections::BTreeSet<_>>();
    let is_whole = |part: &&Vec<CellKey>| part.iter().all(|key| finished.contains(key));
    parts.iter().map(|part| Some(part).filter(is_whole).cloned().unwrap_or_default()).collect()
}

fn draw_plot(plot: &Plot<'_>, drawn: &[Option<Drawn>], comparison: &Comparison, palette: &Palette, panel: &mut Panel) {
    let places = Positions::of(plot.x);
    let mut drawn = drawn.iter();
    for (i, series) in plot.series.iter().enumerate() {
        let ink = series.value.map_or(Ink::Category(0), |(axis, value)| palette.ink(&axis.name, &axis.values[value]));
        let colour = Colour::full(ink);
        let means = drawn.by_ref().take(series.parts.len()).enumerate();
        let means = means.filter_map(|(index, one)| Some((places.at(index, i, plot.series.len())?, one)));
        let mut means = means.collect::<Vec<_>>();
        means.sort_by(|a, b| a.0.total_cmp(&b.0));
        let points = means.iter().filter_map(|(x, one)| Some((*x, one.as_ref()?.mean))).collect::<Vec<_>>();
        let since = panel.so_far();
        if let (Some(&at), Some((axis, value))) = (points.last(), series.value) {
            panel.labels.push(Label { at, text: short(&axis.values[value]), colour });
        }
        let dash = Dash::nth(series.value.map_or(0, |(_, value)| value));
        panel.marks.push(Mark::Line { points, stroke: Stroke { colour, width: 1.3, dash } });
        if let Some((axis, value)) = series.value {
            panel.give(since, Owner::Settings(vec![(axis.name.clone(), axis.values[value].clone())]));
        }
        for (x, one) in means {
            match one {
                Some(one) => one.alone().draw(x, (ink, true), panel),
                None => panel.marks.push(Mark::Cross { at: (x, worst(comparison, &panel.y)), colour }),
            }
        }
    }
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
        let is_told = |item: &LegendItem| matches!(item, LegendItem::Entry { text, .. } if text.ends_with("(5)"));
        assert!(figure.legend.iter().any(is_told), "{:?}", figure.legend);
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
