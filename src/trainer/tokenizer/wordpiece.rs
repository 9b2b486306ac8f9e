//! Learning a WordPiece vocabulary, deterministically.
//!
//! As in the `tokenizers` crate, this is byte-pair encoding ([`super::merges`]) over characters of which all but a word's
//! first carry `##`. Ids are given in an order that the text alone decides, so the same text gives the same vocabulary in
//! every process.

use std::collections::{BTreeSet, HashMap};

use super::TokenizerError;
use super::convention::{BERT_TOKENS, CONTINUATION};
use super::merges::{Merges, Pair};
use super::words::by_frequency;
use crate::plan::TokenizerSpec;

/// The library's limit: a longer word is encoded as unknown whatever the vocabulary.
const LONGEST_WORD: usize = 100;

/// Learns the vocabulary of `words`, which are in the order of their text, each once: special tokens, characters in sorted
/// order, sorted characters inside words, then merges in the order in which they are learnt.
///
/// A word with a character outside of the alphabet teaches nothing, because it is encoded as unknown.
pub(super) fn learn(words: &[(String, u64)], spec: &TokenizerSpec) -> Result<Vec<String>, TokenizerError> {
    let alphabet = alphabet(words, spec.limit_alphabet);
    let is_learnable = |word: &str| {
        word.chars().nth(LONGEST_WORD).is_none() && word.chars().all(|character| alphabet.contains(&character))
    };
    let words: Vec<_> = words.iter().filter(|(word, _)| is_learnable(word)).collect();
    let inside: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars().skip(1)).collect();

    let mut vocabulary = Vocabulary::default();
    BERT_TOKENS.iter().for_each(|token| vocabulary.add((*token).to_owned()));
    alphabet.iter().for_each(|character| vocabulary.add(character.to_string()));
    inside.iter().for_each(|character| vocabulary.add(format!("{CONTINUATION}{character}")));
    let needed = vocabulary.tokens.len();
    if needed > spec.vocab_size {
        let characters = alphabet.len();
        return Err(TokenizerError::VocabularyTooSmall { asked: spec.vocab_size, characters, needed });
    }

    let mut inside = HashMap::new();
    let first_tokens = words.iter().map(|(word, count)| (vocabulary.characters(word, &mut inside), *count));
    let mut merges = Merges::new(first_tokens);
    while vocabulary.tokens.len() < spec.vocab_size {
        let Some(pair) = merges.next(spec.min_frequency.max(1)) else {
            let (asked, fills, min_frequency) = (spec.vocab_size, vocabulary.tokens.len(), spec.min_frequency);
            return Err(TokenizerError::VocabularyTooLarge { asked, fills, min_frequency });
        };
        let merged = vocabulary.join(pair);
        merges.apply(pair, merged);
    }
    Ok(vocabulary.tokens)
}

/// The characters of the words; of too many, the most frequent.
fn alphabet(words: &[(String, u64)], limit: usize) -> BTreeSet<char> {
    by_frequency(words).into_iter().take(limit).map(|(character, _)| character).collect()
}

