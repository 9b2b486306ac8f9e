//! The step loop: schedule -> batch -> forward -> backward -> clip and update -> record -> evaluate -> checkpoint.
//!
//! One loop, from the first step to the last, in one place, for every [`Stage`] of training. Everything it does at step `t`
//! is a function of the specification, the data and the state after step `t - 1`; a resumed run enters it in the middle and
//! cannot tell.

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;

use burn::module::Module;
use burn::tensor::Device;
use serde_json::json;

use super::checkpoint::{self, Checkpoint, CheckpointDir, CheckpointError, Choice};
use super::device::{self, DeviceError};
use super::model::parameters::{self, Parameter, Weights};
use super::optimizer::Optimizer;
use super::recorder::{Chain, RecordError, Recorder};
use super::schedule::{Plateau, Schedule};
use crate::plan::RunSpec;
use crate::types::metrics::{self, Goal, Measurement, Metric};
use crate::types::{ContentHash, Step};

/// What is trained, and on what: the part of the loop in which stages differ.
///
/// Whatever it gives is a pure function of its specification, its data and the arguments.
pub trait Stage: Sync {
    type Model: Module;
    type Batch: Send;

    /// Sequences of a pass over the train data.
    fn instances(&self) -> usize;

    /// The model before the first step.
    fn start(&self, device: &Device) -> Self::Model;

    /// How many of the model's first parameters stay as they are.
    fn frozen(&self) -> usize {
        0
    }

    /// What the learning rate of the parameter of this name is multiplied with.
    fn rate(&self, _parameter: &str) -> f64 {
        1.0
    }

    /// What chooses among the weights of a run; by itself, nothing does, and the last ones are what it was for.
    fn selection(&self) -> Selection {
        Selection::default()
    }

    /// What is known before the first step: facts and warnings.
    fn describe(&self, recorder: &mut dyn Recorder) -> Result<(), RecordError>;

    /// What evaluations are to be held against, where it takes time to find out: recorded with the first of them, so that no
    /// first step waits for it.
    fn floors(&self, _recorder: &mut dyn Recorder) -> Result<(), RecordError> {
        Ok(())
    }

    /// Micro-batch number `index` of the run, counted from 0.
    fn batch(&self, index: u64) -> Self::Batch;

    /// The losses of micro-batch `index` and their gradients, with its dropout.
    fn forward_backward(&self, model: &Self::Model, batch: &Self::Batch, index: u64, device: &Device) -> StepGradients;

    /// What `model` knows about data that it does not train on; it is used without dropout or gradients.
    fn evaluate(&self, model: &Self::Model, is_last: bool, device: &Device) -> Evaluation;
}

/// How a run chooses among its weights, by the criterion of its evaluations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Evaluations in a row without a new best, after which the run ends.
    pub patience: Option<u64>,
    /// Whether the weights of the best evaluation come out, not the last ones.
    pub keeps_best: bool,
}

impl Selection {
    /// Whether the steps after this evaluation are not made.
    fn is_over(self, choice: Choice) -> bool {
        self.patience.is_some_and(|patience| choice.waited >= patience)
    }

    /// Whether what is judged is known only after the last evaluation.
    fn is_active(self) -> bool {
        self != Self::default()
    }
}

/// The losses of a forward pass: the sum that is minimised, and its parts by metric, in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct Losses {
    pub total: f64,
    pub parts: Vec<Measurement>,
}

/// What one micro-batch, or all of a step, gave.
#[derive(Clone, Debug)]
pub struct StepGradients {
    pub losses: Losses,
    pub gradients: Vec<Parameter>,
    /// Real tokens.
    pub tokens: u64,
    /// Token positions that were computed, padding included.
    pub positions: f64,
}

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Every metric, in a fixed order.
    pub metrics: Vec<Measurement>,
    /// What is known in more detail than metrics tell; in no digest chain.
    pub facts: Vec<(String, serde_json::Value)>,
    /// The metric by which checkpoints are told better from worse.
    pub criterion: Measurement,
    /// What a schedule that watches the valid loss watches.
    pub watched: f64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps were made, or as many as its selection took.
    Finished { steps: Step, chain: ContentHash, weights: ContentHash },
    /// The recorder asked to stop; a checkpoint of the last step was written.
    Interrupted { step: Step },
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("{} stopped being finite at step {step}: it is {value}", .metric.name())]
    Diverged { step: Step, metric: &'static Metric, value: f64 },
    #[error("the {side} documents give no instance of {seq_len} tokens: {fix}")]
    NoInstances { side: &'static str, seq_len: usize, fix: &'static str },
    #[error(
        "objective.nsp = \"random\" takes negatives from other documents, but the {side} side has {documents}; \
         change data.valid_fraction, use a larger corpus, or take nsp = \"swap\""
    )]
    TooFewDocuments { side: &'static str, documents: usize },
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("cannot record: {0}")]
    Record(RecordError),
}

