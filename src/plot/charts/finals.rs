//! The final metric against one axis: every seed a dot, the mean and its interval beside them.

use super::curves::{extent, height_for};
use super::encoding::{Choice, Encoding, Group, empty_panel, metric_label, names, seed_count};
use crate::analysis::statistics::Estimate;
use crate::analysis::{Axis, Comparison, Floor, Means};
use crate::plot::figure::{Colour, Figure, Ink, Label, Mark, Owner, Panel, PlotAxis, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, named_axis};

/// The room of one axis value that the groups share, in units of the distance between values.
const SPREAD: f64 = 0.34;
/// How far beside their mean single runs stand, in points.
const BESIDE: f64 = 5.0;

/// One group at one value of the axis.
struct Column {
    /// Place of the value on its axis, and where the column stands.
    index: usize,
    x: f64,
    ink: Ink,
    values: Vec<f64>,
    estimate: Estimate,
    owner: Owner,
}

/// The final values of the comparison's metric against `axis`, in lines by the other axes. Absent where the axis has
/// one value or no run has finished.
pub fn final_by_axis(comparison: &Comparison, axis: &Axis, choice: &Choice) -> Option<Figure> {
    if axis.values.len() < 2 {
        return None;
    }
    let encoding = Encoding::new(comparison, choice, &[&axis.name]);
    let palette = Palette::of(&comparison.axes);
    let cells = comparison.cells();
    let outcomes = cells.iter().flat_map(|cell| cell.outcomes(&comparison.metric).into_values());
    let (y, is_cut) = value_axis(comparison, outcomes)?;
    let has_bars = encoding.rest.is_empty();
    let (mut counts, mut missing) = (Vec::new(), 0);
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let mut panel = empty_panel(title, named_axis(&axis.name, &axis.values), y.clone());
        add_floors(comparison, &mut panel);
        let groups = encoding.groups(&cells, &key, &palette);
        for (i, group) in groups.iter().enumerate() {
            let mut columns = columns_of(comparison, axis, group, dodge(i, groups.len()));
            if encoding.colour.is_none() {
                // Nothing else needs the colours: each value of the axis has its own.
                columns.iter_mut().for_each(|column| column.ink = palette.ink(&axis.name, &axis.values[column.index]));
            }
            counts.extend(columns.iter().map(|column| column.estimate.n));
            draw_group(group, &columns, has_bars, &mut panel);
            missing += draw_missing(comparison, axis, group, dodge(i, groups.len()), &mut panel);
        }
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let rows = panels.len().div_ceil(encoding.columns());
    Some(Figure {
        kind: "axes",
        name: format!("final-by-{}", axis.name),
        title: format!("{}: final {} by {}", comparison.experiment, quantity(comparison), axis.name),
        subtitle: encoding.explanation(),
        caption: caption(has_bars, &counts, is_cut, &names(&encoding.rest)) + &missing_in_words(missing),
        height: height_for(rows),
        columns: encoding.columns(),
        panels,
    })
}

/// The metric in words, without its unit.
pub(super) fn quantity(comparison: &Comparison) -> String {
    metric_label(&comparison.metric).split(" (").next().unwrap_or_default().to_owned()
}

/// What the marks of a chart with dots and intervals mean.
pub(super) fn caption(has_bars: bool, counts: &[usize], is_cut: bool, rest: &str) -> String {
    let mut caption = "Small dots: single runs. ".to_owned();
    if !has_bars {
        caption += &format!("Large dots: mean over {rest} and seeds; no interval is drawn for such a mean.");
    } else if counts.iter().all(|&n| n < 2) {
        caption += &format!("{}: no interval can be given.", seed_count(counts));
    } else {
        caption += &format!("Large dots and bars: mean and 95 % interval (Student's t), {}.", seed_count(counts));
        if counts.contains(&1) {
            caption += " One seed has no bar.";
        }
    }
    if is_cut && has_bars {
        caption += " A bar that reaches the frame goes on beyond it.";
    }
    caption
}

