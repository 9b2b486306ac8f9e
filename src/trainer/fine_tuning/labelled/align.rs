//! From the tags of characters to those of tokens, and back.
//!
//! A token has the tag of its first character (long8v/torch_study). On the way back the first character of a token tagged
//! `B-X` begins the entity and its other characters continue it; white space between two tokens belongs to an entity where
//! both sides of it do. What no token covers is outside of entities.

use std::ops::Range;

use super::tagged::kind;

/// The tag of each token: of the first of the characters that it covers.
pub fn tags_of_tokens(ranges: &[Range<usize>], of_characters: &[usize]) -> Vec<usize> {
    ranges.iter().map(|range| of_characters[range.start]).collect()
}

/// The tag of each character of `text`, from those of the tokens that cover `ranges` of it. Tags are numbers of `labels`,
/// of which the first is O.
pub fn tags_of_characters(
    text: &[char],
    ranges: &[Range<usize>],
    of_tokens: &[usize],
    labels: &[String],
) -> Vec<usize> {
    /// The number of O.
    const OUTSIDE: usize = 0;
    // `I-X` for each label that is part of an X.
    let inside = |tag: usize| {
        let kind = kind(&labels[tag])?;
        labels.iter().position(|label| label.strip_prefix("I-") == Some(kind))
    };
    let mut tags = vec![OUTSIDE; text.len()];
    let mut end_before = 0;
    for (range, &tag) in ranges.iter().zip(of_tokens).filter(|(range, _)| !range.is_empty()) {
        let goes_on = inside(tag) == Some(tag) && end_before > 0 && inside(tags[end_before - 1]) == Some(tag);
        let gap = end_before.min(range.start)..range.start;
        if goes_on && text[gap.clone()].iter().all(|character| character.is_whitespace()) {
            tags[gap].fill(tag);
        }
        // Where two tokens share characters, as the mark of a word's beginning does with the token after it, the later counts.
        for (place, of_character) in range.clone().zip(&mut tags[range.clone()]) {
            *of_character = if place == range.start { tag } else { inside(tag).unwrap_or(OUTSIDE) };
        }
        end_before = range.end.max(end_before);
    }
    tags
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels() -> Vec<String> {
        ["O", "B-A", "I-A", "B-B", "I-B"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_token_tags_all_its_characters_and_the_space_within_an_entity() {
        let text: Vec<char> = "김 철수는 서울".chars().collect();
        let ranges = [0..1, 2..4, 4..5, 6..8];
        let tags = tags_of_characters(&text, &ranges, &[1, 2, 0, 3], &labels());
        assert_eq!(tags, [1, 2, 2, 2, 0, 0, 3, 4]);
        // The space before another entity is outside.
        assert_eq!(tags_of_characters(&text, &ranges, &[1, 1, 0, 0], &labels()), [1, 0, 1, 2, 0, 0, 0, 0]);
        assert_eq!(tags_of_tokens(&ranges, &tags), [1, 2, 0, 3]);
        // What was cut off is outside, and so is everything where there is no token.
        assert_eq!(tags_of_characters(&text, &ranges[..1], &[1], &labels()), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(tags_of_characters(&text, &[], &[], &labels()), [0; 8]);
        // The mark of a word's beginning covers its first character, and so does the token after it.
        assert_eq!(tags_of_characters(&text[2..4], &[0..1, 0..2], &[1, 1], &labels()), [1, 2]);
        assert_eq!(tags_of_characters(&text[2..4], &[0..1, 0..2], &[0, 1], &labels()), [1, 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Entities that begin and end where tokens do come back as they were.
        #[test]
        fn there_and_back_is_the_same_at_token_borders(
            words in prop::collection::vec((prop::collection::vec(1usize..4, 1..4), 0usize..3, any::<bool>()), 1..8),
        ) {
            let (mut text, mut ranges, mut gold) = (Vec::new(), Vec::new(), Vec::new());
            for (tokens, kind, is_marked) in &words {
                if !text.is_empty() {
                    text.push(' ');
                    gold.push(0);
                }
                if *is_marked {
                    ranges.push(text.len()..text.len() + 1);
                }
                for (t, length) in tokens.iter().enumerate() {
                    ranges.push(text.len()..text.len() + length);
                    for c in 0..*length {
                        text.push('가');
                        let begins = t == 0 && c == 0;
                        gold.push(if *kind == 0 { 0 } else { 2 * kind - usize::from(begins) });
                    }
                }
            }
            let of_tokens = tags_of_tokens(&ranges, &gold);
            prop_assert_eq!(tags_of_characters(&text, &ranges, &of_tokens, &labels()), gold);
        }
    }
}
