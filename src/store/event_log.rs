//! `events.log`: the append-only record of a run, one line of JSON an event.
//!
//! ```text
//! 5d8a0c31 {"log":{"version":2,"run":"7h2kq9xw","spec":"0b6c...","files":{"provenance.json":"...","spec.toml":"..."}}}
//! 03ab7712e5d01c9f {"step":{"step":1,"chain":"9d3c0f6a55e1b204","metrics":{"train/loss":9.0347}}}
//! ```
//!
//! The lines are framed and linked by [`frame`](super::frame); the header binds them to their run and to the files that
//! were written with it, so that nothing of one run can pass for another's. Logs of version 1 have neither: their steps
//! and evaluations are held against the digest chain that they carry ([`Continuity`]).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::continuity::Continuity;
use super::error::StoreError;
use super::event::Event;
use super::format;
use super::frame::{Link, Place, Reader, Seal, Writer};
use super::lease::Fence;
use crate::types::{ContentHash, RunId, SpecHash, Step};

/// What a log belongs to: its run, and what was written beside it before the first event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    pub run: RunId,
    /// The specification's hash, where the run has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<SpecHash>,
    /// The content of the files beside the log, by name.
    pub files: BTreeMap<String, ContentHash>,
}

/// What a log begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub version: u32,
    /// `None` in logs of version 1.
    pub binding: Option<Binding>,
}

/// A log open for writing. Only the holder of the run's lease has one.
#[derive(Debug)]
pub struct EventLog {
    lines: Writer,
    /// For a run that the digest chain goes through.
    continuity: Option<Continuity>,
    /// Where it is said that the run changed: when it is opened, comes into a state, and is left.
    told: Option<(Changes, RunId)>,
}

impl Drop for EventLog {
    fn drop(&mut self) {
        self.say_changed();
    }
}

impl EventLog {
    /// Starts a log at `path`, where there must be none.
    pub(super) fn create(path: &Path, binding: &Binding) -> Result<Self, StoreError> {
        let mut log =
            Self { lines: Writer::create(path)?, continuity: binding.spec.map(Continuity::start), told: None };
        log.lines.header(&to_json(&Line::header(binding)))?;
        Ok(log)
    }

    /// Opens the log that `reader` reads, to go on with it: a torn last line is cut off, damage before it is an error.
    ///
    /// A log of version 1 goes on as one. The header is written again where not even that was whole; `binding` is what it says. A
    /// `fence` is asked before each write.
    pub(super) fn recover(
        mut reader: EventReader<BufReader<File>>,
        spec: Option<SpecHash>,
        fence: Option<Fence>,
        binding: impl FnOnce() -> Result<Binding, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut continuity = spec.map(Continuity::start);
        for event in reader.by_ref() {
            let event = event?;
            // A fault was reported by the reader where it is one; where a link vouches for the line, the writer was at fault.
            continuity.iter_mut().for_each(|continuity| drop(continuity.take(&event)));
        }
        let mut log = Self { lines: Writer::after(&reader.lines, fence)?, continuity, told: None };
        if log.lines.is_empty() {
            log.lines.header(&to_json(&Line::header(&binding()?)))?;
        }
        Ok(log)
    }

    /// From now on, says in `changes` that the run changes.
    pub(super) fn tell(&mut self, changes: Changes, run: RunId) {
        self.told = Some((changes, run));
        self.say_changed();
    }

    fn say_changed(&self) {
        if let Some((changes, run)) = &self.told {
            changes.note(run);
        }
    }

    /// Adds a record and hands it to the operating system, so that it outlives this process; a milestone is also
    /// flushed to the disk, so that it outlives a power cut.
    ///
    /// When the record cannot be written, the log is as it was before, and the same record can be appended again; when it cannot be
    /// flushed, nothing more is written until the log is opened again.
    pub fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        self.lines.append(&to_json(event))?;
        self.continuity.iter_mut().for_each(|continuity| drop(continuity.take(event)));
        if matches!(event, Event::State { .. }) {
            self.say_changed();
        }
        if event.is_milestone() { self.sync() } else { Ok(()) }
    }

    /// Waits until everything appended is on the disk.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.lines.sync()
    }

    /// Whether the records lead to the state after `step` with this digest chain, so that the run can go on from there.
    pub fn reaches(&self, step: Step, chain: &ContentHash) -> bool {
        self.continuity.as_ref().is_some_and(|continuity| continuity.reaches(step, chain))
    }
}

