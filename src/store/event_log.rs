//! `events.log`: the append-only record of a run, one checksummed line of JSON an event.
//!
//! ```text
//! 8e9c1d0f {"log":{"version":1}}
//! 03ab7712 {"step":{"step":1,"chain":"9d3c0f6a55e1b204","metrics":{"train/loss":9.0347}}}
//! ```
//!
//! The first eight characters are the CRC-32 of the JSON. A process that is killed, or a disk that fills up, can leave a
//! torn last line: readers pass over it, the next writer cuts it off. A bad line with others after it is no torn write but
//! damage, and is reported with its number.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{StoreError, io_error};
use super::event::Event;

/// The version of the log's shape. Readers accept every version up to this one; writers write this one.
pub const LOG_VERSION: u32 = 1;

/// A log open for writing. Only the holder of the run's lease has one.
#[derive(Debug)]
pub struct EventLog {
    file: File,
    path: PathBuf,
    /// Bytes of whole records; whatever the file holds beyond is the rest of a write that failed.
    len: u64,
    is_torn: bool,
}

impl EventLog {
    /// Starts a log at `path`, where there must be none.
    pub(super) fn create(path: &Path) -> Result<Self, StoreError> {
        let file = OpenOptions::new().append(true).create_new(true).open(path).map_err(io_error("create", path))?;
        let mut log = Self { file, path: path.to_owned(), len: 0, is_torn: false };
        log.write(&Record::header())?;
        Ok(log)
    }

    /// Opens a log to go on with it: a torn last line is cut off, damage before it is an error.
    pub(super) fn recover(path: &Path) -> Result<Self, StoreError> {
        let mut reader = EventReader::open(path)?;
        reader.by_ref().try_for_each(|event| event.map(drop))?;
        let file = OpenOptions::new().append(true).open(path).map_err(io_error("open", path))?;
        let mut log = Self { file, path: path.to_owned(), len: reader.whole_bytes, is_torn: reader.torn_bytes > 0 };
        log.cut_torn_tail()?;
        if log.len == 0 {
            log.write(&Record::header())?;
        }
        Ok(log)
    }

    /// Adds a record and hands it to the operating system, so that it outlives this process; a milestone is also
    /// flushed to the disk, so that it outlives a power cut.
    ///
    /// When it fails, the log is as it was before, and the same record can be appended again.
    pub fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        self.write(event)?;
        if event.is_milestone() { self.sync() } else { Ok(()) }
    }

    /// Waits until everything appended is on the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(io_error("flush", &self.path))
    }

    fn write(&mut self, record: &impl Serialize) -> Result<(), StoreError> {
        self.cut_torn_tail()?;
        let line =
            frame(&serde_json::to_vec(record).expect("invariant: records have string keys and no failing field"));
        match self.file.write_all(&line) {
            Ok(()) => {
                self.len += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.is_torn = true;
                let _ = self.cut_torn_tail(); // Tried again before the next record.
                Err(StoreError::io("write to", &self.path, error))
            }
        }
    }

    fn cut_torn_tail(&mut self) -> Result<(), StoreError> {
        if self.is_torn {
            self.file.set_len(self.len).map_err(io_error("repair", &self.path))?;
            self.is_torn = false;
        }
        Ok(())
    }
}

/// The records of a log in the order of their writing, one at a time, whatever the length of the log.
#[derive(Debug)]
pub struct EventReader<R> {
    source: R,
    path: PathBuf,
    line: Vec<u8>,
    line_number: u64,
    whole_bytes: u64,
    torn_bytes: u64,
    unknown_records: u64,
    is_done: bool,
}

impl EventReader<BufReader<File>> {
    /// Reads the log at `path`.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(io_error("read", path))?;
        Ok(Self::new(BufReader::with_capacity(1 << 16, file), path))
    }
}

impl<R: BufRead> EventReader<R> {
    /// Reads a log from `source`; `path` is only what errors call it.
    pub fn new(source: R, path: &Path) -> Self {
        Self {
            source,
            path: path.to_owned(),
            line: Vec::new(),
            line_number: 0,
            whole_bytes: 0,
            torn_bytes: 0,
            unknown_records: 0,
            is_done: false,
        }
    }

