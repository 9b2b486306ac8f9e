//! Fixed parts of the work, never thread counts, decide the order of sums.
//!
//! A batch is cut into [`SHARDS`] runs of whole sequences with nearly the same number of tokens; a weight gradient is cut
//! into tiles of its own shape. Each part is computed serially, and what parts have in common is added up in their order.

use std::ops::Range;

use rayon::prelude::*;

use super::math::accumulate;
use super::matrix::{Matrix, MatrixMut};
use super::pool::Buffer;
use crate::trainer::sequences::Sequences;

/// Runs of sequences that a batch is cut into. Changing it changes the bits of every run.
pub const SHARDS: usize = 8;

/// Rows and columns of a tile of a weight gradient. Changing it may change the bits of every run.
const TILE: usize = 256;

/// `n` things cut into [`SHARDS`] runs of nearly equal length, some empty where n is small.
#[derive(Clone, Debug)]
pub struct Shards {
    ranges: [Range<usize>; SHARDS],
}

impl Shards {
    /// Cuts `0..n`.
    pub fn new(n: usize) -> Self {
        Self { ranges: std::array::from_fn(|i| i * n / SHARDS..(i + 1) * n / SHARDS) }
    }

    /// From the places in `starts` that bound the shards to what lies there.
    fn between(bounds: &[usize; SHARDS + 1], starts: &[usize]) -> Self {
        Self { ranges: std::array::from_fn(|i| starts[bounds[i]]..starts[bounds[i + 1]]) }
    }

    /// The run of each shard.
    pub fn ranges(&self) -> &[Range<usize>; SHARDS] {
        &self.ranges
    }

    /// Each shard's part of `values`, which hold `width` numbers a thing.
    pub fn split<'a>(&self, values: &'a [f32], width: usize) -> [&'a [f32]; SHARDS] {
        std::array::from_fn(|i| &values[self.ranges[i].start * width..self.ranges[i].end * width])
    }

    /// Each shard's part of `values`, to write.
    pub fn split_mut<'a>(&self, mut values: &'a mut [f32], width: usize) -> [&'a mut [f32]; SHARDS] {
        std::array::from_fn(|i| {
            let (part, rest) = std::mem::take(&mut values).split_at_mut(self.ranges[i].len() * width);
            values = rest;
            part
        })
    }
}

/// A batch cut into shards of whole sequences: a function of the lengths alone.
#[derive(Clone, Debug)]
pub struct BatchShards {
    /// The sequences of each shard.
    pub sequences: Shards,
    /// The rows of each shard.
    pub rows: Shards,
    /// The scores of each shard, for one head.
    pub scores: Shards,
}

impl BatchShards {
    /// Shard i begins with the sequence whose first row is nearest to the i-th eighth of all rows.
    pub fn new(sequences: &Sequences) -> Self {
        let starts = sequences.starts();
        let nearest = |row: usize| {
            let after = starts.partition_point(|&start| start < row);
            if after > 0 && row - starts[after - 1] < starts[after] - row { after - 1 } else { after }
        };
        let mut bounds: [usize; SHARDS + 1] = std::array::from_fn(|i| nearest(i * sequences.rows() / SHARDS));
        bounds[SHARDS] = sequences.len();
        let numbers: Vec<usize> = (0..=sequences.len()).collect();
        Self {
            sequences: Shards::between(&bounds, &numbers),
            rows: Shards::between(&bounds, starts),
            scores: Shards::between(&bounds, sequences.scores()),
        }
    }
}

/// Iterates over several things side by side, in flat tuples.
macro_rules! together {
    ($first:expr, $second:expr, $($more:expr),+ $(,)?) => {
        together!(@grow [$($more,)+] $first.into_iter().zip($second), (first, second), [first, second])
    };
    (@grow [$next:expr, $($more:expr,)*] $iterator:expr, $pattern:pat, [$($name:ident),*]) => {
        together!(@grow [$($more,)*] $iterator.zip($next), ($pattern, next), [$($name,)* next])
    };
    (@grow [] $iterator:expr, $pattern:pat, [$($name:ident),*]) => {
        $iterator.map(|$pattern| ($($name),*))
    };
}
pub(super) use together;

/// Runs `work` on each of `tasks`, on whatever threads there are.
pub fn parallel<T: Send>(tasks: impl IntoIterator<Item = T>, work: impl Fn(T) + Send + Sync) {
    tasks.into_iter().collect::<Vec<_>>().into_par_iter().with_max_len(1).for_each(work);
}