/// The records of a log in the order of their writing, one at a time, whatever the length of the log.
#[derive(Debug)]
pub struct EventReader<R> {
    lines: Reader<R>,
    header: Option<Header>,
    run: Option<RunId>,
    continuity: Option<Continuity>,
    unknown_records: u64,
    is_done: bool,
}

impl EventReader<BufReader<File>> {
    /// Reads the log at `path`, from `place` on.
    pub(super) fn open(path: &Path, place: Place) -> Result<Self, StoreError> {
        Ok(Self::of_lines(Reader::open(path, place)?))
    }
}

impl<R: BufRead> EventReader<R> {
    /// Reads a log from `source`; `path` is only what errors call it.
    pub fn new(source: R, path: &Path) -> Self {
        Self::of_lines(Reader::new(source, path, Place::START))
    }

    fn of_lines(lines: Reader<R>) -> Self {
        Self { lines, header: None, run: None, continuity: None, unknown_records: 0, is_done: false }
    }

    /// From now on, the log of any other run is an error.
    pub(super) fn belongs_to(&mut self, run: &RunId) {
        self.run = Some(run.clone());
    }

    /// From now on, steps and evaluations are held against the digest chain of a run of `spec`.
    pub(super) fn hold_to_chain(&mut self, spec: SpecHash) {
        self.continuity = Some(Continuity::start(spec));
    }

    /// What the log begins with; `None` when not even that is whole. To be asked before the first event is read.
    pub fn header(&mut self) -> Result<Option<&Header>, StoreError> {
        if self.lines.place() == Place::START
            && let Some(json) = self.lines.next()?
        {
            let link = Link::first(json);
            let line = Line::parse(json);
            self.header = match line.map_err(|error| self.lines.damaged(&error.to_string()))? {
                Line::Header { version, .. } if version > format::LOG => {
                    let path = self.lines.path().to_owned();
                    return Err(StoreError::TooNew { path, version, newest: format::LOG });
                }
                Line::Header { version: 1, .. } => Some(Header { version: 1, binding: None }),
                Line::Header { version, binding: Some(binding) } => {
                    self.lines.link_to(link);
                    if let Some(run) = self.run.as_ref().filter(|run| **run != binding.run) {
                        let (path, run, found) = (self.lines.path().to_owned(), run.clone(), binding.run);
                        return Err(StoreError::Foreign { path, run, found });
                    }
                    Some(Header { version, binding: Some(binding) })
                }
                Line::Header { binding: None, .. } => {
                    return Err(self.lines.damaged("the header does not say whose log it is"));
                }
                Line::Event(_) | Line::Unknown => {
                    return Err(self.lines.damaged("the header with the format's version is missing"));
                }
            };
        }
        Ok(self.header.as_ref())
    }

    /// Bytes of a torn last line, once the iterator has ended; 0 when the log ended with a whole record.
    pub fn torn_bytes(&self) -> u64 {
        self.lines.torn_bytes()
    }

    /// Records of kinds that this program does not know, which were passed over so far.
    pub fn unknown_records(&self) -> u64 {
        self.unknown_records
    }

    /// After the last record that was read, if a reader can go on from there: the lines that follow are linked to it.
    pub(super) fn place(&self) -> Option<Place> {
        let place = self.lines.place();
        matches!(place.seal, Seal::Link(_)).then_some(place)
    }

    /// After the last whole record that was read.
    pub fn reached(&self) -> Place {
        self.lines.place()
    }

