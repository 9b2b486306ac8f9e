//! Does it matter? Paired differences with an interval, a corrected p and a verdict in one word.
//!
//! Runs of one seed share their random draws in every cell, so the difference of two cells within a seed is less noisy
//! than either cell. An effect is the mean of such differences; its blocks are all the places where both sides finished.
//! A marginal effect takes one block for each setting of the other axes and each seed: it answers "on the average over
//! what was swept here", and its interval holds the spread between settings as well as the noise between seeds. It takes
//! the blocks of one seed for independent: where a seed does something to one value of the axis in all settings alike, the
//! interval is too narrow, and only more seeds help.

use std::collections::{BTreeMap, BTreeSet};

use super::comparison::{Axis, CellKey, Comparison, Goal};
use super::means::is_full_grid;
use super::statistics::{PairedDifference, decimals_for, holm_in_family, pairs_needed};
use crate::types::Seed;

/// A difference is called by a word when its corrected p is below this.
pub const LEVEL: f64 = 0.05;

/// What an effect amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    /// The runs cannot tell. `further_seeds`: about how many more would, in four of five sweeps, if the true difference
    /// is as measured; absent where that cannot be said, because there are fewer than two pairs or the difference is
    /// all but zero.
    Inconclusive {
        further_seeds: Option<u64>,
    },
}

impl Verdict {
    /// The word for tables and figures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Inconclusive { .. } => "inconclusive",
        }
    }

    /// What a reader should do about it: a clause for an inconclusive effect, nothing for the others.
    pub fn advice(self) -> Option<String> {
        match self {
            Self::Better | Self::Worse => None,
            Self::Inconclusive { further_seeds: Some(1) } => Some("about 1 more seed would tell".to_owned()),
            Self::Inconclusive { further_seeds: Some(seeds) } => Some(format!("about {seeds} more seeds would tell")),
            Self::Inconclusive { further_seeds: None } => None,
        }
    }
}

/// The difference of the metric between a `treatment` and its `reference`: treatment minus reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The axis, for a marginal effect; absent for a whole cell against the baseline.
    pub axis: Option<String>,
    /// The value of the axis, or what a cell has that its reference has not: `mask_ratio=0.30`.
    pub treatment: String,
    /// The reference's value of the axis, or all values of the reference cell.
    pub reference: String,
    /// Absent where no block has both sides.
    pub difference: Option<PairedDifference>,
    /// The p of Student's t after Holm's correction over the list that the effect is in, or over all pairs of cells where
    /// the list was chosen by the outcomes.
    pub adjusted_p: Option<f64>,
    pub verdict: Verdict,
    /// The number of different seeds in the blocks.
    pub seeds: usize,
}

impl Effect {
    /// An effect that is not judged yet, from one difference for each pair, with its seed.
    pub(super) fn new(axis: Option<&str>, treatment: String, reference: String, pairs: &[(Seed, f64)]) -> Self {
        let difference = PairedDifference::of(&pairs.iter().map(|(_, difference)| *difference).collect::<Vec<_>>());
        let verdict = Verdict::Inconclusive { further_seeds: None };
        let seeds = pairs.iter().map(|(seed, _)| *seed).collect::<BTreeSet<_>>().len();
        Self { axis: axis.map(str::to_owned), treatment, reference, difference, adjusted_p: None, verdict, seeds }
    }

    /// What is compared: `mask_ratio: 0.30 − 0.15` or `mask_ratio=0.30 nsp=random`.
    pub fn name(&self) -> String {
        match &self.axis {
            Some(axis) => format!("{axis}: {} \u{2212} {}", self.treatment, self.reference),
            None => self.treatment.clone(),
        }
    }

    /// The mean with its sign and, where there is an interval, its half-width: `−0.093 ± 0.014`.
    pub fn size(&self) -> Option<String> {
        let estimate = self.difference?.estimate;
        let half = estimate.interval.map(|interval| interval.half_width());
        let decimals = half.map_or(3, decimals_for);
        let sign = if estimate.mean < 0.0 { "\u{2212}" } else { "+" };
        let mean = format!("{sign}{:.decimals$}", estimate.mean.abs());
        Some(half.map_or(mean.clone(), |half| format!("{mean} ± {half:.decimals$}")))
    }

    /// The effect in words: `mask_ratio 0.30 instead of 0.15: −0.093 ± 0.014 (11 pairs), better.`
    pub fn sentence(&self) -> String {
        let change = match &self.axis {
            Some(axis) => format!("{axis} {} instead of {}", self.treatment, self.reference),
            None => format!("{} instead of {}", self.treatment, self.reference),
        };
        let Some(size) = self.size() else { return format!("{change}: no two matched runs have finished.") };
        let pairs = if self.blocks() == 1 { "1 pair".to_owned() } else { format!("{} pairs", self.blocks()) };
        let advice = self.verdict.advice().map_or(String::new(), |advice| format!("; {advice}"));
        format!("{change}: {size} ({pairs}), {}{advice}.", self.verdict.word())
    }

