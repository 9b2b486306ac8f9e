//! What a task is: how labelled text is read, what the model is asked, what it costs to be wrong, and how answers are judged.
//!
//! A task is one file below this one, and a line in [`with_definition!`]. What the plan knows of it stands beside
//! [`Task`](crate::plan::Task), what it records in [`metrics`](crate::types::metrics).

pub mod classify;
pub mod ner;

use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor, activation};

use super::batch::Batch;
use super::examples::{Answer, Encoder, Example};
use super::labelled::floors::Floor;
use super::labelled::{Columns, TaskError, TextExample};
use crate::plan::{RunSpec, TaskSpec};
use crate::trainer::kernels::{Exponentials, exponentials};
use crate::trainer::model::task::{BertForTask, of_task};
use crate::trainer::model::{TrainingPass, cross_entropy, int_tensor};
use crate::types::answers::Detail;
use crate::types::metrics::Judged;

/// A task.
pub trait Definition: 'static {
    /// A labelled text, as it stands in a file.
    type Text: Clone + Send + Sync;

    /// Reads a file of labelled texts; how many of them were left out, because they are empty.
    ///
    /// # Errors
    /// When the file is not of the task's format.
    fn read(path: &Path, bytes: &[u8], columns: &Columns) -> Result<(Vec<Self::Text>, usize), TaskError>;

    /// All labels of a file's texts, in the order of their numbers.
    ///
    /// # Errors
    /// When there is nothing to tell apart.
    fn labels(path: &Path, texts: &[Self::Text]) -> Result<Vec<String>, TaskError>;

    /// Whether the labels of a test file are among those to learn from.
    ///
    /// # Errors
    /// At the first that is not.
    fn check(path: &Path, texts: &[Self::Text], labels: &[String]) -> Result<(), TaskError>;

    /// What decides on which side a text is held: copies of it are never on both.
    fn content(text: &Self::Text) -> String;

    /// A text whose label is not known, to be answered.
    fn unlabelled(text: &TextExample, labels: &[String]) -> Self::Text;

    /// What the model reads of a text and is to answer, and whether the text was cut.
    fn encode(encoder: &mut Encoder, text: &Self::Text) -> (Example, bool);

    /// How far guesses get that understand nothing.
    fn floors(train: &[Self::Text], held_out: &[Self::Text], labels: &[String]) -> Vec<Floor>;

    /// The mean loss of a batch in nats.
    fn loss(asked: &Asked) -> Tensor<1>;

    /// What the model says about each of the batch's examples.
    fn predict(asked: &Asked, examples: &[Example]) -> Vec<Predicted>;

    /// Every metric of the task, in a fixed order.
    fn scores(examples: &[Example], predicted: &[Predicted], labels: &[String]) -> Vec<(&'static Judged, f64)>;

    /// How the answers fall out by class or kind.
    fn detail(examples: &[Example], predicted: &[Predicted], labels: &[String]) -> Detail;
}

/// Evaluates an expression in which a name stands for the definition of a [`Task`](crate::plan::Task).
macro_rules! with_definition {
    ($task:expr, $Definition:ident => $body:expr) => {
        match $task {
            $crate::plan::Task::Classify => {
                type $Definition = $crate::trainer::fine_tuning::tasks::classify::Classify;
                $body
            }
            $crate::plan::Task::Ner => {
                type $Definition = $crate::trainer::fine_tuning::tasks::ner::Ner;
                $body
            }
        }
    };
}
pub(crate) use with_definition;

/// What a model is asked: a batch, with dropout where it learns from it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub model: &'a BertForTask,
    pub spec: &'a RunSpec,
    pub batch: &'a Batch,
    pub training: Option<TrainingPass>,
    pub device: &'a Device,
}

