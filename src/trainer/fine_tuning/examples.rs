//! Labelled examples as the model reads them: token ids, and what is to be answered.

use std::ops::Range;

use rayon::prelude::*;

use super::labelled::index_of;
use crate::plan::{Fold, RunSpec, TaskSpec};
use crate::trainer::rng::{Draws, Permutation, Purpose, Stream};
use crate::trainer::tokenizer::{MergeDropout, Tokenizer};
use crate::types::{ContentHash, Seed};

/// An example ready for the model.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`.
    pub ids: Vec<u32>,
    /// 0 for the text, 1 for its pair.
    pub segments: Vec<u32>,
    pub answer: Answer,
}

/// What is to be answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Class(usize),
    Tags(Tags),
}

/// The tags of a text, of its characters and of the tokens that the model sees.
#[derive(Clone, Debug, PartialEq)]
pub struct Tags {
    /// The characters that each token between `[CLS]` and `[SEP]` covers.
    pub ranges: Vec<Range<usize>>,
    /// The tag of each of these tokens: its first character's.
    pub of_tokens: Vec<usize>,
    /// The tag of each character, those beyond the cut too.
    pub of_characters: Vec<usize>,
    pub text: Vec<char>,
}

/// A side of the data, and what was left out of it.
#[derive(Clone, Debug, Default)]
pub struct Side {
    pub examples: Vec<Example>,
    /// Examples that were cut to `seq_len`.
    pub cut: usize,
}

/// All that a fine-tuning stage reads.
#[derive(Default)]
pub struct Examples<'a> {
    pub train: Side,
    /// Where each epoch has train examples of its own: the example of this epoch and number, and whether it was cut.
    pub anew: Option<Anew<'a>>,
    pub valid: Side,
    /// Empty where there is no test file.
    pub test: Side,
}

/// A function of the epoch and the number of a train example.
pub type Anew<'a> = Box<dyn Fn(u64, usize) -> (Example, bool) + Sync + 'a>;

/// Turns labelled text into examples.
#[derive(Clone)]
pub struct Encoder<'a> {
    pub tokenizer: &'a Tokenizer,
    pub seq_len: usize,
    pub labels: &'a [String],
    /// What splits text in place of the tokenizer, and its dice.
    dropping: Option<(&'a MergeDropout<'a>, Draws)>,
}

impl<'a> Encoder<'a> {
    /// As a specification asks.
    pub fn new(spec: &'a RunSpec, stage: &'a TaskSpec, tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, seq_len: spec.train().seq_len, labels: &stage.labels, dropping: None }
    }

    /// The tokens of a text.
    pub fn encode(&mut self, text: &str) -> Vec<u32> {
        match &mut self.dropping {
            None => self.tokenizer.encode(text),
            Some((dropout, draws)) => dropout.encode(text, draws),
        }
    }

    /// The tokens of a text, each with the characters that it covers.
    pub fn encode_with_offsets(&mut self, text: &str) -> Vec<(u32, Range<usize>)> {
        match &mut self.dropping {
            None => self.tokenizer.encode_with_offsets(text),
            Some((dropout, draws)) => dropout.encode_with_offsets(text, draws),
        }
    }

    /// Each epoch's examples of `texts`, made by `encode`, with merges dropped by dice of the example's own.
    pub fn dropping<T: Sync + 'a>(
        self,
        dropout: MergeDropout<'a>,
        seed: Seed,
        texts: Vec<T>,
        encode: impl Fn(&mut Encoder, &T) -> (Example, bool) + Sync + 'a,
    ) -> Anew<'a> {
        Box::new(move |epoch, index| {
            let draws = Stream::new(seed, Purpose::Split, epoch, index as u64).draws();
            let Self { tokenizer, seq_len, labels, .. } = self;
            encode(&mut Encoder { tokenizer, seq_len, labels, dropping: Some((&dropout, draws)) }, &texts[index])
        })
    }

    /// The examples of labelled texts, each made by `encode`, which also says whether it was cut.
    pub fn side<T: Sync>(&self, texts: &[T], encode: impl Fn(&mut Self, &T) -> (Example, bool) + Sync) -> Side {
        Side::of(texts.par_iter().map(|text| encode(&mut self.clone(), text)).collect())
    }

    /// The number of a label; of one that is not known, 0.
    pub fn label(&self, label: &str) -> usize {
        index_of(self.labels, label).unwrap_or_default()
    }
}

impl Side {
    fn of(encoded: Vec<(Example, bool)>) -> Self {
        let cut = encoded.iter().filter(|(_, is_cut)| *is_cut).count();
        Self { examples: encoded.into_iter().map(|(example, _)| example).collect(), cut }
    }
}

