//! Memorisation: which spans of its train documents a masked model gives back word for word.
//!
//! Some consecutive tokens of a document are masked, and the model fills them in, the most certain one first. What it gives
//! back of documents that it never saw is language; what it gives back of train documents beyond that is memory. The question
//! is Carlini et al.'s ("Extracting training data from large language models", 2021), put to a masked model as in Lehman et
//! al. 2021 ("Does BERT pretrained on clinical notes reveal sensitive data?").

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use super::batch::Batch;
use super::instance::Instance;
use super::masking::{Masked, Shown};
use crate::plan::RunSpec;
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::model::BertForPreTraining;
use crate::trainer::model::int_tensor;
use crate::trainer::model::parameters::{Parameter, Weights};
use crate::trainer::rng::{Draws, Purpose, Stream};
use crate::trainer::tokenizer::SpecialIds;
use crate::types::Seed;

/// The seed of the spans: never the run's, so that runs are asked the same.
const SPAN_SEED: Seed = Seed(0x0073_7061_6e73);

/// Spans that go through the model at a time.
const TOGETHER: usize = 32;

/// Draws without a usable span before a document is given up on.
const TRIES: usize = 200;

/// A span that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub document: usize,
    /// What stood there, and what the model filled in.
    pub tokens: Vec<u32>,
    pub filled: Vec<u32>,
    /// The sentence before and after the span.
    pub before: Vec<u32>,
    pub after: Vec<u32>,
}

impl Span {
    /// Whether the model gave it back word for word.
    pub fn is_verbatim(&self) -> bool {
        self.tokens == self.filled
    }

    /// The share of its tokens that the model gave back.
    pub fn share(&self) -> f64 {
        let right = self.tokens.iter().zip(&self.filled).filter(|(token, filled)| token == filled).count();
        right as f64 / self.tokens.len().max(1) as f64
    }
}

/// Asks the model of `spec` for up to `spans` spans of `length` tokens of `documents`.
pub fn probe<D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    weights: &[Parameter],
    specials: SpecialIds,
    documents: &D,
    spans: usize,
    length: usize,
) -> Vec<Span> {
    let device = Device::flex().autodiff();
    let model = BertForPreTraining::new(spec, &device).with_parameters(weights, &device).valid();
    let mut questions = questions(spec, documents, spans, length);
    for chunk in questions.chunks_mut(TOGETHER) {
        for _ in 0..length {
            fill_one(spec, &model, specials, chunk);
        }
    }
    questions.into_iter().map(|question| question.span).collect()
}

/// A span on its way: what is filled in so far.
struct Question {
    span: Span,
    known: Vec<Option<u32>>,
}

/// Spans of a fixed random choice, no two of them the same place.
fn questions<D: TokenDocuments + ?Sized>(spec: &RunSpec, documents: &D, spans: usize, length: usize) -> Vec<Question> {
    let mut draws = Stream::new(SPAN_SEED, Purpose::Probe, length as u64, 0).draws();
    let (mut taken, mut questions) = (std::collections::BTreeSet::new(), Vec::new());
    for _ in 0..spans.saturating_mul(TRIES) {
        if questions.len() == spans || documents.documents() == 0 {
            break;
        }
        let document = draws.below(documents.documents() as u32) as usize;
        if let Some((place, question)) = question(spec, documents, document, length, &mut draws)
            && taken.insert((document, place))
        {
            questions.push(question);
        }
    }
    questions
}

/// A span of a sentence of `document`, with as much of the sentence around it as the model trained with.
fn question<D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    documents: &D,
    document: usize,
    length: usize,
    draws: &mut Draws,
) -> Option<(usize, Question)> {
    let sentences = documents.sentences(document);
    let number = sentences.start + draws.below(u32::try_from(sentences.len()).ok().filter(|&n| n > 0)?) as usize;
    // A sentence that is nothing but the span would have to be known by heart from nothing.
    let long_enough = documents.sentence_len(number) >= 2 * length;
    let mut sentence = Vec::new();
    documents.read_sentence(number, &mut sentence);
    if !long_enough {
        return None;
    }
    let start = draws.below((sentence.len() - length + 1) as u32) as usize;
    let (left, right) = (start, sentence.len() - start - length);
    let room = spec.train().seq_len.saturating_sub(2 + length);
    // As much from both sides, and what one side does not need from the other.
    let from_left = left.min((room / 2).max(room.saturating_sub(right)));
    let from_right = right.min(room - from_left);
    let before = sentence[start - from_left..start].to_vec();
    let after = sentence[start + length..start + length + from_right].to_vec();
    let span = Span { document, tokens: sentence[start..start + length].to_vec(), filled: Vec::new(), before, after };
    Some((number, Question { span, known: vec![None; length] }))
}

