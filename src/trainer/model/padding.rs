//! Padding, where burn's own operations need it: attention over a batch of sequences as one rectangular product.
//!
//! Hidden states have a row for each real token and no other. Composed attention spreads them over `B x S` places,
//! computes there, and takes the rows back; every other operation works on rows. The kernels need none of this.
//!
//! Shapes: R rows, B sequences, S places of the longest sequence, H heads, W any width.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::trainer::sequences::Sequences;

/// Added to the score of a padded key: far below every real score, yet finite.
const MASKED_SCORE: f32 = -1e9;

/// The places of a batch when its sequences are padded to the longest.
#[derive(Clone, Debug)]
pub struct Padding {
    sequences: Arc<Sequences>,
    /// Absent where all sequences are of one length, so that rows and places are the same.
    places: Option<Places>,
}

#[derive(Clone, Debug)]
struct Places {
    /// The row that stands at each place, `[B S]`; a padded place repeats the sequence's first row, which nothing reads.
    row_of_place: Tensor<1, Int>,
    /// The place of each row, `[R]`.
    place_of_row: Tensor<1, Int>,
    /// 0 for a real key, [`MASKED_SCORE`] for padding: `[B, 1, 1, S]`.
    mask: Tensor<4>,
}

impl Padding {
    /// The places of `sequences`, with their indices on `device`.
    pub fn new(sequences: &Arc<Sequences>, device: &Device) -> Self {
        let (b, s) = (sequences.len(), sequences.longest());
        let ragged = sequences.lengths().any(|length| length != s);
        let places = ragged.then(|| {
            let all = (0..b).flat_map(|b| (0..s).map(move |i| (b, i)));
            let is_real = |(b, i): (usize, usize)| i < sequences.length(b);
            let row = |(b, i)| sequences.starts()[b] + if is_real((b, i)) { i } else { 0 };
            let row_of_place: Vec<i32> = all.clone().map(|place| row(place) as i32).collect();
            let place_of_row: Vec<i32> =
                all.clone().filter(|&place| is_real(place)).map(|(b, i)| (b * s + i) as i32).collect();
            let mask: Vec<f32> = all.map(|place| if is_real(place) { 0.0 } else { MASKED_SCORE }).collect();
            let indices = |values: Vec<i32>| {
                let n = values.len();
                Tensor::<1, Int>::from_data(TensorData::new(values, [n]), device)
            };
            Places {
                row_of_place: indices(row_of_place),
                place_of_row: indices(place_of_row),
                mask: Tensor::<1>::from_floats(mask.as_slice(), device).reshape([b, 1, 1, s]),
            }
        });
        Self { sequences: sequences.clone(), places }
    }

    /// B and S.
    pub fn shape(&self) -> [usize; 2] {
        [self.sequences.len(), self.sequences.longest()]
    }

    /// Spreads rows `[R, W]` over places `[B, S, W]`.
    pub fn pad(&self, rows: Tensor<2>) -> Tensor<3> {
        let ([b, s], width) = (self.shape(), rows.dims()[1]);
        let places = match &self.places {
            Some(places) => rows.select(0, places.row_of_place.clone()),
            None => rows,
        };
        places.reshape([b, s, width])
    }

    /// Takes the rows `[R, W]` back from places `[B, S, W]`.
    pub fn unpad(&self, places: Tensor<3>) -> Tensor<2> {
        let [b, s, width] = places.dims();
        let all = places.reshape([b * s, width]);
        match &self.places {
            Some(places) => all.select(0, places.place_of_row.clone()),
            None => all,
        }
    }

    /// Scores `[B, H, S, S]` with those of padded keys out of the running.
    pub fn mask(&self, scores: Tensor<4>) -> Tensor<4> {
        match &self.places {
            Some(places) => scores + places.mask.clone(),
            None => scores,
        }
    }

    /// Scores `[B, H, S, S]` with those of keys further than `reach` from their query out of the running.
    pub fn within(&self, scores: Tensor<4>, reach: Option<usize>) -> Tensor<4> {
        let Some(reach) = reach else { return scores };
        let [_, s] = self.shape();
        let seen = |(i, j): (usize, usize)| if i.abs_diff(j) <= reach { 0.0 } else { MASKED_SCORE };
        let window: Vec<f32> = (0..s).flat_map(|i| (0..s).map(move |j| (i, j))).map(seen).collect();
        let window = Tensor::<1>::from_floats(window.as_slice(), &scores.device()).reshape([1, 1, s, s]);
        scores + window
    }

    /// Puts numbers in the order of the scores of [`Sequences`] at their places, `[B, H, S, S]`; 0 elsewhere.
    pub fn spread_scores(&self, scores: &[f32], heads: usize) -> Vec<f32> {
        let [b, s] = self.shape();
        let mut places = vec![0.0; b * heads * s * s];
        for (matrix, places) in places.chunks_mut((s * s).max(1)).enumerate() {
            let (b, head) = (matrix / heads, matrix % heads);
            let (length, stride) = (self.sequences.length(b), self.sequences.score_stride(b));
            let scores = &scores[self.sequences.first_score(b, head, heads)..];
            for (row, places) in scores.chunks(stride.max(1)).zip(places.chunks_mut(s)).take(length) {
                places[..length].copy_from_slice(&row[..length]);
            }
        }
        places
    }
}
