//! Learning a unigram language model (Kudo 2018, "Subword regularization"), deterministically.
//!
//! As SentencePiece does: frequent substrings of words are the first pieces; expectation maximisation gives each its
//! probability, and the pieces whose loss would cost the least likelihood are dropped, a quarter at a time, until the
//! vocabulary has its size. Single characters are never dropped. Partitions of fixed number decide the order of every sum
//! and ties go to the smaller piece, so the same words give the same pieces and scores in every process.

use std::collections::{BTreeSet, HashMap};

use rayon::prelude::*;

use super::TokenizerError;
use super::convention::SENTENCE_PIECE_TOKENS;
use super::words::by_frequency;
use crate::plan::TokenizerSpec;

/// SentencePiece's `max_sentencepiece_length`.
const LONGEST_PIECE: usize = 16;
/// SentencePiece's `seed_sentencepiece_size`.
const SEEDS: usize = 1_000_000;
/// SentencePiece's `shrinking_factor`.
const SHRINK: f64 = 0.75;
/// SentencePiece's `num_sub_iterations`: rounds of expectation maximisation between two prunings.
const ROUNDS: usize = 2;
/// A longer word teaches nothing: the probabilities of its segmentations leave the range of f64.
const LONGEST_WORD: usize = 48;
/// Partitions of the words; part of what decides the bits.
const PARTS: usize = 16;

/// A piece and the logarithm of its probability.
type Piece = (Box<[char]>, f64);

/// Learns the pieces of `words`, which are in the order of their text, each once: text and score, the best first.
///
/// # Errors
/// When the words hold too many characters for the vocabulary, or too few pieces to fill it.
pub(super) fn learn(words: &[(String, u64)], spec: &TokenizerSpec) -> Result<Vec<(String, f64)>, TokenizerError> {
    let mut alphabet = by_frequency(words);
    alphabet.truncate(spec.limit_alphabet);
    let needed = SENTENCE_PIECE_TOKENS.len() + alphabet.len();
    if needed > spec.vocab_size {
        let characters = alphabet.len();
        return Err(TokenizerError::VocabularyTooSmall { asked: spec.vocab_size, characters, needed });
    }
    let wanted = spec.vocab_size - SENTENCE_PIECE_TOKENS.len();
    let words = known_parts(words, &alphabet);
    let mut pieces = seeds(&words, &alphabet);
    // As SentencePiece, leave some to choose from at the end.
    let enough = wanted + wanted / 10;
    loop {
        for _ in 0..ROUNDS {
            pieces = maximised(&pieces, &expected_counts(&words, &pieces));
        }
        if pieces.len() <= enough {
            break;
        }
        let target = enough.max((pieces.len() as f64 * SHRINK) as usize);
        pieces = pruned(&words, pieces, target);
    }
    if pieces.len() < wanted {
        let fills = SENTENCE_PIECE_TOKENS.len() + pieces.len();
        let (asked, min_frequency) = (spec.vocab_size, spec.min_frequency);
        return Err(TokenizerError::VocabularyTooLarge { asked, fills, min_frequency });
    }
    Ok(chosen(pieces, wanted))
}

/// The `wanted` best pieces, all single characters among them, as text.
fn chosen(mut pieces: Vec<Piece>, wanted: usize) -> Vec<(String, f64)> {
    let rank = |a: &Piece, b: &Piece| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0));
    pieces.sort_by(|a, b| (a.0.len() > 1).cmp(&(b.0.len() > 1)).then_with(|| rank(a, b)));
    pieces.truncate(wanted);
    pieces.sort_by(rank);
    // Six decimals are more than f32 holds, which is what SentencePiece stores, and are written alike everywhere.
    let rounded = |score: f64| (score * 1e6).round() / 1e6;
    pieces.into_iter().map(|(text, score)| (text.iter().collect(), rounded(score))).collect()
}

/// Words as characters, cut at characters outside of the alphabet.
fn known_parts(words: &[(String, u64)], alphabet: &[(char, u64)]) -> Vec<(Vec<char>, u64)> {
    let known: BTreeSet<char> = alphabet.iter().map(|&(character, _)| character).collect();
    let parts = words.iter().flat_map(|(word, count)| {
        let characters: Vec<char> = word.chars().collect();
        let parts =
            characters.split(|c| !known.contains(c)).filter(|part| !part.is_empty() && part.len() <= LONGEST_WORD);
        parts.map(|part| (part.to_vec(), *count)).collect::<Vec<_>>()
    });
    parts.collect()
}

