//! BPE-dropout (Provilkov, Emelianenko & Voita 2020): a text is split anew each time that it is read, because merges are left
//! out by chance. A model meets words in many splits, and learns what their parts have in common.
//!
//! A word begins as its characters. In each round every merge that could be made somewhere in it is dropped with probability p
//! there; of what is left, the merge that was learnt first is made, at the leftmost of its places; what was dropped may be made
//! in later rounds. A round with nothing left ends the word (algorithm 1 of the paper). So p = 0 is the tokenizer as it is, and
//! p = 1 splits into characters.
//!
//! Dice are rolled in the order in which merges would be made, and only until one is kept: those behind it would change nothing.
//! They come from one stream a text, which is a function of (seed, epoch, example), so that no thread and no interruption
//! changes a split.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use serde::Deserialize;
use tokenizers::{ModelWrapper, OffsetType, Token};

use super::{Tokenizer, UNK, origins, places, words};
use crate::trainer::rng::Draws;

/// A tokenizer that drops its merges with a probability.
pub struct MergeDropout<'a> {
    tokenizer: &'a Tokenizer,
    merges: MergeTable,
    probability: f64,
}

impl<'a> MergeDropout<'a> {
    /// `tokenizer` with merges dropped; none where it splits by anything but merges.
    pub fn new(tokenizer: &'a Tokenizer, probability: f64) -> Option<Self> {
        let ModelWrapper::BPE(_) = tokenizer.inner.get_model() else { return None };
        let merges = MergeTable::read(tokenizer.json(), &tokenizer.tokens)?;
        Some(Self { tokenizer, merges, probability })
    }

    /// [`Tokenizer::encode`], with merges dropped by `draws`.
    pub fn encode(&self, text: &str, draws: &mut Draws) -> Vec<u32> {
        let words = words::pieces(text).flat_map(|piece| self.tokenizer.pipeline.words(piece));
        words.flat_map(|word| self.split(&word, draws)).map(|part| part.id).collect()
    }

    /// [`Tokenizer::encode_with_offsets`], with merges dropped by `draws`: the tokens of [`encode`](Self::encode).
    pub fn encode_with_offsets(&self, text: &str, draws: &mut Draws) -> Vec<(u32, Range<usize>)> {
        let (pipeline, draws) = (&self.tokenizer.pipeline, RefCell::new(draws));
        let of_piece = |(piece, before): (&str, usize)| {
            let cut = pipeline.cut(piece);
            let origins = origins(piece, &cut);
            let mut words = pipeline.split(&cut);
            words.tokenize(|word| Ok(tokens(&self.split(word.get(), &mut draws.borrow_mut())))).expect(LIBRARY);
            let encoding = words.into_encoding(None, 0, OffsetType::Char).expect(LIBRARY);
            let range = |&(from, to): &(usize, usize)| before + origins[from]..before + origins[to];
            let ranges = encoding.get_offsets().iter().map(range).collect::<Vec<_>>();
            encoding.get_ids().to_vec().into_iter().zip(ranges)
        };
        places(text).flat_map(of_piece).collect()
    }

    fn split(&self, word: &str, draws: &mut Draws) -> Vec<Part> {
        self.merges.split(word, || draws.unit() < self.probability)
    }
}

const LIBRARY: &str = "invariant: every word of a text has its tokens";

/// The parts of a word as the library's tokens, which know where in the word they stand. Their text is nobody's.
fn tokens(parts: &[Part]) -> Vec<Token> {
    let mut end = 0;
    let place = |part: &Part| {
        let start = end;
        end += part.bytes;
        Token::new(part.id, String::new(), (start, end))
    };
    parts.iter().map(place).collect()
}

/// A token of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    id: u32,
    /// Of the word's text.
    bytes: usize,
}

/// What a BPE tokenizer has learnt.
struct MergeTable {
    characters: HashMap<char, u32>,
    /// For two adjacent tokens, which merge joins them, counted in the order in which they were learnt, and what they become.
    merges: HashMap<(u32, u32), (usize, u32)>,
}

