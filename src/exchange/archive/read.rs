//! Reads archives: finds the certificate, whatever else is damaged, and gives each file with its bytes held against it.
//!
//! Everything is read in blocks; what is held in memory is the certificate, whose size is bounded.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flate2::read::DeflateDecoder;

use super::certificate::{Certificate, Entry, LONGEST};
use super::error::{ArchiveError, Fault, FaultKind};
use super::names::CERTIFICATE;
use super::write::certificate_member;
use super::zip::{self, Slices};
use super::{MARK, is_bomb, page_start};
use crate::types::{ContentHash, ContentHasher};

/// An archive whose certificate is whole.
#[derive(Debug)]
pub struct Archive<R> {
    pub(super) source: Source<R>,
    certificate: Certificate,
    /// What the file has to be from its first byte to its last.
    pub(super) layout: Layout,
}

/// Where everything of an archive has to be.
#[derive(Debug)]
pub(super) struct Layout {
    /// The certificate's local header, behind the page, and its own bytes.
    pub certificate: (Vec<u8>, u64),
    /// Where the local header of each entry begins.
    pub headers: Vec<u64>,
    /// Where the directory begins.
    pub directory: u64,
    /// Bytes of the directory.
    pub directory_bytes: u64,
    /// All bytes.
    pub bytes: u64,
}

/// What a look at a file's first and last bytes gave.
pub(super) enum Found<R> {
    Archive(Box<Archive<R>>),
    /// It is an archive, but its certificate is damaged.
    WithoutCertificate(Source<R>, String),
}

/// How the data of an entry came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unpacked {
    /// Whether the bytes are those that were written.
    pub is_packed_right: bool,
    /// Whether they give the file's content.
    pub is_content_right: bool,
    /// Bytes of it that there are.
    pub present: u64,
}

/// Something to read from whose size is known.
#[derive(Debug)]
pub(super) struct Source<R> {
    inner: R,
    bytes: u64,
}

impl Archive<File> {
    /// Opens the archive at `path`.
    ///
    /// # Errors
    /// When it is no archive, cannot be read, or its certificate is damaged.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        match find(open_file(path)?, path)? {
            Found::Archive(archive) => Ok(*archive),
            Found::WithoutCertificate(_, problem) => {
                Err(ArchiveError::Damaged { path: path.to_owned(), faults: vec![damaged_certificate(problem)] })
            }
        }
    }
}

/// A plain file: a pipe would be waited for for ever.
pub(super) fn open_file(path: &Path) -> Result<File, ArchiveError> {
    let failed = |error| ArchiveError::io("read", path, error);
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(ArchiveError::NotAnArchive { path: path.to_owned() });
    }
    File::open(path).map_err(failed)
}

pub(super) fn damaged_certificate(problem: String) -> Fault {
    Fault { part: CERTIFICATE.to_owned(), kind: FaultKind::Changed, range: None, problem }
}

/// Looks for the certificate by both ways to it: behind the page, whose size the first line says, and by the directory.
///
/// # Errors
/// When it is no archive, or of a newer version, or cannot be read.
pub(super) fn find<R: Read + Seek>(source: R, path: &Path) -> Result<Found<R>, ArchiveError> {
    let mut source = Source::new(source).map_err(|error| ArchiveError::io("read", path, error))?;
    let start_bytes = page_start(0).len() as u64;
    let first_line = source.slice(0, start_bytes.min(source.bytes)).unwrap_or_default();
    let first_line = String::from_utf8_lossy(&first_line).into_owned();
    let stated = first_line.strip_prefix(MARK);
    let by_page = first_line.split("a page of ").nth(1).and_then(|rest| rest.get(..20)?.parse::<u64>().ok());
    let first = zip::directory(&mut source)
        .and_then(|records| records.into_iter().find(|(member, _)| member.path == CERTIFICATE));
    let by_directory = first.as_ref().map(|(_, at)| *at);
    let mut problem = None;
    for at in [by_page, by_directory].into_iter().flatten() {
        let header = zip::data_at(&mut source, at);
        let usual = at.checked_add(zip_header_bytes());
        let sizes = [zip::stated_size(&mut source, at), first.as_ref().map(|(member, _)| member.bytes)];
        let checksums = [zip::stated_crc(&mut source, at), first.as_ref().map(|(member, _)| member.crc32)];
        for data in [usual, header].into_iter().flatten() {
            for size in sizes.into_iter().flatten().filter(|&size| size <= LONGEST) {
                let Some(bytes) = source.slice(data, size) else { continue };
                match Certificate::read(&bytes) {
                    Ok(_) if !checksums.contains(&Some(crc32fast::hash(&bytes))) => {
                        problem = Some("its checksum is not that of the ZIP".to_owned());
                    }
                    Ok(certificate) => {
                        let layout = Layout::of(&certificate, &bytes);
                        return Ok(Found::Archive(Box::new(Archive { source, certificate, layout })));
                    }
                    Err(_) if !bytes.starts_with(b"{\n  \"format\"") => {}
                    Err(error) => problem = Some(error),
                }
            }
        }
    }
    let version = stated.and_then(|rest| rest.split(':').next()?.parse::<u32>().ok());
    match (version, problem) {
        (Some(version), _) if version > 1 => Err(ArchiveError::TooNew { path: path.to_owned(), version }),
        (None, None) => Err(ArchiveError::NotAnArchive { path: path.to_owned() }),
        (_, problem) => {
            let problem = problem.unwrap_or_else(|| "it is not there".to_owned());
            Ok(Found::WithoutCertificate(source, problem))
        }
    }
}

