//! The tokenizers of every kind, on a text of a few lines.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

pub const TEXT: [&str; 6] = [
    "나는 학교에 간다. 너는 학교에서 온다.",
    "학교는 크고 나무가 많다. 나무는 학교에 있다.",
    "The schools are big, and the school has trees.",
    "나는 너에게 나무를 준다. 漢字와 한글.",
    "학교에서 나는 나무를 보았다. Naïve café ÉCOLE.",
    "the trees of the schools, the trees of the school.",
];

const KINDS: [TokenizerKind; 4] =
    [TokenizerKind::Wordpiece, TokenizerKind::Bpe, TokenizerKind::Unigram, TokenizerKind::Character];

/// The settings of a tokenizer for plain text, of which the tests change what they are about.
pub fn spec(kind: TokenizerKind, vocab_size: usize, lowercase: bool) -> TokenizerSpec {
    TokenizerSpec {
        kind,
        vocab_size,
        min_frequency: 2,
        limit_alphabet: 1_000,
        lowercase,
        separator: None,
        dictionary: None,
        dictionary_hash: None,
    }
}

/// A tokenizer with the largest vocabulary that the text fills.
fn train_on<T: AsRef<str> + Sync>(text: &[T], spec: TokenizerSpec) -> Tokenizer {
    let mut words = WordCounts::new(&spec, None);
    words.add(text);
    let vocab_size = match Tokenizer::train(words.clone(), &TokenizerSpec { vocab_size: 100_000, ..spec.clone() }) {
        Err(TokenizerError::VocabularyTooLarge { fills, .. }) => fills,
        _ => panic!("100,000 entries cannot be filled"),
    };
    Tokenizer::train(words, &TokenizerSpec { vocab_size, ..spec }).unwrap()
}

pub fn train(kind: TokenizerKind, lowercase: bool) -> Tokenizer {
    train_on(&TEXT, spec(kind, 0, lowercase))
}

#[test]
fn hangul_stays_composed_and_accents_stay() {
    for (kind, lowercase) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let tokenizer = train(kind, lowercase);
        assert_eq!(tokenizer.decode(&tokenizer.encode("나는 학교에 간다")), "나는 학교에 간다");
        let expected = if lowercase { "naïve école" } else { "Naïve ÉCOLE" };
        assert_eq!(tokenizer.decode(&tokenizer.encode("Naïve ÉCOLE")), expected, "{kind:?}");
    }
}

#[test]
fn specials_have_their_ids_and_come_from_marked_text_alone() {
    for kind in KINDS {
        let tokenizer = train(kind, false);
        let SpecialIds { mask, first_ordinary, .. } = tokenizer.special_ids();
        for (id, name) in tokenizer.convention().special_tokens().iter().enumerate() {
            assert_eq!((tokenizer.id(name), tokenizer.token(id as u32)), (Some(id as u32), Some(*name)));
        }
        assert_eq!(tokenizer.encode_marked("[MASK]학교"), [&[mask][..], &tokenizer.encode("학교")].concat());
        assert!(!tokenizer.encode("나는 [MASK] [SEP]").iter().any(|&id| id < first_ordinary && id != UNK), "{kind:?}");
        assert!(tokenizer.encode("뷁").contains(&UNK));
        assert_eq!(tokenizer.vocab_size(), tokenizer.inner.get_vocab_size(true));
    }
    // Even where the text is full of their names.
    for kind in [TokenizerKind::Bpe, TokenizerKind::Unigram] {
        let tokenizer = train_on(&["[MASK] [SEP] a[MASK]b [PAD]"; 50], spec(kind, 0, false));
        assert!(!tokenizer.encode("[MASK] x[MASK]").iter().any(|&id| id < 7 && id != UNK), "{kind:?}");
    }
}

#[test]
fn words_are_known_by_their_marks() {
    for kind in KINDS {
        let tokenizer = train(kind, false);
        let ids = tokenizer.encode("학교에서 나무를");
        let continues = tokenizer.continuations();
        let starts = ids.iter().filter(|&&id| !continues[id as usize]).count();
        assert_eq!((starts, continues[0], continues.len()), (2, false, tokenizer.vocab_size()), "{kind:?}");
        assert!(!continues[ids[0] as usize]);
    }
}

/// By every tokenizer the characters of a text are those that stand in it.
#[test]
fn characters_are_those_of_the_text() {
    for kind in KINDS {
        let tokenizer = train(kind, false);
        let characters = tokenizer.characters();
        for text in TEXT {
            let ids = tokenizer.encode(text);
            if ids.contains(&UNK) {
                continue;
            }
            let found = ids.iter().map(|&id| usize::from(characters[id as usize])).sum::<usize>();
            assert_eq!(found, text.chars().filter(|c| !c.is_whitespace()).count(), "{kind:?}: {text}");
        }
        assert_eq!(characters[UNK as usize], 1);
    }
}

#[test]
fn json_is_the_same_after_a_round_trip_and_says_what_it_is() {
    for kind in KINDS {
        let tokenizer = train(kind, true);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.json()).unwrap();
        let loaded = Tokenizer::load(&path, None).unwrap();
        assert_eq!((loaded.json(), &loaded.tokens), (tokenizer.json(), &tokenizer.tokens));
        assert_eq!(loaded.inner.to_string(true).unwrap(), tokenizer.json());
        assert_eq!(loaded.encode(TEXT[4]), tokenizer.encode(TEXT[4]));
        for broken in
            ["", "{}", &tokenizer.json()[..tokenizer.json().len() / 2], &tokenizer.json().replace("[SEP]", "[END]")]
        {
            std::fs::write(&path, broken).unwrap();
            assert!(matches!(Tokenizer::load(&path, None), Err(TokenizerError::Unreadable { .. })));
        }
    }
}

