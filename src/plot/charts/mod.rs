//! Charts: which marks answer which question about a comparison.
//!
//! Every chart shows each seed and each failed run beside the means, gives an axis value the colour that it has
//! everywhere, says in its caption what its bars mean and how many seeds they rest on, and splits into panels before its
//! lines become too many to tell apart.

mod confusion;
mod curves;
mod encoding;
mod entities;
mod estimates;
mod finals;
mod forest;
mod gap;
mod heat_map;
mod importance;
mod means;
mod owner;
mod pairs;
mod parallel;
mod pareto;
mod parts;
mod positions;
mod scale;
mod scaling;
mod scatter;
mod schedules;
mod search;
mod slices;
mod timeline;

pub use confusion::confusion;
pub use curves::{Along, Smoothing, learning_curves};
pub use encoding::{Choice, metric_label};
pub use entities::entities;
pub use finals::final_by_axis;
pub use forest::{baseline_forest, marginal_forest};
pub use gap::train_and_valid;
pub use heat_map::heat_map;
pub use importance::importance_bars;
pub use means::{interactions, marginal_means};
pub use pairs::paired_seeds;
pub use parallel::parallel_coordinates;
pub use pareto::pareto_front;
pub use scale::final_over_scale;
pub use scaling::scaling_law;
pub use scatter::{Abscissa, outcome_against};
pub use schedules::schedules;
pub use search::{best_so_far, distribution};
pub use slices::slices;
pub use timeline::timeline;

use super::figure::Figure;
use crate::analysis::{Axis, Comparison, Cost, strongest_axes};
use crate::types::MetricName;
use crate::types::metrics::{self, Metric};

/// The most figures of final values: those of the strongest axes, and of the one that was asked for.
const MOST_FINALS: usize = 8;
/// How much of the past a smoothed curve of training losses holds.
const SMOOTH: Smoothing = Smoothing::Average(0.95);

/// All figures of a report in reading order: what answers the question, what matters, where it is best, what depends on what,
/// how it came about, what it cost, and the rest. Those that have nothing to show are left out.
pub fn standard_figures(comparison: &Comparison, choice: &Choice) -> Vec<Figure> {
    let axes = strongest_axes(comparison);
    let is_asked = |axis: &Axis| choice.x.as_ref().is_some_and(|name| axis.is_called(name));
    let finals = axes.iter().enumerate().filter(|(i, axis)| *i < MOST_FINALS || is_asked(axis));
    let mut finals = finals.filter_map(|(_, axis)| match axis.is_continuous() {
        true => final_over_scale(comparison, axis, choice),
        false => final_by_axis(comparison, axis, choice),
    });
    let (answer, first) = match axes.first() {
        // Where the axis that matters most is a scale, a slice over it is the answer.
        Some(axis) if axis.is_continuous() => (finals.next(), None),
        _ => (None, finals.next()),
    };
    let (watched, training) = (watched(comparison), training_losses(comparison));
    let curves = |along| learning_curves(comparison, &watched, along, Smoothing::None, choice);
    let more = [Along::Tokens, Along::Flops, Along::Seconds].into_iter().filter(|along| along.says_more(comparison));

    let mut figures = Vec::new();
    figures.extend(answer);
    figures.extend(marginal_forest(comparison));
    figures.extend(importance_bars(comparison));
    figures.extend(first);
    figures.extend(baseline_forest(comparison));
    figures.extend(marginal_means(comparison));
    figures.extend(interactions(comparison));
    figures.extend(slices(comparison));
    figures.extend(heat_map(comparison));
    figures.extend(paired_seeds(comparison));
    figures.extend(confusion(comparison));
    figures.extend(entities(comparison));
    figures.extend([Along::Steps].into_iter().chain(more).filter_map(curves));
    figures.extend(train_and_valid(comparison, &watched, choice));
    figures.extend(scaling_law(comparison));
    figures.extend(Cost::ALL.into_iter().filter_map(|cost| pareto_front(comparison, cost)));
    figures.extend(outcome_against(comparison, Abscissa::Parameters, choice));
    figures.extend(outcome_against(comparison, Abscissa::Seconds, choice));
    figures.extend(finals);
    figures.extend(parallel_coordinates(comparison));
    figures.extend(best_so_far(comparison));
    figures.extend(distribution(comparison));
    figures
        .extend(training.iter().filter_map(|metric| learning_curves(comparison, metric, Along::Steps, SMOOTH, choice)));
    figures.extend(recorded(comparison, &metrics::LEARNING_RATE).and_then(|metric| schedules(comparison, &metric)));
    figures.extend(timeline(comparison));
    figures
}

/// The name of a metric that some run has recorded.
fn recorded(comparison: &Comparison, metric: &Metric) -> Option<MetricName> {
    let name = metric.metric_name();
    comparison.runs.iter().any(|run| run.series.contains_key(&name)).then_some(name)
}

/// The training losses that are drawn beside the comparison's metric: that of masked words, or of a task.
fn training_losses(comparison: &Comparison) -> Vec<MetricName> {
    let of_words = recorded(comparison, &metrics::TRAIN_MLM_LOSS);
    let found = of_words.or_else(|| recorded(comparison, &metrics::TRAIN_LOSS));
    found.into_iter().filter(|metric| *metric != comparison.metric).collect()
}

/// The metric whose curves are drawn. What was judged once, after the last step, has none; the same on held-out examples
/// has, where it was recorded.
fn watched(comparison: &Comparison) -> MetricName {
    let is_curve = |metric: &MetricName| {
        comparison.runs.iter().any(|run| run.series.get(metric).is_some_and(|points| points.len() > 1))
    };
    let held_out =
        comparison.metric.as_str().strip_prefix("test/").and_then(|leaf| format!("valid/{leaf}").parse().ok());
    held_out.filter(is_curve).unwrap_or_else(|| comparison.metric.clone())
}

#[cfg(test)]
pub(in crate::plot) mod tests;
