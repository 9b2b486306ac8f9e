//! The story of a run as its log tells it, after the resume rule: a resumed run has one past, not several.
//!
//! A record [`Event::Resumed`] at step `s` voids what was recorded before it for later steps, because those steps are
//! about to be done again. Beside it, a record of a step voids the earlier ones of its own series for that step and later
//! ones (TensorBoard calls it preemption), so that the steps of a series always rise, whoever wrote the log. Points are
//! kept by metric, 16 bytes each, so that the history of a million steps fits in memory.

use std::collections::BTreeMap;
use std::io::BufRead;

use super::error::StoreError;
use super::event::{ChainDigest, Event, LoggedPoint, Metrics, RunState};
use super::event_log::EventReader;
use crate::types::{ContentHash, MetricName, Step, Timestamp};

/// A metric's value at a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub step: Step,
    pub value: f64,
}

/// Metrics over steps; the steps of each rise strictly.
pub type SeriesByMetric = BTreeMap<MetricName, Vec<Point>>;

/// All that a run's log says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Every state that the run came into, oldest first.
    pub states: Vec<StateChange>,
    /// What the training steps measured.
    pub steps: SeriesByMetric,
    /// The digest chain over the training steps.
    pub chain: Vec<ChainLink>,
    /// What the evaluations measured.
    pub evaluations: SeriesByMetric,
    /// The last value of each fact.
    pub facts: BTreeMap<String, serde_json::Value>,
    /// Each once, in the order in which they came first.
    pub warnings: Vec<String>,
    /// Checkpoints that were written; old ones may have been removed from the disk since.
    pub checkpoints: Vec<CheckpointRecord>,
    pub resumes: Vec<Resume>,
    /// What a guest measured, as it said it: in any order of steps, and some steps more than once.
    pub logged: BTreeMap<MetricName, Vec<LoggedPoint>>,
    /// Parameters that a guest named after its run was made.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// Records of a newer program, which were passed over.
    pub unknown_records: u64,
    /// Bytes of a torn last line, which were passed over.
    pub torn_bytes: u64,
}

/// The fact that holds the seconds, over all sessions of a run, between the start of a worker and its end in which it was
/// suspended, or by which the clock was set.
pub const NOT_WORKED_FACT: &str = "not_worked_secs";

/// The fact that holds the data sets that a guest says it read.
pub const INPUTS_FACT: &str = "inputs";

/// The run came into a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    pub state: RunState,
    pub reason: Option<String>,
    pub at: Timestamp,
}

/// The digest chain after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainLink {
    pub step: Step,
    pub digest: ChainDigest,
}

/// A checkpoint that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRecord {
    pub step: Step,
    /// The name in the run's `checkpoints/`.
    pub file: String,
    pub weights: ContentHash,
}

/// Training resumed from an earlier step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    pub step: Step,
    pub at: Timestamp,
}

/// A value at a step, whoever measured it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub step: i64,
    pub value: f64,
    /// A guest's own time, where it says one.
    pub at: Option<Timestamp>,
}

impl History {
    /// Reads what is left of a log.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`] for damage anywhere but in the last line.
    pub fn read<R: BufRead>(reader: &mut EventReader<R>) -> Result<Self, StoreError> {
        let mut history = Self::default();
        for event in reader.by_ref() {
            history.apply(event?);
        }
        history.unknown_records = reader.unknown_records();
        history.torn_bytes = reader.torn_bytes();
        Ok(history)
    }

