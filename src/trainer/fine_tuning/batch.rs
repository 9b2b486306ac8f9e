//! Labelled examples laid end to end, as the model computes them.

use std::ops::Range;
use std::sync::Arc;

use super::examples::{Answer, Example};
use crate::trainer::model::Tokens;
use crate::trainer::sequences::Sequences;

/// Examples laid end to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub tokens: Tokens,
    /// The class of each example, or the tag of each row of `words`.
    pub answers: Vec<i32>,
    /// The rows of each example without its special tokens.
    pub words: Vec<Range<usize>>,
}

/// Lays examples end to end.
pub fn collate<'e>(examples: impl IntoIterator<Item = &'e Example>) -> Batch {
    let examples: Vec<&Example> = examples.into_iter().collect();
    let sequences = Arc::new(Sequences::new(examples.iter().map(|example| example.ids.len())));
    let answers = examples.iter().flat_map(|example| match &example.answer {
        Answer::Class(class) => vec![*class as i32],
        Answer::Tags(tags) => tags.of_tokens.iter().map(|&tag| tag as i32).collect(),
    });
    Batch {
        answers: answers.collect(),
        words: (0..sequences.len()).map(|b| sequences.rows_of(b)).map(|rows| rows.start + 1..rows.end - 1).collect(),
        tokens: Tokens {
            ids: examples.iter().flat_map(|example| example.ids.iter().copied()).collect(),
            segments: examples.iter().flat_map(|example| example.segments.iter().copied()).collect(),
            sequences,
        },
    }
}

/// The tag of every row; 0 at special tokens, which nothing reads.
pub fn row_tags(batch: &Batch) -> Vec<i32> {
    let mut tags = vec![0; batch.tokens.sequences.rows()];
    let rows = batch.words.iter().flat_map(|rows| rows.clone());
    rows.zip(&batch.answers).for_each(|(row, tag)| tags[row] = *tag);
    tags
}

/// The words of the examples that have any.
pub fn full_words(batch: &Batch) -> Vec<Range<usize>> {
    batch.words.iter().filter(|rows| !rows.is_empty()).cloned().collect()
}
