//! Masking: which tokens of an instance are predicted, and what the model sees in their place.
//!
//! Exactly `round(ratio * ordinary tokens)` positions are selected, at least one, without replacement and never a special
//! token; each is shown as `[MASK]`, as a random ordinary token, or as it is (Devlin et al. 2019: 80 / 10 / 10). Positions
//! are the first of one random order, so a higher ratio masks a superset of what a lower one masks under the same draws.
//! Whole words, and the draws with replacement of one of the reference systems, are in [`select`].

mod select;

#[cfg(test)]
mod tests;

use crate::plan::{MaskDice, Masking, ObjectiveSpec};
use crate::trainer::rng::Draws;
use crate::trainer::tokenizer::SpecialIds;

/// How an instance is masked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaskSpec {
    /// The share of ordinary tokens that are selected.
    pub ratio: f64,
    /// Of the selected, the share shown as `[MASK]`.
    pub mask_token_prob: f64,
    /// Of the selected, the share shown as a random token.
    pub random_token_prob: f64,
    /// Whether words are selected as a whole.
    pub whole_word: bool,
    /// Whether one dice decides how a whole word is shown, or one each of its tokens.
    pub dice: MaskDice,
    /// Whether positions are drawn with replacement.
    pub replacement: bool,
}

impl MaskSpec {
    /// What every evaluation uses, whatever the run trains with: BERT's 15 % of single tokens and 80 / 10 / 10.
    pub const EVALUATION: Self = Self {
        ratio: 0.15,
        mask_token_prob: 0.8,
        random_token_prob: 0.1,
        whole_word: false,
        dice: MaskDice::Token,
        replacement: false,
    };

    /// What the run trains with.
    pub fn of(objective: &ObjectiveSpec) -> Self {
        Self {
            ratio: objective.mask_ratio,
            mask_token_prob: objective.mask_token_prob,
            random_token_prob: objective.random_token_prob,
            whole_word: objective.whole_word,
            dice: objective.mask_dice,
            replacement: objective.mask_replacement,
        }
    }
}

/// What masking must know of the tokenizer.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    pub specials: SpecialIds,
    /// Entries; every id is below.
    pub size: u32,
    /// Of each id, whether it continues the word of the token before it. Without it every token is a word.
    pub continues: &'a [bool],
}

impl Vocabulary<'_> {
    fn is_ordinary(&self, id: u32) -> bool {
        id >= self.specials.first_ordinary
    }

    fn is_continuation(&self, id: u32) -> bool {
        self.continues.get(id as usize).copied().unwrap_or(false)
    }

    fn random_token(&self, draws: &mut Draws) -> u32 {
        self.specials.first_ordinary + draws.below(self.size - self.specials.first_ordinary)
    }
}

/// Which of an instance's masks is used in `epoch`: the first coordinate of [`Purpose::Mask`](crate::trainer::rng::Purpose::Mask).
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
pub fn mask_tokens(tokens: &mut [u32], spec: MaskSpec, vocabulary: Vocabulary<'_>, draws: &mut Draws) -> Vec<Masked> {
    let is_ordinary = |position: &u32| vocabulary.is_ordinary(tokens[*position as usize]);
    let mut positions: Vec<u32> = (0..tokens.len() as u32).filter(is_ordinary).collect();
    if positions.is_empty() {
        return Vec::new();
    }
    let mut masked = if spec.replacement {
        select::with_replacement(tokens, &positions, spec, vocabulary, draws)
    } else if spec.whole_word {
        let words = select::words(tokens, &positions, vocabulary);
        select::whole_words(words, count(spec.ratio, positions.len()), draws)
            .into_iter()
            .flat_map(|word| show_word(tokens, &word, spec, vocabulary, draws))
            .collect()
    } else {
        let count = count(spec.ratio, positions.len());
        for i in 0..count {
            let j = i + draws.below((positions.len() - i) as u32) as usize;
            positions.swap(i, j);
        }
        show_word(tokens, &positions[..count], MaskSpec { dice: MaskDice::Token, ..spec }, vocabulary, draws)
    };
    masked.sort_by_key(|m| m.position);
    masked
}

/// How many of `n` ordinary tokens are selected.
fn count(ratio: f64, n: usize) -> usize {
    ((n as f64 * ratio).round() as usize).max(1).min(n)
}

/// Rolls the dice for the tokens at `positions`. Every draw is made whatever the settings, so that cells of a sweep that
/// differ in them draw alike.
fn show_word(
    tokens: &mut [u32],
    positions: &[u32],
    spec: MaskSpec,
    vocabulary: Vocabulary<'_>,
    draws: &mut Draws,
) -> Vec<Masked> {
    let mut first = None;
    let mut show_token = |&position: &u32| {
        let own = draws.unit();
        let dice = match spec.dice {
            MaskDice::Token => own,
            MaskDice::Word => *first.get_or_insert(own),
        };
        let replacement = vocabulary.random_token(draws);
        let shown = if dice < spec.mask_token_prob {
            Shown::Mask
        } else if dice < spec.mask_token_prob + spec.random_token_prob {
            Shown::Random
        } else {
            Shown::Kept
        };
        show(tokens, position, shown, replacement, vocabulary)
    };
    positions.iter().map(&mut show_token).collect()
}

/// Puts in the place of a token what the model is to see.
fn show(tokens: &mut [u32], position: u32, shown: Shown, replacement: u32, vocabulary: Vocabulary<'_>) -> Masked {
    let token = &mut tokens[position as usize];
    let label = *token;
    match shown {
        Shown::Mask => *token = vocabulary.specials.mask,
        Shown::Random => *token = replacement,
        Shown::Kept => {}
    }
    Masked { position, label, shown }
}
