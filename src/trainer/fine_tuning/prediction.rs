//! What a model trained for a task says about examples, and how often it is right.

use burn::module::Module;
use burn::tensor::Device;

use super::batch::collate;
use super::examples::{Encoder, Example, Side};
use super::labelled::{self, TextExample};
use super::tasks::{Asked, Definition, Entity, Predicted, Said, with_definition};
use crate::plan::RunSpec;
use crate::trainer::model::parameters::{Parameter, Weights};
use crate::trainer::model::task::{BertForTask, of_task};
use crate::trainer::tokenizer::Tokenizer;
use crate::types::answers::Detail;
use crate::types::metrics::{self, Judged, Measurement, Metric};

/// What the model of `spec` with these weights says about each text.
///
/// # Panics
/// When the specification is of no fine-tuning stage.
pub fn predict_texts(spec: &RunSpec, weights: &[Parameter], tokenizer: &Tokenizer, texts: &[TextExample]) -> Vec<Said> {
    let stage = of_task(spec);
    let encoder = Encoder::new(spec, stage, tokenizer);
    let side = with_definition!(stage.task, D => unlabelled::<D>(&encoder, texts));
    let device = Device::flex().autodiff();
    let model = BertForTask::new(spec, &device).with_parameters(weights, &device).valid();
    let said = |(example, predicted): (&Example, Predicted)| match predicted {
        Predicted::Class { class, probabilities } => Said::Class { label: stage.labels[class].clone(), probabilities },
        Predicted::Tags { of_tokens, of_characters } => {
            let ids = example.ids.iter().skip(1).copied();
            let tokens = ids.zip(of_tokens).map(|(id, tag)| (id, stage.labels[tag].clone())).collect();
            let tags: Vec<&str> = of_characters.iter().map(|&tag| stage.labels[tag].as_str()).collect();
            let entity = |found: labelled::Entity| Entity { kind: found.kind.to_owned(), characters: found.range() };
            let entities = labelled::entities(&tags).into_iter().map(entity).collect();
            Said::Entities { entities, tags: tags.into_iter().map(str::to_owned).collect(), tokens }
        }
    };
    let predicted = predict(&model, spec, &side.examples, &Device::flex());
    side.examples.iter().zip(predicted).map(said).collect()
}

fn unlabelled<D: Definition>(encoder: &Encoder, texts: &[TextExample]) -> Side {
    let texts: Vec<D::Text> = texts.iter().map(|text| D::unlabelled(text, encoder.labels)).collect();
    encoder.side(&texts, D::encode)
}

/// The metrics of a side, in a fixed order, and its mean loss in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    pub loss: f64,
    scores: Vec<(&'static Judged, f64)>,
    /// How the answers fall out by class or kind.
    pub detail: Detail,
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
    let stage = of_task(spec);
    let (mut total, mut answers, mut predicted) = (0.0, 0.0, Vec::with_capacity(examples.len()));
    for ((loss, n), batch) in by_batches(model, spec, examples, device) {
        total += loss * n;
        answers += n;
        predicted.extend(batch);
    }
    let loss = total / f64::max(answers, 1.0);
    let (scores, detail) = with_definition!(stage.task, D => {
        (D::scores(examples, &predicted, &stage.labels), D::detail(examples, &predicted, &stage.labels))
    });
    Scores { loss, scores, detail }
}

/// For each batch its mean loss, of how many answers, and what is said about each example.
fn by_batches(
    model: &BertForTask,
    spec: &RunSpec,
    examples: &[Example],
    device: &Device,
) -> Vec<((f64, f64), Vec<Predicted>)> {
    let of_batch = |chunk: &[Example]| {
        let batch = collate(chunk);
        let n = batch.answers.len() as f64;
        if n == 0.0 {
            return ((0.0, 0.0), chunk.iter().map(Predicted::nothing).collect());
        }
        let asked = Asked { model, spec, batch: &batch, training: None, device };
        let loss = f64::from(asked.loss().into_scalar::<f32>());
        ((loss, n), asked.predict(chunk))
    };
    examples.chunks(TOGETHER).map(of_batch).collect()
}
