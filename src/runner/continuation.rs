//! Continuation: a new run that resumes where another run of its trajectory stands, as if it had come there by itself.
//!
//! [`find`] is the parent's side: which run, and which of its checkpoints. [`adopt`] is the worker's: it takes over that
//! run's recorded steps, its checkpoint and its best checkpoint, with the digest chain counted anew from the new run's
//! own specification. What follows is an ordinary resume, so the run ends with the same bits as one trained from the start.

use std::collections::BTreeMap;

use super::provenance::Execution;
use crate::plan::{RunSpec, Trajectory};
pub use crate::store::Origin;
use crate::store::{ChainDigest, Event, Index, RunDir, RunQuery, RunRow, RunState, Store, StoreError};
use crate::trainer::checkpoint::{self, Checkpoint, CheckpointDir, CheckpointError};
use crate::types::{Chain, ContentHash, RunId, Step};

/// Why a run cannot continue its origin, and starts anew instead.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("its log does not lead to the digest chain of its checkpoint at step {step}")]
    OtherPast { step: Step },
    #[error("it was executed by another program or instruction set")]
    OtherExecution,
    #[error("its best checkpoint, of step {best}, is later than step {step}")]
    LaterBest { best: Step, step: Step },
}

/// The specifications of a store's runs, each read once.
#[derive(Debug, Default)]
pub struct Trajectories(BTreeMap<RunId, Option<(Trajectory, RunSpec)>>);

impl Trajectories {
    fn of(&mut self, run: &RunDir) -> Option<&(Trajectory, RunSpec)> {
        let read = || {
            let spec = run.read_spec().ok()?;
            Some((spec.trajectory()?.0, spec))
        };
        self.0.entry(run.id().clone()).or_insert_with(read).as_ref()
    }
}

/// The furthest checkpoint of any run at rest that a run of `spec` can continue from.
///
/// The other run was executed by this very program with this instruction set: elsewhere the bits may differ.
pub fn find(
    store: &Store,
    index: &mut Index,
    known: &mut Trajectories,
    spec: &RunSpec,
) -> Result<Option<Origin>, StoreError> {
    let Some((trajectory, steps)) = spec.trajectory() else { return Ok(None) };
    let states: Vec<_> = RunState::ALL.into_iter().filter(|state| *state != RunState::Running).collect();
    let rows = index.query(&RunQuery::in_states(&states))?;
    let mut best: Option<Origin> = None;
    for RunRow { id, .. } in rows.iter().filter(|row| row.reproduces.is_none() && row.steps_done.0 > 0) {
        let Ok(run) = store.run(id) else { continue };
        let Some((_, its)) = known.of(&run).filter(|(its, _)| *its == trajectory) else { continue };
        let ended_between =
            |step: Step| its.trajectory().map(|(_, end)| end) == Some(step.0) && !its.ends_on_an_evaluation();
        let checkpoints = CheckpointDir::new(run.checkpoints_path());
        let useable = checkpoints.steps().into_iter().filter(|step| step.0 < steps && !ended_between(*step));
        let Some(step) = useable.max().filter(|step| best.as_ref().is_none_or(|best| best.step < *step)) else {
            continue;
        };
        let is_later = |best: Checkpoint| best.step > step;
        if has_our_bits(&run, spec).unwrap_or(false)
            && !read_best(&checkpoints, its).is_ok_and(|best| best.is_some_and(is_later))
        {
            best = Some(Origin { run: id.clone(), step });
        }
    }
    Ok(best)
}

/// Whether all of a run was executed by this program with this instruction set.
fn has_our_bits(run: &RunDir, spec: &RunSpec) -> Result<bool, StoreError> {
    let this = Execution::this(spec.train());
    Ok(Execution::all_of(run)?.iter().all(|execution| execution.has_the_bits_of(&this)))
}

/// Brings the run `dir` to where its origin stands: appends the events through `append`, then writes the checkpoints.
///
/// Nothing of the run is changed before all of the origin was read and found whole.
pub fn adopt(
    store: &Store,
    dir: &RunDir,
    spec: &RunSpec,
    origin: &Origin,
    append: &mut dyn FnMut(&Event) -> Result<(), StoreError>,
) -> Result<(), AdoptError> {
    let Origin { run, step } = origin;
    let source = store.run(run)?;
    let its = source.read_spec()?;
    // Who planned this run may have had another processor than who executes it.
    if !has_our_bits(&source, spec)? {
        return Err(AdoptError::OtherExecution);
    }
    let checkpoints = CheckpointDir::new(source.checkpoints_path());
    let checkpoint = checkpoint::read(&checkpoints.path(*step), its.hash(), spec.optimizer())?;
    let best = read_best(&checkpoints, &its)?;
    if let Some(best) = best.as_ref().filter(|best| best.step > *step) {
        return Err(AdoptError::LaterBest { best: best.step, step: *step });
    }
    let events = past(&source, *step)?;
    if rechained(&events, Chain::start(its.hash())).1.get(step) != Some(&checkpoint.chain) {
        return Err(AdoptError::OtherPast { step: *step });
    }
    let (events, chains) = rechained(&events, Chain::start(spec.hash()));
    for event in &events {
        append(event)?;
    }
    let folder = CheckpointDir::new(dir.checkpoints_path());
    let renamed = |its: Checkpoint| Checkpoint { spec: spec.hash(), chain: chains[&its.step], ..its };
    if let Some(best) = best {
        folder.save_best(&renamed(best))?;
    }
    let weights = folder.save(&renamed(checkpoint), spec.train().keep_checkpoints)?;
    let file = folder.path(*step).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    append(&Event::Checkpoint { step: *step, file, weights })?;
    Ok(())
}

