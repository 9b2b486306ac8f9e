//! Charts: which marks answer which question about a comparison.
//!
//! Every chart shows each seed and each failed run beside the means, gives an axis value the colour that it has
//! everywhere, says in its caption what its bars mean and how many seeds they rest on, and splits into panels before its
//! lines become too many to tell apart.

mod curves;
mod encoding;
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
mod scale;
mod scaling;
mod scatter;
mod search;
mod slices;
mod timeline;

pub use curves::{Along, Smoothing, learning_curves, schedules};
pub use encoding::{Choice, metric_label};
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
pub use search::{best_so_far, distribution};
pub use slices::slices;
pub use timeline::timeline;

use super::figure::Figure;
use crate::analysis::{Comparison, Cost};
use crate::types::MetricName;
use crate::types::metrics::{self, Metric};

/// All figures of a report, in reading order; those that have nothing to show are left out.
pub fn standard_figures(comparison: &Comparison, choice: &Choice) -> Vec<Figure> {
    // What is drawn beside the comparison's own metric, where it was recorded.
    let recorded = |metric: &Metric| {
        let name = metric.metric_name();
        comparison.runs.iter().any(|run| run.series.contains_key(&name)).then_some(name)
    };
    let mut figures = Vec::new();
    let watched = watched(comparison);
    let curves = |along| learning_curves(comparison, &watched, along, Smoothing::None, choice);
    let more = [Along::Tokens, Along::Flops, Along::Seconds].into_iter().filter(|along| along.says_more(comparison));
    figures.extend([Along::Steps].into_iter().chain(more).filter_map(curves));
    figures.extend(comparison.axes.iter().filter_map(|axis| match axis.is_continuous() {
        true => final_over_scale(comparison, axis),
        false => final_by_axis(comparison, axis, choice),
    }));
    figures.extend(importance_bars(comparison));
    figures.extend(marginal_forest(comparison));
    figures.extend(marginal_means(comparison));
    figures.extend(interactions(comparison));
    figures.extend(baseline_forest(comparison));
    figures.extend(slices(comparison));
    figures.extend(heat_map(comparison));
    figures.extend(paired_seeds(comparison));
    figures.extend(scaling_law(comparison));
    figures.extend(train_and_valid(comparison, &watched, choice));
    figures.extend(outcome_against(comparison, Abscissa::Parameters, choice));
    figures.extend(outcome_against(comparison, Abscissa::Seconds, choice));
    figures.extend(Cost::ALL.into_iter().filter_map(|cost| pareto_front(comparison, cost)));
    figures.extend(parallel_coordinates(comparison));
    figures.extend(best_so_far(comparison));
    figures.extend(distribution(comparison));
    if let Some(metric) = recorded(&metrics::TRAIN_MLM_LOSS).filter(|metric| *metric != comparison.metric) {
        figures.extend(learning_curves(comparison, &metric, Along::Steps, Smoothing::Average(0.95), choice));
    }
    if let Some(metric) = recorded(&metrics::LEARNING_RATE) {
        figures.extend(schedules(comparison, &metric));
    }
    figures.extend(timeline(comparison));
    figures
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
pub(in crate::plot) mod tests {
    use super::*;
    use crate::analysis::{AxisKind, RunState, fixture};

    /// The figures of sweeps of one to five axes, of one seed, and of nothing finished.
    pub(in crate::plot) fn every_figure() -> Vec<Figure> {
        let ratio = |values: &[&str]| fixture::axis("mask_ratio", values, AxisKind::Numeric);
        let size = fixture::axis("size", &["aiffel-1m", "aiffel-4m"], AxisKind::Ordered);
        let nsp = fixture::axis("nsp", &["off", "random"], AxisKind::Category);
        let schedule = fixture::axis("schedule", &["linear", "cosine"], AxisKind::Category);
        let copies = fixture::axis("masking", &["dynamic", "static", "copies-10"], AxisKind::Category);
        let two = || ratio(&["0.15", "0.30"]);
        let sweeps = [
            fixture::sweep(),
            fixture::sweep_over("ratios", vec![ratio(&["0.10", "0.15", "0.20", "0.30", "0.40", "0.50"])], 5),
            fixture::sweep_over("pair", vec![size.clone(), two()], 1),
            fixture::sweep_over("quickstart", vec![size.clone(), two(), nsp.clone(), schedule.clone()], 2),
            fixture::sweep_over("five", vec![size, two(), nsp, schedule, copies], 1),
            fixture::sweep_over("alone", vec![], 2),
            fixture::drawn(24),
            fixture::sized(5),
            fixture::sweep_over(
                "map",
                vec![ratio(&["0.10", "0.20", "0.40"]), fixture::axis("nsp", &["off", "random"], AxisKind::Category)],
                2,
            ),
        ];
        let mut figures =
            sweeps.iter().flat_map(|sweep| standard_figures(sweep, &Choice::default())).collect::<Vec<_>>();
        let mut unfinished = fixture::sweep();
        unfinished.runs.iter_mut().for_each(|run| run.state = RunState::Running);
        figures.extend(standard_figures(&unfinished, &Choice::default()));
        figures
    }

    #[test]
    fn a_sweep_has_its_figures_and_names_are_unique() {
        let figures = standard_figures(&fixture::sweep(), &Choice::default());
        let names = figures.iter().map(|figure| figure.name.as_str()).collect::<Vec<_>>();
        assert_eq!(
            names,
            [
                "curves-valid-mlm_loss",
                "curves-valid-mlm_loss-by-compute",
                "curves-valid-mlm_loss-by-time",
                "final-by-size",
                "final-by-mask_ratio",
                "final-by-nsp",
                "importance",
                "effects",
                "marginal-means",
                "interactions",
                "against-baseline",
                "paired-seeds",
                "train-and-valid",
                "loss-by-parameters",
                "loss-by-time",
                "pareto-parameters",
                "pareto-compute",
                "pareto-time",
                "curves-train-mlm_loss",
                "schedules",
                "timeline",
            ]
        );
    }

    /// What was judged once is compared by that, and watched on held-out examples.
    #[test]
    fn a_metric_of_the_last_step_has_the_curves_of_its_sister() {
        let mut comparison = fixture::sweep();
        let test: MetricName = "test/mlm_loss".parse().unwrap();
        for run in &mut comparison.runs {
            let last = run.last(&comparison.metric).into_iter().collect();
            run.series.insert(test.clone(), last);
        }
        comparison.metric = test;
        let names = standard_figures(&comparison, &Choice::default()).into_iter().map(|figure| figure.name);
        let curves: Vec<_> = names.filter(|name| name.starts_with("curves-")).collect();
        assert_eq!(curves[..2], ["curves-valid-mlm_loss", "curves-valid-mlm_loss-by-compute"]);
        for run in &mut comparison.runs {
            run.series.retain(|metric, _| metric.as_str().starts_with("test/"));
        }
        assert_eq!(watched(&comparison), comparison.metric);
    }

    #[test]
    fn nothing_finished_still_has_its_curves() {
        let mut comparison = fixture::sweep();
        comparison.runs.iter_mut().for_each(|run| run.state = RunState::Running);
        let figures = standard_figures(&comparison, &Choice::default());
        let of_running = |name: &str| name.starts_with("curves") || ["schedules", "timeline"].contains(&name);
        assert!(figures.iter().all(|figure| of_running(&figure.name)));
        assert!(!figures.is_empty());
    }
}
