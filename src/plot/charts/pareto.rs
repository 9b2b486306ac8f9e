//! The Pareto front: the mean of every cell against its cost, the front drawn and numbered, what is dominated grey.

use super::curves::extent;
use super::encoding::empty_panel;
use super::estimates::Estimates;
use super::finals::{quantity, value_axis, worst};
use crate::analysis::{Candidate, Comparison, Cost, Goal, Place, pareto, strongest_axes};
use crate::plot::figure::{
    Colour, Dash, Figure, HEIGHT_PT, Ink, LegendItem, Mark, Owner, Panel, PlotAxis, Sample, Scale, Stroke,
};
use crate::plot::ticks::{linear_axis, log_axis, short};

const FRONT: Colour = Colour::full(Ink::Category(0));
/// The settings that name a cell of the front: those of the strongest axes.
const NAMING_AXES: usize = 4;

/// The front over one cost. Absent where no run has finished, and where all cells cost the same.
pub fn pareto_front(comparison: &Comparison, cost: Cost) -> Option<Figure> {
    let candidates = pareto(comparison, cost);
    let finished = candidates.iter().filter(|candidate| candidate.estimate.is_some());
    let (low, high) = extent(finished.map(|candidate| candidate.cost))?;
    if high <= 1.02 * low {
        return None;
    }
    let (low, high) = extent(candidates.iter().map(|candidate| candidate.cost))?;
    let parts = candidates.iter().map(|candidate| vec![candidate.key.clone()]).collect::<Vec<_>>();
    let estimates = Estimates::of(comparison, &parts);
    let y = value_axis(comparison, estimates.heights_without_runs())?;
    let mut panel = empty_panel(String::new(), cost_axis(cost, low, high), y);
    let front = front(&candidates);
    draw_cells(comparison, &candidates, &estimates, &mut panel);
    draw_front(&front, comparison.goal, &mut panel);
    let (name, words) = match cost {
        Cost::Parameters => ("pareto-parameters", "parameters"),
        Cost::Flops => ("pareto-compute", "training compute"),
        Cost::Seconds => ("pareto-time", "training time"),
    };
    let mut caption = Estimates::caption_of_all(std::slice::from_ref(&estimates));
    caption += " Cost: the mean over the same runs.";
    if cost == Cost::Seconds {
        caption += " Time depends on the machine and on what else it did.";
    }
    Some(Figure {
        kind: "pareto",
        name: name.to_owned(),
        title: format!("{}: {} against {words}", comparison.experiment, quantity(comparison)),
        subtitle: "Nothing else in the sweep is better for its cost than the cells on the line.".to_owned(),
        legend: legend(comparison, &candidates, &front),
        caption,
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

fn cost_axis(cost: Cost, low: f64, high: f64) -> PlotAxis {
    match cost {
        Cost::Parameters => log_axis("parameters (log scale)", low, high),
        Cost::Flops => log_axis("training compute (FLOPs, log scale)", low, high),
        Cost::Seconds if high < 3.0 * low => {
            let pad = 0.06 * (high - low);
            linear_axis("wall-clock time of training (s)", low - pad, high + pad, 5)
        }
        Cost::Seconds => log_axis("wall-clock time of training (s, log scale)", low, high),
    }
}

/// The cells of the front with their means, the cheapest first.
fn front(candidates: &[Candidate]) -> Vec<(&Candidate, f64)> {
    let of_front = candidates.iter().filter(|candidate| candidate.place == Place::Front);
    let mut front = of_front.filter_map(|candidate| Some((candidate, candidate.estimate?.mean))).collect::<Vec<_>>();
    front.sort_by(|(a, _), (b, _)| a.cost.total_cmp(&b.cost));
    front
}

/// What is not on the front, with pale bars, and what has no result.
fn draw_cells(comparison: &Comparison, candidates: &[Candidate], estimates: &Estimates, panel: &mut Panel) {
    for (candidate, one) in candidates.iter().zip(&estimates.drawn) {
        let Some(one) = one else {
            let at = (candidate.cost, worst(comparison, &panel.y));
            panel.marks.push(Mark::Cross { at, colour: Colour::full(Ink::Muted) });
            continue;
        };
        let since = panel.so_far();
        let ink = if candidate.place == Place::Front { FRONT.ink } else { Ink::Muted };
        if let Some(bar) = one.bar {
            let (x, colour) = (candidate.cost, Colour::pale(ink));
            panel.marks.push(Mark::Interval { x, low: bar.low, high: bar.high, colour });
        }
        let (colour, filled) = look(candidate.place);
        if candidate.place != Place::Front {
            panel.marks.push(Mark::Dot { at: (candidate.cost, one.mean), radius: 2.6, colour, filled });
        }
        panel.give(since, Owner::cell(&candidate.key));
    }
}

fn look(place: Place) -> (Colour, bool) {
    match place {
        Place::Front => (FRONT, true),
        Place::Open => (Colour::full(Ink::Muted), false),
        Place::Dominated | Place::Missing => (Colour::pale(Ink::Muted), true),
    }
}

/// The steps of the front on top of everything, each cell with its number.
fn draw_front(front: &[(&Candidate, f64)], goal: Goal, panel: &mut Panel) {
    let mut steps = Vec::<(f64, f64)>::new();
    for (candidate, mean) in front {
        steps.extend(steps.last().map(|&(_, before)| (candidate.cost, before)));
        steps.push((candidate.cost, *mean));
    }
    steps.extend(steps.last().map(|&(_, before)| (panel.x.high, before)));
    panel.marks.push(Mark::Line { points: steps, stroke: Stroke { colour: FRONT, width: 1.5, dash: Dash::Solid } });
    for (candidate, mean) in front {
        let since = panel.so_far();
        panel.marks.push(Mark::Dot { at: (candidate.cost, *mean), radius: 3.2, colour: FRONT, filled: true });
        panel.give(since, Owner::cell(&candidate.key));
    }
    // Neighbours that nearly touch share a place for their numbers.
    let share = |at: (f64, f64)| {
        let x = match panel.x.scale {
            Scale::Linear => (at.0 - panel.x.low) / (panel.x.high - panel.x.low),
            Scale::Log10 => (at.0 / panel.x.low).ln() / (panel.x.high / panel.x.low).ln(),
        };
        (x, (at.1 - panel.y.low) / (panel.y.high - panel.y.low))
    };
    let mut tags = Vec::<((f64, f64), String)>::new();
    for (i, (candidate, mean)) in front.iter().enumerate() {
        let (at, number) = ((candidate.cost, *mean), (i + 1).to_string());
        match tags.last_mut().filter(|(last, _)| {
            let (a, b) = (share(*last), share(at));
            (a.0 - b.0).abs() < 0.035 && (a.1 - b.1).abs() < 0.07
        }) {
            Some((place, text)) => (*place, *text) = (at, format!("{text}, {number}")),
            None => tags.push((at, number)),
        }
    }
    let below = goal == Goal::Minimize;
    panel.marks.extend(tags.into_iter().map(|(at, text)| Mark::Tag { at, text, colour: FRONT, below }));
}

/// The cells of the front by number, and what the other dots are.
fn legend(comparison: &Comparison, candidates: &[Candidate], front: &[(&Candidate, f64)]) -> Vec<LegendItem> {
    let axes = strongest_axes(comparison).into_iter().take(NAMING_AXES).collect::<Vec<_>>();
    let dot = |place: Place, text: String| {
        let (colour, filled) = look(place);
        LegendItem::Entry { sample: Sample::Dot { colour, filled }, text }
    };
    let name = |candidate: &Candidate| {
        let values = axes.iter().filter_map(|axis| candidate.key.value(&axis.name)).map(short).collect::<Vec<_>>();
        if values.is_empty() { "the only cell".to_owned() } else { values.join(", ") }
    };
    let mut items = vec![LegendItem::Heading(super::encoding::names(&axes))];
    items.retain(|_| !axes.is_empty());
    items.extend(
        front
            .iter()
            .enumerate()
            .map(|(i, (candidate, _))| dot(Place::Front, format!("{}: {}", i + 1, name(candidate)))),
    );
    let count = |place| candidates.iter().filter(|candidate| candidate.place == place).count();
    let others = [(Place::Open, "dominated by its mean, not surely worse"), (Place::Dominated, "dominated")];
    let others = others.into_iter().filter(|(place, _)| count(*place) > 0);
    items.extend(others.map(|(place, words)| dot(place, format!("{words} ({})", count(place)))));
    if count(Place::Missing) > 0 {
        let text = format!("no finished run ({})", count(Place::Missing));
        items.push(LegendItem::Entry { sample: Sample::Cross(Colour::full(Ink::Muted)), text });
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{RunState, fixture};

    #[test]
    fn every_cell_is_in_the_picture_and_the_front_is_named() {
        let mut comparison = fixture::sweep();
        let lost =
            |run: &&mut crate::analysis::RunData| run.axis("size") == Some("mini") && run.axis("nsp") == Some("off");
        comparison.runs.iter_mut().filter(lost).for_each(|run| run.state = RunState::Failed);
        let figure = pareto_front(&comparison, Cost::Parameters).unwrap();
        let count = |wanted: fn(&Mark) -> bool| figure.panels[0].marks.iter().filter(|mark| wanted(mark)).count();
        assert_eq!(count(|mark| matches!(mark, Mark::Dot { .. })), 6);
        assert_eq!(count(|mark| matches!(mark, Mark::Cross { .. })), 2);
        let entries = figure.legend.iter().filter_map(|item| match item {
            LegendItem::Entry { text, .. } => Some(text.as_str()),
            LegendItem::Heading(_) => None,
        });
        insta::assert_snapshot!(entries.collect::<Vec<_>>().join("\n"), @"
        1: tiny, off, 0.30
        2: mini, random, 0.30
        dominated (4)
        no finished run (2)
        ");
    }

    #[test]
    fn one_cost_has_no_front() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.parameters = 1_000_000);
        assert_eq!(pareto_front(&comparison, Cost::Parameters), None);
        assert!(pareto_front(&comparison, Cost::Seconds).is_some());
    }
}
