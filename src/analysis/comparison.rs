//! What analysis works on: the runs of one experiment as plain data, grouped into the cells of its sweep.

use std::collections::BTreeMap;
use std::fmt;

use super::kept::Kept;
use super::ped_anova::{Input, Leaning};
use super::settings::spelled;
use super::statistics::{decimals_for, mean};
pub use crate::store::RunState;
use crate::types::metrics::Basis;
pub use crate::types::metrics::Goal;
use crate::types::{MetricName, RunId, Seed, SpecHash, Timestamp};

/// One recorded value of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub step: i64,
    pub value: f64,
}

/// One run, as far as a comparison needs it. A planned cell without a run yet is a `RunData` in state `Planned`.
#[derive(Clone, Debug)]
pub struct RunData {
    /// Absent as long as the run is only planned.
    pub id: Option<RunId>,
    /// Absent for a run that a guest logged.
    pub spec: Option<SpecHash>,
    /// Short axis label and value, one pair for each axis that the run has.
    pub axes: Vec<(String, String)>,
    /// 0 where the run names none.
    pub seed: Seed,
    pub state: RunState,
    /// Why the run stands where it stands, in words: `the loss was NaN at step 412`.
    pub reason: Option<String>,
    pub parameters: u64,
    pub elapsed_secs: f64,
    /// From when to when it was worked on, oldest first.
    pub sessions: Vec<(Timestamp, Timestamp)>,
    pub tokens: u64,
    /// Floating-point operations of its training so far, as the plan counts them; 0 where nobody knows.
    pub flops: f64,
    /// Points in order of step.
    pub series: BTreeMap<MetricName, Vec<Point>>,
    pub facts: BTreeMap<String, serde_json::Value>,
}

impl RunData {
    /// The value of the axis `name`; absent where the run does not have the axis.
    pub fn axis(&self, name: &str) -> Option<&str> {
        self.axes.iter().find(|(axis, _)| axis == name).map(|(_, value)| value.as_str())
    }

    /// The last recorded value of `metric`, whatever the state.
    pub fn last(&self, metric: &MetricName) -> Option<Point> {
        self.series.get(metric)?.last().copied()
    }

    /// The value that counts in a comparison: the last finite one of a finished run, and of no other.
    pub fn outcome(&self, metric: &MetricName) -> Option<f64> {
        if self.state != RunState::Finished {
            return None;
        }
        self.last(metric).map(|point| point.value).filter(|value| value.is_finite())
    }
}

/// One axis of the sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The short label, as in [`RunData::axes`]: `mask_ratio`.
    pub name: String,
    /// Every declared value, in the order of the experiment file. Colours follow this order, so a value keeps its
    /// colour when runs are missing.
    pub values: Vec<String>,
    pub kind: AxisKind,
    /// Other settings that change whenever this one does, and with it: which of them is at work cannot be told.
    pub also: Vec<String>,
    /// Whether another value re-draws what chance decides in a run, such as its initial weights and masks.
    pub redraws_luck: bool,
    /// What metrics of held-out data are means over, where another value changes it.
    pub basis: Option<Basis>,
}

impl Axis {
    /// More numbers than a figure has room for, as drawn values are: they are a scale and not a list.
    pub(super) const LIST: usize = 8;

    /// Whether its values are a scale rather than a list of settings that are compared with each other.
    pub fn is_continuous(&self) -> bool {
        self.kind == AxisKind::Numeric && self.values.len() > Self::LIST
    }

    /// `hidden_size (with intermediate_size)`.
    pub fn name_in_full(&self) -> String {
        if self.also.is_empty() { self.name.clone() } else { format!("{} (with {})", self.name, self.also.join(", ")) }
    }
}

/// What the values of an axis mean, which decides how they are coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisKind {
    /// Numbers, such as a mask ratio.
    Numeric,
    /// Names in an order, such as model sizes.
    Ordered,
    /// Names without an order, such as schedulers.
    Category,
}

