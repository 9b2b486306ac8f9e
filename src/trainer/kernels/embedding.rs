//! The embeddings in one operation: the sum of word, position and segment vectors, LayerNorm if so asked, and dropout.
//!
//! The gradient of a table adds up the rows that were read from it, each in the order of the tokens: tasks own ranges of
//! the vocabulary, so no two of them write one row.
//!
//! Shapes: R rows (tokens of the batch), D hidden, V vocabulary.

use std::sync::Arc;

use super::dropout::Mask;
use super::isa::vectorised;
use super::math::{accumulate, multiply_by};
use super::operation::Kernel;
use super::pool::Buffer;
use super::residual::{Norm, Normalisation, VectorGradients, normalise, normalise_backward};
use super::shards::{BatchShards, SHARDS, Shards, parallel, sum_in_order, together};
use crate::trainer::sequences::Sequences;

/// The embeddings. Inputs: words `[V, D]`, positions `[at least the longest sequence, D]`, segments `[.., D]`, and with LayerNorm its gain
/// and offset `[D]`.
#[derive(Debug)]
pub struct Embeddings {
    pub sequences: Arc<Sequences>,
    pub hidden: usize,
    /// Rows of the three tables.
    pub rows: [usize; 3],
    /// Word, position and segment of each token, R each.
    pub words: Vec<u32>,
    pub positions: Vec<u32>,
    pub segments: Vec<u32>,
    /// How the sum is normalised, where it is.
    pub norm: Option<Normalisation>,
    pub mask: Mask,
}

/// Normalised rows `[R, D]` and inverse deviations `[R]`; empty without LayerNorm.
#[derive(Debug)]
pub struct Saved {
    normal: Buffer,
    inverse: Buffer,
}

impl Kernel for Embeddings {
    const NAME: &'static str = "embeddings";
    type Saved = Saved;

    fn shape(&self) -> Vec<usize> {
        vec![self.sequences.rows(), self.hidden]
    }

    fn forward(&self, inputs: &[&[f32]]) -> (Buffer, Saved) {
        let (rows, d) = (self.sequences.rows(), self.hidden);
        let (norm, shards) = (self.norm(inputs), BatchShards::new(&self.sequences).rows);
        let mut output = Buffer::new(rows * d);
        let kept = usize::from(norm.is_some());
        let mut saved = Saved { normal: Buffer::new(rows * kept * d), inverse: Buffer::new(rows * kept) };
        let tasks = together!(
            shards.ranges(),
            shards.split_mut(&mut saved.normal, kept * d),
            shards.split_mut(&mut saved.inverse, kept),
            shards.split_mut(&mut output, d),
        );
        parallel(tasks, |(range, normal, inverse, output)| {
            let first = range.start;
            match norm {
                Some(norm) => {
                    self.gather(inputs, first, normal);
                    normalise(normal, inverse, norm, output);
                }
                None => self.gather(inputs, first, output),
            }
            self.drop(first, output);
        });
        (output, saved)
    }

    fn backward(&self, inputs: &[&[f32]], saved: Saved, output: &[f32]) -> Vec<Buffer> {
        let (rows, d) = (self.sequences.rows(), self.hidden);
        let (norm, shards) = (self.norm(inputs), BatchShards::new(&self.sequences).rows);
        let kept = usize::from(norm.is_some());
        let mut slopes = Buffer::new(rows * d);
        let mut sums = vec![VectorGradients::zeros(d); SHARDS];
        let tasks = together!(
            shards.ranges(),
            shards.split(output, d),
            shards.split(&saved.normal, kept * d),
            shards.split(&saved.inverse, kept),
            shards.split_mut(&mut slopes, d),
            &mut sums,
        );
        parallel(tasks, |(range, output, normal, inverse, slopes, sums)| match norm {
            Some(norm) => {
                let mut dropped = Buffer::copy_of(output);
                self.drop(range.start, &mut dropped);
                normalise_backward(&dropped, (normal, inverse), norm, slopes, sums);
            }
            None => {
                slopes.copy_from_slice(output);
                self.drop(range.start, slopes);
            }
        });
        let mut gradients = vec![
            scatter(&slopes, d, self.rows[0], &self.words),
            scatter(&slopes, d, self.rows[1], &self.positions),
            scatter(&slopes, d, self.rows[2], &self.segments),
        ];
        if norm.is_some() {
            gradients.push(sum_in_order(sums.iter().map(|sums| &sums.gain)));
            gradients.push(sum_in_order(sums.iter().map(|sums| &sums.offset)));
        }
        gradients
    }
}

impl Embeddings {
    fn norm<'a>(&self, inputs: &[&'a [f32]]) -> Option<Norm<'a>> {
        self.norm.map(|how| Norm { gain: inputs[3], offset: inputs[4], how })
    }

    /// Writes the sums of the three vectors of the tokens from `first` on.
    fn gather(&self, tables: &[&[f32]], first: usize, sums: &mut [f32]) {
        let d = self.hidden;
        let row = |table: usize, i: usize| &tables[table][i * d..(i + 1) * d];
        for (token, sum) in (first..).zip(sums.chunks_exact_mut(d)) {
            let [word, position, segment] =
                [&self.words, &self.positions, &self.segments].map(|ids| ids[token] as usize);
            add_three(row(0, word), row(1, position), row(2, segment), sum);
        }
    }

    /// Dropout on the rows from `first` on, in place.
    fn drop(&self, first: usize, rows: &mut [f32]) {
        if !self.mask.is_active() {
            return;
        }
        let mut factors = [0.0; 1024];
        for (i, chunk) in rows.chunks_mut(factors.len()).enumerate() {
            let factors = &mut factors[..chunk.len()];
            self.mask.fill((first * self.hidden + i * 1024) as u64, factors);
            multiply_by(chunk, factors);
        }
    }
}

vectorised! {
    fn add_three(a: &[f32], b: &[f32], c: &[f32], sum: &mut [f32]) {
        for (((sum, a), b), c) in sum.iter_mut().zip(a).zip(b).zip(c) {
            *sum = a + b + c;
        }
    }
}

/// A table `[rows, D]` in which row `places[t]` has row t of `slopes` added to it, for every t in order.
pub fn scatter(slopes: &[f32], d: usize, rows: usize, places: &[u32]) -> Buffer {
    let mut table = Buffer::new(rows * d);
    let shards = Shards::new(rows);
    let tasks = shards.ranges().iter().zip(shards.split_mut(&mut table, d));
    parallel(tasks, |(range, part)| {
        part.fill(0.0);
        for (slope, place) in slopes.chunks_exact(d).zip(places) {
            let place = *place as usize;
            if range.contains(&place) {
                let start = (place - range.start) * d;
                accumulate(&mut part[start..start + d], slope);
            }
        }
    });
    table
}