/// Substrings that occur twice or more, by count times length, and all characters.
fn seeds(words: &[(Vec<char>, u64)], alphabet: &[(char, u64)]) -> Vec<Piece> {
    let mut counts: HashMap<&[char], u64> = HashMap::new();
    for (word, count) in words {
        for start in 0..word.len() {
            for end in start + 2..=word.len().min(start + LONGEST_PIECE) {
                *counts.entry(&word[start..end]).or_default() += count;
            }
        }
    }
    let mut found: Vec<(u64, &[char])> = counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(text, count)| (count * text.len() as u64, text))
        .collect();
    found.par_sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    found.truncate(SEEDS);
    let total = found.iter().map(|(weight, _)| weight).chain(alphabet.iter().map(|(_, count)| count)).sum::<u64>();
    let score = |weight: u64| libm::log(weight as f64 / total as f64);
    let characters = alphabet.iter().map(|&(character, count)| (vec![character].into_boxed_slice(), score(count)));
    let longer = found.iter().map(|&(weight, text)| (text.to_vec().into_boxed_slice(), score(weight)));
    characters.chain(longer).collect()
}

/// How often each piece is expected to be used, over all segmentations of all words (the forward-backward algorithm).
fn expected_counts(words: &[(Vec<char>, u64)], pieces: &[Piece]) -> Vec<f64> {
    let trie = Trie::new(pieces);
    let probabilities: Vec<f64> = pieces.iter().map(|(_, score)| libm::exp(*score)).collect();
    let parts: Vec<Vec<f64>> = words
        .par_chunks(words.len().div_ceil(PARTS).max(1))
        .map(|part| {
            let mut counts = vec![0.0; pieces.len()];
            let mut lattice = Lattice::default();
            part.iter()
                .for_each(|(word, count)| lattice.count(word, *count as f64, &trie, &probabilities, &mut counts));
            counts
        })
        .collect();
    let mut sums = vec![0.0; pieces.len()];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, count)| *sum += count);
    }
    sums
}

/// Pieces with the probabilities that their counts give, by the variational Bayes of SentencePiece; what is expected less
/// than half a time goes.
fn maximised(pieces: &[Piece], counts: &[f64]) -> Vec<Piece> {
    let stays = |text: &[char], count: f64| text.len() == 1 || count >= 0.5;
    let kept: Vec<(&Piece, f64)> = pieces
        .iter()
        .zip(counts)
        .filter(|((text, _), count)| stays(text, **count))
        .map(|(p, c)| (p, c.max(0.5)))
        .collect();
    let total = digamma(kept.iter().map(|(_, count)| count).sum());
    kept.into_iter().map(|((text, _), count)| (text.clone(), digamma(count) - total)).collect()
}

/// The `target` pieces without which the most probable segmentations would lose the most likelihood.
fn pruned(words: &[(Vec<char>, u64)], pieces: Vec<Piece>, target: usize) -> Vec<Piece> {
    let trie = Trie::new(&pieces);
    let scores: Vec<f64> = pieces.iter().map(|(_, score)| *score).collect();
    let used = used_counts(words, &trie, &scores);
    let total = used.iter().sum::<u64>() as f64;
    let loss = |(id, (text, _)): (usize, &Piece)| {
        let count = used[id] as f64;
        if text.len() == 1 {
            return f64::INFINITY;
        }
        // The piece is replaced by its own best segmentation into others.
        let others = best_path(text, &trie, &scores, Some(id as u32));
        let new_total = libm::log(total + count * (others.len() as f64 - 1.0));
        let alternative: f64 =
            others.iter().map(|&other| libm::log(used[other as usize] as f64 + count) - new_total).sum();
        if count == 0.0 { f64::NEG_INFINITY } else { count / total * (libm::log(count / total) - alternative) }
    };
    let mut ranked: Vec<(f64, usize)> = pieces.par_iter().enumerate().map(|piece| (loss(piece), piece.0)).collect();
    ranked.par_sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| pieces[a.1].0.cmp(&pieces[b.1].0)));
    ranked.truncate(target);
    let kept: BTreeSet<usize> =
        ranked.into_iter().filter(|(loss, _)| *loss > f64::NEG_INFINITY).map(|(_, id)| id).collect();
    pieces.into_iter().enumerate().filter(|(id, _)| kept.contains(id)).map(|(_, piece)| piece).collect()
}

