//! Learning a BPE vocabulary with the conventions of SentencePiece (Kudo & Richardson 2018), deterministically.
//!
//! Words begin with U+2581. Ids are SentencePiece's: special tokens, merged tokens in the order in which they are learnt,
//! characters with the most frequent first. A character tokenizer is the same without merges.

use std::collections::HashMap;

use super::TokenizerError;
use super::convention::SENTENCE_PIECE_TOKENS;
use super::merges::Merges;
use super::words::by_frequency;
use crate::plan::TokenizerSpec;

/// What a BPE model is made of.
#[derive(Debug, PartialEq)]
pub(super) struct BytePairs {
    /// In the order of their ids.
    pub(super) tokens: Vec<String>,
    /// In the order in which they were learnt.
    pub(super) merges: Vec<(String, String)>,
}

/// Learns the vocabulary of `words`, which are in the order of their text, each once. A character outside of the alphabet
/// is unknown, and nothing is merged across it.
pub(super) fn learn(words: &[(String, u64)], spec: &TokenizerSpec) -> Result<BytePairs, TokenizerError> {
    let mut characters = by_frequency(words);
    characters.truncate(spec.limit_alphabet);
    let needed = SENTENCE_PIECE_TOKENS.len() + characters.len();
    if needed > spec.vocab_size {
        let characters = characters.len();
        return Err(TokenizerError::VocabularyTooSmall { asked: spec.vocab_size, characters, needed });
    }
    let wanted = spec.vocab_size - needed;

    let mut alphabet: Vec<char> = characters.iter().map(|&(character, _)| character).collect();
    alphabet.sort_unstable();
    let mut learnt: Vec<String> = alphabet.iter().map(char::to_string).collect();
    let mut ids: HashMap<String, u32> = learnt.iter().cloned().zip(0..).collect();
    let mut merges = Merges::new(words.iter().flat_map(|(word, count)| {
        known_parts(word, &alphabet).into_iter().map(|tokens| (tokens, *count)).collect::<Vec<_>>()
    }));
    let mut pairs = Vec::new();
    while learnt.len() < alphabet.len() + wanted {
        let Some(pair) = merges.next(spec.min_frequency.max(1)) else {
            let fills = SENTENCE_PIECE_TOKENS.len() + learnt.len();
            let (asked, min_frequency) = (spec.vocab_size, spec.min_frequency);
            return Err(TokenizerError::VocabularyTooLarge { asked, fills, min_frequency });
        };
        let [left, right] = [pair.0, pair.1].map(|id| learnt[id as usize].clone());
        let joined = format!("{left}{right}");
        // Two pairs can make the same token.
        let merged = *ids.entry(joined.clone()).or_insert_with(|| {
            learnt.push(joined);
            learnt.len() as u32 - 1
        });
        merges.apply(pair, merged);
        pairs.push((left, right));
    }
    let specials = SENTENCE_PIECE_TOKENS.iter().map(|token| (*token).to_owned());
    let merged = learnt.drain(alphabet.len()..);
    let characters = characters.iter().map(|(character, _)| character.to_string());
    Ok(BytePairs { tokens: specials.chain(merged).chain(characters).collect(), merges: pairs })
}

/// The most frequent characters of `words`, and no merges.
pub(super) fn characters(words: &[(String, u64)], spec: &TokenizerSpec) -> Result<BytePairs, TokenizerError> {
    let mut characters = by_frequency(words);
    characters.truncate(spec.limit_alphabet);
    let specials = SENTENCE_PIECE_TOKENS.iter().map(|token| (*token).to_owned());
    let characters = characters.iter().map(|(character, _)| character.to_string());
    let mut tokens: Vec<String> = specials.chain(characters).collect();
    if tokens.len() < spec.vocab_size {
        let (asked, min_frequency) = (spec.vocab_size, spec.min_frequency);
        return Err(TokenizerError::VocabularyTooLarge { asked, fills: tokens.len(), min_frequency });
    }
    tokens.truncate(spec.vocab_size);
    Ok(BytePairs { tokens, merges: Vec::new() })
}