impl Asked<'_> {
    /// The mean loss of the batch in nats: a text's, or a token's.
    pub fn loss(&self) -> Tensor<1> {
        with_definition!(self.task().task, D => D::loss(self))
    }

    /// What the model says about each of the batch's `examples`.
    pub fn predict(&self, examples: &[Example]) -> Vec<Predicted> {
        with_definition!(self.task().task, D => D::predict(self, examples))
    }

    /// The loss of each row of `logits`, `[M, C]`, against its label: cross-entropy in nats, and where the model learns from it a
    /// share of it as a mean over all classes (Szegedy et al. 2016, section 7): `[M]`.
    fn losses(&self, logits: Tensor<2>, labels: &[i32]) -> Tensor<1> {
        let labels = int_tensor(labels, self.device);
        let share = self.training.map_or(0.0, |_| self.task().recipe.label_smoothing_factor);
        if share == 0.0 {
            return cross_entropy(logits, labels);
        }
        let of_all = activation::log_softmax(logits.clone(), 1).mean_dim(1).squeeze_dim::<1>(1).neg();
        cross_entropy(logits, labels) * (1.0 - share) + of_all * share
    }

    /// The task that the model is for.
    pub fn task(&self) -> &TaskSpec {
        of_task(self.spec)
    }
}

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

impl Predicted {
    /// What is said of an example in which the model sees no token.
    pub fn nothing(example: &Example) -> Self {
        match &example.answer {
            Answer::Class(_) => Self::Class { class: 0, probabilities: Vec::new() },
            Answer::Tags(tags) => {
                Self::Tags { of_tokens: Vec::new(), of_characters: vec![0; tags.of_characters.len()] }
            }
        }
    }
}

/// A plain sum of few numbers: burn's sums over very many depend on the thread count.
fn mean(losses: Tensor<1>, n: usize) -> Tensor<1> {
    losses.sum() / n.max(1) as f64
}

/// The probabilities of each row of logits, `[N, C]`, in one slice.
fn probabilities(logits: Tensor<2>) -> Vec<f32> {
    values(activation::softmax(logits, 1))
}

/// The first of equal maxima.
fn best(row: &[f32]) -> usize {
    let Exponentials { largest, .. } = exponentials(row);
    row.iter().position(|&value| value == largest).unwrap_or_default()
}

fn values(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().try_into_vec().expect("invariant: logits are f32")
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::super::batch::collate;
    use super::*;
    use crate::plan::{Encoder, HeadKind, StageSpec, Task};
    use crate::trainer::model::task::tests::spec;
    use crate::types::Seed;

    /// Against the cross-entropy with smoothed targets, by its definition in f64; evaluations are not smoothed.
    #[test]
    fn smoothed_losses_are_cross_entropies_with_smoothed_targets() {
        let (logits, labels) = ([0.5, -1.0, 2.0, 0.0, 0.25, -3.0], [2, 1]);
        let device = Device::flex();
        for share in [0.0, 0.1, 0.5] {
            let mut spec = spec(Task::Classify, HeadKind::Linear, Encoder::Trained);
            let StageSpec::Finetune(stage) = &mut spec.stage else { panic!("a fine-tuning stage") };
            stage.task.recipe.label_smoothing_factor = share;
            let (model, batch) = (BertForTask::new(&spec, &device), collate([]));
            let pass = TrainingPass { seed: Seed(0), step: 0, gradient_checkpointing: false };
            for training in [Some(pass), None] {
                let asked = Asked { model: &model, spec: &spec, batch: &batch, training, device: &device };
                let rows = logits.map(|logit| logit as f32).to_vec();
                let found = asked.losses(Tensor::from_data(TensorData::new(rows, [2, 3]), &device), &labels);
                let found: Vec<f32> = found.into_data().try_into_vec().unwrap();
                let share = if training.is_some() { share } else { 0.0 };
                for (row, (found, label)) in logits.chunks(3).zip(found.iter().zip(labels)) {
                    let log_sum = row.iter().map(|logit: &f64| logit.exp()).sum::<f64>().ln();
                    let target = |class: i32| share / 3.0 + if class == label { 1.0 - share } else { 0.0 };
                    let expected: f64 = (0..3).map(|class| target(class) * (log_sum - row[class as usize])).sum();
                    assert!((f64::from(*found) - expected).abs() < 1e-6, "{share}: {found}, not {expected}");
                }
            }
        }
    }
}
