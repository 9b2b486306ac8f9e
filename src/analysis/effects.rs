//! Does it matter? Differences with an interval, a corrected p and a verdict in one word.
//!
//! An effect is a contrast of cells: two values of an axis on the average over the settings of the others, or two cells.
//! What it comes to, and how well it is known, says the design of the sweep's luck (`luck`); what it amounts to beside all
//! the others says `verdicts`, where each contrast has one p and one verdict, wherever it is shown.

use super::comparison::Comparison;
use super::effect::Effect;
use super::verdicts::Verdicts;

/// Every cell against the baseline cell. Empty without a baseline, or where it is not one single cell.
pub fn against_baseline(comparison: &Comparison) -> Vec<Effect> {
    Verdicts::of(comparison).baseline
}

/// For each axis, each value against the axis's reference value, over all settings of the other axes.
pub fn marginal_effects(comparison: &Comparison) -> Vec<Effect> {
    Verdicts::of(comparison).marginal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Verdict;
    use crate::analysis::fixture;
    use crate::types::Seed;

    #[test]
    fn marginal_effects_are_means_over_matched_settings() {
        let comparison = fixture::sweep();
        let effects = marginal_effects(&comparison);
        let mask = effects.iter().find(|effect| effect.axis.as_deref() == Some("mask_ratio")).unwrap();
        // By hand: for each seed the mean over pairs of runs that differ in the mask ratio alone, and both finished.
        let by_seed = (1..=3).map(|seed| {
            let mut differences = Vec::new();
            let of_seed = || comparison.runs.iter().filter(|run| run.seed == Seed(seed));
            for treated in of_seed().filter(|run| run.axis("mask_ratio") == Some("0.30")) {
                for reference in of_seed().filter(|run| run.axis("mask_ratio") == Some("0.15")) {
                    let same = |axis| treated.axis(axis) == reference.axis(axis);
                    let outcomes = (treated.outcome(&comparison.metric), reference.outcome(&comparison.metric));
                    if let (true, (Some(left), Some(right))) = (same("size") && same("nsp"), outcomes) {
                        differences.push(left - right);
                    }
                }
            }
            differences.iter().sum::<f64>() / differences.len() as f64
        });
        let mean = by_seed.sum::<f64>() / 3.0;
        assert!((mask.difference.unwrap().mean - mean).abs() < 1e-12);
        assert_eq!((mask.blocks(), mask.verdict), (4, Verdict::Better));
    }

    #[test]
    fn a_baseline_needs_to_be_one_cell() {
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
        size mini instead of tiny: −0.217 ± 0.023, better.
        mask_ratio 0.30 instead of 0.15: −0.092 ± 0.031, better.
        nsp random instead of off: +0.012 ± 0.030, inconclusive; a true difference below 0.038 is easily missed.
        nsp=random instead of size=tiny mask_ratio=0.15 nsp=off: −0.014, inconclusive.
        ");
    }

    #[test]
    fn one_seed_is_never_conclusive() {
        let mut comparison = fixture::sweep();
        comparison.runs.retain(|run| run.seed == Seed(1));
        let effects = against_baseline(&comparison);
        assert!(effects.iter().all(|effect| effect.verdict == Verdict::Inconclusive && effect.interval().is_none()));
    }

    #[test]
    fn an_effect_below_what_is_of_interest_is_negligible() {
        let mut comparison = fixture::sweep();
        comparison.negligible = Some(0.5);
        assert!(marginal_effects(&comparison).iter().all(|effect| effect.verdict == Verdict::Negligible));
        comparison.negligible = Some(0.05);
        let words = marginal_effects(&comparison).iter().map(Effect::word).collect::<Vec<_>>();
        assert_eq!(words[..2], ["better", "better"]);
    }
}
