//! The final metric over an axis whose values are a scale: a slice, with each cell at its own place.

use super::encoding::{Choice, Encoding, Samples, empty_panel, names};
use super::estimates::Estimates;
use super::finals::{add_floors, missing_in_legend, quantity, value_axis, worst};
use super::positions::Positions;
use crate::analysis::{Axis, Comparison};
use crate::plot::figure::{Colour, Figure, HEIGHT_PT, Ink, Mark};
use crate::plot::palette::Palette;

/// Every cell at its value of `axis`. Absent where no run has finished. All other axes vary freely below the dots, so
/// that the figure shows association; the strongest of them is the colour.
pub fn final_over_scale(comparison: &Comparison, axis: &Axis, choice: &Choice) -> Option<Figure> {
    let cells = comparison.cells();
    let places = Positions::of(axis);
    let place = |value: &str| axis.values.iter().position(|other| other == value).and_then(|i| places.at(i, 0, 1));
    let estimates = Estimates::of(comparison, &cells.iter().map(|cell| vec![cell.key.clone()]).collect::<Vec<_>>());
    let encoding = Encoding::new(comparison, choice, &[&axis.name]);
    let others = encoding.colour.into_iter().chain(encoding.rest.iter().copied()).collect::<Vec<_>>();
    let palette = Palette::of(&comparison.axes);
    let mut panel = empty_panel(String::new(), places.x.clone(), value_axis(comparison, estimates.heights())?);
    add_floors(comparison, &mut panel);
    let (mut missing, mut elsewhere) = (0, 0);
    for (cell, one) in cells.iter().zip(&estimates.drawn) {
        let Some(x) = cell.key.value(&axis.name).and_then(place) else {
            elsewhere += 1;
            continue;
        };
        let ink = encoding.colour.and_then(|other| Some(palette.ink(&other.name, cell.key.value(&other.name)?)));
        let ink = ink.unwrap_or(Ink::Category(0));
        missing += cell.runs.iter().filter(|run| run.outcome(&comparison.metric).is_none()).count();
        match one {
            Some(one) => one.draw(x, (ink, true), &mut panel),
            None => {
                let at = (x, worst(comparison, &panel.y));
                panel.marks.push(Mark::Cross { at, colour: Colour::full(ink) });
            }
        }
    }
    let mut caption = estimates.caption("");
    if !others.is_empty() {
        caption += &format!(" {} vary from dot to dot: the figure shows association.", names(&others));
    }
    if elsewhere > 0 {
        caption += &format!(" Cells without {}: {elsewhere}, not drawn.", axis.name);
    }
    let mut legend = encoding.legend(&palette, Samples::Dots);
    legend.extend(missing_in_legend(missing));
    Some(Figure {
        kind: "axes",
        name: format!("final-by-{}", axis.name),
        title: format!("{}: final {} over {}", comparison.experiment, quantity(comparison), axis.name),
        subtitle: String::new(),
        legend,
        caption,
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{AxisKind, RunState, fixture};

    fn drawn(values: usize) -> Comparison {
        let values = (1..=values).map(|i| format!("{:e}", 1e-5 * 1.5_f64.powi(i as i32))).collect::<Vec<_>>();
        let values = values.iter().map(String::as_str).collect::<Vec<_>>();
        let axes = vec![
            fixture::axis("nsp", &["off", "random"], AxisKind::Category),
            fixture::axis("lr", &values, AxisKind::Numeric),
        ];
        fixture::sweep_over("drawn", axes, 1)
    }

    #[test]
    fn every_cell_has_its_place_on_the_scale() {
        let mut comparison = drawn(12);
        comparison.runs[3].state = RunState::Failed;
        let figure = final_over_scale(&comparison, &comparison.axes[1], &Choice::default()).unwrap();
        let count = |wanted: fn(&Mark) -> bool| figure.panels[0].marks.iter().filter(|mark| wanted(mark)).count();
        assert_eq!(count(|mark| matches!(mark, Mark::Dot { .. })), 22, "{}", figure.caption);
        assert_eq!(count(|mark| matches!(mark, Mark::Cross { .. })), 2);
        let ticks = figure.panels[0].x.ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>();
        assert!(ticks.contains(&"2e\u{2212}5") && ticks.contains(&"1e\u{2212}3"), "{ticks:?}");
    }

    #[test]
    fn a_random_sweep_has_readable_figures() {
        let mut comparison = drawn(40);
        let place = |run: &crate::analysis::RunData| {
            comparison.axes[1].values.iter().position(|value| Some(value.as_str()) == run.axis("lr")).unwrap()
        };
        let is_kept = |run: &crate::analysis::RunData| (run.axis("nsp") == Some("off")) == place(run).is_multiple_of(2);
        let kept = comparison.runs.iter().filter(|run| is_kept(run)).cloned().collect();
        (comparison.runs, comparison.baseline) = (kept, None);
        for figure in super::super::standard_figures(&comparison, &Default::default()) {
            let most = figure.panels.iter().map(|panel| panel.x.ticks.len().max(panel.labels.len())).max();
            assert!(figure.panels.len() <= 6 && most <= Some(12), "{}: {most:?}", figure.name);
        }
    }
}
