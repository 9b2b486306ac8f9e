//! Fine-tuning as a stage: a task that is learnt from labelled examples.
//!
//! [`tasks`] says what a task is, each in its own file. [`labelled`] reads labelled text and judges answers, [`examples`] makes the
//! model's input from it, [`FineTuning`] is what the step loop trains, and [`prediction`] what a trained model says.

// A new task must not silently be taken for one of the others.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod batch;
pub mod examples;
pub mod labelled;
pub mod prediction;
pub mod tasks;

use std::borrow::Cow;

use burn::tensor::Device;
use rayon::prelude::*;
use serde_json::json;

use super::model::TrainingPass;
use super::model::parameters::{Parameter, Weights};
use super::model::start::StartError;
use super::model::task::{BertForTask, frozen_parameters, of_task, rate_of};
use super::recorder::{RecordError, Recorder};
use super::step_loop::{Evaluation, Losses, Selection, Stage, StepGradients};
use crate::plan::RunSpec;
use crate::trainer::rng::Permutation;
use crate::types::metrics;
use batch::{Batch, collate};
use examples::{Example, Examples};
use tasks::Asked;

/// Why a stage cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum FineTuningError {
    #[error("finetune.data has {train} examples to train on and {valid} held out; it needs at least one of each")]
    TooFewExamples { train: usize, valid: usize },
    #[error("{0}; it must be a run of the same model")]
    Start(#[from] StartError),
}

/// The stage: labelled examples in an order drawn anew each epoch, and the weights that it starts from.
pub struct FineTuning<'a> {
    spec: &'a RunSpec,
    examples: &'a Examples<'a>,
    start: Option<&'a [Parameter]>,
}

impl<'a> FineTuning<'a> {
    /// The stage of `spec` on `examples`, from the body of `start` or from fresh weights.
    ///
    /// # Errors
    /// When there is nothing to learn from or to be judged by, or the weights are of another model.
    ///
    /// # Panics
    /// When the specification is of another stage.
    pub fn new(
        spec: &'a RunSpec,
        examples: &'a Examples<'a>,
        start: Option<&'a [Parameter]>,
    ) -> Result<Self, FineTuningError> {
        let (train, valid) = (examples.train.examples.len(), examples.valid.examples.len());
        if train == 0 || valid == 0 {
            return Err(FineTuningError::TooFewExamples { train, valid });
        }
        if let Some(weights) = start {
            let device = Device::flex().autodiff();
            BertForTask::new(spec, &device).starting_from(weights, &device)?;
        }
        Ok(Self { spec, examples, start })
    }
}

impl Stage for FineTuning<'_> {
    type Model = BertForTask;
    type Batch = Batch;

    fn instances(&self) -> usize {
        self.examples.train.examples.len()
    }

    fn start(&self, device: &Device) -> BertForTask {
        let model = BertForTask::new(self.spec, device);
        match self.start {
            Some(weights) => model.starting_from(weights, device).expect("invariant: the weights were tried"),
            None => model,
        }
    }

    fn frozen(&self) -> usize {
        frozen_parameters(self.spec)
    }

    fn rate(&self, parameter: &str) -> f64 {
        rate_of(self.spec, parameter)
    }

    fn selection(&self) -> Selection {
        let recipe = &of_task(self.spec).recipe;
        Selection { patience: recipe.early_stopping_patience, keeps_best: recipe.load_best_model_at_end }
    }

    fn describe(&self, recorder: &mut dyn Recorder) -> Result<(), RecordError> {
        let Examples { train, valid, test, anew } = self.examples;
        for (name, side) in [("train", train), ("valid", valid), ("test", test)] {
            recorder.fact(&format!("{name}_examples"), json!(side.examples.len()))?;
            recorder.fact(&format!("{name}_examples_cut"), json!(side.cut))?;
        }
        let mut cut = train.cut as f64 / train.examples.len() as f64;
        if let Some(anew) = anew {
            let n = train.examples.len().min(SAMPLE);
            let first: Vec<(Example, bool)> = (0..n).into_par_iter().map(|i| anew(0, i)).collect();
            let tokens = |lengths: usize| lengths as f64 / n as f64;
            let as_they_are = train.examples[..n].iter().map(|example| example.ids.len()).sum();
            recorder.fact("tokens_an_example", json!(tokens(as_they_are)))?;
            recorder.fact(
                "tokens_an_example_split_anew",
                json!(tokens(first.iter().map(|(example, _)| example.ids.len()).sum())),
            )?;
            cut = tokens(first.iter().filter(|(_, is_cut)| *is_cut).count());
        }
        if cut > TOO_MANY_CUT {
            let text = format!(
                "{:.0} % of the examples are longer than finetune.train.seq_len = {} and lose their ends",
                cut * 100.0,
                self.spec.train().seq_len
            );
            recorder.warning(&text)?;
        }
        Ok(())
    }

    fn batch(&self, index: u64) -> Batch {
        let (n, size) = (self.instances() as u64, self.spec.train().batch_size as u64);
        let example = |i: u64| {
            let (epoch, place) = (i / n, (i % n) as usize);
            let chosen = Permutation::of_epoch(self.spec.train().seed, epoch, n as usize).at(place);
            match &self.examples.anew {
                None => Cow::Borrowed(&self.examples.train.examples[chosen]),
                Some(anew) => Cow::Owned(anew(epoch, chosen).0),
            }
        };
        let examples: Vec<Cow<'_, Example>> = (index * size..(index + 1) * size).map(example).collect();
        collate(examples.iter().map(Cow::as_ref))
    }

    fn forward_backward(&self, model: &BertForTask, batch: &Batch, index: u64, device: &Device) -> StepGradients {
        let train = self.spec.train();
        let pass = TrainingPass { seed: train.seed, step: index, gradient_checkpointing: train.gradient_checkpointing };
        let loss = Asked { model, spec: self.spec, batch, training: Some(pass), device }.loss();
        let gradients = model.gradients(loss.backward());
        let total = f64::from(loss.into_scalar::<f32>());
        let tokens = batch.tokens.sequences.rows() as u64;
        StepGradients { losses: Losses { total, parts: Vec::new() }, gradients, tokens, positions: tokens as f64 }
    }

    fn evaluate(&self, model: &BertForTask, is_last: bool, device: &Device) -> Evaluation {
        let scores = prediction::judge(model, self.spec, &self.examples.valid.examples, device);
        let loss = scores.loss;
        let mut found = scores.on(|judged| &judged.valid);
        let mut facts = Vec::new();
        if is_last {
            facts.push(scores.detail.fact("valid"));
        }
        let test = &self.examples.test.examples;
        if is_last && !test.is_empty() {
            let scores = prediction::judge(model, self.spec, test, device);
            found.extend(scores.on(|judged| &judged.test));
            facts.push(scores.detail.fact("test"));
        }
        let decides = match self.selection() == Selection::default() {
            // As before there was a choice.
            true => &metrics::LOSS.valid,
            false => metrics::deciding(Some(of_task(self.spec).task.name())),
        };
        let value = found.iter().find(|(metric, _)| *metric == decides).map(|(_, value)| *value);
        let criterion = (decides, value.expect("invariant: a task records what decides in it"));
        Evaluation { metrics: found, facts, criterion, watched: loss }
    }
}

/// A share of examples that lose their ends, from which on a run warns.
const TOO_MANY_CUT: f64 = 0.05;

/// Train examples whose length is measured, where each epoch has others.
const SAMPLE: usize = 2048;