impl From<RecordError> for TrainError {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

/// Trains `stage` as `spec` says, from its newest usable checkpoint in `checkpoints` or from the start.
pub fn train<S: Stage>(
    spec: &RunSpec,
    stage: &S,
    checkpoints: &Path,
    recorder: &mut dyn Recorder,
) -> Result<Outcome, TrainError> {
    let device = device::open_for_training(spec.train())?;
    let steps = spec.train().steps(stage.instances() as u64);
    let selection = stage.selection();
    let schedule = Schedule::new(spec.schedule(), &spec.model, steps);
    let folder = CheckpointDir::new(checkpoints);
    recorder.planned_steps(steps)?;

    let mut model = stage.start(&device);
    let mut state = resume_or_start(spec, &folder, &model, recorder)?;
    if state.step == Step(0) {
        stage.describe(recorder)?;
    }
    model = model.with_parameters(&state.parameters, &device);
    let mut clock = recorder.elapsed_secs();

    std::thread::scope(|scope| {
        let parts = spec.train().gradient_accumulation_steps as u64;
        let ahead = ahead(|index| stage.batch(index), state.step.0 * parts..steps * parts, scope);
        while state.step.0 < steps && !selection.is_over(state.choice) {
            let t = state.step.0;
            let lr = spec.optimizer().lr * schedule.factor(t) * state.plateau.scale;

            let found = accumulate(stage, &model, parts, &ahead, t, &device);
            let rate = |parameter: &str| lr * stage.rate(parameter);
            let grad_norm = state.optimizer.step_after(stage.frozen(), &mut state.parameters, &found.gradients, rate);
            parameters::recycle(found.gradients);
            model = model.with_parameters(&state.parameters, &device);

            state.step = Step(t + 1);
            state.tokens += found.tokens;
            check_finite(state.step, &[(&metrics::TRAIN_LOSS, found.losses.total), (&metrics::GRAD_NORM, grad_norm)])?;
            let now = recorder.elapsed_secs();
            let speed = found.tokens as f64 / (now - clock).max(1e-9);
            clock = now;
            let share = found.tokens as f64 / found.positions;
            let metrics = step_metrics(&found.losses, lr, grad_norm, state.tokens, share, speed);
            state.chain.extend(state.step, &metrics);
            recorder.step(state.step, state.chain.hash(), &metrics)?;

            let is_due = |every: u64| state.step.0.is_multiple_of(every);
            let (evaluates, saves) = (is_due(spec.train().eval_every), is_due(spec.train().checkpoint_every));
            let mut last = state.step.0 == steps;
            if last || evaluates {
                let is_judged = last && !selection.is_active();
                let evaluation = stage.evaluate(&model.valid(), is_judged, &device.clone().inner());
                if state.step.0 == spec.train().eval_every.min(steps) {
                    stage.floors(recorder)?;
                }
                take(evaluation, spec, selection, &mut state, &folder, recorder)?;
                last |= selection.is_over(state.choice);
            }
            if last && selection.is_active() {
                model = judge(stage, model, spec, &mut state, &folder, &device, recorder)?;
            }
            let stop = !last && recorder.stop_requested();
            if last || stop || saves {
                recorder.make_durable()?;
                let weights = folder.save(&state.checkpoint(spec), spec.train().keep_checkpoints)?;
                recorder.checkpoint(state.step, &folder.path(state.step), weights)?;
            }
            if stop {
                return Ok(Outcome::Interrupted { step: state.step });
            }
            // Evaluations and checkpoints do not count as training time.
            clock += recorder.elapsed_secs() - now;
        }
        if state.step.0 < steps {
            recorder.planned_steps(state.step.0)?;
        }
        let weights = match selection.keeps_best {
            true => parameters::digest(&best_weights(spec, &state, &folder)?),
            false => parameters::digest(&state.parameters),
        };
        Ok(Outcome::Finished { steps: state.step, chain: state.chain.hash(), weights })
    })
}

/// Makes the micro-batches of `indices`, in their order, on a thread of its own that stays one ahead of whoever takes them.
/// It ends when it has made them all, or when nobody takes them any more.
fn ahead<'scope, B: Send + 'scope>(
    make: impl Fn(u64) -> B + Send + 'scope,
    indices: Range<u64>,
    scope: &'scope Scope<'scope, '_>,
) -> Receiver<B> {
    let (sender, receiver) = sync_channel(1);
    scope.spawn(move || {
        for index in indices {
            if sender.send(make(index)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// All that changes from step to step.
struct State {
    step: Step,
    chain: Chain,
    tokens: u64,
    best: f64,
    choice: Choice,
    plateau: Plateau,
    parameters: Vec<Parameter>,
    optimizer: Optimizer,
}

impl State {
    fn checkpoint(&self, spec: &RunSpec) -> Checkpoint {
        Checkpoint {
            spec: spec.hash(),
            step: self.step,
            chain: self.chain.hash(),
            tokens: self.tokens,
            best: self.best,
            choice: self.choice,
            plateau: self.plateau,
            parameters: self.parameters.clone(),
            optimizer: self.optimizer.clone(),
        }
    }
}

/// The losses of step `t` and their gradients, as means over its `parts` batches, which come from `ahead`.
fn accumulate<S: Stage>(
    stage: &S,
    model: &S::Model,
    parts: u64,
    ahead: &Receiver<S::Batch>,
    t: u64,
    device: &Device,
) -> StepGradients {
    let part = |index: u64| {
        let batch = ahead.recv().expect("invariant: a batch is made for every part of every step");
        stage.forward_backward(model, &batch, index, device)
    };
    let mut sum = part(t * parts);
    for index in t * parts + 1..(t + 1) * parts {
        let more = part(index);
        sum.losses = sum.losses.plus(&more.losses);
        for (sum, more) in sum.gradients.iter_mut().zip(&more.gradients) {
            sum.values.iter_mut().zip(&more.values).for_each(|(sum, more)| *sum += more);
        }
        parameters::recycle(more.gradients);
        sum.tokens += more.tokens;
        sum.positions += more.positions;
    }
    if parts > 1 {
        let share = 1.0 / parts as f64;
        sum.losses = sum.losses.times(share);
        sum.gradients.iter_mut().flat_map(|sum| &mut sum.values).for_each(|value| *value *= share as f32);
    }
    sum
}

impl Losses {
    /// The part of this metric.
    pub fn part(&self, metric: &Metric) -> Option<f64> {
        self.parts.iter().find(|(its, _)| *its == metric).map(|(_, loss)| *loss)
    }

    fn plus(&self, other: &Self) -> Self {
        let sum = |(a, b): (&Measurement, &Measurement)| (a.0, a.1 + b.1);
        Self { total: self.total + other.total, parts: self.parts.iter().zip(&other.parts).map(sum).collect() }
    }

    fn times(&self, share: f64) -> Self {
        let parts = self.parts.iter().map(|(metric, loss)| (*metric, loss * share)).collect();
        Self { total: self.total * share, parts }
    }
}

/// Where a run stands that starts as `model`, or that has a checkpoint.
fn resume_or_start<M: Module>(
    spec: &RunSpec,
    folder: &CheckpointDir,
    model: &M,
    recorder: &mut dyn Recorder,
) -> Result<State, TrainError> {
    let latest = folder.latest(spec.hash(), spec.optimizer(), &|step, chain| recorder.leads_to(step, chain));
    let instead = match latest.checkpoint {
        Some(_) => "the one before it is used",
        None => "there is no usable one before it, so the run starts anew",
    };
    for error in &latest.passed_over {
        recorder.warning(&format!("{error}; {instead}"))?;
    }
    match latest.checkpoint {
        Some(Checkpoint { step, chain, tokens, best, choice, plateau, parameters, optimizer, .. }) => {
            recorder.resumed(step)?;
            Ok(State { step, chain: Chain::resume(chain), tokens, best, choice, plateau, parameters, optimizer })
        }
        None => {
            recorder.resumed(Step(0))?;
            let parameters = model.parameters();
            let optimizer = Optimizer::new(spec.optimizer(), &parameters);
            let chain = Chain::start(spec.hash());
            let (plateau, choice, best) = (Plateau::default(), Choice::default(), f64::INFINITY);
            Ok(State { step: Step(0), chain, tokens: 0, best, choice, plateau, parameters, optimizer })
        }
    }
}

/// Records an evaluation, extends the chain with it, and keeps the checkpoint if it is the best so far.
fn take(
    evaluation: Evaluation,
    spec: &RunSpec,
    selection: Selection,
    state: &mut State,
    folder: &CheckpointDir,
    recorder: &mut dyn Recorder,
) -> Result<(), TrainError> {
    record(&evaluation, state, recorder)?;
    let Evaluation { criterion, watched, .. } = evaluation;
    state.plateau.observe(spec.schedule(), spec.optimizer().lr, watched);
    check_finite(state.step, &[criterion])?;
    let cost = match criterion.0.goal {
        Goal::Minimize => criterion.1,
        Goal::Maximize => -criterion.1,
    };
    let is_best = cost < state.best;
    if selection.is_active() {
        state.choice = match is_best {
            true => Choice { step: state.step, waited: 0 },
            false => Choice { waited: state.choice.waited + 1, ..state.choice },
        };
    }
    if is_best {
        state.best = cost;
        recorder.make_durable()?;
        folder.save_best(&state.checkpoint(spec))?;
    }
    Ok(())
}

/// Judges what comes out of the run, once and at its end: the last evaluation of its records is of these weights.
fn judge<S: Stage>(
    stage: &S,
    model: S::Model,
    spec: &RunSpec,
    state: &mut State,
    folder: &CheckpointDir,
    device: &Device,
    recorder: &mut dyn Recorder,
) -> Result<S::Model, TrainError> {
    let (step, model) = match stage.selection().keeps_best {
        true => (state.choice.step, model.with_parameters(&best_weights(spec, state, folder)?, device)),
        false => (state.step, model),
    };
    recorder.fact(JUDGED_STEP, json!(step.0))?;
    let evaluation = stage.evaluate(&model.valid(), true, &device.clone().inner());
    record(&evaluation, state, recorder)?;
    Ok(model)
}

/// Records what an evaluation found, and extends the chain with its metrics.
fn record(evaluation: &Evaluation, state: &mut State, recorder: &mut dyn Recorder) -> Result<(), RecordError> {
    state.chain.extend(state.step, &evaluation.metrics);
    recorder.evaluation(state.step, &evaluation.metrics)?;
    evaluation.facts.iter().try_for_each(|(name, value)| recorder.fact(name, value.clone()))
}

/// The fact that says which step's weights came out of a run that chooses, and were judged at its end.
const JUDGED_STEP: &str = "judged_step";

/// The weights of the best evaluation.
fn best_weights(spec: &RunSpec, state: &State, folder: &CheckpointDir) -> Result<Vec<Parameter>, TrainError> {
    let path = folder.best_path();
    let (step, weights) = checkpoint::read_weights(&path, spec.hash())?;
    if step != state.choice.step {
        let what = format!("it is of step {step}, and the best evaluation was at step {}", state.choice.step);
        return Err(CheckpointError::Damaged { path, what }.into());
    }
    Ok(weights)
}

fn check_finite(step: Step, values: &[Measurement]) -> Result<(), TrainError> {
    match values.iter().find(|(_, value)| !value.is_finite()) {
        Some(&(metric, value)) => Err(TrainError::Diverged { step, metric, value }),
        None => Ok(()),
    }
}

/// The metrics of a step, in the order in which the digest chain takes them.
fn step_metrics(losses: &Losses, lr: f64, grad_norm: f64, tokens: u64, share: f64, speed: f64) -> Vec<Measurement> {
    let rest: [Measurement; 5] = [
        (&metrics::LEARNING_RATE, lr),
        (&metrics::GRAD_NORM, grad_norm),
        (&metrics::TOKENS, tokens as f64),
        (&metrics::REAL_TOKEN_SHARE, share),
        (&metrics::SPEED, speed),
    ];
    let total: Measurement = (&metrics::TRAIN_LOSS, losses.total);
    [total].into_iter().chain(losses.parts.iter().copied()).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::plan::{Nsp, TrainLength, TrainSpec, estimate};
    use crate::trainer::model::BertForPreTraining;
    use crate::trainer::model::tests::tiny_spec;
    use crate::trainer::pretraining::batch::Batch;
    use crate::trainer::pretraining::instance::tests::{SPECIALS, Toy};
    use crate::trainer::pretraining::{Corpus, Pretraining, forward_backward};
    use crate::trainer::recorder::tests::Kept;
    use crate::types::metrics::Source;

    /// What is made ahead comes in its order, wherever a run enters; nobody need take it all.
    #[test]
    fn batches_made_ahead_come_in_their_order() {
        for start in [0, 17] {
            std::thread::scope(|scope| {
                let ahead = ahead(|index| index * index, start..start + 50, scope);
                for index in start..start + 20 {
                    assert_eq!(ahead.recv().unwrap(), index * index);
                }
            });
        }
    }

    /// A step of three batches has the mean of their losses and gradients; of one, exactly its own.
    #[test]
    fn accumulated_gradients_are_the_mean_over_the_batches_of_a_step() {
        let documents = Toy::random(20, 3);
        let corpus =
            Corpus { train: &documents, valid: &documents, specials: SPECIALS, continues: &[], characters: &[] };
        let device = Device::flex().autodiff();
        let spec = tiny_spec();
        let model = BertForPreTraining::new(&spec, &device);
        let stage = Pretraining::new(&spec, &corpus).unwrap();
        let made_ahead = |indices: std::ops::Range<u64>| {
            let (sender, receiver) = std::sync::mpsc::channel();
            indices.for_each(|index| sender.send(stage.batch(index)).unwrap());
            receiver
        };
        let single = |i: u64| accumulate(&stage, &model, 1, &made_ahead(i..i + 1), i, &device);
        let parts: Vec<_> = (6..9).map(single).collect();
        let (losses, gradients) = forward_backward(&model, &spec, &stage.batch(6), 6, &device);
        assert_eq!((&parts[0].losses, &parts[0].gradients), (&losses, &gradients));
        let StepGradients { losses, gradients, tokens, .. } =
            accumulate(&stage, &model, 3, &made_ahead(6..9), 2, &device);
        assert_eq!(tokens, parts.iter().map(|part| part.tokens).sum::<u64>());
        let mean = parts.iter().map(|part| part.losses.total).sum::<f64>() / 3.0;
        assert!((losses.total - mean).abs() < 1e-12, "{losses:?}");
        for (p, gradient) in gradients.iter().enumerate() {
            for (i, &found) in gradient.values.iter().enumerate() {
                let mean = parts.iter().map(|part| f64::from(part.gradients[p].values[i])).sum::<f64>() / 3.0;
                assert!((f64::from(found) - mean).abs() < 1e-6, "{}[{i}]: {found}, not {mean}", gradient.name);
            }
        }
    }

    /// Counts the sequences that the loop learns from.
    struct Counted<S> {
        stage: S,
        sequences: AtomicU64,
    }

    impl<S: Stage<Batch = Batch>> Stage for Counted<S> {
        type Model = S::Model;
        type Batch = Batch;

        fn instances(&self) -> usize {
            self.stage.instances()
        }

        fn start(&self, device: &Device) -> S::Model {
            self.stage.start(device)
        }

        fn describe(&self, _recorder: &mut dyn Recorder) -> Result<(), RecordError> {
            Ok(())
        }

        fn batch(&self, index: u64) -> Batch {
            self.stage.batch(index)
        }

        fn forward_backward(&self, model: &S::Model, batch: &Batch, index: u64, device: &Device) -> StepGradients {
            self.sequences.fetch_add(batch.tokens.sequences.len() as u64, Ordering::Relaxed);
            self.stage.forward_backward(model, batch, index, device)
        }

        fn evaluate(&self, model: &S::Model, is_last: bool, device: &Device) -> Evaluation {
            self.stage.evaluate(model, is_last, device)
        }
    }

    /// What the plan says of steps, tokens and operations is what the loop computes, whatever makes up a step.
    #[test]
    fn what_is_planned_is_what_a_run_computes() {
        // Every sequence is full: one document of one sentence that fills the sequence but for its special tokens.
        let documents = Toy((0..12).map(|d| vec![vec![5 + d; tiny_spec().train().seq_len - 2]]).collect());
        let corpus =
            Corpus { train: &documents, valid: &documents, specials: SPECIALS, continues: &[], characters: &[] };
        let lengths = [TrainLength::Steps(2), TrainLength::Epochs(1.2)];
        for (length, accumulation) in lengths.into_iter().flat_map(|length| [(length, 1), (length, 3)]) {
            let mut spec = tiny_spec();
            spec.objective_mut().nsp = Nsp::Off;
            spec.train_mut().length = length;
            spec.train_mut().gradient_accumulation_steps = accumulation;
            let stage = Pretraining::new(&spec, &corpus).unwrap();
            let counted = Counted { stage, sequences: AtomicU64::new(0) };
            let (folder, mut kept) = (tempfile::tempdir().unwrap(), Kept::default());
            train(&spec, &counted, folder.path(), &mut kept).unwrap();

            let steps = kept.steps.len() as u64;
            assert_eq!(spec.train().steps(counted.instances() as u64), steps);
            let with = |train: TrainSpec| {
                let mut other = spec.clone();
                *other.train_mut() = train;
                estimate(&other)
            };
            let planned = with(TrainSpec { length: TrainLength::Steps(steps), ..spec.train().clone() });
            let recorded = kept.steps.last().unwrap().iter().find(|(metric, _)| **metric == metrics::TOKENS).unwrap().1;
            assert_eq!(planned.positions, Some(recorded as u64), "{length:?}, accumulation {accumulation}");
            let one = TrainSpec {
                length: TrainLength::Steps(1),
                batch_size: 1,
                gradient_accumulation_steps: 1,
                ..spec.train().clone()
            };
            let of_a_sequence = with(one).flops.unwrap();
            let sequences = counted.sequences.into_inner();
            assert_eq!(planned.flops, Some(of_a_sequence * sequences as f64));
        }
    }

    /// Evaluated after every step, with these scores; chooses by them.
    struct Scripted<S> {
        stage: S,
        scores: Vec<f64>,
        selection: Selection,
        /// The sum of the weights that each evaluation saw, by whether it was the last.
        seen: std::sync::Mutex<Vec<(bool, f64)>>,
        evaluations: AtomicU64,
    }

    impl<S: Stage<Batch = Batch>> Stage for Scripted<S> {
        type Model = S::Model;
        type Batch = Batch;

        fn instances(&self) -> usize {
            self.stage.instances()
        }

        fn start(&self, device: &Device) -> S::Model {
            self.stage.start(device)
        }

        fn selection(&self) -> Selection {
            self.selection
        }

        fn describe(&self, _recorder: &mut dyn Recorder) -> Result<(), RecordError> {
            Ok(())
        }

        fn batch(&self, index: u64) -> Batch {
            self.stage.batch(index)
        }

        fn forward_backward(&self, model: &S::Model, batch: &Batch, index: u64, device: &Device) -> StepGradients {
            self.stage.forward_backward(model, batch, index, device)
        }

        fn evaluate(&self, model: &S::Model, is_last: bool, _device: &Device) -> Evaluation {
            let sum = model.parameters().iter().flat_map(|its| &its.values).map(|&value| f64::from(value)).sum();
            self.seen.lock().unwrap().push((is_last, sum));
            let at = self.evaluations.fetch_add(1, Ordering::Relaxed) as usize;
            let score = self.scores.get(at).copied().unwrap_or(0.0);
            let metric = &metrics::ACCURACY.valid;
            let metrics = vec![(metric, score)];
            Evaluation { metrics, facts: Vec::new(), criterion: (metric, score), watched: 0.0 }
        }
    }

    const SCORES: usize = 6;

    /// The step at which a run with these scores ends, and the step that is judged: the rule by its words.
    fn chosen(scores: &[f64], selection: Selection) -> (usize, usize) {
        let best = |end: usize| (1..=end).rev().max_by(|&a, &b| scores[a - 1].total_cmp(&scores[b - 1])).unwrap();
        let is_over = |end: &usize| selection.patience.is_some_and(|patience| end - best(*end) >= patience as usize);
        let end = (1..=scores.len()).find(is_over).unwrap_or(scores.len());
        (end, if selection.keeps_best { best(end) } else { end })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// The run ends where its patience does, judges the weights that it chose, once, and tells which; interrupted anywhere,
        /// it does the same.
        #[test]
        fn the_best_evaluation_is_what_is_judged(
            scores in prop::collection::vec(0u8..5, SCORES), patience in prop::option::of(1u64..4), keeps_best: bool,
            stop_after in 1usize..SCORES,
        ) {
            let selection = Selection { patience, keeps_best };
            prop_assume!(selection.is_active());
            let scores: Vec<f64> = scores.into_iter().map(|score| f64::from(score) / 4.0).collect();
            let documents = Toy::random(20, 3);
            let corpus =
                Corpus { train: &documents, valid: &documents, specials: SPECIALS, continues: &[], characters: &[] };
            let mut spec = tiny_spec();
            (spec.train_mut().eval_every, spec.train_mut().checkpoint_every) = (1, 2);
            spec.train_mut().length = TrainLength::Steps(SCORES as u64);
            let stage = |before: usize| Scripted {
                stage: Pretraining::new(&spec, &corpus).unwrap(),
                scores: scores.clone(),
                selection,
                seen: Default::default(),
                evaluations: AtomicU64::new(before as u64),
            };
            let (folder, mut kept, whole) = (tempfile::tempdir().unwrap(), Kept::default(), stage(0));
            let outcome = train(&spec, &whole, folder.path(), &mut kept).unwrap();
            let (end, judged) = chosen(&scores, selection);
            let seen = whole.seen.into_inner().unwrap();
            prop_assert_eq!((kept.steps.len(), kept.evaluations.len()), (end, end + 1));
            prop_assert_eq!((kept.planned_steps, &kept.facts["judged_step"]), (end as u64, &serde_json::json!(judged)));
            prop_assert_eq!(seen.iter().map(|(is_last, _)| *is_last).collect::<Vec<_>>(), [vec![false; end], vec![true]].concat());
            prop_assert_eq!(seen[end].1, seen[judged - 1].1, "the weights of the step that was chosen");

            let (folder, mut kept) = (tempfile::tempdir().unwrap(), Kept { stop_after: Some(stop_after), ..Kept::default() });
            let first = train(&spec, &stage(0), folder.path(), &mut kept).unwrap();
            if stop_after < end {
                prop_assert_eq!(first, Outcome::Interrupted { step: Step(stop_after as u64) });
                let second = train(&spec, &stage(stop_after), folder.path(), &mut Kept::default()).unwrap();
                prop_assert_eq!(second, outcome.clone());
            } else {
                prop_assert_eq!(first, outcome.clone());
            }
            // A worker that died between its last checkpoint and its last word finds nothing left to do.
            prop_assert_eq!(train(&spec, &stage(end), folder.path(), &mut Kept::default()).unwrap(), outcome);
        }
    }

    /// What the table says of pretraining is what it records, neither more nor less.
    #[test]
    fn pretraining_records_its_part_of_the_table() {
        let documents = Toy::random(20, 3);
        let corpus =
            Corpus { train: &documents, valid: &documents, specials: SPECIALS, continues: &[], characters: &[] };
        for nsp in [Nsp::Off, Nsp::Random] {
            let mut spec = tiny_spec();
            spec.objective_mut().nsp = nsp;
            spec.train_mut().length = TrainLength::Steps(2);
            let stage = Pretraining::new(&spec, &corpus).unwrap();
            let (folder, mut kept) = (tempfile::tempdir().unwrap(), Kept::default());
            train(&spec, &stage, folder.path(), &mut kept).unwrap();
            let recorded = kept.steps.iter().chain(&kept.evaluations).flatten().map(|(metric, _)| metric.name());
            let expected = metrics::all().filter(|metric| match metric.source {
                Source::Training | Source::Pretraining => true,
                Source::Pairs => nsp != Nsp::Off,
                Source::Tasks(_) => false,
            });
            let expected: BTreeSet<&str> = expected.map(Metric::name).collect();
            assert_eq!(recorded.collect::<BTreeSet<_>>(), expected, "{nsp:?}");
        }
    }
}