/// How often the most probable segmentation of each word uses each piece.
fn used_counts(words: &[(Vec<char>, u64)], trie: &Trie, scores: &[f64]) -> Vec<u64> {
    let count = |mut counts: Vec<u64>, (word, count): &(Vec<char>, u64)| {
        best_path(word, trie, scores, None).into_iter().for_each(|id| counts[id as usize] += count);
        counts
    };
    let zeros = || vec![0; scores.len()];
    words.par_iter().fold(zeros, count).reduce(zeros, |mut a, b| {
        a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        a
    })
}

/// The pieces of the most probable segmentation (Viterbi 1967), the last first, without the piece `except`.
fn best_path(text: &[char], trie: &Trie, scores: &[f64], except: Option<u32>) -> Vec<u32> {
    let mut best: Vec<Option<(f64, usize, u32)>> = vec![None; text.len() + 1];
    for start in 0..text.len() {
        let so_far = match best[start] {
            Some((score, ..)) => score,
            None if start == 0 => 0.0,
            None => continue,
        };
        trie.matches(&text[start..], |length, id| {
            let score = so_far + scores[id as usize];
            let place = &mut best[start + length];
            if except != Some(id) && place.is_none_or(|(known, ..)| score > known) {
                *place = Some((score, start, id));
            }
        });
    }
    let (mut path, mut end) = (Vec::new(), text.len());
    while let Some((_, start, id)) = best[end].filter(|_| end > 0) {
        path.push(id);
        end = start;
    }
    path
}

/// Pieces by their characters, for finding all that begin at a place.
struct Trie {
    children: HashMap<(u32, char), u32>,
    pieces: Vec<Option<u32>>,
}

impl Trie {
    fn new(pieces: &[Piece]) -> Self {
        let mut trie = Self { children: HashMap::new(), pieces: vec![None] };
        for (id, (text, _)) in pieces.iter().enumerate() {
            let mut node = 0;
            for &character in text.iter() {
                let next = trie.pieces.len() as u32;
                node = *trie.children.entry((node, character)).or_insert(next);
                if node == next {
                    trie.pieces.push(None);
                }
            }
            trie.pieces[node as usize] = Some(id as u32);
        }
        trie
    }

    /// Calls `found` with length and id of every piece that `text` begins with, the shortest first.
    fn matches(&self, text: &[char], mut found: impl FnMut(usize, u32)) {
        let mut node = 0;
        for (i, &character) in text.iter().enumerate() {
            let Some(&next) = self.children.get(&(node, character)) else { return };
            node = next;
            if let Some(id) = self.pieces[node as usize] {
                found(i + 1, id);
            }
        }
    }
}

/// The pieces that fit somewhere in a word, and the probabilities of reaching and leaving each place.
#[derive(Default)]
struct Lattice {
    arcs: Vec<(usize, usize, u32)>,
    forward: Vec<f64>,
    backward: Vec<f64>,
}

impl Lattice {
    /// Adds the expected uses of each piece in `word`, which occurs `count` times.
    fn count(&mut self, word: &[char], count: f64, trie: &Trie, probabilities: &[f64], counts: &mut [f64]) {
        let n = word.len();
        self.arcs.clear();
        for start in 0..n {
            trie.matches(&word[start..], |length, id| self.arcs.push((start, start + length, id)));
        }
        self.forward.clear();
        self.forward.resize(n + 1, 0.0);
        self.backward.clear();
        self.backward.resize(n + 1, 0.0);
        (self.forward[0], self.backward[n]) = (1.0, 1.0);
        for &(start, end, id) in &self.arcs {
            self.forward[end] += self.forward[start] * probabilities[id as usize];
        }
        for &(start, end, id) in self.arcs.iter().rev() {
            self.backward[start] += self.backward[end] * probabilities[id as usize];
        }
        let total = self.forward[n];
        if total > 0.0 {
            for &(start, end, id) in &self.arcs {
                let share = self.forward[start] * probabilities[id as usize] * self.backward[end] / total;
                counts[id as usize] += count * share;
            }
        }
    }
}