/// A value of a metric that costs no learning, to read results against: the unigram entropy, a shortcut's accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    pub metric: MetricName,
    /// Two or three words: `unigram entropy`.
    pub label: String,
    pub value: f64,
    /// Half of the 95 % interval of what the held-out sample of an evaluation gives: a run that does no better than the
    /// floor can be off it by so much. Absent where nobody knows.
    pub error: Option<f64>,
    /// The least and the greatest of the runs' own values, of which this is the mean; absent where all runs have the same.
    pub range: Option<(f64, f64)>,
    /// The value of each run that has one.
    pub own: BTreeMap<RunId, f64>,
    /// What it is and why it matters, in a sentence.
    pub explanation: String,
}

impl Floor {
    /// Runs whose own values differ by more have no floor together.
    const AGREEMENT: f64 = 0.05;

    /// Whether its value stands for all runs: their own are nearly the same.
    pub fn is_one(&self) -> bool {
        self.range.is_none_or(|(low, high)| high - low <= Self::AGREEMENT)
    }

    /// `7.819 ± 0.075`; where the runs have floors of their own, `6.9120 to 7.8190`.
    pub fn in_words(&self) -> String {
        if let Some((low, high)) = self.range.filter(|_| !self.is_one()) {
            return format!("{low:.4} to {high:.4}");
        }
        let Some(error) = self.error.filter(|error| *error > 0.0) else { return format!("{:.4}", self.value) };
        let decimals = decimals_for(error);
        format!("{:.decimals$} ± {error:.decimals$}", self.value)
    }

    /// Whether `value`, which comes from these runs, is better by more than the sample of an evaluation explains.
    pub fn is_passed_by<'r>(&self, value: f64, runs: impl IntoIterator<Item = &'r RunData>, goal: Goal) -> bool {
        let own = runs.into_iter().filter_map(|run| self.own.get(run.id.as_ref()?).copied()).collect::<Vec<_>>();
        let floor = mean(&own).filter(|_| !self.is_one()).unwrap_or(self.value);
        let error = self.error.unwrap_or(0.0);
        let limit = match goal {
            Goal::Minimize => floor - error,
            Goal::Maximize => floor + error,
        };
        goal.prefers(value, limit)
    }
}

/// Everything that is known about the runs of one experiment.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub experiment: String,
    pub question: String,
    pub metric: MetricName,
    pub goal: Goal,
    pub axes: Vec<Axis>,
    pub runs: Vec<RunData>,
    /// The axis values that the others are compared with; each axis that is not named stays free.
    pub baseline: Option<Vec<(String, String)>>,
    pub floors: Vec<Floor>,
    /// The smallest difference of interest: what is surely smaller is negligible.
    pub negligible: Option<f64>,
    /// What a reader has to know before any result, in sentences.
    pub cautions: Vec<String>,
    /// What is not known of runs that no file names, and what that changes, in a sentence.
    pub unknown: Option<String>,
    /// Which axes set the best cells apart takes thousands of samples; found once for all who ask.
    pub leanings: Kept<Input, Vec<Leaning>>,
}