impl MergeTable {
    /// The merges of a `tokenizer.json` whose entries are `tokens`.
    fn read(json: &str, tokens: &[String]) -> Option<Self> {
        #[derive(Deserialize)]
        struct File {
            model: Model,
        }
        #[derive(Deserialize)]
        struct Model {
            merges: Vec<(String, String)>,
        }
        let File { model } = serde_json::from_str(json).ok()?;
        let ids: HashMap<&str, u32> = tokens.iter().map(String::as_str).zip(0..).collect();
        let merge = |(rank, (left, right)): (usize, &(String, String))| {
            let joined = ids.get(format!("{left}{right}").as_str())?;
            Some(((*ids.get(left.as_str())?, *ids.get(right.as_str())?), (rank, *joined)))
        };
        let character = |(token, id): (&&str, &u32)| {
            let mut characters = token.chars();
            characters.next().filter(|_| characters.next().is_none()).map(|character| (character, *id))
        };
        let merges = model.merges.iter().enumerate().map(merge).collect::<Option<_>>()?;
        Some(Self { characters: ids.iter().filter_map(character).collect(), merges })
    }

    /// The parts of a word, where each merge that could be made is left out as `drops` says.
    fn split(&self, word: &str, mut drops: impl FnMut() -> bool) -> Vec<Part> {
        let mut parts = self.characters(word);
        // The parts that are left, as a chain: those beside each.
        let mut before: Vec<usize> = (0..parts.len()).map(|at| at.wrapping_sub(1)).collect();
        let mut after: Vec<usize> = (1..=parts.len()).collect();
        let mut is_left = vec![true; parts.len()];
        let found = |parts: &[Part], left: usize, right: usize| {
            let (left_part, right_part) = (parts.get(left)?, parts.get(right)?);
            self.merges.get(&(left_part.id, right_part.id)).map(|&(rank, joined)| (rank, left, joined))
        };
        // In the order in which they are made.
        let mut candidates: BTreeSet<_> = (1..parts.len()).filter_map(|at| found(&parts, at - 1, at)).collect();
        while let Some(&merge) = candidates.iter().find(|_| !drops()) {
            let (_, left, joined) = merge;
            let right = after[left];
            let (outer_left, outer_right) = (before[left], after[right]);
            for (a, b) in [(outer_left, left), (left, right), (right, outer_right)] {
                found(&parts, a, b).map(|gone| candidates.remove(&gone));
            }
            parts[left] = Part { id: joined, bytes: parts[left].bytes + parts[right].bytes };
            is_left[right] = false;
            after[left] = outer_right;
            if let Some(before) = before.get_mut(outer_right) {
                *before = left;
            }
            candidates
                .extend([(outer_left, left), (left, outer_right)].iter().filter_map(|&(a, b)| found(&parts, a, b)));
        }
        parts.into_iter().zip(is_left).filter_map(|(part, is_left)| is_left.then_some(part)).collect()
    }

    /// The characters of a word; those that are unknown are one part as long as they stand together.
    fn characters(&self, word: &str) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::with_capacity(word.len() / 3 + 1);
        for character in word.chars() {
            let (id, bytes) = (self.characters.get(&character).copied().unwrap_or(UNK), character.len_utf8());
            match parts.last_mut() {
                Some(last) if id == UNK && last.id == UNK => last.bytes += bytes,
                _ => parts.push(Part { id, bytes }),
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::TokenizerKind;
    use crate::trainer::rng::{Purpose, Stream};
    use crate::trainer::tokenizer::tests::{TEXT, train};
    use crate::types::Seed;

    fn draws(seed: u64) -> Draws {
        Stream::new(Seed(seed), Purpose::Split, 0, 0).draws()
    }

    /// A table of these merges over the letters, in the order in which they were learnt, and its tokens.
    fn table(merges: &[(String, String)]) -> (MergeTable, Vec<String>) {
        let mut tokens: Vec<String> = ["[PAD]", "[UNK]", "a", "b", "c", "d"].map(str::to_owned).to_vec();
        for (left, right) in merges {
            let joined = format!("{left}{right}");
            if !tokens.contains(&joined) {
                tokens.push(joined);
            }
        }
        let json = serde_json::json!({ "model": { "merges": merges } }).to_string();
        (MergeTable::read(&json, &tokens).unwrap(), tokens)
    }

    fn of(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(left, right)| ((*left).to_owned(), (*right).to_owned())).collect()
    }

    fn texts(parts: &[Part], tokens: &[String]) -> Vec<String> {
        parts.iter().map(|part| tokens[part.id as usize].clone()).collect()
    }

    /// The same rounds by their words, on a list of texts, everything looked up anew.
    fn split_slowly(word: &str, merges: &[(String, String)], mut drops: impl FnMut() -> bool) -> Vec<String> {
        let mut parts: Vec<String> = word.chars().map(|c| c.to_string()).collect();
        'rounds: loop {
            for (left, right) in merges {
                for at in 0..parts.len().saturating_sub(1) {
                    if parts[at] == *left && parts[at + 1] == *right && !drops() {
                        parts.splice(at..at + 2, [format!("{left}{right}")]);
                        continue 'rounds;
                    }
                }
            }
            return parts;
        }
    }

