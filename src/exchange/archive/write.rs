//! Writes archives: every file is read once, hashed and compressed beside the place of the archive; then come the page, the
//! certificate, the files in order, and the directory, and the whole gets its name.
//!
//! Nothing in an archive says when or where it was made: the same runs give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

use super::certificate::{Certificate, Deflated, Entry, FORMAT, LONGEST, PageSeal, RunSeal};
use super::error::ArchiveError;
use super::names::{CERTIFICATE, EXPERIMENTS, check, collision};
use super::zip::{self, Member, Method};
use super::{PAGE_END, ROOT_PLACE, is_bomb, page_start};
use crate::durable;
use crate::exchange::pick::{Absent, Picked, RunFile, files_below};
use crate::store::{ExperimentEntry, Store, StoreError};
use crate::types::{ContentHash, ContentHasher, RunId};

/// What goes into an archive.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// The runs; those that they stand on come with them.
    pub runs: &'a [RunId],
    pub with_checkpoints: bool,
    /// Reports by the folder of their experiment and their own.
    pub reports: &'a [Report],
}

/// A report that goes into an archive: a folder with files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name of its experiment's folder.
    pub shelf: String,
    /// Its own name in that.
    pub name: String,
    pub folder: PathBuf,
}

/// Everything of an archive but its page.
#[derive(Debug)]
pub struct Packed {
    /// The packed bytes of all files, in a file without a name: nothing is left of it, however this process ends.
    spool: File,
    target: PathBuf,
    certificate: Certificate,
    /// Runs that others stand on and that the store does not have.
    pub absent: Vec<Absent>,
}

/// An archive that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub certificate: Certificate,
    /// Of the whole file.
    pub bytes: u64,
}

/// `experiments.json`, as the store has it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Experiments {
    pub version: u32,
    pub experiments: Vec<ExperimentEntry>,
}

/// Blocks that files are read in.
const BLOCK: usize = 1 << 16;

/// What is not made smaller than this by its first block is written as it is.
const WORTH_IT: f64 = 0.9;

