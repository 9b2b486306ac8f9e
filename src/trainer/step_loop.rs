//! The step loop: schedule -> batch -> forward -> backward -> clip and update -> record -> evaluate -> checkpoint.
//!
//! One loop, from the first step to the last, in one place. Everything it does at step `t` is a function of the
//! specification, the corpus and the state after step `t - 1`; a resumed run enters it in the middle and cannot tell.

use std::path::Path;
use std::sync::mpsc::Receiver;

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};

use super::batch::{Batch, Batches, int_tensor};
use super::checkpoint::{Checkpoint, CheckpointDir, CheckpointError};
use super::device::DeviceError;
use super::evaluation::ValidSet;
use super::instance::{InstanceSpec, Instances, SpecialIds, TokenDocuments};
use super::kernels::Path as KernelPath;
use super::masking::MaskSpec;
use super::model::sublayer::TrainingPass;
use super::model::{Bert, head, parameters};
use super::optimizer::Optimizer;
use super::recorder::{Chain, RecordError, Recorder};
use super::schedule::{Plateau, Schedule};
use super::{device, facts, probes};
use crate::plan::{MlmMean, Nsp, RunSpec, TrainLength, TrainSpec};
use crate::types::{ContentHash, MetricName, Step};

/// What a run trains on: both sides of a tokenized corpus.
pub struct Corpus<'a, D: ?Sized> {
    pub train: &'a D,
    pub valid: &'a D,
    pub specials: SpecialIds,
    /// Of each id, whether it continues the word of the token before it.
    pub continues: &'a [bool],
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All steps were made.
    Finished { steps: Step, chain: ContentHash, weights: ContentHash },
    /// The recorder asked to stop; a checkpoint of the last step was written.
    Interrupted { step: Step },
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("{metric} stopped being finite at step {step}: it is {value}")]
    Diverged { step: Step, metric: &'static str, value: f64 },
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

/// Trains the model of `spec` on `corpus`, from its newest usable checkpoint in `checkpoints` or from the start.
pub fn train<D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    corpus: &Corpus<D>,
    checkpoints: &Path,
    recorder: &mut dyn Recorder,
) -> Result<Outcome, TrainError> {
    let device = device::open_for_training(&spec.train)?;
    check_documents(spec, corpus.train.documents(), corpus.valid.documents())?;
    let batches = train_batches(spec, corpus)?;
    let valid = ValidSet::new(corpus.valid, corpus.specials, spec);
    if valid.masked_tokens() == 0 {
        let fix = "raise data.valid_fraction or use a larger corpus";
        return Err(TrainError::NoInstances { side: "valid", seq_len: spec.train.seq_len, fix });
    }
    let steps = total_steps(&spec.train, batches.instances.len());
    let schedule = Schedule::new(&spec.schedule, &spec.model, steps);
    let folder = CheckpointDir::new(checkpoints);
    recorder.planned_steps(steps)?;

    let mut state = resume_or_start(spec, &folder, &device, recorder)?;
    if state.step == Step(0) {
        facts::record(spec, &batches, &valid, recorder)?;
        probes::record(spec, &batches, &valid, recorder)?;
    }
    let mut model = Bert::new(spec, &device).with_parameters(&state.parameters, &device);
    let names = StepNames::new();
    let mut clock = recorder.elapsed_secs();

    std::thread::scope(|scope| {
        let parts = spec.train.gradient_accumulation_steps as u64;
        let ahead = batches.ahead(state.step.0 * parts..steps * parts, scope);
        while state.step.0 < steps {
            let t = state.step.0;
            let lr = spec.optimizer.lr * schedule.factor(t) * state.plateau.scale;

            let made = accumulate(&model, spec, &ahead, t, &device);
            let grad_norm = state.optimizer.step(&mut state.parameters, &made.gradients, lr);
            parameters::recycle(made.gradients);
            model = model.with_parameters(&state.parameters, &device);

            state.step = Step(t + 1);
            state.tokens += made.tokens;
            let losses = made.losses;
            check_finite(state.step, &[("train/loss", losses.total), ("train/grad_norm", grad_norm)])?;
            let now = recorder.elapsed_secs();
            let speed = made.tokens as f64 / (now - clock).max(1e-9);
            clock = now;
            let share = made.tokens as f64 / made.places;
            let metrics = names.metrics(&losses, lr, grad_norm, state.tokens, share, speed);
            state.chain.extend(state.step, &metrics);
            recorder.step(state.step, state.chain.hash(), &metrics)?;

            let last = state.step.0 == steps;
            if last || state.step.0.is_multiple_of(spec.train.eval_every) {
                evaluate(&model, spec, &valid, &device, &mut state, &folder, recorder)?;
            }
            let stop = !last && recorder.stop_requested();
            if last || stop || state.step.0.is_multiple_of(spec.train.checkpoint_every) {
                let weights = folder.save(&state.checkpoint(spec), spec.train.keep_checkpoints)?;
                recorder.checkpoint(state.step, &folder.path(state.step), weights)?;
            }
            if stop {
                return Ok(Outcome::Interrupted { step: state.step });
            }
            clock += recorder.elapsed_secs() - now;
        }
        let weights = parameters::digest(&state.parameters);
        Ok(Outcome::Finished { steps: state.step, chain: state.chain.hash(), weights })
    })
}