    fn read_event(&mut self) -> Result<Option<Event>, StoreError> {
        self.header()?;
        loop {
            let Some(json) = self.lines.next()? else { return Ok(None) };
            let line = Line::parse(json);
            match line.map_err(|error| self.lines.damaged(&error.to_string()))? {
                Line::Event(event) => {
                    if let Some(continuity) = &mut self.continuity {
                        continuity.take(&event).map_err(|problem| self.lines.damaged(&problem))?;
                    }
                    return Ok(Some(event));
                }
                Line::Unknown => self.unknown_records += 1,
                Line::Header { .. } => return Err(self.lines.damaged("a second header")),
            }
        }
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
enum Line {
    Header { version: u32, binding: Option<Binding> },
    Event(Event),
    Unknown,
}

#[derive(Serialize, Deserialize)]
struct HeaderLine {
    log: LogHeader,
}

#[derive(Serialize, Deserialize)]
struct LogHeader {
    version: u32,
    #[serde(flatten)]
    binding: Option<Binding>,
}

impl Line {
    fn header(binding: &Binding) -> HeaderLine {
        HeaderLine { log: LogHeader { version: format::LOG, binding: Some(binding.clone()) } }
    }

    fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let error = match serde_json::from_slice(json) {
            Ok(event) => return Ok(Self::Event(event)),
            Err(error) => error,
        };
        if let Ok(HeaderLine { log: LogHeader { version, binding } }) = serde_json::from_slice(json) {
            return Ok(Self::Header { version, binding });
        }
        let fields = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json)?;
        match fields.keys().next() {
            Some(kind) if !Event::KINDS.contains(&kind.as_str()) => Ok(Self::Unknown),
            _ => Err(error),
        }
    }
}

