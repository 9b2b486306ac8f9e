//! `LengthStage`: a stage of pretraining on shorter sequences, before those of `train.seq_len`.
//!
//! Short sequences are learnt from sooner and more steadily; BERT made nine tenths of its steps at 128 of 512 positions (Devlin et
//! al. 2019), and Li et al. ("The Stability-Efficiency Dilemma: Investigating Sequence Length Warmup for Training GPT Models", 2022)
//! let the length rise within one run, which is done here.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// A length of sequences, and the share of all steps that is made with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "(NonZeroUsize, f64)", into = "(usize, f64)")]
pub struct LengthStage {
    /// Tokens a sequence, specials included.
    pub seq_len: usize,
    pub share: f64,
}

impl From<(NonZeroUsize, f64)> for LengthStage {
    fn from((seq_len, share): (NonZeroUsize, f64)) -> Self {
        Self { seq_len: seq_len.get(), share }
    }
}

impl From<LengthStage> for (usize, f64) {
    fn from(stage: LengthStage) -> Self {
        (stage.seq_len, stage.share)
    }
}
