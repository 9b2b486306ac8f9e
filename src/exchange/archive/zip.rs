//! The ZIP around an archive's files, to the byte: what stands before each file, and the directory behind them all.
//!
//! An archive is verified to the last bit, so there is one way to write it and nothing in it that a reader would pass over:
//! sizes stand before the data, no time but the first that a ZIP can say, the wide fields (ZIP64) only where a number needs
//! them. A library for ZIP files reads what others write and forgives much; here nothing is forgiven, and the little that is
//! needed is shorter than the checks on top of one. Sources: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16
//! and 4.5.3.

/// How the bytes of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Stored,
    Deflated,
}

/// What a ZIP says of a file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub path: String,
    pub method: Method,
    pub crc32: u32,
    /// Bytes as they are written.
    pub packed: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// Bytes before a name in a local header, in a record of the directory, and of the end without its wide form.
const LOCAL: usize = 30;
const RECORD: usize = 46;
const END: usize = 22;

/// A number that stands in the wide field, and how many that need one of two bytes.
const WIDE: u64 = u32::MAX as u64;
const MANY: u64 = u16::MAX as u64;

/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// 1980-01-01, the first day that a ZIP can say; the time is midnight.
const DATE: u16 = (1 << 5) | 1;
/// Made on a system with Unix's permissions, by the rules of version 4.5.
const MADE_BY: u16 = (3 << 8) | 45;
/// A plain file that everybody may read.
const PERMISSIONS: u32 = 0o100_644 << 16;

impl Member {
    /// What stands before the file's data.
    pub fn local_header(&self) -> Vec<u8> {
        let is_wide = self.is_wide();
        let mut header = Vec::with_capacity(LOCAL + self.path.len());
        put32(&mut header, 0x0403_4b50);
        put16(&mut header, self.needed(is_wide));
        self.common(&mut header, is_wide);
        put16(&mut header, low16(self.path.len() as u64));
        put16(&mut header, if is_wide { 20 } else { 0 });
        header.extend(self.path.as_bytes());
        if is_wide {
            wide(&mut header, &[self.bytes, self.packed]);
        }
        header
    }

    /// The file's record in the directory; `at` is where its header begins.
    pub fn record(&self, at: u64) -> Vec<u8> {
        let mut numbers = if self.is_wide() { vec![self.bytes, self.packed] } else { Vec::new() };
        numbers.extend((at >= WIDE).then_some(at));
        let mut record = Vec::with_capacity(RECORD + self.path.len());
        put32(&mut record, 0x0201_4b50);
        put16(&mut record, MADE_BY);
        put16(&mut record, self.needed(!numbers.is_empty()));
        self.common(&mut record, self.is_wide());
        put16(&mut record, low16(self.path.len() as u64));
        put16(&mut record, if numbers.is_empty() { 0 } else { low16(4 + 8 * numbers.len() as u64) });
        put16(&mut record, 0); // No remark,
        put16(&mut record, 0); // on the first disk,
        put16(&mut record, 0); // neither text nor binary.
        put32(&mut record, PERMISSIONS);
        put32(&mut record, low32(at));
        record.extend(self.path.as_bytes());
        if !numbers.is_empty() {
            wide(&mut record, &numbers);
        }
        record
    }

    /// What local header and record have in common, from the flags to the sizes.
    fn common(&self, out: &mut Vec<u8>, is_wide: bool) {
        put16(out, FLAGS);
        put16(out, if self.method == Method::Deflated { 8 } else { 0 });
        put16(out, 0);
        put16(out, DATE);
        put32(out, self.crc32);
        for size in [self.packed, self.bytes] {
            put32(out, if is_wide { u32::MAX } else { low32(size) });
        }
    }

    fn is_wide(&self) -> bool {
        self.bytes >= WIDE || self.packed >= WIDE
    }

    /// The version of the format that a reader needs.
    fn needed(&self, is_wide: bool) -> u16 {
        match (is_wide, self.method) {
            (true, _) => 45,
            (false, Method::Deflated) => 20,
            (false, Method::Stored) => 10,
        }
    }
}

/// What stands behind a directory of `count` records and `bytes` bytes that begins at `at`.
pub(super) fn end(count: u64, at: u64, bytes: u64) -> Vec<u8> {
    let mut end = Vec::new();
    if count >= MANY || at >= WIDE || bytes >= WIDE {
        put32(&mut end, 0x0606_4b50);
        put64(&mut end, 44); // What follows of it.
        put16(&mut end, MADE_BY);
        put16(&mut end, 45);
        put32(&mut end, 0); // The first disk of one.
        put32(&mut end, 0);
        [count, count, bytes, at].into_iter().for_each(|number| put64(&mut end, number));
        put32(&mut end, 0x0706_4b50);
        put32(&mut end, 0);
        put64(&mut end, at + bytes);
        put32(&mut end, 1);
    }
    put32(&mut end, 0x0605_4b50);
    put16(&mut end, 0);
    put16(&mut end, 0);
    put16(&mut end, low16(count));
    put16(&mut end, low16(count));
    put32(&mut end, low32(bytes));
    put32(&mut end, low32(at));
    put16(&mut end, 0);
    end
}

