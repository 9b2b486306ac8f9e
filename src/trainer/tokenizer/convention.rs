//! The two families of tokenizers: which special tokens they have at which ids, and how they mark where words begin.

use crate::plan::TokenizerKind;

/// What marks a token that continues a word, in BERT's family.
pub(super) const CONTINUATION: &str = "##";

/// What marks a token that begins a word, in SentencePiece's family: U+2581.
pub(super) const WORD_START: char = '\u{2581}';

/// BERT's special tokens, at the ids 0 to 4.
pub(super) const BERT_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The special tokens of the Korean BERT tutorials (paul-hyun/transformer-evolution, the AIFFEL course), at the ids 0 to
/// 6: SentencePiece's four, then three that the user defines.
pub(super) const SENTENCE_PIECE_TOKENS: [&str; 7] = ["[PAD]", "[UNK]", "[BOS]", "[EOS]", "[SEP]", "[CLS]", "[MASK]"];

/// The ids of the special tokens that instances are built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecialIds {
    pub pad: u32,
    pub cls: u32,
    pub sep: u32,
    pub mask: u32,
    /// Ids from here on are ordinary tokens; everything below is special.
    pub first_ordinary: u32,
}

/// A family of tokenizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// `##` marks a token that continues a word; five special tokens.
    Bert,
    /// U+2581 marks a token that begins a word; seven special tokens.
    SentencePiece,
}

impl Convention {
    /// The family of a kind of tokenizer.
    pub fn of(kind: TokenizerKind) -> Self {
        match kind {
            TokenizerKind::Wordpiece | TokenizerKind::Imported => Self::Bert,
            TokenizerKind::Bpe | TokenizerKind::Unigram | TokenizerKind::Character => Self::SentencePiece,
        }
    }

    /// The special tokens in the order of their ids, which are the first ones.
    pub fn special_tokens(self) -> &'static [&'static str] {
        match self {
            Self::Bert => &BERT_TOKENS,
            Self::SentencePiece => &SENTENCE_PIECE_TOKENS,
        }
    }

    /// The ids that instances are built with.
    pub fn special_ids(self) -> SpecialIds {
        match self {
            Self::Bert => SpecialIds { pad: 0, cls: 2, sep: 3, mask: 4, first_ordinary: 5 },
            Self::SentencePiece => SpecialIds { pad: 0, cls: 5, sep: 4, mask: 6, first_ordinary: 7 },
        }
    }

    /// Whether an ordinary token continues the word of the token before it.
    pub(super) fn is_continuation(self, token: &str) -> bool {
        match self {
            Self::Bert => token.len() > CONTINUATION.len() && token.starts_with(CONTINUATION),
            Self::SentencePiece => !token.starts_with(WORD_START),
        }
    }

    /// The characters of text that an ordinary token stands for, its mark left out.
    pub(super) fn characters(self, token: &str) -> usize {
        match self {
            Self::Bert if self.is_continuation(token) => token.chars().count() - CONTINUATION.len(),
            Self::Bert => token.chars().count(),
            Self::SentencePiece => token.chars().filter(|&c| c != WORD_START).count(),
        }
    }

    /// A word of plain letters as the model of this family sees it.
    pub(super) fn plain_word(self, word: &str) -> String {
        match self {
            Self::Bert => word.to_owned(),
            Self::SentencePiece => format!("{WORD_START}{word}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_names() {
        for convention in [Convention::Bert, Convention::SentencePiece] {
            let (tokens, ids) = (convention.special_tokens(), convention.special_ids());
            let id = |name: &str| tokens.iter().position(|token| *token == name).unwrap() as u32;
            assert_eq!([ids.pad, ids.cls, ids.sep, ids.mask], ["[PAD]", "[CLS]", "[SEP]", "[MASK]"].map(id));
            assert_eq!((ids.first_ordinary as usize, id("[UNK]")), (tokens.len(), super::super::UNK));
        }
    }
}
