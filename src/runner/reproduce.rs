//! Reproduction: a finished run is executed again from its stored specification alone, and the two are compared.
//!
//! On `flex` the verdict rests on bits: every deterministic metric at every step, the digest chain, and the final weights.
//! Other devices add up in an order of their own, and there it rests on a stated tolerance of every recorded loss.

use serde::Serialize;
use serde_json::Value;

use super::execute::Task;
use super::provenance::Provenance;
use crate::plan::DeviceKind;
use crate::store::{History, RunState, StoreError, StoredRun};
use crate::types::metrics::{self, Metric};
use crate::types::{MetricName, RunId, Step};

/// How far a loss may be off, relative to itself, on a device without the bitwise promise. Rounding differs from the first
/// step on and training carries it along; a run of another specification, or of another seed, is off by more.
pub const TOLERANCE: f64 = 0.01;

/// What comparing two executions of one specification found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Every metric bit, the chain and the weights are the same.
    Identical { steps: Step, compared_values: usize, chain: String, weights: String },
    /// Every loss of the two is the same within a relative tolerance; the largest difference is told.
    WithinTolerance { steps: Step, compared_values: usize, tolerance: f64, largest: f64 },
    /// The first step and metric that differ; `None` stands for a value that one of the two does not have.
    Different { step: Step, metric: MetricName, original: Option<f64>, reproduced: Option<f64> },
    /// All metrics agree, but this other record of the end (`final_weights` or `final_chain`) does not.
    DifferentEnd { what: String, original: String, reproduced: String },
}

impl Verdict {
    /// Whether the two came out the same, as far as their device promises it.
    pub fn is_reproduced(&self) -> bool {
        matches!(self, Self::Identical { .. } | Self::WithinTolerance { .. })
    }

    /// What the verdict on runs of a device rests on.
    pub fn basis(device: DeviceKind) -> String {
        if device.is_bitwise() {
            "bitwise".to_owned()
        } else {
            format!("every loss within {} % on {}", TOLERANCE * 100.0, device.name())
        }
    }
}

/// A key of the provenance that is not the same in both.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProvenanceDifference {
    pub key: String,
    pub original: String,
    pub reproduced: String,
}

/// Why a run cannot be reproduced.
#[derive(Debug, thiserror::Error)]
pub enum ReproduceError {
    #[error("run {run} is {state}; only a finished run can be reproduced{}", hint(*.state))]
    NotFinished { run: RunId, state: RunState },
    #[error(
        "run {run} was imported: there is nothing to execute again; `ablate import` of the same folder finds the same run"
    )]
    Imported { run: RunId },
    #[error(transparent)]
    Logged(#[from] StoreError),
    #[error("the re-execution {run} did not finish: {reason}")]
    Failed { run: RunId, reason: String },
}

fn hint(state: RunState) -> &'static str {
    match state {
        RunState::Interrupted | RunState::Lost | RunState::Planned => " (run its experiment file again to finish it)",
        RunState::Stopped => " (run its experiment file with --no-halving to finish it)",
        RunState::Running => " (wait for its end)",
        RunState::Failed | RunState::Finished => "",
    }
}

/// The task of executing `run` again, in a new folder that points at the old one.
pub fn task(run: &StoredRun) -> Result<Task, ReproduceError> {
    let spec = run.planned()?;
    if run.state != RunState::Finished {
        return Err(ReproduceError::NotFinished { run: run.id.clone(), state: run.state });
    }
    if spec.training().is_none() {
        return Err(ReproduceError::Imported { run: run.id.clone() });
    }
    Ok(Task {
        spec: spec.clone(),
        hash: spec.hash(),
        label: format!("reproduction of {}", run.id),
        experiment: None,
        reproduces: Some(run.id.clone()),
    })
}

/// Compares two executions of one specification on `device`.
pub fn compare(device: DeviceKind, original: &History, reproduced: &History) -> Verdict {
    if device.is_bitwise() { compare_bits(original, reproduced) } else { compare_losses(original, reproduced) }
}

