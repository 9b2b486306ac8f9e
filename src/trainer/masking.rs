//! Masking: which tokens of an instance are predicted, and what the model sees in their place.
//!
//! Exactly `round(ratio * ordinary tokens)` positions are selected, at least one, without replacement and never a special
//! token; each is shown as `[MASK]`, as a random ordinary token, or as it is (Devlin et al. 2019: 80 / 10 / 10). Positions
//! are the first of one random order, so a higher ratio masks a superset of what a lower one masks under the same draws.

use super::instance::SpecialIds;
use super::rng::Draws;
use crate::plan::{Masking, ObjectiveSpec};

/// Shares of a mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskSpec {
    /// The share of ordinary tokens that are selected.
    pub ratio: f64,
    /// Of the selected, the share shown as `[MASK]`.
    pub mask_token_prob: f64,
    /// Of the selected, the share shown as a random token.
    pub random_token_prob: f64,
}

impl MaskSpec {
    /// What every evaluation uses, whatever the run trains with: BERT's 15 % and 80 / 10 / 10.
    pub const EVALUATION: Self = Self { ratio: 0.15, mask_token_prob: 0.8, random_token_prob: 0.1 };

    /// What the run trains with.
    pub fn of(objective: &ObjectiveSpec) -> Self {
        Self {
            ratio: objective.mask_ratio,
            mask_token_prob: objective.mask_token_prob,
            random_token_prob: objective.random_token_prob,
        }
    }
}

/// Which of an instance's masks is used in `epoch`: the first coordinate of [`Purpose::Mask`](super::rng::Purpose::Mask).
pub fn mask_copy(masking: Masking, epoch: u64) -> u64 {
    match masking {
        Masking::Dynamic => epoch,
        Masking::Static => 0,
        Masking::Copies(copies) => epoch % u64::from(copies),
    }
}

/// What the model sees in place of a selected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    Mask,
    Random,
    Kept,
}

/// A selected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masked {
    pub position: u32,
    /// The token that stood there: what the model has to predict.
    pub label: u32,
    pub shown: Shown,
}

/// Masks `tokens` in place; returns the selected tokens in the order of their positions.
pub fn mask_tokens(
    tokens: &mut [u32],
    spec: MaskSpec,
    specials: SpecialIds,
    vocab: u32,
    draws: &mut Draws,
) -> Vec<Masked> {
    let is_ordinary = |position: &u32| tokens[*position as usize] >= specials.first_ordinary;
    let mut positions: Vec<u32> = (0..tokens.len() as u32).filter(is_ordinary).collect();
    let count = ((positions.len() as f64 * spec.ratio).round() as usize).max(1).min(positions.len());
    for i in 0..count {
        let j = i + draws.below((positions.len() - i) as u32) as usize;
        positions.swap(i, j);
    }
    let mut masked: Vec<Masked> = positions[..count]
        .iter()
        .map(|&position| {
            let dice = draws.unit();
            let replacement = specials.first_ordinary + draws.below(vocab - specials.first_ordinary);
            let token = &mut tokens[position as usize];
            let label = *token;
            let shown = if dice < spec.mask_token_prob {
                *token = specials.mask;
                Shown::Mask
            } else if dice < spec.mask_token_prob + spec.random_token_prob {
                *token = replacement;
                Shown::Random
            } else {
                Shown::Kept
            };
            Masked { position, label, shown }
        })
        .collect();
    masked.sort_by_key(|m| m.position);
    masked
}

#[cfg(test)]
mod tests {
    use super::super::instance::tests::SPECIALS;
    use super::super::rng::{Purpose, Stream};
    use super::*;
    use crate::types::Seed;

    const VOCAB: u32 = 1000;

    fn sequence(i: u64) -> Vec<u32> {
        let n = 20 + (i * 37 % 100) as u32;
        let mut tokens = vec![SPECIALS.cls];
        tokens.extend((0..n).map(|t| 5 + (t * 31 + i as u32) % (VOCAB - 5)));
        tokens.push(SPECIALS.sep);
        tokens
    }

    fn masked(i: u64, ratio: f64) -> (Vec<u32>, Vec<Masked>) {
        let mut tokens = sequence(i);
        let mut draws = Stream::new(Seed(5), Purpose::Mask, 0, i).draws();
        let spec = MaskSpec { ratio, ..MaskSpec::EVALUATION };
        let masked = mask_tokens(&mut tokens, spec, SPECIALS, VOCAB, &mut draws);
        (tokens, masked)
    }

    #[test]
    fn exactly_the_asked_share_is_selected_and_never_a_special() {
        for i in 0..2000 {
            let original = sequence(i);
            let (tokens, masked) = masked(i, 0.15);
            let expected = (((original.len() - 2) as f64) * 0.15).round() as usize;
            assert_eq!(masked.len(), expected);
            for m in &masked {
                assert_eq!(original[m.position as usize], m.label);
                assert!(m.label >= SPECIALS.first_ordinary);
                let shown = tokens[m.position as usize];
                match m.shown {
                    Shown::Mask => assert_eq!(shown, SPECIALS.mask),
                    Shown::Random => assert!((SPECIALS.first_ordinary..VOCAB).contains(&shown)),
                    Shown::Kept => assert_eq!(shown, m.label),
                }
            }
            let touched = |p: usize| masked.iter().any(|m| m.position as usize == p);
            assert!((0..tokens.len()).all(|p| touched(p) || tokens[p] == original[p]));
        }
    }

    #[test]
    fn the_dice_fall_80_10_10() {
        let all: Vec<Masked> = (0..5000).flat_map(|i| masked(i, 0.15).1).collect();
        let n = all.len() as f64;
        for (shown, p) in [(Shown::Mask, 0.8), (Shown::Random, 0.1), (Shown::Kept, 0.1)] {
            let count = all.iter().filter(|m| m.shown == shown).count() as f64;
            assert!((count - p * n).abs() < 4.0 * (p * (1.0 - p) * n).sqrt(), "{shown:?}: {count} of {n}");
        }
    }

    #[test]
    fn masking_copies_come_in_turn() {
        assert_eq!([0, 1, 2, 3].map(|e| mask_copy(Masking::Dynamic, e)), [0, 1, 2, 3]);
        assert_eq!([0, 1, 2, 3].map(|e| mask_copy(Masking::Static, e)), [0, 0, 0, 0]);
        assert_eq!([0, 1, 2, 3].map(|e| mask_copy(Masking::Copies(2), e)), [0, 1, 0, 1]);
    }

    #[test]
    fn a_short_sequence_still_has_one_masked_token() {
        let mut draws = Stream::new(Seed(5), Purpose::Mask, 0, 0).draws();
        let mut tokens = vec![SPECIALS.cls, 9, SPECIALS.sep];
        assert_eq!(mask_tokens(&mut tokens, MaskSpec::EVALUATION, SPECIALS, VOCAB, &mut draws).len(), 1);
    }
}
