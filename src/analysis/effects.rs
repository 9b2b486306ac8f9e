//! Does it matter? Differences with an interval, a corrected p and a verdict in one word.
//!
//! An effect is a contrast of cells: two values of an axis on the average over the settings of the others, or two cells.
//! What it comes to, and how well it is known, says the design of the sweep's luck (`luck`); what it amounts to beside all
//! the others says `verdicts`, where each contrast has one p and one verdict, wherever it is shown.

use super::comparison::Comparison;
use super::luck::Difference;
use super::statistics::{Interval, decimals_for};
use super::verdicts::Verdicts;

/// A difference is called by a word when its corrected p is below this.
pub const LEVEL: f64 = 0.05;

/// What an effect amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    /// Its whole interval is below the smallest effect of interest, either way.
    Negligible,
    /// The runs cannot tell.
    Inconclusive,
}

impl Verdict {
    /// The word for tables and figures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Negligible => "negligible",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// Whether it says which side is better.
    pub fn is_told(self) -> bool {
        matches!(self, Self::Better | Self::Worse)
    }
}

/// The difference of the metric between a `treatment` and its `reference`: treatment minus reference.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// The axis, for a marginal effect; absent for two cells.
    pub axis: Option<String>,
    /// The value of the axis, or what a cell has that its reference has not: `mask_ratio=0.30`.
    pub treatment: String,
    /// The reference's value of the axis, or all values of the reference cell.
    pub reference: String,
    /// Absent where no block has both sides.
    pub difference: Option<Difference>,
    /// The p of Student's t after the correction over the whole report.
    pub adjusted_p: Option<f64>,
    pub verdict: Verdict,
    /// The axes whose effects carry the verdict on two cells, where the cells' own runs cannot tell.
    pub by_axes: Vec<String>,
}

impl Effect {
    /// What is compared: `mask_ratio: 0.30 − 0.15` or `mask_ratio=0.30 nsp=random`.
    pub fn name(&self) -> String {
        match &self.axis {
            Some(axis) => format!("{axis}: {} \u{2212} {}", self.treatment, self.reference),
            None => self.treatment.clone(),
        }
    }

    /// The 95 % interval of the difference.
    pub fn interval(&self) -> Option<Interval> {
        self.difference?.measured?.interval()
    }

    /// The mean with its sign and, where there is an interval, its half-width: `−0.093 ± 0.014`.
    pub fn size(&self) -> Option<String> {
        let mean = self.difference?.mean;
        let half = self.interval().map(|interval| interval.half_width());
        let decimals = half.map_or(3, decimals_for);
        let sign = if mean < 0.0 { "\u{2212}" } else { "+" };
        let mean = format!("{sign}{:.decimals$}", mean.abs());
        Some(half.map_or(mean.clone(), |half| format!("{mean} ± {half:.decimals$}")))
    }

    /// The verdict: `better`, or `worse by size` where the effect of an axis says so.
    pub fn word(&self) -> String {
        let by = if self.by_axes.is_empty() { String::new() } else { format!(" by {}", self.by_axes.join(", ")) };
        self.verdict.word().to_owned() + &by
    }

    /// What an inconclusive effect could have been without being seen.
    pub fn advice(&self) -> Option<String> {
        let unseen = self.difference?.measured.filter(|_| self.verdict == Verdict::Inconclusive)?.detectable(LEVEL);
        let decimals = decimals_for(unseen);
        (unseen > 0.0).then(|| format!("a true difference below {unseen:.decimals$} is easily missed"))
    }

    /// The effect in words: `mask_ratio 0.30 instead of 0.15: −0.093 ± 0.014, better.`
    pub fn sentence(&self) -> String {
        let change = match &self.axis {
            Some(axis) => format!("{axis} {} instead of {}", self.treatment, self.reference),
            None => format!("{} instead of {}", self.treatment, self.reference),
        };
        let Some(size) = self.size() else { return format!("{change}: no two matched runs have finished.") };
        let advice = self.advice().map_or(String::new(), |advice| format!("; {advice}"));
        format!("{change}: {size}, {}{advice}.", self.word())
    }

    /// The number of settings of the other axes that the difference is a mean over.
    pub fn blocks(&self) -> usize {
        self.difference.map_or(0, |difference| difference.groups)
    }
}

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