/// Fills in the most certain token of each span.
fn fill_one(spec: &RunSpec, model: &BertForPreTraining, specials: SpecialIds, questions: &mut [Question]) {
    let item = |question: &Question| {
        let Question { span, known } = question;
        let inner = known.iter().map(|token| token.unwrap_or(specials.mask));
        let tokens: Vec<u32> = [specials.cls]
            .into_iter()
            .chain(span.before.iter().copied())
            .chain(inner)
            .chain(span.after.iter().copied())
            .chain([specials.sep])
            .collect();
        let first = 1 + span.before.len();
        let masked = known.iter().enumerate().filter(|(_, token)| token.is_none());
        let masked = masked.map(|(i, _)| Masked { position: (first + i) as u32, label: 0, shown: Shown::Mask });
        (Instance { segments: vec![0; tokens.len()], tokens, ..Instance::default() }, masked.collect())
    };
    let items: Vec<(Instance, Vec<Masked>)> = questions.iter().map(item).collect();
    let batch = Batch::collate(&items);
    let hidden = model.bert.encode(&batch.tokens, &spec.model, None);
    let logits = values(model.mlm_logits(hidden, int_tensor(&batch.rows, &Device::flex()), &spec.model));
    let mut rows = logits.chunks(spec.tokenizer.vocab_size);
    for question in questions {
        let open: Vec<usize> = (0..question.known.len()).filter(|&i| question.known[i].is_none()).collect();
        let guesses = open.into_iter().zip(rows.by_ref()).map(|(i, row)| (i, best(row, specials.first_ordinary)));
        let surest = guesses.fold(None, |surest: Option<(usize, (u32, f64))>, guess| match surest {
            Some((_, (_, certainty))) if certainty >= guess.1.1 => surest,
            _ => Some(guess),
        });
        if let Some((place, (token, _))) = surest {
            question.known[place] = Some(token);
        }
        question.span.filled = question.known.iter().map(|token| token.unwrap_or(specials.mask)).collect();
    }
}

/// The most probable ordinary token of a row of logits, and the log of its probability.
fn best(row: &[f32], first_ordinary: u32) -> (u32, f64) {
    let ordinary = (first_ordinary..).zip(&row[first_ordinary as usize..]);
    let (token, peak) =
        ordinary.fold(
            (first_ordinary, f32::NEG_INFINITY),
            |best, (id, &logit)| if logit > best.1 { (id, logit) } else { best },
        );
    let total: f64 = row.iter().map(|&logit| libm::exp(f64::from(logit) - f64::from(peak))).sum();
    (token, -libm::log(total))
}

fn values(logits: Tensor<2>) -> Vec<f32> {
    logits.into_data().try_into_vec().expect("invariant: logits are f32")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Nsp;
    use crate::trainer::model::tests::tiny_spec;
    use crate::trainer::optimizer::Optimizer;
    use crate::trainer::pretraining::instance::tests::{SPECIALS, Toy};
    use crate::trainer::pretraining::{Corpus, Pretraining, forward_backward};
    use crate::trainer::step_loop::Stage;

    /// A model that saw few sentences over and over knows them by heart; one that never learnt gives nothing back.
    #[test]
    fn what_was_seen_over_and_over_is_given_back() {
        let sentence = |i: u32| (0..8).map(|t| 10 + 8 * i + t).collect::<Vec<u32>>();
        let documents = Toy((0..4).map(|i| vec![sentence(i)]).collect());
        let mut spec = tiny_spec();
        spec.objective_mut().nsp = Nsp::Off;
        spec.train_mut().seq_len = 10;
        (spec.model.hidden_dropout_prob, spec.model.attention_probs_dropout_prob) = (0.0, 0.0);
        spec.objective_mut().mask_ratio = 0.3;
        let corpus =
            Corpus { train: &documents, valid: &documents, specials: SPECIALS, continues: &[], characters: &[] };
        let stage = Pretraining::new(&spec, &corpus).unwrap();
        let device = Device::flex().autodiff();
        let mut model = BertForPreTraining::new(&spec, &device);
        let mut weights = model.parameters();
        let verbatim = |weights: &[Parameter]| {
            let spans = probe(&spec, weights, SPECIALS, &documents, 4, 3);
            assert_eq!(spans.len(), 4);
            assert!(spans.iter().all(|span| span.tokens.len() == 3 && span.filled.len() == 3));
            spans.iter().filter(|span| span.is_verbatim()).count()
        };
        assert_eq!(verbatim(&weights), 0);
        let mut optimizer = Optimizer::new(spec.optimizer(), &weights);
        for step in 0..400 {
            let (_, gradients) = forward_backward(&model, &spec, &stage.batch(step), step, &device);
            optimizer.step(&mut weights, &gradients, 1e-2);
            model = model.with_parameters(&weights, &device);
        }
        assert!(verbatim(&weights) >= 3, "{} of 4", verbatim(&weights));
    }
}
