//! The digest of a long log: what it says but for the points, and where its points are.
//!
//! `cache/digests/ID.digest` is a line of JSON (the [`Head`]), the tables of all [`Chunk`]s, and the hash of both; the points are
//! in a file beside it that the head names. A digest fits its log as long as that has the size and the time that the head
//! notes; a log that has grown is read on from where the reading ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::error::{StoreError, io_error};
use super::super::event::{ChainDigest, Event};
use super::super::event_log::EventReader;
use super::super::format;
use super::super::frame::{Place, Seal};
use super::super::history::{ChainLink, History, Measured, in_order};
use super::super::lease::{Held, Lock};
use super::super::run_dir::{FileStamp, RunDir};
use super::chunks::{CHUNK, Chunk, ChunkFile};
use super::zoom::{Filling, Points, Series, Stretch};
use crate::durable;
use crate::types::{ContentHash, MetricName, Step};

/// The digest of a run's log, and its points to be read.
#[derive(Debug)]
pub(in super::super) struct Digest {
    head: Head,
    series: BTreeMap<Kind, BTreeMap<MetricName, Vec<Chunk>>>,
    points: ChunkFile,
    /// What errors call the points.
    path: PathBuf,
    run: RunDir,
}

/// Who recorded a series: the resume rule holds for what the trainer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// The digest chain of the steps, a link's bits as a value.
    Chain,
    Step,
    Evaluation,
    Guest,
}

/// The first line of the file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Head {
    version: u32,
    /// The log's size and time when it was read.
    log_size: i64,
    log_modified_ns: i64,
    /// Where the reading of it ended: bytes, lines, link; absent where it must be read from its start.
    place: Option<(u64, u64, String)>,
    /// Every record but those that hold points.
    events: Vec<Event>,
    unknown_records: u64,
    torn_bytes: u64,
    /// The file of the points, and how far it is written.
    points: String,
    points_end: u64,
    /// The series in the order of their tables, and how many chunks each has.
    series: Vec<(Kind, MetricName, usize)>,
}

impl Head {
    fn stamp(&self) -> FileStamp {
        FileStamp { size: self.log_size, modified_ns: self.log_modified_ns }
    }

    fn place(&self) -> Option<Place> {
        let (offset, lines, link) = self.place.as_ref()?;
        Some(Place { offset: *offset, lines: *lines, seal: Seal::Link(link.parse().ok()?) })
    }
}

impl Digest {
    /// The digest of the run's log as it is now: the one that is kept, that with what was added, or a new one. Where none can
    /// be kept it is for this process alone.
    pub fn of(run: &RunDir) -> Result<Self, StoreError> {
        let stamp = run.log_stamp()?;
        let place = Kept::of(run);
        if let Some(digest) = place.load().filter(|digest| digest.head.stamp() == stamp) {
            return Ok(digest);
        }
        match place.claim().and_then(|claim| place.renewed(&claim)) {
            // What is wrong with the log is so wherever its digest is.
            Err(StoreError::Io { .. } | StoreError::Held { .. }) => {
                let file = tempfile::tempfile().map_err(io_error("make a file for the points of", run.path()))?;
                Self::read(run, Growing::new(ChunkFile::new(file, 0), run.path().to_owned()), None)
            }
            result => result,
        }
    }

    /// Another digest of the same log, made from its start.
    pub fn anew(&self) -> Result<Self, StoreError> {
        let _ = fs::remove_file(Kept::of(&self.run).path());
        Self::of(&self.run)
    }

    /// What the log says, without its points; of the digest chain there is the last link.
    pub fn history(&self) -> History {
        let mut history = History::default();
        self.head.events.iter().cloned().for_each(|event| history.apply(event));
        (history.unknown_records, history.torn_bytes) = (self.head.unknown_records, self.head.torn_bytes);
        history.chain = self.last_link().into_iter().collect();
        history
    }

    fn last_link(&self) -> Option<ChainLink> {
        let last = self.series.get(&Kind::Chain)?.values().next()?.last()?.fold().last;
        Some(ChainLink { step: Step(last.step.cast_unsigned()), digest: ChainDigest(last.value.to_bits()) })
    }

    /// Whether most of the file of the points is chunks that later ones replaced: each time that a log has grown, the last chunk of
    /// every series is written again.
    fn is_mostly_waste(&self) -> bool {
        let used: u64 = self.series.values().flat_map(BTreeMap::values).flatten().map(Chunk::bytes).sum();
        self.head.points_end > WASTE + 2 * used
    }