/// All that changes from step to step.
struct State {
    step: Step,
    chain: Chain,
    tokens: u64,
    best: f64,
    plateau: Plateau,
    parameters: Vec<parameters::Parameter>,
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
            plateau: self.plateau,
            parameters: self.parameters.clone(),
            optimizer: self.optimizer.clone(),
        }
    }
}

/// The losses of one step: the weighted sum that is minimised, and its parts, each the mean over its predictions in nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Losses {
    pub total: f64,
    pub mlm: f64,
    pub nsp: Option<f64>,
}

/// What the batches of one step gave: means of losses and gradients, the real tokens, and the places that were computed.
struct Made {
    losses: Losses,
    gradients: Vec<parameters::Parameter>,
    tokens: u64,
    places: f64,
}

/// The losses of step `t` and their gradients, as means over its batches, which come from `ahead`.
fn accumulate(model: &Bert, spec: &RunSpec, ahead: &Receiver<Batch>, t: u64, device: &Device) -> Made {
    let parts = spec.train.gradient_accumulation_steps as u64;
    let part = |i: u64| {
        let batch = ahead.recv().expect("invariant: a batch is made for every part of every step");
        let (losses, gradients) = forward_backward(model, spec, &batch, i, device);
        let tokens = batch.real_tokens();
        Made { losses, gradients, tokens, places: tokens as f64 / batch.real_token_share(model.path()) }
    };
    let mut made = part(t * parts);
    for i in t * parts + 1..(t + 1) * parts {
        let more = part(i);
        made.losses = made.losses.plus(&more.losses);
        for (sum, more) in made.gradients.iter_mut().zip(&more.gradients) {
            sum.values.iter_mut().zip(&more.values).for_each(|(sum, more)| *sum += more);
        }
        parameters::recycle(more.gradients);
        made.tokens += more.tokens;
        made.places += more.places;
    }
    if parts > 1 {
        let share = 1.0 / parts as f64;
        made.losses = made.losses.times(share);
        made.gradients.iter_mut().flat_map(|sum| &mut sum.values).for_each(|value| *value *= share as f32);
    }
    made
}

impl Losses {
    fn plus(&self, other: &Self) -> Self {
        let nsp = self.nsp.zip(other.nsp).map(|(a, b)| a + b);
        Self { total: self.total + other.total, mlm: self.mlm + other.mlm, nsp }
    }

    fn times(&self, share: f64) -> Self {
        Self { total: self.total * share, mlm: self.mlm * share, nsp: self.nsp.map(|nsp| nsp * share) }
    }
}

/// The losses of `batch` and their gradients, with the dropout of forward pass `t`.
pub fn forward_backward(
    model: &Bert,
    spec: &RunSpec,
    batch: &Batch,
    t: u64,
    device: &Device,
) -> (Losses, Vec<parameters::Parameter>) {
    forward_backward_by(model.path(), model, spec, batch, t, device)
}

