//! The final metric against one axis: every seed a dot, the means and bars that can be compared.

use super::curves::{extent, floor_name, height_for};
use super::encoding::{Choice, Encoding, Group, Samples, empty_panel, metric_label, names, outcome_label};
use super::estimates::Estimates;
use super::positions::Positions;
use crate::analysis::{Axis, Cell, CellKey, Comparison, Floor};
use crate::plot::figure::{Colour, Figure, Ink, LegendItem, Mark, Panel, PlotAxis, Sample, Stroke};
use crate::plot::palette::Palette;
use crate::plot::ticks::linear_axis;

/// One line of one panel: for each value of the axis the cells that its mean is over.
struct Line<'a> {
    group: Group<'a>,
    cells: Vec<Vec<CellKey>>,
    /// Runs without a result, by value.
    missing: Vec<usize>,
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
    let places = Positions::of(axis);
    let panels = encoding.panel_keys().into_iter().map(|(title, key)| {
        let groups = encoding.groups(&cells, &key, &palette);
        (title, groups.into_iter().map(|group| line_of(comparison, axis, group)).collect::<Vec<_>>())
    });
    let panels = panels.collect::<Vec<_>>();
    let parts = panels.iter().flat_map(|(_, lines)| lines).flat_map(|line| line.cells.iter().cloned());
    let parts = parts.collect::<Vec<_>>();
    let estimates = Estimates::of(comparison, &parts);
    // Where every colour is a draw of its own, a dot is a cell.
    let are_means = parts.iter().any(|cells| cells.len() > 1);
    let y = value_axis(comparison, estimates.heights())?;
    let mut drawn = estimates.drawn.iter();
    let mut missing = 0;
    let panels = panels.iter().map(|(title, lines)| {
        let mut panel = empty_panel(title.clone(), places.x.clone(), y.clone());
        add_floors(comparison, &mut panel);
        for (i, line) in lines.iter().enumerate() {
            let place = |index: usize| places.at(index, i, lines.len());
            let found = drawn.by_ref().take(line.cells.len()).enumerate();
            let mut means = found.filter_map(|(index, one)| Some((place(index)?, one.as_ref()?))).collect::<Vec<_>>();
            means.sort_by(|a, b| a.0.total_cmp(&b.0));
            let points = means.iter().map(|(x, one)| (*x, one.mean)).collect::<Vec<_>>();
            let stroke = Stroke { colour: line.group.colour(), width: 1.1, dash: line.group.dash };
            let since = panel.so_far();
            if points.len() > 1 {
                panel.marks.push(Mark::Line { points, stroke });
            }
            panel.give(since, line.group.owner());
            for (x, one) in &means {
                one.draw(*x, (line.group.ink, line.group.filled()), &mut panel);
            }
            for (index, count) in line.missing.iter().enumerate().filter(|(_, count)| **count > 0) {
                missing += count;
                let Some(x) = place(index) else { continue };
                panel.marks.push(Mark::Cross { at: (x, worst(comparison, &y)), colour: line.group.colour() });
            }
        }
        panel
    });
    let panels = panels.collect::<Vec<_>>();
    let mut legend = encoding.legend(&palette, Samples::LinesAndDots);
    legend.extend(missing_in_legend(missing));
    Some(Figure {
        kind: "axes",
        name: format!("final-by-{}", axis.name),
        title: format!("{}: final {} by {}", comparison.experiment, quantity(comparison), axis.name),
        subtitle: encoding.explanation(),
        legend,
        caption: estimates.caption(&if are_means { names(&encoding.rest) } else { String::new() }),
        height: height_for(panels.len().div_ceil(encoding.columns())),
        columns: encoding.columns(),
        panels,
    })
}