    /// The paper's algorithm to the letter: a dice for every merge that could be made, whether or not it counts.
    fn split_by_the_letter(word: &str, merges: &[(String, String)], mut drops: impl FnMut() -> bool) -> Vec<String> {
        let mut parts: Vec<String> = word.chars().map(|c| c.to_string()).collect();
        loop {
            let mut left_over = Vec::new();
            for at in 0..parts.len().saturating_sub(1) {
                let rank = merges.iter().position(|(left, right)| parts[at] == *left && parts[at + 1] == *right);
                left_over.extend(rank.filter(|_| !drops()).map(|rank| (rank, at)));
            }
            let Some(&(_, at)) = left_over.iter().min() else { return parts };
            let joined = parts[at..at + 2].concat();
            parts.splice(at..at + 2, [joined]);
        }
    }

    /// Merges that a tokenizer could have learnt: each of tokens that there are by then.
    fn merges() -> impl Strategy<Value = Vec<(String, String)>> {
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..12).prop_map(|picks| {
            let mut tokens: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
            let mut merges = Vec::new();
            for (left, right) in picks {
                let pair = (left.get(&tokens).clone(), right.get(&tokens).clone());
                if !merges.contains(&pair) {
                    let joined = format!("{}{}", pair.0, pair.1);
                    if !tokens.contains(&joined) {
                        tokens.push(joined);
                    }
                    merges.push(pair);
                }
            }
            merges
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// With the same dice the split is that of the rounds by their words, and uses as many.
        #[test]
        fn bookkeeping_changes_nothing(merges in merges(), word in "[abcd]{0,14}", p in 0u8..=4, seed: u64) {
            let (table, tokens) = table(&merges);
            let p = f64::from(p) / 4.0;
            let (mut fast, mut slow) = (draws(seed), draws(seed));
            let found = table.split(&word, || fast.unit() < p);
            prop_assert_eq!(texts(&found, &tokens), split_slowly(&word, &merges, || slow.unit() < p));
            prop_assert_eq!(fast.bits(), slow.bits());
            prop_assert_eq!(found.iter().map(|part| part.bytes).sum::<usize>(), word.len());
        }

        /// Nothing dropped is the tokenizer as it is, everything dropped are characters; and whatever is dropped, the text and
        /// what its tokens cover stay the same, one token after the other.
        #[test]
        fn no_text_is_lost(text in "([나는학교a-dA-DéÉ.,/▁\\[\\]漢字 \u{b}\u{85}\u{a0}\u{200b}\u{3000}\t\n]|\\PC){0,20}", seed: u64) {
            static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| train(TokenizerKind::Bpe, false));
            let tokenizer = &*TOKENIZER;
            let dropping = |p| MergeDropout::new(tokenizer, p).unwrap();
            prop_assert_eq!(dropping(0.0).encode(&text, &mut draws(seed)), tokenizer.encode(&text));
            let whole = tokenizer.encode_with_offsets(&text);
            let names_none = !tokenizer.convention().special_tokens().iter().any(|name| text.contains(name));
            if names_none {
                prop_assert_eq!(&dropping(0.0).encode_with_offsets(&text, &mut draws(seed)), &whole);
            }
            let characters = dropping(1.0).encode(&text, &mut draws(seed));
            prop_assert!(characters.iter().all(|&id| id == UNK || tokenizer.token(id).unwrap().chars().count() == 1));
            for p in [0.0, 0.3, 1.0] {
                let ids = dropping(p).encode(&text, &mut draws(seed));
                let placed = dropping(p).encode_with_offsets(&text, &mut draws(seed));
                prop_assert_eq!(&ids, &placed.iter().map(|(id, _)| *id).collect::<Vec<_>>());
                prop_assert_eq!(tokenizer.decode(&ids), tokenizer.decode(&tokenizer.encode(&text)));
                let covered = |placed: &[(u32, Range<usize>)]| placed.iter().flat_map(|(_, range)| range.clone()).collect::<BTreeSet<_>>();
                prop_assert!(!names_none || covered(&placed) == covered(&whole));
            }
        }
    }

