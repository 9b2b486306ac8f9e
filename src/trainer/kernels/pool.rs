//! Reused buffers: a training step asks for the same sizes again and again, and fresh memory costs page faults.
//!
//! A buffer comes back with whatever its last user left in it, so every kernel writes before it reads. Lengths are
//! rounded up to a few size classes, so that batches of slightly different sizes share buffers.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Free buffers by capacity.
static FREE: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// A buffer of the pool, which goes back when it is dropped.
#[derive(Debug)]
pub struct Buffer(Vec<f32>);

impl Buffer {
    /// A buffer of `len` numbers that mean nothing yet.
    pub fn new(len: usize) -> Self {
        let class = size_class(len);
        let reused = free().get_mut(&class).and_then(Vec::pop);
        let mut values = reused.unwrap_or_else(|| Vec::with_capacity(class));
        values.resize(len, 0.0);
        Self(values)
    }

    /// A buffer of `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::new(len);
        buffer.fill(0.0);
        buffer
    }

    /// A buffer with the values of a slice.
    pub fn copy_of(values: &[f32]) -> Self {
        let mut buffer = Self::new(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    /// The values, for good: the pool sees them again only through [`give_back`].
    pub fn into_vec(mut self) -> Vec<f32> {
        std::mem::take(&mut self.0)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

/// Gives memory to the pool. What did not come from it is freed.
pub fn give_back(values: Vec<f32>) {
    let class = values.capacity();
    if class > 0 && class == size_class(class) {
        free().entry(class).or_default().push(values);
    }
}

/// Frees everything that the pool holds.
pub fn clear() {
    free().clear();
}

fn free() -> MutexGuard<'static, BTreeMap<usize, Vec<Vec<f32>>>> {
    // A panic while the lock was held cannot leave the map half changed.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The capacity of a buffer for `len` numbers: at least 1,024, and at most an eighth more than asked.
fn size_class(len: usize) -> usize {
    let len = len.max(1024);
    let unit = (len.next_power_of_two() / 16).max(1);
    len.next_multiple_of(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_fixed_points_within_an_eighth() {
        for len in (0..100_000).step_by(7).chain([1 << 20, (1 << 20) + 1]) {
            let class = size_class(len);
            assert!(class >= len && class as f64 <= 1024f64.max(len as f64 * 1.125), "{len} -> {class}");
            assert_eq!(size_class(class), class);
        }
    }

    #[test]
    fn buffers_have_their_length_and_zeros_are_zeros() {
        for len in [0, 1, 5000, 4990, 5010] {
            let mut buffer = Buffer::new(len);
            assert_eq!(buffer.len(), len);
            buffer.fill(7.0);
        }
        assert!(Buffer::zeros(5005).iter().all(|&x| x == 0.0));
        assert_eq!(Buffer::zeros(3).into_vec(), [0.0; 3]);
    }
}
