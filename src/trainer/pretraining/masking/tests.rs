//! Rates, labels and laws of every way to mask.

use super::super::instance::tests::SPECIALS;
use super::*;
use crate::trainer::rng::{Purpose, Stream};
use crate::types::Seed;

const SIZE: u32 = 1000;
/// Every third id continues a word.
static CONTINUES: std::sync::LazyLock<Vec<bool>> =
    std::sync::LazyLock::new(|| (0..SIZE).map(|id| id >= 5 && id % 3 == 0).collect());

fn vocabulary() -> Vocabulary<'static> {
    Vocabulary { specials: SPECIALS, size: SIZE, continues: &CONTINUES }
}

fn sequence(i: u64) -> Vec<u32> {
    let n = 20 + (i * 37 % 100) as u32;
    let mut tokens = vec![SPECIALS.cls];
    tokens.extend((0..n).map(|t| 5 + (t * 31 + i as u32) % (SIZE - 5)));
    tokens.push(SPECIALS.sep);
    tokens
}

fn masked_by(i: u64, spec: MaskSpec) -> (Vec<u32>, Vec<Masked>) {
    let mut tokens = sequence(i);
    let mut draws = Stream::new(Seed(5), Purpose::Mask, 0, i).draws();
    let masked = mask_tokens(&mut tokens, spec, vocabulary(), &mut draws);
    (tokens, masked)
}

fn masked(i: u64, ratio: f64) -> (Vec<u32>, Vec<Masked>) {
    masked_by(i, MaskSpec { ratio, ..MaskSpec::EVALUATION })
}

/// Labels are what stood there, each position is selected once, nothing else is touched.
fn check_labels(original: &[u32], tokens: &[u32], masked: &[Masked]) {
    assert!(masked.windows(2).all(|pair| pair[0].position < pair[1].position));
    for m in masked {
        assert_eq!(original[m.position as usize], m.label);
        assert!(m.label >= SPECIALS.first_ordinary);
        let shown = tokens[m.position as usize];
        match m.shown {
            Shown::Mask => assert_eq!(shown, SPECIALS.mask),
            Shown::Random => assert!((SPECIALS.first_ordinary..SIZE).contains(&shown)),
            Shown::Kept => assert_eq!(shown, m.label),
        }
    }
    let touched = |p: usize| masked.iter().any(|m| m.position as usize == p);
    assert!((0..tokens.len()).all(|p| touched(p) || tokens[p] == original[p]));
}

#[test]
fn exactly_the_asked_share_is_selected_and_never_a_special() {
    for i in 0..2000 {
        let original = sequence(i);
        let (tokens, masked) = masked(i, 0.15);
        let expected = (((original.len() - 2) as f64) * 0.15).round() as usize;
        assert_eq!(masked.len(), expected);
        check_labels(&original, &tokens, &masked);
    }
}

fn check_shares(all: &[Masked], expected: [f64; 3], tolerance: f64) {
    let n = all.len() as f64;
    for (shown, p) in [Shown::Mask, Shown::Random, Shown::Kept].into_iter().zip(expected) {
        let share = all.iter().filter(|m| m.shown == shown).count() as f64 / n;
        assert!((share - p).abs() < tolerance, "{shown:?}: {share}, not {p}");
    }
}

#[test]
fn the_dice_fall_80_10_10() {
    let all: Vec<Masked> = (0..5000).flat_map(|i| masked(i, 0.15).1).collect();
    check_shares(&all, [0.8, 0.1, 0.1], 4.0 * (0.16 / all.len() as f64).sqrt());
}

#[test]
fn a_higher_ratio_masks_a_superset() {
    for i in 0..500 {
        let places = |ratio| masked(i, ratio).1.iter().map(|m| m.position).collect::<std::collections::BTreeSet<_>>();
        assert!(places(0.15).is_subset(&places(0.4)));
    }
}