/// The sum of the shards' vectors, in the order of the shards.
pub fn sum_in_order<'a>(mut parts: impl Iterator<Item = &'a Vec<f32>>) -> Buffer {
    let mut sum = Buffer::new(0);
    if let Some(first) = parts.next() {
        sum = Buffer::new(first.len());
        sum.copy_from_slice(first);
    }
    for part in parts {
        accumulate(&mut sum, part);
    }
    sum
}

/// The transpose of `values`, `[rows, columns]`, moved in memory: products read a long row of weights faster down than
/// across, where its elements fall on few lines of the cache.
pub fn transposed(values: &[f32], rows: usize, columns: usize) -> Buffer {
    /// Elements a side of a block that both sides hold in the first-level cache.
    const BLOCK: usize = 16;
    let mut out = Buffer::new(rows * columns);
    let shards = Shards::new(columns);
    parallel(shards.ranges().iter().zip(shards.split_mut(&mut out, rows)), |(range, out)| {
        for first in (0..rows).step_by(BLOCK) {
            for (column, out) in range.clone().zip(out.chunks_exact_mut(rows)) {
                for row in first..rows.min(first + BLOCK) {
                    out[row] = values[row * columns + column];
                }
            }
        }
    });
    out
}

/// The gradients of weights `[outputs, inputs]`, each `deltas^T inputs` over all rows of the batch.
///
/// No two tasks share an element, so nothing is added up afterwards.
pub fn weight_gradients<'a>(gradients: impl IntoIterator<Item = (&'a mut [f32], Matrix<'a>, Matrix<'a>)>) {
    let tiles = gradients.into_iter().flat_map(|(gradient, deltas, inputs)| {
        let shape = [deltas.width(), inputs.width()];
        let tiles = MatrixMut::new(gradient, shape[0], shape[1]).tiles([TILE; 2]);
        tiles.into_iter().map(move |([row, column], tile)| {
            let [rows, columns] = tile.shape();
            (tile, deltas.columns(row, rows).t(), inputs.columns(column, columns))
        })
    });
    parallel(tiles, |(mut tile, deltas, inputs)| tile.product(deltas, inputs, false));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_changes_nothing() {
        for (rows, columns) in [(1, 1), (3, 40), (33, 17), (0, 4)] {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let once = transposed(&values, rows, columns);
            assert!((0..rows * columns).all(|i| once[i % columns * rows + i / columns] == values[i]));
            assert_eq!(&*transposed(&once, columns, rows), values);
        }
    }

    /// Every sequence lies in one shard, and no shard is off its share of the rows by more than the longest sequence.
    #[test]
    fn shards_of_a_batch_are_whole_sequences_of_nearly_equal_rows() {
        let mut lengths: Vec<Vec<usize>> =
            vec![vec![], vec![7], vec![3, 0, 5], vec![128; 64], vec![16; 9], vec![0, 4, 0]];
        lengths.extend((1..200).map(|n| (0..n).map(|i| 1 + i * 7919 % 128).collect()));
        for lengths in lengths {
            let sequences = Sequences::new(lengths.iter().copied());
            let shards = BatchShards::new(&sequences);
            let all: Vec<usize> = shards.sequences.ranges().iter().cloned().flatten().collect();
            assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            let share = sequences.rows() as f64 / SHARDS as f64;
            for (range, rows) in shards.sequences.ranges().iter().zip(shards.rows.ranges()) {
                assert_eq!(rows.len(), lengths[range.clone()].iter().sum::<usize>());
                assert!((rows.len() as f64 - share).abs() <= sequences.longest() as f64 + 1.0, "{lengths:?}");
            }
        }
        let even = BatchShards::new(&Sequences::new([32; 64]));
        assert_eq!(even.sequences.ranges(), Shards::new(64).ranges());
    }

    #[test]
    fn shards_cover_everything_once_in_order() {
        for n in [0, 1, 7, 8, 9, 64, 100] {
            let shards = Shards::new(n);
            let all: Vec<usize> = shards.ranges().iter().cloned().flatten().collect();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            let mut values: Vec<f32> = (0..3 * n).map(|i| i as f32).collect();
            let parts = shards.split(&values, 3).map(<[f32]>::to_vec);
            assert_eq!(shards.split_mut(&mut values, 3).map(|part| part.to_vec()), parts);
            assert_eq!(parts.concat(), values);
        }
    }
}
