//! Archives under attack: every bit flipped, every byte cut off, files that no writer of ours would make.

use std::collections::BTreeMap;
use std::io::{Cursor, Seek, SeekFrom, Write};
use std::path::Path;

use proptest::prelude::*;

use super::certificate::{Certificate, Deflated, FORMAT, PageSeal, RunSeal, Why};
use super::read::{Archive, Found, find};
use super::verify::{Verified, without_certificate};
use super::write::{Counted, assemble, pack, seal_page};
use super::zip::{self, Member, Method};
use super::*;
use crate::types::{ContentHash, RunId};

const PAGE: &str = "<html lang=\"en\"><body><p>한글 &lt;plaintext></p>";

fn page() -> String {
    format!("{PAGE}{ROOT_PLACE}")
}

fn run_id() -> RunId {
    "7h2kq9xw".parse().unwrap()
}

/// What stands behind the certificate, one file after another.
struct Raw {
    certificate: Certificate,
    spool: Vec<u8>,
}

/// Files of one run, packed as the program packs them.
fn raw(files: &BTreeMap<String, Vec<u8>>) -> Raw {
    let mut spool = Vec::new();
    let entries = files.iter().map(|(path, bytes)| {
        let path = format!("runs/{}/{path}", run_id());
        pack(path, &mut bytes.as_slice(), &mut spool).unwrap_or_else(|_| panic!("memory holds it"))
    });
    let (entries, hash) = (entries.collect(), ContentHash::of(b""));
    let run = RunSeal { id: run_id(), why: Why::Asked, corpora: Vec::new(), parts: BTreeMap::new(), hash };
    let page = PageSeal { bytes: 0, root_at: 0, hash };
    let (format, program) = (FORMAT.to_owned(), "ablate 0.0.0".to_owned());
    Raw {
        certificate: Certificate { format, program, root: hash, page, checkpoints: true, runs: vec![run], entries },
        spool,
    }
}

impl Raw {
    fn build(mut self) -> Vec<u8> {
        let page = seal_page(&mut self.certificate, &page());
        let mut out = Counted { inner: Vec::new(), count: 0 };
        assemble(&mut out, &page, &self.certificate, &mut Cursor::new(self.spool)).unwrap();
        out.inner
    }
}

fn built(files: &[(&str, &[u8])]) -> Vec<u8> {
    raw(&files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect()).build()
}

/// A small archive with a stored file, a compressed one, an empty one and one whose bytes would end HTML.
fn small() -> Vec<u8> {
    built(&[
        ("artifacts/한글.txt", b"--></plaintext></html>\0\xff"),
        ("events.log", &b"{\"step\":1} ".repeat(12)),
        ("labels.json", b""),
        ("spec.toml", b"seed = 1\n"),
    ])
}

fn open(bytes: &[u8]) -> Result<Archive<Cursor<Vec<u8>>>, String> {
    match find(Cursor::new(bytes.to_vec()), Path::new("x")) {
        Ok(Found::Archive(archive)) => Ok(*archive),
        Ok(Found::WithoutCertificate(_, problem)) => Err(problem),
        Err(error) => Err(error.to_string()),
    }
}

fn verified(bytes: &[u8]) -> Result<Verified, ArchiveError> {
    match find(Cursor::new(bytes), Path::new("x"))? {
        Found::Archive(mut archive) => {
            archive.is_believable(Path::new("x"))?;
            Ok(archive.verify(&mut |_, _| {}).unwrap())
        }
        Found::WithoutCertificate(source, problem) => Ok(without_certificate(&source, problem)),
    }
}

fn parts(verified: &Verified) -> Vec<&str> {
    verified.faults.iter().map(|fault| fault.part.as_str()).collect()
}

