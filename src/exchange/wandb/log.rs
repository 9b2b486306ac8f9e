//! The frames of a `.wandb` file: LevelDB's log format, with a header of W&B's own.
//!
//! Seven bytes say what the file is: `:W&B`, 0xbee1 little-endian, and a version of 0. Then, in blocks of 32 KiB that count from the
//! file's beginning, come pieces of records: a checksum (CRC-32 of the two fields that follow the length), `length: u16`,
//! `kind: u8` (whole, first, middle or last piece) and the bytes. Less than seven bytes at a block's end are filling
//! (`doc/log_format.md` of LevelDB, `wandb/sdk/internal/datastore.py` of the package `wandb`, up to 0.20).

use std::io::{self, Read};

use crate::exchange::records::{LONGEST, Next, fill};

const BLOCK: u64 = 1 << 15;
const HEAD: usize = 7;
const BEGINNING: [u8; HEAD] = *b":W&B\xe1\xbe\0";

/// The records of a file.
pub struct Records<R> {
    file: R,
    /// How much of the file was read.
    at: u64,
    /// The pieces of a record so far.
    record: Vec<u8>,
}

impl<R: Read> Records<R> {
    pub fn new(file: R) -> Self {
        Self { file, at: 0, record: Vec::new() }
    }

    /// How many bytes were read.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next record. After anything but a record there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&mut self) -> io::Result<Next<'_>> {
        const WHOLE: u8 = 1;
        const FIRST: u8 = 2;
        const MIDDLE: u8 = 3;
        const LAST: u8 = 4;

        if self.at == 0 {
            let mut beginning = [0; HEAD];
            match self.read(&mut beginning)? {
                0 => return Ok(Next::End),
                read if beginning[..read] != BEGINNING[..read] => {
                    return Ok(Next::Bad("it does not begin as W&B's files do".to_owned()));
                }
                HEAD => {}
                _ => return Ok(Next::Torn),
            }
        }
        self.record.clear();
        let mut is_begun = false;
        loop {
            let left = BLOCK - self.at % BLOCK;
            if left < HEAD as u64 {
                let mut filling = [0; HEAD];
                self.read(&mut filling[..left as usize])?;
            }
            let (at, mut head) = (self.at, [0; HEAD]);
            match self.read(&mut head)? {
                HEAD => {}
                0 if !is_begun => return Ok(Next::End),
                _ => return Ok(Next::Torn),
            }
            let sum = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
            let (length, kind) = (usize::from(u16::from_le_bytes([head[4], head[5]])), head[6]);
            let bad = |what: &str| Ok(Next::Bad(format!("the piece at byte {at} {what}")));
            if (length + HEAD) as u64 > BLOCK - at % BLOCK {
                return bad("is longer than its block");
            }
            let before = self.record.len();
            self.record.resize(before + length, 0);
            let (mut record, file) = (std::mem::take(&mut self.record), &mut self.file);
            let read = fill(file, &mut record[before..])?;
            self.record = record;
            self.at += read as u64;
            if read < length {
                return Ok(Next::Torn);
            }
            if checksum(kind, &self.record[before..]) != sum {
                return bad("does not fit its checksum");
            }
            match (kind, is_begun) {
                (WHOLE, false) | (LAST, true) => return Ok(Next::Record(&self.record)),
                (FIRST, false) | (MIDDLE, true) => is_begun = true,
                _ => return bad("is no piece that can stand there"),
            }
            if self.record.len() as u64 > LONGEST {
                return bad("makes a record of more than 256 MiB");
            }
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = fill(&mut self.file, buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// CRC-32 of the kind and the bytes.
fn checksum(kind: u8, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(bytes);
    hasher.finalize()
}

/// Records as they lie in a file.
#[cfg(test)]
pub(super) fn framed(records: &[Vec<u8>]) -> Vec<u8> {
    let mut file = BEGINNING.to_vec();
    for record in records {
        let (mut rest, mut is_first) = (&record[..], true);
        loop {
            let left = BLOCK as usize - file.len() % BLOCK as usize;
            if left < HEAD {
                file.extend(vec![0; left]);
                continue;
            }
            let (piece, after) = rest.split_at(rest.len().min(left - HEAD));
            let kind = match (is_first, after.is_empty()) {
                (true, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
                (false, true) => 4,
            };
            file.extend(checksum(kind, piece).to_le_bytes());
            file.extend((piece.len() as u16).to_le_bytes());
            file.push(kind);
            file.extend(piece);
            (rest, is_first) = (after, false);
            if rest.is_empty() {
                break;
            }
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every record until the end, and how it ends.
    fn all(file: &[u8]) -> (Vec<Vec<u8>>, String) {
        let (mut records, mut found) = (Records::new(file), Vec::new());
        loop {
            match records.next().unwrap() {
                Next::Record(data) => found.push(data.to_vec()),
                other => return (found, format!("{other:?}")),
            }
        }
    }

    #[test]
    fn every_truncation_gives_a_beginning_and_every_flipped_bit_is_seen() {
        let records = [b"one".to_vec(), Vec::new(), b"a longer record".to_vec()];
        let file = framed(&records);
        assert_eq!(all(&file), (records.to_vec(), "End".to_owned()));
        let ends: Vec<usize> =
            (0..=3).map(|many| 7 + records[..many].iter().map(|data| data.len() + 7).sum::<usize>()).collect();
        for length in 0..file.len() {
            let (found, end) = all(&file[..length]);
            let whole = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
            assert_eq!(found, records[..whole], "{length}");
            let is_end = length == 0 || ends.contains(&length);
            assert_eq!(end, if is_end { "End" } else { "Torn" }, "{length}");
        }
        for bit in 0..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (found, end) = all(&changed);
            let before = ends.iter().filter(|end| **end <= bit / 8).count().saturating_sub(1);
            assert_eq!(found, records[..before], "bit {bit}");
            // A longer length may lead beyond the end.
            assert!(end.starts_with("Bad") || end == "Torn", "bit {bit}: {end}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn records_of_any_size_are_read_across_blocks(sizes in prop::collection::vec(0_usize..100_000, 0..8), cut: u16) {
            let records: Vec<Vec<u8>> =
                sizes.iter().enumerate().map(|(i, size)| (0..*size).map(|at| (at * (i + 1)) as u8).collect()).collect();
            let file = framed(&records);
            prop_assert_eq!(all(&file), (records.clone(), "End".to_owned()));
            let (found, end) = all(&file[..file.len() * usize::from(cut) / usize::from(u16::MAX)]);
            prop_assert!(records.starts_with(&found) && (end == "Torn" || end == "End"), "{}", end);
        }
    }

    #[test]
    fn pieces_stand_where_they_can() {
        let mut file = BEGINNING.to_vec();
        for kind in [3_u8, 1] {
            file.extend(checksum(kind, b"x").to_le_bytes());
            file.extend([1, 0, kind, b'x']);
        }
        assert_eq!(all(&file).1, "Bad(\"the piece at byte 7 is no piece that can stand there\")");
        assert_eq!(all(b"PK\x03\x04").1, "Bad(\"it does not begin as W&B's files do\")");
        assert_eq!(all(b":W&B\xe1\xbe\x01").1, "Bad(\"it does not begin as W&B's files do\")");
    }
}