#[derive(Default)]
struct Vocabulary {
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Vocabulary {
    /// Adds a token unless it is there: two pairs can make the same token.
    fn add(&mut self, token: String) {
        if !self.ids.contains_key(&token) {
            self.ids.insert(token.clone(), self.tokens.len() as u32);
            self.tokens.push(token);
        }
    }

    fn id(&self, token: &str) -> u32 {
        self.ids[token]
    }

    /// A word as its characters; `inside` remembers the ids of those that continue a word.
    fn characters(&self, word: &str, inside: &mut HashMap<char, u32>) -> Box<[u32]> {
        let continuation = |character: char| self.id(&format!("{CONTINUATION}{character}"));
        let first = word.chars().take(1).map(|character| self.id(character.encode_utf8(&mut [0; 4])));
        let rest = word.chars().skip(1).map(|c| *inside.entry(c).or_insert_with(|| continuation(c)));
        first.chain(rest).collect()
    }

    /// The id of the token that the pair makes.
    fn join(&mut self, (left, right): Pair) -> u32 {
        let [left, right] = [left, right].map(|id| self.tokens[id as usize].as_str());
        let joined = format!("{left}{}", right.trim_start_matches(CONTINUATION));
        self.add(joined.clone());
        self.id(&joined)
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::TokenizerKind;
    use crate::trainer::tokenizer::tests;

    fn spec(vocab_size: usize, min_frequency: u64, limit_alphabet: usize) -> TokenizerSpec {
        TokenizerSpec { min_frequency, limit_alphabet, ..tests::spec(TokenizerKind::Wordpiece, vocab_size, false) }
    }

    /// The same law without any bookkeeping: every pair is counted anew for every merge.
    fn learn_slowly(words: &[(String, u64)], size: usize, min_frequency: u64) -> Vec<String> {
        let letters: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars()).collect();
        let inside: BTreeSet<char> = words.iter().flat_map(|(word, _)| word.chars().skip(1)).collect();
        let mut vocabulary: Vec<String> = BERT_TOKENS.map(str::to_owned).to_vec();
        vocabulary.extend(letters.iter().map(char::to_string));
        vocabulary.extend(inside.iter().map(|c| format!("##{c}")));
        let split = |word: &str| -> Vec<String> {
            word.chars().enumerate().map(|(i, c)| if i == 0 { c.to_string() } else { format!("##{c}") }).collect()
        };
        let mut split: Vec<_> = words.iter().map(|(word, count)| (split(word), *count)).collect();
        while vocabulary.len() < size {
            let id = |token: &String| vocabulary.iter().position(|t| t == token).unwrap();
            let mut counts = BTreeMap::new();
            for (tokens, count) in &split {
                tokens.windows(2).for_each(|p| *counts.entry((id(&p[0]), id(&p[1]))).or_insert(0) += count);
            }
            let best =
                counts.iter().filter(|(_, n)| **n >= min_frequency).max_by_key(|(pair, n)| (**n, Reverse(**pair)));
            let Some((&(left, right), _)) = best else { break };
            let (left, right) = (vocabulary[left].clone(), vocabulary[right].clone());
            let merged = format!("{left}{}", &right[2..]);
            for (tokens, _) in &mut split {
                let mut i = 0;
                while i + 1 < tokens.len() {
                    if tokens[i] == left && tokens[i + 1] == right {
                        tokens.splice(i..i + 2, [merged.clone()]);
                    }
                    i += 1;
                }
            }
            if !vocabulary.contains(&merged) {
                vocabulary.push(merged);
            }
        }
        vocabulary
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn bookkeeping_changes_nothing(
            words in prop::collection::btree_map("[abc]{1,7}", 1u64..6, 1..25), size in 5usize..60, min_frequency in 0u64..6,
        ) {
            let words: Vec<_> = words.into_iter().collect();
            let expected = learn_slowly(&words, size, min_frequency.max(1));
            match learn(&words, &spec(size, min_frequency, 100)) {
                Ok(vocabulary) => prop_assert_eq!(vocabulary, expected),
                Err(TokenizerError::VocabularyTooLarge { fills, .. }) => prop_assert_eq!(fills, expected.len()),
                Err(TokenizerError::VocabularyTooSmall { needed, .. }) => prop_assert!(needed > size && needed == expected.len()),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn words(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
    }

    #[test]
    fn a_vocabulary_shows_how_it_was_learnt() {
        let vocabulary = learn(&words(&[("가다", 5), ("가서", 4), ("나가다", 3)]), &spec(14, 2, 100)).unwrap();
        insta::assert_snapshot!(vocabulary.join(" "), @"[PAD] [UNK] [CLS] [SEP] [MASK] 가 나 다 서 ##가 ##다 ##서 가다 가서");
    }

    #[test]
    fn a_small_alphabet_keeps_the_frequent_characters_and_ties_are_ordered() {
        let list = words(&[("a", 3), ("b", 3), ("c", 3), ("d", 9)]);
        assert_eq!(alphabet(&list, 3), BTreeSet::from(['a', 'b', 'd']));
        assert_eq!(learn(&words(&[("xyz", 9), ("xy", 5), ("q", 1)]), &spec(9, 1, 2)).unwrap().last().unwrap(), "xy");
    }

    #[test]
    fn a_size_that_does_not_fit_says_what_would() {
        let list = words(&[("ab", 5), ("cd", 1)]);
        let error = |size| learn(&list, &spec(size, 2, 100)).unwrap_err().to_string();
        insta::assert_snapshot!(error(100), @"`tokenizer.vocab_size` is 100, but the training text fills only 12 entries at `tokenizer.min_frequency` = 2; lower the one or the other, or add text");
        insta::assert_snapshot!(error(8), @"`tokenizer.vocab_size` is 8, but the special tokens and the 4 characters of the training text take 11 entries; raise it, or lower `tokenizer.limit_alphabet`");
    }
}