    /// The number of blocks that the difference rests on.
    pub fn blocks(&self) -> usize {
        self.difference.map_or(0, |difference| difference.estimate.n)
    }
}

/// Every cell against the baseline cell, paired by seed. Empty without a baseline, or where it is not one single cell.
pub fn against_baseline(comparison: &Comparison) -> Vec<Effect> {
    let cells = comparison.cells();
    let Some(values) = &comparison.baseline else { return Vec::new() };
    let matching = cells.iter().filter(|cell| cell.key.matches(values)).collect::<Vec<_>>();
    let [baseline] = matching[..] else { return Vec::new() };
    let reference = baseline.outcomes(&comparison.metric);
    let others = cells.iter().filter(|cell| cell.key != baseline.key);
    let effects = others.map(|cell| {
        let differences = paired(&cell.outcomes(&comparison.metric), &reference);
        Effect::new(None, cell.key.difference_from(&baseline.key), baseline.key.to_string(), &differences)
    });
    judged(effects.collect(), comparison.goal)
}

/// For each axis, each value against the axis's reference value, over all settings of the other axes and all seeds.
pub fn marginal_effects(comparison: &Comparison) -> Vec<Effect> {
    let outcomes = outcomes_by_cell(comparison);
    let mut effects = Vec::new();
    // Values that were drawn meet hardly any equal settings: a row for each would say nothing many times.
    let is_list = |axis: &&Axis| !axis.is_continuous() || is_full_grid(comparison);
    for axis in comparison.axes.iter().filter(is_list) {
        let Some(reference) = comparison.reference_value(axis) else { continue };
        for value in axis.values.iter().filter(|value| *value != reference) {
            let treated = outcomes.iter().filter(|(key, _)| key.value(&axis.name) == Some(value));
            let differences = treated.flat_map(|(key, treatment)| {
                let partner = outcomes.get(&with_value(key, &axis.name, reference));
                partner.map(|partner| paired(treatment, partner)).unwrap_or_default()
            });
            let differences = differences.collect::<Vec<_>>();
            effects.push(Effect::new(Some(&axis.name), value.clone(), reference.to_owned(), &differences));
        }
    }
    judged(effects, comparison.goal)
}

/// The outcome of every seed of every cell.
pub(super) fn outcomes_by_cell(comparison: &Comparison) -> BTreeMap<CellKey, BTreeMap<Seed, f64>> {
    comparison.cells().into_iter().map(|cell| (cell.key.clone(), cell.outcomes(&comparison.metric))).collect()
}

/// `treatment` minus `reference` for every seed that both have.
pub(super) fn paired(treatment: &BTreeMap<Seed, f64>, reference: &BTreeMap<Seed, f64>) -> Vec<(Seed, f64)> {
    treatment.iter().filter_map(|(seed, value)| Some((*seed, value - reference.get(seed)?))).collect()
}

fn with_value(key: &CellKey, axis: &str, value: &str) -> CellKey {
    let replaced =
        |(name, old): &(String, String)| (name.clone(), if name == axis { value.to_owned() } else { old.clone() });
    CellKey(key.0.iter().map(replaced).collect())
}

/// Corrects the p-values over the list and puts the verdicts in.
fn judged(effects: Vec<Effect>, goal: Goal) -> Vec<Effect> {
    let family = effects.iter().filter(|effect| effect.difference.is_some_and(|d| d.p_t.is_some())).count();
    judged_in_family(effects, family, goal)
}

/// The same for comparisons with one of `cells` cells that was chosen by its outcome, such as the best one. Which of all
/// pairs are in the list then depends on the outcomes, and only a correction over all pairs keeps the promise.
pub(super) fn judged_after_choosing(effects: Vec<Effect>, cells: usize, goal: Goal) -> Vec<Effect> {
    judged_in_family(effects, cells * cells.saturating_sub(1) / 2, goal)
}

fn judged_in_family(mut effects: Vec<Effect>, family: usize, goal: Goal) -> Vec<Effect> {
    let with_p = effects.iter_mut().filter(|effect| effect.difference.is_some_and(|d| d.p_t.is_some()));
    let mut with_p = with_p.collect::<Vec<_>>();
    let raw = with_p.iter().filter_map(|effect| effect.difference?.p_t).collect::<Vec<_>>();
    for (effect, p) in with_p.iter_mut().zip(holm_in_family(&raw, family)) {
        effect.adjusted_p = Some(p);
        effect.verdict = verdict(effect, p, family, goal);
    }
    effects
}