/// The checkpoint of the best evaluation, if there was one yet.
fn read_best(checkpoints: &CheckpointDir, spec: &RunSpec) -> Result<Option<Checkpoint>, CheckpointError> {
    let path = checkpoints.best_path();
    if path.exists() { checkpoint::read(&path, spec.hash(), spec.optimizer()).map(Some) } else { Ok(None) }
}

/// What the trainer recorded up to `step`, after the resume rule: facts and warnings from before the first step, then the
/// steps and evaluations in their order.
fn past(run: &RunDir, step: Step) -> Result<Vec<Event>, StoreError> {
    let mut events: Vec<Event> = Vec::new();
    let mut is_before_first_step = false;
    for event in run.events()? {
        match event? {
            Event::Resumed { step: Step(0), .. } => {
                events.clear();
                is_before_first_step = true;
            }
            Event::Resumed { step: back, .. } => events.retain(|event| step_of(event).is_none_or(|step| step <= back)),
            event @ (Event::Fact { .. } | Event::Warning { .. }) if is_before_first_step => events.push(event),
            event => {
                if step_of(&event).is_some() {
                    is_before_first_step = false;
                    events.push(event);
                }
            }
        }
    }
    events.retain(|event| step_of(event).is_none_or(|its| its <= step));
    Ok(events)
}

/// The step that an event belongs to, where it is one that the trainer measured.
fn step_of(event: &Event) -> Option<Step> {
    match event {
        Event::Step { step, .. } | Event::Evaluation { step, .. } => Some(*step),
        _ => None,
    }
}

/// The events with the digest chain counted anew from `start`, and the chain after each step and its evaluation.
fn rechained(events: &[Event], start: Chain) -> (Vec<Event>, BTreeMap<Step, ContentHash>) {
    let (mut chain, mut after) = (start, BTreeMap::new());
    let mut events = events.to_vec();
    for event in &mut events {
        if let Event::Step { step, metrics, .. } | Event::Evaluation { step, metrics } = event {
            chain.extend_named(*step, metrics.0.iter().map(|(name, value)| (name.as_str(), *value)));
            after.insert(*step, chain.hash());
        }
        if let Event::Step { chain: digest, .. } = event {
            *digest = ChainDigest::of(&chain.hash());
        }
    }
    (events, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::testing;
    use crate::store::Metrics;
    use crate::types::Timestamp;

    fn step(at: u64, loss: f64) -> Event {
        let metrics = Metrics(vec![("train/loss".parse().unwrap(), loss)]);
        Event::Step { step: Step(at), chain: ChainDigest(0), metrics }
    }

    fn resumed(at: u64) -> Event {
        Event::Resumed { step: Step(at), at: Timestamp::from_unix_millis(0) }
    }

    fn fact(name: &str) -> Event {
        Event::Fact { name: name.to_owned(), value: true.into() }
    }

    /// What was trained, lost and trained again counts once, and facts count from before the first step.
    #[test]
    fn the_past_of_a_run_follows_the_resume_rule() {
        let folder = tempfile::tempdir().unwrap();
        let run = testing::new_run(&testing::sources(folder.path()).store, 1);
        let mut log = run.open_log(&run.acquire_lease().unwrap()).unwrap();
        let first_try = [resumed(0), fact("mask_rate"), step(1, 9.5)];
        let second_try = [resumed(0), fact("mask_rate"), step(1, 9.0), step(2, 8.0), step(3, 7.0), fact("late")];
        let killed = [resumed(1), step(2, 8.0), step(3, 7.0), step(4, 6.0)];
        for event in first_try.iter().chain(&second_try).chain(&killed) {
            log.append(event).unwrap();
        }
        let steps = |until| {
            let events = past(&run, Step(until)).unwrap();
            events.iter().filter_map(step_of).map(|step| step.0).collect::<Vec<_>>()
        };
        assert_eq!((steps(3), steps(9)), (vec![1, 2, 3], vec![1, 2, 3, 4]));
        let facts = past(&run, Step(3)).unwrap().into_iter().filter(|event| matches!(event, Event::Fact { .. }));
        assert_eq!(facts.count(), 1);
    }

    /// The chain depends on where it starts and on every value, and is that of a run which came there by itself.
    #[test]
    fn a_chain_is_counted_anew_from_another_start() {
        let [a, b] = [1, 2].map(|n: u8| Chain::start(crate::types::SpecHash(ContentHash::of(&[n]))));
        let events = [step(1, 9.0), step(2, 8.0)];
        let (ours, after) = rechained(&events, a);
        let mut by_itself = a;
        for event in &events {
            if let Event::Step { step, metrics, .. } = event {
                by_itself.extend_named(*step, metrics.0.iter().map(|(name, value)| (name.as_str(), *value)));
                assert_eq!(after[step], by_itself.hash());
            }
        }
        assert_ne!(after, rechained(&events, b).1);
        let Event::Step { chain, .. } = &ours[1] else { panic!("a step") };
        assert_eq!(*chain, ChainDigest::of(&by_itself.hash()));
    }
}