    /// Where the reading of the log ended, if it can go on from there.
    pub fn place(&self) -> Option<Place> {
        self.head.place()
    }

    /// The tables of each metric: of several kinds of one name, that of the last.
    fn metrics(&self) -> BTreeMap<&MetricName, &[Chunk]> {
        let kinds = self.series.iter().filter(|(kind, _)| **kind != Kind::Chain);
        kinds.flat_map(|(_, series)| series).map(|(name, chunks)| (name, chunks.as_slice())).collect()
    }

    /// The table of a metric: of several kinds that of the last.
    fn chunks_of(&self, metric: &str) -> Option<&[Chunk]> {
        let metric = metric.parse::<MetricName>().ok()?;
        let mut kinds = self.series.iter().rev().filter(|(kind, _)| **kind != Kind::Chain);
        kinds.find_map(|(_, series)| series.get(&metric)).map(Vec::as_slice)
    }

    /// What there is of each metric in short.
    pub fn summaries(&self) -> BTreeMap<&MetricName, Stretch> {
        let whole = |chunks: &[Chunk]| chunks.iter().map(Chunk::fold).reduce(|all, next| all.and(&next));
        self.metrics().into_iter().filter_map(|(name, chunks)| Some((name, whole(chunks)?))).collect()
    }

    /// [`zoomed`](super::zoomed) of a metric's points; reads the chunks at the edges of buckets, and no others.
    pub fn zoomed(
        &self,
        metric: &str,
        from: Option<i64>,
        to: Option<i64>,
        most: usize,
    ) -> Result<Option<Series>, StoreError> {
        let Some(chunks) = self.chunks_of(metric) else { return Ok(None) };
        let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
        let mut parts = Vec::new();
        for chunk in chunks.iter().filter(|chunk| chunk.last_step() >= from && chunk.first_step() <= to) {
            if chunk.first_step() >= from && chunk.last_step() <= to {
                parts.push(Part::Whole(chunk));
            } else {
                let points = self.points_of(chunk)?.into_iter().filter(|point| (from..=to).contains(&point.step));
                parts.push(Part::Points(points.collect()));
            }
        }
        parts.retain(|part| part.points() > 0);
        let whole = chunks.iter().map(Chunk::fold).reduce(|all, next| all.and(&next));
        let series = Series {
            points: whole.map_or(0, |whole| whole.points),
            in_range: parts.iter().map(Part::points).sum(),
            first_step: whole.map(|whole| whole.first.step),
            last_step: whole.map(|whole| whole.last.step),
            ..Series::default()
        };
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else {
            return Ok(Some(Series { exact: Some(Points::default()), ..series }));
        };
        if series.in_range <= most {
            let points = parts.iter().map(|part| self.points_in(part)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Some(Series { exact: Some(Points::of(&points.concat())), ..series }));
        }
        let mut filling = Filling::new(first.first_step(), last.last_step(), most);
        for part in &parts {
            match part {
                Part::Whole(chunk) if filling.is_one(chunk.first_step(), chunk.last_step()) => {
                    filling.add(&chunk.fold())
                }
                part => self.points_in(part)?.iter().for_each(|point| filling.add(&Stretch::of(point))),
            }
        }
        Ok(Some(Series { buckets: Some(filling.finish()), ..series }))
    }

    /// The points of the first chunk of a metric that has some at or after a step.
    pub fn chunk_from(&self, metric: &str, from: i64) -> Result<Vec<Measured>, StoreError> {
        let chunks = self.chunks_of(metric).unwrap_or_default();
        let first = chunks.get(chunks.partition_point(|chunk| chunk.last_step() < from));
        first.map_or_else(|| Ok(Vec::new()), |chunk| self.points_of(chunk))
    }

