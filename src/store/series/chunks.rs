//! Points in chunks: a file that only grows, and a table that says of each chunk where it is and what is in it.
//!
//! A chunk has its steps, then its values, then its times, each as 8 bytes little-endian a point (a time in milliseconds since
//! 1970, the least number for none). The table has its checksum, so that no damage is read as data.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};

use bytemuck::{Pod, Zeroable};

use super::super::history::Measured;
use super::zoom::Stretch;
use crate::types::Timestamp;

/// Points of a chunk, at most.
pub const CHUNK: usize = if cfg!(test) { 8 } else { 512 };

/// Bytes of a point.
const WIDTH: usize = 24;

const NO_TIME: i64 = i64::MIN;

/// What the table says of a chunk: 88 bytes, little-endian.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Chunk {
    /// Bytes of the file before it.
    offset: u64,
    first_step: i64,
    last_step: i64,
    first: f64,
    last: f64,
    /// NaN where no value is a number.
    min: f64,
    max: f64,
    first_at: i64,
    last_at: i64,
    points: u32,
    nans: u32,
    checksum: u32,
    unused: u32,
}

impl Chunk {
    /// What is in it.
    pub fn fold(&self) -> Stretch {
        let number = |value: f64| Some(value).filter(|value| !value.is_nan());
        Stretch {
            first: measured(self.first_step, self.first, self.first_at),
            last: measured(self.last_step, self.last, self.last_at),
            min: number(self.min),
            max: number(self.max),
            points: self.points as usize,
            nans: self.nans as usize,
        }
    }

    /// Its last step, the largest.
    pub fn last_step(&self) -> i64 {
        self.last_step
    }

    /// Its first step, the smallest.
    pub fn first_step(&self) -> i64 {
        self.first_step
    }

    /// How many points it has.
    pub fn points(&self) -> usize {
        self.points as usize
    }

    /// Bytes that it has in the file.
    pub fn bytes(&self) -> u64 {
        (self.points() * WIDTH) as u64
    }

    /// Bytes of the file up to its end.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes())
    }
}

/// The file of the points, and how far it is written.
#[derive(Debug)]
pub struct ChunkFile {
    file: File,
    end: u64,
}

impl ChunkFile {
    /// A file that is written up to `end`; what it holds beyond counts for nothing.
    pub fn new(file: File, end: u64) -> Self {
        Self { file, end }
    }

    /// How far it is written.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Adds points, whose steps rise.
    ///
    /// # Panics
    /// When there are none.
    pub fn add(&mut self, points: &[Measured]) -> io::Result<Chunk> {
        let fold = points.iter().map(Stretch::of).reduce(|all, next| all.and(&next));
        let fold = fold.expect("invariant: a chunk has points");
        let mut bytes = Vec::with_capacity(points.len() * WIDTH);
        points.iter().for_each(|point| bytes.extend(point.step.to_le_bytes()));
        points.iter().for_each(|point| bytes.extend(point.value.to_le_bytes()));
        points.iter().for_each(|point| bytes.extend(millis(point.at).to_le_bytes()));
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&bytes)?;
        let count = |count: usize| u32::try_from(count).expect("invariant: a chunk is short");
        let chunk = Chunk {
            offset: self.end,
            first_step: fold.first.step,
            last_step: fold.last.step,
            first: fold.first.value,
            last: fold.last.value,
            min: fold.min.unwrap_or(f64::NAN),
            max: fold.max.unwrap_or(f64::NAN),
            first_at: millis(fold.first.at),
            last_at: millis(fold.last.at),
            points: count(fold.points),
            nans: count(fold.nans),
            checksum: crc32fast::hash(&bytes),
            unused: 0,
        };
        self.end = chunk.end();
        Ok(chunk)
    }

    /// The points of a chunk.
    ///
    /// # Errors
    /// When they are not those that were written.
    pub fn points(&self, chunk: &Chunk) -> io::Result<Vec<Measured>> {
        if chunk.points() > CHUNK {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no chunk has so many points"));
        }
        let mut bytes = vec![0; chunk.points() * WIDTH];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(chunk.offset))?;
        file.read_exact(&mut bytes)?;
        if crc32fast::hash(&bytes) != chunk.checksum {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the checksum does not match; ask again, and they are read from the log",
            ));
        }
        let column = |number: usize| bytes[number * chunk.points() * 8..][..chunk.points() * 8].as_chunks::<8>().0;
        let columns = column(0).iter().zip(column(1)).zip(column(2));
        let point = |((step, value), at): ((&[u8; 8], &[u8; 8]), &[u8; 8])| {
            measured(i64::from_le_bytes(*step), f64::from_le_bytes(*value), i64::from_le_bytes(*at))
        };
        Ok(columns.map(point).collect())
    }

    /// Waits until the points are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn measured(step: i64, value: f64, at: i64) -> Measured {
    Measured { step, value, at: (at != NO_TIME).then(|| Timestamp::from_unix_millis(at)) }
}

fn millis(at: Option<Timestamp>) -> i64 {
    at.map_or(NO_TIME, Timestamp::unix_millis)
}

#[cfg(test)]
mod tests {
    use super::super::zoom::tests::any_series;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn points_come_back_with_their_bits(all in any_series()) {
            let mut file = ChunkFile::new(tempfile::tempfile().unwrap(), 0);
            let chunks: Vec<Chunk> = all.chunks(CHUNK).map(|points| file.add(points).unwrap()).collect();
            let back = chunks.iter().flat_map(|chunk| file.points(chunk).unwrap()).collect::<Vec<_>>();
            let bits = |points: &[Measured]| points.iter().map(|p| (p.step, p.value.to_bits(), p.at)).collect::<Vec<_>>();
            prop_assert_eq!(bits(&back), bits(&all));
        }
    }

    #[test]
    fn a_changed_bit_is_no_point() {
        let mut file = ChunkFile::new(tempfile::tempfile().unwrap(), 0);
        let points = [1, 2, 3].map(|step| Measured { step, value: 0.5, at: None });
        let chunk = file.add(&points).unwrap();
        for bit in 0..chunk.end() * 8 {
            let byte = |file: &File| {
                let mut all = Vec::new();
                let mut file = file;
                file.seek(SeekFrom::Start(0)).unwrap();
                file.read_to_end(&mut all).unwrap();
                all[bit as usize / 8]
            };
            let put = |file: &File, byte: u8| {
                let mut file = file;
                file.seek(SeekFrom::Start(bit / 8)).unwrap();
                file.write_all(&[byte]).unwrap();
            };
            let before = byte(&file.file);
            put(&file.file, before ^ (1 << (bit % 8)));
            assert!(file.points(&chunk).is_err(), "bit {bit}");
            put(&file.file, before);
        }
        assert_eq!(file.points(&chunk).unwrap().len(), 3);
    }
}
