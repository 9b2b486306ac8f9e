//! Slices of a random design: the outcome over each axis of numbers, with a fitted bend.

use super::curves::{extent, height_for};
use super::encoding::{empty_panel, metric_label, seed_count};
use super::finals::quantity;
use super::parts::{dot, line};
use super::positions::scale_axis;
use crate::analysis::{Axis, Comparison, Means, Part, Trend, importance};
use crate::plot::figure::{Colour, Dash, Figure, Ink, Mark, Owner, Panel, PlotAxis, Scale};
use crate::plot::ticks::linear_axis;

/// Axes that have a panel; the rest accounts for less.
const MOST_PANELS: usize = 6;
/// Places at which a fitted curve is drawn.
const PLACES: usize = 48;

/// One panel for each axis whose values are a scale, the one that accounts for most first. Absent without such an axis.
pub fn slices(comparison: &Comparison) -> Option<Figure> {
    let parts = importance(comparison).map(|found| found.parts).unwrap_or_default();
    let part = |axis: &Axis| parts.iter().find(|part| part.name == axis.name);
    let share = |axis: &Axis| part(axis).and_then(|part| part.share).unwrap_or(0.0);
    let mut axes = comparison.axes.iter().filter(|axis| axis.is_continuous()).collect::<Vec<_>>();
    axes.sort_by(|a, b| share(b).total_cmp(&share(a)));
    let left_out = axes.len().saturating_sub(MOST_PANELS);
    axes.truncate(MOST_PANELS);
    let means = Means::of(comparison);
    let cells = comparison.cells();
    let found = cells.iter().filter_map(|cell| Some((cell, means.of_cell(&cell.key)?))).collect::<Vec<_>>();
    let (low, high) = extent(found.iter().map(|(_, mean)| mean.mean))?;
    let pad = 0.07 * (high - low).max(1e-9);
    let y = linear_axis(metric_label(&comparison.metric), low - pad, high + pad, 5);
    let panel = |axis: &&Axis| {
        let place = |value: &str| value.parse::<f64>().ok().filter(|place| place.is_finite());
        let points = found.iter().filter_map(|(cell, mean)| {
            Some(((place(cell.key.value(&axis.name)?)?, mean.mean), Owner::cell(&cell.key)))
        });
        slice(axis, &points.collect::<Vec<_>>(), part(axis), &y)
    };
    let panels = axes.iter().filter_map(panel).collect::<Vec<_>>();
    if panels.is_empty() {
        return None;
    }
    let counts = found.iter().map(|(_, mean)| mean.n).collect::<Vec<_>>();
    let mut caption = format!(
        "Dots: cells, mean over {}. Line and band: a parabola by least squares and the 95 % interval of its mean; the other \
         axes vary below, so that it shows association. Bold line: the axis is told from chance over the whole report.",
        seed_count(&counts)
    );
    if left_out > 0 {
        caption += &format!(" Axes that account for less are not drawn ({left_out}).");
    }
    let columns = panels.len().min(3);
    Some(Figure {
        kind: "slices",
        legend: Vec::new(),
        name: "slices".to_owned(),
        title: format!("{}: final {} over each axis of numbers", comparison.experiment, quantity(comparison)),
        subtitle: "Panels: the axis that accounts for most first.".to_owned(),
        caption,
        height: if panels.len() <= columns { 230.0 } else { height_for(2) },
        columns,
        panels,
    })
}

fn slice(axis: &Axis, points: &[((f64, f64), Owner)], part: Option<&Part>, y: &PlotAxis) -> Option<Panel> {
    let (low, high) = extent(points.iter().map(|((x, _), _)| *x)).filter(|(low, high)| high > low)?;
    let x = scale_axis(axis, low, high);
    let along = |x_value: f64| if x.scale == Scale::Log10 { x_value.ln() } else { x_value };
    let title = part.map_or(axis.name.clone(), |part| format!("{}: {}", axis.name, words(part)));
    let is_clear = part.is_some_and(Part::is_clear);
    let mut panel = empty_panel(title, x.clone(), y.clone());
    let ink = if is_clear { Ink::Category(0) } else { Ink::Muted };
    if let Some(trend) = Trend::fit(&points.iter().map(|((x, y), _)| (along(*x), *y)).collect::<Vec<_>>()) {
        let places = (0..PLACES).map(|i| along(low) + (along(high) - along(low)) * i as f64 / (PLACES - 1) as f64);
        let back = |u: f64| if x.scale == Scale::Log10 { u.exp() } else { u };
        let fitted = places.map(|u| (back(u), trend.at(u))).collect::<Vec<_>>();
        let edge = |of: fn(&crate::analysis::statistics::Interval) -> f64| {
            // A wide band says no more beyond the picture.
            fitted.iter().map(|(x, (_, i))| (*x, of(i).clamp(y.low, y.high))).collect()
        };
        panel.marks.push(Mark::Band { low: edge(|i| i.low), high: edge(|i| i.high), colour: Colour::full(ink) });
        let middle = fitted.iter().map(|(x, (mean, _))| (*x, mean.clamp(y.low, y.high))).collect();
        panel.marks.push(line(middle, Colour::full(ink), if is_clear { 1.8 } else { 1.0 }, Dash::Solid));
    }
    for (at, owner) in points {
        let since = panel.so_far();
        panel.marks.push(dot(*at, 2.3, ink, true));
        panel.give(since, owner.clone());
    }
    Some(panel)
}

/// `rank correlation −0.98, clear`.
fn words(part: &Part) -> String {
    let rank = part.rank_correlation.map(|rho| {
        let sign = if rho < 0.0 { "\u{2212}" } else { "+" };
        format!("rank correlation {sign}{:.2}, ", rho.abs())
    });
    rank.unwrap_or_default() + part.word()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn the_axis_that_matters_comes_first_and_has_its_bend() {
        let comparison = fixture::drawn(24);
        let figure = slices(&comparison).unwrap();
        let titles = figure.panels.iter().map(|panel| panel.title.as_str()).collect::<Vec<_>>();
        assert!(titles[0].starts_with("lr: rank correlation ") && titles[0].ends_with(", clear"), "{titles:?}");
        assert!(titles[1].starts_with("dropout: ") && titles[1].ends_with(", inconclusive"), "{titles:?}");
        let dots = figure.panels[0].marks.iter().filter(|mark| matches!(mark, Mark::Dot { .. })).count();
        let band = figure.panels[0].marks.iter().find_map(|mark| match mark {
            Mark::Band { low, high, .. } => Some((low.clone(), high.clone())),
            _ => None,
        });
        let (low, high) = band.unwrap();
        assert_eq!(dots, 24);
        // The fixture is 5 + 0.4 (log10 lr + 2.2)^2, a parabola.
        let held = low.iter().zip(&high).filter(|((x, low), (_, high))| {
            let truth = 5.0 + 0.4 * (x.log10() + 2.2).powi(2);
            *low <= truth && truth <= *high
        });
        assert!(held.count() >= PLACES / 2);
    }

    #[test]
    fn a_grid_has_no_slices() {
        assert_eq!(slices(&fixture::sweep()), None);
    }
}