    /// Bytes of a torn last line, once the iterator has ended; 0 when the log ended with a whole record.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    /// Records of kinds that this program does not know, which were passed over so far.
    pub fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    fn read_event(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            self.line.clear();
            let read = self.source.read_until(b'\n', &mut self.line).map_err(io_error("read", &self.path))?;
            if read == 0 {
                return Ok(None);
            }
            self.line_number += 1;
            let json = match unframe(&self.line) {
                Ok(json) => json,
                Err(problem) => {
                    let rest = self.source.fill_buf().map_err(io_error("read", &self.path))?;
                    if !rest.is_empty() {
                        return Err(self.corrupted(problem));
                    }
                    self.torn_bytes = read as u64;
                    return Ok(None);
                }
            };
            let record = Record::parse(json).map_err(|error| self.corrupted(&error.to_string()))?;
            self.whole_bytes += read as u64;
            match (record, self.line_number) {
                (Record::Header { version }, 1) if version <= LOG_VERSION => {}
                (Record::Header { version }, 1) => {
                    return Err(StoreError::TooNew { path: self.path.clone(), version, newest: LOG_VERSION });
                }
                (Record::Header { .. }, _) => return Err(self.corrupted("a second header")),
                (_, 1) => return Err(self.corrupted("the header with the format's version is missing")),
                (Record::Event(event), _) => return Ok(Some(event)),
                (Record::Unknown, _) => self.unknown_records += 1,
            }
        }
    }

    fn corrupted(&self, problem: &str) -> StoreError {
        StoreError::Corrupted { path: self.path.clone(), line: self.line_number, problem: problem.to_owned() }
    }
}

impl<R: BufRead> Iterator for EventReader<R> {
    type Item = Result<Event, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let item = self.read_event().transpose();
        self.is_done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// A line of the log, as one that may be older or newer than this program wrote it.
enum Record {
    Header { version: u32 },
    Event(Event),
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct Header {
    log: LogVersion,
}

#[derive(Serialize, Deserialize)]
struct LogVersion {
    version: u32,
}

impl Record {
    /// Every kind that [`Event`] has, by its name in JSON.
    const KINDS: [&str; 7] = ["state", "step", "evaluation", "fact", "warning", "checkpoint", "resumed"];

    fn header() -> Header {
        Header { log: LogVersion { version: LOG_VERSION } }
    }

    fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let error = match serde_json::from_slice(json) {
            Ok(event) => return Ok(Self::Event(event)),
            Err(error) => error,
        };
        if let Ok(header) = serde_json::from_slice::<Header>(json) {
            return Ok(Self::Header { version: header.log.version });
        }
        let fields = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json)?;
        match fields.keys().next() {
            Some(kind) if !Self::KINDS.contains(&kind.as_str()) => Ok(Self::Unknown),
            _ => Err(error),
        }
    }
}

fn frame(json: &[u8]) -> Vec<u8> {
    let mut line = format!("{:08x} ", crc32fast::hash(json)).into_bytes();
    line.extend_from_slice(json);
    line.push(b'\n');
    line
}

