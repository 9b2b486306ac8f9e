//! Text to words, by the rules of a tokenizer's family, and words to counts.
//!
//! - BERT: the library's BERT normalizer and pre-tokenizer, except that accents are never stripped: stripping decomposes
//!   Hangul into its letters.
//! - SentencePiece: NFKC, white space and U+2581 to single spaces, words with U+2581 in front. Brackets stand alone,
//!   so that no ordinary token can ever read `[MASK]`.
//!
//! A separator cuts words further where text was split into morphemes beforehand: `학교/에` with the separator `/`; a
//! dictionary does so by itself, and puts a separator of its own between them. In SentencePiece's family only the first morpheme of a word carries U+2581; in BERT's each is a word of its own.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rayon::prelude::*;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFKC, Replace, Sequence as Normalizers, Strip};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{
    NormalizedString, Normalizer, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    PreTokenizerWrapper, SplitDelimiterBehavior,
};

use super::convention::{Convention, WORD_START};
use super::morphemes::{Morphemes, SEPARATOR};
use crate::plan::TokenizerSpec;

/// How text becomes words.
#[derive(Clone)]
pub(super) struct Pipeline {
    pub(super) convention: Convention,
    pub(super) normalizer: NormalizerWrapper,
    pub(super) pre_tokenizer: PreTokenizerWrapper,
    /// Whether plain letters come out as they are: an imported normalizer may take syllables apart.
    pub(super) leaves_letters: bool,
    /// What cuts words into morphemes first.
    pub(super) morphemes: Option<Arc<Morphemes>>,
}

impl Pipeline {
    /// The pipeline of a tokenizer that is to be learnt.
    pub(super) fn of(spec: &TokenizerSpec, morphemes: Option<Arc<Morphemes>>) -> Self {
        let convention = Convention::of(spec.kind);
        let separates = morphemes.is_some().then_some(SEPARATOR);
        let separator = separates.or(spec.separator.as_deref()).map(separator);
        match convention {
            Convention::Bert => Self {
                convention,
                normalizer: BertNormalizer::new(true, true, Some(false), spec.lowercase).into(),
                pre_tokenizer: match separator {
                    None => BertPreTokenizer.into(),
                    Some(split) => PreTokenizers::new(vec![split.into(), BertPreTokenizer.into()]).into(),
                },
                leaves_letters: true,
                morphemes,
            },
            Convention::SentencePiece => {
                let brackets = SplitPattern::Regex(r"[\[\]]".to_owned());
                let brackets = Split::new(brackets, SplitDelimiterBehavior::Isolated, false).expect(LIBRARY);
                let words = Metaspace::new(WORD_START, PrependScheme::Always, true);
                let parts = [Some(words.into()), separator.map(Into::into), Some(brackets.into())];
                let pre_tokenizer = PreTokenizers::new(parts.into_iter().flatten().collect()).into();
                let normalizer = sentence_piece_normalizer(spec.lowercase);
                Self { convention, normalizer, pre_tokenizer, leaves_letters: true, morphemes }
            }
        }
    }

    /// A piece between white space, with a separator between its morphemes.
    pub(super) fn cut<'p>(&self, piece: &'p str) -> Cow<'p, str> {
        self.morphemes.as_ref().map_or(Cow::Borrowed(piece), |morphemes| morphemes.cut(piece))
    }

    /// The normalised words of a piece between white space.
    pub(super) fn words(&self, piece: &str) -> Vec<String> {
        let piece = &*self.cut(piece);
        // The fast path holds for any separator: one that consists of letters is refused by the plan.
        if self.leaves_letters
            && piece.chars().all(|c| ('가'..='힣').contains(&c) || c.is_ascii_digit() || c.is_ascii_lowercase())
        {
            return vec![self.convention.plain_word(piece)];
        }
        let split = self.split(piece);
        let splits = split.get_splits(OffsetReferential::Normalized, OffsetType::None);
        splits.into_iter().map(|(word, _, _)| word.to_owned()).filter(|word| !word.is_empty()).collect()
    }

    /// The normalised words of a piece that was cut, which know where in it they stand.
    pub(super) fn split(&self, cut: &str) -> PreTokenizedString {
        let mut normalized = NormalizedString::from(cut);
        self.normalizer.normalize(&mut normalized).expect(LIBRARY);
        let mut split = PreTokenizedString::from(normalized);
        self.pre_tokenizer.pre_tokenize(&mut split).expect(LIBRARY);
        split
    }
}

const LIBRARY: &str = "invariant: the library's pipeline takes any text";

fn separator(text: &str) -> Split {
    let pattern = SplitPattern::String(text.to_owned());
    Split::new(pattern, SplitDelimiterBehavior::Removed, false).expect(LIBRARY)
}

fn sentence_piece_normalizer(lowercase: bool) -> NormalizerWrapper {
    let space = ReplacePattern::Regex(format!(r"[\s{WORD_START}]+"));
    let space = Replace::new(space, " ").expect(LIBRARY);
    let parts = [
        Some(NFKC.into()),
        lowercase.then(|| Lowercase.into()),
        Some(space.into()),
        Some(Strip::new(true, true).into()),
    ];
    Normalizers::new(parts.into_iter().flatten().collect()).into()
}

/// The parts of a text between white space, each of which the pipeline treats on its own.
///
/// Three characters are white space to Rust and control characters, which are dropped, to BERT's normalizer.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let separates = |c: char| c.is_whitespace() && !matches!(c, '\u{b}' | '\u{c}' | '\u{85}');
    text.split(separates).filter(|piece| !piece.is_empty())
}

/// The characters of some words with their counts: the most frequent first, ties by code point.
pub(super) fn by_frequency(words: &[(String, u64)]) -> Vec<(char, u64)> {
    let mut counts = BTreeMap::new();
    for (word, count) in words {
        word.chars().for_each(|character| *counts.entry(character).or_insert(0) += count);
    }
    let mut characters: Vec<(char, u64)> = counts.into_iter().collect();
    characters.sort_unstable_by_key(|&(character, count)| (Reverse(count), character));
    characters
}

/// How often each word occurs in a text. The order in which text is added does not matter.
#[derive(Clone)]
pub struct WordCounts {
    pipeline: Pipeline,
    counts: HashMap<String, u64>,
}

impl WordCounts {
    /// Counts nothing yet.
    pub fn new(spec: &TokenizerSpec, morphemes: Option<Arc<Morphemes>>) -> Self {
        Self { pipeline: Pipeline::of(spec, morphemes), counts: HashMap::new() }
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
                self.pipeline.words(piece).into_iter().for_each(|word| *counts.entry(word).or_default() += count);
                counts
            })
            .reduce(HashMap::new, merged);
        self.counts = merged(std::mem::take(&mut self.counts), words);
    }

    /// The words in the order of their text, and what made them.
    pub(super) fn into_sorted(self) -> (Vec<(String, u64)>, Pipeline) {
        let mut words: Vec<_> = self.counts.into_iter().collect();
        words.par_sort_unstable();
        (words, self.pipeline)
    }
}

/// The sums of two counts.
fn merged<K: std::hash::Hash + Eq>(a: HashMap<K, u64>, b: HashMap<K, u64>) -> HashMap<K, u64> {
    let (mut large, small) = if a.len() < b.len() { (b, a) } else { (a, b) };
    small.into_iter().for_each(|(key, count)| *large.entry(key).or_default() += count);
    large
}
