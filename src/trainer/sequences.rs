//! Sequences of different lengths laid end to end: how a batch lies in memory, without a single token of padding.
//!
//! A *row* is one token of the batch; the rows of sequence `b` follow those of `b - 1`. Everything but attention works
//! row by row and never asks which sequence a row belongs to. Attention is block-diagonal: each sequence attends to itself,
//! at its own length.

use std::ops::Range;

/// The rows of a sequence's score matrices are padded to this, so that each begins at a whole block of the dropout stream.
const SCORE_ALIGNMENT: usize = 8;

/// Where each sequence of a batch lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequences {
    /// The first row of each sequence, and at the end the number of rows.
    starts: Vec<usize>,
    /// The first score of each sequence for a model with one head, and at the end the number of scores.
    scores: Vec<usize>,
}

impl Sequences {
    /// Sequences of these lengths, end to end.
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let (mut starts, mut scores) = (vec![0], vec![0]);
        for length in lengths {
            starts.push(starts[starts.len() - 1] + length);
            scores.push(scores[scores.len() - 1] + length * score_stride(length));
        }
        Self { starts, scores }
    }

    /// The number of sequences.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no sequence at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of rows: tokens in all sequences together.
    pub fn rows(&self) -> usize {
        self.starts[self.len()]
    }

    /// The first row of each sequence, and at the end the number of rows.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The rows of sequence `b`.
    pub fn rows_of(&self, b: usize) -> Range<usize> {
        self.starts[b]..self.starts[b + 1]
    }

    /// Tokens in sequence `b`.
    pub fn length(&self, b: usize) -> usize {
        self.rows_of(b).len()
    }

    /// Tokens in each sequence.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.starts.windows(2).map(|pair| pair[1] - pair[0])
    }

    /// Tokens in the longest sequence; 0 where there is none.
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }

    /// The position of each row within its sequence.
    pub fn positions(&self) -> Vec<u32> {
        self.lengths().flat_map(|length| 0..length as u32).collect()
    }

    /// The first score of each sequence for a model with one head, and at the end the number of scores. With `h` heads
    /// every number is `h` times as large.
    pub fn scores(&self) -> &[usize] {
        &self.scores
    }

    /// Scores from one row of a score matrix of sequence `b` to the next: its length rounded up to whole blocks.
    pub fn score_stride(&self, b: usize) -> usize {
        score_stride(self.length(b))
    }

    /// The first score of `head` (of `heads`) of sequence `b`; score (i, j) follows after `i * stride + j`. This numbering is
    /// also that of the dropout of attention probabilities.
    pub fn first_score(&self, b: usize, head: usize, heads: usize) -> usize {
        self.scores[b] * heads + head * self.length(b) * self.score_stride(b)
    }
}

fn score_stride(length: usize) -> usize {
    length.next_multiple_of(SCORE_ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_scores_are_numbered_once_without_a_gap() {
        for lengths in [vec![], vec![1], vec![5, 16, 0, 8], vec![128; 9], (1..40).collect()] {
            let sequences = Sequences::new(lengths.iter().copied());
            assert_eq!(sequences.lengths().collect::<Vec<_>>(), lengths);
            assert_eq!(sequences.rows(), lengths.iter().sum::<usize>());
            assert_eq!((0..sequences.len()).flat_map(|b| sequences.rows_of(b)).count(), sequences.rows());
            assert_eq!(sequences.positions().len(), sequences.rows());
            for heads in [1, 3] {
                let mut next = 0;
                for (b, head) in (0..sequences.len()).flat_map(|b| (0..heads).map(move |head| (b, head))) {
                    assert_eq!(sequences.first_score(b, head, heads), next);
                    assert!(next % SCORE_ALIGNMENT == 0 && sequences.score_stride(b) >= lengths[b]);
                    next += lengths[b] * sequences.score_stride(b);
                }
                assert_eq!(next, heads * sequences.scores()[sequences.len()]);
            }
        }
    }
}
