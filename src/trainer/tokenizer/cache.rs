//! What has been encoded before. It changes how fast text is encoded and never what comes out.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

const SHARDS: usize = 32;

/// Bounds the memory to some 10 MB: words follow Zipf's law, so the first few are most of all text.
const ENTRIES_PER_SHARD: usize = 3_000;

/// Longer pieces are not worth remembering.
const LONGEST_PIECE: usize = 48;

/// Pieces of text and their ids.
type Shard = HashMap<Box<str>, Box<[u32]>>;

/// A bounded map from pieces of text to ids, in shards so that threads seldom wait for each other.
#[derive(Default)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
}

impl Cache {
    /// Appends the ids of `piece`, which `encode` finds when they are not remembered.
    pub(super) fn extend(&self, piece: &str, ids: &mut Vec<u32>, encode: impl FnOnce() -> Vec<u32>) {
        let mut hasher = DefaultHasher::new();
        piece.hash(&mut hasher);
        let shard = &self.shards[hasher.finish() as usize % SHARDS];
        if let Some(known) = shard.lock().unwrap_or_else(PoisonError::into_inner).get(piece) {
            ids.extend_from_slice(known);
            return;
        }
        let found = encode();
        ids.extend_from_slice(&found);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() < ENTRIES_PER_SHARD && piece.len() <= LONGEST_PIECE {
            shard.insert(piece.into(), found.into());
        }
    }
}