/// Bytes of the certificate's local header.
fn zip_header_bytes() -> u64 {
    certificate_member(&[]).local_header().len() as u64
}

impl Layout {
    /// The places that follow from a certificate, whose bytes are `seal`.
    fn of(certificate: &Certificate, seal: &[u8]) -> Self {
        let first = certificate_member(seal);
        let header = first.local_header();
        let mut at = certificate.page.bytes;
        let mut directory_bytes = first.record(at).len() as u64;
        at += (header.len() + seal.len()) as u64;
        let mut headers = Vec::with_capacity(certificate.entries.len());
        for entry in &certificate.entries {
            let member = entry.member();
            headers.push(at);
            directory_bytes += member.record(at).len() as u64;
            at += member.local_header().len() as u64 + member.packed;
        }
        let end = zip::end(certificate.entries.len() as u64 + 1, at, directory_bytes);
        let bytes = at + directory_bytes + end.len() as u64;
        Self { certificate: (header, seal.len() as u64), headers, directory: at, directory_bytes, bytes }
    }
}

impl<R: Read + Seek> Archive<R> {
    /// What the archive says of itself.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.source.bytes
    }

    /// Whether its files are more than is believed of a file of its size.
    ///
    /// # Errors
    /// When they are.
    pub(super) fn is_believable(&self, path: &Path) -> Result<(), ArchiveError> {
        let bytes = self.certificate.bytes();
        let is_possible = |entry: &Entry| {
            // No byte of deflated data stands for more than 1032 (RFC 1951: 258 bytes by two bits).
            entry.deflated.is_none_or(|deflated| entry.bytes / 1032 <= deflated.bytes)
        };
        if is_bomb(bytes, self.source.bytes) || !self.certificate.entries.iter().all(is_possible) {
            return Err(ArchiveError::Bomb { path: path.to_owned(), bytes });
        }
        Ok(())
    }

    /// The hash of the page with zeros for the root, and whether it has the root where it is to be.
    pub(super) fn page(&mut self) -> io::Result<(ContentHash, bool)> {
        let page = self.certificate.page;
        let mut hasher = ContentHasher::new();
        self.source.pass(0, page.root_at, &mut |part| {
            hasher.update(part);
            Ok(())
        })?;
        let mut digits = Vec::new();
        self.source.pass(page.root_at, 64, &mut |part| {
            digits.extend_from_slice(part);
            Ok(())
        })?;
        hasher.update(&[b'0'; 64]);
        self.source.pass(page.root_at + 64, page.bytes - page.root_at - 64, &mut |part| {
            hasher.update(part);
            Ok(())
        })?;
        Ok((hasher.finish(), digits == self.certificate.root.to_string().as_bytes()))
    }

    /// Writes the content of entry `number` to `out`, never more than its certificate says. What was written is the file's
    /// content only if the answer says so.
    ///
    /// # Errors
    /// When the archive cannot be read, or `out` not be written.
    pub(super) fn unpack(&mut self, number: usize, out: &mut dyn Write) -> io::Result<Unpacked> {
        let entry = &self.certificate.entries[number];
        let data = self.layout.headers[number] + entry.member().local_header().len() as u64;
        unpack(&mut self.source, entry, data, entry.member().packed, out)
    }
}

