//! Evaluation: what the model knows about the held-out documents, and about documents that it learns from.
//!
//! The valid instances are the same for every run on a corpus, tokenizer and sequence length, whatever the run trains
//! with: MLM is measured on packed full sentences under one fixed 15 % mask, so that runs with and without NSP and with
//! any mask ratio answer the same questions. NSP is measured on fixed pairs, for models that have the head.
//!
//! A sample of the train documents is asked in the same way, packed, masked and without dropout as the held-out ones: by what
//! the two draw apart while it trains, a model learns by heart. The losses of training itself cannot tell: they have dropout,
//! masks of their own, and weights that change from batch to batch. The sample is [a fourth](TrainSpec::eval_train_instances)
//! as large, which is what it costs; its questions stay the same through a run, so that its curve is as steady as the other.
//!
//! A loss in nats a token means something else under every tokenizer. `valid/bits_per_character` is the same loss by the
//! characters that the hidden tokens stand for, white space left out:
//!
//! ```text
//! sum of cross-entropies / (ln 2 * sum of characters)
//! ```
//!
//! It has the same unit for all tokenizers over the same held-out texts. It is no likelihood of the text, and no compression:
//! every token is predicted from both sides, with 15 % hidden. What is hidden at once is longer where tokens are, so that of
//! two models that know as much, the one with the smaller tokens has the easier questions.

use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

use super::Corpus;
use super::batch::{Batch, Batches};
use super::instance::{InstanceSpec, Instances};
use super::masking::{MaskSpec, Shown};
#[cfg(doc)]
use crate::plan::TrainSpec;
use crate::plan::{DeviceKind, Masking, Nsp, Packing, RunSpec};
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::kernels::{Exponentials, exponentials};
use crate::trainer::model::BertForPreTraining;
use crate::trainer::model::int_tensor;
use crate::trainer::tokenizer::SpecialIds;
use crate::types::Seed;
use crate::types::metrics::{self, Measurement};

/// The seed of everything about the valid set: never the run's.
const VALID_SEED: Seed = Seed(0x0076_616c_6964);

/// The fixed questions of a run's evaluations.
pub struct ValidSet {
    mlm: Vec<Batch>,
    /// The same of train documents.
    train: Vec<Batch>,
    nsp: Vec<Batch>,
    /// Characters that the masked tokens stand for.
    characters: u64,
}

impl ValidSet {
    /// The first `train.eval_instances` of the valid documents, in a fixed order, and fewer of the train documents. An id whose
    /// characters the corpus does not know stands for one.
    pub fn new<D: TokenDocuments + ?Sized>(corpus: &Corpus<D>, spec: &RunSpec) -> Self {
        let of = |documents, n, nsp| fixed_batches(documents, n, corpus.specials, spec, nsp);
        let held_out = |nsp| of(corpus.valid, spec.train().eval_instances, nsp);
        let nsp = if spec.objective().nsp == Nsp::Off { Vec::new() } else { held_out(spec.objective().nsp) };
        let mlm = held_out(Nsp::Off);
        let train = of(corpus.train, spec.train().eval_train_instances(), Nsp::Off);
        let of_label = |&label: &i32| corpus.characters.get(label as usize).map_or(1, |&n| u64::from(n));
        let characters = mlm.iter().flat_map(|batch| &batch.labels).map(of_label).sum();
        Self { mlm, train, nsp, characters }
    }

    /// Masked tokens that an evaluation predicts.
    pub fn masked_tokens(&self) -> usize {
        self.mlm.iter().map(|batch| batch.rows.len()).sum()
    }

    /// Those of them behind `[MASK]`.
    pub fn mask_tokens(&self) -> usize {
        behind_mask(&self.mlm)
    }

    /// Tokens behind `[MASK]` that an evaluation predicts in train documents.
    pub fn train_mask_tokens(&self) -> usize {
        behind_mask(&self.train)
    }

    /// The masked sequences that an evaluation asks about.
    pub fn masked(&self) -> &[Batch] {
        &self.mlm
    }

    /// Pairs that an evaluation judges.
    pub fn pairs(&self) -> &[Batch] {
        &self.nsp
    }

