//! The tokenizers: WordPiece with BERT's conventions; BPE, unigram and character with SentencePiece's. All are byte-identical
//! in every process.
//!
//! The library normalises, splits into words, encodes and decodes; vocabularies are learnt by [`wordpiece`], [`bpe`] and
//! [`unigram`], because the library's own trainers break ties in hash order. Text is cut at white space first and the pieces
//! are remembered: words repeat, and the pipeline treats each on its own.

mod bpe;
mod cache;
mod convention;
mod merge_dropout;
mod merges;
pub mod morphemes;
mod unigram;
mod wordpiece;
mod words;

#[cfg(test)]
pub(in crate::trainer) mod tests;

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, DecoderWrapper, Model, ModelWrapper};

use self::cache::Cache;
use self::convention::{CONTINUATION, WORD_START};
pub use self::convention::{Convention, SpecialIds};
pub use self::merge_dropout::MergeDropout;
use self::morphemes::{DictionaryError, Morphemes};
use self::words::Pipeline;
pub use self::words::WordCounts;
use crate::plan::{TokenizerKind, TokenizerSpec};
use crate::types::ContentHash;

/// The version of everything that turns text into a vocabulary: part of the name of a cached tokenizer.
pub const TRAINER_VERSION: u32 = 1;

/// The id of `[UNK]` in every tokenizer.
pub const UNK: u32 = 1;

/// A tokenizer that cannot be learnt, stored or read.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error(
        "`tokenizer.vocab_size` is {asked}, but the training text fills only {fills} entries at `tokenizer.min_frequency` = \
         {min_frequency}; lower the one or the other, or add text"
    )]
    VocabularyTooLarge { asked: usize, fills: usize, min_frequency: u64 },
    #[error(
        "`tokenizer.vocab_size` is {asked}, but the special tokens and the {characters} characters of the training text take \
         {needed} entries; raise it, or lower `tokenizer.limit_alphabet`"
    )]
    VocabularyTooSmall { asked: usize, characters: usize, needed: usize },
    #[error(transparent)]
    Dictionary(#[from] DictionaryError),
    #[error("an imported tokenizer lies with its run, and is learnt from no text")]
    NotLearnt,
    #[error("{}: no tokenizer that can be imported: {reason}", path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error("{}: not a tokenizer of this program: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
}

/// A learnt tokenizer. Sharing one between threads is cheap and safe.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    pipeline: Pipeline,
    specials: SpecialIds,
    tokens: Vec<String>,
    json: String,
    cache: Cache,
}

impl Tokenizer {
    /// Learns a vocabulary of exactly `spec.vocab_size` entries from counted words.
    ///
    /// # Errors
    /// When the text cannot fill the vocabulary, or the vocabulary cannot hold the characters.
    pub fn train(words: WordCounts, spec: &TokenizerSpec) -> Result<Self, TokenizerError> {
        let (words, pipeline) = words.into_sorted();
        let (model, tokens) = match spec.kind {
            TokenizerKind::Wordpiece => wordpiece_model(wordpiece::learn(&words, spec)?),
            TokenizerKind::Bpe => bpe_model(bpe::learn(&words, spec)?),
            TokenizerKind::Character => bpe_model(bpe::characters(&words, spec)?),
            TokenizerKind::Unigram => unigram_model(unigram::learn(&words, spec)?),
            TokenizerKind::Imported => return Err(TokenizerError::NotLearnt),
        };
        Ok(Self::assemble(model, tokens, pipeline))
    }

    fn assemble(model: ModelWrapper, tokens: Vec<String>, pipeline: Pipeline) -> Self {
        let mut inner = tokenizers::Tokenizer::new(model);
        let convention = pipeline.convention;
        inner.with_normalizer(Some(pipeline.normalizer.clone())).expect(LIBRARY);
        inner.with_pre_tokenizer(Some(pipeline.pre_tokenizer.clone()));
        let SpecialIds { cls, sep, .. } = convention.special_ids();
        let special = |id: u32| (convention.special_tokens()[id as usize].to_owned(), id);
        inner.with_post_processor(Some(BertProcessing::new(special(sep), special(cls))));
        inner.with_decoder(Some(decoder(convention)));
        inner
            .add_special_tokens(convention.special_tokens().iter().map(|token| AddedToken::from(*token, true)))
            .expect(LIBRARY);
        let json = inner.to_string(true).expect(LIBRARY);
        let specials = convention.special_ids();
        Self { inner, pipeline, specials, tokens, json, cache: Cache::default() }
    }

