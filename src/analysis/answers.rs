//! How the answers of a task fall out in a cell: its runs' confusion matrices and scores by kind of entity, over the seeds.
//!
//! Runs record the counts of their last evaluation as facts. Where the comparison's metric is of the test side, so is what is
//! read here; else it is of the held-out examples.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::comparison::{Cell, CellKey, Comparison, RunData, RunState};
use super::statistics::Estimate;
use super::summary::summarize;
use crate::types::Seed;
use crate::types::answers::{Confusion, Detail, EntityCounts};

/// The means over the seeds of how often one class was taken for another.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusions {
    pub labels: Vec<String>,
    /// `counts[truth][answer]`.
    pub counts: Vec<Vec<f64>>,
    /// Finished runs with these labels.
    pub n: usize,
}

impl Confusions {
    /// The part of the texts of class `truth` that were given `answer`; absent where there are none.
    pub fn share(&self, truth: usize, answer: usize) -> Option<f64> {
        let all = self.counts[truth].iter().sum::<f64>();
        (all > 0.0).then(|| self.counts[truth][answer] / all)
    }
}

/// How well one kind of entity is found.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityScore {
    pub kind: String,
    /// F1 of each seed.
    pub f1: Vec<f64>,
    /// Their mean, with Student's t interval over the seeds.
    pub estimate: Estimate,
    /// How many there are to be found, in the mean over the seeds: held-out examples may differ.
    pub truly: f64,
}

/// The side that the comparison's metric is of: `valid` or `test`.
pub fn side(comparison: &Comparison) -> &'static str {
    if comparison.metric.as_str().starts_with("test/") { "test" } else { "valid" }
}

/// The cells whose answers are worth a look, with what they are: the best one, and the baseline where it is another.
pub fn looked_at<'a>(comparison: &Comparison, cells: &'a [Cell<'a>]) -> Vec<(&'static str, &'a Cell<'a>)> {
    let summary = summarize(comparison);
    let find = |key: &CellKey| cells.iter().find(|cell| cell.key == *key);
    let best = summary.best().and_then(|best| find(&best.key));
    let baseline = comparison.baseline.as_ref().and_then(|values| {
        let matching = cells.iter().filter(|cell| cell.key.matches(values)).collect::<Vec<_>>();
        if let [only] = matching[..] { Some(only) } else { None }
    });
    let baseline = baseline.filter(|cell| best.is_none_or(|best| best.key != cell.key));
    let named = |what: &'static str, cell: Option<&'a Cell<'a>>| cell.map(|cell| (what, cell));
    named("best", best).into_iter().chain(named("baseline", baseline)).collect()
}

/// The confusion matrix of a cell; absent where no finished run has one. Runs with other labels than the first are left out.
pub fn confusions(comparison: &Comparison, cell: &Cell<'_>) -> Option<Confusions> {
    let mut found = details::<Confusion>(comparison, cell, Detail::CONFUSION);
    found.retain(is_square);
    let labels = found.first()?.labels.clone();
    found.retain(|one| one.labels == labels);
    let n = found.len();
    let mean =
        |truth: usize, answer: usize| found.iter().map(|one| one.counts[truth][answer] as f64).sum::<f64>() / n as f64;
    let row = |truth| (0..labels.len()).map(|answer| mean(truth, answer)).collect();
    let counts = (0..labels.len()).map(row).collect();
    Some(Confusions { counts, labels, n })
}

/// The scores of each kind of entity in a cell, in the order of the labels; empty where no finished run has them. A kind that
/// neither occurs nor is named in some run has no score there.
pub fn entity_scores(comparison: &Comparison, cell: &Cell<'_>) -> Vec<EntityScore> {
    let runs = details::<Vec<EntityCounts>>(comparison, cell, Detail::ENTITIES);
    let kinds = runs.first().map_or_else(Vec::new, |first| first.iter().map(|one| one.kind.clone()).collect());
    let score = |kind: String| {
        let its = runs.iter().filter_map(|run| run.iter().find(|one| one.kind == kind)).collect::<Vec<_>>();
        let f1 = its.iter().filter_map(|one| one.f1()).collect::<Vec<_>>();
        let truly = its.iter().map(|one| one.truly as f64).sum::<f64>() / its.len().max(1) as f64;
        Some(EntityScore { estimate: Estimate::of(&f1)?, kind, f1, truly })
    };
    kinds.into_iter().filter_map(score).collect()
}

