//! Loss against compute where models have several sizes, with a fitted scaling law.

use std::collections::BTreeSet;

use super::curves::extent;
use super::encoding::{empty_panel, metric_label};
use super::finals::{add_floors, quantity};
use super::parts::{dot, line};
use crate::analysis::statistics::mean;
use crate::analysis::{Comparison, Cost, Goal, LEAST_SIZES, ScalingLaw};
use crate::plot::figure::{Colour, Dash, Figure, HEIGHT_PT, Ink, Mark, Owner};
use crate::plot::ticks::{linear_axis, log_axis, si};

/// How far beyond the largest compute the law is drawn.
const BEYOND: f64 = 3.0;
const PLACES: usize = 60;
/// The next size has so many times the parameters of the last at least.
const APART: f64 = 1.25;

/// Every finished run at its compute, with the law through all of them. Absent with fewer than four sizes, for a metric that
/// is no loss, and where compute is not known.
pub fn scaling_law(comparison: &Comparison) -> Option<Figure> {
    let runs = comparison.runs.iter().filter_map(|run| {
        let compute = Cost::Flops.of(run);
        (compute > 0.0).then_some((run.parameters, compute, run.outcome(&comparison.metric)?, run))
    });
    let runs = runs.collect::<Vec<_>>();
    let sizes = distinct_sizes(runs.iter().map(|(size, ..)| *size).collect());
    if sizes.len() < LEAST_SIZES || comparison.goal != Goal::Minimize {
        return None;
    }
    let points = runs.iter().map(|&(_, compute, loss, _)| (compute, loss)).collect::<Vec<_>>();
    let law = ScalingLaw::fit(&points);
    let (first, last) = extent(points.iter().map(|(x, _)| *x))?;
    let (low, high) = extent(points.iter().map(|(_, y)| *y))?;
    let end = if law.is_some() { BEYOND * last } else { last };
    let lowest = law.as_ref().map_or(low, |law| law.at(end).0.min(low));
    let pad = 0.1 * (high - lowest).max(1e-9);
    let mut panel = empty_panel(
        String::new(),
        log_axis("training compute (FLOPs, log scale)", first, end),
        linear_axis(metric_label(&comparison.metric), lowest - pad, high + pad, 5),
    );
    add_floors(comparison, &mut panel);
    let colour = Colour::full(Ink::Category(0));
    if let Some(law) = &law {
        let places =
            |from: f64, to: f64| (0..PLACES).map(move |i| from * (to / from).powf(i as f64 / (PLACES - 1) as f64));
        let fitted = places(first, end).map(|x| (x, law.at(x).1)).collect::<Vec<_>>();
        let low = fitted.iter().map(|(x, interval)| (*x, interval.low)).collect();
        let high = fitted.iter().map(|(x, interval)| (*x, interval.high)).collect();
        panel.marks.push(Mark::Band { low, high, colour });
        let curve = |from: f64, to: f64| places(from, to).map(|x| (x, law.at(x).0)).collect::<Vec<_>>();
        panel.marks.push(line(curve(first, last), colour, 1.7, Dash::Solid));
        panel.marks.push(line(curve(last, end), colour, 1.3, Dash::Dashed));
    }
    for &(_, x, y, run) in &runs {
        let since = panel.so_far();
        panel.marks.push(dot((x, y), 2.4, Ink::Text, true));
        panel.give(since, Owner::run(run));
    }
    for size in &sizes {
        let of = runs.iter().filter(|(other, ..)| nearest(&sizes, *other) == Some(size));
        let (xs, ys): (Vec<f64>, Vec<f64>) = of.map(|&(_, x, y, _)| (x, y)).unzip();
        let at = (mean(&xs)?, mean(&ys)?);
        panel.marks.push(Mark::Note { at, text: si(*size as f64), colour: Colour::full(Ink::Text) });
    }
    Some(Figure {
        kind: "scaling",
        legend: Vec::new(),
        name: "scaling-law".to_owned(),
        title: format!("{}: {} against compute", comparison.experiment, quantity(comparison)),
        subtitle: law.as_ref().map_or("No falling law fits.".to_owned(), in_words),
        caption: caption(points.len(), sizes.len(), law.is_some()),
        height: HEIGHT_PT,
        columns: 1,
        panels: vec![panel],
    })
}

/// The sizes that are sizes of their own: a head more or less is none.
fn distinct_sizes(all: BTreeSet<u64>) -> Vec<u64> {
    let mut distinct = Vec::<u64>::new();
    for size in all {
        if distinct.last().is_none_or(|&last| size as f64 > APART * last as f64) {
            distinct.push(size);
        }
    }
    distinct
}

fn nearest(sizes: &[u64], size: u64) -> Option<&u64> {
    sizes.iter().filter(|other| **other <= size).max()
}

/// The law in a sentence.
fn in_words(law: &ScalingLaw) -> String {
    let range = match law.ends() {
        [Some(low), Some(high)] => format!("95 %: {low:.2} to {high:.2}"),
        [Some(low), None] => format!("95 %: from {low:.2} on"),
        [None, Some(high)] => format!("95 %: up to {high:.2}"),
        [None, None] => "not bounded by these runs".to_owned(),
    };
    format!("Loss = {:.2} + a C^\u{2212}\u{3b1}, with \u{3b1} = {:.2} ({range}).", law.floor, law.exponent)
}

fn caption(runs: usize, sizes: usize, has_law: bool) -> String {
    let mut caption = format!("Dots: {runs} finished runs of {sizes} sizes, named by their parameters on the right.");
    if has_law {
        caption += " Line: least squares over runs, each taken as independent; band: 95 % by profile likelihood, if the law \
                    holds; dashed: beyond what was run. Compute is counted by matrix products, as the plan counts it.";
    }
    caption
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::sized;

    #[test]
    fn a_law_is_found_and_told() {
        let figure = scaling_law(&sized(6)).unwrap();
        assert!(
            figure.subtitle.starts_with("Loss = ") && figure.subtitle.contains("\u{3b1} = 0.2"),
            "{}",
            figure.subtitle
        );
        let labels = figure.panels[0].marks.iter().filter_map(|mark| match mark {
            Mark::Note { text, .. } => Some(text.as_str()),
            _ => None,
        });
        let labels = labels.collect::<Vec<_>>();
        assert_eq!(labels, ["100k", "400k", "1.6M", "6.4M", "26M", "102M"]);
    }

    #[test]
    fn three_sizes_are_no_law() {
        assert_eq!(scaling_law(&sized(3)), None);
        assert_eq!(distinct_sizes([100, 102, 130, 150, 200].into()), [100, 130, 200]);
        let mut comparison = sized(5);
        comparison.goal = Goal::Maximize;
        assert_eq!(scaling_law(&comparison), None);
    }
}