impl Packed {
    /// Reads and compresses everything that is to be in the archive at `target`; `tell` hears how many bytes of how many are
    /// read.
    ///
    /// # Errors
    /// When a run is being written, a file cannot be read or cannot be in an archive, or the folder of `target` cannot be written.
    pub fn of(
        store: &Store,
        wanted: &Wanted<'_>,
        target: &Path,
        tell: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, ArchiveError> {
        let picked = Picked::of(store, wanted.runs, wanted.with_checkpoints)?;
        let mut files = of_reports(wanted.reports)?;
        for run in &picked.runs {
            let path = |file: &RunFile| format!("runs/{}/{}", run.dir.id(), file.path);
            files.extend(run.files.iter().map(|file| (path(file), Source::File(file.clone()))));
        }
        let named: BTreeSet<&str> = picked.runs.iter().flat_map(|run| &run.experiments).map(String::as_str).collect();
        files.extend(experiments(store, &named)?.map(|bytes| (EXPERIMENTS.to_owned(), Source::Bytes(bytes))));
        if let Some((first, second)) = collision(files.keys().map(String::as_str)) {
            let problem = format!("`{second}` is the same on some systems");
            return Err(ArchiveError::File { path: first.into(), problem });
        }
        let failed = |error| ArchiveError::io("write beside", target, error);
        let mut spool = tempfile::tempfile_in(folder_of(target)).map_err(failed)?;
        let all = files.values().map(Source::bytes).sum();
        let mut done = 0;
        let mut entries = Vec::new();
        for (path, source) in files {
            check(&path).map_err(|problem| ArchiveError::File { path: PathBuf::from(&path), problem })?;
            entries.push(source.pack(path, &mut spool, target)?);
            done += source.bytes();
            tell(done, all);
        }
        picked.runs.iter().try_for_each(|run| run.is_as_it_was(wanted.with_checkpoints))?;
        let unknown = ContentHash::of(b"");
        let mut runs: Vec<RunSeal> = picked
            .runs
            .into_iter()
            .map(|run| RunSeal {
                id: run.dir.id().clone(),
                why: run.why,
                corpora: run.corpora,
                parts: BTreeMap::new(),
                hash: unknown,
            })
            .collect();
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        let mut certificate = Certificate {
            format: FORMAT.to_owned(),
            program: concat!("ablate ", env!("CARGO_PKG_VERSION")).to_owned(),
            root: unknown,
            page: PageSeal { bytes: 0, root_at: 0, hash: unknown },
            checkpoints: wanted.with_checkpoints,
            runs,
            entries,
        };
        certificate.seal();
        Ok(Self { spool, target: target.to_owned(), certificate, absent: picked.absent })
    }

    /// What the archive will say of itself; page and root are not known yet.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Writes the archive. `page` is HTML from `<html>` on whose body is left open; where the root hash is to stand it has
    /// [`ROOT_PLACE`], once.
    ///
    /// # Errors
    /// When the file cannot be written; nothing is left of it then.
    ///
    /// # Panics
    /// When the page has no place for the root.
    pub fn write(mut self, page: &str) -> Result<Written, ArchiveError> {
        let page = seal_page(&mut self.certificate, page);
        // What is written can be read.
        let refused = |problem| ArchiveError::File { path: self.target.clone(), problem };
        self.certificate.check().map_err(refused)?;
        let mut seal = Counted { inner: io::sink(), count: 0 };
        let failed = |error| ArchiveError::io("write", &self.target, error);
        self.certificate.write(&mut seal).map_err(failed)?;
        if seal.count > LONGEST {
            let files = self.certificate.entries.len();
            return Err(refused(format!(
                "{files} files are more than fit into an archive; archive fewer runs at a time"
            )));
        }
        let file = durable::new_file(folder_of(&self.target)).map_err(failed)?;
        let mut out = Counted { inner: BufWriter::with_capacity(1 << 20, file), count: 0 };
        assemble(&mut out, &page, &self.certificate, &mut self.spool).map_err(failed)?;
        let (bytes, unpacked) = (out.count, self.certificate.bytes());
        if is_bomb(unpacked, bytes) {
            return Err(ArchiveError::Bomb { path: self.target, bytes: unpacked });
        }
        let file = out.inner.into_inner().map_err(|error| failed(error.into_error()))?;
        durable::publish(file, &self.target).map_err(failed)?;
        Ok(Written { certificate: self.certificate, bytes })
    }
}

/// Gives an archive its page, and with it its root.
pub(super) fn seal_page(certificate: &mut Certificate, page: &str) -> String {
    let mut page = [&page_start(0), page, PAGE_END].concat();
    page.replace_range(..page_start(0).len(), &page_start(page.len() as u64));
    let place = page.find(ROOT_PLACE).expect("invariant: a page has a place for the root");
    let root_at = place + ROOT_PLACE.find('0').expect("invariant: the place of the root is one of zeros");
    let hash = ContentHash::of(page.as_bytes());
    certificate.page = PageSeal { bytes: page.len() as u64, root_at: root_at as u64, hash };
    certificate.seal();
    page.replace_range(root_at..root_at + 64, &certificate.root.to_string());
    page
}

/// The archive from its first byte to its last; `spool` has the files' packed bytes one after another.
pub(super) fn assemble(
    out: &mut Counted<impl Write>,
    page: &str,
    certificate: &Certificate,
    spool: &mut (impl Read + Seek),
) -> io::Result<()> {
    out.write_all(page.as_bytes())?;
    let mut seal = Vec::new();
    certificate.write(&mut seal)?;
    let mut records = Vec::new();
    let first = certificate_member(&seal);
    records.extend(first.record(out.count));
    out.write_all(&first.local_header())?;
    out.write_all(&seal)?;
    spool.seek(SeekFrom::Start(0))?;
    for entry in &certificate.entries {
        let member = entry.member();
        records.extend(member.record(out.count));
        out.write_all(&member.local_header())?;
        if io::copy(&mut spool.take(member.packed), out)? != member.packed {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let at = out.count;
    out.write_all(&records)?;
    out.write_all(&zip::end(certificate.entries.len() as u64 + 1, at, records.len() as u64))?;
    out.flush()
}

/// What the ZIP says of the certificate.
pub(super) fn certificate_member(seal: &[u8]) -> Member {
    let bytes = seal.len() as u64;
    let (path, crc32) = (CERTIFICATE.to_owned(), crc32fast::hash(seal));
    Member { path, method: Method::Stored, crc32, packed: bytes, bytes }
}

/// Where the bytes of an entry come from.
enum Source {
    File(RunFile),
    Bytes(Vec<u8>),
}

impl Source {
    fn bytes(&self) -> u64 {
        match self {
            Self::File(file) => file.bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Appends it to the spool, compressed where that is worth it.
    fn pack(&self, path: String, spool: &mut File, target: &Path) -> Result<Entry, ArchiveError> {
        let spooling = |error| ArchiveError::io("write beside", target, error);
        let entry = match self {
            Self::Bytes(bytes) => pack(path, &mut bytes.as_slice(), spool).map_err(|failed| spooling(failed.source))?,
            Self::File(file) => {
                let reading = |error| ArchiveError::io("read", &file.at, error);
                let mut source = File::open(&file.at).map_err(reading)?;
                pack(path, &mut source, spool).map_err(|failed| {
                    if failed.is_of_source { reading(failed.source) } else { spooling(failed.source) }
                })?
            }
        };
        if entry.bytes != self.bytes() {
            let problem = "it grew or shrank while it was read; start the same command again".to_owned();
            return Err(ArchiveError::File { path: entry.path.into(), problem });
        }
        Ok(entry)
    }
}

/// Why a file could not be packed, and whether it was reading it.
pub(super) struct PackFailed {
    is_of_source: bool,
    source: io::Error,
}

/// Appends what `source` has to `out`, compressed where its first block says that it is worth it.
pub(super) fn pack(path: String, source: &mut dyn Read, out: &mut dyn Write) -> Result<Entry, PackFailed> {
    let of_source = |source| PackFailed { is_of_source: true, source };
    let of_target = |source| PackFailed { is_of_source: false, source };
    let mut block = vec![0; BLOCK];
    let mut length = fill(source, &mut block).map_err(of_source)?;
    let (mut content, mut crc, mut bytes) = (ContentHasher::new(), crc32fast::Hasher::new(), 0);
    let is_worth_it = squeezed(&block[..length]).map_err(of_target)? < WORTH_IT * length as f64;
    let mut packed = Packing::new(out, is_worth_it);
    while length > 0 {
        let part = &block[..length];
        content.update(part);
        crc.update(part);
        bytes += length as u64;
        packed.write_all(part).map_err(of_target)?;
        length = fill(source, &mut block).map_err(of_source)?;
    }
    let deflated = packed.finish().map_err(of_target)?;
    Ok(Entry { path, bytes, hash: content.finish(), crc32: crc.finalize(), deflated })
}

/// Bytes of a block once it is compressed.
fn squeezed(block: &[u8]) -> io::Result<f64> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(block)?;
    Ok(encoder.finish()?.len() as f64)
}

/// Reads until the block is full or nothing is left.
fn fill(source: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match source.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

/// The files of reports by their paths in an archive.
fn of_reports(reports: &[Report]) -> Result<BTreeMap<String, Source>, ArchiveError> {
    let mut files = BTreeMap::new();
    for Report { shelf, name, folder } in reports {
        for file in files_below(folder, &mut |_| false)? {
            files.insert(format!("reports/{shelf}/{name}/{}", file.path), Source::File(file));
        }
    }
    Ok(files)
}

/// What the store says of these experiments; `None` where it says nothing.
fn experiments(store: &Store, named: &BTreeSet<&str>) -> Result<Option<Vec<u8>>, ArchiveError> {
    let book = store.experiment_book()?;
    let is_named = |entry: &&ExperimentEntry| entry.names().any(|name| named.contains(name));
    let mut experiments: Vec<ExperimentEntry> = book.entries().iter().filter(is_named).cloned().collect();
    if experiments.is_empty() {
        return Ok(None);
    }
    experiments.sort_by(|a, b| a.id.cmp(&b.id));
    let file = Experiments { version: crate::store::format::EXPERIMENTS, experiments };
    let bytes = serde_json::to_vec_pretty(&file);
    let bytes = bytes.map_err(|error| StoreError::io("write", Path::new(EXPERIMENTS), error.into()))?;
    Ok(Some([&bytes[..], b"\n"].concat()))
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Counts what passes.
pub(super) struct Counted<W> {
    pub inner: W,
    pub count: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes as it is, or compressed.
enum Packing<'w> {
    Stored(&'w mut dyn Write),
    Deflated(Box<DeflateEncoder<Hashing<'w>>>),
}

impl<'w> Packing<'w> {
    fn new(out: &'w mut dyn Write, is_deflated: bool) -> Self {
        if !is_deflated {
            return Self::Stored(out);
        }
        let hashing = Hashing { inner: out, hasher: ContentHasher::new(), count: 0 };
        Self::Deflated(Box::new(DeflateEncoder::new(hashing, Compression::default())))
    }

    fn write_all(&mut self, part: &[u8]) -> io::Result<()> {
        match self {
            Self::Stored(out) => out.write_all(part),
            Self::Deflated(encoder) => encoder.write_all(part),
        }
    }

    fn finish(self) -> io::Result<Option<Deflated>> {
        let Self::Deflated(encoder) = self else { return Ok(None) };
        let Hashing { hasher, count, .. } = encoder.finish()?;
        Ok(Some(Deflated { bytes: count, hash: hasher.finish() }))
    }
}

/// Counts and hashes what passes.
struct Hashing<'w> {
    inner: &'w mut dyn Write,
    hasher: ContentHasher,
    count: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