    /// Takes in the next record.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::State { state, reason, at } => self.states.push(StateChange { state, reason, at }),
            Event::Step { step, chain: digest, metrics } => {
                push(&mut self.chain, ChainLink { step, digest });
                push_metrics(&mut self.steps, step, metrics);
            }
            Event::Evaluation { step, metrics } => push_metrics(&mut self.evaluations, step, metrics),
            Event::Fact { name, value } => drop(self.facts.insert(name, value)),
            // A resumed run meets again what it was warned of when it began.
            Event::Warning { text } if self.warnings.contains(&text) => {}
            Event::Warning { text } => self.warnings.push(text),
            Event::Checkpoint { step, file, weights } => {
                push(&mut self.checkpoints, CheckpointRecord { step, file, weights });
            }
            Event::Resumed { step, at } => {
                self.forget_after(step);
                self.resumes.push(Resume { step, at });
            }
            Event::Points { points } => {
                for point in points {
                    self.logged.entry(point.key.clone()).or_default().push(point);
                }
            }
            Event::Parameters { parameters } => self.parameters.extend(parameters),
        }
    }

    /// The state that was recorded last. `Running` may mean lost: who holds the lease tells.
    pub fn recorded_state(&self) -> RunState {
        self.states.last().map_or(RunState::Planned, |change| change.state)
    }

    /// Why the run is in its state.
    pub fn reason(&self) -> Option<&str> {
        self.states.last()?.reason.as_deref()
    }

    /// When the run was planned.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.states.first().map(|change| change.at)
    }

    /// When training began for the first time.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.states.iter().find(|change| change.state == RunState::Running).map(|change| change.at)
    }

    /// When the run came to rest, if it is at rest.
    pub fn ended_at(&self) -> Option<Timestamp> {
        let last = self.states.last()?;
        let is_at_rest = |state| !matches!(state, RunState::Planned | RunState::Running);
        is_at_rest(last.state).then_some(last.at)
    }

    /// Seconds that the run was being worked on: from each start to the end that followed it, without the time in which the
    /// worker stood still. A start without an end (a killed worker) counts for nothing.
    pub fn working_secs(&self) -> f64 {
        let between: f64 = self.sessions().map(|(from, to)| to.secs_since(from)).sum();
        let stood_still = self.facts.get(NOT_WORKED_FACT).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        (between - stood_still).max(0.0)
    }

    /// When the worker began whose end is not recorded.
    pub fn running_since(&self) -> Option<Timestamp> {
        self.states.last().filter(|last| last.state == RunState::Running).map(|last| last.at)
    }

    /// From when to when the run was being worked on.
    pub fn sessions(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let pairs = self.states.windows(2).filter(|pair| pair[0].state == RunState::Running);
        pairs.filter(|pair| pair[1].state != RunState::Running).map(|pair| (pair[0].at, pair[1].at))
    }

    /// The last training step that was recorded.
    pub fn last_step(&self) -> Step {
        self.chain.last().map_or(Step(0), |link| link.step)
    }

    /// The digest chain after the last step.
    pub fn final_digest(&self) -> Option<ChainDigest> {
        self.chain.last().map(|link| link.digest)
    }

    /// The points of a metric, whether steps or evaluations measured it; none when nothing did.
    pub fn series(&self, metric: &MetricName) -> &[Point] {
        self.evaluations.get(metric).or_else(|| self.steps.get(metric)).map_or(&[], Vec::as_slice)
    }

    /// Every metric with its points: those of the steps, then those of the evaluations.
    pub fn all_series(&self) -> impl Iterator<Item = (&MetricName, &[Point])> {
        self.steps.iter().chain(&self.evaluations).map(|(name, points)| (name, points.as_slice()))
    }

    /// Every metric with its points in order of step, whoever measured them.
    pub fn all_measured(&self) -> impl Iterator<Item = (&MetricName, Vec<Measured>)> {
        let ours = |point: &Point| Measured {
            step: i64::try_from(point.step.0).unwrap_or(i64::MAX),
            value: point.value,
            at: None,
        };
        let of_training = self.all_series().map(move |(name, points)| (name, points.iter().map(ours).collect()));
        let guests = |points: &[LoggedPoint]| points.iter().map(LoggedPoint::measured).collect();
        of_training.chain(self.logged.iter().map(move |(name, points)| (name, in_order(guests(points)))))
    }

    /// Everything but the points; of the digest chain the last link.
    pub fn without_points(mut self) -> Self {
        self.chain.drain(..self.chain.len().saturating_sub(1));
        Self { steps: BTreeMap::new(), evaluations: BTreeMap::new(), logged: BTreeMap::new(), ..self }
    }

    fn forget_after(&mut self, step: Step) {
        for points in self.steps.values_mut().chain(self.evaluations.values_mut()) {
            forget(points, step);
        }
        self.steps.retain(|_, points| !points.is_empty());
        self.evaluations.retain(|_, points| !points.is_empty());
        forget(&mut self.chain, step);
        forget(&mut self.checkpoints, step);
    }
}

/// A guest's points in order of step. Of several for one step the last counts: by the guest's time, then by arrival.
pub(super) fn in_order(mut points: Vec<Measured>) -> Vec<Measured> {
    points.sort_by_key(|point| (point.step, point.at));
    points.chunk_by(|a, b| a.step == b.step).filter_map(<[_]>::last).copied().collect()
}

impl LoggedPoint {
    /// What was measured.
    pub fn measured(&self) -> Measured {
        Measured { step: self.step, value: self.value, at: self.at }
    }
}

/// A thing that happened at a step, and that a resume from before that step voids.
trait AtStep {
    fn step(&self) -> Step;
}

macro_rules! at_step {
    ($($type:ty),*) => {$(
        impl AtStep for $type {
            fn step(&self) -> Step {
                self.step
            }
        }
    )*};
}

at_step!(Point, ChainLink, CheckpointRecord);

