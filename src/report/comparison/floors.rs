//! What costs no learning, from the facts that the runs measured on their own data.
//!
//! Runs on nearly the same data have nearly the same floor, and its mean stands for all. Where their own differ by more, as
//! over a `limit` or the folds of a task, each run is held against its own, and what is told of all is a range.

use std::collections::BTreeMap;

use crate::analysis::statistics::mean;
use crate::analysis::{Floor, RunData};
use crate::store::{FLOORS_FACT, TaskFloor};
use crate::types::RunId;
use crate::types::metrics::{self, KnownFloor};

/// The 97.5 % quantile of the normal distribution.
const TWO_SIDED_95: f64 = 1.96;

/// An evaluation that knows a loss no closer says so.
const FINE: f64 = 0.02;

/// The floors of all metrics.
pub(super) fn floors(runs: &[RunData]) -> Vec<Floor> {
    metrics::FLOORS.iter().filter_map(|known| measured(known, runs)).chain(of_tasks(runs)).collect()
}

fn measured(known: &KnownFloor, runs: &[RunData]) -> Option<Floor> {
    let own = by_run(runs, |run| run.facts.get(known.fact)?.as_f64());
    if known.unless.is_some_and(|stricter| !facts(runs, stricter).is_empty()) {
        return None;
    }
    let mut floor = of_runs(own)?;
    let questions = mean(&facts(runs, known.questions)).filter(|n| *n > 0.0);
    let spread = match known.spread {
        Some(fact) => mean(&facts(runs, fact)),
        None => Some(spread_of_answers(floor.value)),
    };
    floor.error = questions.zip(spread).map(|(n, spread)| TWO_SIDED_95 * spread / n.sqrt());
    let coarse = questions.zip(floor.error).filter(|(_, error)| known.metric.is_loss() && *error > FINE);
    let coarse = coarse.map(|(n, error)| {
        format!(
            " An evaluation asks for {n:.0} tokens, and so knows a loss to ± {error:.3} for other held-out text; cells \
             that answer the same questions are compared more closely. ± {FINE} takes some {:.0} times as many \
             (`train.eval_instances`; `data.valid_fraction` where all of the held-out text is asked for).",
            (error / FINE).powi(2).ceil()
        )
    });
    floor.metric = known.metric.metric_name();
    floor.label = known.label.into();
    floor.explanation = known.explanation.to_owned() + &coarse.unwrap_or_default() + &of_its_own(&floor);
    Some(floor)
}

/// The floors that the runs name themselves, for the examples that they are judged by.
fn of_tasks(runs: &[RunData]) -> Vec<Floor> {
    let read = |run: &RunData| -> Vec<TaskFloor> {
        run.facts.get(FLOORS_FACT).and_then(|fact| serde_json::from_value(fact.clone()).ok()).unwrap_or_default()
    };
    let said = runs.iter().map(read).collect::<Vec<_>>();
    let mut different = Vec::<&TaskFloor>::new();
    for floor in said.iter().flatten() {
        if !different.iter().any(|known| is_same(known, floor)) {
            different.push(floor);
        }
    }
    let floor = |task: &TaskFloor| {
        let its = |run: &RunData| read(run).into_iter().find(|other| is_same(task, other)).map(|floor| floor.value);
        let mut floor = of_runs(by_run(runs, its))?;
        let side = task.metric.split_once('/').filter(|(_, name)| *name == "accuracy").map(|(side, _)| side);
        let examples = side.and_then(|side| mean(&facts(runs, &format!("{side}_examples"))));
        floor.error = examples.filter(|n| *n > 0.0).map(|n| TWO_SIDED_95 * spread_of_answers(floor.value) / n.sqrt());
        floor.metric = task.metric.parse().ok()?;
        floor.label = task.label.clone();
        floor.explanation = task.explanation.clone() + &of_its_own(&floor);
        Some(floor)
    };
    different.into_iter().filter_map(floor).collect()
}

fn is_same(floor: &TaskFloor, other: &TaskFloor) -> bool {
    (&floor.metric, &floor.label) == (&other.metric, &other.label)
}

/// The floor of these values, still without a name.
fn of_runs(own: BTreeMap<RunId, f64>) -> Option<Floor> {
    let values = own.values().copied().collect::<Vec<_>>();
    let value = mean(&values).filter(|value| value.is_finite())?;
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
    let range = (high > low).then_some((low, high));
    let metric = metrics::VALID_MLM_LOSS.metric_name();
    Some(Floor { metric, label: String::new(), value, error: None, range, own, explanation: String::new() })
}

fn of_its_own(floor: &Floor) -> String {
    if floor.is_one() {
        return String::new();
    }
    " The runs have floors of their own, each is held against its own, and figures show none.".to_owned()
}

/// The spread of one answer that is right or wrong.
fn spread_of_answers(right: f64) -> f64 {
    (right * (1.0 - right)).max(0.0).sqrt()
}

fn by_run(runs: &[RunData], value: impl Fn(&RunData) -> Option<f64>) -> BTreeMap<RunId, f64> {
    runs.iter().filter_map(|run| Some((run.id.clone()?, value(run)?))).collect()
}

/// The numbers that runs recorded as this fact.
fn facts(runs: &[RunData], name: &str) -> Vec<f64> {
    runs.iter().filter_map(|run| run.facts.get(name)?.as_f64()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analysis::{Comparison, cautions, fixture};

    /// A sweep whose runs of one size are judged by other examples.
    fn with_floors(floor: impl Fn(&RunData) -> f64) -> Comparison {
        let mut comparison = fixture::sweep();
        for run in &mut comparison.runs {
            let value = floor(run);
            run.facts.insert("unigram_entropy".to_owned(), json!(value));
            let task = json!([{ "metric": "valid/accuracy", "label": "most frequent class", "value": value / 10.0, "explanation": "it." }]);
            run.facts.insert(FLOORS_FACT.to_owned(), task);
        }
        comparison.floors = floors(&comparison.runs);
        comparison
    }

    #[test]
    fn floors_that_differ_are_a_range_and_each_run_has_its_own() {
        let tiny = |run: &RunData| run.axis("size") == Some("tiny");
        let comparison = with_floors(|run| if tiny(run) { 4.2 } else { 6.0 });
        let words =
            comparison.floors.iter().map(|floor| format!("{} {}: {}", floor.metric, floor.label, floor.in_words()));
        insta::assert_snapshot!(words.collect::<Vec<_>>().join("\n"), @r"
        valid/mlm_loss unigram entropy: 4.2000 to 6.0000
        valid/mlm_loss_mask unigram entropy: 4.2000 to 6.0000
        valid/accuracy most frequent class: 0.4200 to 0.6000
        ");
        insta::assert_snapshot!(cautions(&comparison).join("\n"), @"4 of 8 cells are no better than unigram entropy (4.2000 to 6.0000), which costs no learning; each is held against its own.");
    }

    #[test]
    fn floors_that_hardly_differ_are_one() {
        let tiny = |run: &RunData| run.axis("size") == Some("tiny");
        let comparison = with_floors(|run| if tiny(run) { 5.98 } else { 6.0 });
        assert!(comparison.floors.iter().all(Floor::is_one));
        assert!(cautions(&comparison).is_empty());
    }
}
