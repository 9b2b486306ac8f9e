//! The table of a comparison, and the sentence that it ends with.
//!
//! One row per cell with every seed's value, and a winner that claims no more than the runs support: the best cell is
//! compared with every other one, and those that it cannot be told apart from are named, unless the effect of an axis rules
//! them out. Being the best is chosen by the outcomes, so that the correction is over all pairs of cells.

use std::fmt::Write as _;

use super::comparison::{Cell, CellKey, Comparison, Goal, RunState};
use super::effect::{Effect, Verdict};
use super::means::Means;
use super::shrinkage::{Shrunken, shrink_winner};
use super::statistics::{Estimate, decimals_for, decimals_for_mean};
use super::verdicts::Verdicts;
use crate::types::{MetricName, RunId, Seed};

/// What every comparison with the best cell rests on.
const CORRECTED: &str = "5 % over the whole report";

/// What became of one run of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedOutcome {
    pub seed: Seed,
    pub id: Option<RunId>,
    pub state: RunState,
    pub reason: Option<String>,
    /// The outcome; absent unless the run finished with a finite value.
    pub value: Option<f64>,
    /// The last step at which the metric was recorded, whatever became of the run.
    pub last_step: Option<i64>,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct CellSummary {
    pub key: CellKey,
    /// Every run of the cell, in order of seed, whatever became of it.
    pub outcomes: Vec<SeedOutcome>,
    /// Over the seeds with an outcome; absent where there is none. Its interval pools what cells of independent luck show.
    pub estimate: Option<Estimate>,
}

impl CellSummary {
    fn of(cell: &Cell<'_>, metric: &MetricName, means: &Means) -> Self {
        let outcomes = cell.runs.iter().map(|run| SeedOutcome {
            seed: run.seed,
            id: run.id.clone(),
            state: run.state,
            reason: run.reason.clone(),
            value: run.outcome(metric),
            last_step: run.last(metric).map(|point| point.step),
        });
        Self { key: cell.key.clone(), outcomes: outcomes.collect(), estimate: means.of_cell(&cell.key) }
    }

    /// What is missing, in words: `1 failed, 2 planned`; empty where every run counts.
    pub fn missing(&self) -> String {
        let states = RunState::ALL.into_iter().filter(|state| *state != RunState::Finished);
        let count = |state| self.outcomes.iter().filter(|outcome| outcome.state == state).count();
        let mut parts = states.map(|state| (count(state), state.to_string())).collect::<Vec<_>>();
        let not_finite = |outcome: &&SeedOutcome| outcome.state == RunState::Finished && outcome.value.is_none();
        parts.push((self.outcomes.iter().filter(not_finite).count(), "without a finite value".to_owned()));
        let parts = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// How sure the first place is.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// There is nothing to compare with.
    OnlyCell,
    /// No cell has two seeds: nobody can tell.
    TooFewSeeds,
    /// Better than every other cell.
    Clear,
    /// Not told apart from these cells, and no effect of an axis says that they are not the best.
    Tied(Vec<CellKey>),
}

/// The table, its ranking and its winner.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    pub metric: MetricName,
    pub goal: Goal,
    /// In the order of the declared axis values.
    pub cells: Vec<CellSummary>,
    /// Places in `cells`, best mean first; cells without an estimate are not ranked.
    pub ranking: Vec<usize>,
    /// Every other ranked cell against the best, in order of rank: the other minus the best.
    pub rivals: Vec<Effect>,
    /// Absent where no run finished.
    pub standing: Option<Standing>,
    /// The best mean, corrected for being the best of many; absent with few cells or one seed.
    pub shrunken: Option<Shrunken>,
}

