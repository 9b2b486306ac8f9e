//! A file of records that was written from its beginning on, perhaps not to its end: what comes next in it.

use std::io::{self, Read};

/// Bytes of a record at most.
pub(super) const LONGEST: u64 = 256 << 20;

/// What comes next in a file.
#[derive(Debug, PartialEq)]
pub(super) enum Next<'a> {
    Record(&'a [u8]),
    End,
    /// The file ends within a record: it was being written.
    Torn,
    /// What follows cannot be told, and why.
    Bad(String),
}

/// Reads until the buffer is full or the file ends; how many bytes.
pub(super) fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read(&mut buffer[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
