//! The framing of an append-only log: lines that prove themselves, whatever they say.
//!
//! ```text
//! 1a2b3c4d {"log":{"version":2, ...}}        the header: its CRC-32
//! 8f1b6a02c9d3e417 {"state": ...}            from then on: a link, the hash of the link before and this line's JSON
//! ```
//!
//! A link is a checksum that also says what came before: a line that is changed, taken out, put in or moved breaks the
//! chain right there, at the cost of reading. Logs of the first version have a CRC-32 in every line and no links.
//! A process that is killed, or a disk that fills up, can leave a torn last line: readers pass over it, the next writer
//! cuts it off. A bad line with others after it is no torn write but damage.
//!
//! A [`Place`] is where a reader stands between two lines: a reader that begins there reads what was added since, and
//! finds out when what it had read is not what it was.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::{StoreError, io_error};
use super::lease::Fence;
use crate::types::ContentHasher;

/// Bytes that a line may have. The longest that is written, a list of floors, has a few thousand.
const LONGEST_LINE: u64 = 1 << 28;

/// The hash over a line and all before it, written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(u64);

impl Link {
    /// The link that a log with this header begins with.
    pub fn first(header: &[u8]) -> Self {
        Self(0).next(header)
    }

    fn next(self, json: &[u8]) -> Self {
        Self(ContentHasher::new().update(&self.0.to_le_bytes()).update(json).finish().first_u64())
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Link {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// How the next line is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// By its own checksum: the header, and every line of a log of version 1.
    Checksum,
    /// By its link to the line before, which has this one.
    Link(Link),
}

impl Seal {
    /// What stands before `json`, and how the line after it is sealed.
    fn of(self, json: &[u8]) -> (String, Self) {
        match self {
            Self::Checksum => (format!("{:08x}", crc32fast::hash(json)), self),
            Self::Link(before) => {
                let link = before.next(json);
                (link.to_string(), Self::Link(link))
            }
        }
    }
}

/// Between two lines of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub lines: u64,
    pub seal: Seal,
}

impl Place {
    /// Before the header.
    pub const START: Self = Self { offset: 0, lines: 0, seal: Seal::Checksum };

    /// After a line.
    fn after(self, bytes: u64, seal: Seal) -> Self {
        Self { offset: self.offset + bytes, lines: self.lines + 1, seal }
    }
}

/// The lines of a log, one at a time, whatever the length of the log.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    path: PathBuf,
    line: Vec<u8>,
    place: Place,
    torn_bytes: u64,
}

impl Reader<BufReader<File>> {
    /// Reads the log at `path` from `place` on.
    pub fn open(path: &Path, place: Place) -> Result<Self, StoreError> {
        let failed = || io_error("read", path);
        // A pipe would be waited for for ever.
        if !std::fs::metadata(path).map_err(failed())?.is_file() {
            return Err(StoreError::Unreadable { path: path.to_owned(), problem: "it is no plain file".to_owned() });
        }
        let mut file = File::open(path).map_err(failed())?;
        file.seek(SeekFrom::Start(place.offset)).map_err(failed())?;
        Ok(Self::new(BufReader::with_capacity(1 << 16, file), path, place))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads a log from `source`, which begins at `place`; `path` is only what errors call it.
    pub fn new(source: R, path: &Path, place: Place) -> Self {
        Self { source, path: path.to_owned(), line: Vec::new(), place, torn_bytes: 0 }
    }

    /// What errors call the log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the reader stands: after the last whole line that it gave.
    pub fn place(&self) -> Place {
        self.place
    }

    /// From here on, lines are linked: the first of them to `link`.
    pub fn link_to(&mut self, link: Link) {
        self.place.seal = Seal::Link(link);
    }

    /// Bytes of a torn last line, once there are no more lines; 0 when the log ended with a whole one.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// The JSON of the next line.
    ///
    /// # Errors
    /// [`StoreError::Corrupted`] when the line is damaged and others follow it.
    pub fn next(&mut self) -> Result<Option<&[u8]>, StoreError> {
        self.line.clear();
        let mut limited = self.source.by_ref().take(LONGEST_LINE);
        let read = limited.read_until(b'\n', &mut self.line).map_err(io_error("read", &self.path))?;
        if read == 0 {
            return Ok(None);
        }
        match self.unseal() {
            Ok((json, seal)) => {
                self.place = self.place.after(read as u64, seal);
                Ok(Some(&self.line[json..read - 1]))
            }
            Err(problem) => {
                if !self.source.fill_buf().map_err(io_error("read", &self.path))?.is_empty() {
                    return Err(self.corrupted(self.place.lines + 1, problem));
                }
                self.torn_bytes = read as u64;
                Ok(None)
            }
        }
    }

    /// Damage in the last line that was given, for who reads what it says.
    pub fn damaged(&self, problem: &str) -> StoreError {
        self.corrupted(self.place.lines, problem)
    }

    fn corrupted(&self, line: u64, problem: &str) -> StoreError {
        StoreError::Corrupted { path: self.path.clone(), line, problem: problem.to_owned() }
    }

    /// Where the JSON of the line begins, and how the next line is sealed.
    fn unseal(&self) -> Result<(usize, Seal), &'static str> {
        let (width, mismatch) = match self.place.seal {
            Seal::Checksum => (8, "the checksum does not match"),
            Seal::Link(_) => (16, "it does not follow from the line before it"),
        };
        let line = self.line.strip_suffix(b"\n").ok_or("the line has no end")?;
        let (found, json) = line.split_at_checked(width).ok_or("the line is too short")?;
        let json = json.strip_prefix(b" ").ok_or("the line does not begin with a checksum")?;
        let (expected, next) = self.place.seal.of(json);
        if found == expected.as_bytes() { Ok((width + 1, next)) } else { Err(mismatch) }
    }
}

