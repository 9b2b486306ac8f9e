//! Metrics of tasks, as the field computes them.
//!
//! Classes: accuracy, micro and macro F1 as scikit-learn has them, where a label that neither occurs nor is predicted is left
//! out. Tags: entity F1 as `seqeval` (strict, IOB2), pooled over entities and as the mean over types, and KLUE's character
//! macro F1 (Park et al. 2021), whose mean takes O as one of the labels, beside the same without O.

use std::collections::{BTreeMap, BTreeSet};

use super::entities::entities;
use super::tagged::kind;
use crate::types::answers::{Confusion, EntityCounts};

/// How well classes are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classification {
    pub accuracy: f64,
    /// Equal to the accuracy where each text has one class.
    pub micro_f1: f64,
    pub macro_f1: f64,
}

/// How well entities are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tagging {
    pub entity_f1: f64,
    pub entity_macro_f1: f64,
    pub char_macro_f1: f64,
    pub char_macro_f1_without_o: f64,
    pub char_accuracy: f64,
}

/// Hits, false alarms and misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    hits: usize,
    alarms: usize,
    misses: usize,
}

impl Counts {
    /// `2 hits / (2 hits + false alarms + misses)`; 0 where nothing is to be found and nothing was said.
    fn f1(self) -> f64 {
        let all = 2 * self.hits + self.alarms + self.misses;
        if all == 0 { 0.0 } else { 2.0 * self.hits as f64 / all as f64 }
    }

    fn plus(self, other: Self) -> Self {
        Self { hits: self.hits + other.hits, alarms: self.alarms + other.alarms, misses: self.misses + other.misses }
    }
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, n) = values.into_iter().fold((0.0, 0), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}

/// Judges the classes `found` by the `gold` ones.
pub fn classification(gold: &[usize], found: &[usize]) -> Classification {
    let counts = by_label(gold.iter().zip(found));
    let hits = gold.iter().zip(found).filter(|(gold, found)| gold == found).count();
    Classification {
        accuracy: hits as f64 / gold.len().max(1) as f64,
        micro_f1: counts.values().fold(Counts::default(), |sum, its| sum.plus(*its)).f1(),
        macro_f1: mean(counts.values().map(|its| its.f1())),
    }
}

/// Which class is taken for which.
pub fn confusion(gold: &[usize], found: &[usize], labels: &[String]) -> Confusion {
    let mut counts = vec![vec![0; labels.len()]; labels.len()];
    gold.iter().zip(found).for_each(|(&gold, &found)| counts[gold][found] += 1);
    Confusion { labels: labels.to_vec(), counts }
}

/// How each kind of entity that the labels know is found, in the order of the labels.
pub fn entities_by_kind(gold: &[&[usize]], found: &[&[usize]], labels: &[String]) -> Vec<EntityCounts> {
    let counts = by_kind(gold, found, labels);
    let kinds = labels.iter().filter(|label| label.starts_with("B-")).filter_map(|label| kind(label));
    let of_kind = |kind: &str| {
        let Counts { hits, alarms, misses } = counts.get(kind).copied().unwrap_or_default();
        let (right, predicted, truly) = (hits as u64, (hits + alarms) as u64, (hits + misses) as u64);
        EntityCounts { kind: kind.to_owned(), right, predicted, truly }
    };
    kinds.map(of_kind).collect()
}

/// Judges the tags `found` of each text's characters by the `gold` ones; tags are numbers of `labels`, of which the first
/// is O.
pub fn tagging(gold: &[&[usize]], found: &[&[usize]], labels: &[String]) -> Tagging {
    let pairs = || gold.iter().zip(found).flat_map(|(gold, found)| gold.iter().zip(found.iter()));
    let of_labels = by_label(pairs());
    let of_kinds = by_kind(gold, found, labels);
    let (hits, all) = pairs().fold((0, 0), |(hits, all), (gold, found)| (hits + usize::from(gold == found), all + 1));
    Tagging {
        entity_f1: of_kinds.values().fold(Counts::default(), |sum, its| sum.plus(*its)).f1(),
        entity_macro_f1: mean(of_kinds.values().map(|its| its.f1())),
        char_macro_f1: mean(of_labels.values().map(|its| its.f1())),
        char_macro_f1_without_o: mean(of_labels.iter().filter(|(label, _)| **label != 0).map(|(_, its)| its.f1())),
        char_accuracy: hits as f64 / f64::max(f64::from(all), 1.0),
    }
}

/// The counts of each kind of entity that occurs or is said.
fn by_kind<'l>(gold: &[&[usize]], found: &[&[usize]], labels: &'l [String]) -> BTreeMap<&'l str, Counts> {
    let mut of_kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    for (gold, found) in gold.iter().zip(found) {
        let spans = |tags: &[usize]| {
            let tags: Vec<&str> = tags.iter().map(|&tag| labels[tag].as_str()).collect();
            entities(&tags).into_iter().collect::<BTreeSet<_>>()
        };
        let (gold, found) = (spans(gold), spans(found));
        gold.intersection(&found).for_each(|its| of_kinds.entry(its.kind).or_default().hits += 1);
        gold.difference(&found).for_each(|its| of_kinds.entry(its.kind).or_default().misses += 1);
        found.difference(&gold).for_each(|its| of_kinds.entry(its.kind).or_default().alarms += 1);
    }
    of_kinds
}

