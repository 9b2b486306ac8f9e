//! TFRecord: the records of an event file one after another, each with its length and a checksum of both.
//!
//! `length: u64`, `checksum of these 8 bytes: u32`, the bytes, `checksum of the bytes: u32`, all little-endian; the checksum is
//! CRC-32C, turned by 15 bits and raised by a constant ("TFRecord" in TensorFlow's guide, `tsl/lib/io/record_writer.h`). A record
//! is read by what is there, never by what its length says.

use std::io::{self, Read};

use crate::exchange::records::{LONGEST, Next, fill};

/// The records of a file.
pub struct Records<R> {
    file: R,
    buffer: Vec<u8>,
    /// Where the next record begins.
    at: u64,
}

impl<R: Read> Records<R> {
    pub fn new(file: R) -> Self {
        Self { file, buffer: Vec::new(), at: 0 }
    }

    /// Where the last record that was given ends, in bytes.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next record. After anything but a record there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next(&mut self) -> io::Result<Next<'_>> {
        const HEAD: usize = 12;

        let mut head = [0; HEAD];
        let read = fill(&mut self.file, &mut head)?;
        if read < HEAD {
            return Ok(if read == 0 { Next::End } else { Next::Torn });
        }
        let [length, sum] = [&head[..8], &head[8..]];
        if masked(length).to_le_bytes() != *sum {
            return Ok(Next::Bad(format!("the length of the record at byte {} does not fit its checksum", self.at)));
        }
        let length = u64::from_le_bytes(length.try_into().expect("invariant: eight bytes"));
        if length > LONGEST {
            return Ok(Next::Bad(format!("the record at byte {} is larger than 256 MiB", self.at)));
        }
        self.buffer.clear();
        // Grows with what there is.
        (&mut self.file).take(length + 4).read_to_end(&mut self.buffer)?;
        if (self.buffer.len() as u64) < length + 4 {
            return Ok(Next::Torn);
        }
        let (data, sum) = self.buffer.split_at(length as usize);
        if masked(data).to_le_bytes() != *sum {
            return Ok(Next::Bad(format!("the record at byte {} does not fit its checksum", self.at)));
        }
        self.at += HEAD as u64 + length + 4;
        Ok(Next::Record(data))
    }
}

/// The checksum of a record: so that the sum of bytes that hold their own sum is another.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli): the polynomial 0x1edc6f41, reflected (RFC 3720, appendix B.4).
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| TABLE[usize::from(sum as u8 ^ byte)] ^ sum >> 8)
}

static TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

/// A record as it lies in a file.
#[cfg(test)]
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}

#[cfg(test)]
mod tests {
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
    fn the_checksum_is_that_of_the_standard() {
        // RFC 3720, B.4, and the check value of the catalogue of CRCs.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    }

    #[test]
    fn every_truncation_gives_a_beginning_and_every_flipped_bit_is_seen() {
        let records: [&[u8]; 4] = [b"one", b"", b"\0\0\0\0", b"a longer record"];
        let file: Vec<u8> = records.iter().flat_map(|data| framed(data)).collect();
        assert_eq!(all(&file), (records.map(<[u8]>::to_vec).to_vec(), "End".to_owned()));
        let ends: Vec<usize> = (0..=4).map(|many| records[..many].iter().map(|data| data.len() + 16).sum()).collect();
        for length in 0..file.len() {
            let (found, end) = all(&file[..length]);
            let whole = ends.iter().filter(|end| **end <= length).count() - 1;
            assert_eq!(found, records[..whole], "{length}");
            assert_eq!(end, if ends.contains(&length) { "End" } else { "Torn" }, "{length}");
        }
        for bit in 0..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let (found, end) = all(&changed);
            let before = ends.iter().filter(|end| **end <= bit / 8).count() - 1;
            assert_eq!(found, records[..before], "bit {bit}");
            assert!(end.starts_with("Bad"), "bit {bit}: {end}");
        }
    }

    #[test]
    fn a_length_alone_takes_no_memory() {
        let length = (LONGEST - 1).to_le_bytes();
        let torn = [&length[..], &masked(&length).to_le_bytes(), b"x"].concat();
        assert_eq!(all(&torn).1, "Torn");
        let length = u64::MAX.to_le_bytes();
        let large = [&length[..], &masked(&length).to_le_bytes(), b"x"].concat();
        assert_eq!(all(&large).1, "Bad(\"the record at byte 0 is larger than 256 MiB\")");
    }
}