    /// Reads a `tokenizer.json` that [`json`](Self::json) gave; `morphemes` are those that it was learnt on.
    pub fn load(path: &Path, morphemes: Option<Arc<Morphemes>>) -> Result<Self, TokenizerError> {
        let unreadable = |reason: String| TokenizerError::Unreadable { path: path.to_owned(), reason };
        let json = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
        let inner = tokenizers::Tokenizer::from_bytes(&json).map_err(|e| unreadable(e.to_string()))?;
        let size = inner.get_vocab_size(true) as u32;
        let tokens: Option<Vec<_>> = (0..size).map(|id| inner.id_to_token(id)).collect();
        let tokens = tokens.ok_or_else(|| unreadable("its ids have gaps".to_owned()))?;
        let convention = match inner.get_model() {
            ModelWrapper::WordPiece(_) => Convention::Bert,
            _ => Convention::SentencePiece,
        };
        let specials = convention.special_tokens();
        let has_specials =
            tokens.len() >= specials.len() && tokens.iter().zip(specials).all(|(token, special)| token == special);
        let are_added = specials.iter().all(|token| inner.get_added_vocabulary().is_special_token(token));
        let (Some(normalizer), Some(pre_tokenizer), true) =
            (inner.get_normalizer(), inner.get_pre_tokenizer(), has_specials && are_added)
        else {
            let names = specials.join(", ");
            return Err(unreadable(format!(
                "its first entries are not the special tokens {names}, or it has no normalizer"
            )));
        };
        let (normalizer, pre_tokenizer) = (normalizer.clone(), pre_tokenizer.clone());
        let pipeline = Pipeline { convention, normalizer, pre_tokenizer, leaves_letters: true, morphemes };
        let specials = convention.special_ids();
        Ok(Self { inner, pipeline, specials, tokens, json, cache: Cache::default() })
    }