#[test]
fn threads_and_the_order_of_text_do_not_change_a_byte() {
    for kind in KINDS {
        let expected = train(kind, false);
        for threads in 1..5 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut texts = TEXT.to_vec();
            texts.rotate_left(threads);
            let spec = spec(kind, expected.vocab_size(), false);
            let mut words = WordCounts::new(&spec, None);
            let learnt = pool.install(|| {
                texts.chunks(threads).for_each(|batch| words.add(batch));
                Tokenizer::train(words, &spec).unwrap()
            });
            assert_eq!(learnt.json, expected.json, "{kind:?}, {threads} threads");
        }
    }
}

/// `학교/에` is two morphemes: of one word with SentencePiece's mark, two words with BERT's.
#[test]
fn a_separator_keeps_morphemes_apart() {
    let text = ["나/는 학교/에 가/ㄴ다", "학교/에서 나/는 나무/를 보/았/다", "학교/는 나무/에 나/를 보/았/다"];
    for kind in KINDS {
        let separator = Some("/".to_owned());
        let tokenizer = train_on(&text, TokenizerSpec { separator, ..spec(kind, 0, false) });
        let tokens: Vec<&str> = tokenizer.encode("학교/에").iter().map(|&id| tokenizer.token(id).unwrap()).collect();
        let joined = tokens.concat();
        match kind {
            TokenizerKind::Wordpiece => assert_eq!(joined.replace("##", ""), "학교에"),
            _ => assert_eq!(joined, "\u{2581}학교에"),
        }
        assert!(
            tokens.len() >= 2 && tokens.iter().all(|token| !token.contains("교에") && !token.contains('/')),
            "{tokens:?}"
        );
        assert_eq!(
            tokenizer.decode(&tokenizer.encode("나/는")),
            if kind == TokenizerKind::Wordpiece { "나 는" } else { "나는" }
        );
    }
}

/// With a dictionary, plain text comes out as text that was analysed beforehand does with a separator, for every kind; what
/// tokens cover is counted in the text as it was given.
#[test]
#[cfg(feature = "mecab")]
fn a_dictionary_does_what_a_separator_does() {
    let text = ["나는 학교에 간다", "학교에서 나는 나무를 보았다", "학교는 나무에 나를 보았다"];
    let folder = tempfile::tempdir().unwrap();
    let dictionary =
        morphemes::testing::dictionary_of(&["학교", "에", "에서", "나", "는", "나무", "를"], folder.path());
    let morphemes = Arc::new(dictionary.open(dictionary.hash().unwrap()).unwrap());
    let cut =
        text.map(|text| text.split(' ').map(|word| morphemes.cut(word).into_owned()).collect::<Vec<_>>().join(" "));
    assert_eq!(cut[0].replace(morphemes::SEPARATOR, "/"), "나/는 학교/에 간다");
    for kind in KINDS {
        let separator = Some(morphemes::SEPARATOR.to_owned());
        let beforehand = train_on(&cut, TokenizerSpec { separator, ..spec(kind, 0, false) });
        let its = spec(kind, beforehand.vocab_size(), false);
        let mut words = WordCounts::new(&its, Some(Arc::clone(&morphemes)));
        words.add(&text);
        let tokenizer = Tokenizer::train(words, &its).unwrap();
        assert_eq!(tokenizer.json(), beforehand.json(), "{kind:?}");
        assert_ne!(tokenizer.hash(), beforehand.hash());
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, tokenizer.json()).unwrap();
        let loaded = Tokenizer::load(&path, Some(Arc::clone(&morphemes))).unwrap();
        for (plain, cut) in text.iter().zip(&cut) {
            assert_eq!(tokenizer.encode(plain), beforehand.encode(cut));
            assert_eq!(loaded.encode(plain), beforehand.encode(cut));
            let characters: Vec<char> = plain.chars().collect();
            let covered = tokenizer.encode_with_offsets(plain);
            assert_eq!(covered.iter().map(|(id, _)| *id).collect::<Vec<_>>(), tokenizer.encode(plain));
            for (id, range) in covered {
                let token = tokenizer.token(id).unwrap().replace("##", "").replace('\u{2581}', "");
                let its: String = characters[range].iter().collect();
                assert!(token == its || token.is_empty() || id == UNK, "{kind:?}: {token} covers {its}");
            }
        }
        let mask = tokenizer.special_ids().mask;
        let marked = [tokenizer.encode("나는"), vec![mask], tokenizer.encode("학교에")].concat();
        assert_eq!(tokenizer.encode_marked("나는 [MASK]학교에"), marked, "{kind:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]
    #[test]
    fn piecewise_encoding_is_the_library_s(text in "([나는학교a-dA-DéÉ.,/▁\\[\\]漢字 \u{b}\u{85}\u{a0}\u{200b}\u{3000}\t\n]|\\PC){0,20}") {
        static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
            let slash = |kind| TokenizerSpec { separator: Some("/".to_owned()), ..spec(kind, 0, false) };
            let plain = KINDS.into_iter().flat_map(|kind| [train(kind, false), train(kind, true)]);
            plain.chain(KINDS.map(|kind| train_on(&TEXT, slash(kind)))).collect()
        });
        for tokenizer in TOKENIZERS.iter() {
            let whole = tokenizer.inner.encode(text.as_str(), false).unwrap();
            // Text that names a special token is another matter: the library takes it for the token.
            if !whole.get_ids().iter().any(|&id| tokenizer.is_special(id) && id != UNK) {
                prop_assert_eq!(tokenizer.encode(&text), whole.get_ids());
            }
        }
    }
}