/// What the finished runs of a cell tell in detail, one for each seed.
fn details<T: DeserializeOwned>(comparison: &Comparison, cell: &Cell<'_>, what: &str) -> Vec<T> {
    let name = format!("{}_{what}", side(comparison));
    let mut by_seed = BTreeMap::<Seed, T>::new();
    let finished = |run: &&&RunData| run.state == RunState::Finished;
    for run in cell.runs.iter().filter(finished) {
        let told = run.facts.get(&name).and_then(|value| serde_json::from_value(value.clone()).ok());
        if let Some(told) = told {
            by_seed.entry(run.seed).or_insert(told);
        }
    }
    by_seed.into_values().collect()
}

/// What a run of another program calls a confusion may be anything.
fn is_square(confusion: &Confusion) -> bool {
    let n = confusion.labels.len();
    n > 1 && confusion.counts.len() == n && confusion.counts.iter().all(|row| row.len() == n)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn counts_are_means_over_the_seeds_that_finished() {
        let mut comparison = fixture::sweep();
        for run in &mut comparison.runs {
            let right = 10 * run.seed.0;
            run.facts.insert(
                "valid_confusion".to_owned(),
                json!({"labels": ["a", "b"], "counts": [[right, 40 - right], [0, 0]]}),
            );
        }
        let cells = comparison.cells();
        let found = confusions(&comparison, &cells[0]).unwrap();
        assert_eq!((found.n, found.counts[0].clone()), (3, vec![20.0, 20.0]));
        assert_eq!((found.share(0, 0), found.share(1, 1)), (Some(0.5), None));
        // One run of a cell has failed.
        let counts = cells.iter().filter_map(|cell| confusions(&comparison, cell)).map(|found| found.n);
        assert_eq!(counts.sum::<usize>(), 23);
        let test: crate::types::MetricName = "test/accuracy".parse().unwrap();
        assert_eq!(confusions(&Comparison { metric: test, ..comparison.clone() }, &cells[0]), None);
    }

    #[test]
    fn what_is_no_table_is_left_out() {
        let mut comparison = fixture::sweep();
        comparison.runs[0].facts.insert("valid_confusion".to_owned(), json!({"labels": ["a", "b"], "counts": [[1]]}));
        comparison.runs[1].facts.insert("valid_confusion".to_owned(), json!(0.7));
        assert_eq!(confusions(&comparison, &comparison.cells()[0]), None);
    }

    #[test]
    fn kinds_have_the_interval_of_their_seeds() {
        let mut comparison = fixture::sweep();
        for run in &mut comparison.runs {
            let right = 4 + run.seed.0;
            let of =
                |kind: &str, right: u64, all: u64| json!({"kind": kind, "right": right, "predicted": all, "true": all});
            run.facts.insert("valid_entities".to_owned(), json!([of("PS", right, 10), of("QT", 0, 0)]));
        }
        let found = entity_scores(&comparison, &comparison.cells()[0]);
        assert_eq!(found.len(), 1, "a kind that does not occur has no score");
        assert_eq!((found[0].kind.as_str(), found[0].truly, found[0].f1.clone()), ("PS", 10.0, vec![0.5, 0.6, 0.7]));
        // By hand: t(0.975, 2) 0.1 / sqrt 3.
        let half = found[0].estimate.interval.unwrap().half_width();
        assert!((half - 4.302_652_7 * 0.1 / 3.0_f64.sqrt()).abs() < 1e-6, "{half}");
    }

    #[test]
    fn the_best_is_looked_at_and_the_baseline_beside_it() {
        let comparison = fixture::sweep();
        let cells = comparison.cells();
        let named = |found: Vec<(&str, &Cell<'_>)>| {
            found.into_iter().map(|(what, cell)| format!("{what}: {}", cell.key)).collect::<Vec<_>>()
        };
        assert_eq!(
            named(looked_at(&comparison, &cells)),
            ["best: size=mini mask_ratio=0.30 nsp=off", "baseline: size=tiny mask_ratio=0.15 nsp=off"]
        );
        let mut alone = comparison.clone();
        alone.baseline = None;
        assert_eq!(looked_at(&alone, &cells).len(), 1);
    }
}