    /// Every point of a metric, a chunk at a time. Where that fails, who asks again reads them from the log.
    pub fn all_points<'d>(&'d self, metric: &str) -> Box<dyn Iterator<Item = Result<Measured, StoreError>> + 'd> {
        let chunks = self.chunks_of(metric).unwrap_or_default();
        Box::new(chunks.iter().flat_map(|chunk| match self.points_of(chunk) {
            Ok(points) => points.into_iter().map(Ok).collect(),
            Err(error) => {
                let _ = fs::remove_file(Kept::of(&self.run).path());
                vec![Err(error)]
            }
        }))
    }

    fn points_in(&self, part: &Part<'_>) -> Result<Vec<Measured>, StoreError> {
        match part {
            Part::Whole(chunk) => self.points_of(chunk),
            Part::Points(points) => Ok(points.clone()),
        }
    }

    fn points_of(&self, chunk: &Chunk) -> Result<Vec<Measured>, StoreError> {
        self.points.points(chunk).map_err(io_error("read the points in", &self.path))
    }

    /// Reads the log from where `known` ended, or from its start, into what is growing.
    fn read(run: &RunDir, mut growing: Growing, known: Option<Head>) -> Result<Self, StoreError> {
        // Taken first: what is written meanwhile is read next time.
        let stamp = run.log_stamp()?;
        let mut head = known.unwrap_or_default();
        let mut reader = match head.place() {
            Some(place) => run.events_since(place)?,
            None => run.events()?,
        };
        for event in reader.by_ref() {
            match event? {
                Event::Step { step, chain, metrics } => {
                    growing.measured(Kind::Chain, &CHAIN, step, f64::from_bits(chain.0))?;
                    for (name, value) in metrics.0 {
                        growing.measured(Kind::Step, &name, step, value)?;
                    }
                }
                Event::Evaluation { step, metrics } => {
                    for (name, value) in metrics.0 {
                        growing.measured(Kind::Evaluation, &name, step, value)?;
                    }
                }
                Event::Points { points } => {
                    for point in points {
                        growing.arrived(&point.key, point.measured())?;
                    }
                }
                event => {
                    if let Event::Resumed { step, .. } = &event {
                        growing.forget_after(*step)?;
                    }
                    head.events.push(event);
                }
            }
        }
        if !head.events.iter().any(|event| matches!(event, Event::State { .. })) {
            return Err(StoreError::CutToHeader { path: run.events_path() });
        }
        head.unknown_records += reader.unknown_records();
        Self::finished(run, growing, Head { version: format::DIGEST, ..head }, stamp, &reader)
    }

    fn finished<R: io::BufRead>(
        run: &RunDir,
        growing: Growing,
        mut head: Head,
        stamp: FileStamp,
        reader: &EventReader<R>,
    ) -> Result<Self, StoreError> {
        (head.log_size, head.log_modified_ns) = (stamp.size, stamp.modified_ns);
        head.torn_bytes = reader.torn_bytes();
        head.place = reader.place().and_then(|place| match place.seal {
            Seal::Link(link) => Some((place.offset, place.lines, link.to_string())),
            Seal::Checksum => None,
        });
        let (series, points, path) = growing.finish()?;
        head.points_end = points.end();
        let tables = series.iter().flat_map(|(kind, series)| series.iter().map(|(name, chunks)| (*kind, name, chunks)));
        head.series = tables.map(|(kind, name, chunks)| (kind, name.clone(), chunks.len())).collect();
        Ok(Self { head, series, points, path, run: run.clone() })
    }
}

/// Bytes of replaced chunks that are never too many.
const WASTE: u64 = if cfg!(test) { 4 << 10 } else { 64 << 20 };

/// The name of the series of the digest chain, which no metric's table is asked for by.
static CHAIN: std::sync::LazyLock<MetricName> =
    std::sync::LazyLock::new(|| "chain".parse().expect("invariant: it is a name"));

/// Points of a chunk that are wanted.
enum Part<'c> {
    Whole(&'c Chunk),
    Points(Vec<Measured>),
}

impl Part<'_> {
    fn points(&self) -> usize {
        match self {
            Self::Whole(chunk) => chunk.points(),
            Self::Points(points) => points.len(),
        }
    }

    fn first_step(&self) -> i64 {
        match self {
            Self::Whole(chunk) => chunk.first_step(),
            Self::Points(points) => points.first().map_or(i64::MAX, |point| point.step),
        }
    }

    fn last_step(&self) -> i64 {
        match self {
            Self::Whole(chunk) => chunk.last_step(),
            Self::Points(points) => points.last().map_or(i64::MIN, |point| point.step),
        }
    }
}

/// Where a run's digest is kept.
struct Kept<'r> {
    run: &'r RunDir,
    folder: PathBuf,
}

impl<'r> Kept<'r> {
    fn of(run: &'r RunDir) -> Self {
        Self { run, folder: run.root().join("cache/digests") }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.digest", self.run.id()))
    }

