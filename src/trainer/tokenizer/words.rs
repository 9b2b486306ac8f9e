//! Text to words, by BERT's rules as the library has them, and words to counts.

use std::collections::HashMap;

use rayon::prelude::*;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

pub(super) const PRE_TOKENIZER: BertPreTokenizer = BertPreTokenizer;

/// BERT's normalizer, except that accents are never stripped: stripping decomposes Hangul into its letters.
pub(super) fn normalizer(lowercase: bool) -> BertNormalizer {
    BertNormalizer::new(true, true, Some(false), lowercase)
}

/// The normalizer that a tokenizer was built with.
pub(super) fn normalizer_of(tokenizer: &tokenizers::Tokenizer) -> Option<BertNormalizer> {
    match tokenizer.get_normalizer() {
        Some(NormalizerWrapper::BertNormalizer(normalizer)) => Some(*normalizer),
        _ => None,
    }
}

/// The parts of a text between white space, each of which the pipeline treats on its own.
///
/// Three characters are white space to Rust and control characters, which are dropped, to the normalizer.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let separates = |c: char| c.is_whitespace() && !matches!(c, '\u{b}' | '\u{c}' | '\u{85}');
    text.split(separates).filter(|piece| !piece.is_empty())
}

/// The normalised words of a piece.
pub(super) fn words(normalizer: &BertNormalizer, piece: &str) -> Vec<String> {
    if piece.chars().all(|c| ('가'..='힣').contains(&c) || c.is_ascii_digit() || c.is_ascii_lowercase()) {
        return vec![piece.to_owned()];
    }
    let library = "invariant: the library's BERT pipeline takes any text";
    let mut normalized = NormalizedString::from(piece);
    normalizer.normalize(&mut normalized).expect(library);
    let mut split = PreTokenizedString::from(normalized);
    PRE_TOKENIZER.pre_tokenize(&mut split).expect(library);
    let splits = split.get_splits(OffsetReferential::Normalized, OffsetType::None);
    splits.into_iter().map(|(word, _, _)| word.to_owned()).collect()
}

/// How often each word occurs in a text. The order in which text is added does not matter.
#[derive(Clone)]
pub struct WordCounts {
    normalizer: BertNormalizer,
    counts: HashMap<String, u64>,
}

impl WordCounts {
    /// Counts nothing yet.
    pub fn new(lowercase: bool) -> Self {
        Self { normalizer: normalizer(lowercase), counts: HashMap::new() }
    }

    /// Adds the words of some texts, in parallel.
    pub fn add<T: AsRef<str> + Sync>(&mut self, texts: &[T]) {
        let pieces = texts
            .par_iter()
            .fold(HashMap::new, |mut counts: HashMap<&str, u64>, text| {
                pieces(text.as_ref()).for_each(|piece| *counts.entry(piece).or_default() += 1);
                counts
            })
            .reduce(HashMap::new, merged);
        let words = pieces
            .into_par_iter()
            .fold(HashMap::new, |mut counts, (piece, count)| {
                words(&self.normalizer, piece).into_iter().for_each(|word| *counts.entry(word).or_default() += count);
                counts
            })
            .reduce(HashMap::new, merged);
        self.counts = merged(std::mem::take(&mut self.counts), words);
    }

    /// The words in the order of their text.
    pub(super) fn into_sorted(self) -> Vec<(String, u64)> {
        let mut words: Vec<_> = self.counts.into_iter().collect();
        words.par_sort_unstable();
        words
    }
}

/// The sums of two counts.
fn merged<K: std::hash::Hash + Eq>(a: HashMap<K, u64>, b: HashMap<K, u64>) -> HashMap<K, u64> {
    let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
    small.into_iter().for_each(|(key, count)| *large.entry(key).or_default() += count);
    large
}
