//! The copy floor: the best that can be done on masked tokens without any context.
//!
//! Of what is selected, BERT shows a tenth as it is and another as a random token (Devlin et al. 2019, section 3.1). Whoever
//! knows how often tokens occur, and nothing else, guesses behind `[MASK]` by frequency, and by Bayes' rule where a token s is
//! shown: it is the answer with probability
//!
//! ```text
//! P(s | s shown) = (k p(s) + r p(s) / V) / (k p(s) + r / V)
//! P(y | s shown) = (r p(y) / V)          / (k p(s) + r / V)      for every other y
//! ```
//!
//! with p the shares of the V ordinary tokens of the held-out text, k the share of the selected that is kept, r the share that
//! is replaced. A loss above this floor shows no trace of context, and most of what lies between it and the unigram entropy
//! is had by repeating what is there.

use serde_json::json;

use super::masking::MaskSpec;
use super::unigrams;
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::recorder::{RecordError, Recorder};
use crate::trainer::tokenizer::SpecialIds;
use crate::types::metrics;

/// What copying scores on questions that are masked in one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Copying {
    /// The mean loss, nats a selected token.
    pub loss: f64,
    /// The standard deviation of the loss over selected tokens.
    pub spread: f64,
    /// Of those that are not behind `[MASK]`, the share that it gets right.
    pub accuracy_shown: f64,
    /// The share of the most frequent token: what guessing it gets right behind `[MASK]`.
    pub most_frequent: f64,
}

impl Copying {
    /// What copying scores on evaluations of `held_out`, under a vocabulary of `vocab`.
    pub fn on<D: TokenDocuments + ?Sized>(held_out: &D, specials: SpecialIds, vocab: usize) -> Self {
        let counts = unigrams::counts(held_out, vocab);
        Self::of(&counts[specials.first_ordinary as usize..], MaskSpec::EVALUATION)
    }

    /// Records the floors that are no neighbours' business.
    pub fn record(&self, recorder: &mut dyn Recorder) -> Result<(), RecordError> {
        recorder.fact(metrics::COPYING.fact, json!(self.loss))?;
        recorder.fact(metrics::COPY_SPREAD, json!(self.spread))?;
        recorder.fact(metrics::MOST_FREQUENT.fact, json!(self.most_frequent))
    }

    /// The closed form for ordinary tokens that occur `counts` times.
    pub fn of(counts: &[u64], mask: MaskSpec) -> Self {
        let (n, all) = (counts.len() as f64, counts.iter().sum::<u64>() as f64);
        let shares: Vec<f64> = counts.iter().map(|&count| count as f64 / all).collect();
        let there = || shares.iter().copied().filter(|&p| p > 0.0);
        let (hidden, replaced) = (mask.mask_token_prob, mask.random_token_prob);
        // A rounding of 1 - 0.9 - 0.1 is nothing that is kept.
        let kept = if hidden + replaced < 1.0 - 1e-9 { 1.0 - hidden - replaced } else { 0.0 };
        let most_frequent = shares.iter().copied().fold(0.0, f64::max);
        let right = |p: f64| kept * p + replaced * p / n;
        let shown = |p: f64| kept * p + replaced / n;

        // First and second moments of the loss, by how the answer is shown.
        let of_mask = moments(there().map(|p| (p, -libm::log(p))));
        let of_kept = if kept > 0.0 {
            moments(there().map(|p| (p, libm::log(shown(p)) - libm::log(right(p)))))
        } else {
            [0.0; 2]
        };
        let mut of_replaced = [0.0; 2];
        if replaced > 0.0 {
            let sums = moments(shares.iter().map(|&p| (1.0 / n, libm::log(shown(p)))));
            let answers = moments(there().map(|p| (p, libm::log(replaced * p / n))));
            // Now and then the random token is the answer.
            let by_chance = there().map(|p| p / n * (libm::log(right(p)) - libm::log(replaced * p / n))).sum::<f64>();
            of_replaced = [sums[0] - answers[0] - by_chance, sums[1] - 2.0 * sums[0] * answers[0] + answers[1]];
        }
        let mean = |i: usize| hidden * of_mask[i] + kept * of_kept[i] + replaced * of_replaced[i];

        let is_repeated = |p: f64| right(p) >= replaced / n * most_frequent;
        let kept_right: f64 = there().filter(|&p| is_repeated(p)).sum();
        let replaced_right: f64 =
            shares.iter().map(|&p| if is_repeated(p) { p } else { most_frequent }).sum::<f64>() / n;
        let visible = kept + replaced;
        let accuracy_shown =
            if visible > 0.0 { (kept * kept_right + replaced * replaced_right) / visible } else { f64::NAN };
        let spread = (mean(1) - mean(0) * mean(0)).max(0.0).sqrt();
        Self { loss: mean(0), spread, accuracy_shown, most_frequent }
    }
}