fn verdict(effect: &Effect, adjusted_p: f64, family: usize, goal: Goal) -> Verdict {
    let Some(estimate) = effect.difference.map(|difference| difference.estimate) else {
        return Verdict::Inconclusive { further_seeds: None };
    };
    if adjusted_p < LEVEL {
        return if goal.prefers(estimate.mean, 0.0) { Verdict::Better } else { Verdict::Worse };
    }
    // Planned at the strictest level of Holm's ladder, so that the advice also holds beside the other comparisons.
    let needed = estimate.sd.and_then(|sd| pairs_needed(estimate.mean, sd, LEVEL / family as f64));
    // A further seed brings as many pairs as each of those before.
    let pairs_a_seed = estimate.n as f64 / effect.seeds.max(1) as f64;
    let seeds = needed.map(|pairs| (pairs as f64 / pairs_a_seed).ceil() as u64);
    Verdict::Inconclusive { further_seeds: seeds.map(|seeds| seeds.saturating_sub(effect.seeds as u64).max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{self, Noise};

    #[test]
    fn marginal_effects_are_means_over_matched_blocks() {
        let comparison = fixture::sweep();
        let effects = marginal_effects(&comparison);
        let mask = effects.iter().find(|effect| effect.axis.as_deref() == Some("mask_ratio")).unwrap();
        // By hand: every pair of runs that differ in the mask ratio alone, and both finished.
        let mut differences = Vec::new();
        for treated in comparison.runs.iter().filter(|run| run.axis("mask_ratio") == Some("0.30")) {
            for reference in comparison.runs.iter().filter(|run| run.axis("mask_ratio") == Some("0.15")) {
                let same = |axis| treated.axis(axis) == reference.axis(axis);
                let outcomes = (treated.outcome(&comparison.metric), reference.outcome(&comparison.metric));
                if let (true, (Some(left), Some(right))) =
                    (same("size") && same("nsp") && treated.seed == reference.seed, outcomes)
                {
                    differences.push(left - right);
                }
            }
        }
        assert_eq!(differences.len(), 11, "four settings and three seeds, less the failed run");
        let mean = differences.iter().sum::<f64>() / differences.len() as f64;
        assert!((mask.difference.unwrap().estimate.mean - mean).abs() < 1e-12);
        assert_eq!(mask.blocks(), 11);
        assert_eq!(mask.verdict, Verdict::Better);
    }

    #[test]
    fn a_baseline_pairs_by_seed_and_needs_to_be_one_cell() {
        let mut comparison = fixture::sweep();
        let effects = against_baseline(&comparison);
        assert_eq!(effects.len(), 7);
        assert!(effects.iter().all(|effect| effect.reference == "size=tiny mask_ratio=0.15 nsp=off"));
        comparison.baseline = Some(vec![("nsp".to_owned(), "off".to_owned())]);
        assert!(against_baseline(&comparison).is_empty());
    }

    #[test]
    fn effects_read_as_sentences() {
        let mut comparison = fixture::sweep();
        let mut sentences = marginal_effects(&comparison).iter().map(Effect::sentence).collect::<Vec<_>>();
        comparison.runs.retain(|run| run.seed == Seed(1));
        sentences.extend(against_baseline(&comparison).iter().take(1).map(Effect::sentence));
        insta::assert_snapshot!(sentences.join("\n"), @"
        size mini instead of tiny: −0.218 ± 0.014 (11 pairs), better.
        mask_ratio 0.30 instead of 0.15: −0.093 ± 0.014 (11 pairs), better.
        nsp random instead of off: +0.013 ± 0.015 (11 pairs), inconclusive; about 8 more seeds would tell.
        nsp=random instead of size=tiny mask_ratio=0.15 nsp=off: −0.014 (1 pair), inconclusive.
        ");
    }

    #[test]
    fn one_seed_is_never_conclusive() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.seed == Seed(1));
        let effects = against_baseline(&comparison);
        assert!(effects.iter().all(|effect| effect.verdict == Verdict::Inconclusive { further_seeds: None }));
    }

    /// Sweeps with as many pairs as advised find the effect four times out of five.
    #[test]
    fn the_advised_number_of_seeds_is_enough() {
        let mut noise = Noise::new(8);
        for (mean, level) in [(0.5, 0.05), (1.0, 0.05), (1.5, 0.05), (1.0, 0.05 / 7.0)] {
            let pairs = pairs_needed(mean, 1.0, level).unwrap();
            let trials = 3_000;
            let found = (0..trials).filter(|_| {
                let differences = (0..pairs).map(|_| mean + noise.normal()).collect::<Vec<_>>();
                PairedDifference::of(&differences).unwrap().p_t.unwrap() < level
            });
            let power = found.count() as f64 / f64::from(trials);
            assert!((0.77..0.88).contains(&power), "{mean} at {level}: {pairs} pairs have a power of {power}");
        }
    }
}