    /// Reads the `tokenizer.json` of a BERT from elsewhere: WordPiece, with BERT's special tokens at ids of its own.
    ///
    /// # Errors
    /// When the text is none, or the tokenizer is no WordPiece with these tokens.
    pub fn import(path: &Path, json: &[u8]) -> Result<Self, TokenizerError> {
        let unreadable = |reason: String| TokenizerError::Foreign { path: path.to_owned(), reason };
        let mut inner = tokenizers::Tokenizer::from_bytes(json).map_err(|e| unreadable(e.to_string()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| unreadable(e.to_string()))?;
        if !matches!(inner.get_model(), ModelWrapper::WordPiece(_)) {
            return Err(unreadable("it is no WordPiece tokenizer, which BERT's are".to_owned()));
        }
        let size = inner.get_vocab_size(true) as u32;
        let tokens: Option<Vec<_>> = (0..size).map(|id| inner.id_to_token(id)).collect();
        let tokens = tokens.ok_or_else(|| unreadable("its ids have gaps".to_owned()))?;
        let id = |token: &str| inner.token_to_id(token).ok_or_else(|| unreadable(format!("it has no {token}")));
        let [pad, unk, cls, sep, mask] = convention::BERT_TOKENS.map(id);
        let (pad, unk, cls, sep, mask) = (pad?, unk?, cls?, sep?, mask?);
        let first_ordinary = [pad, unk, cls, sep, mask].into_iter().max().unwrap_or_default() + 1;
        let specials = SpecialIds { pad, cls, sep, mask, first_ordinary };
        let (Some(normalizer), Some(pre_tokenizer)) = (inner.get_normalizer(), inner.get_pre_tokenizer()) else {
            return Err(unreadable("it has no normalizer or no pre-tokenizer, which BERT's have".to_owned()));
        };
        let (normalizer, pre_tokenizer) = (normalizer.clone(), pre_tokenizer.clone());
        let (convention, leaves_letters) = (Convention::Bert, false);
        let pipeline = Pipeline { convention, normalizer, pre_tokenizer, leaves_letters, morphemes: None };
        let json = inner.to_string(true).map_err(|e| unreadable(e.to_string()))?;
        Ok(Self { inner, pipeline, specials, tokens, json, cache: Cache::default() })
    }

    /// The `tokenizer.json` of the Hugging Face libraries, the same bytes for the same training text and settings.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The hash of [`json`](Self::json), and of the dictionary before it: names the tokenizer.
    pub fn hash(&self) -> ContentHash {
        Self::hash_of(&self.json, self.pipeline.morphemes.as_ref().map(|morphemes| morphemes.hash()))
    }

    /// [`hash`](Self::hash) of the tokenizer with this text, learnt on words that this dictionary cut.
    pub fn hash_of(json: &str, dictionary: Option<ContentHash>) -> ContentHash {
        match dictionary {
            None => ContentHash::of(json.as_bytes()),
            Some(dictionary) => ContentHash::of(format!("{dictionary}\n{json}").as_bytes()),
        }
    }

    /// The family that the tokenizer belongs to.
    pub fn convention(&self) -> Convention {
        self.pipeline.convention
    }

    /// The ids of the special tokens that instances are built with.
    pub fn special_ids(&self) -> SpecialIds {
        self.specials
    }

    /// The token of what the vocabulary cannot spell.
    pub fn unknown_id(&self) -> u32 {
        self.inner.token_to_id("[UNK]").unwrap_or(UNK)
    }

    /// Encodes text. No special token is added, and none comes out: `[MASK]` in the text is letters in brackets.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        for piece in words::pieces(text) {
            self.cache.extend(piece, &mut ids, || self.encode_piece(piece));
        }
        ids
    }

    /// The tokens of [`encode`](Self::encode), each with the characters of `text` that it covers. The mark of a word's
    /// beginning, where it is a token of its own, covers the first character with the token after it.
    pub fn encode_with_offsets(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let mut tokens = Vec::new();
        for (piece, characters) in places(text) {
            let ids = self.encode_piece(piece);
            let cut = self.pipeline.cut(piece);
            let origins = origins(piece, &cut);
            let encoding = self.inner.encode_char_offsets(&*cut, false);
            let encoding = encoding.expect("invariant: a vocabulary with [UNK] encodes any text");
            if encoding.get_ids() == ids {
                let ranges = encoding
                    .get_offsets()
                    .iter()
                    .map(|&(from, to)| characters + origins[from]..characters + origins[to]);
                tokens.extend(ids.into_iter().zip(ranges));
            } else {
                // The library reads `[MASK]` as one token, and this program as letters.
                let whole = characters..characters + piece.chars().count();
                tokens.extend(ids.into_iter().map(|id| (id, whole.clone())));
            }
        }
        tokens
    }

    /// Encodes text in which special tokens stand for themselves, as in `나는 [MASK] 간다`.
    pub fn encode_marked(&self, text: &str) -> Vec<u32> {
        let text = self.cut_between_specials(text);
        let encoding = self.inner.encode_fast(&*text, false);
        encoding.expect("invariant: a vocabulary with [UNK] encodes any text").get_ids().to_vec()
    }

    /// Text with its words cut into morphemes, special tokens left as they are.
    fn cut_between_specials<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.pipeline.morphemes.is_none() {
            return Cow::Borrowed(text);
        }
        let (mut cut, mut rest) = (String::new(), text);
        loop {
            let specials = self.convention().special_tokens().iter();
            let first = specials.filter_map(|token| Some((rest.find(token)?, token.len()))).min();
            let (at, length) = first.unwrap_or((rest.len(), 0));
            let (words, special) = (&rest[..at], &rest[at..at + length]);
            let mut done = 0;
            for piece in words::pieces(words) {
                let start = piece.as_ptr() as usize - words.as_ptr() as usize;
                cut += &words[done..start];
                cut += &self.pipeline.cut(piece);
                done = start + piece.len();
            }
            cut = cut + &words[done..] + special;
            rest = &rest[at + length..];
            if rest.is_empty() {
                return Cow::Owned(cut);
            }
        }
    }

    fn encode_piece(&self, piece: &str) -> Vec<u32> {
        let encode_word = |word: &String| {
            let tokens = self.inner.get_model().tokenize(word);
            tokens.expect("invariant: the vocabulary has [UNK]").into_iter().map(|token| token.id).collect::<Vec<_>>()
        };
        self.pipeline.words(piece).iter().flat_map(encode_word).collect()
    }

    /// Text from ids, words apart by a space.
    pub fn decode(&self, ids: &[u32]) -> String {
        self.inner.decode(ids, false).expect("invariant: the decoder joins strings")
    }

    /// Entries, special tokens included: what the embedding is sized with. Every id is below.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// The text of an entry.
    pub fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize).map(String::as_str)
    }

    /// The id of an entry.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// Whether the token continues the word of the token before it.
    pub fn is_continuation(&self, id: u32) -> bool {
        !self.is_special(id) && self.token(id).is_some_and(|token| self.convention().is_continuation(token))
    }

    /// [`is_continuation`](Self::is_continuation) of every id.
    pub fn continuations(&self) -> Vec<bool> {
        (0..self.vocab_size() as u32).map(|id| self.is_continuation(id)).collect()
    }

    /// How many characters of text each id stands for, white space and marks left out; at most 255. `[UNK]` counts as one
    /// character, whatever it hides: by the character, a tokenizer gains nothing by words that it does not know.
    pub fn characters(&self) -> Vec<u8> {
        let count = |id| match self.token(id) {
            Some(token) if !self.is_special(id) => self.convention().characters(token).min(255) as u8,
            _ => 1,
        };
        (0..self.vocab_size() as u32).map(count).collect()
    }

    /// Whether the id is a special token's.
    pub fn is_special(&self, id: u32) -> bool {
        id < self.special_ids().first_ordinary
    }
}