/// The parts of a word between unknown characters, as places in the sorted alphabet.
fn known_parts(word: &str, alphabet: &[char]) -> Vec<Box<[u32]>> {
    let ids: Vec<Option<u32>> =
        word.chars().map(|c| alphabet.binary_search(&c).ok().map(|place| place as u32)).collect();
    let parts = ids.split(Option::is_none).filter(|part| part.len() > 1);
    parts.map(|part| part.iter().flatten().copied().collect()).collect()
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
        TokenizerSpec { min_frequency, limit_alphabet, ..tests::spec(TokenizerKind::Bpe, vocab_size, false) }
    }

    /// The same law without any bookkeeping: every pair is counted anew for every merge.
    fn learn_slowly(words: &[(String, u64)], size: usize, min_frequency: u64) -> Vec<(String, String)> {
        let mut known: Vec<String> = by_frequency(words).iter().map(|(c, _)| c.to_string()).collect();
        known.sort();
        let mut split: Vec<(Vec<String>, u64)> =
            words.iter().map(|(word, count)| (word.chars().map(|c| c.to_string()).collect(), *count)).collect();
        let mut merges = Vec::new();
        while known.len() + SENTENCE_PIECE_TOKENS.len() < size {
            let id = |token: &String| known.iter().position(|t| t == token).unwrap();
            let mut counts = BTreeMap::new();
            for (tokens, count) in &split {
                tokens.windows(2).for_each(|p| *counts.entry((id(&p[0]), id(&p[1]))).or_insert(0) += count);
            }
            let best =
                counts.iter().filter(|(_, n)| **n >= min_frequency).max_by_key(|(pair, n)| (**n, Reverse(**pair)));
            let Some((&(left, right), _)) = best else { break };
            let (left, right) = (known[left].clone(), known[right].clone());
            for (tokens, _) in &mut split {
                let mut i = 0;
                while i + 1 < tokens.len() {
                    if tokens[i] == left && tokens[i + 1] == right {
                        tokens.splice(i..i + 2, [format!("{left}{right}")]);
                    }
                    i += 1;
                }
            }
            let merged = format!("{left}{right}");
            if !known.contains(&merged) {
                known.push(merged);
            }
            merges.push((left, right));
        }
        merges
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]
        #[test]
        fn bookkeeping_changes_nothing(
            words in prop::collection::btree_map("▁[abc]{0,6}", 1u64..6, 1..25), extra in 0usize..40, min_frequency in 0u64..6,
        ) {
            let words: Vec<_> = words.into_iter().collect();
            let size = SENTENCE_PIECE_TOKENS.len() + by_frequency(&words).len() + extra;
            let expected = learn_slowly(&words, size, min_frequency.max(1));
            match learn(&words, &spec(size, min_frequency, 100)) {
                Ok(found) => {
                    prop_assert_eq!(found.merges, expected);
                    prop_assert_eq!(found.tokens.len(), size);
                }
                Err(TokenizerError::VocabularyTooLarge { fills, .. }) => prop_assert!(fills < size),
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn words(list: &[(&str, u64)]) -> Vec<(String, u64)> {
        list.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
    }

    #[test]
    fn ids_are_sentence_pieces() {
        let found = learn(&words(&[("▁가다", 5), ("▁가서", 4), ("▁나가다", 3)]), &spec(15, 2, 100)).unwrap();
        insta::assert_snapshot!(found.tokens.join(" "), @"[PAD] [UNK] [BOS] [EOS] [SEP] [CLS] [MASK] ▁가 ▁가다 ▁가서 ▁ 가 다 서 나");
        let characters = characters(&words(&[("▁가다", 5), ("▁나", 4)]), &spec(10, 2, 100)).unwrap();
        insta::assert_snapshot!(characters.tokens.join(" "), @"[PAD] [UNK] [BOS] [EOS] [SEP] [CLS] [MASK] ▁ 가 다");
    }

    #[test]
    fn nothing_is_merged_across_an_unknown_character() {
        let found = learn(&words(&[("abxcd", 9), ("abcd", 1)]), &spec(13, 1, 4));
        assert!(found.unwrap().merges.iter().all(|(left, right)| !format!("{left}{right}").contains("bc")));
    }
}