fn line_of<'a>(comparison: &Comparison, axis: &Axis, group: Group<'a>) -> Line<'a> {
    let with = |value: &String| {
        group.cells.iter().filter(|cell| cell.key.value(&axis.name) == Some(value)).collect::<Vec<_>>()
    };
    let by_value = axis.values.iter().map(with).collect::<Vec<_>>();
    let cells = by_value.iter().map(|cells| cells.iter().map(|cell| cell.key.clone()).collect());
    let lacking = |cells: &Vec<&&Cell<'_>>| {
        let runs = cells.iter().flat_map(|cell| &cell.runs);
        runs.filter(|run| run.outcome(&comparison.metric).is_none()).count()
    };
    let (cells, missing) = (cells.collect(), by_value.iter().map(lacking).collect());
    Line { group, cells, missing }
}

/// The metric in words, without its unit.
pub(super) fn quantity(comparison: &Comparison) -> String {
    metric_label(&comparison.metric).split(" (").next().unwrap_or_default().to_owned()
}

/// Where what has no result is marked: near the worse end, inside.
pub(super) fn worst(comparison: &Comparison, y: &PlotAxis) -> f64 {
    let inside = 0.03 * (y.high - y.low);
    if comparison.goal.prefers(0.0, 1.0) { y.high - inside } else { y.low + inside }
}

/// What the crosses of [`worst`] stand for.
pub(super) fn missing_in_legend(missing: usize) -> Option<LegendItem> {
    let text = match missing {
        0 => return None,
        1 => "1 run without a result".to_owned(),
        many => format!("runs without a result ({many})"),
    };
    Some(LegendItem::Entry { sample: Sample::Cross(Colour::full(Ink::Muted)), text })
}

/// The y axis of outcomes over all that is drawn, with room beyond it.
pub(super) fn value_axis(comparison: &Comparison, heights: impl Iterator<Item = f64>) -> Option<PlotAxis> {
    let (low, high) = extent(heights)?;
    let span = if high > low { high - low } else { high.abs().max(1.0) * 0.1 };
    let pad = 0.07 * span;
    Some(linear_axis(outcome_label(comparison), low - pad, high + pad, 5))
}

/// The floors of the metric that lie in the picture.
pub(super) fn add_floors(comparison: &Comparison, panel: &mut Panel) {
    let inside = |floor: &&Floor| (panel.y.low..=panel.y.high).contains(&floor.value);
    let floors = comparison.drawn_floors_of(&comparison.metric).filter(inside);
    let marks = floors.map(|floor| Mark::Floor { y: floor.value, text: floor_name(floor) }).collect::<Vec<_>>();
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
        assert_eq!(dots.count(), 23 + 4, "finished runs and means, over NSP, which does next to nothing");
        assert!(
            figure.caption.contains("n = 2 to 3 seeds") && figure.caption.contains("Bars compare"),
            "{}",
            figure.caption
        );
        let crosses =
            figure.panels.iter().flat_map(|panel| &panel.marks).filter(|mark| matches!(mark, Mark::Cross { .. }));
        assert_eq!(crosses.count(), 1, "the failed run");
        let is_told =
            |item: &LegendItem| matches!(item, LegendItem::Entry { text, .. } if text == "1 run without a result");
        assert!(figure.legend.iter().any(is_told), "{:?}", figure.legend);
    }

    #[test]
    fn one_seed_draws_no_bar_and_says_so() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.seed == Seed(1));
        let figure = final_by_axis(&comparison, &comparison.axes[1], &Choice::default()).unwrap();
        assert!(figure.caption.contains("Without a second seed there is no interval."), "{}", figure.caption);
        assert!(!figure.panels.iter().flat_map(|panel| &panel.marks).any(|mark| matches!(mark, Mark::Interval { .. })));
    }

    #[test]
    fn a_small_figure_as_data() {
        let axes = vec![fixture::axis("nsp", &["off", "random"], crate::analysis::AxisKind::Category)];
        let comparison = fixture::sweep_over("nsp", axes, 1);
        let figure = final_by_axis(&comparison, &comparison.axes[0], &Choice::default()).unwrap();
        let rounded = serde_json::to_value(&figure.panels[0].x).unwrap();
        insta::assert_snapshot!(rounded, @r#"{"label":"nsp","scale":"Linear","low":-0.4,"high":1.4,"ticks":[{"at":0.0,"text":"off"},{"at":1.0,"text":"random"}],"grid":false}"#);
    }
}
