//! Byte-pair encoding (Sennrich, Haddow & Birch 2016): the most frequent adjacent pair of tokens is merged, again and
//! again. Ties go to the pair with the smaller ids, so the same words give the same merges in every process. The hard
//! part is speed: a merge touches only the words that hold its pair, and a heap with outdated entries finds the next one.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

/// Two adjacent tokens of a word.
pub(super) type Pair = (u32, u32);

/// The words as tokens so far, and where each pair of tokens occurs.
pub(super) struct Merges {
    words: Vec<Word>,
    pairs: HashMap<Pair, Occurrences>,
    /// Candidates by count, then smaller pair; a count may be outdated.
    queue: BinaryHeap<(u64, Reverse<Pair>)>,
}

struct Word {
    tokens: Box<[u32]>,
    /// How many of `tokens` are left.
    length: u32,
    count: u64,
}

impl Word {
    fn pairs(&self) -> impl Iterator<Item = Pair> + '_ {
        self.tokens[..self.length as usize].windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// Replaces the pair by `merged` from left to right.
    fn merge(&mut self, (left, right): Pair, merged: u32) {
        let (mut to, mut from, length) = (0, 0, self.length as usize);
        while from < length {
            let is_pair = from + 1 < length && self.tokens[from] == left && self.tokens[from + 1] == right;
            self.tokens[to] = if is_pair { merged } else { self.tokens[from] };
            from += if is_pair { 2 } else { 1 };
            to += 1;
        }
        self.length = to as u32;
    }
}

#[derive(Default)]
struct Occurrences {
    count: u64,
    /// Words that hold the pair, or once held it; the same word may be in here twice.
    words: Vec<u32>,
}

impl Occurrences {
    fn add(&mut self, word: u32, count: u64) {
        self.count += count;
        if self.words.last() != Some(&word) {
            self.words.push(word);
        }
    }
}

impl Merges {
    /// Words as their first tokens, each with its count, in an order that the text alone decides.
    pub(super) fn new(words: impl Iterator<Item = (Box<[u32]>, u64)>) -> Self {
        let mut merges = Self { words: Vec::new(), pairs: HashMap::new(), queue: BinaryHeap::new() };
        for (index, (tokens, count)) in words.enumerate() {
            let word = Word { length: tokens.len() as u32, tokens, count };
            for pair in word.pairs() {
                merges.pairs.entry(pair).or_default().add(index as u32, count);
            }
            merges.words.push(word);
        }
        merges.queue = merges.pairs.iter().map(|(&pair, found)| (found.count, Reverse(pair))).collect();
        merges
    }

    /// The most frequent pair, if it occurs often enough.
    pub(super) fn next(&mut self, min_frequency: u64) -> Option<Pair> {
        while let Some((count, Reverse(pair))) = self.queue.pop() {
            let current = self.pairs.get(&pair).map_or(0, |found| found.count);
            if current < min_frequency {
                continue;
            }
            if current == count {
                return Some(pair);
            }
            self.queue.push((current, Reverse(pair)));
        }
        None
    }

    /// Replaces a pair by the token `merged` in every word.
    pub(super) fn apply(&mut self, pair: Pair, merged: u32) {
        let Some(found) = self.pairs.remove(&pair) else { return };
        let mut grown = BTreeSet::new();
        for index in found.words {
            let word = &mut self.words[index as usize];
            if !word.pairs().any(|other| other == pair) {
                continue;
            }
            for old in word.pairs() {
                if let Some(found) = self.pairs.get_mut(&old) {
                    found.count -= word.count;
                }
            }
            word.merge(pair, merged);
            for new in word.pairs() {
                let found = self.pairs.entry(new).or_default();
                if new.0 == merged || new.1 == merged {
                    found.add(index, word.count);
                    grown.insert(new);
                } else {
                    found.count += word.count;
                }
            }
        }
        self.queue.extend(grown.into_iter().map(|pair| (self.pairs[&pair].count, Reverse(pair))));
    }
}
