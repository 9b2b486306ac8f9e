//! Batches: masked instances side by side, padded to a common length, as host arrays and as tensors.
//!
//! Shapes: B batch, S sequence (the longest of the batch, rounded up to a multiple of 8), M masked rows of the batch.

use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

use super::instance::{Instance, Instances, Permutation, SpecialIds, TokenDocuments};
use super::masking::{self, MaskSpec, Masked, Shown, Vocabulary};
use super::model::Tokens;
use super::rng::{Purpose, Stream};
use crate::plan::Masking;
use crate::types::Seed;

/// Sequence lengths are rounded up to this, so that kernels meet few different shapes.
const LENGTH_MULTIPLE: usize = 8;

/// A batch on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// S: the padded length.
    pub width: usize,
    /// Token ids after masking, B x S.
    pub ids: Vec<i32>,
    /// Segment ids, B x S.
    pub segments: Vec<i32>,
    /// Tokens in each sequence.
    pub lengths: Vec<u32>,
    /// Row `b S + s` of each selected token, ascending.
    pub rows: Vec<i32>,
    /// The token that stood there.
    pub labels: Vec<i32>,
    /// What the model sees there.
    pub shown: Vec<Shown>,
    /// 0 where B follows A, 1 where it does not; empty without pairs.
    pub nsp_labels: Vec<i32>,
}

impl Batch {
    /// Puts masked instances side by side.
    pub fn collate(items: &[(Instance, Vec<Masked>)], specials: SpecialIds) -> Self {
        let longest = items.iter().map(|(instance, _)| instance.tokens.len()).max().unwrap_or(0);
        let width = longest.next_multiple_of(LENGTH_MULTIPLE);
        let mut batch = Self {
            width,
            ids: vec![specials.pad as i32; items.len() * width],
            segments: vec![0; items.len() * width],
            lengths: items.iter().map(|(instance, _)| instance.tokens.len() as u32).collect(),
            rows: Vec::new(),
            labels: Vec::new(),
            shown: Vec::new(),
            nsp_labels: items.iter().filter_map(|(i, _)| i.is_next).map(|next| i32::from(!next)).collect(),
        };
        for (b, (instance, masked)) in items.iter().enumerate() {
            let start = b * width;
            for (i, (&token, &segment)) in instance.tokens.iter().zip(&instance.segments).enumerate() {
                batch.ids[start + i] = token as i32;
                batch.segments[start + i] = i32::from(segment);
            }
            for m in masked {
                batch.rows.push((start + m.position as usize) as i32);
                batch.labels.push(m.label as i32);
                batch.shown.push(m.shown);
            }
        }
        batch
    }

    /// Real tokens in the batch, padding left out.
    pub fn real_tokens(&self) -> u64 {
        self.lengths.iter().map(|&length| u64::from(length)).sum()
    }

    /// What the encoder reads.
    pub fn tokens(&self, device: &Device) -> Tokens {
        let shape = [self.lengths.len(), self.width];
        let matrix = |values: &[i32]| Tensor::<2, Int>::from_data(TensorData::new(values.to_vec(), shape), device);
        Tokens { ids: matrix(&self.ids), segments: matrix(&self.segments), lengths: self.lengths.clone() }
    }
}

/// A vector of integers on the device.
pub fn int_tensor(values: &[i32], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Where batches come from: instances in the epoch's order, masked.
pub struct Batches<'a, D: ?Sized> {
    pub instances: Instances<'a, D>,
    pub specials: SpecialIds,
    pub mask: MaskSpec,
    pub masking: Masking,
    pub vocab: usize,
    /// Of each id, whether it continues the word of the token before it.
    pub continues: &'a [bool],
    pub batch_size: usize,
    pub seed: Seed,
}

impl<D: TokenDocuments + ?Sized> Batches<'_, D> {
    /// The batch of step `step` (from 0): a pure function of the seed and the step. Epochs follow one another without a
    /// gap, so a batch may hold the end of one and the start of the next.
    pub fn at(&self, step: u64) -> Batch {
        let first = step * self.batch_size as u64;
        self.range(first..first + self.batch_size as u64)
    }

    /// The instances at `places` of the endless sequence of epochs.
    pub fn range(&self, places: std::ops::Range<u64>) -> Batch {
        let items: Vec<_> = places.into_par_iter().map(|place| self.item(place)).collect();
        Batch::collate(&items, self.specials)
    }

    fn item(&self, place: u64) -> (Instance, Vec<Masked>) {
        let n = self.instances.len();
        let (epoch, position) = (place / n as u64, (place % n as u64) as usize);
        let index = Permutation::of_epoch(self.seed, epoch, n).at(position);
        let mut instance = self.instances.instance(epoch, index);
        let copy = masking::mask_copy(self.masking, epoch);
        let mut draws = Stream::new(self.seed, Purpose::Mask, copy, index as u64).draws();
        let vocabulary = Vocabulary { specials: self.specials, size: self.vocab as u32, continues: self.continues };
        let masked = masking::mask_tokens(&mut instance.tokens, self.mask, vocabulary, &mut draws);
        (instance, masked)
    }
}
