//! "Did you mean": the nearest right name to a wrong one.
//!
//! Distance is edits of one character, an exchange of neighbours counting as one (optimal string alignment). A name is
//! near when one edit apart, or when at most a third of it differs.

use super::keys;

/// The nearest of `candidates` to `word`, when one is near; the first of several that are equally near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let with_distance = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let (distance, best) = with_distance.min_by_key(|(distance, _)| *distance)?;
    is_near(distance, word).then_some(best)
}

/// The key that `path` probably means: the nearest by its last part, in the same section before any other, or by the
/// whole path, for when the mistake is in the section. Of two that are as near, it is the one that is not `given` already.
pub fn nearest_key(path: &str, given: &[&str]) -> Option<&'static str> {
    let (section, leaf) = path.rsplit_once('.').unwrap_or(("", path));
    // By rank, then by heading (right, mistaken, another), then by the whole path; the distance is for the verdict.
    let score = |name: &'static str| {
        let (its_section, its_leaf) = name.rsplit_once('.').unwrap_or(("", name));
        let (whole, by_leaf) = (distance(path, name), distance(leaf, its_leaf));
        // A short leaf says too little alone.
        let is_misplaced = by_leaf < whole && (by_leaf == 0 || its_leaf.len() > 3);
        if its_section == section {
            // One edit under the right heading is as good as the very word under another.
            (by_leaf.saturating_sub(1), 0, whole, by_leaf)
        } else if is_misplaced {
            (by_leaf, 2, whole, by_leaf)
        } else {
            (whole, 1, whole, whole)
        }
    };
    let scored = keys::all().map(|key| (score(key.name), key.name));
    let ((_, _, _, distance), name) = scored.min_by_key(|(score, name)| (*score, given.contains(name)))?;
    is_near(distance, leaf).then_some(name)
}

fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(&a.to_lowercase(), &b.to_lowercase())
}

fn is_near(distance: usize, word: &str) -> bool {
    distance <= (word.chars().count() / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_section_comes_first() {
        assert_eq!(nearest_key("objective.mask_ration", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("schedule.kin", &[]), Some("schedule.kind"));
        assert_eq!(nearest_key("sweep.replicates.seed", &[]), Some("sweep.replicates.seeds"));
        assert_eq!(nearest_key("optimizer.kin", &[]), Some("optimizer.kind"));
        assert_eq!(nearest_key("demo.mask_ratio", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("train.lr", &[]), Some("optimizer.lr"));
        assert_eq!(nearest_key("mask_ratio", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("objectve.mask_ratio", &[]), Some("objective.mask_ratio"));
        assert_eq!(nearest_key("chedule.kind", &[]), Some("schedule.kind"));
        assert_eq!(nearest_key("finetune.tast", &[]), Some("finetune.task"));
        assert_eq!(nearest_key("finetune.tast", &["finetune.task"]), Some("finetune.test"));
        assert_eq!(nearest_key("model.colour_of_the_sky", &[]), None);
    }
}