    /// How the names of the files of its points begin.
    fn points(&self) -> String {
        format!("{}-", self.run.id())
    }

    /// The right to write digests.
    fn claim(&self) -> Result<Held, StoreError> {
        fs::create_dir_all(&self.folder).map_err(io_error("create", &self.folder))?;
        Lock::of_store(self.run.root(), "digests", "the digests of logs").take()
    }

    /// What is kept, if it is whole.
    fn load(&self) -> Option<Digest> {
        let bytes = durable::read(&self.path()).ok()?;
        let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(HASH)?)?;
        if ContentHash::of(content).to_string().as_bytes() != hash {
            return None;
        }
        let end = content.iter().position(|byte| *byte == b'\n')?;
        let head: Head =
            serde_json::from_slice(&content[..end]).ok().filter(|head: &Head| head.version == format::DIGEST)?;
        let mut tables = content[end + 1..].chunks_exact(size_of::<Chunk>()).map(bytemuck::pod_read_unaligned::<Chunk>);
        let mut series: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (kind, name, chunks) in &head.series {
            series.entry(*kind).or_default().insert(name.clone(), tables.by_ref().take(*chunks).collect());
        }
        let path = self.folder.join(Path::new(&head.points).file_name()?);
        let file = File::open(&path).ok()?;
        let is_whole = i64::try_from(head.points_end).is_ok() && file.metadata().ok()?.len() >= head.points_end;
        let points = ChunkFile::new(file, head.points_end);
        is_whole.then(|| Digest { head, series, points, path, run: self.run.clone() })
    }

    /// Reads what is new, or everything, and keeps it.
    fn renewed(&self, _claim: &Held) -> Result<Digest, StoreError> {
        let digest = match self.load().and_then(|known| self.continued(known)) {
            Some(digest) => digest,
            None => {
                let (file, path) = durable::fresh_file(&self.folder, &self.points(), ".points")
                    .map_err(io_error("create a file in", &self.folder))?;
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let head = Head { points: name, ..Head::default() };
                let read = Digest::read(self.run, Growing::new(ChunkFile::new(file, 0), path.clone()), Some(head));
                read.inspect_err(|_| drop(fs::remove_file(&path)))?
            }
        };
        self.save(&digest)?;
        Ok(digest)
    }

    /// A digest that is kept with what was added to its log; `None` when more must be read than that.
    fn continued(&self, known: Digest) -> Option<Digest> {
        let stamp = self.run.log_stamp().ok()?;
        if known.head.stamp() == stamp {
            return Some(known);
        }
        known.head.place().filter(|_| known.head.log_size < stamp.size && !known.is_mostly_waste())?;
        let file = File::options().read(true).write(true).open(&known.path).ok()?;
        let mut growing = Growing::new(ChunkFile::new(file, known.head.points_end), known.path);
        let tables = known.series.into_iter().flat_map(|(kind, series)| series.into_iter().map(move |s| (kind, s)));
        growing.series = tables.map(|(kind, (name, chunks))| ((kind, name), Row::of(chunks))).collect();
        let place = known.head.place();
        // A record that was added is linked to those before it; where there is none, the log may be any other.
        Digest::read(self.run, growing, Some(known.head)).ok().filter(|digest| digest.place() != place)
    }

    fn save(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path();
        let failed = || io_error("write", &path);
        digest.points.sync().map_err(failed())?;
        let mut bytes = serde_json::to_vec(&digest.head).map_err(|error| io_error("write", &path)(error.into()))?;
        bytes.push(b'\n');
        for chunk in digest.series.values().flat_map(BTreeMap::values).flatten() {
            bytes.extend_from_slice(bytemuck::bytes_of(chunk));
        }
        let hash = ContentHash::of(&bytes).to_string();
        bytes.extend_from_slice(hash.as_bytes());
        durable::write(&path, |file| file.write_all(&bytes)).map_err(failed())?;
        // Points of digests before it; whoever reads them has them open.
        for entry in fs::read_dir(&self.folder).map_err(failed())?.flatten() {
            let name = entry.file_name();
            let is_of_run = name.to_str().is_some_and(|name| name.starts_with(&self.points()));
            if is_of_run && name.to_str() != Some(&digest.head.points) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }
}

/// Bytes of the hash at the end of a digest: 64 hexadecimal digits.
const HASH: usize = 64;

/// Series as they are read.
struct Growing {
    series: BTreeMap<(Kind, MetricName), Row>,
    points: ChunkFile,
    path: PathBuf,
}

