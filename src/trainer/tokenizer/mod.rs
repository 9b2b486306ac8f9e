//! The tokenizer: WordPiece on the `tokenizers` crate, byte-identical in every process.
//!
//! The library normalises, splits into words, encodes and decodes; the vocabulary is learnt by [`wordpiece`], because the
//! library's own trainer breaks ties in hash order. Text is cut at white space first and the pieces are remembered: words
//! repeat, and the pipeline treats each on its own.

mod cache;
mod wordpiece;
mod words;

use std::path::{Path, PathBuf};

use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Model, PreTokenizerWrapper};

use self::cache::Cache;
pub use self::words::WordCounts;
use crate::plan::TokenizerSpec;
use crate::types::ContentHash;

/// The version of everything that turns text into a vocabulary: part of the name of a cached tokenizer.
pub const TRAINER_VERSION: u32 = 1;

/// The special tokens, at the ids 0 to 4.
pub const SPECIAL_TOKENS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
pub const PAD: u32 = 0;
pub const UNK: u32 = 1;
pub const CLS: u32 = 2;
pub const SEP: u32 = 3;
pub const MASK: u32 = 4;

/// What marks a token that continues a word.
const CONTINUATION: &str = "##";

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
    #[error("{}: not a tokenizer of this program: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: String },
}

