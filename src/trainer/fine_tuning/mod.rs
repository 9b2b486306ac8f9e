//! Fine-tuning as a stage: classes of texts, or tags of tokens, learnt from labelled examples.
//!
//! [`examples`] makes the model's input from labelled text, [`FineTuning`] is what the step loop trains, and
//! [`prediction`] what a trained model says.

// A new task must not silently be taken for one of the others.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod examples;
pub mod prediction;
pub mod task;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor};
use serde_json::json;

use super::model::parameters::{Parameter, Weights};
use super::model::task::{BertForTask, StartError, frozen_parameters};
use super::model::{Tokens, TrainingPass, cross_entropy};
use super::recorder::{RecordError, Recorder};
use super::sequences::Sequences;
use super::step_loop::{Evaluation, Learnt, Losses, Stage};
use crate::plan::{RunSpec, Task};
use crate::trainer::model::int_tensor;
use crate::trainer::rng::Permutation;
use crate::types::metrics;
use examples::{Answer, Example, Examples};

/// Examples laid end to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub tokens: Tokens,
    /// The class of each example, or the tag of each row of `words`.
    pub answers: Vec<i32>,
    /// The rows of each example without its special tokens.
    pub words: Vec<Range<usize>>,
}

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
    examples: &'a Examples,
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
        examples: &'a Examples,
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

    fn describe(&self, recorder: &mut dyn Recorder) -> Result<(), RecordError> {
        let Examples { train, valid, test } = self.examples;
        for (name, side) in [("train", train), ("valid", valid), ("test", test)] {
            recorder.fact(&format!("{name}_examples"), json!(side.examples.len()))?;
            recorder.fact(&format!("{name}_examples_cut"), json!(side.cut))?;
        }
        let cut = train.cut as f64 / train.examples.len() as f64;
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

    fn batch(&self, place: u64) -> Batch {
        let (n, size) = (self.instances() as u64, self.spec.train().batch_size as u64);
        let example = |i: u64| {
            let order = Permutation::of_epoch(self.spec.train().seed, i / n, n as usize);
            &self.examples.train.examples[order.at((i % n) as usize)]
        };
        collate((place * size..(place + 1) * size).map(example))
    }

    fn learn(&self, model: &BertForTask, batch: &Batch, place: u64, device: &Device) -> Learnt {
        let train = self.spec.train();
        let pass = TrainingPass { seed: train.seed, step: place, gradient_checkpointing: train.gradient_checkpointing };
        let loss = loss(model, self.spec, batch, Some(pass), device);
        let gradients = model.gradients(loss.backward());
        let total = f64::from(loss.into_scalar::<f32>());
        let tokens = batch.tokens.sequences.rows() as u64;
        Learnt { losses: Losses { total, parts: Vec::new() }, gradients, tokens, places: tokens as f64 }
    }

    fn evaluate(&self, model: &BertForTask, is_last: bool, device: &Device) -> Evaluation {
        let scores = prediction::judge(model, self.spec, &self.examples.valid.examples, device);
        let loss = scores.loss;
        let mut found = scores.on(|judged| &judged.valid);
        let test = &self.examples.test.examples;
        if is_last && !test.is_empty() {
            found.extend(prediction::judge(model, self.spec, test, device).on(|judged| &judged.test));
        }
        Evaluation { metrics: found, criterion: (&metrics::LOSS.valid, loss), watched: loss }
    }
}

/// A share of examples that lose their ends, from which on a run warns.
const TOO_MANY_CUT: f64 = 0.05;

/// Lays examples end to end.
pub fn collate<'e>(examples: impl IntoIterator<Item = &'e Example>) -> Batch {
    let examples: Vec<&Example> = examples.into_iter().collect();
    let sequences = Arc::new(Sequences::new(examples.iter().map(|example| example.ids.len())));
    let answers = examples.iter().flat_map(|example| match &example.answer {
        Answer::Class(class) => vec![*class as i32],
        Answer::Tags(tags) => tags.of_tokens.iter().map(|&tag| tag as i32).collect(),
    });
    Batch {
        answers: answers.collect(),
        words: (0..sequences.len()).map(|b| sequences.rows_of(b)).map(|rows| rows.start + 1..rows.end - 1).collect(),
        tokens: Tokens {
            ids: examples.iter().flat_map(|example| example.ids.iter().copied()).collect(),
            segments: examples.iter().flat_map(|example| example.segments.iter().copied()).collect(),
            sequences,
        },
    }
}

/// The mean loss of a batch in nats: a text's, or a token's.
pub fn loss(
    model: &BertForTask,
    spec: &RunSpec,
    batch: &Batch,
    training: Option<TrainingPass>,
    device: &Device,
) -> Tensor<1> {
    let stage = spec.task().expect("invariant: this is a fine-tuning stage");
    match (stage.task, &model.crf) {
        (Task::Classify, _) => {
            let logits = model.class_logits(&batch.tokens, spec, training);
            mean(cross_entropy(logits, int_tensor(&batch.answers, device)), batch.answers.len())
        }
        (Task::Ner, crf) => {
            let logits = model.tag_logits(&batch.tokens, &batch.words, spec, training);
            match crf {
                Some(crf) => crf.loss(logits, &row_tags(batch), &full_words(batch)) / batch.answers.len().max(1) as f64,
                None => {
                    let rows: Vec<i32> =
                        batch.words.iter().flat_map(|rows| rows.clone()).map(|row| row as i32).collect();
                    let logits = logits.select(0, int_tensor(&rows, device));
                    mean(cross_entropy(logits, int_tensor(&batch.answers, device)), batch.answers.len())
                }
            }
        }
    }
}

/// A plain sum of few numbers: burn's sums over very many depend on the thread count.
fn mean(losses: Tensor<1>, n: usize) -> Tensor<1> {
    losses.sum() / n.max(1) as f64
}

/// The tag of every row; 0 at special tokens, which nothing reads.
pub(super) fn row_tags(batch: &Batch) -> Vec<i32> {
    let mut tags = vec![0; batch.tokens.sequences.rows()];
    let rows = batch.words.iter().flat_map(|rows| rows.clone());
    rows.zip(&batch.answers).for_each(|(row, tag)| tags[row] = *tag);
    tags
}

/// The words of the examples that have any.
pub(super) fn full_words(batch: &Batch) -> Vec<Range<usize>> {
    batch.words.iter().filter(|rows| !rows.is_empty()).cloned().collect()
}
