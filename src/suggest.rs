//! "Did you mean": the nearest right name to a wrong one, by one distance for keys, words, queries and run ids.
//!
//! Distance is edits of one character, an exchange of neighbours counting as one (optimal string alignment). A name is
//! near when one edit apart, or when at most a third of it differs.

/// The nearest of `candidates` to `word`, when one is near; the first of several that are equally near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    nearest_named(word, candidates.into_iter().map(|candidate| (candidate, candidate)))
}

/// [`nearest`] among names of things: a thing may go by several.
pub fn nearest_named<'c, T>(word: &str, named: impl IntoIterator<Item = (&'c str, T)>) -> Option<T> {
    let with_distance = named.into_iter().map(|(name, thing)| (distance(word, name), thing));
    let (distance, best) = with_distance.min_by_key(|(distance, _)| *distance)?;
    is_near(distance, word).then_some(best)
}

/// Edits between two names, whatever their case.
pub fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(&a.to_lowercase(), &b.to_lowercase())
}

/// Whether a name so many edits away from `word` may have been meant.
pub fn is_near(distance: usize, word: &str) -> bool {
    distance <= (word.chars().count() / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_suggested_and_nothing_else() {
        assert_eq!(nearest("adamW", ["adam", "adamw", "lamb"]), Some("adamw"));
        assert_eq!(nearest("liner", ["linear", "cosine"]), Some("linear"));
        assert_eq!(nearest("ilnear", ["cosine", "linear"]), Some("linear"));
        assert_eq!(nearest("sawtooth", ["linear", "cosine"]), None);
        assert_eq!(nearest("x", []), None);
        let both = [("objective.mask_ratio", 1), ("mask_ratio", 1), ("model.hidden_size", 2)];
        assert_eq!(nearest_named("mask_ration", both), Some(1));
    }
}
