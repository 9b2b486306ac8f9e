//! The Pareto front: the mean of every cell against its cost, the front drawn, what is dominated grey.

use super::curves::extent;
use super::encoding::empty_panel;
use super::finals::{quantity, value_axis};
use crate::analysis::{Candidate, Comparison, Cost, Place, pareto};
use crate::plot::figure::{Colour, Dash, Figure, HEIGHT_PT, Ink, Label, Mark, Owner, Panel, PlotAxis, Stroke};
use crate::plot::ticks::{linear_axis, log_axis};

/// The front over one cost. Absent where no run has finished, and where all cells cost the same.
pub fn pareto_front(comparison: &Comparison, cost: Cost) -> Option<Figure> {
    let candidates = pareto(comparison, cost);
    let finished = candidates.iter().filter(|candidate| candidate.estimate.is_some());
    let (low, high) = extent(finished.map(|candidate| candidate.cost))?;
    if high <= 1.02 * low {
        return None;
    }
    let (low, high) = extent(candidates.iter().map(|candidate| candidate.cost))?;
    let outcomes = comparison.runs.iter().filter_map(|run| run.outcome(&comparison.metric));
    let (y, is_cut) = value_axis(comparison, outcomes)?;
    let mut panel = empty_panel(String::new(), cost_axis(cost, low, high), y);
    draw_front(comparison, &candidates, &mut panel);
    let (name, words) = match cost {
        Cost::Parameters => ("pareto-parameters", "parameters"),
        Cost::Flops => ("pareto-compute", "training compute"),
        Cost::Seconds => ("pareto-time", "training time"),
    };
    let count = |place| candidates.iter().filter(|candidate| candidate.place == place).count();
    let axes = comparison.axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>().join(", ");
    Some(Figure {
        kind: "pareto",
        name: name.to_owned(),
        title: format!("{}: {} against {words}", comparison.experiment, quantity(comparison)),
        subtitle: format!(
            "Nothing else in the sweep is better for its cost than the cells on the line. Labels: {axes}."
        ),
        caption: caption(cost, [count(Place::Open), count(Place::Missing)], is_cut),
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

fn draw_front(comparison: &Comparison, candidates: &[Candidate], panel: &mut Panel) {
    let mut front = candidates.iter().filter(|candidate| candidate.place == Place::Front).collect::<Vec<_>>();
    front.sort_by(|a, b| a.cost.total_cmp(&b.cost));
    let colour = Colour::full(Ink::Category(0));
    let mean = |candidate: &Candidate| candidate.estimate.map_or(f64::NAN, |estimate| estimate.mean);
    let mut steps = Vec::new();
    for candidate in &front {
        steps.extend(steps.last().map(|&(_, before)| (candidate.cost, before)));
        steps.push((candidate.cost, mean(candidate)));
    }
    steps.extend(steps.last().map(|&(_, before)| (panel.x.high, before)));
    panel.marks.push(Mark::Line { points: steps, stroke: Stroke { colour, width: 1.3, dash: Dash::Solid } });
    let worse = if comparison.goal.prefers(0.0, 1.0) { panel.y.high } else { panel.y.low };
    for candidate in candidates.iter().filter(|candidate| candidate.place != Place::Front).chain(front) {
        let (ink, filled) = match candidate.place {
            Place::Front => (colour, true),
            Place::Open => (Colour::full(Ink::Muted), false),
            Place::Dominated | Place::Missing => (Colour::pale(Ink::Muted), true),
        };
        let since = panel.so_far();
        let Some(estimate) = candidate.estimate else {
            panel.marks.push(Mark::Cross { at: (candidate.cost, worse), colour: Colour::full(Ink::Muted) });
            continue;
        };
        if let Some(interval) = estimate.interval {
            let colour = if candidate.place == Place::Front { colour } else { Colour::pale(Ink::Muted) };
            panel.marks.push(Mark::Interval { x: candidate.cost, low: interval.low, high: interval.high, colour });
        }
        panel.marks.push(Mark::Dot {
            at: (candidate.cost, estimate.mean),
            nudge: 0.0,
            radius: 2.9,
            colour: ink,
            filled,
        });
        if candidate.place == Place::Front {
            let values = candidate.key.0.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>();
            panel.labels.push(Label { y: estimate.mean, text: values.join(", "), colour });
        }
        panel.give(since, Owner::cell(&candidate.key));
    }
}

fn caption(cost: Cost, [open, missing]: [usize; 2], is_cut: bool) -> String {
    let mut caption =
        "Dots and bars: mean of a cell over its finished seeds and its 95 % interval (Student's t); cost: the \
                       mean over the same runs. Grey: dominated. "
            .to_owned();
    if open > 0 {
        caption += &format!(
            "Hollow ({open}): dominated by its mean, but the seeds cannot tell it from the best that costs no more (paired, \
             5 %, Holm-corrected over all pairs of cells). "
        );
    }
    if missing > 0 {
        caption += &format!("A cross at the frame: no run of the cell finished ({missing}). ");
    }
    if is_cut {
        caption += "A bar that reaches the frame goes on beyond it. ";
    }
    if cost == Cost::Seconds {
        caption += "Time depends on the machine and on what else it did.";
    }
    caption.trim_end().to_owned()
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
        let labels = figure.panels[0].labels.iter().map(|label| label.text.as_str()).collect::<Vec<_>>();
        assert_eq!(labels, ["tiny, 0.30, off", "mini, 0.30, random"]);
        assert!(figure.caption.contains("no run of the cell finished (2)"), "{}", figure.caption);
    }

    #[test]
    fn one_cost_has_no_front() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.parameters = 1_000_000);
        assert_eq!(pareto_front(&comparison, Cost::Parameters), None);
        assert!(pareto_front(&comparison, Cost::Seconds).is_some());
    }
}