#[test]
fn a_whole_archive_is_whole() {
    let bytes = small();
    let verified = verified(&bytes).unwrap();
    assert_eq!((verified.whole, verified.files, verified.runs, verified.bytes), (true, 4, 1, bytes.len() as u64));
    assert_eq!(bytes, small(), "the same files give the same bytes");
    let text = String::from_utf8_lossy(&bytes);
    let root = verified.root.unwrap().to_string();
    assert!(text.starts_with(&page_start(page_start(0).len() as u64 + page().len() as u64 + PAGE_END.len() as u64)));
    assert!(text.contains(&format!("<code id=\"root\">{root}</code>")), "the page shows the root");
}

/// Which part of an archive each of its bytes belongs to.
fn map(bytes: &[u8]) -> Vec<String> {
    let archive = open(bytes).unwrap();
    let certificate = archive.certificate().clone();
    let mut map = vec!["page".to_owned(); usize::try_from(certificate.page.bytes).unwrap()];
    let mut add =
        |part: &str, length: u64| map.extend(std::iter::repeat_n(part.to_owned(), usize::try_from(length).unwrap()));
    let (header, seal) = &archive.layout.certificate;
    add("certificate.json", header.len() as u64 + seal);
    for entry in &certificate.entries {
        add(&entry.path, entry.member().local_header().len() as u64 + entry.member().packed);
    }
    let mut seal = Vec::new();
    certificate.write(&mut seal).unwrap();
    add("certificate.json", super::write::certificate_member(&seal).record(certificate.page.bytes).len() as u64);
    for (entry, at) in certificate.entries.iter().zip(&archive.layout.headers) {
        add(&entry.path, entry.member().record(*at).len() as u64);
    }
    let rest = bytes.len() - map.len();
    map.extend(std::iter::repeat_n("end of the ZIP's directory".to_owned(), rest));
    map
}

/// Every single bit of a small archive: what it is a part of is named, and nothing else is.
#[test]
fn every_flipped_bit_is_named() {
    let bytes = small();
    let map = map(&bytes);
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let verified = verified(&changed).unwrap_or_else(|error| panic!("byte {}: {error}", bit / 8));
        let found = parts(&verified);
        assert_eq!(found, [map[bit / 8].as_str()], "bit {} of byte {}: {:?}", bit % 8, bit / 8, verified.faults);
        assert!(!verified.whole && verified.faults[0].kind == FaultKind::Changed);
    }
}

/// Cut at every byte, with every byte left out, and with one more before every byte.
#[test]
fn every_cut_and_every_other_length_is_noticed() {
    let bytes = small();
    let is_noticed = |changed: &[u8]| verified(changed).is_err() || !verified(changed).unwrap().faults.is_empty();
    let page_bytes = open(&bytes).unwrap().certificate().page.bytes;
    for at in 0..bytes.len() {
        let cut = verified(&bytes[..at]);
        match &cut {
            Err(error) => assert!(at < page_start(0).len() && error.is_of_request(), "{at}: {error}"),
            Ok(verified) => assert!(!verified.faults.is_empty(), "{at}"),
        }
        if at as u64 > page_bytes + 100 + open(&bytes).unwrap().layout.certificate.1 {
            let cut = cut.unwrap();
            assert!(cut.root.is_some(), "the certificate is whole");
            assert!(parts(&cut).contains(&"end of the ZIP's directory"), "{at}: {:?}", cut.faults);
        }
        assert!(is_noticed(&[&bytes[..at], &bytes[at + 1..]].concat()), "without {at}");
        assert!(is_noticed(&[&bytes[..at], b"\n", &bytes[at..]].concat()), "one more at {at}");
    }
    let longer = verified(&[&bytes[..], b"\0"].concat()).unwrap();
    assert_eq!(longer.faults.len(), 1, "{:?}", longer.faults);
}