/// The pieces of a text between white space, each with the number of characters before it.
fn places(text: &str) -> impl Iterator<Item = (&str, usize)> {
    words::pieces(text).scan((0, 0), |(counted, characters), piece| {
        let at = piece.as_ptr() as usize - text.as_ptr() as usize;
        *characters += text[*counted..at].chars().count();
        *counted = at;
        Some((piece, *characters))
    })
}

/// For each character of `cut`, and its end, the number of characters of `piece` before it: `cut` has separators in between.
fn origins(piece: &str, cut: &str) -> Vec<usize> {
    let mut left = piece.chars().peekable();
    let mut before = 0;
    let mut origins = Vec::with_capacity(cut.len() + 1);
    for character in cut.chars() {
        origins.push(before);
        before += usize::from(left.next_if_eq(&character).is_some());
    }
    origins.push(before);
    origins
}

const LIBRARY: &str = "invariant: the library takes a vocabulary with its special tokens first";

fn wordpiece_model(tokens: Vec<String>) -> (ModelWrapper, Vec<String>) {
    let vocabulary = WordPiece::read_bytes(tokens.join("\n").as_bytes()).expect(LIBRARY);
    let model = WordPiece::builder().vocab(vocabulary).build().expect(LIBRARY);
    (model.into(), tokens)
}

fn bpe_model(learnt: bpe::BytePairs) -> (ModelWrapper, Vec<String>) {
    let vocabulary: Vec<(String, u32)> = learnt.tokens.iter().cloned().zip(0..).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), learnt.merges)
        .unk_token(convention::SENTENCE_PIECE_TOKENS[UNK as usize].to_owned())
        .fuse_unk(true)
        .build()
        .expect(LIBRARY);
    (model.into(), learnt.tokens)
}

fn unigram_model(pieces: Vec<(String, f64)>) -> (ModelWrapper, Vec<String>) {
    // SentencePiece gives special tokens the score 0; brackets stand alone, so none can be met in text.
    let specials = convention::SENTENCE_PIECE_TOKENS.iter().map(|token| ((*token).to_owned(), 0.0));
    let vocabulary: Vec<(String, f64)> = specials.chain(pieces).collect();
    let tokens = vocabulary.iter().map(|(token, _)| token.clone()).collect();
    (Unigram::from(vocabulary, Some(UNK as usize), false).expect(LIBRARY).into(), tokens)
}

fn decoder(convention: Convention) -> DecoderWrapper {
    match convention {
        Convention::Bert => WordPieceDecoder::new(CONTINUATION.to_owned(), false).into(),
        Convention::SentencePiece => Metaspace::new(WORD_START, PrependScheme::Always, true).into(),
    }
}