/// Adds an item in place of those of its step and later ones.
fn push<T: AtStep>(items: &mut Vec<T>, item: T) {
    while items.last().is_some_and(|last| last.step() >= item.step()) {
        items.pop();
    }
    items.push(item);
}

fn push_metrics(series: &mut SeriesByMetric, step: Step, metrics: Metrics) {
    for (name, value) in metrics.0 {
        push(series.entry(name).or_default(), Point { step, value });
    }
}

fn forget<T: AtStep>(items: &mut Vec<T>, after: Step) {
    items.truncate(items.partition_point(|item| item.step() <= after));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{any_events, metric, sample_events};
    use super::*;

    fn history_of(events: impl IntoIterator<Item = Event>) -> History {
        events.into_iter().fold(History::default(), |mut history, event| {
            history.apply(event);
            history
        })
    }

    /// The rule by its words, for the records that `step_of` says are of one series: one survives if no later resume
    /// goes back before its step and no later record of the series is for its step or an earlier one.
    fn survivors(events: &[Event], step_of: impl Fn(&Event) -> Option<Step>) -> Vec<Event> {
        let voids = |later: &Event, step: Step| match later {
            Event::Resumed { step: back, .. } => *back < step,
            record => step_of(record).is_some_and(|other| other <= step),
        };
        let survives =
            |i: usize| step_of(&events[i]).is_some_and(|step| !events[i + 1..].iter().any(|e| voids(e, step)));
        (0..events.len()).filter(|&i| survives(i)).map(|i| events[i].clone()).collect()
    }

    fn step_record(event: &Event) -> Option<Step> {
        if let Event::Step { step, .. } = event { Some(*step) } else { None }
    }

    fn checkpoint_record(event: &Event) -> Option<Step> {
        if let Event::Checkpoint { step, .. } = event { Some(*step) } else { None }
    }

    fn measured(event: &Event, name: &MetricName, in_steps: bool) -> Option<Point> {
        let (step, metrics) = match event {
            Event::Step { step, metrics, .. } if in_steps => (step, metrics),
            Event::Evaluation { step, metrics } if !in_steps => (step, metrics),
            _ => return None,
        };
        let (_, value) = metrics.0.iter().find(|(other, _)| other == name)?;
        Some(Point { step: *step, value: *value })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_resume_rule_holds_for_any_sequence(events in any_events(40)) {
            let history = history_of(events.clone());
            for name in ["train/loss", "train/lr", "valid/mlm_loss"].map(metric) {
                for (series, in_steps) in [(&history.steps, true), (&history.evaluations, false)] {
                    let step_of = |event: &Event| measured(event, &name, in_steps).map(|point| point.step);
                    let expected = survivors(&events, step_of)
                        .iter()
                        .filter_map(|event| measured(event, &name, in_steps))
                        .collect::<Vec<_>>();
                    prop_assert_eq!(series.get(&name).cloned().unwrap_or_default(), expected);
                }
            }
            let chain = history_of(survivors(&events, step_record)).chain;
            prop_assert_eq!(&history.chain, &chain);
            let checkpoints = history_of(survivors(&events, checkpoint_record)).checkpoints;
            prop_assert_eq!(&history.checkpoints, &checkpoints);
        }
    }

    #[test]
    fn what_is_not_bound_to_a_step_is_never_voided() {
        let history = history_of(sample_events());
        assert_eq!(history.warnings.len(), 1);
        assert_eq!(history.resumes.len(), 1);
        assert_eq!(history.recorded_state(), RunState::Finished);
        assert_eq!(history.started_at().map(Timestamp::unix_millis), Some(2_000));
        assert_eq!(history.ended_at().map(Timestamp::unix_millis), Some(9_000));
        assert_eq!(history.facts["parameters"], 1_052_256);
    }

    #[test]
    fn a_warning_that_comes_again_after_a_resume_is_one() {
        let warning = |text: &str| Event::Warning { text: text.to_owned() };
        let history = history_of([warning("a"), warning("b"), warning("a"), warning("c"), warning("b")]);
        assert_eq!(history.warnings, ["a", "b", "c"]);
    }

    #[test]
    fn a_million_steps_are_held() {
        let name = metric("train/loss");
        let mut history = History::default();
        for step in 1..=1_000_000 {
            let metrics = Metrics(vec![(name.clone(), 1.0 / step as f64)]);
            history.apply(Event::Step { step: Step(step), chain: ChainDigest(step), metrics });
        }
        assert_eq!(history.last_step(), Step(1_000_000));
        assert_eq!(history.series(&name).len(), 1_000_000);
        assert!(size_of::<Point>() <= 16);
    }
}