/// What another program did to an archive is named by file.
#[test]
fn files_that_are_gone_or_new_are_named() {
    let bytes = small();
    let archive = open(&bytes).unwrap();
    let directory = usize::try_from(archive.layout.directory).unwrap();
    let entries = archive.certificate().entries.clone();
    let mut seal = Vec::new();
    archive.certificate().write(&mut seal).unwrap();
    let certificate = super::write::certificate_member(&seal);
    let with = |members: Vec<(Member, u64)>, data: &[u8]| {
        let mut changed = [&bytes[..directory], data].concat();
        let at = changed.len() as u64;
        let records: Vec<u8> = members.iter().flat_map(|(member, at)| member.record(*at)).collect();
        changed.extend(&records);
        changed.extend(zip::end(members.len() as u64, at, records.len() as u64));
        verified(&changed).unwrap().faults.into_iter().map(|fault| (fault.part, fault.kind)).collect::<Vec<_>>()
    };
    let mut members = vec![(certificate, archive.certificate().page.bytes)];
    members.extend(entries.iter().zip(&archive.layout.headers).map(|(entry, at)| (entry.member(), *at)));
    let file = ("file".to_owned(), FaultKind::Changed);
    let mut fewer = members.clone();
    let (gone, _) = fewer.remove(2);
    assert_eq!(with(fewer, b""), [file.clone(), (gone.path, FaultKind::Missing)]);
    let added = Member {
        path: "runs/x".to_owned(),
        method: Method::Stored,
        crc32: crc32fast::hash(b"new"),
        packed: 3,
        bytes: 3,
    };
    let data = [&added.local_header()[..], b"new"].concat();
    let mut more = members.clone();
    more.push((added.clone(), directory as u64));
    assert_eq!(with(more, &data), [file.clone(), ("runs/x".to_owned(), FaultKind::Added)]);
    // The same name once more, with other bytes.
    let other = Member { path: members[4].0.path.clone(), ..added };
    let data = [&other.local_header()[..], b"new"].concat();
    let mut replaced = members.clone();
    replaced[4] = (other.clone(), directory as u64);
    assert_eq!(with(replaced, &data), [file.clone(), (other.path.clone(), FaultKind::Changed)]);
    let mut twice = members;
    twice.push((other.clone(), directory as u64));
    assert_eq!(with(twice, &data), [file, (other.path.clone(), FaultKind::Changed), (other.path, FaultKind::Added)]);
}

/// A directory that calls a file a link is not the one that was written.
#[test]
fn a_link_is_a_change() {
    let mut bytes = small();
    let plain = (0o100_644_u32 << 16).to_le_bytes();
    let at = bytes.windows(4).rposition(|window| window == plain).unwrap();
    bytes[at..at + 4].copy_from_slice(&(0o120_777_u32 << 16).to_le_bytes());
    assert_eq!(parts(&verified(&bytes).unwrap()), [format!("runs/{}/spec.toml", run_id())]);
}

#[test]
fn paths_that_lead_elsewhere_are_refused_before_anything_is_read() {
    let evil = ["../../x", "/etc/x", "C:x", "a\\..\\x", "a/../../x", "a\0x", "./x"];
    for path in evil.iter().map(|path| format!("runs/{}/{path}", run_id())).chain([
        "../x".into(),
        "runs/../x".into(),
        "/x".into(),
    ]) {
        let mut raw = raw(&BTreeMap::from([("spec.toml".to_owned(), b"x".to_vec())]));
        raw.certificate.entries[0].path.clone_from(&path);
        let problem = open(&raw.build()).unwrap_err();
        assert!(
            problem.contains("path")
                || problem.contains("place")
                || problem.contains("colon")
                || problem.contains("backslash"),
            "{path:?}: {problem}"
        );
    }
    let mut twice = raw(&BTreeMap::from([("a".to_owned(), b"x".to_vec()), ("b".to_owned(), b"x".to_vec())]));
    twice.certificate.entries[1].path = format!("runs/{}/A", run_id());
    twice.certificate.entries.reverse();
    assert!(open(&twice.build()).unwrap_err().contains("side by side"));
}

