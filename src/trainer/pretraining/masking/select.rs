//! Other ways to select tokens than one by one without replacement.

use std::collections::BTreeSet;

use super::{MaskSpec, Masked, Shown, Vocabulary, show};
use crate::trainer::rng::Draws;

/// The words among the ordinary tokens at `positions`, which ascend: neighbours of which the later continues the word.
pub(super) fn words(tokens: &[u32], positions: &[u32], vocabulary: Vocabulary<'_>) -> Vec<Vec<u32>> {
    let mut words: Vec<Vec<u32>> = Vec::new();
    for &position in positions {
        let continues = vocabulary.is_continuation(tokens[position as usize]);
        match words.last_mut() {
            Some(word) if continues && word.last() == Some(&position.wrapping_sub(1)) => word.push(position),
            _ => words.push(vec![position]),
        }
    }
    words
}

/// Words in random order until `count` tokens are selected; a word that would overshoot is skipped (google-research/bert
/// `create_masked_lm_predictions`, and the AIFFEL course after it). Where every word overshoots, the first is taken.
pub(super) fn whole_words(mut words: Vec<Vec<u32>>, count: usize, draws: &mut Draws) -> Vec<Vec<u32>> {
    draws.shuffle(&mut words);
    let mut selected = Vec::new();
    let mut left = count;
    for word in &words {
        if word.len() <= left {
            left -= word.len();
            selected.push(word.clone());
        }
    }
    if selected.is_empty() {
        selected.extend(words.into_iter().next());
    }
    selected
}

/// What long8v/torch_study does with `random.choices`: positions are drawn with replacement, of those the masked ones
/// with replacement again, and of the rest the random ones too. Fewer tokens are selected than asked, and of the selected
/// about 60 % are shown as `[MASK]` where 80 % are asked.
pub(super) fn with_replacement(
    tokens: &mut [u32],
    positions: &[u32],
    spec: MaskSpec,
    vocabulary: Vocabulary<'_>,
    draws: &mut Draws,
) -> Vec<Masked> {
    let selected = choices(positions, spec.ratio, draws).collect::<Vec<u32>>();
    let selected =
        if selected.is_empty() { vec![positions[draws.below(positions.len() as u32) as usize]] } else { selected };
    let masked: BTreeSet<u32> = choices(&selected, spec.mask_token_prob, draws).collect();
    let distinct: BTreeSet<u32> = selected.into_iter().collect();
    let rest: Vec<u32> = distinct.difference(&masked).copied().collect();
    let share = share_of_rest(spec);
    let random: BTreeSet<u32> = choices(&rest, share, draws).collect();
    let how = |position: &u32| match (masked.contains(position), random.contains(position)) {
        (true, _) => Shown::Mask,
        (_, true) => Shown::Random,
        _ => Shown::Kept,
    };
    let mut show_token = |position: u32| {
        let replacement = vocabulary.random_token(draws);
        show(tokens, position, how(&position), replacement, vocabulary)
    };
    distinct.iter().map(|&position| show_token(position)).collect()
}

/// The share of random tokens among those that are not shown as `[MASK]`: 0.5 where 80 / 10 / 10 is asked, and exactly
/// that, since it is multiplied with small numbers and rounded.
fn share_of_rest(spec: MaskSpec) -> f64 {
    let rest = 1.0 - spec.mask_token_prob;
    if rest > 0.0 { (spec.random_token_prob / rest * 1e9).round() / 1e9 } else { 0.0 }
}

/// Python's `random.choices(list, k=round(len(list) * share))`.
fn choices<'a>(list: &'a [u32], share: f64, draws: &'a mut Draws) -> impl Iterator<Item = u32> + 'a {
    let count = (list.len() as f64 * share).round_ties_even() as usize;
    (0..count).map(|_| list[draws.below(list.len() as u32) as usize])
}
