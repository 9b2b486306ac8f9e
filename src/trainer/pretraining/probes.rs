//! Probes: how far the shortcuts get on next-sentence prediction. An NSP accuracy means something only above them.
//!
//! Two classifiers that understand nothing are fitted to train pairs and judged on the run's own valid pairs: a naive
//! Bayes over the bag of words of B alone (which tells whether negatives give themselves away by their words), and a
//! table of the two lengths alone.

use std::collections::BTreeMap;

use serde_json::json;

use super::batch::{Batch, Batches};
use super::evaluation::ValidSet;
use crate::plan::RunSpec;
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::recorder::{RecordError, Recorder};
use crate::types::metrics;

/// Train pairs that the probes are fitted to.
const FIT: u64 = 8192;
/// A shortcut that is right this often makes the task another one.
const TELLTALE: f64 = 0.75;
/// Valid pairs that it takes to say so.
const ENOUGH: usize = 100;
/// Tokens a bin of the table of lengths.
const LENGTH_BIN: u32 = 8;

/// Fits both probes and records their accuracies on the valid pairs, if the run has pairs at all.
pub fn record<D: TokenDocuments + ?Sized>(
    spec: &RunSpec,
    batches: &Batches<D>,
    valid: &ValidSet,
    recorder: &mut dyn Recorder,
) -> Result<(), RecordError> {
    if !spec.has_nsp_head() {
        return Ok(());
    }
    let fit = pairs(&batches.range(0..FIT));
    let test: Vec<Pair> = valid.pairs().iter().flat_map(pairs).collect();
    let words = BagOfWords::fit(&fit, spec.tokenizer.vocab_size);
    let lengths = Lengths::fit(&fit);
    for (floor, what, accuracy) in [
        (&metrics::BAG_OF_WORDS, "the words of B alone", accuracy(&test, |pair| words.is_negative(pair))),
        (&metrics::LENGTHS, "the two lengths alone", accuracy(&test, |pair| lengths.is_negative(pair))),
    ] {
        recorder.fact(floor.fact, json!(accuracy))?;
        if test.len() >= ENOUGH && accuracy > TELLTALE {
            let text = format!("{what} tell {accuracy:.3} of the pairs right: NSP can be learnt without reading");
            recorder.warning(&text)?;
        }
    }
    Ok(())
}

/// What the probes see of a pair.
#[derive(Clone, Debug)]
struct Pair {
    /// The tokens of B as the model sees them.
    b: Vec<u32>,
    lengths: [u32; 2],
    negative: bool,
}

fn pairs(batch: &Batch) -> Vec<Pair> {
    let pair = |(i, &label): (usize, &i32)| {
        let rows = batch.tokens.sequences.rows_of(i);
        let length = rows.len() as u32;
        let ids = batch.tokens.ids[rows.clone()].iter().zip(&batch.tokens.segments[rows]);
        let b: Vec<u32> = ids.filter(|&(_, &segment)| segment == 1).map(|(&id, _)| id).collect();
        let b_length = b.len() as u32;
        Pair { b, lengths: [length - b_length, b_length], negative: label == 1 }
    };
    batch.nsp_labels.iter().enumerate().map(pair).collect()
}

fn accuracy(test: &[Pair], is_negative: impl Fn(&Pair) -> bool) -> f64 {
    let right = test.iter().filter(|pair| is_negative(pair) == pair.negative).count();
    right as f64 / test.len() as f64
}

/// Multinomial naive Bayes over B's tokens, add-one smoothed.
struct BagOfWords {
    /// Log odds of "negative" for each token.
    odds: Vec<f64>,
    prior: f64,
}

impl BagOfWords {
    fn fit(pairs: &[Pair], vocab: usize) -> Self {
        let mut counts = vec![[1.0f64; 2]; vocab];
        let mut classes = [1.0f64; 2];
        for pair in pairs {
            let class = usize::from(pair.negative);
            classes[class] += 1.0;
            pair.b.iter().for_each(|&token| counts[token as usize][class] += 1.0);
        }
        let totals = counts.iter().fold([0.0; 2], |sum, c| [sum[0] + c[0], sum[1] + c[1]]);
        let odds = counts.iter().map(|c| libm::log(c[1] / totals[1]) - libm::log(c[0] / totals[0])).collect();
        Self { odds, prior: libm::log(classes[1] / classes[0]) }
    }

    fn is_negative(&self, pair: &Pair) -> bool {
        pair.b.iter().map(|&token| self.odds[token as usize]).sum::<f64>() + self.prior > 0.0
    }
}

/// The majority class of each cell of (length of A, length of B).
struct Lengths(BTreeMap<[u32; 2], i64>);

impl Lengths {
    fn fit(pairs: &[Pair]) -> Self {
        let mut cells = BTreeMap::new();
        for pair in pairs {
            *cells.entry(Self::cell(pair)).or_insert(0) += if pair.negative { 1 } else { -1 };
        }
        Self(cells)
    }

    fn is_negative(&self, pair: &Pair) -> bool {
        self.0.get(&Self::cell(pair)).is_some_and(|&balance| balance > 0)
    }

    fn cell(pair: &Pair) -> [u32; 2] {
        pair.lengths.map(|length| length / LENGTH_BIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(b: &[u32], a_length: u32, negative: bool) -> Pair {
        Pair { b: b.to_vec(), lengths: [a_length, b.len() as u32], negative }
    }

    #[test]
    fn the_bag_of_words_finds_words_that_give_a_negative_away() {
        let fit: Vec<Pair> =
            (0..100).map(|i| pair(&[5 + i % 3, if i % 2 == 0 { 8 } else { 9 }], 4, i % 2 == 0)).collect();
        let words = BagOfWords::fit(&fit, 10);
        assert_eq!(accuracy(&fit, |p| words.is_negative(p)), 1.0);
        let blind: Vec<Pair> = (0..100).map(|i| pair(&[5 + i % 3], 4, i % 2 == 0)).collect();
        let words = BagOfWords::fit(&blind, 10);
        assert!(accuracy(&blind, |p| words.is_negative(p)) < 0.7);
    }

    #[test]
    fn the_table_of_lengths_finds_lengths_that_give_a_negative_away() {
        let fit: Vec<Pair> = (0..64).map(|i| pair(&[5; 3], if i % 2 == 0 { 10 } else { 50 }, i % 2 == 0)).collect();
        let lengths = Lengths::fit(&fit);
        assert_eq!(accuracy(&fit, |p| lengths.is_negative(p)), 1.0);
    }
}