/// Splits labelled texts by their content: whether one is held out depends on nothing else, so copies of a text are never on
/// both sides. What is held out is the part of this fold, or else a share of all; where chance would leave a side of a share
/// empty, the text nearest to the cut moves over.
pub fn hold_out<T: Clone>(
    all: &[T],
    fold: Option<Fold>,
    fraction: f64,
    text: impl Fn(&T) -> String,
) -> (Vec<T>, Vec<T>) {
    let place = |example: &T| ContentHash::of(text(example).as_bytes()).first_u64();
    let places: Vec<u64> = all.iter().map(place).collect();
    let sides = |is_held_out: &dyn Fn(u64) -> bool| {
        let side = |held_out: bool| {
            let its = all.iter().zip(&places).filter(|(_, place)| is_held_out(**place) == held_out);
            its.map(|(example, _)| example.clone()).collect()
        };
        (side(false), side(true))
    };
    if let Some(fold) = fold {
        return sides(&|place| fold.holds(place));
    }
    let (smallest, largest) = (places.iter().min().copied(), places.iter().max().copied());
    let (Some(smallest), Some(largest)) = (smallest, largest) else { return (Vec::new(), Vec::new()) };
    if smallest == largest {
        return (all.to_vec(), Vec::new());
    }
    // `as` saturates, so a fraction near 1 stays in range.
    let cut = ((fraction * 2f64.powi(64)) as u64).clamp(smallest + 1, largest);
    sides(&|place| place < cut)
}

/// At most `limit` of all, drawn by `seed`, in their order: with a smaller limit, some of the same.
pub fn subset<T>(all: Vec<T>, limit: Option<usize>, seed: Seed) -> Vec<T> {
    let Some(limit) = limit.filter(|limit| *limit < all.len()) else { return all };
    let order = Permutation::of_subsets(seed, all.len());
    let mut is_taken = vec![false; all.len()];
    (0..limit).for_each(|i| is_taken[order.at(i)] = true);
    all.into_iter().zip(is_taken).filter_map(|(example, is_taken)| is_taken.then_some(example)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The share is about as asked, copies stay together, neither side is ever empty, and more data move nothing over.
    #[test]
    fn examples_are_held_out_by_their_content() {
        let texts: Vec<String> = (0..4000).map(|i| format!("text {}", i % 2000)).collect();
        let (train, valid) = hold_out(&texts, None, 0.2, String::clone);
        assert_eq!(train.len() + valid.len(), 4000);
        assert!((700..900).contains(&valid.len()), "{}", valid.len());
        let sides = [&train, &valid].map(|side| side.iter().collect::<BTreeSet<_>>());
        assert!(sides[0].is_disjoint(&sides[1]));
        let (_, first_valid) = hold_out(&texts[..1000], None, 0.2, String::clone);
        assert!(first_valid.iter().all(|text| sides[1].contains(text)));
        for fraction in [1e-9, 1.0 - 1e-9] {
            let (train, valid) = hold_out(&texts[..10], None, fraction, String::clone);
            assert!(!train.is_empty() && !valid.is_empty());
        }
        assert_eq!(hold_out(&texts[..1], None, 0.5, String::clone), (texts[..1].to_vec(), Vec::new()));
        assert_eq!(hold_out(&texts[..0], None, 0.5, String::clone), (Vec::new(), Vec::new()));
    }

    /// Each text is held out in one of the folds and learnt from in the others; the first of k is what a share of 1/k holds out.
    #[test]
    fn folds_hold_out_everything_once() {
        let texts: Vec<String> = (0..3000).map(|i| format!("text {}", i % 1500)).collect();
        let folds: Vec<Fold> = (1..=5).map(|number| format!("{number}/5").parse().unwrap()).collect();
        let mut held_out = Vec::new();
        for fold in &folds {
            let (train, valid) = hold_out(&texts, Some(*fold), 0.05, String::clone);
            assert_eq!(train.len() + valid.len(), 3000);
            assert!((500..700).contains(&valid.len()), "{}", valid.len());
            held_out.extend(valid);
        }
        held_out.sort();
        let mut all = texts.clone();
        all.sort();
        assert_eq!(held_out, all);
        let first = hold_out(&texts, Some(folds[0]), 0.05, String::clone);
        assert_eq!(first, hold_out(&texts, None, 0.2, String::clone));
    }

    /// Fewer are some of more, whatever the seed; another seed draws others, in the same shares of the file.
    #[test]
    fn subsets_are_nested() {
        let all: Vec<usize> = (0..5000).collect();
        for seed in [Seed(0), Seed(7)] {
            let of = |limit| subset(all.clone(), Some(limit), seed);
            let mut larger: BTreeSet<usize> = all.iter().copied().collect();
            for limit in [10_000, 5000, 1000, 100, 1] {
                let drawn = of(limit);
                assert_eq!(drawn.len(), limit.min(5000));
                assert!(drawn.is_sorted() && drawn.iter().all(|i| larger.contains(i)));
                larger = drawn.into_iter().collect();
            }
            let first_half = of(1000).iter().filter(|i| **i < 2500).count();
            // Hypergeometric: a standard deviation of 14.
            assert!((430..570).contains(&first_half), "{first_half}");
        }
        assert_ne!(subset(all.clone(), Some(100), Seed(0)), subset(all.clone(), Some(100), Seed(7)));
        assert_eq!(subset(all.clone(), None, Seed(0)), all);
    }
}
