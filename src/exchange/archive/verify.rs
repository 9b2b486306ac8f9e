//! Verifies archives: every byte of the file is held against what its certificate says it has to be, and whatever differs is
//! named.
//!
//! The certificate gives the place and the content of everything from the first byte to the last, so no bit is left that nobody
//! asks about: those of the page, of each file, of what the ZIP says before it and of the directory behind.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::path::Path;

use serde::Serialize;

use super::error::{ArchiveError, Fault, FaultKind};
use super::names::CERTIFICATE;
use super::read::{Archive, Found, Source, damaged_certificate, find, open_file, unpack};
use super::write::certificate_member;
use super::zip::{self, Slices};
use crate::types::ContentHash;

/// What came out of a look at every byte of an archive.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    format: &'static str,
    /// The root of the hash tree; `None` where the certificate is damaged.
    pub root: Option<ContentHash>,
    /// The program that wrote it.
    pub program: Option<String>,
    pub runs: usize,
    pub files: usize,
    pub bytes: u64,
    pub whole: bool,
    pub faults: Vec<Fault>,
}

/// Reads every byte of the archive at `path`; `tell` hears how many of how many bytes are read.
///
/// # Errors
/// When it is no archive, of a newer version, or cannot be read.
pub fn verify(path: &Path, tell: &mut dyn FnMut(u64, u64)) -> Result<Verified, ArchiveError> {
    match find(open_file(path)?, path)? {
        Found::WithoutCertificate(source, problem) => Ok(without_certificate(&source, problem)),
        Found::Archive(mut archive) => {
            archive.is_believable(path)?;
            archive.verify(tell).map_err(|error| ArchiveError::io("read", path, error))
        }
    }
}

/// Nothing can be held against a certificate that is damaged.
pub(super) fn without_certificate<R: Read + Seek>(source: &Source<R>, problem: String) -> Verified {
    Verified {
        format: "ablate-verified-1",
        root: None,
        program: None,
        runs: 0,
        files: 0,
        bytes: source.len(),
        whole: false,
        faults: vec![damaged_certificate(problem)],
    }
}