impl Comparison {
    /// The cells that have a run, in the order of the declared axis values, the last axis fastest.
    pub fn cells(&self) -> Vec<Cell<'_>> {
        let mut cells = BTreeMap::<Vec<usize>, Cell<'_>>::new();
        for run in &self.runs {
            let key = CellKey(
                self.axes
                    .iter()
                    .map(|axis| (axis.name.clone(), run.axis(&axis.name).unwrap_or("-").to_owned()))
                    .collect(),
            );
            let place = self.axes.iter().zip(&key.0).map(|(axis, (_, value))| {
                axis.values.iter().position(|declared| declared == value).unwrap_or(axis.values.len())
            });
            cells.entry(place.collect()).or_insert_with(|| Cell { key, runs: Vec::new() }).runs.push(run);
        }
        let mut cells = cells.into_values().collect::<Vec<_>>();
        for cell in &mut cells {
            cell.runs.sort_by_key(|run| run.seed);
        }
        cells
    }

    /// The axis called `name`.
    pub fn axis(&self, name: &str) -> Option<&Axis> {
        self.axes.iter().find(|axis| axis.name == name)
    }

    /// The floors of `metric`.
    pub fn floors_of<'a>(&'a self, metric: &'a MetricName) -> impl Iterator<Item = &'a Floor> {
        self.floors.iter().filter(move |floor| floor.metric == *metric)
    }

    /// Those that a figure can draw: one value for all runs.
    pub fn drawn_floors_of<'a>(&'a self, metric: &'a MetricName) -> impl Iterator<Item = &'a Floor> {
        self.floors_of(metric).filter(|floor| floor.is_one())
    }

    /// The value of the axis that others are compared with: the baseline's, or the first declared one.
    pub fn reference_value<'a>(&'a self, axis: &'a Axis) -> Option<&'a str> {
        let baseline = self.baseline.iter().flatten().find(|(name, _)| *name == axis.name);
        baseline.map(|(_, value)| value.as_str()).or(axis.values.first().map(String::as_str))
    }
}

/// The axis values of a cell, in the order of the axes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellKey(pub Vec<(String, String)>);

impl CellKey {
    /// The value of the axis `name`.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(axis, _)| axis == name).map(|(_, value)| value.as_str())
    }

    /// The axis values that `other` does not share: `nsp=random`. Empty for equal keys.
    pub fn difference_from(&self, other: &Self) -> String {
        let different = self.0.iter().filter(|(axis, value)| other.value(axis) != Some(value));
        different.map(|(axis, value)| spelled(axis, value)).collect::<Vec<_>>().join(" ")
    }

    /// Whether the cell has all of `values`.
    pub fn matches(&self, values: &[(String, String)]) -> bool {
        values.iter().all(|(axis, value)| self.value(axis) == Some(value))
    }
}

impl fmt::Display for CellKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the only cell");
        }
        let pairs = self.0.iter().map(|(axis, value)| spelled(axis, value)).collect::<Vec<_>>();
        f.write_str(&pairs.join(" "))
    }
}

/// One cell of the sweep: its runs differ in nothing but the seed.
#[derive(Clone, Debug)]
pub struct Cell<'a> {
    pub key: CellKey,
    /// In order of seed.
    pub runs: Vec<&'a RunData>,
}

impl Cell<'_> {
    /// The outcome of each seed. Where a seed was run twice, the first finished run counts.
    pub fn outcomes(&self, metric: &MetricName) -> BTreeMap<Seed, f64> {
        let mut outcomes = BTreeMap::new();
        for run in &self.runs {
            if let Some(value) = run.outcome(metric) {
                outcomes.entry(run.seed).or_insert(value);
            }
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture;

    #[test]
    fn cells_follow_the_declared_order_and_hold_their_seeds() {
        let comparison = fixture::sweep();
        let cells = comparison.cells();
        let keys = cells.iter().map(|cell| cell.key.to_string()).collect::<Vec<_>>();
        assert_eq!(
            keys[..3],
            [
                "size=tiny mask_ratio=0.15 nsp=off",
                "size=tiny mask_ratio=0.15 nsp=random",
                "size=tiny mask_ratio=0.30 nsp=off"
            ]
        );
        assert_eq!(cells.len(), 8);
        assert!(cells.iter().all(|cell| cell.runs.windows(2).all(|pair| pair[0].seed < pair[1].seed)));
    }

    #[test]
    fn only_finished_and_finite_runs_have_an_outcome() {
        let mut run = fixture::sweep().runs.remove(0);
        let metric = fixture::metric("valid/mlm_loss");
        assert!(run.outcome(&metric).is_some());
        run.state = RunState::Interrupted;
        assert_eq!(run.outcome(&metric), None);
        run.state = RunState::Finished;
        run.series.insert(metric.clone(), vec![Point { step: 1, value: f64::NAN }]);
        assert_eq!(run.outcome(&metric), None);
    }
}