fn to_json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("invariant: records have string keys and no failing field")
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::super::testing::{sample_binding, sample_events, sample_log};
    use super::*;

    /// A log as version 1 had it, written by a program of that version.
    const VERSION_1: &str = r#"870a97e4 {"log":{"version":1}}
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
"#;

    /// Opens the log at `path` to go on with it.
    fn recover(path: &Path) -> Result<EventLog, StoreError> {
        EventLog::recover(EventReader::open(path, Place::START)?, None, None, || Ok(sample_binding()))
    }

    fn read(bytes: &[u8]) -> Result<(Vec<Event>, u64), StoreError> {
        let mut reader = EventReader::new(bytes, Path::new("events.log"));
        let events = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok((events, reader.torn_bytes()))
    }

    #[test]
    fn the_bytes_are_these() {
        assert_snapshot!(String::from_utf8(sample_log()).unwrap(), @r#"
        0e085317 {"log":{"version":2,"run":"7h2kq9xw","files":{"params.json":"6e46dd10defc9b56c29a6ec56b508c21f54c08192194e4df25bf36f0c9c3c279"}}}
        06b03e3c4e4b7373 {"state":{"state":"planned","at":"1970-01-01T00:00:01.000Z"}}
        63fc91775958bfe4 {"state":{"state":"running","at":"1970-01-01T00:00:02.000Z"}}
        f6552e351fbc3b2f {"fact":{"name":"parameters","value":1052256}}
        69a152c31deb2d7b {"step":{"step":1,"chain":"4022200000000001","metrics":{"train/loss":9.0625,"train/lr":0.0001}}}
        9dbb42b1e096ba23 {"step":{"step":2,"chain":"7ff0000000000002","metrics":{"train/loss":"inf","train/lr":0.0001}}}
        eca37097d5f905a8 {"evaluation":{"step":2,"metrics":{"valid/mlm_loss":0.30000000000000004}}}
        16b710d5bc10767e {"checkpoint":{"step":2,"file":"step-00000002.safetensors","weights":"ea21c7b3c885cf2fb547bb51016c8bbbaca21db264cc9f332769ad8dd895f0a3"}}
        611ad803c6fbd1a4 {"step":{"step":3,"chain":"8000000000000003","metrics":{"train/loss":-0.0,"train/lr":0.0001}}}
        5c2b868870934ce6 {"warning":{"text":"손실이 커졌다"}}
        f8097467a84a6368 {"state":{"state":"interrupted","reason":"Ctrl-C at step 3","at":"1970-01-01T00:00:05.000Z"}}
        e14653036155898d {"resumed":{"step":2,"at":"1970-01-01T00:00:06.000Z"}}
        c1da9c6896ceeebb {"parameters":{"parameters":{"lr":0.0001}}}
        8f0fe6ed6df6c1f2 {"points":{"points":[{"key":"accuracy","step":-1,"value":-0.0},{"key":"Loss (한국어)","step":3,"at":"1970-01-01T00:00:00.003Z","value":"-inf"}]}}
        b81c19fddb24a89f {"state":{"state":"finished","at":"1970-01-01T00:00:09.000Z"}}
        "#);
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(read(&sample_log()).unwrap(), (sample_events(), 0));
    }

    /// What version 1 did not know of are the last kinds; a log of it is read as ever, and goes on as it began.
    #[test]
    fn a_log_of_version_1_is_read_and_gone_on_with() {
        let known = |event: &Event| !matches!(event, Event::Points { .. } | Event::Parameters { .. });
        let mut expected: Vec<Event> = sample_events().into_iter().filter(known).collect();
        assert_eq!(read(VERSION_1.as_bytes()).unwrap(), (expected.clone(), 0));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        std::fs::write(&path, VERSION_1).unwrap();
        let last = Event::Warning { text: "hot".to_owned() };
        recover(&path).unwrap().append(&last).unwrap();
        expected.push(last);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.strip_prefix(VERSION_1), Some("96ab25b5 {\"warning\":{\"text\":\"hot\"}}\n"));
        assert_eq!(read(text.as_bytes()).unwrap(), (expected, 0));
    }

    #[test]
    fn a_log_of_version_1_is_held_against_its_digests() {
        let mut reader = EventReader::new(VERSION_1.as_bytes(), Path::new("events.log"));
        reader.hold_to_chain(SpecHash(ContentHash::of(b"spec")));
        let error = reader.find_map(Result::err).unwrap();
        assert!(matches!(error, StoreError::Corrupted { line: 5, .. }), "{error}");
    }

    #[test]
    fn the_log_of_another_run_is_named() {
        let log = sample_log();
        let mut reader = EventReader::new(&log[..], Path::new("events.log"));
        reader.belongs_to(&"aaaaaaaa".parse().unwrap());
        let error = reader.next().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`events.log` is the log of run 7h2kq9xw, not of aaaaaaaa: it was copied or moved here"
        );
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
            recover(&path).unwrap().append(&last).unwrap();
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

    #[test]
    fn recovering_a_damaged_log_leaves_it_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let mut damaged = sample_log();
        damaged[50] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(recover(&path), Err(StoreError::Corrupted { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), damaged);
    }

    /// A log of lines that this program does not write.
    fn log_of(header: &str, lines: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.log");
        let mut writer = Writer::create(&path).unwrap();
        writer.header(header.as_bytes()).unwrap();
        lines.iter().for_each(|line| writer.append(line.as_bytes()).unwrap());
        std::fs::read(&path).unwrap()
    }

    #[test]
    fn newer_kinds_and_fields_are_tolerated_newer_versions_are_not() {
        let header = r#"{"log":{"version":2,"run":"7h2kq9xw","files":{},"by":"a later ablate"}}"#;
        let log = log_of(header, &[r#"{"heartbeat":{"at":1}}"#, r#"{"warning":{"text":"hot","severity":3}}"#]);
        let mut reader = EventReader::new(&log[..], Path::new("events.log"));
        let events = reader.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(events, [Event::Warning { text: "hot".to_owned() }]);
        assert_eq!(reader.unknown_records(), 1);

        let error = read(&log_of(r#"{"log":{"version":3}}"#, &[])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`events.log` has format version 3, but this program reads up to 2; use a newer ablate"
        );
        let error = read(&log_of(header, &[r#"{"step":{"step":"three"}}"#])).unwrap_err();
        assert!(matches!(error, StoreError::Corrupted { line: 2, .. }), "{error}");
        let error = read(&log_of(r#"{"log":{"version":2}}"#, &[])).unwrap_err();
        assert!(matches!(error, StoreError::Corrupted { line: 1, .. }), "{error}");
    }

    /// Every kind of event is known by name, so that a kind with a bad field is never taken for a newer one.
    #[test]
    fn the_list_of_kinds_is_complete() {
        for event in sample_events() {
            let value = serde_json::to_value(&event).unwrap();
            let kind = value.as_object().unwrap().keys().next().unwrap().clone();
            assert!(Event::KINDS.contains(&kind.as_str()), "{kind} is missing");
        }
    }
}