    /// Every metric of the model under `valid/`, and those of the train documents, in a fixed order. The model is used without
    /// dropout or gradients.
    pub fn evaluate(&self, model: &BertForPreTraining, spec: &RunSpec, device: &Device) -> Vec<Measurement> {
        let of_mlm = |batch: &Batch| {
            let hidden = model.bert.encode(&batch.tokens, &spec.model, None);
            let logits = model.mlm_logits(hidden, int_tensor(&batch.rows, device), &spec.model);
            let scores = score_rows(logits, &batch.labels);
            scores.into_iter().zip(&batch.shown).map(|(score, &shown)| (score, Some(shown))).collect::<Vec<_>>()
        };
        let of_nsp = |batch: &Batch| {
            let hidden = model.bert.encode(&batch.tokens, &spec.model, None);
            let logits = model.nsp_logits(hidden, &batch.tokens.sequences);
            let scores = logits.map(|logits| score_rows(logits, &batch.nsp_labels)).unwrap_or_default();
            scores.into_iter().map(|score| (score, None)).collect::<Vec<_>>()
        };
        // Side by side, so that the few batches of train documents leave no core idle.
        let mut scores = of_all(self.mlm.iter().chain(&self.train).collect(), spec, of_mlm);
        let train = Tally { scores: scores.split_off(self.masked_tokens()) };
        let mlm = Tally { scores };
        let nsp = Tally { scores: of_all(self.nsp.iter().collect(), spec, of_nsp) };
        let mut found: Vec<Measurement> = vec![
            (&metrics::VALID_MLM_LOSS, mlm.loss()),
            (&metrics::PERPLEXITY, libm::exp(mlm.loss())),
            (&metrics::BITS_PER_CHARACTER, mlm.bits() / self.characters.max(1) as f64),
            (&metrics::MLM_LOSS_MASK, mlm.loss_where(Shown::Mask)),
            (&metrics::MLM_LOSS_RANDOM, mlm.loss_where(Shown::Random)),
            (&metrics::MLM_LOSS_KEPT, mlm.loss_where(Shown::Kept)),
            (&metrics::MASKED_ACCURACY, mlm.accuracy(|_| true)),
            (&metrics::ACCURACY_MASK, mlm.accuracy_where(Shown::Mask)),
            (&metrics::ACCURACY_RANDOM, mlm.accuracy_where(Shown::Random)),
            (&metrics::ACCURACY_KEPT, mlm.accuracy_where(Shown::Kept)),
        ];
        if !nsp.scores.is_empty() {
            found.push((&metrics::VALID_NSP_LOSS, nsp.loss()));
            found.push((&metrics::NSP_ACCURACY, nsp.accuracy(|_| true)));
        }
        found.extend([
            (&metrics::TRAIN_MLM_LOSS_MASK, train.loss_where(Shown::Mask)),
            (&metrics::TRAIN_MLM_LOSS_RANDOM, train.loss_where(Shown::Random)),
            (&metrics::TRAIN_MLM_LOSS_KEPT, train.loss_where(Shown::Kept)),
            (&metrics::TRAIN_ACCURACY_MASK, train.accuracy_where(Shown::Mask)),
            (&metrics::TRAIN_ACCURACY_RANDOM, train.accuracy_where(Shown::Random)),
            (&metrics::TRAIN_ACCURACY_KEPT, train.accuracy_where(Shown::Kept)),
        ]);
        found
    }
}

/// Tokens of these batches that are predicted behind `[MASK]`.
fn behind_mask(batches: &[Batch]) -> usize {
    batches.iter().flat_map(|batch| &batch.shown).filter(|shown| **shown == Shown::Mask).count()
}

/// The first `most` instances of `documents`, by the draws of the valid set.
fn fixed_batches<D: TokenDocuments + ?Sized>(
    documents: &D,
    most: usize,
    specials: SpecialIds,
    spec: &RunSpec,
    nsp: Nsp,
) -> Vec<Batch> {
    let instance_spec = InstanceSpec {
        nsp,
        packing: Packing::FullSentences,
        negative_prob: 0.5,
        negative_documents: None,
        short_seq_prob: 0.0,
        seq_len: spec.train().seq_len,
        seed: VALID_SEED,
    };
    let batches = Batches {
        instances: Instances::new(documents, specials, instance_spec),
        specials,
        mask: MaskSpec::EVALUATION,
        masking: Masking::Static,
        vocab: spec.tokenizer.vocab_size,
        continues: &[],
        batch_size: spec.train().batch_size,
        seed: VALID_SEED,
    };
    let n = batches.instances.len().min(most) as u64;
    let step = spec.train().batch_size as u64;
    (0..n).step_by(spec.train().batch_size).map(|start| batches.range(start..(start + step).min(n))).collect()
}

/// What `score` gives for all batches, in their order. On a CPU batches are judged side by side, because a forward pass alone
/// leaves cores idle between its operations; an accelerator takes one after the other.
fn of_all<T: Send>(batches: Vec<&Batch>, spec: &RunSpec, score: impl Fn(&Batch) -> Vec<T> + Sync + Send) -> Vec<T> {
    match spec.train().device {
        DeviceKind::Flex => batches.into_par_iter().flat_map(score).collect(),
        _ => batches.into_iter().flat_map(score).collect(),
    }
}

