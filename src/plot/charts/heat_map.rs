//! Two axes at once: a table of means in colour where the sweep is a grid, dots in colour where its cells are drawn.

use super::curves::extent;
use super::encoding::{empty_panel, metric_label, names, seed_count};
use super::finals::quantity;
use super::parts::{SHADES, dot, on_shade, shade};
use super::positions::scale_axis;
use crate::analysis::statistics::decimals_for;
use crate::analysis::{Axis, Comparison, Goal, Means, importance, is_full_grid};
use crate::plot::figure::{Colour, Figure, HEIGHT_PT, Ink, LegendItem, Mark, Owner, Panel, Sample};
use crate::plot::ticks::named_axis;

/// A grid with fewer means is read more easily as lines.
const LEAST_TILES: usize = 6;
/// Drawn cells below this number leave the plane empty.
const LEAST_DOTS: usize = 8;
/// Room for a row of tiles.
const TILE_PT: f64 = 30.0;

/// The two axes that account for most, one below and one at the side. Absent below two axes, where the means are few, and
/// where a design with holes has no two axes of numbers.
pub fn heat_map(comparison: &Comparison) -> Option<Figure> {
    let axes = by_importance(comparison);
    let is_list = axes.iter().all(|axis| !axis.is_continuous());
    let (panel, caption, legend, across, up) = if is_list && is_full_grid(comparison) {
        let (across, up) = lying(axes.first()?, axes.get(1)?);
        let (panel, caption) = tiles(comparison, across, up)?;
        (panel, caption, Vec::new(), across, up)
    } else {
        let mut scales = axes.iter().filter(|axis| axis.is_continuous());
        let (across, up) = (*scales.next()?, *scales.next()?);
        let (panel, caption, legend) = dots(comparison, across, up)?;
        (panel, caption, legend, across, up)
    };
    let height = if is_list { 120.0 + TILE_PT * up.values.len() as f64 } else { HEIGHT_PT };
    let better = if comparison.goal == Goal::Minimize { "less" } else { "more" };
    Some(Figure {
        kind: "heatmap",
        legend,
        name: "heat-map".to_owned(),
        title: format!("{}: final {} by {} and {}", comparison.experiment, quantity(comparison), across.name, up.name),
        subtitle: format!("Colour: {}; dark is better, {better}.", metric_label(&comparison.metric)),
        caption,
        height,
        columns: 1,
        panels: vec![panel],
    })
}

/// The axes with two values, those that account for most first.
fn by_importance(comparison: &Comparison) -> Vec<&Axis> {
    let mut axes = comparison.axes.iter().filter(|axis| axis.values.len() > 1).collect::<Vec<_>>();
    let found = importance(comparison).map(|found| found.parts).unwrap_or_default();
    let share = |axis: &Axis| found.iter().find(|part| part.name == axis.name).and_then(|part| part.share);
    axes.sort_by(|a, b| share(b).unwrap_or(0.0).total_cmp(&share(a).unwrap_or(0.0)));
    axes
}

/// The axis with more values lies below.
fn lying<'a>(first: &'a Axis, second: &'a Axis) -> (&'a Axis, &'a Axis) {
    if second.values.len() > first.values.len() { (second, first) } else { (first, second) }
}

fn tiles(comparison: &Comparison, across: &Axis, up: &Axis) -> Option<(Panel, String)> {
    if across.values.len() * up.values.len() < LEAST_TILES {
        return None;
    }
    let means = Means::of(comparison);
    let mut panel =
        empty_panel(String::new(), named_axis(&across.name, &across.values), named_axis(&up.name, &up.values));
    let places = (0..up.values.len()).flat_map(|y| (0..across.values.len()).map(move |x| (x, y)));
    let found = places.map(|(x, y)| {
        let values = [(across.name.as_str(), across.values[x].as_str()), (up.name.as_str(), up.values[y].as_str())];
        ((x as f64, y as f64), means.over(&values))
    });
    let found = found.collect::<Vec<_>>();
    let (low, high) = extent(found.iter().filter_map(|(_, mean)| Some(mean.as_ref()?.mean)))?;
    let decimals = decimals_for((high - low) / 10.0).min(4);
    let tile = |centre: (f64, f64), colour: Ink, text: String, ink: Ink| Mark::Tile {
        centre,
        width: 0.97,
        height: 0.94,
        colour: Colour::full(colour),
        text,
        ink,
    };
    for (at, mean) in &found {
        let since = panel.so_far();
        panel.marks.push(match mean {
            Some(mean) => {
                let share = goodness(comparison, mean.mean, (low, high));
                tile(*at, shade(share), format!("{:.decimals$}", mean.mean), on_shade(share))
            }
            None => tile(*at, Ink::Grid, "\u{2013}".to_owned(), Ink::Text),
        });
        let of = |axis: &Axis, place: f64| (axis.name.clone(), axis.values[place as usize].clone());
        panel.give(since, Owner::Settings(vec![of(across, at.0), of(up, at.1)]));
    }
    let counts = found.iter().filter_map(|(_, mean)| Some(mean.as_ref()?.n)).collect::<Vec<_>>();
    let others = comparison.axes.iter().filter(|axis| axis.values.len() > 1);
    let others = others.filter(|axis| ![&across.name, &up.name].contains(&&axis.name)).collect::<Vec<_>>();
    let mut caption = format!("Numbers: means, {}", seed_count(&counts));
    if !others.is_empty() {
        caption += &format!(", over all values of {}", names(&others));
    }
    caption += ". The axes are those that account for most; how sure differences are, the effects say.";
    if counts.len() < found.len() {
        caption +=
            &format!(" A dash: no seed finished in every cell that the mean is over ({}).", found.len() - counts.len());
    }
    Some((panel, caption))
}

