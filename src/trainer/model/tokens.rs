//! What a model reads: a batch of token sequences end to end, and integers on a device.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::trainer::sequences::Sequences;

/// A batch of token sequences as the encoder reads them, end to end on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids, one for each row (R of them).
    pub ids: Vec<u32>,
    /// Segment ids (0 for A, 1 for B), R of them.
    pub segments: Vec<u32>,
    /// Where each sequence lies.
    pub sequences: Arc<Sequences>,
}

/// A vector of integers on the device.
pub fn int_tensor(values: &[i32], device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}