/// [`forward_backward`] by the kernels or by burn's own operations, which agree to rounding.
pub fn forward_backward_by(
    path: KernelPath,
    model: &Bert,
    spec: &RunSpec,
    batch: &Batch,
    t: u64,
    device: &Device,
) -> (Losses, Vec<parameters::Parameter>) {
    let (seed, gradient_checkpointing) = (spec.train.seed, spec.train.gradient_checkpointing);
    let pass = TrainingPass { seed, step: t, gradient_checkpointing };
    let hidden = model.encode_by(path, &batch.tokens, &spec.model, Some(pass));
    let (rows, labels) = (int_tensor(&batch.rows, device), int_tensor(&batch.labels, device));
    let mlm = model.mlm_loss_by(path, hidden.clone(), rows, labels, &spec.model);
    let nsp = model.nsp_logits(hidden, &batch.tokens.sequences).map(|logits| {
        let logits = if spec.objective.nsp_double_softmax { activation::softmax(logits, 1) } else { logits };
        // A plain sum of few numbers: burn's sums over very many depend on the thread count.
        head::cross_entropy(logits, int_tensor(&batch.nsp_labels, device)).sum() / batch.nsp_labels.len() as f64
    });
    let total = match &nsp {
        Some(nsp) => weighted(mlm.clone(), mlm_weight(spec, batch)) + weighted(nsp.clone(), spec.objective.nsp_weight),
        None => weighted(mlm.clone(), mlm_weight(spec, batch)),
    };
    let gradients = model.gradients(total.backward());
    let scalar = |tensor: Tensor<1>| f64::from(tensor.into_scalar::<f32>());
    let losses = Losses { total: scalar(total), mlm: scalar(mlm), nsp: nsp.map(scalar) };
    (losses, gradients)
}

/// What the mean MLM loss of the masked tokens counts in the sum.
fn mlm_weight(spec: &RunSpec, batch: &Batch) -> f64 {
    let positions = batch.tokens.sequences.len() * spec.train.seq_len;
    match spec.objective.mlm_mean {
        MlmMean::Masked => spec.objective.mlm_weight,
        MlmMean::Positions => spec.objective.mlm_weight * batch.rows.len() as f64 / positions as f64,
    }
}

fn weighted(loss: Tensor<1>, weight: f64) -> Tensor<1> {
    if weight == 1.0 { loss } else { loss * weight }
}

/// Whether the documents suffice for what `spec` does with them.
pub fn check_documents(spec: &RunSpec, train: usize, valid: usize) -> Result<(), TrainError> {
    if spec.objective.nsp == Nsp::Random {
        for (side, documents) in [("train", train), ("valid", valid)] {
            if documents < 2 {
                return Err(TrainError::TooFewDocuments { side, documents });
            }
        }
    }
    Ok(())
}

fn train_batches<'a, D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    corpus: &Corpus<'a, D>,
) -> Result<Batches<'a, D>, TrainError> {
    let instance_spec = InstanceSpec {
        nsp: spec.objective.nsp,
        negative_prob: spec.objective.nsp_negative_prob,
        negative_documents: spec.objective.nsp_negative_documents,
        short_seq_prob: spec.objective.short_seq_prob,
        seq_len: spec.train.seq_len,
        seed: spec.train.seed,
    };
    let instances = Instances::new(corpus.train, corpus.specials, instance_spec);
    if instances.is_empty() {
        let fix = "pairs need documents of two sentences or more";
        return Err(TrainError::NoInstances { side: "train", seq_len: spec.train.seq_len, fix });
    }
    Ok(Batches {
        instances,
        specials: corpus.specials,
        mask: MaskSpec::of(&spec.objective),
        masking: spec.objective.masking,
        vocab: spec.tokenizer.vocab_size,
        continues: corpus.continues,
        batch_size: spec.train.batch_size,
        seed: spec.train.seed,
    })
}

/// Steps of a run: as asked, or as many as the asked epochs need.
pub fn total_steps(train: &TrainSpec, instances: usize) -> u64 {
    let batch_size = train.batch_size * train.gradient_accumulation_steps;
    match train.length {
        TrainLength::Steps(steps) => steps,
        TrainLength::Epochs(epochs) => (epochs * instances as f64 / batch_size as f64).ceil().max(1.0) as u64,
    }
}

fn resume_or_start(
    spec: &RunSpec,
    folder: &CheckpointDir,
    device: &Device,
    recorder: &mut dyn Recorder,
) -> Result<State, TrainError> {
    let latest = folder.latest(spec.hash(), &spec.optimizer);
    let instead = match latest.checkpoint {
        Some(_) => "the one before it is used",
        None => "there is no whole one before it, so the run starts anew",
    };
    for error in &latest.damaged {
        recorder.warning(&format!("{error}; {instead}"))?;
    }
    match latest.checkpoint {
        Some(Checkpoint { step, chain, tokens, best, plateau, parameters, optimizer, .. }) => {
            recorder.resumed(step)?;
            Ok(State { step, chain: Chain::resume(chain), tokens, best, plateau, parameters, optimizer })
        }
        None => {
            recorder.resumed(Step(0))?;
            let parameters = Bert::new(spec, device).parameters();
            let optimizer = Optimizer::new(&spec.optimizer, &parameters);
            let chain = Chain::start(spec.hash());
            let (best, plateau) = (f64::INFINITY, Plateau::default());
            Ok(State { step: Step(0), chain, tokens: 0, best, plateau, parameters, optimizer })
        }
    }
}