/// Compressed data that becomes more than the certificate says is stopped there; a certificate that says what no data becomes, or
/// what nobody would believe, is refused before anything is written.
#[test]
fn bombs_do_not_go_off() {
    let zeros = vec![0; 10_000_000];
    let mut raw = raw(&BTreeMap::from([("log.txt".to_owned(), zeros.clone())]));
    assert!(raw.spool.len() < 20_000);
    raw.certificate.entries[0].bytes = 1000;
    let bytes = raw.build();
    let mut archive = open(&bytes).unwrap();
    let mut out = Vec::new();
    let unpacked = archive.unpack(0, &mut out).unwrap();
    assert!(!unpacked.is_content_right && out.len() <= 1000, "{}", out.len());
    assert_eq!(parts(&verified(&bytes).unwrap()), [format!("runs/{}/log.txt", run_id())]);

    let refused = |bytes: u64, packed: u64| {
        let mut raw = self::raw(&BTreeMap::from([("log.txt".to_owned(), zeros.clone())]));
        raw.certificate.entries[0].bytes = bytes;
        let spool = raw.spool.len() as u64;
        if packed != spool {
            raw.certificate.entries[0].deflated = Some(Deflated { bytes: packed, hash: ContentHash::of(b"") });
            raw.spool.resize(usize::try_from(packed).unwrap(), 0);
        }
        matches!(verified(&raw.build()), Err(ArchiveError::Bomb { .. }))
    };
    assert!(refused(20 << 30, 1000) && refused(1 << 30, 900) && refused(110 << 20, 100_000));
    assert!(!refused(10_000_000, 20_000));
}

#[test]
fn a_newer_archive_is_told_from_a_damaged_one() {
    let line = page_start(5).replace("archive-1", "archive-2");
    let error = verified(line.as_bytes()).unwrap_err();
    assert!(matches!(error, ArchiveError::TooNew { version: 2, .. }), "{error}");
    let nothing: [&[u8]; 4] = [b"", b"PK\x05\x06", b"<!DOCTYPE html><p>", &zip::end(0, 0, 0)];
    for bytes in nothing {
        assert!(matches!(verified(bytes), Err(ArchiveError::NotAnArchive { .. })));
    }
}

