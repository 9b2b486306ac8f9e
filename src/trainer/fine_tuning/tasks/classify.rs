//! `classify`: one class for each text, or pair of texts.

use std::path::Path;

use burn::tensor::Tensor;

use super::{Asked, Definition, Predicted, best, mean, probabilities};
use crate::trainer::fine_tuning::examples::{Answer, Encoder, Example};
use crate::trainer::fine_tuning::labelled::floors::{Floor, of_texts};
use crate::trainer::fine_tuning::labelled::metrics::{classification, confusion};
use crate::trainer::fine_tuning::labelled::texts::{check_texts, labels_of_texts};
use crate::trainer::fine_tuning::labelled::{Columns, TaskError, TextExample, read_texts};
use crate::trainer::tokenizer::SpecialIds;
use crate::types::answers::Detail;
use crate::types::metrics::{self, Judged};

/// The task.
pub enum Classify {}

impl Definition for Classify {
    type Text = TextExample;

    fn read(path: &Path, bytes: &[u8], columns: &Columns) -> Result<(Vec<TextExample>, usize), TaskError> {
        read_texts(path, bytes, columns).map(|texts| (texts.examples, texts.skipped_empty))
    }

    fn labels(path: &Path, texts: &[TextExample]) -> Result<Vec<String>, TaskError> {
        labels_of_texts(path, texts)
    }

    fn check(path: &Path, texts: &[TextExample], labels: &[String]) -> Result<(), TaskError> {
        check_texts(path, texts, labels)
    }

    fn content(text: &TextExample) -> String {
        text.text.clone()
    }

    fn unlabelled(text: &TextExample, _labels: &[String]) -> TextExample {
        text.clone()
    }

    fn encode(encoder: &mut Encoder, example: &TextExample) -> (Example, bool) {
        let mut first = encoder.encode(&example.text);
        let mut second = example.pair.as_ref().map(|pair| encoder.encode(pair)).unwrap_or_default();
        let room = encoder.seq_len - if example.pair.is_some() { 3 } else { 2 };
        let is_cut = first.len() + second.len() > room;
        while first.len() + second.len() > room {
            // The longer of the two loses its end, as in BERT.
            if first.len() >= second.len() {
                first.pop()
            } else {
                second.pop()
            };
        }
        let SpecialIds { cls, sep, .. } = encoder.tokenizer.special_ids();
        let mut ids = [&[cls], first.as_slice(), &[sep]].concat();
        let mut segments = vec![0; ids.len()];
        if example.pair.is_some() {
            ids.extend(second.iter().chain([&sep]));
            segments.resize(ids.len(), 1);
        }
        (Example { ids, segments, answer: Answer::Class(encoder.label(&example.label)) }, is_cut)
    }

    fn floors(train: &[TextExample], held_out: &[TextExample], labels: &[String]) -> Vec<Floor> {
        of_texts(train, held_out, labels)
    }

    fn loss(asked: &Asked) -> Tensor<1> {
        let Asked { model, spec, batch, training, .. } = asked;
        let logits = model.class_logits(&batch.tokens, spec, *training);
        mean(asked.losses(logits, &batch.answers), batch.answers.len())
    }

    fn predict(asked: &Asked, _examples: &[Example]) -> Vec<Predicted> {
        let Asked { model, spec, batch, .. } = asked;
        let logits = model.class_logits(&batch.tokens, spec, None);
        let classes = logits.dims()[1];
        let one = |row: &[f32]| {
            let probabilities = row.iter().map(|&probability| f64::from(probability)).collect();
            Predicted::Class { class: best(row), probabilities }
        };
        probabilities(logits).chunks(classes).map(one).collect()
    }

    fn scores(examples: &[Example], predicted: &[Predicted], _labels: &[String]) -> Vec<(&'static Judged, f64)> {
        let (gold, found) = classes(examples, predicted);
        let scores = classification(&gold, &found);
        vec![
            (&metrics::ACCURACY, scores.accuracy),
            (&metrics::MICRO_F1, scores.micro_f1),
            (&metrics::MACRO_F1, scores.macro_f1),
        ]
    }

    fn detail(examples: &[Example], predicted: &[Predicted], labels: &[String]) -> Detail {
        let (gold, found) = classes(examples, predicted);
        Detail::Confusion(confusion(&gold, &found, labels))
    }
}

/// The true classes and the answers.
fn classes(examples: &[Example], predicted: &[Predicted]) -> (Vec<usize>, Vec<usize>) {
    (examples.iter().map(class_of).collect(), predicted.iter().map(predicted_class).collect())
}

fn class_of(example: &Example) -> usize {
    match example.answer {
        Answer::Class(class) => class,
        Answer::Tags(_) => 0,
    }
}

fn predicted_class(predicted: &Predicted) -> usize {
    match predicted {
        Predicted::Class { class, .. } => *class,
        Predicted::Tags { .. } => 0,
    }
}
