//! Unigrams: how often each token occurs in a text.

use crate::trainer::corpus::TokenDocuments;

/// How often each id of a vocabulary of `vocab` occurs.
pub(super) fn counts<D: TokenDocuments + ?Sized>(text: &D, vocab: usize) -> Vec<u64> {
    let (mut counts, mut sentence) = (vec![0; vocab], Vec::new());
    for number in (0..text.documents()).flat_map(|document| text.sentences(document)) {
        sentence.clear();
        text.read_sentence(number, &mut sentence);
        sentence.iter().for_each(|&token| counts[token as usize] += 1);
    }
    counts
}

/// The logarithm of each ordinary token's share, every one counted once more than it occurs. Special tokens are never asked
/// for: they have the smallest of all.
pub(super) fn log_shares(counts: &[u64], first_ordinary: u32) -> Vec<f32> {
    let first = first_ordinary as usize;
    let all: u64 = counts[first..].iter().map(|count| count + 1).sum();
    let log_share = |count: u64| libm::log((count + 1) as f64 / all as f64) as f32;
    let place = |(id, &count): (usize, &u64)| if id < first { log_share(0) } else { log_share(count) };
    counts.iter().enumerate().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::pretraining::instance::tests::Toy;

    #[test]
    fn every_token_is_counted_and_shares_add_up() {
        let text = Toy(vec![vec![vec![5, 6, 6], vec![7]], vec![vec![6, 9]]]);
        let found = counts(&text, 10);
        assert_eq!(found, [0, 0, 0, 0, 0, 1, 3, 1, 0, 1]);
        let shares = log_shares(&found, 5);
        let sum: f64 = shares[5..].iter().map(|&x| f64::from(x).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert!((f64::from(shares[6]) - (4.0f64 / 11.0).ln()).abs() < 1e-6);
        assert!(shares[..5].iter().all(|&x| (f64::from(x) - (1.0f64 / 11.0).ln()).abs() < 1e-6));
    }
}