/// A series as it is read: chunks that are written, and the points after them.
#[derive(Default)]
struct Row {
    chunks: Vec<Chunk>,
    open: Vec<Measured>,
    /// Whether some step came again, or late.
    is_disordered: bool,
}

impl Row {
    fn of(chunks: Vec<Chunk>) -> Self {
        Self { chunks, open: Vec::new(), is_disordered: false }
    }

    fn last_step(&self) -> Option<i64> {
        self.open.last().map(|point| point.step).or(self.chunks.last().map(Chunk::last_step))
    }

    /// Adds a point after all others.
    fn push(&mut self, point: Measured, file: &mut ChunkFile) -> io::Result<()> {
        if self.open.is_empty() && self.chunks.last().is_some_and(|last| last.points() < CHUNK) {
            self.reopen(file)?;
        }
        self.open.push(point);
        if self.open.len() >= CHUNK {
            self.chunks.push(file.add(&self.open)?);
            self.open.clear();
        }
        Ok(())
    }

    /// Takes the points of the last chunk back.
    fn reopen(&mut self, file: &ChunkFile) -> io::Result<()> {
        if let Some(last) = self.chunks.pop() {
            self.open = file.points(&last)?;
        }
        Ok(())
    }

    /// Takes back what was recorded for steps after `step`.
    fn forget_after(&mut self, step: i64, file: &ChunkFile) -> io::Result<()> {
        while self.last_step().is_some_and(|last| last > step) {
            if self.open.is_empty() {
                self.reopen(file)?;
            }
            self.open.truncate(self.open.partition_point(|point| point.step <= step));
        }
        Ok(())
    }

    /// Its chunks, in order of step.
    fn finish(mut self, file: &mut ChunkFile) -> io::Result<Vec<Chunk>> {
        if self.is_disordered {
            let mut all = Vec::new();
            for chunk in &self.chunks {
                all.extend(file.points(chunk)?);
            }
            all.append(&mut self.open);
            return in_order(all).chunks(CHUNK).map(|points| file.add(points)).collect();
        }
        if !self.open.is_empty() {
            self.chunks.push(file.add(&self.open)?);
        }
        Ok(self.chunks)
    }
}

impl Growing {
    fn new(points: ChunkFile, path: PathBuf) -> Self {
        Self { series: BTreeMap::new(), points, path }
    }

    fn row(&mut self, kind: Kind, name: &MetricName) -> (&mut Row, &mut ChunkFile) {
        let key = (kind, name.clone());
        (self.series.entry(key).or_default(), &mut self.points)
    }

    /// Takes in what the trainer measured, in place of what it has of this step and later ones.
    fn measured(&mut self, kind: Kind, name: &MetricName, step: Step, value: f64) -> Result<(), StoreError> {
        let step = i64::try_from(step.0).unwrap_or(i64::MAX);
        let (row, file) = self.row(kind, name);
        let added = row
            .forget_after(step.saturating_sub(1), file)
            .and_then(|()| row.push(Measured { step, value, at: None }, file));
        added.map_err(|error| self.failed(error))
    }

    /// Takes in what a guest measured.
    fn arrived(&mut self, name: &MetricName, point: Measured) -> Result<(), StoreError> {
        let (row, file) = self.row(Kind::Guest, name);
        row.is_disordered |= row.last_step().is_some_and(|last| last >= point.step);
        let added = row.push(point, file);
        added.map_err(|error| self.failed(error))
    }

    fn forget_after(&mut self, step: Step) -> Result<(), StoreError> {
        let step = i64::try_from(step.0).unwrap_or(i64::MAX);
        let file = &self.points;
        let mut rows = self.series.iter_mut().filter(|((kind, _), _)| *kind != Kind::Guest);
        let done = rows.try_for_each(|(_, row)| row.forget_after(step, file));
        done.map_err(|error| self.failed(error))
    }

    #[expect(clippy::type_complexity, reason = "the parts of a digest, taken apart once")]
    fn finish(mut self) -> Result<(BTreeMap<Kind, BTreeMap<MetricName, Vec<Chunk>>>, ChunkFile, PathBuf), StoreError> {
        let mut series: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ((kind, name), row) in std::mem::take(&mut self.series) {
            let chunks = row.finish(&mut self.points).map_err(|error| self.failed(error))?;
            if !chunks.is_empty() {
                series.entry(kind).or_default().insert(name, chunks);
            }
        }
        Ok((series, self.points, self.path))
    }

