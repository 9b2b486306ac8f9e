//! Counter-based random streams: every draw is a pure function of (seed, purpose, step or epoch, index).
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//! A [`Stream`] is a key derived from the seed, a purpose by name and two coordinates; block `i` of a stream is 128 bits
//! that depend on nothing drawn before, so any thread can draw any part, a resumed run seeks in O(1), and the same purpose
//! draws the same numbers in every cell of a sweep that shares a seed (common random numbers).

use crate::types::{ContentHasher, Seed};

/// What randomness is for. The names are part of the recorded results: changing one changes every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; coordinates: hash of the parameter's name, chunk of the parameter.
    Init,
    /// Order of the instances; coordinates: epoch, 0.
    Shuffle,
    /// Which examples are learnt from, where not all are; coordinates: 0, 0.
    Subset,
    /// Cutting a document into sentence pairs; coordinates: epoch, instance.
    Pair,
    /// Which tokens are masked and how; coordinates: mask copy, instance.
    Mask,
    /// Dropout; coordinates: step, layer site.
    Dropout,
    /// Which merges are dropped where texts are split anew; coordinates: epoch, example.
    Split,
    /// What a trained model is asked; coordinates: length of the spans, 0.
    Probe,
    /// Documents of the built-in corpus; coordinates: what is drawn, its index.
    Demo,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::Shuffle => "shuffle",
            Self::Subset => "subset",
            Self::Pair => "pair",
            Self::Mask => "mask",
            Self::Dropout => "dropout",
            Self::Split => "split",
            Self::Probe => "probe",
            Self::Demo => "demo",
        }
    }
}

/// A random stream, addressed by block: the same address gives the same bits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub(super) key: [u32; 2],
    /// The upper half of the counter; the lower half is the block index.
    pub(super) nonce: [u32; 2],
}

impl Stream {
    /// The stream of `purpose` at the coordinates `(a, b)`, whose meaning [`Purpose`] gives.
    pub fn new(seed: Seed, purpose: Purpose, a: u64, b: u64) -> Self {
        let hash = ContentHasher::new()
            .update(purpose.name().as_bytes())
            .update(&[0])
            .update(&seed.0.to_le_bytes())
            .update(&a.to_le_bytes())
            .update(&b.to_le_bytes())
            .finish();
        let word = |i: usize| {
            let bytes = hash.as_bytes();
            u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]])
        };
        Self { key: [word(0), word(1)], nonce: [word(2), word(3)] }
    }

    /// Block `index` of the stream: four independent 32-bit words.
    #[inline]
    pub fn block(&self, index: u64) -> [u32; 4] {
        philox4x32_10([index as u32, (index >> 32) as u32, self.nonce[0], self.nonce[1]], self.key)
    }

    /// The draws of this stream one after another, from its start.
    pub fn draws(self) -> Draws {
        Draws { stream: self, next_block: 0, words: [0; 4], used: 4 }
    }

    /// Whether dropout keeps element `index`: a 16-bit decision, eight to a block.
    ///
    /// Element `8 b + 2 w + h` is decided by half `h` (0: low, 1: high) of word `w` of block `b`.
    #[inline]
    pub fn keeps(&self, index: u64, dropout: Dropout) -> bool {
        let word = self.block(index / 8)[(index % 8 / 2) as usize];
        dropout.keeps((word >> (16 * (index % 2))) as u16)
    }
}

/// A dropout probability in the form that the kernels use: quantised to 1/65,536, and scaled by exactly what is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// A 16-bit draw below this drops the element.
    pub threshold: u32,
    /// What a kept element is multiplied with, 65,536 / (65,536 - threshold).
    pub scale: f32,
}

impl Dropout {
    /// Drops nothing.
    pub const NONE: Self = Self { threshold: 0, scale: 1.0 };

    /// Dropout with probability `p` in [0, 1).
    pub fn new(p: f64) -> Self {
        let threshold = ((p * 65_536.0).round() as u32).min(65_535);
        Self { threshold, scale: (65_536.0 / (65_536 - threshold) as f64) as f32 }
    }

    /// Whether anything is dropped at all.
    pub fn is_active(self) -> bool {
        self.threshold > 0
    }

    /// Whether the 16-bit `draw` keeps its element.
    #[inline]
    pub fn keeps(self, draw: u16) -> bool {
        u32::from(draw) >= self.threshold
    }
}

/// Sequential draws from a stream.
#[derive(Clone, Debug)]
pub struct Draws {
    stream: Stream,
    next_block: u64,
    words: [u32; 4],
    used: usize,
}

impl Draws {
    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.stream.block(self.next_block);
            self.next_block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// A number uniform in [0, 1), a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        let high = u64::from(self.bits()) << 32;
        ((high | u64::from(self.bits())) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number uniform in `0..bound`, without modulo bias (Lemire 2019).
    ///
    /// # Panics
    /// When `bound` is 0: nothing can be drawn from an empty range.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "invariant: a draw needs a non-empty range");
        loop {
            let product = u64::from(self.bits()) * u64::from(bound);
            if product as u32 >= bound.wrapping_neg() % bound {
                return (product >> 32) as u32;
            }
        }
    }