/// Where group `i` of `n` stands beside the axis value.
fn dodge(i: usize, n: usize) -> f64 {
    SPREAD * ((i as f64 + 0.5) / n.max(1) as f64 - 0.5)
}

fn columns_of(comparison: &Comparison, axis: &Axis, group: &Group<'_>, dodge: f64) -> Vec<Column> {
    let means = Means::of(comparison);
    let at_value = |(i, value): (usize, &String)| {
        let cells = group.cells.iter().filter(|cell| cell.key.value(&axis.name) == Some(value)).collect::<Vec<_>>();
        let values = cells.iter().flat_map(|cell| cell.outcomes(&comparison.metric).into_values()).collect::<Vec<_>>();
        let estimate = if let [only] = cells[..] { means.of_cell(&only.key)? } else { Estimate::of(&values)? };
        let owner = Owner::cells(cells.into_iter().copied());
        Some(Column { index: i, x: i as f64 + dodge, ink: group.ink, values, estimate, owner })
    };
    axis.values.iter().enumerate().filter_map(at_value).collect()
}

fn draw_group(group: &Group<'_>, columns: &[Column], has_bars: bool, panel: &mut Panel) {
    let means = columns.iter().map(|column| (column.x, column.estimate.mean)).collect::<Vec<_>>();
    let stroke = Stroke { colour: group.colour(), width: 1.1, dash: group.dash };
    let since = panel.so_far();
    if means.len() > 1 {
        panel.marks.push(Mark::Line { points: means, stroke });
    }
    panel.give(since, group.owner());
    for column in columns {
        let (look, since) = ((column.ink, group.filled()), panel.so_far());
        draw_estimate(look, column.x, &column.values, &column.estimate, has_bars, panel);
        panel.give(since, column.owner.clone());
    }
    let since = panel.so_far();
    if let (Some(last), false) = (columns.last(), group.label.is_empty()) {
        panel.labels.push(Label { y: last.estimate.mean, text: group.label.clone(), colour: group.colour() });
    }
    panel.give(since, group.owner());
}

/// A cross at the frame where runs of a group have no result, whatever became of them; returns how many those are.
fn draw_missing(comparison: &Comparison, axis: &Axis, group: &Group<'_>, dodge: f64, panel: &mut Panel) -> usize {
    let worse = if comparison.goal.prefers(0.0, 1.0) { panel.y.high } else { panel.y.low };
    let mut missing = 0;
    for (i, value) in axis.values.iter().enumerate() {
        let cells = group.cells.iter().filter(|cell| cell.key.value(&axis.name) == Some(value));
        let runs = cells.flat_map(|cell| &cell.runs).filter(|run| run.outcome(&comparison.metric).is_none()).count();
        if runs > 0 {
            panel.marks.push(Mark::Cross { at: (i as f64 + dodge, worse), colour: group.colour() });
            missing += runs;
        }
    }
    missing
}

/// What crosses at the frame stand for.
pub(super) fn missing_in_words(missing: usize) -> String {
    match missing {
        0 => String::new(),
        1 => " A cross at the frame: 1 run has no result.".to_owned(),
        many => format!(" A cross at the frame: runs without a result ({many})."),
    }
}

/// Seeds, interval and mean at one place, in a colour and with full or open dots.
pub(super) fn draw_estimate(
    (ink, filled): (Ink, bool),
    x: f64,
    values: &[f64],
    estimate: &Estimate,
    has_bars: bool,
    panel: &mut Panel,
) {
    let colour = Colour::full(ink);
    if let (true, Some(interval)) = (has_bars, estimate.interval) {
        panel.marks.push(Mark::Interval { x, low: interval.low, high: interval.high, colour });
    }
    if values.len() > 1 {
        let pale = Colour::pale(ink);
        let seed = |&y: &f64| Mark::Dot { at: (x, y), nudge: BESIDE, radius: 1.6, colour: pale, filled: true };
        panel.marks.extend(values.iter().map(seed));
    }
    panel.marks.push(Mark::Dot { at: (x, estimate.mean), nudge: 0.0, radius: 2.9, colour, filled });
}