    fn failed(&self, error: io::Error) -> StoreError {
        StoreError::io("write the points in", &self.path, error)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::testing::{any_events, at, new_store, point, sealed, spec, state, store_of_samples};
    use super::super::{SeriesBook, Source, zoomed};
    use super::*;
    use crate::store::testing::create;
    use crate::store::{EventLog, RunState};

    fn log(run: &RunDir) -> EventLog {
        run.open_log(&run.acquire_lease().unwrap()).unwrap()
    }

    /// Holds what a digest says against the history that is read whole.
    fn same(run: &RunDir, digest: Digest, most: usize, from: Option<i64>, to: Option<i64>) {
        let history = run.read_history().unwrap();
        let mut expected = history.clone().without_points();
        let mut found = digest.history();
        assert_eq!(found.chain, expected.chain);
        assert_eq!(found.checkpoints, expected.checkpoints);
        (found.chain, expected.chain) = Default::default();
        assert_eq!(format!("{found:?}"), format!("{expected:?}"));
        let book = SeriesBook(Source::Digest(Box::new(digest)));
        let all: BTreeMap<&MetricName, Vec<Measured>> = history.all_measured().collect();
        assert_eq!(book.summaries().len(), all.len());
        for (name, points) in all {
            let [whole, zoomed] = [(None, None, 9), (from, to, most)].map(|(from, to, most)| {
                (book.zoomed(name.as_str(), from, to, most).unwrap().unwrap(), zoomed(&points, from, to, most))
            });
            assert_eq!(format!("{:?}", whole.0), format!("{:?}", whole.1));
            assert_eq!(format!("{:?}", zoomed.0), format!("{:?}", zoomed.1));
            let every = book.points(name.as_str()).collect::<Result<Vec<_>, _>>().unwrap();
            assert_eq!(format!("{every:?}"), format!("{points:?}"));
            let steps: Vec<i64> = points.iter().flat_map(|point| [point.step, point.step.saturating_add(1)]).collect();
            let found = book.at_each(name.as_str(), &steps).unwrap();
            for (step, found) in steps.iter().zip(found) {
                let point = points.binary_search_by_key(step, |point| point.step).ok().map(|at| points[at].value);
                assert_eq!(format!("{found:?}"), format!("{point:?}"));
            }
            for point in points.iter().take(3) {
                let value = book.at(name.as_str(), point.step).unwrap().unwrap();
                assert!(value.to_bits() == point.value.to_bits() || value.is_nan() && point.value.is_nan());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// However the log came to be, and however much of it was read before.
        #[test]
        fn a_digest_says_what_the_log_says(
            parts in prop::collection::vec(any_events(60), 1..4),
            guests in prop::collection::vec((-20i64..60, 0i64..4, any::<f64>()), 0..60),
            (most, from, to) in (1usize..30, prop::option::of(-25i64..60), prop::option::of(-25i64..60)),
        ) {
            let (_folder, store) = new_store();
            let run = create(&store, &spec(1, 0.15), &serde_json::json!({}), at(0)).unwrap();
            let mut log = log(&run);
            for events in &parts {
                for event in events {
                    log.append(event).unwrap();
                }
                for (step, millis, value) in &guests {
                    let at = (*millis > 0).then(|| at(*millis));
                    log.append(&Event::Points { points: vec![crate::store::LoggedPoint { at, ..point("g", *step, *value) }] }).unwrap();
                }
                // Once as it is kept from part to part, once from the start.
                same(&run, Digest::of(&run).unwrap(), most, from, to);
                let file = ChunkFile::new(tempfile::tempfile().unwrap(), 0);
                let whole = Digest::read(&run, Growing::new(file, PathBuf::new()), None).unwrap();
                same(&run, whole, most, from, to);
            }
        }
    }

    #[test]
    fn a_digest_is_kept_and_what_is_damaged_is_made_anew() {
        let (_folder, store) = new_store();
        let run = create(&store, &spec(1, 0.15), &serde_json::json!({}), at(0)).unwrap();
        let mut log = log(&run);
        log.append(&state(RunState::Running, 1)).unwrap();
        log.append(&Event::Points { points: (0..100).map(|step| point("g", step, 0.5)).collect() }).unwrap();
        Digest::of(&run).unwrap();
        let kept = store.root().join("cache/digests");
        let path = kept.join(format!("{}.digest", run.id()));
        let files = || fs::read_dir(&kept).unwrap().count();
        assert_eq!(files(), 2);
        let whole = fs::read(&path).unwrap();
        let mut points = None;
        for at in (0..whole.len()).step_by(7) {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&path, damaged).unwrap();
            same(&run, Digest::of(&run).unwrap(), 5, None, None);
            assert_eq!((fs::read(&path).unwrap().len(), files()), (whole.len(), 2));
            let now = Kept::of(&run).load().unwrap().path;
            assert_ne!(points.replace(now.clone()), Some(now), "it was made anew");
        }
        // The points are gone, or others.
        fs::write(points.unwrap(), vec![7; 10]).unwrap();
        same(&run, Digest::of(&run).unwrap(), 5, None, None);
        // Points of the right number that are not those.
        let path = Kept::of(&run).load().unwrap().path;
        let mut bytes = fs::read(&path).unwrap();
        bytes[30] ^= 1;
        fs::write(&path, bytes).unwrap();
        let book = SeriesBook(Source::Digest(Box::new(Digest::of(&run).unwrap())));
        assert!(book.points("g").any(|point| point.is_err()));
        assert_eq!(book.zoomed("g", Some(0), Some(7), 8).unwrap().unwrap().exact.unwrap().values, [0.5; 8]);
        assert_ne!(Kept::of(&run).load().unwrap().path, path);
        // Of a log that is another than it was.
        let bytes = fs::read(run.events_path()).unwrap();
        fs::write(run.events_path(), &bytes[..bytes.len() - 9]).unwrap();
        same(&run, Digest::of(&run).unwrap(), 5, None, None);
    }

    /// A digest of a log that grows point by point, as under a page that looks all the time, does not grow with the looks.
    #[test]
    fn what_later_chunks_replaced_is_given_back() {
        let (_folder, store) = new_store();
        let run = create(&store, &spec(1, 0.15), &serde_json::json!({}), at(0)).unwrap();
        let mut log = log(&run);
        let mut most = 0;
        for step in 0..300 {
            log.append(&Event::Points { points: ["a", "b"].map(|name| point(name, step, 0.5)).to_vec() }).unwrap();
            let digest = Digest::of(&run).unwrap();
            most = most.max(fs::metadata(&digest.path).unwrap().len());
        }
        let used = 300 * 2 * 24;
        assert!(most <= WASTE + 3 * used, "{most} bytes for {used}");
        same(&run, Digest::of(&run).unwrap(), 9, None, None);
    }

    #[test]
    fn what_cannot_be_kept_is_read_all_the_same() {
        let (_folder, store) = new_store();
        let run = create(&store, &spec(1, 0.15), &serde_json::json!({}), at(0)).unwrap();
        log(&run).append(&Event::Points { points: vec![point("g", 3, 0.5)] }).unwrap();
        fs::write(store.root().join("cache"), "in the way").unwrap();
        same(&run, Digest::of(&run).unwrap(), 5, None, None);
        // There is a place, but not for this one.
        fs::remove_file(store.root().join("cache")).unwrap();
        fs::create_dir_all(store.root().join(format!("cache/digests/{}.digest/x", run.id()))).unwrap();
        same(&run, Digest::of(&run).unwrap(), 5, None, None);
    }

    /// What stands in logs.
    const WORDS: [&str; 22] = [
        "{\"step\":{\"step\":3,",
        "{\"points\":{\"points\":[",
        "{\"resumed\":{\"step\":0,",
        "{\"state\":{\"state\":\"finished\",",
        "\"at\":",
        "{\"evaluation\":{\"step\":2,",
        "{\"checkpoint\":{",
        "{\"fact\":{\"name\":",
        "{\"log\":{\"version\":2}}",
        "\"metrics\":{",
        "\"train/loss\":",
        "\"inf\"",
        "\"nan\"",
        "\"chain\":\"0000000000000000\"",
        "\"value\":",
        "\"key\":\"g\"",
        "\"1970-01-01T00:00:01.000Z\"",
        "\"+999999-12-31T23:59:60Z\"",
        "\\ud800",
        "\\u0000",
        "[[[[[[[[",
        "{\"a\":",
    ];

    /// Logs, every second with seals that are right: what is read of bytes that were spoilt is a beginning of what was there, and the
    /// digest says what the whole reading says. Digests that were spoilt and sealed anew give what they give, and no more.
    #[test]
    #[ignore = "ten minutes"]
    fn fuzz_logs() {
        let (_folder, store) = store_of_samples();
        let id = store.run_ids().unwrap().remove(0);
        let run = store.run(&id).unwrap();
        let whole = fs::read(run.events_path()).unwrap();
        let path = run.events_path();
        let read = |bytes: &[u8]| EventReader::new(bytes, &path).map_while(Result::ok).collect::<Vec<_>>();
        let truth = read(&whole);
        // Lines without their seals.
        let line = |line: &[u8]| line[1 + line.iter().position(|byte| *byte == b' ').unwrap()..].to_vec();
        let lines: Vec<Vec<u8>> = whole.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').map(line).collect();
        // At a time of its own: two of one length within a tick of the clock are one log to the digest.
        let put = |bytes: &[u8], moment: u64| {
            fs::write(&path, bytes).unwrap();
            let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(moment);
            File::options().append(true).open(&path).unwrap().set_modified(at).unwrap();
        };
        put(&whole, 0);
        Digest::of(&run).unwrap();
        let digest = fs::read(Kept::of(&run).path()).unwrap();
        let points = Kept::of(&run).load().unwrap().path;
        let points = (fs::read(&points).unwrap(), points);
        let mut moment = 1;
        crate::fuzzing::fuzz("logs", |luck| {
            if luck.below(20) == 0 {
                put(&whole, 0);
                fs::write(&points.1, &points.0).unwrap();
                return spoilt_digest(&run, luck.spoilt(&[digest[..digest.len() - HASH].to_vec()], &WORDS));
            }
            let is_sealed = luck.below(2) == 0;
            let bytes = if is_sealed {
                let mut lines = lines.clone();
                for _ in 0..=luck.below(3) {
                    let (from, to) = (luck.below(lines.len()), luck.below(lines.len()));
                    match luck.below(4) {
                        0 => lines.insert(to, lines[from].clone()),
                        1 if lines.len() > 1 => drop(lines.remove(to)),
                        _ => lines[to] = luck.spoilt(&lines[from..=from], &WORDS),
                    }
                }
                sealed(&lines)
            } else {
                luck.spoilt(std::slice::from_ref(&whole), &WORDS)
            };
            let found = read(&bytes);
            assert!(is_sealed || truth.starts_with(&found), "{}", bytes.escape_ascii());
            let mut history = History::default();
            found.into_iter().for_each(|event| history.apply(event));
            if luck.below(8) == 0 {
                let _ = fs::remove_file(Kept::of(&run).path());
                let is_grown = luck.below(2) == 0;
                if is_grown {
                    put(&bytes[..luck.below(bytes.len())], moment);
                    let _ = Digest::of(&run);
                }
                put(&bytes, moment + 1);
                moment += 2;
                match (Digest::of(&run), run.read_history()) {
                    (Ok(digest), Ok(_)) => same(&run, digest, luck.below(20) + 1, Some(-5), Some(5)),
                    (Err(ours), Err(whole)) => assert_eq!(ours.to_string(), whole.to_string()),
                    // What it had read before is not read again.
                    (Ok(_), Err(_)) if is_grown => {}
                    (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("{error}\n{}", bytes.escape_ascii()),
                }
            }
            match (is_sealed, bytes == whole) {
                (_, true) => "whole",
                (true, false) => "sealed anew",
                (false, false) => "spoilt",
            }
        });
    }

    /// Reads all that a digest with this content says.
    fn spoilt_digest(run: &RunDir, mut content: Vec<u8>) -> &'static str {
        let hash = ContentHash::of(&content).to_string();
        content.extend_from_slice(hash.as_bytes());
        fs::write(Kept::of(run).path(), content).unwrap();
        let Ok(digest) = Digest::of(run) else { return "digest refused" };
        let _ = digest.history();
        let names: Vec<String> = digest.summaries().keys().map(|name| name.as_str().to_owned()).collect();
        let book = SeriesBook(Source::Digest(Box::new(digest)));
        for name in &names {
            for (from, to, most) in [(None, None, 9), (Some(0), Some(2), 1), (Some(i64::MIN), Some(i64::MAX), 1000)] {
                let _ = book.zoomed(name, from, to, most);
            }
            let _ = book.points(name).filter(Result::is_ok).count();
            let _ = book.at(name, 2);
        }
        "digest"
    }
}
