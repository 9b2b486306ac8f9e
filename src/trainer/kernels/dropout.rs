//! Dropout factors inside the kernels: the decisions of [`Stream::keeps`], 128 at a time.
//!
//! Sixteen Philox blocks run side by side, one in each lane. Nothing is stored for the backward pass: a factor is a pure
//! function of its stream and index, and is drawn again where it is needed.

use super::isa::vectorised;
use crate::trainer::rng::{Dropout, Stream};

/// Philox blocks that run side by side.
const BLOCKS: usize = 16;
/// Decisions that they give.
const DECISIONS: usize = 8 * BLOCKS;

/// The dropout of one site at one step.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    stream: Option<Stream>,
    dropout: Dropout,
}

impl Mask {
    /// Dropout with probability `p` from `stream`; without a stream (in evaluation) nothing is dropped.
    pub fn new(p: f64, stream: Option<Stream>) -> Self {
        let dropout = Dropout::new(p);
        let stream = stream.filter(|_| dropout.is_active());
        Self { stream, dropout: if stream.is_some() { dropout } else { Dropout::NONE } }
    }

    /// Whether anything is dropped.
    pub fn is_active(&self) -> bool {
        self.stream.is_some()
    }

    /// What a kept element is multiplied with.
    pub fn scale(&self) -> f32 {
        self.dropout.scale
    }

    /// Writes the factors of elements `first..first + factors.len()`: 0 where dropped, the scale where kept.
    pub fn fill(&self, first: u64, factors: &mut [f32]) {
        let Some(stream) = &self.stream else { return factors.fill(1.0) };
        let offset = (first % 8) as usize;
        if offset == 0 {
            return fill_aligned(stream, self.dropout, first / 8, factors);
        }
        let (head, rest) = factors.split_at_mut(factors.len().min(8 - offset));
        let mut block = [0.0; 8];
        fill_aligned(stream, self.dropout, first / 8, &mut block);
        head.copy_from_slice(&block[offset..offset + head.len()]);
        fill_aligned(stream, self.dropout, first / 8 + 1, rest);
    }
}

vectorised! {
    fn fill_aligned(stream: &Stream, dropout: Dropout, first_block: u64, factors: &mut [f32]) {
        let mut block = first_block;
        for chunk in factors.chunks_mut(DECISIONS) {
            let draws = decisions(stream, block);
            block += BLOCKS as u64;
            let factor = |draw: u16| if u32::from(draw) >= dropout.threshold { dropout.scale } else { 0.0 };
            match chunk.as_chunks_mut::<DECISIONS>() {
                ([whole], _) => {
                    for i in 0..DECISIONS {
                        whole[i] = factor(draws[i]);
                    }
                }
                (_, rest) => {
                    for (value, draw) in rest.iter_mut().zip(draws) {
                        *value = factor(draw);
                    }
                }
            }
        }
    }
}

/// The 16-bit draws of [`BLOCKS`] consecutive Philox4x32-10 blocks, in the order of the elements.
///
/// Words are the low halves of 64-bit lanes, as the products need them; what is in the high halves never matters.
#[inline(always)]
fn decisions(stream: &Stream, first_block: u64) -> [u16; DECISIONS] {
    const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    const LOW: u64 = 0xFFFF_FFFF;
    let [mut a, mut b, mut c, mut d] = [[0u64; BLOCKS]; 4];
    for lane in 0..BLOCKS {
        let index = first_block + lane as u64;
        (a[lane], b[lane]) = (index, index >> 32);
        (c[lane], d[lane]) = (u64::from(stream.nonce[0]), u64::from(stream.nonce[1]));
    }
    let mut key = stream.key;
    for _ in 0..10 {
        for lane in 0..BLOCKS {
            let low = MULTIPLIERS[0] * (a[lane] & LOW);
            let high = MULTIPLIERS[1] * (c[lane] & LOW);
            a[lane] = (high >> 32) ^ b[lane] ^ u64::from(key[0]);
            b[lane] = high;
            c[lane] = (low >> 32) ^ d[lane] ^ u64::from(key[1]);
            d[lane] = low;
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    let mut pairs = [0u64; 2 * BLOCKS];
    for lane in 0..BLOCKS {
        pairs[2 * lane] = ((a[lane] & LOW) | (b[lane] << 32)).to_le();
        pairs[2 * lane + 1] = ((c[lane] & LOW) | (d[lane] << 32)).to_le();
    }
    let mut draws: [u16; DECISIONS] = bytemuck::cast(pairs);
    if cfg!(target_endian = "big") {
        draws = draws.map(u16::from_le);
    }
    draws
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trainer::rng::Purpose;
    use crate::types::Seed;

    #[test]
    fn factors_are_the_decisions_of_the_stream_from_any_index() {
        let stream = Stream::new(Seed(5), Purpose::Dropout, 3, 2);
        for p in [0.1, 0.5, 0.0] {
            let (mask, dropout) = (Mask::new(p, Some(stream)), Dropout::new(p));
            for (first, n) in [(0, 1000), (8, 128), (3, 300), (5, 2), (7, 1), ((1 << 35) - 24, 500), (17, 0)] {
                let mut factors = vec![9.0; n];
                mask.fill(first, &mut factors);
                for (i, &factor) in factors.iter().enumerate() {
                    let expected = if stream.keeps(first + i as u64, dropout) { mask.scale() } else { 0.0 };
                    assert_eq!(factor, expected, "element {first} + {i} at p = {p}");
                }
            }
        }
    }

    #[test]
    fn without_a_stream_nothing_is_dropped() {
        let mut factors = [0.0; 9];
        Mask::new(0.5, None).fill(3, &mut factors);
        assert_eq!(factors, [1.0; 9]);
    }
}