/// A log open for writing.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    /// After the last whole line; whatever the file holds beyond is the rest of a write that failed.
    place: Place,
    is_torn: bool,
    /// Whether a flush failed: what the disk has is known again when the log is read again.
    is_uncertain: bool,
    /// Where others may have taken over meanwhile, what says that they have not.
    fence: Option<Fence>,
}

impl Writer {
    /// Starts a log at `path`, where there must be none.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(io_error("create", path))?;
        Ok(Self { file, path: path.to_owned(), place: Place::START, is_torn: false, is_uncertain: false, fence: None })
    }

    /// Goes on with a log that was read to its end by `reader`: a torn last line is cut off. A `fence` is asked before each write.
    pub fn after<R>(reader: &Reader<R>, fence: Option<Fence>) -> Result<Self, StoreError> {
        let path = reader.path.clone();
        let file = OpenOptions::new().append(true).open(&path).map_err(io_error("open", &path))?;
        let mut writer =
            Self { file, path, place: reader.place, is_torn: reader.torn_bytes > 0, is_uncertain: false, fence };
        writer.cut_torn_tail()?;
        Ok(writer)
    }

    /// Whether nothing has been written yet.
    pub fn is_empty(&self) -> bool {
        self.place.offset == 0
    }

    /// Writes the header, to which the lines after it are linked.
    pub fn header(&mut self, json: &[u8]) -> Result<(), StoreError> {
        self.append(json)?;
        self.place.seal = Seal::Link(Link::first(json));
        Ok(())
    }

    /// Adds a line and hands it to the operating system, so that it outlives this process.
    ///
    /// When it fails, the log is as it was before, and the same line can be appended again.
    pub fn append(&mut self, json: &[u8]) -> Result<(), StoreError> {
        self.check()?;
        self.cut_torn_tail()?;
        let (seal, next) = self.place.seal.of(json);
        let line = [seal.as_bytes(), b" ", json, b"\n"].concat();
        match self.file.write_all(&line) {
            Ok(()) => {
                self.place = self.place.after(line.len() as u64, next);
                Ok(())
            }
            Err(error) => {
                self.is_torn = true;
                let _ = self.cut_torn_tail(); // Tried again before the next line.
                Err(StoreError::io("write to", &self.path, error))
            }
        }
    }

    /// Waits until everything appended is on the disk.
    ///
    /// When it fails, nobody knows what is there, and a system may say of the next flush that all is well (Rebello et al. 2020, "Can
    /// applications recover from fsync failures?"): nothing more is written until the log is opened again.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let flushed = self.file.sync_data();
        self.is_uncertain = flushed.is_err();
        flushed.map_err(io_error("flush", &self.path))?;
        // Only what nobody else's log has taken the place of is there to stay.
        self.check()
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_uncertain {
            let problem = io::Error::other("a flush failed before; what is on the disk is not known");
            return Err(StoreError::io("write to", &self.path, problem));
        }
        self.fence.as_ref().map_or(Ok(()), Fence::check)
    }

    fn cut_torn_tail(&mut self) -> Result<(), StoreError> {
        if self.is_torn {
            self.file.set_len(self.place.offset).map_err(io_error("repair", &self.path))?;
            self.is_torn = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of a header and `lines`, written line by line.
    fn written(lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut writer = Writer::create(&path).unwrap();
        writer.header(b"{}").unwrap();
        lines.iter().for_each(|line| writer.append(line.as_bytes()).unwrap());
        (folder, path)
    }

    /// A log that [`written`] wrote, opened to go on with it.
    fn again(path: &Path) -> Writer {
        let mut reader = Reader::open(path, Place::START).unwrap();
        reader.next().unwrap();
        reader.link_to(Link::first(b"{}"));
        while reader.next().unwrap().is_some() {}
        Writer::after(&reader, None).unwrap()
    }

    /// What is in `bytes` from `place` on, and where the reading ended.
    fn read(bytes: &[u8], place: Place) -> Result<(Vec<String>, Place), StoreError> {
        let mut reader = Reader::new(&bytes[place.offset as usize..], Path::new("a.log"), place);
        let mut lines = Vec::new();
        while let Some(json) = reader.next()? {
            let json = String::from_utf8(json.to_vec()).unwrap();
            if reader.place().lines == 1 {
                reader.link_to(Link::first(json.as_bytes()));
            }
            lines.push(json);
        }
        Ok((lines, reader.place()))
    }

    /// Reading in two goes, cut anywhere, is reading in one; nothing is read twice.
    #[test]
    fn a_reader_goes_on_where_it_stood() {
        let lines = ["1", "22", "333", "4444"];
        let (_folder, path) = written(&lines);
        let whole = std::fs::read(&path).unwrap();
        let (all, end) = read(&whole, Place::START).unwrap();
        assert_eq!((all.len(), end.offset), (5, whole.len() as u64));
        for cut in 0..=whole.len() {
            let (first, place) = read(&whole[..cut], Place::START).unwrap();
            let (rest, last) = read(&whole, place).unwrap();
            assert_eq!((first.into_iter().chain(rest).collect::<Vec<_>>(), last), (all.clone(), end), "cut at {cut}");
        }
    }

    /// Any list of the lines but the one that was written is damage, or ends before its first line that does not follow.
    #[test]
    fn lines_cannot_be_taken_out_put_in_or_moved() {
        let (_folder, path) = written(&["1", "2", "3", "4"]);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        for picks in 0..5_u32.pow(4) {
            let picked: Vec<usize> = (0..4).map(|i| (picks / 5_u32.pow(i) % 5) as usize).collect();
            let log: String = std::iter::once(0).chain(picked.iter().copied()).map(|i| lines[i]).collect();
            let right = picked.iter().zip(1..).take_while(|(found, expected)| *found == expected).count();
            match read(log.as_bytes(), Place::START) {
                Ok((read, _)) => assert!(read.len() == right + 1 && right >= 3, "{picked:?}"),
                Err(StoreError::Corrupted { line, .. }) => assert_eq!(line, right as u64 + 2, "{picked:?}"),
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// A reader that goes on after somebody changed what it had read finds out with the next line.
    #[test]
    fn a_change_behind_the_reader_is_noticed() {
        let (_folder, path) = written(&["1", "2"]);
        let (_, place) = read(&std::fs::read(&path).unwrap(), Place::START).unwrap();
        let (_other, path) = written(&["1", "3", "4", "5"]);
        assert!(matches!(read(&std::fs::read(&path).unwrap(), place), Err(StoreError::Corrupted { .. })));
    }

    /// What a full disk leaves behind: half a line, which must be gone before the next one is written.
    #[test]
    fn a_write_that_failed_leaves_no_trace() {
        let (_folder, path) = written(&["1"]);
        let mut writer = again(&path);
        writer.append(b"2").unwrap();
        writer.file.write_all(b"0badc0de {\"step\":").unwrap();
        writer.is_torn = true;
        writer.append(b"3").unwrap();
        assert_eq!(read(&std::fs::read(&path).unwrap(), Place::START).unwrap().0, ["{}", "1", "2", "3"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_and_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.log");
        let mut writer = Writer::create(&path).unwrap();
        writer.header(b"{}").unwrap();
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut writer.file, full);
        assert!(matches!(writer.append(b"kept"), Err(StoreError::DiskFull { .. })));
        writer.file = file;
        writer.append(b"kept").unwrap();
        assert_eq!(read(&std::fs::read(&path).unwrap(), Place::START).unwrap().0, ["{}", "kept"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn after_a_flush_that_failed_nothing_is_written() {
        let (_folder, path) = written(&["1"]);
        let mut writer = again(&path);
        // What cannot be flushed: a pipe.
        let (_end, pipe) = std::io::pipe().unwrap();
        let file = std::mem::replace(&mut writer.file, File::from(std::os::fd::OwnedFd::from(pipe)));
        assert!(writer.sync().is_err());
        writer.file = file;
        for failed in [writer.append(b"2"), writer.sync()] {
            assert!(failed.unwrap_err().to_string().contains("a flush failed before"));
        }
        assert_eq!(read(&std::fs::read(&path).unwrap(), Place::START).unwrap().0, ["{}", "1"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        let error = Reader::open(Path::new("/dev/zero"), Place::START).unwrap_err();
        assert_eq!(error.to_string(), "`/dev/zero` is not as this program writes it: it is no plain file");
    }
}
