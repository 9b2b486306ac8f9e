//! What a model trained for a task says about examples, and how often it is right.

use std::ops::Range;

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use rayon::prelude::*;

use super::examples::{Answer, Encoder, Example, Tags};
use super::{Batch, collate, full_words, loss};
use crate::plan::{RunSpec, Task, TaskSpec};
use crate::trainer::fine_tuning::task::metrics::{classification, tagging};
use crate::trainer::fine_tuning::task::{self, TaggedText, TextExample, tags_of_characters};
use crate::trainer::kernels::{Exponentials, exponentials};
use crate::trainer::model::parameters::{Parameter, Weights};
use crate::trainer::model::task::BertForTask;
use crate::trainer::tokenizer::Tokenizer;
use crate::types::metrics::{self, Judged, Measurement, Metric};

/// What a model says about one example.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicted {
    /// The best class, and the probability of each.
    Class { class: usize, probabilities: Vec<f64> },
    /// The tag of each token, and of each character.
    Tags { of_tokens: Vec<usize>, of_characters: Vec<usize> },
}

/// What a model says about a text, in words.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The best class, and the probability of each label.
    Class { label: String, probabilities: Vec<f64> },
    /// The entities of the text, in its order, the tag of each character, and the tokens that they were read from with theirs.
    Entities { entities: Vec<Entity>, tags: Vec<String>, tokens: Vec<(u32, String)> },
}

/// An entity of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    pub kind: String,
    /// Its characters.
    pub characters: Range<usize>,
}

/// What the model of `spec` with these weights says about each text.
///
/// # Panics
/// When the specification is of no fine-tuning stage.
pub fn predict_texts(spec: &RunSpec, weights: &[Parameter], tokenizer: &Tokenizer, texts: &[TextExample]) -> Vec<Said> {
    let stage = spec.task().expect("invariant: this is a fine-tuning stage");
    let encoder = Encoder::new(spec, stage, tokenizer);
    let side = match stage.task {
        Task::Classify => encoder.texts(texts),
        Task::Ner => {
            let untagged = |text: &TextExample| {
                let characters: Vec<char> = text.text.chars().collect();
                TaggedText { tags: vec![stage.labels[0].clone(); characters.len()], characters, line: text.line }
            };
            encoder.tagged(&texts.iter().map(untagged).collect::<Vec<_>>())
        }
    };
    let device = Device::flex().autodiff();
    let model = BertForTask::new(spec, &device).with_parameters(weights, &device).valid();
    let said = |(example, predicted): (&Example, Predicted)| match predicted {
        Predicted::Class { class, probabilities } => Said::Class { label: stage.labels[class].clone(), probabilities },
        Predicted::Tags { of_tokens, of_characters } => {
            let ids = example.ids.iter().skip(1).copied();
            let tokens = ids.zip(of_tokens).map(|(id, tag)| (id, stage.labels[tag].clone())).collect();
            let tags: Vec<&str> = of_characters.iter().map(|&tag| stage.labels[tag].as_str()).collect();
            let entity = |found: task::Entity| Entity { kind: found.kind.to_owned(), characters: found.range() };
            let entities = task::entities(&tags).into_iter().map(entity).collect();
            Said::Entities { entities, tags: tags.into_iter().map(str::to_owned).collect(), tokens }
        }
    };
    let predicted = predict(&model, spec, &side.examples, &Device::flex());
    side.examples.iter().zip(predicted).map(said).collect()
}

/// The metrics of a side, in a fixed order, and its mean loss in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    pub loss: f64,
    scores: Vec<(&'static Judged, f64)>,
}