fn any_files() -> impl Strategy<Value = BTreeMap<String, Vec<u8>>> {
    let path = "[a-c가]{1,3}(/[a-c-]{1,3}){0,2}";
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..200_000_usize).prop_map(|(byte, length)| vec![byte; length]),
        "(</plaintext>|-->|<!--|\\]\\]>|PK\u{1}\u{2}|PK\u{5}\u{6}){0,20}".prop_map(String::into_bytes),
    ];
    prop::collection::btree_map(path, content, 0..8).prop_filter("paths that can stand side by side", |files| {
        names::collision(files.keys().map(String::as_str)).is_none()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_files_come_out_as_they_went_in(files in any_files()) {
        let bytes = raw(&files).build();
        prop_assert_eq!(&bytes, &raw(&files).build());
        let verified = verified(&bytes).unwrap();
        prop_assert!(verified.whole, "{:?}", verified.faults);
        let mut archive = open(&bytes).unwrap();
        prop_assert_eq!(archive.certificate().entries.len(), files.len());
        for (number, (path, content)) in files.iter().enumerate() {
            let mut out = Vec::new();
            let unpacked = archive.unpack(number, &mut out).unwrap();
            prop_assert!(unpacked.is_content_right && unpacked.is_packed_right);
            prop_assert_eq!(&out, content);
            let entry = &archive.certificate().entries[number];
            prop_assert_eq!(entry.path.strip_prefix("runs/7h2kq9xw/"), Some(path.as_str()));
            prop_assert_eq!(entry.hash, ContentHash::of(content));
        }
    }
}

/// What stands in an archive.
const WORDS: [&str; 12] = [
    "PK\x01\x02",
    "PK\x03\x04",
    "PK\x05\x06",
    "PK\x06\x06",
    "PK\x06\x07",
    "\0\0\0\0",
    "ablate-archive-",
    "certificate.json",
    "a page of ",
    "\"bytes\": 18446744073709551615",
    "runs/7h2kq9xw/",
    "C:\\",
];

/// Spoilt archives, some of them sealed by somebody himself so that they get past the certificate, into verification and a store:
/// no file outside of it, and no run that the certificate does not vouch for.
#[test]
#[ignore = "ten minutes"]
fn fuzz_archives() {
    let folder = tempfile::tempdir().unwrap();
    let sound =
        [small(), built(&[]), built(&[("log.txt", &[7; 5000])]), built(&[("events.log", b"x"), ("spec.toml", b"y")])];
    let mut tried = 0_u32;
    crate::fuzzing::fuzz("archives", |luck| {
        let is_ours = luck.below(3) > 0;
        let before = if is_ours { sound[luck.below(sound.len())].clone() } else { self_sealed(luck) };
        let is_left = luck.below(5) == 0;
        let bytes = if is_left { before.clone() } else { luck.spoilt(std::slice::from_ref(&before), &WORDS) };
        let outcome = match verified(&bytes) {
            Ok(verified) => {
                // Whoever seals an archive himself decides what is whole; of what was changed after that, nothing is.
                assert!(!verified.whole || bytes == before);
                assert!(!is_ours || bytes != before || verified.whole);
                if verified.whole { "whole" } else { "opened" }
            }
            Err(_) => "refused",
        };
        tried += 1;
        if tried.is_multiple_of(16)
            && let Ok(Found::Archive(archive)) = find(Cursor::new(bytes), Path::new("x"))
        {
            let store = crate::store::Store::open(folder.path().join("runs")).unwrap();
            // None of them is a run of ours.
            assert!(
                super::import::import_from(&store, *archive, Path::new("x"), &mut |_, _| {}).is_err()
                    || store.run_ids().unwrap().is_empty()
            );
            let left: Vec<_> = walkdir::WalkDir::new(folder.path()).min_depth(2).into_iter().flatten().collect();
            assert!(left.iter().all(|entry| entry.path().ends_with("reports")), "{left:?}");
        }
        outcome
    });
}

/// An archive whose certificate says something untrue of a file, and is sealed all the same.
fn self_sealed(luck: &mut crate::fuzzing::Luck) -> Vec<u8> {
    loop {
        let files = BTreeMap::from([
            ("spec.toml".to_owned(), vec![b'x'; luck.below(3000)]),
            ("events.log".to_owned(), vec![b'e'; luck.below(50)]),
        ]);
        let mut raw = raw(&files);
        let at = luck.below(raw.certificate.entries.len());
        let entry = &mut raw.certificate.entries[at];
        match luck.below(6) {
            0 => entry.bytes = luck.below(1 << 20) as u64,
            1 => entry.bytes = (luck.below(usize::MAX) as u64) << luck.below(8),
            2 => entry.path.insert_str(luck.below(14), luck.one(&["../", "/", "\\", "\0", "C:", "a/"])),
            3 => entry.deflated = Some(Deflated { bytes: entry.bytes.min(raw.spool.len() as u64), hash: entry.hash }),
            4 => entry.hash = ContentHash::of(&[7]),
            _ => entry.crc32 ^= 1,
        }
        let needed = raw.certificate.entries.iter().map(|entry| entry.member().packed).fold(0, u64::saturating_add);
        if needed <= 1 << 22 {
            raw.spool.resize(usize::try_from(needed).unwrap(), b'z');
            return raw.build();
        }
    }
}

/// A writer for tests alone would be a second opinion on nothing: this one only shows that seeking in memory is as in a file.
#[test]
fn an_archive_in_a_file_reads_as_in_memory() {
    let bytes = small();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    file.seek(SeekFrom::Start(17)).unwrap();
    let Ok(Found::Archive(mut archive)) = find(file, Path::new("x")) else { panic!("no archive") };
    assert!(archive.verify(&mut |_, _| {}).unwrap().whole);
}
