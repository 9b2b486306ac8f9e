//! How well a tokenizer fits the text that it was not learnt from.

use super::prepare::{Request, check_and_survey};
use super::{CorpusError, Document, Fingerprint};
use crate::trainer::tokenizer::Tokenizer;

/// Counts over held-out text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCounts {
    pub documents: u64,
    /// Parts between white space.
    pub words: u64,
    /// Words in which something is unknown.
    pub words_with_unknown: u64,
    /// Characters other than white space.
    pub characters: u64,
    pub tokens: u64,
    /// Tokens that are `[UNK]`.
    pub unknown: u64,
}

impl TextCounts {
    /// The share of tokens that are unknown.
    pub fn unknown_share(&self) -> f64 {
        share(self.unknown, self.tokens)
    }

    /// The share of words in which something is unknown.
    pub fn unknown_word_share(&self) -> f64 {
        share(self.words_with_unknown, self.words)
    }

    /// Tokens for each character.
    pub fn tokens_per_character(&self) -> f64 {
        share(self.tokens, self.characters)
    }

    /// Tokens for each word: the fertility of the tokenizer.
    pub fn tokens_per_word(&self) -> f64 {
        share(self.tokens, self.words)
    }

    /// Adds a text, word by word.
    fn add(&mut self, text: &str, tokenizer: &Tokenizer) {
        for word in text.split_whitespace() {
            let ids = tokenizer.encode(word);
            let unknown = ids.iter().filter(|&&id| id == tokenizer.unknown_id()).count() as u64;
            self.words += 1;
            self.words_with_unknown += u64::from(unknown > 0);
            self.characters += word.chars().count() as u64;
            self.tokens += ids.len() as u64;
            self.unknown += unknown;
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Counts what `tokenizer` makes of the valid side of the corpus.
///
/// # Errors
/// When the corpus is not the one that was planned on, or cannot be read.
pub fn measure(request: &Request<'_>, tokenizer: &Tokenizer) -> Result<TextCounts, CorpusError> {
    let (corpus, split) = check_and_survey(request)?;
    let mut counts = TextCounts::default();
    corpus.for_each_batch::<CorpusError>(|batch| {
        let is_valid = |document: &&Document| split.is_valid(Fingerprint::of(document));
        for document in batch.iter().filter(is_valid) {
            counts.documents += 1;
            document.sentences.iter().for_each(|sentence| counts.add(sentence, tokenizer));
        }
        Ok(())
    })?;
    Ok(counts)
}