/// Summarizes the outcomes of `comparison`.
pub fn summarize(comparison: &Comparison) -> Summary {
    let (found, means) = (comparison.cells(), Means::of(comparison));
    let cells = found.iter().map(|cell| CellSummary::of(cell, &comparison.metric, &means)).collect::<Vec<_>>();
    let mean = |i: &usize| cells[*i].estimate.map_or(f64::NAN, |estimate| estimate.mean);
    let mut ranking = (0..cells.len()).filter(|&i| cells[i].estimate.is_some()).collect::<Vec<_>>();
    ranking.sort_by(|a, b| match comparison.goal {
        Goal::Minimize => mean(a).total_cmp(&mean(b)),
        Goal::Maximize => mean(b).total_cmp(&mean(a)),
    });
    let verdicts = Verdicts::of(comparison);
    let (mut rivals, mut tied) = (Vec::new(), Vec::new());
    for &rival in ranking.iter().skip(1) {
        let effect = verdicts.pair(rival, ranking[0]);
        if effect.verdict != Verdict::Worse && !verdicts.is_ruled_out(rival, ranking[0]) {
            tied.push(cells[rival].key.clone());
        }
        rivals.push(effect);
    }
    let standing = (!ranking.is_empty()).then(|| match rivals.len() {
        0 => Standing::OnlyCell,
        _ if verdicts.design.most_seeds() < 2 => Standing::TooFewSeeds,
        _ if tied.is_empty() => Standing::Clear,
        _ => Standing::Tied(tied),
    });
    let shrunken = ranking.first().and_then(|&best| shrink_winner(comparison, &verdicts.design, best));
    Summary { metric: comparison.metric.clone(), goal: comparison.goal, cells, ranking, rivals, standing, shrunken }
}

impl Summary {
    /// The best cell, if any run finished.
    pub fn best(&self) -> Option<&CellSummary> {
        self.ranking.first().map(|&i| &self.cells[i])
    }

    /// The result in one or two sentences, as sure as the runs allow.
    pub fn statement(&self) -> String {
        let (Some(best), Some(standing)) = (self.best(), &self.standing) else {
            return "No run has finished: there is nothing to compare yet.".to_owned();
        };
        let mut text = format!("{} best: {} ", best.key, self.metric);
        if let Some(estimate) = best.estimate {
            let _ = write!(text, "{} (n={})", plus_minus(&estimate), estimate.n);
        }
        if let (Some(rival), Some(&second)) = (self.rivals.first(), self.ranking.get(1)) {
            let _ = write!(text, "{}", Self::distance(best, rival, &self.cells[second]));
        }
        text.push_str(". ");
        text.push_str(&match standing {
            Standing::OnlyCell => "It is the only cell with a finished run.".to_owned(),
            Standing::TooFewSeeds => {
                "With one seed a difference cannot be told from luck: add seeds in [sweep.replicates].".to_owned()
            }
            Standing::Clear => format!("It is better than every other cell ({CORRECTED})."),
            Standing::Tied(cells) => tied_sentence(&best.key, cells),
        });
        text
    }

    /// What the best cell would probably come to if it was run again: its mean is the best of many. Only where the guess is
    /// less good than the mean, as it is on the average, and by as much as the digits show that the mean is told with.
    pub fn rerun_statement(&self) -> Option<String> {
        let Shrunken { raw, shrunken, kept, towards } = self.shrunken?;
        if !self.goal.prefers(raw, shrunken) {
            return None;
        }
        let half = self.best()?.estimate?.interval.map(|interval| interval.half_width());
        let decimals = decimals_for_mean(raw, half).max(3);
        if format!("{raw:.decimals$}") == format!("{shrunken:.decimals$}") {
            return None;
        }
        Some(format!(
            "The winner's raw mean, {raw:.decimals$}, is the best of {} and so on the average too good; shrunken it is \
             {shrunken:.decimals$}, the better guess for new seeds (James\u{2013}Stein towards {}, keeping {:.0} % of the \
             distance; no run was made again for it).",
            self.ranking.len(),
            towards.words(),
            100.0 * kept,
        ))
    }