/// Unpacks `packed` bytes from `at` on as the data of an entry.
pub(super) fn unpack<R: Read + Seek>(
    source: &mut Source<R>,
    entry: &Entry,
    at: u64,
    packed: u64,
    out: &mut dyn Write,
) -> io::Result<Unpacked> {
    let mut data = Data::new(source, at, packed)?;
    let mut content = Content { out, hasher: ContentHasher::new(), crc: crc32fast::Hasher::new(), bytes: 0 };
    let is_whole = match entry.deflated {
        None => io::copy(&mut data.by_ref().take(entry.bytes), &mut content).map(|_| true)?,
        Some(_) => {
            let mut decoder = DeflateDecoder::new(BufReader::with_capacity(1 << 15, &mut data)).take(entry.bytes + 1);
            // One byte more than there should be is enough to know.
            let mut limited = Limited { inner: &mut content, left: entry.bytes };
            match io::copy(&mut decoder, &mut limited) {
                Ok(_) => true,
                Err(error) if is_of_data(&error) => false,
                Err(error) => return Err(error),
            }
        }
    };
    io::copy(&mut data, &mut io::sink())?;
    let (present, packed_hash) = (data.present, data.hasher.finish());
    let is_content_right = is_whole
        && content.bytes == entry.bytes
        && content.hasher.finish() == entry.hash
        && content.crc.finalize() == entry.crc32;
    let is_packed_right = present == entry.member().packed && packed_hash == entry.packed_hash();
    Ok(Unpacked { is_packed_right, is_content_right, present })
}

/// Whether a decoder found its data to be wrong, as opposed to what it reads from or writes to having failed.
fn is_of_data(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

impl<R: Read + Seek> Source<R> {
    fn new(mut inner: R) -> io::Result<Self> {
        let bytes = inner.seek(SeekFrom::End(0))?;
        Ok(Self { inner, bytes })
    }

    /// Gives the bytes from `at` on, as many as there are of `length`, block by block.
    pub fn pass(&mut self, at: u64, length: u64, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
        const BLOCK: u64 = 1 << 16;

        let end = at.saturating_add(length).min(self.bytes);
        let mut left = end.saturating_sub(at);
        if left == 0 {
            return Ok(0);
        }
        self.inner.seek(SeekFrom::Start(at))?;
        let mut block = vec![0; usize::try_from(left.min(BLOCK)).unwrap_or(0)];
        let mut passed = 0;
        while left > 0 {
            let part = &mut block[..usize::try_from(left.min(BLOCK)).unwrap_or(0)];
            self.inner.read_exact(part)?;
            take(part)?;
            passed += part.len() as u64;
            left -= part.len() as u64;
        }
        Ok(passed)
    }
}

impl<R: Read + Seek> Slices for Source<R> {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn slice(&mut self, at: u64, length: u64) -> Option<Vec<u8>> {
        if at.checked_add(length)? > self.bytes {
            return None;
        }
        let mut bytes = Vec::with_capacity(usize::try_from(length).ok()?);
        let mut take = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok(())
        };
        self.pass(at, length, &mut take).ok()?;
        Some(bytes)
    }
}

/// The written bytes of an entry, hashed as they are read.
struct Data<'s, R> {
    source: &'s mut R,
    left: u64,
    present: u64,
    hasher: ContentHasher,
}

impl<'s, R: Read + Seek> Data<'s, R> {
    fn new(source: &'s mut Source<R>, at: u64, length: u64) -> io::Result<Self> {
        let left = source.bytes.saturating_sub(at).min(length);
        source.inner.seek(SeekFrom::Start(at.min(source.bytes)))?;
        Ok(Self { source: &mut source.inner, left, present: 0, hasher: ContentHasher::new() })
    }
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let most = block.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.source.read(&mut block[..most])?;
        self.hasher.update(&block[..read]);
        self.left -= read as u64;
        self.present += read as u64;
        Ok(read)
    }
}

/// The content of an entry, hashed as it is written.
struct Content<'o> {
    out: &'o mut dyn Write,
    hasher: ContentHasher,
    crc: crc32fast::Hasher,
    bytes: u64,
}

impl Write for Content<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.crc.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Takes so many bytes and no more.
struct Limited<'c, 'o> {
    inner: &'c mut Content<'o>,
    left: u64,
}

impl Write for Limited<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let written = self.inner.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