/// One prediction: its cross-entropy in nats and whether the best guess was right.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Score {
    loss: f64,
    correct: bool,
}

/// Scores each row of `logits` (`[M, C]`) against its label, on the host.
fn score_rows(logits: Tensor<2>, labels: &[i32]) -> Vec<Score> {
    let classes = logits.dims()[1];
    let values: Vec<f32> = logits.into_data().try_into_vec().expect("invariant: logits are f32");
    values.par_chunks(classes).zip(labels).map(|(row, &label)| score(row, label as usize)).collect()
}

/// The first of equal maxima is the guess.
fn score(row: &[f32], label: usize) -> Score {
    let Exponentials { largest, sum } = exponentials(row);
    let best = row.iter().position(|&value| value == largest);
    let loss = libm::log(sum) + f64::from(largest) - f64::from(row[label]);
    Score { loss, correct: best == Some(label) }
}

struct Tally {
    scores: Vec<(Score, Option<Shown>)>,
}

impl Tally {
    /// Mean cross-entropy, nats a prediction.
    fn loss(&self) -> f64 {
        self.scores.iter().map(|(score, _)| score.loss).sum::<f64>() / self.scores.len() as f64
    }

    /// Mean cross-entropy of what is shown in this way; NaN where nothing is.
    fn loss_where(&self, how: Shown) -> f64 {
        let chosen = self.scores.iter().filter(|(_, shown)| *shown == Some(how));
        let (sum, n) = chosen.fold((0.0, 0u32), |(sum, n), (score, _)| (sum + score.loss, n + 1));
        sum / f64::from(n)
    }

    /// The sum of cross-entropies in bits.
    fn bits(&self) -> f64 {
        self.scores.iter().map(|(score, _)| score.loss).sum::<f64>() / std::f64::consts::LN_2
    }

    /// The share of right guesses among the predictions that `select` chooses; NaN when it chooses none.
    fn accuracy(&self, select: impl Fn(Option<Shown>) -> bool) -> f64 {
        let (mut right, mut all) = (0u32, 0u32);
        for (score, _) in self.scores.iter().filter(|(_, shown)| select(*shown)) {
            right += u32::from(score.correct);
            all += 1;
        }
        f64::from(right) / f64::from(all)
    }

