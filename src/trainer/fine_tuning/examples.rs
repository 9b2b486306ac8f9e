//! Labelled examples as the model reads them: token ids, and what is to be answered.

use std::ops::Range;

use rayon::prelude::*;

use super::labelled::index_of;
use crate::plan::{RunSpec, TaskSpec};
use crate::trainer::tokenizer::Tokenizer;
use crate::types::ContentHash;

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
#[derive(Clone, Debug, Default)]
pub struct Examples {
    pub train: Side,
    pub valid: Side,
    /// Empty where there is no test file.
    pub test: Side,
}

/// Turns labelled text into examples.
#[derive(Clone, Copy)]
pub struct Encoder<'a> {
    pub tokenizer: &'a Tokenizer,
    pub seq_len: usize,
    pub labels: &'a [String],
}

impl<'a> Encoder<'a> {
    /// As a specification asks.
    pub fn new(spec: &'a RunSpec, stage: &'a TaskSpec, tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, seq_len: spec.train().seq_len, labels: &stage.labels }
    }

    /// The examples of labelled texts, each made by `encode`, which also says whether it was cut.
    pub fn side<T: Sync>(&self, texts: &[T], encode: impl Fn(&Self, &T) -> (Example, bool) + Sync) -> Side {
        Side::of(texts.par_iter().map(|text| encode(self, text)).collect())
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
/// both sides. Where chance would leave a side empty, the text nearest to the cut moves over.
pub fn hold_out<T: Clone>(all: &[T], fraction: f64, text: impl Fn(&T) -> String) -> (Vec<T>, Vec<T>) {
    let place = |example: &T| ContentHash::of(text(example).as_bytes()).first_u64();
    let places: Vec<u64> = all.iter().map(place).collect();
    let (smallest, largest) = (places.iter().min().copied(), places.iter().max().copied());
    let (Some(smallest), Some(largest)) = (smallest, largest) else { return (Vec::new(), Vec::new()) };
    if smallest == largest {
        return (all.to_vec(), Vec::new());
    }
    // `as` saturates, so a fraction near 1 stays in range.
    let cut = ((fraction * 2f64.powi(64)) as u64).clamp(smallest + 1, largest);
    let side = |held_out: bool| {
        let its = all.iter().zip(&places).filter(|(_, place)| (**place < cut) == held_out);
        its.map(|(example, _)| example.clone()).collect()
    };
    (side(false), side(true))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The share is about as asked, copies stay together, neither side is ever empty, and more data move nothing over.
    #[test]
    fn examples_are_held_out_by_their_content() {
        let texts: Vec<String> = (0..4000).map(|i| format!("text {}", i % 2000)).collect();
        let (train, valid) = hold_out(&texts, 0.2, String::clone);
        assert_eq!(train.len() + valid.len(), 4000);
        assert!((700..900).contains(&valid.len()), "{}", valid.len());
        let sides = [&train, &valid].map(|side| side.iter().collect::<BTreeSet<_>>());
        assert!(sides[0].is_disjoint(&sides[1]));
        let (_, first_valid) = hold_out(&texts[..1000], 0.2, String::clone);
        assert!(first_valid.iter().all(|text| sides[1].contains(text)));
        for fraction in [1e-9, 1.0 - 1e-9] {
            let (train, valid) = hold_out(&texts[..10], fraction, String::clone);
            assert!(!train.is_empty() && !valid.is_empty());
        }
        assert_eq!(hold_out(&texts[..1], 0.5, String::clone), (texts[..1].to_vec(), Vec::new()));
        assert_eq!(hold_out(&texts[..0], 0.5, String::clone), (Vec::new(), Vec::new()));
    }
}