/// The counts of each label that occurs or is said.
fn by_label<'a>(pairs: impl Iterator<Item = (&'a usize, &'a usize)>) -> BTreeMap<usize, Counts> {
    let mut counts: BTreeMap<usize, Counts> = BTreeMap::new();
    for (&gold, &found) in pairs {
        if gold == found {
            counts.entry(gold).or_default().hits += 1;
        } else {
            counts.entry(gold).or_default().misses += 1;
            counts.entry(found).or_default().alarms += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn classes_are_judged_as_by_hand() {
        let scores = classification(&[0, 0, 1, 1, 2], &[0, 1, 1, 1, 0]);
        assert!((scores.accuracy - 0.6).abs() < 1e-12 && (scores.micro_f1 - 0.6).abs() < 1e-12);
        // F1 of 0: 2/4, of 1: 4/5, of 2: 0.
        assert!((scores.macro_f1 - (0.5 + 0.8) / 3.0).abs() < 1e-12);
        let labels = ["a", "b", "c"].map(str::to_owned);
        let found = confusion(&[0, 0, 1, 1, 2], &[0, 1, 1, 1, 0], &labels);
        assert_eq!(found.counts, [[1, 1, 0], [0, 2, 0], [1, 0, 0]]);
    }

    fn labels() -> Vec<String> {
        ["O", "B-A", "I-A", "B-B", "I-B"].map(str::to_owned).to_vec()
    }

    #[test]
    fn entities_are_judged_as_wholes_and_characters_alone() {
        // Gold: A at 0..2 and B at 3..4. Found: A at 0..1 (too short) and B at 3..4.
        let scores = tagging(&[&[1, 2, 0, 3]], &[&[1, 0, 0, 3]], &labels());
        assert_eq!((scores.entity_f1, scores.entity_macro_f1, scores.char_accuracy), (0.5, 0.5, 0.75));
        // O: one hit, one alarm; B-A: hit; I-A: miss; B-B: hit.
        assert!((scores.char_macro_f1 - (2.0 / 3.0 + 1.0 + 0.0 + 1.0) / 4.0).abs() < 1e-12);
        assert!((scores.char_macro_f1_without_o - 2.0 / 3.0).abs() < 1e-12);
        let of_kinds = entities_by_kind(&[&[1, 2, 0, 3]], &[&[1, 0, 0, 3]], &labels());
        let counts =
            |kind: &str, right, predicted, truly| EntityCounts { kind: kind.to_owned(), right, predicted, truly };
        assert_eq!(of_kinds, [counts("A", 0, 1, 1), counts("B", 1, 1, 1)]);
        let all_o = tagging(&[&[1, 2, 0, 3]], &[&[0, 0, 0, 0]], &labels());
        assert_eq!((all_o.entity_f1, all_o.char_accuracy), (0.0, 0.25));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Against a count that looks at every pair of places and every kind.
        #[test]
        fn entity_f1_is_that_of_brute_force(
            texts in prop::collection::vec((1usize..9).prop_flat_map(|n| {
                (prop::collection::vec(0usize..5, n), prop::collection::vec(0usize..5, n))
            }), 1..5),
        ) {
            let labels = labels();
            let is_entity = |tags: &[usize], from: usize, to: usize, begin: usize| {
                let inside = begin + 1;
                tags[from] == begin && tags[from + 1..to].iter().all(|&tag| tag == inside)
                    && (to == tags.len() || tags[to] != inside)
            };
            let (mut hits, mut gold_all, mut found_all) = (0u64, 0u64, 0u64);
            for (gold, found) in &texts {
                for from in 0..gold.len() {
                    for to in from + 1..=gold.len() {
                        for begin in [1, 3] {
                            let (a, b) = (is_entity(gold, from, to, begin), is_entity(found, from, to, begin));
                            hits += u64::from(a && b);
                            gold_all += u64::from(a);
                            found_all += u64::from(b);
                        }
                    }
                }
            }
            let (gold, found): (Vec<&[usize]>, Vec<&[usize]>) =
                texts.iter().map(|(gold, found)| (gold.as_slice(), found.as_slice())).unzip();
            let expected = if gold_all + found_all == 0 { 0.0 } else { 2.0 * hits as f64 / (gold_all + found_all) as f64 };
            prop_assert!((tagging(&gold, &found, &labels).entity_f1 - expected).abs() < 1e-12);
            // What is told by kind adds up to the whole.
            let of_kinds = entities_by_kind(&gold, &found, &labels);
            let sum = |count: fn(&EntityCounts) -> u64| of_kinds.iter().map(count).sum::<u64>();
            prop_assert_eq!((sum(|c| c.right), sum(|c| c.truly), sum(|c| c.predicted)), (hits, gold_all, found_all));
        }

        #[test]
        fn a_perfect_answer_is_one(gold in prop::collection::vec(0usize..4, 1..30)) {
            let scores = classification(&gold, &gold);
            prop_assert_eq!((scores.accuracy, scores.micro_f1, scores.macro_f1), (1.0, 1.0, 1.0));
        }
    }
}
