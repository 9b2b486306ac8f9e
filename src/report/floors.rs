//! How the best run stands to what costs no learning.

use crate::analysis::{Comparison, Floor};
use crate::types::metrics::Goal;

/// How the best run stands to a floor.
pub struct Reached<'a> {
    pub floor: &'a Floor,
    /// Over all finished runs; absent where none has the metric.
    pub best: Option<f64>,
    /// Whether there is a run that is better than the floor by more than the sample of an evaluation explains.
    is_passed: bool,
}

impl Reached<'_> {
    /// Whether no run is better than the floor.
    pub fn is_missed(&self) -> bool {
        self.best.is_some() && !self.is_passed
    }
}

/// Every floor of the comparison.
pub fn reached(comparison: &Comparison) -> impl Iterator<Item = Reached<'_>> {
    comparison.floors.iter().map(|floor| {
        let goal = Goal::usual(floor.metric.as_str());
        let values = comparison.runs.iter().filter_map(|run| Some((run, run.outcome(&floor.metric)?)));
        let values = values.collect::<Vec<_>>();
        let is_passed = values.iter().any(|(run, value)| floor.is_passed_by(*value, [*run], goal));
        Reached { floor, best: goal.best(values.into_iter().map(|(_, value)| value)), is_passed }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn the_best_run_is_held_against_the_floor() {
        let mut comparison = fixture::sweep();
        let best =
            comparison.runs.iter().filter_map(|run| run.outcome(&comparison.metric)).fold(f64::INFINITY, f64::min);
        let is_missed = |comparison: &Comparison| {
            let found = reached(comparison).next().unwrap();
            assert_eq!(found.best, Some(best));
            found.is_missed()
        };
        assert!(!is_missed(&comparison));
        comparison.floors[0].value = best;
        assert!(is_missed(&comparison), "as good as the floor is not better");
    }
}