    /// A standard normal number (Box & Muller 1958; the second of the pair is not used).
    pub fn normal(&mut self) -> f64 {
        // libm's functions are the same on every machine; the standard library's are the system's.
        let radius = (-2.0 * libm::log(1.0 - self.unit())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Exchanges the items of `slice` into a uniformly random order (Fisher & Yates, as Durstenfeld 1964).
    pub fn shuffle<T>(&mut self, slice: &mut [T]) {
        for i in (1..slice.len()).rev() {
            slice.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

/// One Philox4x32 block with ten rounds.
#[inline]
fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let low = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let high = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter = [
            (high >> 32) as u32 ^ counter[1] ^ key[0],
            high as u32,
            (low >> 32) as u32 ^ counter[3] ^ key[1],
            low as u32,
        ];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// A random permutation of `0..n` that is evaluated at one position without building the rest: a four-round Feistel
/// network over the next even power of two, walked until it falls inside (Black & Rogaway 2002, "cycle walking").
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    stream: Stream,
    n: u64,
    half_bits: u32,
}

impl Permutation {
    /// The order of epoch `epoch` over `n` instances.
    pub fn of_epoch(seed: Seed, epoch: u64, n: usize) -> Self {
        Self::new(Stream::new(seed, Purpose::Shuffle, epoch, 0), n)
    }

    /// The order of `n` examples in which a run takes as many as it may learn from.
    pub fn of_subsets(seed: Seed, n: usize) -> Self {
        Self::new(Stream::new(seed, Purpose::Subset, 0, 0), n)
    }

    fn new(stream: Stream, n: usize) -> Self {
        let bits = u64::BITS - (n.max(2) as u64 - 1).leading_zeros();
        Self { stream, n: n as u64, half_bits: bits.div_ceil(2) }
    }

    /// What stands at `position` (below `n`).
    pub fn at(&self, position: usize) -> usize {
        let mut x = self.rounds(position as u64);
        while x >= self.n {
            x = self.rounds(x);
        }
        x as usize
    }

    fn rounds(&self, x: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (x >> self.half_bits, x & mask);
        for round in 0..4 {
            let word = u64::from(self.stream.block(right << 2 | round)[0]);
            (left, right) = (right, left ^ (word & mask));
        }
        left << self.half_bits | right
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The known answers published with Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32_10([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32_10([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn streams_differ_in_every_coordinate() {
        let base = Stream::new(Seed(1), Purpose::Mask, 2, 3);
        assert_eq!(base, Stream::new(Seed(1), Purpose::Mask, 2, 3));
        for other in [
            Stream::new(Seed(2), Purpose::Mask, 2, 3),
            Stream::new(Seed(1), Purpose::Pair, 2, 3),
            Stream::new(Seed(1), Purpose::Mask, 3, 3),
            Stream::new(Seed(1), Purpose::Mask, 2, 4),
        ] {
            assert_ne!(base.block(0), other.block(0));
        }
    }

    #[test]
    fn draws_follow_their_laws() {
        let mut draws = Stream::new(Seed(7), Purpose::Init, 0, 0).draws();
        let n = 200_000;
        let (mut sum, mut squares, mut counts) = (0.0, 0.0, [0u32; 7]);
        for _ in 0..n {
            let x = draws.normal();
            sum += x;
            squares += x * x;
            counts[draws.below(7) as usize] += 1;
        }
        let mean = sum / f64::from(n);
        let variance = squares / f64::from(n);
        assert!(mean.abs() < 4.0 / f64::from(n).sqrt(), "mean {mean}");
        assert!((variance - 1.0).abs() < 4.0 * (2.0 / f64::from(n)).sqrt(), "variance {variance}");
        let expected = f64::from(n) / 7.0;
        let chi_square: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        assert!(chi_square < 22.5, "chi-square {chi_square} with 6 degrees of freedom passes 22.5 once in 1,000");
    }

    #[test]
    fn dropout_keeps_the_asked_share_and_its_expectation() {
        let stream = Stream::new(Seed(3), Purpose::Dropout, 1, 1);
        let dropout = Dropout::new(0.1);
        let n = 100_000;
        let kept = (0..n).filter(|&i| stream.keeps(i, dropout)).count() as f64;
        let p = 1.0 / f64::from(dropout.scale);
        assert!((p - 0.9).abs() < 1e-5);
        assert!((kept - p * n as f64).abs() < 4.0 * (p * (1.0 - p) * n as f64).sqrt(), "kept {kept}");
        assert!((0..1000).all(|i| stream.keeps(i, Dropout::NONE)));
    }

    #[test]
    fn epochs_permute_all_instances_differently() {
        for n in [1, 2, 3, 7, 64, 65, 1000] {
            let order = |epoch| {
                let permutation = Permutation::of_epoch(Seed(1), epoch, n);
                (0..n).map(|i| permutation.at(i)).collect::<Vec<_>>()
            };
            let first = order(0);
            assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), n);
            assert!(first.iter().all(|&i| i < n));
            assert_eq!(first, order(0));
            if n > 60 {
                assert_ne!(first, order(1));
                let fixed = first.iter().enumerate().filter(|&(i, &p)| i == p).count();
                assert!(fixed < 10, "{fixed} of {n} stayed in place");
            }
        }
    }
}
