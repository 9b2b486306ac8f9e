//! Pareto fronts: what is best for its cost, and how sure it is that the rest is not.
//!
//! A cell is dominated where another one costs no more and is no worse, and better in one of the two. By their means, that
//! is; the seeds may be too few to tell. A dominated cell is called so for sure only where it is told to be worse than the
//! best cell that costs no more.

use super::comparison::{CellKey, Comparison, Goal, RunData};
use super::effect::Verdict;
use super::means::Means;
use super::statistics::{Estimate, mean};
use super::verdicts::Verdicts;

/// What a cell costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Trainable parameters.
    Parameters,
    /// Floating-point operations of training, as the plan counts them.
    Flops,
    /// Wall-clock time of training.
    Seconds,
}

impl Cost {
    /// Every cost, the one that depends least on the machine first.
    pub const ALL: [Self; 3] = [Self::Parameters, Self::Flops, Self::Seconds];

    /// What a run cost; for one that ended early, so far.
    pub fn of(self, run: &RunData) -> f64 {
        match self {
            Self::Parameters => run.parameters as f64,
            Self::Flops => run.flops,
            Self::Seconds => run.elapsed_secs,
        }
    }
}

/// How a cell stands to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing is better for its cost.
    Front,
    /// Dominated by its mean, but the runs cannot tell it from the best that costs no more.
    Open,
    /// Dominated, for sure.
    Dominated,
    /// No run has finished.
    Missing,
}

/// A cell at its cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub key: CellKey,
    /// The mean over the finished runs, or over all where none has.
    pub cost: f64,
    /// Absent where no run has finished.
    pub estimate: Option<Estimate>,
    pub place: Place,
}

/// Every cell of the comparison at its cost, in the order of the cells. Cells whose cost is not known are left out only
/// while they are planned.
pub fn pareto(comparison: &Comparison, cost: Cost) -> Vec<Candidate> {
    let cells = comparison.cells();
    let means = Means::of(comparison);
    let found = cells.iter().map(|cell| {
        let estimate = means.of_cell(&cell.key);
        let counts = cell.runs.iter().filter(|run| estimate.is_none() || run.outcome(&comparison.metric).is_some());
        (mean(&counts.map(|run| cost.of(run)).collect::<Vec<_>>()).unwrap_or(0.0), estimate)
    });
    let found = found.collect::<Vec<_>>();
    let points = found.iter().map(|(cost, estimate)| Some((*cost, estimate.as_ref()?.mean))).collect::<Vec<_>>();
    let verdicts = Verdicts::of(comparison);
    let places = (0..points.len()).map(|i| match (points[i], best_rival(&points, i, comparison.goal)) {
        (None, _) => Place::Missing,
        (_, None) => Place::Front,
        (_, Some(rival)) if verdicts.pair(i, rival).verdict == Verdict::Worse => Place::Dominated,
        _ => Place::Open,
    });
    let places = places.collect::<Vec<_>>();
    let candidates = cells.iter().zip(found).zip(places);
    let candidates =
        candidates.map(|((cell, (cost, estimate)), place)| Candidate { key: cell.key.clone(), cost, estimate, place });
    candidates.filter(|candidate| candidate.cost > 0.0 && candidate.cost.is_finite()).collect()
}

/// The best of those that dominate point `i`.
fn best_rival(points: &[Option<(f64, f64)>], i: usize, goal: Goal) -> Option<usize> {
    let (cost, value) = points[i]?;
    let dominates = |&j: &usize| {
        points[j].is_some_and(|(other_cost, other)| {
            other_cost <= cost && !goal.prefers(value, other) && (other_cost < cost || goal.prefers(other, value))
        })
    };
    let value = |j: usize| points[j].map_or(f64::NAN, |(_, value)| value);
    (0..points.len()).filter(dominates).reduce(|best, j| if goal.prefers(value(j), value(best)) { j } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analysis::{RunState, fixture};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// The front by sorting: going up in cost, whatever is strictly better than everything cheaper; ties in both
        /// stand together.
        #[test]
        fn the_front_is_what_sorting_finds(raw in prop::collection::vec((0i32..8, 0i32..8), 1..12), maximize: bool) {
            let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
            let points = raw.iter().map(|&(x, y)| Some((f64::from(x), f64::from(y)))).collect::<Vec<_>>();
            let mut order = (0..raw.len()).collect::<Vec<_>>();
            let sign = if maximize { -1 } else { 1 };
            order.sort_by_key(|&i| (raw[i].0, sign * raw[i].1));
            let (mut front, mut best) = (Vec::new(), None);
            for i in order {
                if best.is_none_or(|(x, y): (i32, i32)| sign * raw[i].1 < sign * y || raw[i] == (x, y)) {
                    front.push(i);
                    best = Some(raw[i]);
                }
            }
            front.sort_unstable();
            let found = (0..raw.len()).filter(|&i| best_rival(&points, i, goal).is_none()).collect::<Vec<_>>();
            prop_assert_eq!(found, front);
        }
    }

    #[test]
    fn cells_say_where_they_stand() {
        let mut comparison = fixture::sweep();
        let lost = |run: &&mut RunData| run.axis("size") == Some("mini") && run.axis("mask_ratio") == Some("0.15");
        comparison.runs.iter_mut().filter(lost).for_each(|run| run.state = RunState::Failed);
        let lines = pareto(&comparison, Cost::Parameters).into_iter().map(|c| format!("{} {:?}", c.key, c.place));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
        size=tiny mask_ratio=0.15 nsp=off Dominated
        size=tiny mask_ratio=0.15 nsp=random Open
        size=tiny mask_ratio=0.30 nsp=off Front
        size=tiny mask_ratio=0.30 nsp=random Open
        size=mini mask_ratio=0.15 nsp=off Missing
        size=mini mask_ratio=0.15 nsp=random Missing
        size=mini mask_ratio=0.30 nsp=off Front
        size=mini mask_ratio=0.30 nsp=random Open
        ");
    }
}