fn compare_losses(original: &History, reproduced: &History) -> Verdict {
    // What earlier programs did not record is in no promise.
    let is_loss =
        |name: &MetricName| name.is_deterministic() && metrics::find(name.as_str()).is_some_and(Metric::is_loss);
    let (a, b) = (values(original, is_loss), values(reproduced, is_loss));
    let off = |x: f64, y: f64| (x - y).abs() / x.abs().max(y.abs()).max(f64::MIN_POSITIVE);
    let is_same = |x: f64, y: f64| x.to_bits() == y.to_bits() || off(x, y) <= TOLERANCE;
    if let Some((at, original, reproduced)) = first_difference(&a, &b, is_same) {
        return Verdict::Different { step: at.0, metric: at.1, original, reproduced };
    }
    let pairs = a.iter().zip(&b).filter(|(x, y)| x.1.to_bits() != y.1.to_bits());
    let largest = pairs.map(|(x, y)| off(x.1, y.1)).fold(0.0, f64::max);
    let steps = original.last_step();
    Verdict::WithinTolerance { steps, compared_values: a.len(), tolerance: TOLERANCE, largest }
}

/// What was recorded under the names that `select` chooses, by step and name.
fn values(history: &History, select: impl Fn(&MetricName) -> bool) -> Vec<(Place, f64)> {
    let mut values: Vec<_> = history
        .all_series()
        .filter(|(name, _)| select(name))
        .flat_map(|(name, points)| points.iter().map(|point| ((point.step, name.clone()), point.value)))
        .collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

fn compare_bits(original: &History, reproduced: &History) -> Verdict {
    let (a, b) = (values(original, MetricName::is_deterministic), values(reproduced, MetricName::is_deterministic));
    if let Some((at, original, reproduced)) = first_difference(&a, &b, |x, y| x.to_bits() == y.to_bits()) {
        return Verdict::Different { step: at.0, metric: at.1, original, reproduced };
    }
    let end = |history: &History, what: &str| match history.facts.get(what).and_then(Value::as_str) {
        Some(hash) => hash.to_owned(),
        None => "not recorded".to_owned(),
    };
    for what in ["final_weights", "final_chain"] {
        let (original, reproduced) = (end(original, what), end(reproduced, what));
        if original != reproduced || original == "not recorded" {
            return Verdict::DifferentEnd { what: what.to_owned(), original, reproduced };
        }
    }
    Verdict::Identical {
        steps: original.last_step(),
        compared_values: a.len(),
        chain: end(original, "final_chain"),
        weights: end(original, "final_weights"),
    }
}

/// What differs in the provenance of two runs, by who executed them; `None` where one of the two cannot be read.
pub fn provenance_differences(original: &StoredRun, reproduced: &StoredRun) -> Option<Vec<ProvenanceDifference>> {
    let (a, b) = (Provenance::of(original)?, Provenance::of(reproduced)?);
    let difference = |(key, original, reproduced)| ProvenanceDifference { key, original, reproduced };
    Some(a.differences(&b).into_iter().map(difference).collect())
}

type Place = (Step, MetricName);

/// The first place, by step and then by name, where two sorted lists do not hold the same.
fn first_difference(
    a: &[(Place, f64)],
    b: &[(Place, f64)],
    is_same: impl Fn(f64, f64) -> bool,
) -> Option<(Place, Option<f64>, Option<f64>)> {
    for (x, y) in a.iter().zip(b) {
        if x.0 < y.0 {
            return Some((x.0.clone(), Some(x.1), None));
        }
        if x.0 > y.0 {
            return Some((y.0.clone(), None, Some(y.1)));
        }
        if !is_same(x.1, y.1) {
            return Some((x.0.clone(), Some(x.1), Some(y.1)));
        }
    }
    match a.len().cmp(&b.len()) {
        std::cmp::Ordering::Greater => a.get(b.len()).map(|(place, value)| (place.clone(), Some(*value), None)),
        std::cmp::Ordering::Less => b.get(a.len()).map(|(place, value)| (place.clone(), None, Some(*value))),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ChainDigest, Event, Metrics};

    fn history(losses: &[f64], weights: &str) -> History {
        let mut history = History::default();
        for (step, &loss) in (1..).zip(losses) {
            let name = |text: &str| text.parse().unwrap();
            let metrics = Metrics(vec![(name("train/loss"), loss), (name("time/tokens_per_s"), loss * 7.0)]);
            history.apply(Event::Step { step: Step(step), chain: ChainDigest(step), metrics });
        }
        for (name, value) in [("final_weights", weights), ("final_chain", "c")] {
            history.apply(Event::Fact { name: name.into(), value: value.into() });
        }
        history
    }

    #[test]
    fn equal_bits_are_identical_whatever_the_clock_says() {
        let verdict = compare(DeviceKind::Flex, &history(&[3.0, 2.0], "w"), &history(&[3.0, 2.0], "w"));
        assert!(matches!(verdict, Verdict::Identical { steps: Step(2), compared_values: 2, .. }), "{verdict:?}");
    }

    #[test]
    fn the_first_difference_is_named() {
        let check = |a: &[f64], b: &[f64], step, original, reproduced| {
            let metric = "train/loss".parse().unwrap();
            let expected = Verdict::Different { step: Step(step), metric, original, reproduced };
            assert_eq!(compare(DeviceKind::Flex, &history(a, "w"), &history(b, "w")), expected);
        };
        check(&[3.0, 2.0, 1.0], &[3.0, 2.5, 1.5], 2, Some(2.0), Some(2.5));
        check(&[3.0, 2.0], &[3.0], 2, Some(2.0), None);
        check(&[3.0], &[3.0, 2.0], 2, None, Some(2.0));
        check(&[0.0], &[-0.0], 1, Some(0.0), Some(-0.0));
    }

    #[test]
    fn other_devices_are_held_to_a_tolerance() {
        let check = |a: &[f64], b: &[f64]| compare(DeviceKind::Tch, &history(a, "w"), &history(b, "v"));
        let verdict = check(&[3.0, 2.0], &[3.0, 2.001]);
        assert!(
            verdict.is_reproduced()
                && matches!(verdict, Verdict::WithinTolerance { compared_values: 2, largest, .. } if largest > 4e-4)
        );
        assert!(matches!(check(&[3.0, 2.0], &[3.0, 2.1]), Verdict::Different { step: Step(2), .. }));
        assert!(matches!(check(&[3.0, 2.0], &[3.0]), Verdict::Different { step: Step(2), .. }));
        assert!(matches!(check(&[3.0], &[f64::NAN]), Verdict::Different { .. }));
    }

    /// A run of a program that knew fewer parts of the loss is held to those that it recorded.
    #[test]
    fn what_came_later_is_not_compared() {
        let of = |names: &[&str]| {
            let mut history = history(&[3.0], "w");
            let metrics = Metrics(names.iter().map(|name| (name.parse().unwrap(), 3.0)).collect());
            history.apply(Event::Evaluation { step: Step(1), metrics });
            history
        };
        let (old, new) =
            (of(&["valid/mlm_loss"]), of(&["valid/mlm_loss", "valid/mlm_loss_mask", "train/mlm_loss_mask"]));
        for device in [DeviceKind::Flex, DeviceKind::Tch] {
            assert!(compare(device, &old, &new).is_reproduced());
        }
    }

    #[test]
    fn weights_are_compared_last() {
        let verdict = compare(DeviceKind::Flex, &history(&[3.0], "w"), &history(&[3.0], "v"));
        assert!(matches!(verdict, Verdict::DifferentEnd { .. }), "{verdict:?}");
    }
}