/// The logarithmic derivative of the gamma function, for x > 0 (Bernardo 1976, algorithm AS 103).
fn digamma(mut x: f64) -> f64 {
    let mut result = 0.0;
    while x < 7.0 {
        result -= 1.0 / x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    result + libm::log(x) - 0.5 / x - inverse * (1.0 / 12.0 - inverse * (1.0 / 120.0 - inverse / 252.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::TokenizerKind;
    use crate::trainer::tokenizer::tests;

    fn spec(vocab_size: usize) -> TokenizerSpec {
        TokenizerSpec { limit_alphabet: 100, ..tests::spec(TokenizerKind::Unigram, vocab_size, false) }
    }

    fn pieces(list: &[(&str, f64)]) -> Vec<Piece> {
        list.iter().map(|(text, p)| (text.chars().collect(), p.ln())).collect()
    }

    /// Every way to cut `text` into pieces, as the ids of the pieces.
    fn segmentations(text: &[char], pieces: &[Piece]) -> Vec<Vec<usize>> {
        if text.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for (id, (piece, _)) in pieces.iter().enumerate() {
            if text.starts_with(piece) {
                for rest in segmentations(&text[piece.len()..], pieces) {
                    all.push([vec![id], rest].concat());
                }
            }
        }
        all
    }

    fn example() -> (Vec<Piece>, Vec<(Vec<char>, u64)>) {
        let pieces =
            pieces(&[("a", 0.2), ("b", 0.1), ("c", 0.15), ("ab", 0.2), ("bc", 0.05), ("abc", 0.1), ("ca", 0.2)]);
        let words = ["abc", "abcabca", "cab", "bb", "c"].map(|word| (word.chars().collect(), word.len() as u64));
        (pieces, words.to_vec())
    }

    #[test]
    fn expected_counts_and_best_paths_equal_brute_force() {
        let (pieces, words) = example();
        let mut expected = vec![0.0; pieces.len()];
        let scores: Vec<f64> = pieces.iter().map(|(_, score)| *score).collect();
        let trie = Trie::new(&pieces);
        for (word, count) in &words {
            let all = segmentations(word, &pieces);
            let score = |path: &Vec<usize>| path.iter().map(|&id| scores[id]).sum::<f64>();
            let total: f64 = all.iter().map(|path| score(path).exp()).sum();
            for path in &all {
                path.iter().for_each(|&id| expected[id] += *count as f64 * score(path).exp() / total);
            }
            let best = all.iter().map(score).fold(f64::NEG_INFINITY, f64::max);
            let found: f64 = best_path(word, &trie, &scores, None).iter().map(|&id| scores[id as usize]).sum();
            assert!((found - best).abs() < 1e-12);
        }
        for (found, expected) in expected_counts(&words, &pieces).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        }
        let whole = best_path(&['a', 'b', 'c'], &trie, &scores, Some(5));
        assert_eq!(whole, [2, 3], "without itself, abc is best cut as ab c, found from the end");
    }

    /// Expectation maximisation never lowers the likelihood of the words, but for the smoothing of the digamma.
    #[test]
    fn rounds_raise_the_likelihood() {
        let (mut pieces, mut words) = example();
        words.iter_mut().for_each(|(_, count)| *count *= 1000);
        let likelihood = |pieces: &[Piece]| -> f64 {
            let of_word = |word: &[char]| -> f64 {
                let paths = segmentations(word, pieces);
                paths.iter().map(|path| path.iter().map(|&id| pieces[id].1).sum::<f64>().exp()).sum()
            };
            words.iter().map(|(word, count)| *count as f64 * of_word(word).ln()).sum()
        };
        let mut last = likelihood(&pieces);
        for _ in 0..10 {
            pieces = maximised(&pieces, &expected_counts(&words, &pieces));
            let next = likelihood(&pieces);
            assert!(next > last - 1.0, "{next} after {last}");
            last = next;
        }
    }

    #[test]
    fn digamma_matches_known_values() {
        for (x, expected) in
            [(1.0, -0.577_215_664_901_532_9), (0.5, -1.963_510_026_021_423_5), (10.0, 2.251_752_589_066_721)]
        {
            assert!((digamma(x) - expected).abs() < 1e-9, "{x}: {}", digamma(x));
        }
    }

    #[test]
    fn frequent_words_become_pieces_and_characters_stay() {
        let words: Vec<(String, u64)> =
            [("▁나는", 50), ("▁학교에", 40), ("▁학교는", 30), ("▁나무", 20), ("▁나무는", 10), ("▁교", 1)]
                .map(|(w, n)| (w.to_owned(), n))
                .to_vec();
        let found = learn(&words, &spec(18)).unwrap();
        assert_eq!(found.len(), 11);
        let text: Vec<&str> = found.iter().map(|(text, _)| text.as_str()).collect();
        for needed in ["▁", "나", "는", "학", "교", "에", "무", "▁나는"] {
            assert!(text.contains(&needed), "{text:?}");
        }
        assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        assert!(matches!(learn(&words, &spec(10)), Err(TokenizerError::VocabularyTooSmall { .. })));
        assert!(matches!(learn(&words, &spec(1000)), Err(TokenizerError::VocabularyTooLarge { .. })));
    }
}