    /// The cells as a leaderboard: the best first, those without a finished run last.
    pub fn by_rank(&self) -> impl Iterator<Item = (usize, &CellSummary)> {
        let unranked = (0..self.cells.len()).filter(|i| !self.ranking.contains(i));
        self.ranking.iter().copied().chain(unranked).map(|i| (i, &self.cells[i]))
    }

    /// `, 0.120 ± 0.040 below mask_ratio=0.15`.
    fn distance(best: &CellSummary, rival: &Effect, second: &CellSummary) -> String {
        let Some(mean) = rival.difference.map(|difference| difference.mean) else { return String::new() };
        let size = rival.size().unwrap_or_default().trim_start_matches(['+', '\u{2212}']).to_owned();
        let word = if mean >= 0.0 { "below" } else { "above" };
        format!(", {size} {word} {}", second.key.difference_from(&best.key))
    }
}

fn tied_sentence(best: &CellKey, cells: &[CellKey]) -> String {
    const NAMED: usize = 3;
    let named = cells.iter().take(NAMED).map(|cell| cell.difference_from(best)).collect::<Vec<_>>().join("; ");
    let more = cells.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("These runs cannot tell it from {named}{more} ({CORRECTED}).")
}

/// `4.812 ± 0.031`: a mean with the half-width of its 95 % interval, the latter to two digits and the mean to no fewer, nor
/// rounded away by a wide one: `6.346 ± 1.9`. Without an interval, the mean alone.
pub fn plus_minus(estimate: &Estimate) -> String {
    match estimate.interval.map(|interval| interval.half_width()) {
        Some(half) => {
            let (decimals, of_half) = (decimals_for_mean(estimate.mean, Some(half)), decimals_for(half));
            format!("{:.decimals$} ± {half:.of_half$}", estimate.mean)
        }
        None => format!("{:.3}", estimate.mean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn every_run_has_its_place_and_failures_are_named() {
        let summary = summarize(&fixture::sweep());
        assert_eq!(summary.cells.iter().map(|cell| cell.outcomes.len()).sum::<usize>(), 24);
        let missing =
            summary.cells.iter().map(CellSummary::missing).filter(|text| !text.is_empty()).collect::<Vec<_>>();
        assert_eq!(missing, ["1 failed"]);
    }

    #[test]
    fn the_statement_ends_with_what_the_runs_support() {
        let comparison = fixture::sweep();
        insta::assert_snapshot!(summarize(&comparison).statement(), @"size=mini mask_ratio=0.30 nsp=off best: valid/mlm_loss 4.655 ± 0.064 (n=3), 0.019 ± 0.34 below nsp=random. These runs cannot tell it from nsp=random (5 % over the whole report).");

        let summary = summarize(&comparison);
        let moved = summary.shrunken.unwrap();
        assert!(moved.shrunken < moved.raw && summary.rerun_statement().is_none(), "shrunken to the wrong side");

        let mut one_seed = comparison.clone();
        one_seed.runs.retain(|run| run.seed == Seed(1));
        insta::assert_snapshot!(summarize(&one_seed).statement(), @"size=mini mask_ratio=0.30 nsp=off best: valid/mlm_loss 4.631 (n=1), 0.046 below nsp=random. With one seed a difference cannot be told from luck: add seeds in [sweep.replicates].");

        let mut nothing = comparison.clone();
        nothing.runs.iter_mut().for_each(|run| run.state = RunState::Planned);
        assert_eq!(summarize(&nothing).statement(), "No run has finished: there is nothing to compare yet.");

        let mut alone = comparison;
        alone.runs.truncate(3);
        assert_eq!(summarize(&alone).standing, Some(Standing::OnlyCell));
    }

    #[test]
    fn the_goal_decides_the_order() {
        let mut comparison = fixture::sweep();
        let least = summarize(&comparison);
        comparison.goal = Goal::Maximize;
        let most = summarize(&comparison);
        assert_eq!(least.ranking, most.ranking.iter().rev().copied().collect::<Vec<_>>());
    }
}