    /// How often each split comes out, of many draws.
    fn shares(n: u32, mut split: impl FnMut() -> Vec<String>) -> BTreeMap<String, f64> {
        let mut counts = BTreeMap::new();
        (0..n).for_each(|_| *counts.entry(split().join(" ")).or_insert(0.0) += 1.0 / f64::from(n));
        counts
    }

    /// Shares of splits in closed form, and of a word with many splits those of the paper's algorithm to the letter.
    #[test]
    fn splits_are_as_likely_as_in_the_paper() {
        const N: u32 = 40_000;
        let p = 0.3;
        let near = |found: f64, expected: f64| {
            // Four standard deviations, of both where both were counted.
            let scatter = 4.0 * (2.0 * expected.max(1e-4) * (1.0 - expected) / f64::from(N)).sqrt();
            assert!((found - expected).abs() < scatter, "{found}, not {expected}");
        };
        let q = 1.0 - p;
        /// Merges in their order, a word, and the shares of its splits.
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [(&'a str, f64)]);
        let cases: [Case<'_>; 3] = [
            (&[("a", "b")], "ab", &[("ab", q), ("a b", p)]),
            (&[("a", "b"), ("ab", "c")], "abc", &[("abc", q * q), ("ab c", q * p), ("a b c", p)]),
            (&[("a", "b"), ("b", "c")], "abc", &[("ab c", q), ("a bc", p * q), ("a b c", p * p)]),
        ];
        for (merges, word, expected) in cases {
            let (table, tokens) = table(&of(merges));
            let mut dice = draws(1);
            let found = shares(N, || texts(&table.split(word, || dice.unit() < p), &tokens));
            assert_eq!(found.len(), expected.len());
            expected.iter().for_each(|&(split, share)| near(found[split], share));
        }
        let merges = of(&[("a", "b"), ("c", "d"), ("ab", "cd"), ("b", "c"), ("abcd", "ab"), ("d", "a")]);
        let (table, tokens) = table(&merges);
        let (mut dice, mut others) = (draws(2), draws(3));
        let found = shares(N, || texts(&table.split("abcdab", || dice.unit() < p), &tokens));
        let expected = shares(N, || split_by_the_letter("abcdab", &merges, || others.unit() < p));
        assert!(found.len() > 10, "{found:?}");
        for split in found.keys().chain(expected.keys()) {
            near(found.get(split).copied().unwrap_or(0.0), expected.get(split).copied().unwrap_or(0.0));
        }
    }

    /// The more is dropped the more tokens there are, and only merges can be.
    #[test]
    fn more_is_split_the_more_is_dropped() {
        let tokenizer = train(TokenizerKind::Bpe, false);
        let tokens = |p: f64| {
            let (dropping, mut dice) = (MergeDropout::new(&tokenizer, p).unwrap(), draws(4));
            (0..200).flat_map(|_| TEXT).map(|text| dropping.encode(text, &mut dice).len()).sum::<usize>()
        };
        let counts = [0.0, 0.05, 0.1, 0.3, 0.6, 1.0].map(tokens);
        assert!(counts.is_sorted_by(|few, more| few < more), "{counts:?}");
        for kind in [TokenizerKind::Wordpiece, TokenizerKind::Unigram] {
            assert!(MergeDropout::new(&train(kind, false), 0.1).is_none(), "{kind:?}");
        }
    }
}