    /// The share of right guesses where this is shown; NaN where nothing is.
    fn accuracy_where(&self, how: Shown) -> f64 {
        self.accuracy(|shown| shown == Some(how))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::model::tests::tiny_spec;
    use crate::trainer::pretraining::copying::Copying;
    use crate::trainer::pretraining::instance::tests::{SPECIALS, Toy};
    use crate::trainer::pretraining::unigrams;
    use crate::trainer::rng::{Purpose, Stream};

    /// What is asked of train documents is what would be asked of them if they were held out, bit for bit, and changes nothing
    /// about what is.
    #[test]
    fn train_documents_are_asked_as_held_out_ones_are() {
        let [documents, others] = [3, 4].map(|seed| Toy::random(40, seed));
        let device = Device::flex();
        let asked = |train: &Toy, valid: &Toy, n: usize| {
            let corpus = Corpus { train, valid, specials: SPECIALS, continues: &[], characters: &[] };
            let mut spec = tiny_spec();
            spec.train_mut().eval_instances = n;
            let set = ValidSet::new(&corpus, &spec);
            (set.evaluate(&BertForPreTraining::new(&spec, &device), &spec, &device), set)
        };
        let leaves = |found: &[Measurement], group: &str| {
            let of =
                |leaf: &str| found.iter().find(|(metric, _)| metric.name() == format!("{group}/{leaf}")).unwrap().1;
            ["mlm_loss_mask", "mlm_loss_random", "mlm_loss_kept", "accuracy_mask", "accuracy_random", "accuracy_kept"]
                .map(of)
                .map(f64::to_bits)
        };
        let (found, set) = asked(&documents, &others, 20);
        let (held_out, its) = asked(&others, &documents, 5);
        assert_eq!(leaves(&found, "train"), leaves(&held_out, "valid"));
        assert_eq!((set.train_mask_tokens(), its.train_mask_tokens() < set.mask_tokens()), (its.mask_tokens(), true));
        let (alone, _) = asked(&others, &others, 20);
        assert_eq!(leaves(&found, "valid"), leaves(&alone, "valid"));
        assert_ne!(leaves(&found, "valid"), leaves(&found, "train"));
    }

    /// On a made language without context nobody knows more than how often tokens occur and what is shown: who answers the questions
    /// of an evaluation by Bayes' rule has the loss and the accuracy that the copy floor says, and who only copies, or only counts, has
    /// a higher loss.
    #[test]
    fn the_copy_floor_is_what_copying_scores_on_the_questions() {
        let mut draws = Stream::new(Seed(7), Purpose::Shuffle, 0, 0).draws();
        let mut token = || 5 + (45 * draws.below(45) / (1 + 2 * draws.below(45))).min(44);
        let mut sentence = || (0..30).map(|_| token()).collect::<Vec<u32>>();
        let language = Toy((0..300).map(|_| (0..8).map(|_| sentence()).collect()).collect());
        let corpus = Corpus { train: &language, valid: &language, specials: SPECIALS, continues: &[], characters: &[] };
        let mut spec = tiny_spec();
        spec.train_mut().eval_instances = 100_000;
        let set = ValidSet::new(&corpus, &spec);
        let floor = Copying::on(&language, SPECIALS, spec.tokenizer.vocab_size);

        let counts = unigrams::counts(&language, spec.tokenizer.vocab_size);
        let all = counts.iter().sum::<u64>() as f64;
        let share = |id: usize| counts[id] as f64 / all;
        // The answers' probabilities where `shown` is seen, by how often a shown token is believed to be the answer.
        let probability = |shown: u32, answer: usize, kept: f64| match shown {
            shown if shown == SPECIALS.mask => share(answer),
            shown => {
                let same = if shown as usize == answer { kept * share(answer) } else { 0.0 };
                (same + 0.1 * share(answer) / 45.0) / (kept * share(shown as usize) + 0.1 / 45.0)
            }
        };
        let questions = set.masked().iter().flat_map(|batch| {
            let shown = batch.rows.iter().map(|&row| batch.tokens.ids[row as usize]);
            shown.zip(batch.labels.iter().map(|&label| label as usize)).collect::<Vec<_>>()
        });
        let questions = questions.collect::<Vec<_>>();
        let loss = |kept: f64| {
            let losses = questions.iter().map(|&(shown, answer)| -probability(shown, answer, kept).ln());
            losses.sum::<f64>() / questions.len() as f64
        };
        let error = floor.spread / (questions.len() as f64).sqrt();
        assert!(questions.len() > 5000 && error < 0.03, "{} questions, {error}", questions.len());
        assert!((loss(0.1) - floor.loss).abs() < 4.0 * error, "{} not {} ± {error}", loss(0.1), floor.loss);
        assert!(loss(0.0) > loss(0.1) + 0.05 && loss(10.0) > loss(0.1) + 0.05, "{} {}", loss(0.0), loss(10.0));

        let visible = questions.iter().filter(|(shown, _)| *shown != SPECIALS.mask).collect::<Vec<_>>();
        let best =
            |shown: u32| (5..50).max_by(|&a, &b| probability(shown, a, 0.1).total_cmp(&probability(shown, b, 0.1)));
        let right = visible.iter().filter(|(shown, answer)| best(*shown) == Some(*answer)).count();
        let accuracy = right as f64 / visible.len() as f64;
        let error = 0.5 / (visible.len() as f64).sqrt();
        assert!((accuracy - floor.accuracy_shown).abs() < 4.0 * error, "{accuracy} not {}", floor.accuracy_shown);
    }

    #[test]
    fn scores_match_the_closed_form() {
        let uniform = score(&[0.5; 8], 3);
        assert!((uniform.loss - 8f64.ln()).abs() < 1e-7 && !uniform.correct);
        let row = [1.0, -2.0, 3.5];
        let total: f64 = row.iter().map(|x: &f32| f64::from(*x).exp()).sum();
        for (label, &value) in row.iter().enumerate() {
            let score = score(&row, label);
            assert!((score.loss - (total.ln() - f64::from(value))).abs() < 1e-6);
            assert_eq!(score.correct, label == 2);
        }
        // As many classes as a vocabulary has, against plain f64.
        let row: Vec<f32> = (0..8007).map(|i| ((i * 7919) % 1009) as f32 / 100.0 - 5.0).collect();
        let total: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        assert!((score(&row, 17).loss - (total.ln() - f64::from(row[17]))).abs() < 1e-6);
        let tally = Tally { scores: vec![(Score { loss: 8f64.ln(), correct: false }, None); 4] };
        assert!((tally.bits() - 12.0).abs() < 1e-12, "four guesses among eight are three bits each");
        let huge = score(&[1e30, -1e30], 0);
        assert_eq!(huge, Score { loss: 0.0, correct: true });
    }
}