#[test]
fn whole_words_are_selected_whole_and_never_overshoot() {
    let spec = MaskSpec { ratio: 0.15, whole_word: true, ..MaskSpec::EVALUATION };
    let mut asked = 0;
    let mut selected = 0;
    for i in 0..2000 {
        let original = sequence(i);
        let (tokens, masked) = masked_by(i, spec);
        check_labels(&original, &tokens, &masked);
        let budget = count(0.15, original.len() - 2);
        assert!(!masked.is_empty() && masked.len() <= budget.max(2));
        let is_selected = |p: usize| masked.iter().any(|m| m.position as usize == p);
        for p in 1..original.len() - 1 {
            if p > 1 && CONTINUES[original[p] as usize] {
                assert_eq!(is_selected(p), is_selected(p - 1), "position {p} of {original:?}");
            }
        }
        asked += budget;
        selected += masked.len();
    }
    assert!(selected as f64 > 0.97 * asked as f64, "{selected} of {asked}");
}

#[test]
fn one_dice_a_word_shows_all_its_tokens_alike() {
    let masked = |i, dice| {
        let spec = MaskSpec { ratio: 0.3, whole_word: true, dice, ..MaskSpec::EVALUATION };
        masked_by(i, spec).1
    };
    let mut mixed = [0, 0];
    let mut all = Vec::new();
    for i in 0..3000 {
        for (which, dice) in [MaskDice::Word, MaskDice::Token].into_iter().enumerate() {
            let found = masked(i, dice);
            let neighbours = found
                .windows(2)
                .filter(|pair| pair[1].position == pair[0].position + 1 && CONTINUES[pair[1].label as usize]);
            mixed[which] += neighbours.filter(|pair| pair[0].shown != pair[1].shown).count();
            if which == 0 {
                all.extend(found);
            }
        }
        let places = |dice| masked(i, dice).iter().map(|m| m.position).collect::<Vec<_>>();
        assert_eq!(places(MaskDice::Word), places(MaskDice::Token), "the dice do not change what is selected");
    }
    assert!(mixed[0] == 0 && mixed[1] > 100, "{mixed:?}");
    check_shares(&all, [0.8, 0.1, 0.1], 0.01);
}

/// The shares that the original's code has on sequences of these lengths; on others it was measured at 59 to 61 % `[MASK]`,
/// 17 to 19 % random and 20 to 24 % kept, of 9 % where 10 % are asked.
#[test]
fn draws_with_replacement_miss_the_shares_as_the_original_does() {
    let spec = MaskSpec { ratio: 0.1, replacement: true, ..MaskSpec::EVALUATION };
    let mut all = Vec::new();
    let mut ordinary = 0;
    for i in 0..5000 {
        let original = sequence(i);
        let (tokens, masked) = masked_by(i, spec);
        check_labels(&original, &tokens, &masked);
        ordinary += original.len() - 2;
        all.extend(masked);
    }
    check_shares(&all, [0.590, 0.177, 0.233], 0.01);
    let selected = all.len() as f64 / ordinary as f64;
    assert!((0.094..0.098).contains(&selected), "{selected}");
}

#[test]
fn masking_copies_come_in_turn() {
    assert_eq!([0, 1, 2, 3].map(|e| mask_copy(Masking::Dynamic, e)), [0, 1, 2, 3]);
    assert_eq!([0, 1, 2, 3].map(|e| mask_copy(Masking::Static, e)), [0, 0, 0, 0]);
    assert_eq!([0, 1, 2, 3].map(|e| mask_copy(Masking::Copies(2), e)), [0, 1, 0, 1]);
}

#[test]
fn a_short_sequence_still_has_one_masked_token() {
    for (whole_word, replacement) in [(false, false), (true, false), (false, true)] {
        let spec = MaskSpec { whole_word, replacement, ..MaskSpec::EVALUATION };
        let masked = |mut tokens: Vec<u32>| {
            let mut draws = Stream::new(Seed(5), Purpose::Mask, 0, 0).draws();
            mask_tokens(&mut tokens, spec, vocabulary(), &mut draws).len()
        };
        assert_eq!(masked(vec![SPECIALS.cls, 10, SPECIALS.sep]), 1);
        assert_eq!(masked(vec![SPECIALS.cls, SPECIALS.sep]), 0);
    }
}