/// The mean and the mean square of values with these weights.
fn moments(values: impl Iterator<Item = (f64, f64)>) -> [f64; 2] {
    values.fold([0.0; 2], |[mean, square], (weight, value)| [mean + weight * value, square + weight * value * value])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(mask_token_prob: f64, random_token_prob: f64) -> MaskSpec {
        MaskSpec { mask_token_prob, random_token_prob, ..MaskSpec::EVALUATION }
    }

    /// Every answer beside every token that may be shown, as a table: the best guess for what is shown is read off it.
    #[test]
    fn the_closed_form_is_bayes_rule_over_a_table() {
        for counts in [vec![5, 3, 2], vec![1; 7], vec![90, 1, 0, 1], vec![1000, 400, 300, 2, 1, 0, 7]] {
            for mask in [mask(0.8, 0.1), mask(0.5, 0.3), mask(1.0, 0.0), mask(0.6, 0.0), mask(0.9, 0.1)] {
                let (n, all) = (counts.len(), counts.iter().sum::<u64>() as f64);
                let p = |y: usize| counts[y] as f64 / all;
                let kept = ((1.0 - mask.mask_token_prob - mask.random_token_prob) * 1e9).round() / 1e9;
                // joint[s][y]: the answer is y and s is shown; the last s is [MASK].
                let joint = |s: usize, y: usize| {
                    if s == n {
                        return mask.mask_token_prob * p(y);
                    }
                    let same = if s == y { kept * p(y) } else { 0.0 };
                    same + mask.random_token_prob * p(y) / n as f64
                };
                let (mut loss, mut right) = (0.0, 0.0);
                for s in 0..=n {
                    let total: f64 = (0..n).map(|y| joint(s, y)).sum();
                    let terms = (0..n).map(|y| joint(s, y)).filter(|&j| j > 0.0);
                    loss -= terms.map(|j| j * (j / total).ln()).sum::<f64>();
                    if s < n {
                        right += (0..n).map(|y| joint(s, y)).fold(0.0, f64::max);
                    }
                }
                let found = Copying::of(&counts, mask);
                assert!((found.loss - loss).abs() < 1e-12, "{counts:?} {mask:?}: {} not {loss}", found.loss);
                let visible = 1.0 - mask.mask_token_prob;
                if visible > 1e-9 {
                    assert!((found.accuracy_shown - right / visible).abs() < 1e-12, "{counts:?} {mask:?}");
                }
            }
        }
    }

    /// Where all is hidden, copying is worth nothing: the floor is the unigram entropy, its spread that of -ln p.
    #[test]
    fn without_anything_shown_it_is_the_unigram_entropy() {
        let found = Copying::of(&[2, 1, 1], mask(1.0, 0.0));
        let entropy = 1.5 * std::f64::consts::LN_2;
        assert!((found.loss - entropy).abs() < 1e-12);
        assert!((found.spread - 0.5 * std::f64::consts::LN_2).abs() < 1e-12);
        assert_eq!(found.most_frequent, 0.5);
        // Of a thousand equal tokens the shown one is the answer half the time.
        let found = Copying::of(&[1; 1000], MaskSpec::EVALUATION);
        let unigram = 1000f64.ln();
        assert!((found.loss - (0.8 * unigram + 0.2 * (0.5 * unigram + std::f64::consts::LN_2))).abs() < 0.002);
        assert!((found.accuracy_shown - 0.5).abs() < 0.001);
    }
}