/// A directory as some program left it, read as other programs read it: to say what was done to an archive, never to take
/// anything in. `None` where there is none.
pub(super) fn directory(file: &mut impl Slices) -> Option<Vec<(Member, u64)>> {
    /// A remark behind the end can be so long.
    const REACH: u64 = END as u64 + 0xffff;
    /// More is not read for a diagnosis.
    const MOST: u64 = 64 << 20;

    let tail_at = file.len().saturating_sub(REACH);
    let tail = file.slice(tail_at, file.len() - tail_at)?;
    let end = (0..=tail.len().checked_sub(END)?).rev().find(|&at| tail[at..].starts_with(b"PK\x05\x06"))?;
    let (mut bytes, mut at) = (u64::from(get32(&tail, end + 12)?), u64::from(get32(&tail, end + 16)?));
    let locator = end.checked_sub(20).filter(|&at| tail[at..].starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let wide = file.slice(get64(&tail, locator + 8)?, 56)?;
        (bytes, at) = (get64(&wide, 40)?, get64(&wide, 48)?);
    }
    let records = file.slice(at, Some(bytes).filter(|&bytes| bytes <= MOST)?)?;
    let mut found = Vec::new();
    let mut next = 0;
    while next < records.len() {
        if !records[next..].starts_with(b"PK\x01\x02") {
            return None;
        }
        let length = |at: usize| get16(&records, next + at).map(usize::from);
        let (name, extra, remark) = (length(28)?, length(30)?, length(32)?);
        let path = String::from_utf8_lossy(records.get(next + RECORD..next + RECORD + name)?).into_owned();
        let narrow = [24, 20, 42].map(|at| get32(&records, next + at).map(u64::from));
        let mut numbers = [narrow[0]?, narrow[1]?, narrow[2]?];
        let fields = records.get(next + RECORD + name..next + RECORD + name + extra)?;
        if get16(fields, 0) == Some(1) {
            let mut at = 4;
            for number in numbers.iter_mut().filter(|number| **number == WIDE) {
                *number = get64(fields, at)?;
                at += 8;
            }
        }
        let method = if get16(&records, next + 10)? == 0 { Method::Stored } else { Method::Deflated };
        let [bytes, packed, at] = numbers;
        found.push((Member { path, method, crc32: get32(&records, next + 16)?, packed, bytes }, at));
        next += RECORD + name + extra + remark;
    }
    Some(found)
}

/// Where the data of a member begins whose header begins at `at`, whoever wrote it.
pub(super) fn data_at(file: &mut impl Slices, at: u64) -> Option<u64> {
    let header = file.slice(at, LOCAL as u64)?;
    let lengths = u64::from(get16(&header, 26)?) + u64::from(get16(&header, 28)?);
    header.starts_with(b"PK\x03\x04").then(|| at + LOCAL as u64 + lengths)
}

/// The size that the local header at `at` says.
pub(super) fn stated_size(file: &mut impl Slices, at: u64) -> Option<u64> {
    get32(&file.slice(at, LOCAL as u64)?, 22).map(u64::from)
}

/// The checksum that the local header at `at` says.
pub(super) fn stated_crc(file: &mut impl Slices, at: u64) -> Option<u32> {
    get32(&file.slice(at, LOCAL as u64)?, 14)
}

/// Bytes that can be had from any place.
pub(super) trait Slices {
    /// All bytes.
    fn len(&self) -> u64;
    /// The bytes from `at` on, where there are so many.
    fn slice(&mut self, at: u64, length: u64) -> Option<Vec<u8>>;
}

/// The wide fields: a block of the extra field.
fn wide(out: &mut Vec<u8>, numbers: &[u64]) {
    put16(out, 1);
    put16(out, low16(8 * numbers.len() as u64));
    numbers.iter().for_each(|&number| put64(out, number));
}

fn low16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn low32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn put16(out: &mut Vec<u8>, number: u16) {
    out.extend(number.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, number: u32) {
    out.extend(number.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, number: u64) {
    out.extend(number.to_le_bytes());
}

fn get16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn get32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn get64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bytes(Vec<u8>);

    impl Slices for Bytes {
        fn len(&self) -> u64 {
            self.0.len() as u64
        }

        fn slice(&mut self, at: u64, length: u64) -> Option<Vec<u8>> {
            let at = usize::try_from(at).ok()?;
            Some(self.0.get(at..at.checked_add(usize::try_from(length).ok()?)?)?.to_vec())
        }
    }

    fn member(path: &str, packed: u64, bytes: u64) -> Member {
        Member { path: path.to_owned(), method: Method::Deflated, crc32: 0x1234_5678, packed, bytes }
    }

    /// What is written is read back by the reader of directories, whichever numbers need the wide fields.
    #[test]
    fn numbers_of_any_size_come_back() {
        let big = 5_000_000_000;
        for members in [
            vec![(member("a", 3, 5), 0), (member("한글", 0, 0), 77)],
            vec![
                (member("a", 3, big), 7),
                (member("b", big, big), big),
                (member("c", 1, 2), big + 1),
                (member("d", WIDE, WIDE), WIDE),
            ],
        ] {
            let mut bytes = vec![0; 100];
            members.iter().for_each(|(member, at)| bytes.extend(member.record(*at)));
            let size = bytes.len() as u64 - 100;
            bytes.extend(end(members.len() as u64, 100, size));
            assert_eq!(directory(&mut Bytes(bytes)), Some(members));
        }
        assert_eq!(end(MANY, 0, 0).len(), 56 + 20 + END);
        assert_eq!(end(1, WIDE, 0).len(), 56 + 20 + END);
        assert_eq!(directory(&mut Bytes(b"PK".to_vec())), None);
    }

    /// Field by field, against the layout of the specification.
    #[test]
    fn a_header_is_what_the_format_says() {
        let mut file = Bytes(member("ab", 3, 5).local_header());
        assert_eq!((data_at(&mut file, 0), stated_size(&mut file, 0)), (Some(32), Some(5)));
        assert_eq!(stated_crc(&mut file, 0), Some(0x1234_5678));
        let hex: String = file.0.iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex, @"504b030414000008080000002100785634120300000005000000020000006162");
    }
}