fn dots(comparison: &Comparison, across: &Axis, up: &Axis) -> Option<(Panel, String, Vec<LegendItem>)> {
    let place = |axis: &Axis, value: Option<&str>| {
        value?.parse::<f64>().ok().filter(|v| v.is_finite() && !axis.name.is_empty())
    };
    let means = Means::of(comparison);
    let cells = comparison.cells();
    let found = cells.iter().filter_map(|cell| {
        let (x, y) = (place(across, cell.key.value(&across.name))?, place(up, cell.key.value(&up.name))?);
        Some(((x, y), means.of_cell(&cell.key)?.mean, &cell.key))
    });
    let mut found = found.collect::<Vec<_>>();
    if found.len() < LEAST_DOTS {
        return None;
    }
    let values = found.iter().map(|(_, mean, _)| *mean).collect::<Vec<_>>();
    let range = extent(values.iter().copied())?;
    let axis = |axis: &Axis, of: fn(&(f64, f64)) -> f64| {
        extent(found.iter().map(|(at, ..)| of(at))).map(|(low, high)| scale_axis(axis, low, high))
    };
    let mut panel = empty_panel(String::new(), axis(across, |at| at.0)?, axis(up, |at| at.1)?);
    // Colour is by rank: a few diverged cells would leave one shade for all others.
    let mut sorted = values.clone();
    sorted.sort_by(|a, b| if comparison.goal == Goal::Minimize { b.total_cmp(a) } else { a.total_cmp(b) });
    let rank = |value: f64| sorted.iter().position(|&v| v == value).unwrap_or(0) as f64 / (sorted.len() - 1) as f64;
    found.sort_by(|a, b| rank(a.1).total_cmp(&rank(b.1)));
    for (at, mean, key) in &found {
        let since = panel.so_far();
        panel.marks.push(dot(*at, 5.0, shade(rank(*mean)), true));
        panel.give(since, Owner::cell(key));
    }
    let decimals = decimals_for((range.1 - range.0) / 10.0).min(4);
    let colours = (0..SHADES).map(|i| Colour::full(shade(f64::from(i) / f64::from(SHADES - 1))));
    let (worst, best) = (sorted[0], sorted[sorted.len() - 1]);
    let legend = vec![LegendItem::Entry {
        sample: Sample::Scale(colours.collect()),
        text: format!("worst, {worst:.decimals$}, to best, {best:.decimals$}, by rank"),
    }];
    let missing = cells.len() - found.len();
    let mut caption = format!(
        "Dots: {} cells, coloured by the rank of their means. All other axes vary from dot to dot: the figure shows \
         association.",
        found.len()
    );
    if missing > 0 {
        caption += &format!(" Not drawn: {missing} cells without a result or without one of the axes.");
    }
    Some((panel, caption, legend))
}

/// How far `value` is on the way from the worst to the best.
fn goodness(comparison: &Comparison, value: f64, (low, high): (f64, f64)) -> f64 {
    let share = if high > low { (value - low) / (high - low) } else { 0.5 };
    if comparison.goal == Goal::Minimize { 1.0 - share } else { share }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{AxisKind, fixture};

    #[test]
    fn a_grid_is_a_table_of_its_means() {
        let axes = vec![
            fixture::axis("mask_ratio", &["0.15", "0.30", "0.45"], AxisKind::Numeric),
            fixture::axis("nsp", &["off", "random"], AxisKind::Category),
        ];
        let comparison = fixture::sweep_over("grid", axes, 3);
        let figure = heat_map(&comparison).unwrap();
        let mean = |mask: &str, nsp: &str| {
            let runs = comparison
                .runs
                .iter()
                .filter(|run| run.axis("mask_ratio") == Some(mask) && run.axis("nsp") == Some(nsp));
            let values = runs.filter_map(|run| run.outcome(&comparison.metric)).collect::<Vec<_>>();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let texts = figure.panels[0].marks.iter().filter_map(|mark| match mark {
            Mark::Tile { text, .. } => Some(text.clone()),
            _ => None,
        });
        let places =
            ["off", "random"].map(|nsp| ["0.15", "0.30", "0.45"].map(|mask| format!("{:.3}", mean(mask, nsp))));
        assert_eq!(texts.collect::<Vec<_>>(), places.concat());
        assert_eq!((figure.panels[0].x.label.as_str(), figure.panels[0].y.label.as_str()), ("mask_ratio", "nsp"));
    }

    #[test]
    fn two_by_two_needs_no_map() {
        assert_eq!(heat_map(&fixture::sweep()), None);
    }

    #[test]
    fn drawn_cells_are_dots_with_the_best_darkest() {
        let comparison = fixture::drawn(20);
        let figure = heat_map(&comparison).unwrap();
        let dots = figure.panels[0].marks.iter().filter_map(|mark| match mark {
            Mark::Dot { colour, .. } => Some(colour.ink),
            _ => None,
        });
        let dots = dots.collect::<Vec<_>>();
        assert_eq!((dots.len(), dots[0], dots[19]), (20, shade(0.0), shade(1.0)));
        assert!(matches!(figure.legend[..], [LegendItem::Entry { sample: Sample::Scale(_), .. }]));
    }
}