fn unframe(line: &[u8]) -> Result<&[u8], &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("the line has no end")?;
    let (checksum, json) = line.split_at_checked(8).ok_or("the line is too short")?;
    let json = json.strip_prefix(b" ").ok_or("the line does not begin with a checksum")?;
    let is_right = checksum == format!("{:08x}", crc32fast::hash(json)).as_bytes();
    if is_right { Ok(json) } else { Err("the checksum does not match") }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::testing::{sample_events, sample_log};
    use super::*;

    fn read(bytes: &[u8]) -> Result<(Vec<Event>, u64), StoreError> {
        let mut reader = EventReader::new(bytes, Path::new("events.log"));
        let events = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok((events, reader.torn_bytes()))
    }

    #[test]
    fn the_bytes_are_these() {
        assert_snapshot!(String::from_utf8(sample_log()).unwrap(), @r#"
        870a97e4 {"log":{"version":1}}
        9dd2ca91 {"state":{"state":"planned","at":"1970-01-01T00:00:01.000Z"}}
        d6f2ab18 {"state":{"state":"running","at":"1970-01-01T00:00:02.000Z"}}
        2d2f2f96 {"fact":{"name":"parameters","value":1052256}}
        b1886427 {"step":{"step":1,"chain":"4022200000000001","metrics":{"train/loss":9.0625,"train/lr":0.0001}}}
        a68c2eca {"step":{"step":2,"chain":"7ff0000000000002","metrics":{"train/loss":"inf","train/lr":0.0001}}}
        05b03b91 {"evaluation":{"step":2,"metrics":{"valid/mlm_loss":0.30000000000000004}}}
        ec52e6e2 {"checkpoint":{"step":2,"file":"step-00000002.safetensors","weights":"ea21c7b3c885cf2fb547bb51016c8bbbaca21db264cc9f332769ad8dd895f0a3"}}
        43c11962 {"step":{"step":3,"chain":"8000000000000003","metrics":{"train/loss":-0.0,"train/lr":0.0001}}}
        59b552ec {"warning":{"text":"손실이 커졌다"}}
        cb9ef377 {"state":{"state":"interrupted","reason":"Ctrl-C at step 3","at":"1970-01-01T00:00:05.000Z"}}
        1702056a {"resumed":{"step":2,"at":"1970-01-01T00:00:06.000Z"}}
        5e0400d5 {"state":{"state":"finished","at":"1970-01-01T00:00:09.000Z"}}
        "#);
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&sample_log()).unwrap(), (sample_events(), 0));
    }

    /// The law of torn writes: a log cut anywhere reads as exactly the records that are whole, and a writer that opens
    /// it goes on from there.
    #[test]
    fn a_log_cut_at_any_byte_is_its_whole_records() {
        let (whole, events) = (sample_log(), sample_events());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let last = Event::Warning { text: "after the cut".to_owned() };
        for cut in 0..=whole.len() {
            let kept = &whole[..cut];
            let newlines = kept.iter().filter(|&&byte| byte == b'\n').count();
            let torn = cut - kept.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let expected = &events[..newlines.saturating_sub(1)];
            assert_eq!(read(kept).unwrap(), (expected.to_vec(), torn as u64), "cut at byte {cut}");

            std::fs::write(&path, kept).unwrap();
            EventLog::recover(&path).unwrap().append(&last).unwrap();
            let (after, torn) = read(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!((after.split_last().unwrap(), torn), ((&last, expected), 0), "went on from byte {cut}");
        }
    }

    #[test]
    fn a_last_line_of_rubbish_is_torn_too() {
        let whole = sample_log();
        for tail in [&[0u8; 4096][..], b"\n", b"00000000 {}\n", b"no checksum at all\n"] {
            let (events, torn) = read(&[&whole[..], tail].concat()).unwrap();
            assert_eq!((events, torn), (sample_events(), tail.len() as u64));
        }
    }

    /// Flips bits in every record but the last: the reader must name that line, and invent nothing. (Without the newline
    /// before it, the last record is the end of a bad last line.)
    #[test]
    fn damage_in_the_middle_is_reported_with_its_line() {
        let whole = sample_log();
        let last_line = whole.trim_ascii_end().iter().rposition(|&byte| byte == b'\n').unwrap();
        for byte in 0..last_line {
            for bit in [0, 3, 6] {
                let mut damaged = whole.clone();
                damaged[byte] ^= 1 << bit;
                let line_number = whole[..byte].iter().filter(|&&b| b == b'\n').count() as u64 + 1;
                let mut reader = EventReader::new(&damaged[..], Path::new("events.log"));
                let intact = reader.by_ref().map_while(Result::ok).collect::<Vec<_>>();
                assert_eq!(intact, sample_events()[..intact.len()]);
                match read(&damaged) {
                    Err(StoreError::Corrupted { line, .. }) => assert_eq!(line, line_number, "byte {byte}"),
                    other => panic!("byte {byte}, bit {bit} gave {other:?}"),
                }
            }
        }
    }

    /// What a full disk leaves behind: half a record, which must be gone before the next one is written.
    #[test]
    fn a_write_that_failed_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let mut log = EventLog::create(&path).unwrap();
        let [first, second] = ["first", "second"].map(|text| Event::Warning { text: text.to_owned() });
        log.append(&first).unwrap();
        log.file.write_all(b"0badc0de {\"step\":").unwrap();
        log.is_torn = true;
        log.append(&second).unwrap();
        assert_eq!(read(&std::fs::read(&path).unwrap()).unwrap(), (vec![first, second], 0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named_and_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let mut log = EventLog::create(&path).unwrap();
        let event = Event::Warning { text: "kept".to_owned() };
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let file = std::mem::replace(&mut log.file, full);
        assert!(matches!(log.append(&event), Err(StoreError::DiskFull { .. })));
        log.file = file;
        log.append(&event).unwrap();
        assert_eq!(read(&std::fs::read(&path).unwrap()).unwrap(), (vec![event], 0));
    }

    #[test]
    fn recovering_a_damaged_log_leaves_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let mut damaged = sample_log();
        damaged[50] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(EventLog::recover(&path), Err(StoreError::Corrupted { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), damaged);
    }

    #[test]
    fn newer_kinds_and_fields_are_tolerated_newer_versions_are_not() {
        let header = frame(br#"{"log":{"version":1,"by":"a later ablate"}}"#);
        let log =
            [header.clone(), frame(br#"{"heartbeat":{"at":1}}"#), frame(br#"{"warning":{"text":"hot","severity":3}}"#)]
                .concat();
        let mut reader = EventReader::new(&log[..], Path::new("events.log"));
        let events = reader.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(events, [Event::Warning { text: "hot".to_owned() }]);
        assert_eq!(reader.unknown_records(), 1);

        let error = read(&frame(br#"{"log":{"version":2}}"#)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`events.log` has format version 2, but this program reads up to 1; use a newer ablate"
        );
        let error = read(&[header, frame(br#"{"step":{"step":"three"}}"#)].concat()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupted { line: 2, .. }), "{error}");
    }

    /// Every kind of event is known by name, so that a kind with a bad field is never taken for a newer one.
    #[test]
    fn the_list_of_kinds_is_complete() {
        for event in sample_events() {
            let value = serde_json::to_value(&event).unwrap();
            let kind = value.as_object().unwrap().keys().next().unwrap().clone();
            assert!(Record::KINDS.contains(&kind.as_str()), "{kind} is missing");
        }
    }
}
