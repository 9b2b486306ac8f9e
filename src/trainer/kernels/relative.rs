//! Relative positions in the keys (Shaw, Uszkoreit & Vaswani 2018), as `transformers` had them in BERT (`relative_key`): the score
//! of query i and key j is `q_i (k_j + e_(i-j))`, with a vector e for every distance of two tokens.
//!
//! One product of the queries with the vectors of all distances in sight, `[L, N]`, has each term of each score; what is left is
//! to move them: row i of the scores reads its terms from the furthest token behind to the furthest ahead, and so backwards, for
//! vectors are ordered by i - j. The gradient takes the same way back.
//!
//! Shapes: L rows of one sequence, K head width, P positions, N distances in sight (at most 2 L - 1 of the 2 P - 1).

use std::ops::Range;

use super::isa::vectorised;
use super::matrix::{Matrix, MatrixMut};

/// The distances that one sequence has in sight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distances {
    /// Tokens of the sequence.
    length: usize,
    /// The largest distance in sight, to either side.
    largest: usize,
}

impl Distances {
    /// Those of a sequence of `length` tokens that see `reach` others to each side.
    pub(super) fn new(length: usize, reach: Option<usize>) -> Self {
        let furthest = length.saturating_sub(1);
        Self { length, largest: reach.map_or(furthest, |reach| reach.min(furthest)) }
    }

    /// How many they are, N.
    pub(super) fn len(self) -> usize {
        2 * self.largest + 1
    }

    /// How many terms of scores they make, `L N`.
    pub(super) fn terms(self) -> usize {
        self.length * self.len()
    }

    /// Their numbers in a table of the vectors of all distances, `[2 P - 1, K]`: distance 0 is the one in the middle.
    fn rows(self, table: &[f32], k: usize) -> Range<usize> {
        let zero = table.len() / k / 2;
        (zero - self.largest) * k..(zero + self.largest + 1) * k
    }

    /// Adds its term to each score in sight. `terms` is scratch, `[L, N]`.
    pub(super) fn add(self, scores: &mut [f32], stride: usize, query: Matrix, table: &[f32], terms: &mut [f32]) {
        let (k, n) = (query.width(), self.len());
        let vectors = Matrix::new(&table[self.rows(table, k)], n, k);
        MatrixMut::new(terms, self.length, n).product(query, vectors.t(), false);
        add_terms(scores, [self.length, stride, self.largest], terms);
    }

    /// The gradient of [`add`](Self::add): what that of the scores adds to `query` and to `table`. `terms` is scratch, `[L, N]`.
    pub(super) fn add_backward(
        self,
        (scores, stride): (&[f32], usize),
        (query, vectors): (Matrix, &[f32]),
        (query_slopes, table_slopes): (&mut MatrixMut, &mut [f32]),
        terms: &mut [f32],
    ) {
        let (k, n) = (query.width(), self.len());
        let rows = self.rows(vectors, k);
        take_terms(scores, [self.length, stride, self.largest], terms);
        let terms = Matrix::new(terms, self.length, n);
        query_slopes.product(terms, Matrix::new(&vectors[rows.clone()], n, k), true);
        MatrixMut::new(&mut table_slopes[rows], n, k).product(terms.t(), query, true);
    }
}

/// The tokens that row `i` sees.
#[inline(always)]
fn seen(i: usize, length: usize, largest: usize) -> Range<usize> {
    i.saturating_sub(largest)..length.min(i + largest + 1)
}

vectorised! {
    /// `size` is the length of a row of scores, the stride between rows, and the largest distance in sight.
    fn add_terms(scores: &mut [f32], size: [usize; 3], terms: &[f32]) {
        let [length, stride, largest] = size;
        let rows = scores.chunks_mut(stride).zip(terms.chunks_exact(2 * largest + 1)).take(length);
        for (i, (row, terms)) in rows.enumerate() {
            let seen = seen(i, length, largest);
            // The term of token j is that of distance i - j.
            let (first, last) = (i + largest + 1 - seen.end, i + largest - seen.start);
            for (score, term) in row[seen].iter_mut().zip(terms[first..=last].iter().rev()) {
                *score += term;
            }
        }
    }

    /// The gradients of all terms from those of the scores; what no score reads has none.
    fn take_terms(scores: &[f32], size: [usize; 3], terms: &mut [f32]) {
        let [length, stride, largest] = size;
        let rows = scores.chunks(stride).zip(terms.chunks_exact_mut(2 * largest + 1)).take(length);
        for (i, (row, terms)) in rows.enumerate() {
            let seen = seen(i, length, largest);
            let (first, last) = (i + largest + 1 - seen.end, i + largest - seen.start);
            terms[..first].fill(0.0);
            terms[last + 1..].fill(0.0);
            for (score, term) in row[seen].iter().zip(terms[first..=last].iter_mut().rev()) {
                *term = *score;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is added to each score is the query's product with the vector of its distance, and nothing out of sight; what the
    /// gradients of scores add to queries and vectors is the transpose of that, so that products with either agree.
    #[test]
    fn terms_are_those_of_distances() {
        const K: usize = 3;
        let number = |i: usize| ((i * 7919 + 13) % 101) as f32 / 50.0 - 1.0;
        for (length, positions, reach) in
            [(5, 9, None), (5, 5, None), (1, 4, None), (6, 8, Some(2)), (4, 4, Some(0)), (3, 7, Some(9))]
        {
            let (distances, stride) = (Distances::new(length, reach), 8);
            let query: Vec<f32> = (0..length * K).map(number).collect();
            let table: Vec<f32> = (0..(2 * positions - 1) * K).map(|i| number(i + 5)).collect();
            let mut terms = vec![f32::NAN; distances.terms()];
            let (mut scores, rows) = (vec![0.5; length * stride], Matrix::new(&query, length, K));
            distances.add(&mut scores, stride, rows, &table, &mut terms);
            let sees = |i: usize, j: usize| j < length && reach.is_none_or(|reach| i.abs_diff(j) <= reach);
            for (i, j) in (0..length).flat_map(|i| (0..stride).map(move |j| (i, j))) {
                let vector = |c: usize| table[(positions - 1 + i - j) * K + c];
                let term = if sees(i, j) { (0..K).map(|c| query[i * K + c] * vector(c)).sum() } else { 0.0 };
                let found = scores[i * stride + j] - 0.5;
                assert!((found - term).abs() < 1e-5, "{length} {reach:?} [{i}, {j}]: {found}, not {term}");
            }
            let slopes: Vec<f32> = (0..length * stride).map(|i| number(i + 11)).collect();
            let (mut of_query, mut of_table) = (vec![0.0; query.len()], vec![0.0; table.len()]);
            terms.fill(f32::NAN);
            let mut of_rows = MatrixMut::new(&mut of_query, length, K);
            distances.add_backward((&slopes, stride), (rows, &table), (&mut of_rows, &mut of_table), &mut terms);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            let added: Vec<f32> = scores.iter().map(|score| score - 0.5).collect();
            let expected = dot(&added, &slopes);
            for found in [dot(&query, &of_query), dot(&table, &of_table)] {
                assert!((found - expected).abs() < 1e-4, "{length} {reach:?}: {found}, not {expected}");
            }
        }
    }
}
