//! Batches: masked instances laid end to end.
//!
//! Shapes: R rows (tokens of the batch), B sequences, M masked rows of the batch.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::instance::{Instance, Instances};
use super::masking::{self, MaskSpec, Masked, Shown, Vocabulary};
use crate::plan::Masking;
use crate::trainer::corpus::TokenDocuments;
use crate::trainer::kernels::Compute;
use crate::trainer::model::Tokens;
use crate::trainer::rng::Permutation;
use crate::trainer::rng::{Purpose, Stream};
use crate::trainer::sequences::Sequences;
use crate::trainer::tokenizer::SpecialIds;
use crate::types::Seed;

/// A batch on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// What the encoder reads: tokens after masking.
    pub tokens: Tokens,
    /// The row of each selected token, ascending.
    pub rows: Vec<i32>,
    /// The token that stood there.
    pub labels: Vec<i32>,
    /// What the model sees there.
    pub shown: Vec<Shown>,
    /// 0 where B follows A, 1 where it does not; empty without pairs.
    pub nsp_labels: Vec<i32>,
}

impl Batch {
    /// Lays masked instances end to end.
    pub fn collate(items: &[(Instance, Vec<Masked>)]) -> Self {
        let sequences = Arc::new(Sequences::new(items.iter().map(|(instance, _)| instance.tokens.len())));
        let segments = |instance: &Instance| instance.segments.iter().map(|&s| u32::from(s)).collect::<Vec<_>>();
        let tokens = Tokens {
            ids: items.iter().flat_map(|(instance, _)| instance.tokens.iter().copied()).collect(),
            segments: items.iter().flat_map(|(instance, _)| segments(instance)).collect(),
            sequences: sequences.clone(),
        };
        let mut batch = Self {
            tokens,
            rows: Vec::new(),
            labels: Vec::new(),
            shown: Vec::new(),
            nsp_labels: items.iter().filter_map(|(i, _)| i.is_next).map(|next| i32::from(!next)).collect(),
        };
        for ((_, masked), start) in items.iter().zip(sequences.starts()) {
            for m in masked {
                batch.rows.push((start + m.position as usize) as i32);
                batch.labels.push(m.label as i32);
                batch.shown.push(m.shown);
            }
        }
        batch
    }

    /// Of the places that attention computes for, the share that holds a token: all of them by the kernels; composed
    /// operations pad each sequence to the longest.
    pub fn real_token_share(&self, compute: Compute) -> f64 {
        let sequences = &self.tokens.sequences;
        match compute {
            Compute::Kernels => 1.0,
            Compute::Composed => sequences.rows() as f64 / (sequences.len() * sequences.longest()).max(1) as f64,
        }
    }

    /// Tokens in the batch; none of them is padding.
    pub fn real_tokens(&self) -> u64 {
        self.tokens.sequences.rows() as u64
    }
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
        // One after the other: the threads of the pool are busy with the step before.
        let items: Vec<_> = (first..first + self.batch_size as u64).map(|place| self.item(place)).collect();
        Batch::collate(&items)
    }

    /// The instances at `places` of the endless sequence of epochs.
    pub fn range(&self, places: Range<u64>) -> Batch {
        let items: Vec<_> = places.into_par_iter().map(|place| self.item(place)).collect();
        Batch::collate(&items)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Nsp, Packing};
    use crate::trainer::pretraining::instance::InstanceSpec;
    use crate::trainer::pretraining::instance::tests::{SPECIALS, Toy};

    fn batches(corpus: &Toy) -> Batches<'_, Toy> {
        let seed = Seed(4);
        let spec = InstanceSpec {
            nsp: Nsp::Random,
            packing: Packing::FullSentences,
            negative_prob: 0.5,
            short_seq_prob: 0.3,
            seq_len: 40,
            seed,
            negative_documents: None,
        };
        Batches {
            instances: Instances::new(corpus, SPECIALS, spec),
            specials: SPECIALS,
            mask: MaskSpec::EVALUATION,
            masking: Masking::Dynamic,
            vocab: 60,
            continues: &[],
            batch_size: 6,
            seed,
        }
    }

    /// Sequences lie end to end: each row is a token of its sequence, and a label stands where its row says.
    #[test]
    fn a_batch_holds_its_sequences_and_nothing_else() {
        let corpus = Toy::random(20, 3);
        let batches = batches(&corpus);
        for step in 0..50 {
            let batch = batches.at(step);
            let Tokens { ids, segments, sequences } = &batch.tokens;
            assert_eq!((ids.len(), segments.len(), sequences.len()), (sequences.rows(), sequences.rows(), 6));
            assert!(ids.iter().all(|&id| id != SPECIALS.pad));
            for b in 0..sequences.len() {
                let rows = sequences.rows_of(b);
                assert_eq!((ids[rows.start], ids[rows.end - 1]), (SPECIALS.cls, SPECIALS.sep));
            }
            assert!(batch.rows.is_sorted() && batch.rows.len() == batch.labels.len());
            for ((&row, &label), shown) in batch.rows.iter().zip(&batch.labels).zip(&batch.shown) {
                match shown {
                    Shown::Mask => assert_eq!(ids[row as usize], SPECIALS.mask),
                    Shown::Kept => assert_eq!(ids[row as usize] as i32, label),
                    Shown::Random => assert!(ids[row as usize] >= SPECIALS.first_ordinary),
                }
            }
            assert_eq!(batch.real_token_share(Compute::Kernels), 1.0);
            assert!(batch.real_token_share(Compute::Composed) <= 1.0);
        }
    }
}
