//! How a search went: the best so far, run by run, and how the outcomes of all cells are distributed.

use super::curves::extent;
use super::encoding::{empty_panel, metric_label, seed_count};
use super::finals::quantity;
use super::parts::{dot, label, line};
use crate::analysis::{Axis, Comparison, Means, is_full_grid};
use crate::plot::figure::{Colour, Dash, Figure, HEIGHT_PT, Ink, Owner, Panel};
use crate::plot::palette::Palette;
use crate::plot::ticks::{linear_axis, number};

/// A grid of fewer cells is no search, and fewer cells have no distribution.
const LEAST_CELLS: usize = 12;

fn is_search(comparison: &Comparison, cells: usize) -> bool {
    cells >= LEAST_CELLS || (cells >= 8 && !is_full_grid(comparison))
}

/// The outcome of every finished run in the order in which they ended, and the best so far. Absent where that order is not
/// known, and where cells are few.
pub fn best_so_far(comparison: &Comparison) -> Option<Figure> {
    let finished = comparison.runs.iter().filter_map(|run| {
        let (_, end) = run.sessions.last()?;
        Some((*end, run.outcome(&comparison.metric)?, run))
    });
    let mut finished = finished.collect::<Vec<_>>();
    if !is_search(comparison, comparison.cells().len()) || finished.len() < LEAST_CELLS.min(8) {
        return None;
    }
    finished.sort_by_key(|(end, ..)| *end);
    let (low, high) = extent(finished.iter().map(|(_, value, _)| *value))?;
    let pad = 0.06 * (high - low).max(1e-9);
    let y = linear_axis(metric_label(&comparison.metric), low - pad, high + pad, 5);
    let count = finished.len() as f64;
    let mut panel = empty_panel(String::new(), linear_axis("finished runs", 0.0, count + 0.5, 6), y);
    let (mut steps, mut best, mut dots) = (Vec::new(), None::<f64>, Vec::new());
    for (i, (_, value, run)) in finished.iter().enumerate() {
        let x = (i + 1) as f64;
        let is_better = best.is_none_or(|best| comparison.goal.prefers(*value, best));
        let ink = if is_better { Ink::Category(0) } else { Ink::Muted };
        dots.push((dot((x, *value), 2.2, ink, is_better), Owner::run(run)));
        if is_better {
            steps.extend(best.map(|before| (x, before)));
            steps.push((x, *value));
            best = Some(*value);
        }
    }
    let last = (count, best?);
    steps.push(last);
    panel.marks.push(line(steps, Colour::full(Ink::Category(0)), 1.5, Dash::Solid));
    for (dot, owner) in dots {
        let since = panel.so_far();
        panel.marks.push(dot);
        panel.give(since, owner);
    }
    panel.labels.push(label(last, format!("best {}", number(last.1, 3)), Ink::Category(0)));
    Some(Figure {
        kind: "search",
        legend: Vec::new(),
        name: "best-so-far".to_owned(),
        title: format!("{}: the best {} so far", comparison.experiment, quantity(comparison)),
        subtitle: "Runs in the order in which they ended.".to_owned(),
        caption:
            "Dots: finished runs; full where a run was better than all before it. The best of many runs is, on the \
                  average, too good: cells with several seeds are judged by their means elsewhere."
                .to_owned(),
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

/// The share of cells that are at least so good, for each value of the axis with fewest values. Absent where cells are few.
pub fn distribution(comparison: &Comparison) -> Option<Figure> {
    let means = Means::of(comparison);
    let cells = comparison.cells();
    let found = cells.iter().filter_map(|cell| Some((cell, means.of_cell(&cell.key)?))).collect::<Vec<_>>();
    if !is_search(comparison, found.len()) {
        return None;
    }
    let (low, high) = extent(found.iter().map(|(_, mean)| mean.mean))?;
    let pad = 0.04 * (high - low).max(1e-9);
    let x = linear_axis(metric_label(&comparison.metric), low - pad, high + pad, 6);
    let mut panel = empty_panel(String::new(), x, linear_axis("share of the cells (%)", 0.0, 102.0, 5));
    // An axis whose values have enough cells each.
    let is_short = |axis: &&Axis| (2..=4).contains(&axis.values.len()) && found.len() >= 4 * axis.values.len();
    let axis = comparison.axes.iter().filter(is_short).min_by_key(|axis| axis.values.len());
    let palette = Palette::of(&comparison.axes);
    let of = |wanted: Option<&str>| {
        let is_of = |cell: &crate::analysis::Cell<'_>| axis.is_none_or(|axis| cell.key.value(&axis.name) == wanted);
        found.iter().filter(|(cell, _)| is_of(cell)).map(|(_, mean)| mean.mean).collect::<Vec<_>>()
    };
    match axis {
        None => add_steps(comparison, of(None), Ink::Category(0), &mut panel),
        Some(axis) => {
            for value in &axis.values {
                let since = panel.so_far();
                add_steps(comparison, of(Some(value)), palette.ink(&axis.name, value), &mut panel);
                panel.give(since, Owner::Settings(vec![(axis.name.clone(), value.clone())]));
            }
        }
    }
    let counts = found.iter().map(|(_, mean)| mean.n).collect::<Vec<_>>();
    Some(Figure {
        kind: "search",
        legend: axis.map_or(Vec::new(), |axis| super::encoding::colours_of(axis, &palette)),
        name: "distribution".to_owned(),
        title: format!("{}: how many cells are how good", comparison.experiment),
        subtitle: String::new(),
        caption: format!(
            "Empirical distribution of the means of {} cells ({}): the height at a value is the share of cells that are as \
             good or better. A line further up is better.",
            found.len(),
            seed_count(&counts)
        ),
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

/// The steps of one distribution, from the best value on.
fn add_steps(comparison: &Comparison, mut values: Vec<f64>, ink: Ink, panel: &mut Panel) {
    let is_less_better = comparison.goal.prefers(0.0, 1.0);
    values.sort_by(|a, b| if is_less_better { a.total_cmp(b) } else { b.total_cmp(a) });
    let share = |i: usize| 100.0 * i as f64 / values.len() as f64;
    let steps = values.iter().enumerate().flat_map(|(i, &value)| [(value, share(i)), (value, share(i + 1))]);
    let mut steps = steps.collect::<Vec<_>>();
    let (near, far) = if is_less_better { (panel.x.low, panel.x.high) } else { (panel.x.high, panel.x.low) };
    let Some(&(first, _)) = steps.first() else { return };
    steps.splice(0..0, [(near, 0.0), (first, 0.0)]);
    steps.push((far, 100.0));
    panel.marks.push(line(steps, Colour::full(ink), 1.5, Dash::Solid));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;
    use crate::plot::figure::Mark;

    fn first_line(figure: &Figure) -> Vec<(f64, f64)> {
        let line = figure.panels[0].marks.iter().find_map(|mark| match mark {
            Mark::Line { points, .. } => Some(points.clone()),
            _ => None,
        });
        line.unwrap()
    }

    #[test]
    fn the_best_so_far_never_rises_and_ends_at_the_best() {
        let comparison = fixture::drawn(20);
        let points = first_line(&best_so_far(&comparison).unwrap());
        assert!(points.windows(2).all(|pair| pair[1].1 <= pair[0].1 && pair[1].0 >= pair[0].0));
        let best = comparison.runs.iter().filter_map(|run| run.outcome(&comparison.metric)).fold(f64::MAX, f64::min);
        assert_eq!(points.last().unwrap(), &(20.0, best));
    }

    /// By counting at places between the values.
    #[test]
    fn the_distribution_counts() {
        let comparison = fixture::drawn(20);
        let points = first_line(&distribution(&comparison).unwrap());
        // The first line is of the first schedule, which half of the cells have.
        let runs = comparison.runs.iter().filter(|run| run.axis("schedule") == Some("linear"));
        let values = runs.filter_map(|run| run.outcome(&comparison.metric)).collect::<Vec<_>>();
        for probe in values.iter().map(|value| value + 1e-9) {
            let drawn = points.iter().take_while(|(x, _)| *x < probe).last().unwrap().1;
            let counted = values.iter().filter(|&&value| value < probe).count() as f64 * 10.0;
            assert!((drawn - counted).abs() < 1e-9);
        }
    }

    #[test]
    fn a_small_grid_is_no_search() {
        assert_eq!((best_so_far(&fixture::sweep()), distribution(&fixture::sweep())), (None, None));
    }
}