impl Scores {
    /// Every metric as that of one `side`: of held-out or of test examples.
    pub fn on(&self, side: impl Fn(&'static Judged) -> &'static Metric) -> Vec<Measurement> {
        let all = [(&metrics::LOSS, self.loss)].into_iter().chain(self.scores.iter().copied());
        all.map(|(judged, value)| (side(judged), value)).collect()
    }
}

/// Examples that are judged at a time.
const TOGETHER: usize = 64;

/// What `model` says about each of `examples`, in their order; it is used without dropout.
pub fn predict(model: &BertForTask, spec: &RunSpec, examples: &[Example], device: &Device) -> Vec<Predicted> {
    by_batches(model, spec, examples, device).into_iter().flat_map(|(_, predicted)| predicted).collect()
}

/// How well `model` answers `examples`.
pub fn judge(model: &BertForTask, spec: &RunSpec, examples: &[Example], device: &Device) -> Scores {
    let stage = spec.task().expect("invariant: this is a fine-tuning stage");
    let (mut total, mut answers, mut predicted) = (0.0, 0.0, Vec::with_capacity(examples.len()));
    for ((loss, n), batch) in by_batches(model, spec, examples, device) {
        total += loss * n;
        answers += n;
        predicted.extend(batch);
    }
    let loss = total / f64::max(answers, 1.0);
    let scores = match stage.task {
        Task::Classify => {
            let gold: Vec<usize> = examples.iter().map(class_of).collect();
            let found: Vec<usize> = predicted.iter().map(predicted_class).collect();
            let scores = classification(&gold, &found);
            vec![
                (&metrics::ACCURACY, scores.accuracy),
                (&metrics::MICRO_F1, scores.micro_f1),
                (&metrics::MACRO_F1, scores.macro_f1),
            ]
        }
        Task::Ner => {
            let gold: Vec<&[usize]> =
                examples.iter().filter_map(tags_of).map(|tags| tags.of_characters.as_slice()).collect();
            let found: Vec<&[usize]> = predicted.iter().map(predicted_tags).collect();
            let scores = tagging(&gold, &found, &stage.labels);
            vec![
                (&metrics::ENTITY_F1, scores.entity_f1),
                (&metrics::ENTITY_MACRO_F1, scores.entity_macro_f1),
                (&metrics::CHAR_MACRO_F1, scores.char_macro_f1),
                (&metrics::CHAR_MACRO_F1_WITHOUT_O, scores.char_macro_f1_without_o),
                (&metrics::CHAR_ACCURACY, scores.char_accuracy),
            ]
        }
    };
    Scores { loss, scores }
}

/// For each batch its mean loss, of how many answers, and what is said about each example.
fn by_batches(
    model: &BertForTask,
    spec: &RunSpec,
    examples: &[Example],
    device: &Device,
) -> Vec<((f64, f64), Vec<Predicted>)> {
    let task = spec.task().expect("invariant: this is a fine-tuning stage");
    let of_batch = |chunk: &[Example]| {
        let batch = collate(chunk);
        let n = batch.answers.len() as f64;
        if n == 0.0 {
            return ((0.0, 0.0), chunk.iter().map(nothing_read).collect());
        }
        let loss = f64::from(loss(model, spec, &batch, None, device).into_scalar::<f32>());
        let predicted = match task.task {
            Task::Classify => classes(model, spec, &batch),
            Task::Ner => tags(model, spec, task, chunk, &batch),
        };
        ((loss, n), predicted)
    };
    examples.chunks(TOGETHER).map(of_batch).collect()
}

fn classes(model: &BertForTask, spec: &RunSpec, batch: &Batch) -> Vec<Predicted> {
    let logits = activation::softmax(model.class_logits(&batch.tokens, spec, None), 1);
    let classes = logits.dims()[1];
    let one = |row: &[f32]| {
        let class = best(row);
        Predicted::Class { class, probabilities: row.iter().map(|&p| f64::from(p)).collect() }
    };
    values(logits).chunks(classes).map(one).collect()
}

fn tags(model: &BertForTask, spec: &RunSpec, task: &TaskSpec, examples: &[Example], batch: &Batch) -> Vec<Predicted> {
    let logits = model.tag_logits(&batch.tokens, &batch.words, spec, None);
    let labels = logits.dims()[1];
    let values = values(logits);
    let of_rows: Vec<u32> = match &model.crf {
        Some(crf) => crf.decode(&values, &full_words(batch)),
        None => values.par_chunks(labels).map(|row| best(row) as u32).collect(),
    };
    let of_example = |(example, rows): (&Example, &std::ops::Range<usize>)| {
        let of_tokens: Vec<usize> = of_rows[rows.clone()].iter().map(|&tag| tag as usize).collect();
        let of_characters = match tags_of(example) {
            Some(tags) => tags_of_characters(&tags.text, &tags.ranges, &of_tokens, &task.labels),
            None => Vec::new(),
        };
        Predicted::Tags { of_tokens, of_characters }
    };
    examples.iter().zip(&batch.words).map(of_example).collect()
}

/// What is said of an example in which the model sees no token.
fn nothing_read(example: &Example) -> Predicted {
    match &example.answer {
        Answer::Class(_) => Predicted::Class { class: 0, probabilities: Vec::new() },
        Answer::Tags(tags) => {
            Predicted::Tags { of_tokens: Vec::new(), of_characters: vec![0; tags.of_characters.len()] }
        }
    }
}

/// The first of equal maxima.
fn best(row: &[f32]) -> usize {
    let Exponentials { largest, .. } = exponentials(row);
    row.iter().position(|&value| value == largest).unwrap_or_default()
}

fn values(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().try_into_vec().expect("invariant: logits are f32")
}

fn class_of(example: &Example) -> usize {
    match example.answer {
        Answer::Class(class) => class,
        Answer::Tags(_) => 0,
    }
}

fn tags_of(example: &Example) -> Option<&Tags> {
    match &example.answer {
        Answer::Tags(tags) => Some(tags),
        Answer::Class(_) => None,
    }
}

fn predicted_class(predicted: &Predicted) -> usize {
    match predicted {
        Predicted::Class { class, .. } => *class,
        Predicted::Tags { .. } => 0,
    }
}

fn predicted_tags(predicted: &Predicted) -> &[usize] {
    match predicted {
        Predicted::Tags { of_characters, .. } => of_characters,
        Predicted::Class { .. } => &[],
    }
}