impl<R: Read + Seek> Archive<R> {
    /// Holds every byte against the certificate.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn verify(&mut self, tell: &mut dyn FnMut(u64, u64)) -> io::Result<Verified> {
        let mut faults = Vec::new();
        self.look_at_page(&mut faults)?;
        let is_of_the_right_size = self.bytes() == self.layout.bytes;
        match zip::directory(&mut self.source).filter(|_| !is_of_the_right_size) {
            Some(records) => self.look_by_directory(records, &mut faults)?,
            None => self.look_at_all(&mut faults, tell)?,
        }
        let certificate = self.certificate();
        Ok(Verified {
            format: "ablate-verified-1",
            root: Some(certificate.root),
            program: Some(certificate.program.clone()),
            runs: certificate.runs.len(),
            files: certificate.entries.len(),
            bytes: self.bytes(),
            whole: faults.is_empty(),
            faults,
        })
    }

    fn look_at_page(&mut self, faults: &mut Vec<Fault>) -> io::Result<()> {
        let page = self.certificate().page;
        let (hash, has_root) = self.page()?;
        let problem = match (hash == page.hash, has_root) {
            (true, true) => return Ok(()),
            (true, false) => "it does not show the root hash of the certificate",
            (false, _) => "it is not the page that was written",
        };
        let (kind, problem) = (FaultKind::Changed, problem.to_owned());
        faults.push(Fault { part: "page".to_owned(), kind, range: Some([0, page.bytes]), problem });
        Ok(())
    }

    /// Reads from the first byte to the last, each at its place.
    fn look_at_all(&mut self, faults: &mut Vec<Fault>, tell: &mut dyn FnMut(u64, u64)) -> io::Result<()> {
        let before = "what the ZIP says before it is not what was written";
        let page_bytes = self.certificate().page.bytes;
        let (header, seal_bytes) = self.layout.certificate.clone();
        self.expect(page_bytes, &header, CERTIFICATE, before, faults)?;
        let seal = self.source.slice(page_bytes + header.len() as u64, seal_bytes).unwrap_or_default();
        let mut records = vec![(CERTIFICATE.to_owned(), certificate_member(&seal).record(page_bytes))];
        // It was read by the other way to it.
        if seal.len() as u64 != seal_bytes || self.is_other_certificate(&seal) {
            faults.push(damaged_certificate("it is not at its place behind the page".to_owned()));
        }
        for number in 0..self.layout.headers.len() {
            let at = self.layout.headers[number];
            let member = self.certificate().entries[number].member();
            tell(at, self.layout.bytes);
            let header = member.local_header();
            self.expect(at, &header, &member.path, before, faults)?;
            let unpacked = self.unpack(number, &mut io::sink())?;
            let start = at + header.len() as u64;
            if !(unpacked.is_packed_right && unpacked.is_content_right) {
                let missing = (FaultKind::Missing, "the file ends before it".to_owned());
                let (kind, problem) = match (unpacked.is_packed_right, unpacked.present) {
                    (false, 0) if member.packed > 0 => missing,
                    (false, present) if present < member.packed => {
                        (FaultKind::Changed, format!("the file ends after {present} of its {} bytes", member.packed))
                    }
                    (false, _) => (FaultKind::Changed, "its bytes are not those that were written".to_owned()),
                    (true, _) => (FaultKind::Changed, "what unpacks is not what the certificate says".to_owned()),
                };
                let range = Some([start, start + member.packed]);
                faults.push(Fault { part: member.path.clone(), kind, range, problem });
            }
            let record = member.record(at);
            records.push((member.path, record));
        }
        let mut at = self.layout.directory;
        let count = records.len() as u64;
        for (path, record) in records {
            let problem = "its line in the ZIP's directory is not what was written";
            self.expect(at, &record, &path, problem, faults)?;
            at += record.len() as u64;
        }
        let end = zip::end(count, self.layout.directory, self.layout.directory_bytes);
        let problem = "it is not what was written";
        self.expect(at, &end, "end of the ZIP's directory", problem, faults)?;
        tell(self.layout.bytes, self.layout.bytes);
        if self.bytes() > self.layout.bytes {
            let range = Some([self.layout.bytes, self.bytes()]);
            let problem = "bytes behind the end".to_owned();
            faults.push(Fault { part: "end of the file".to_owned(), kind: FaultKind::Added, range, problem });
        }
        Ok(())
    }

    /// Whether these bytes, where the certificate has to be, are not those of the certificate.
    fn is_other_certificate(&self, seal: &[u8]) -> bool {
        let mut written = Vec::new();
        self.certificate().write(&mut written).is_err() || written != seal
    }

    /// Holds the bytes at a place against what they have to be.
    fn expect(
        &mut self,
        at: u64,
        expected: &[u8],
        part: &str,
        problem: &str,
        faults: &mut Vec<Fault>,
    ) -> io::Result<()> {
        let mut found = Vec::with_capacity(expected.len());
        self.source.pass(at, expected.len() as u64, &mut |bytes| {
            found.extend_from_slice(bytes);
            Ok(())
        })?;
        if found != expected {
            let kind = if found.is_empty() { FaultKind::Missing } else { FaultKind::Changed };
            let problem = if found.len() < expected.len() { "the file ends before it" } else { problem };
            let range = Some([at, at + expected.len() as u64]);
            faults.push(Fault { part: part.to_owned(), kind, range, problem: problem.to_owned() });
        }
        Ok(())
    }

    /// Looks at an archive of another size, which some program wrote anew, by the directory that it has now.
    fn look_by_directory(&mut self, records: Vec<(zip::Member, u64)>, faults: &mut Vec<Fault>) -> io::Result<()> {
        let (has, had) = (self.bytes(), self.layout.bytes);
        let problem = format!("it has {has} bytes, and {had} were written");
        faults.push(Fault { part: "file".to_owned(), kind: FaultKind::Changed, range: None, problem });
        let mut found: BTreeMap<String, Vec<(zip::Member, u64)>> = BTreeMap::new();
        for (member, at) in records {
            found.entry(member.path.clone()).or_default().push((member, at));
        }
        let entries = self.certificate().entries.clone();
        for entry in &entries {
            let Some((member, at)) = found.get_mut(&entry.path).and_then(Vec::pop) else {
                let problem = "the ZIP's directory does not have it".to_owned();
                faults.push(Fault { part: entry.path.clone(), kind: FaultKind::Missing, range: None, problem });
                continue;
            };
            let data = zip::data_at(&mut self.source, at);
            let is_right = match data {
                Some(data) if member.method == entry.member().method => {
                    unpack(&mut self.source, entry, data, member.packed, &mut io::sink())?.is_content_right
                }
                _ => false,
            };
            if !is_right {
                let problem = "its bytes are not those that were written".to_owned();
                faults.push(Fault { part: entry.path.clone(), kind: FaultKind::Changed, range: None, problem });
            }
        }
        found.get_mut(CERTIFICATE).and_then(Vec::pop);
        for path in found.into_iter().flat_map(|(path, left)| left.into_iter().map(move |_| path.clone())) {
            let problem = "the certificate does not have it".to_owned();
            faults.push(Fault { part: path, kind: FaultKind::Added, range: None, problem });
        }
        Ok(())
    }
}