/// A learnt tokenizer. Sharing one between threads is cheap and safe.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
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
        let tokens = wordpiece::learn(&words.into_sorted(), spec)?;
        Ok(Self::from_tokens(tokens, spec.lowercase))
    }

    fn from_tokens(tokens: Vec<String>, lowercase: bool) -> Self {
        let library = "invariant: the library takes a vocabulary with its special tokens first";
        let vocabulary = WordPiece::read_bytes(tokens.join("\n").as_bytes()).expect(library);
        let model = WordPiece::builder().vocab(vocabulary).build().expect(library);
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_normalizer(Some(words::normalizer(lowercase))).expect(library);
        inner.with_pre_tokenizer(Some(PreTokenizerWrapper::from(words::PRE_TOKENIZER)));
        let special = |id: u32| (SPECIAL_TOKENS[id as usize].to_owned(), id);
        inner.with_post_processor(Some(BertProcessing::new(special(SEP), special(CLS))));
        inner.with_decoder(Some(WordPieceDecoder::new(CONTINUATION.to_owned(), false)));
        inner.add_special_tokens(SPECIAL_TOKENS.map(|token| AddedToken::from(token, true))).expect(library);
        let json = inner.to_string(true).expect(library);
        Self { inner, tokens, json, cache: Cache::default() }
    }

    /// Reads a `tokenizer.json` that [`json`](Self::json) gave.
    pub fn load(path: &Path) -> Result<Self, TokenizerError> {
        let unreadable = |reason: String| TokenizerError::Unreadable { path: path.to_owned(), reason };
        let json = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
        let inner = tokenizers::Tokenizer::from_bytes(&json).map_err(|e| unreadable(e.to_string()))?;
        let size = inner.get_vocab_size(true) as u32;
        let tokens: Option<Vec<_>> = (0..size).map(|id| inner.id_to_token(id)).collect();
        let tokens = tokens.ok_or_else(|| unreadable("its ids have gaps".to_owned()))?;
        let has_specials = tokens.iter().zip(SPECIAL_TOKENS).filter(|(token, special)| token == special).count() == 5;
        let are_added = SPECIAL_TOKENS.iter().all(|token| inner.get_added_vocabulary().is_special_token(token));
        if !has_specials || !are_added || words::normalizer_of(&inner).is_none() {
            return Err(unreadable("it is no WordPiece whose first five entries are the special tokens".to_owned()));
        }
        Ok(Self { inner, tokens, json, cache: Cache::default() })
    }

    /// The `tokenizer.json` of the Hugging Face libraries, the same bytes for the same training text and settings.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The hash of [`json`](Self::json): names the tokenizer.
    pub fn hash(&self) -> ContentHash {
        ContentHash::of(self.json.as_bytes())
    }

    /// Encodes text. No special token is added, and none comes out: `[MASK]` in the text is five characters in brackets.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 4);
        for piece in words::pieces(text) {
            self.cache.extend(piece, &mut ids, || self.encode_piece(piece));
        }
        ids
    }

    /// Encodes text in which special tokens stand for themselves, as in `나는 [MASK] 간다`.
    pub fn encode_marked(&self, text: &str) -> Vec<u32> {
        let encoding = self.inner.encode_fast(text, false);
        encoding.expect("invariant: a vocabulary with [UNK] encodes any text").get_ids().to_vec()
    }

    fn encode_piece(&self, piece: &str) -> Vec<u32> {
        let normalizer = words::normalizer_of(&self.inner).expect("invariant: every tokenizer is built with one");
        let encode_word = |word: &str| {
            let tokens = self.inner.get_model().tokenize(word);
            tokens.expect("invariant: the vocabulary has [UNK]").into_iter().map(|token| token.id).collect::<Vec<_>>()
        };
        words::words(&normalizer, piece).iter().flat_map(|word| encode_word(word)).collect()
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
        self.token(id).is_some_and(|token| token.len() > CONTINUATION.len() && token.starts_with(CONTINUATION))
    }

    /// Whether the id is a special token's.
    pub fn is_special(id: u32) -> bool {
        (id as usize) < SPECIAL_TOKENS.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::TokenizerKind;

    const TEXT: [&str; 6] = [
        "나는 학교에 간다. 너는 학교에서 온다.",
        "학교는 크고 나무가 많다. 나무는 학교에 있다.",
        "The schools are big, and the school has trees.",
        "나는 너에게 나무를 준다. 漢字와 한글.",
        "학교에서 나는 나무를 보았다. Naïve café ÉCOLE.",
        "the trees of the schools, the trees of the school.",
    ];

    fn spec(vocab_size: usize, lowercase: bool) -> TokenizerSpec {
        TokenizerSpec { kind: TokenizerKind::Wordpiece, vocab_size, min_frequency: 2, limit_alphabet: 1_000, lowercase }
    }

    fn train(lowercase: bool) -> Tokenizer {
        let mut words = WordCounts::new(lowercase);
        words.add(&TEXT);
        let fills = match Tokenizer::train(words.clone(), &spec(100_000, lowercase)) {
            Err(TokenizerError::VocabularyTooLarge { fills, .. }) => fills,
            _ => panic!("100,000 entries cannot be filled"),
        };
        Tokenizer::train(words, &spec(fills, lowercase)).unwrap()
    }

    #[test]
    fn hangul_stays_composed_and_accents_stay() {
        for lowercase in [false, true] {
            let tokenizer = train(lowercase);
            assert_eq!(tokenizer.decode(&tokenizer.encode("나는 학교에 간다")), "나는 학교에 간다");
            let expected = if lowercase { "naïve école" } else { "Naïve ÉCOLE" };
            assert_eq!(tokenizer.decode(&tokenizer.encode("Naïve ÉCOLE")), expected);
        }
    }

    #[test]
    fn specials_have_their_ids_and_come_from_marked_text_alone() {
        let tokenizer = train(false);
        let ids: Vec<_> = SPECIAL_TOKENS.iter().map(|token| tokenizer.id(token).unwrap()).collect();
        assert_eq!(ids, [PAD, UNK, CLS, SEP, MASK]);
        assert_eq!(tokenizer.encode_marked("[MASK]학교"), [&[MASK][..], &tokenizer.encode("학교")].concat());
        assert!(!tokenizer.encode("나는 [MASK] [SEP]").iter().any(|&id| Tokenizer::is_special(id) && id != UNK));
        assert_eq!(tokenizer.encode("뷁"), [UNK]);
        assert_eq!(tokenizer.vocab_size(), tokenizer.inner.get_vocab_size(true));
        assert!(tokenizer.is_continuation(tokenizer.id("##에").unwrap()) && !tokenizer.is_continuation(MASK));
    }

    #[test]
    fn json_is_the_same_after_a_round_trip_and_says_what_it_is() {
        let tokenizer = train(true);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.json()).unwrap();
        let loaded = Tokenizer::load(&path).unwrap();
        assert_eq!((loaded.json(), &loaded.tokens), (tokenizer.json(), &tokenizer.tokens));
        assert_eq!(loaded.inner.to_string(true).unwrap(), tokenizer.json());
        assert_eq!(loaded.encode(TEXT[4]), tokenizer.encode(TEXT[4]));
        for broken in
            ["", "{}", &tokenizer.json()[..tokenizer.json().len() / 2], &tokenizer.json().replace("[SEP]", "[END]")]
        {
            std::fs::write(&path, broken).unwrap();
            assert!(matches!(Tokenizer::load(&path), Err(TokenizerError::Unreadable { .. })));
        }
    }

    #[test]
    fn threads_and_the_order_of_text_do_not_change_a_byte() {
        let expected = train(false).json;
        for threads in 1..5 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut texts = TEXT.to_vec();
            texts.rotate_left(threads);
            let mut words = WordCounts::new(false);
            pool.install(|| texts.chunks(threads).for_each(|batch| words.add(batch)));
            let size = train(false).vocab_size();
            assert_eq!(Tokenizer::train(words, &spec(size, false)).unwrap().json, expected, "{threads} threads");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]
        #[test]
        fn piecewise_encoding_is_the_library_s(text in "([나는학교a-dA-DéÉ.,漢字 \u{b}\u{85}\u{a0}\u{200b}\u{3000}\t\n]|\\PC){0,20}") {
            static TOKENIZERS: std::sync::LazyLock<[Tokenizer; 2]> = std::sync::LazyLock::new(|| [train(false), train(true)]);
            for tokenizer in TOKENIZERS.iter() {
                let whole = tokenizer.inner.encode(text.as_str(), false).unwrap();
                prop_assert_eq!(tokenizer.encode(&text), whole.get_ids());
            }
        }
    }
}