/// Evaluates, extends the chain with the results, and keeps the checkpoint if it is the best so far.
fn evaluate(
    model: &Bert,
    spec: &RunSpec,
    valid: &ValidSet,
    device: &Device,
    state: &mut State,
    folder: &CheckpointDir,
    recorder: &mut dyn Recorder,
) -> Result<(), TrainError> {
    let metrics = valid.evaluate(&model.valid(), spec, &device.clone().inner());
    state.chain.extend(state.step, &metrics);
    recorder.evaluation(state.step, &metrics)?;
    let value = |name: &str| metrics.iter().find(|(found, _)| found.as_str() == name).map(|&(_, value)| value);
    let loss = value("valid/mlm_loss").unwrap_or(f64::NAN);
    state.plateau.observe(&spec.schedule, spec.optimizer.lr, {
        let nsp = value("valid/nsp_loss").unwrap_or(0.0);
        spec.objective.mlm_weight * loss + spec.objective.nsp_weight * nsp
    });
    check_finite(state.step, &[("valid/mlm_loss", loss)])?;
    if loss < state.best {
        state.best = loss;
        folder.save_best(&state.checkpoint(spec))?;
    }
    Ok(())
}

fn check_finite(step: Step, values: &[(&'static str, f64)]) -> Result<(), TrainError> {
    match values.iter().find(|(_, value)| !value.is_finite()) {
        Some(&(metric, value)) => Err(TrainError::Diverged { step, metric, value }),
        None => Ok(()),
    }
}

/// The names of a step's metrics, parsed once.
struct StepNames([MetricName; 8]);

impl StepNames {
    fn new() -> Self {
        let names = ["train/loss", "train/mlm_loss", "train/nsp_loss", "train/lr", "train/grad_norm", "train/tokens"];
        let name = |text: &str| text.parse().expect("invariant: the metric names above are valid");
        let [loss, mlm, nsp, lr, norm, tokens] = names.map(name);
        Self([loss, mlm, nsp, lr, norm, tokens, name("train/real_token_share"), name("time/tokens_per_s")])
    }

    fn metrics(
        &self,
        losses: &Losses,
        lr: f64,
        norm: f64,
        tokens: u64,
        share: f64,
        speed: f64,
    ) -> Vec<(MetricName, f64)> {
        let first = [Some(losses.total), Some(losses.mlm), losses.nsp];
        let rest = [lr, norm, tokens as f64, share, speed].map(Some);
        let values = first.into_iter().chain(rest);
        self.0.iter().zip(values).filter_map(|(name, value)| Some((name.clone(), value?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::instance::tests::{SPECIALS, Toy};
    use crate::trainer::model::tests::tiny_spec;

    /// A step of three batches has the mean of their losses and gradients; of one, exactly its own.
    #[test]
    fn accumulated_gradients_are_the_mean_over_the_batches_of_a_step() {
        let documents = Toy::random(20, 3);
        let corpus = Corpus { train: &documents, valid: &documents, specials: SPECIALS, continues: &[] };
        let device = Device::flex().autodiff();
        let mut spec = tiny_spec();
        let model = Bert::new(&spec, &device);
        let batches = train_batches(&spec, &corpus).unwrap();
        let made_ahead = |places: std::ops::Range<u64>| {
            let (sender, receiver) = std::sync::mpsc::channel();
            places.for_each(|i| sender.send(batches.at(i)).unwrap());
            receiver
        };
        let single = |i: u64| accumulate(&model, &spec, &made_ahead(i..i + 1), i, &device);
        let parts: Vec<_> = (6..9).map(single).collect();
        let (losses, gradients) = forward_backward(&model, &spec, &batches.at(6), 6, &device);
        assert_eq!((parts[0].losses, &parts[0].gradients), (losses, &gradients));
        spec.train.gradient_accumulation_steps = 3;
        let Made { losses, gradients, tokens, .. } = accumulate(&model, &spec, &made_ahead(6..9), 2, &device);
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

    #[test]
    fn epochs_are_counted_in_sequences() {
        let mut train = tiny_spec().train;
        (train.length, train.batch_size) = (TrainLength::Epochs(1.5), 10);
        assert_eq!(total_steps(&train, 100), 15);
        train.gradient_accumulation_steps = 4;
        assert_eq!(total_steps(&train, 100), 4);
    }
}