/// The y axis over all `outcomes` with room for bars, and whether bars may be cut off. Two seeds have intervals that are
/// thirteen standard errors wide: they must not flatten everything else.
pub(super) fn value_axis(comparison: &Comparison, outcomes: impl Iterator<Item = f64>) -> Option<(PlotAxis, bool)> {
    let (low, high) = extent(outcomes)?;
    let means = Means::of(comparison);
    let bars = comparison.cells().into_iter().filter_map(|cell| means.of_cell(&cell.key)?.interval);
    let bars = bars.collect::<Vec<_>>();
    let (bars_low, bars_high) = extent(bars.iter().flat_map(|bar| [bar.low, bar.high])).unwrap_or((low, high));
    let span = if high > low { high - low } else { high.abs().max(1.0) * 0.1 };
    let bottom = bars_low.max(low - 0.5 * span).min(low);
    let top = bars_high.min(high + 0.5 * span).max(high);
    let pad = 0.06 * (top - bottom).max(span);
    let axis = linear_axis(metric_label(&comparison.metric), bottom - pad, top + pad, 5);
    let is_cut = bars_low < axis.low || bars_high > axis.high;
    Some((axis, is_cut))
}

/// The floors of the metric that lie in the picture.
pub(super) fn add_floors(comparison: &Comparison, panel: &mut Panel) {
    let inside = |floor: &&Floor| (panel.y.low..=panel.y.high).contains(&floor.value);
    let floors = comparison.floors_of(&comparison.metric).filter(inside);
    let marks = floors.map(|floor| Mark::Floor { y: floor.value, text: floor.label.clone() }).collect::<Vec<_>>();
    panel.marks.extend(marks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::types::Seed;

    #[test]
    fn every_seed_is_a_dot_and_captions_count_them() {
        let comparison = fixture::sweep();
        let figure = final_by_axis(&comparison, &comparison.axes[1], &Choice::default()).unwrap();
        let dots = figure.panels.iter().flat_map(|panel| &panel.marks).filter(|mark| matches!(mark, Mark::Dot { .. }));
        assert_eq!(dots.count(), 23 + 8, "finished runs and means");
        assert!(figure.caption.contains("n = 2 to 3 seeds"), "{}", figure.caption);
        let crosses =
            figure.panels.iter().flat_map(|panel| &panel.marks).filter(|mark| matches!(mark, Mark::Cross { .. }));
        assert_eq!(crosses.count(), 1, "the failed run");
        assert!(figure.caption.ends_with("A cross at the frame: 1 run has no result."), "{}", figure.caption);
    }

    #[test]
    fn one_seed_draws_no_bar_and_says_so() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.seed == Seed(1));
        let figure = final_by_axis(&comparison, &comparison.axes[1], &Choice::default()).unwrap();
        assert!(figure.caption.contains("n = 1 seed: no interval can be given."), "{}", figure.caption);
        assert!(!figure.panels.iter().flat_map(|panel| &panel.marks).any(|mark| matches!(mark, Mark::Interval { .. })));
    }

    #[test]
    fn a_small_figure_as_data() {
        let axes = vec![fixture::axis("nsp", &["off", "random"], crate::analysis::AxisKind::Category)];
        let comparison = fixture::sweep_over("nsp", axes, 1);
        let figure = final_by_axis(&comparison, &comparison.axes[0], &Choice::default()).unwrap();
        let rounded = serde_json::to_value(&figure.panels[0].x).unwrap();
        insta::assert_snapshot!(rounded, @r#"{"label":"nsp","scale":"Linear","low":-0.5,"high":1.5,"ticks":[{"at":0.0,"text":"off"},{"at":1.0,"text":"random"}],"grid":false}"#);
    }
}
