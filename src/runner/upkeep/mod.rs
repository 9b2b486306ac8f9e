//! Keeping a store in order: what it takes on the disk ([`usage`]), what of it can be done without ([`collect`]), and whether
//! every byte is what was written ([`inspect`]).
//!
//! Here and not in the store, because checkpoints, tokenizers and token files are the trainer's to read.

pub mod collect;
pub mod inspect;
pub mod usage;

use std::fs;
use std::path::{Path, PathBuf};

/// Every plain file below a folder, and its size; what cannot be looked at is left out.
fn files_below(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Links are not followed: what they lead to is not the store's.
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => folders.push(entry.path()),
                Ok(metadata) if metadata.is_file() => found.push((entry.path(), metadata.len())),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Whether a name is that of a file or folder that is not in its place yet.
fn is_stray(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".tmp"))
}
