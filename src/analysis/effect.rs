//! An effect: a difference with its interval, a corrected p and a verdict in one word.

use super::luck::Difference;
use super::settings::{settings_of, spelled};
use super::statistics::{Interval, decimals_for, decimals_for_mean};

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
    /// The p of Student's t after the correction over the whole report; of `by_axes`, where they carry the verdict.
    pub adjusted_p: Option<f64>,
    pub verdict: Verdict,
    /// The axes whose effects carry the verdict on two cells, where the cells' own runs cannot tell.
    pub by_axes: Vec<String>,
}

impl Effect {
    /// What is compared: `mask_ratio: 0.30 − 0.15` or `mask_ratio=0.30 nsp=random`.
    pub fn name(&self) -> String {
        match &self.axis {
            Some(axis) if self.is_joint() => {
                format!("{} \u{2212} {}", spelled(axis, &self.treatment), spelled(axis, &self.reference))
            }
            Some(axis) => format!("{axis}: {} \u{2212} {}", self.treatment, self.reference),
            None => self.treatment.clone(),
        }
    }

    /// What was done instead of what: `mask_ratio 0.30 instead of 0.15`.
    pub fn change(&self) -> String {
        let (treatment, reference) = (&self.treatment, &self.reference);
        match &self.axis {
            Some(axis) if self.is_joint() => {
                format!("{} instead of {}", spelled(axis, treatment), spelled(axis, reference))
            }
            Some(axis) => format!("{axis} {treatment} instead of {reference}"),
            None => format!("{treatment} instead of {reference}"),
        }
    }

    fn is_joint(&self) -> bool {
        self.axis.as_ref().is_some_and(|axis| settings_of(axis, &self.treatment).count() > 1)
    }

    /// The 95 % interval of the difference.
    pub fn interval(&self) -> Option<Interval> {
        self.difference?.measured?.interval()
    }

    /// The mean with its sign and, where there is an interval, its half-width: `−0.093 ± 0.014`.
    pub fn size(&self) -> Option<String> {
        let mean = self.difference?.mean;
        let half = self.interval().map(|interval| interval.half_width());
        let decimals = decimals_for_mean(mean, half);
        let sign = if mean < 0.0 { "\u{2212}" } else { "+" };
        let mean = format!("{sign}{:.decimals$}", mean.abs());
        let with = |half: f64| format!("{mean} ± {half:.of_half$}", of_half = decimals_for(half));
        Some(half.map_or(mean.clone(), with))
    }

    /// The verdict: `better`, or `worse by size` where the effect of an axis says so; of a contrast without a value, why there
    /// is none.
    pub fn word(&self) -> String {
        if self.difference.is_none() {
            return "no matched runs".to_owned();
        }
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
        let change = self.change();
        let Some(size) = self.size() else { return format!("{change}: no two matched runs have finished.") };
        let advice = self.advice().map_or(String::new(), |advice| format!("; {advice}"));
        format!("{change}: {size}, {}{advice}.", self.word())
    }

    /// The number of settings of the other axes that the difference is a mean over.
    pub fn blocks(&self) -> usize {
        self.difference.map_or(0, |difference| difference.groups)
    }
}
