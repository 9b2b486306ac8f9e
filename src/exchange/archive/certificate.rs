//! The certificate: a hash tree over everything in an archive, from the bytes of each file to one root.
//!
//! A leaf is of a file's length and content, a node of the names and hashes below it, so that no two different archives have
//! one root: a name, a length, a place in the tree cannot be exchanged for another. How files are compressed is not in the root
//! but beside it; the same runs have the same root however they are packed. `docs/archive.md` has the tree in words.

use std::collections::BTreeMap;
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::names::{self, Owner};
use super::zip::{Member, Method};
use crate::types::{ContentHash, ContentHasher, RunId};

/// The format of an archive.
pub(super) const FORMAT: &str = "ablate-archive-1";

/// Bytes of a certificate at most: some two hundred thousand files, and what a reader holds in memory of an archive.
pub(super) const LONGEST: u64 = 64 << 20;

/// What an archive says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub format: String,
    /// The program that wrote it.
    pub program: String,
    /// The root of the tree.
    pub root: ContentHash,
    pub page: PageSeal,
    /// Whether the runs' checkpoints are in it.
    pub checkpoints: bool,
    /// In order of their ids.
    pub runs: Vec<RunSeal>,
    /// Every file but this one, in order of their paths.
    pub entries: Vec<Entry>,
}

/// The page that an archive begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageSeal {
    pub bytes: u64,
    /// Where its 64 digits of the root begin, which are hashed as zeros.
    pub root_at: u64,
    pub hash: ContentHash,
}

/// A run of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSeal {
    pub id: RunId,
    pub why: Why,
    /// What it was trained on, which is not in the archive.
    pub corpora: Vec<Corpus>,
    /// The node of each part that it has.
    pub parts: BTreeMap<Part, ContentHash>,
    pub hash: ContentHash,
}

/// Why a run is in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was asked for.
    Asked,
    /// One that was asked for stands on it.
    StoodOn,
}

/// Data that a run names by their hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    pub name: String,
    pub hash: ContentHash,
}

/// What a file of a run belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Artifacts,
    Labels,
    Log,
    Other,
    Provenance,
    Specification,
    Weights,
}

/// A file of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub path: String,
    pub bytes: u64,
    /// BLAKE3 of its content, as `b3sum` prints it.
    pub hash: ContentHash,
    pub crc32: u32,
    /// How it is compressed; absent where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deflated: Option<Deflated>,
}

/// The compressed bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deflated {
    pub bytes: u64,
    pub hash: ContentHash,
}

impl Part {
    /// The part that the file at this path of a run's folder belongs to.
    pub fn of(path: &str) -> Self {
        match path.split_once('/').map_or(path, |(first, _)| first) {
            "spec.toml" | "params.json" => Self::Specification,
            "provenance.json" | "lineage.json" => Self::Provenance,
            "events.log" | "log.txt" => Self::Log,
            "labels.json" => Self::Labels,
            "checkpoints" => Self::Weights,
            "artifacts" => Self::Artifacts,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Artifacts => "artifacts",
            Self::Labels => "labels",
            Self::Log => "log",
            Self::Other => "other",
            Self::Provenance => "provenance",
            Self::Specification => "specification",
            Self::Weights => "weights",
        }
    }
}

impl Entry {
    /// What the ZIP says of it.
    pub(super) fn member(&self) -> Member {
        let (method, packed) = match self.deflated {
            Some(deflated) => (Method::Deflated, deflated.bytes),
            None => (Method::Stored, self.bytes),
        };
        Member { path: self.path.clone(), method, crc32: self.crc32, packed, bytes: self.bytes }
    }

    /// The hash of the bytes as they are written.
    pub(super) fn packed_hash(&self) -> ContentHash {
        self.deflated.map_or(self.hash, |deflated| deflated.hash)
    }
}

impl Certificate {
    /// Fills in every hash that follows from the files and what is said of the runs.
    pub(super) fn seal(&mut self) {
        let mut of_runs: BTreeMap<RunId, BTreeMap<Part, Named<'_>>> = BTreeMap::new();
        let mut reports = Vec::new();
        let mut experiments = None;
        for entry in &self.entries {
            let leaf = leaf(entry.bytes, entry.hash);
            match Owner::of(&entry.path) {
                Some(Owner::Run(id, path)) => {
                    of_runs.entry(id).or_default().entry(Part::of(path)).or_default().push((path, leaf));
                }
                Some(Owner::Report(..)) => reports.push((entry.path.as_str(), leaf)),
                Some(Owner::Experiments) => experiments = Some(leaf),
                None => {}
            }
        }
        for run in &mut self.runs {
            let parts = of_runs.remove(&run.id).unwrap_or_default();
            run.parts = parts.into_iter().map(|(part, leaves)| (part, node(&leaves))).collect();
            let corpora: Vec<_> = run.corpora.iter().map(|corpus| (corpus.name.as_str(), corpus.hash)).collect();
            let mut children: Vec<_> = run.parts.iter().map(|(part, hash)| (part.name(), *hash)).collect();
            children.extend([("corpora", node(&corpora)), ("why", text(run.why.name()))]);
            run.hash = node(&children);
        }
        let names: Vec<_> = self.runs.iter().map(|run| (run.id.as_str(), run.hash)).collect();
        let mut children = vec![
            ("checkpoints", text(if self.checkpoints { "yes" } else { "no" })),
            ("format", text(&self.format)),
            ("page", leaf(self.page.bytes, self.page.hash)),
            ("program", text(&self.program)),
            ("reports", node(&reports)),
            ("runs", node(&names)),
        ];
        children.extend(experiments.map(|leaf| (names::EXPERIMENTS, leaf)));
        self.root = node(&children);
    }

    /// Reads a certificate. Whatever differs from what the program would have written, to the byte, is an error.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if read.format != FORMAT {
            return Err(format!("it is of the format `{}`", read.format));
        }
        let mut sealed = read.clone();
        sealed.seal();
        if sealed != read {
            return Err("its hashes are not those of what it says".to_owned());
        }
        drop(sealed);
        let mut compare = Compare { rest: bytes, is_equal: true };
        read.write(&mut compare).map_err(|error| error.to_string())?;
        if !compare.is_equal || !compare.rest.is_empty() {
            return Err("it is not written as the program writes it".to_owned());
        }
        read.check()?;
        Ok(read)
    }

    /// Whether what it says can be true of an archive.
    ///
    /// # Errors
    /// Says what cannot.
    pub(super) fn check(&self) -> Result<(), String> {
        let page = &self.page;
        if page.root_at.checked_add(64).is_none_or(|end| end > page.bytes) {
            return Err("the page has no place for the root".to_owned());
        }
        if !self.entries.windows(2).all(|pair| pair[0].path < pair[1].path) {
            return Err("its files are not in order".to_owned());
        }
        if !self.runs.windows(2).all(|pair| pair[0].id < pair[1].id) {
            return Err("its runs are not in order".to_owned());
        }
        let mut total = page.bytes;
        for entry in &self.entries {
            let named = |problem: &str| format!("`{}`: {problem}", entry.path.escape_debug());
            names::check(&entry.path).map_err(|problem| named(&problem))?;
            let is_of_a_run = |id: &RunId| self.runs.binary_search_by(|run| run.id.cmp(id)).is_ok();
            match Owner::of(&entry.path) {
                None => return Err(named("an archive has no such place")),
                Some(Owner::Run(id, _)) if !is_of_a_run(&id) => return Err(named("the run is not in its list")),
                Some(_) => {}
            }
            let sizes = [entry.bytes, entry.deflated.map_or(0, |deflated| deflated.bytes), 4096];
            for size in sizes {
                total = total.checked_add(size).ok_or_else(|| named("its size is no size"))?;
            }
        }
        if let Some((first, second)) = names::collision(self.entries.iter().map(|entry| entry.path.as_str())) {
            return Err(format!("`{first}` and `{second}` cannot stand side by side"));
        }
        Ok(())
    }

    /// Writes it as it is in an archive.
    pub(super) fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.bytes).sum()
    }
}

impl Why {
    fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::StoodOn => "stood_on",
        }
    }
}

/// The hashes below a node, by name.
type Named<'n> = Vec<(&'n str, ContentHash)>;

/// The hash of a file's length and content.
fn leaf(bytes: u64, content: ContentHash) -> ContentHash {
    ContentHasher::new().update(b"ablate leaf\n").update(&bytes.to_le_bytes()).update(content.as_bytes()).finish()
}

/// The leaf of a text.
fn text(text: &str) -> ContentHash {
    leaf(text.len() as u64, ContentHash::of(text.as_bytes()))
}

/// The hash of names and hashes, in this order.
fn node(children: &[(&str, ContentHash)]) -> ContentHash {
    let mut sorted = children.to_vec();
    sorted.sort_unstable();
    let mut hasher = ContentHasher::new();
    hasher.update(b"ablate node\n");
    for (name, hash) in sorted {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes()).update(hash.as_bytes());
    }
    hasher.finish()
}

/// Takes what is written and holds it against bytes.
struct Compare<'b> {
    rest: &'b [u8],
    is_equal: bool,
}

impl Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.is_equal = false,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, content: &str) -> Entry {
        let (bytes, hash) = (content.len() as u64, ContentHash::of(content.as_bytes()));
        Entry { path: path.to_owned(), bytes, hash, crc32: 7, deflated: None }
    }

    fn sealed() -> Certificate {
        let [a, b]: [RunId; 2] = ["aaaaaaaa", "bbbbbbbb"].map(|id| id.parse().unwrap());
        let nothing = ContentHash::of(b"");
        let run = |id, why| RunSeal { id, why, corpora: Vec::new(), parts: BTreeMap::new(), hash: nothing };
        let mut certificate = Certificate {
            format: FORMAT.to_owned(),
            program: "ablate 0.1.0".to_owned(),
            root: nothing,
            page: PageSeal { bytes: 100, root_at: 20, hash: ContentHash::of(b"page") },
            checkpoints: true,
            runs: vec![run(a, Why::Asked), run(b, Why::StoodOn)],
            entries: vec![
                entry("experiments.json", "{}"),
                entry("reports/x/y/report.html", "<p>"),
                entry("runs/aaaaaaaa/events.log", "1"),
                entry("runs/aaaaaaaa/spec.toml", "2"),
                entry("runs/bbbbbbbb/events.log", "1"),
            ],
        };
        certificate.runs[0].corpora = vec![Corpus { name: "demo".to_owned(), hash: ContentHash::of(b"demo") }];
        certificate.seal();
        certificate
    }

    fn bytes(certificate: &Certificate) -> Vec<u8> {
        let mut bytes = Vec::new();
        certificate.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let certificate = sealed();
        let written = bytes(&certificate);
        assert_eq!(Certificate::read(&written), Ok(certificate));
        // But for numbers of the packing, which the ZIP's checksum holds, every flipped bit is seen.
        let text = String::from_utf8(written.clone()).unwrap();
        for at in 0..written.len() {
            let mut changed = written.clone();
            changed[at] ^= 1;
            if let Ok(read) = Certificate::read(&changed) {
                let line = text[..at].lines().last().unwrap();
                assert!(line.contains("crc32") || line.contains("root_at"), "{at}: {line}");
                assert_eq!(read.root, sealed().root);
            }
        }
    }

    /// Whatever is changed of what an archive holds changes the root.
    #[test]
    fn the_root_is_of_everything() {
        let root = sealed().root;
        let changes: [fn(&mut Certificate); 12] = [
            |c| c.entries[2].hash = ContentHash::of(b"other"),
            |c| c.entries[2].bytes += 1,
            |c| c.entries[2].path.push('x'),
            |c| c.entries[1].path.push('x'),
            |c| drop(c.entries.remove(0)),
            |c| drop(c.entries.pop()),
            |c| c.runs[1].why = Why::Asked,
            |c| c.runs[0].corpora[0].name.push('x'),
            |c| c.runs[0].corpora.clear(),
            |c| c.page.hash = ContentHash::of(b"other"),
            |c| c.program.push('x'),
            |c| c.checkpoints = false,
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut certificate = sealed();
            change(&mut certificate);
            certificate.seal();
            assert_ne!(certificate.root, root, "{at}");
        }
        let mut packed = sealed();
        packed.entries[3].deflated = Some(Deflated { bytes: 9, hash: ContentHash::of(b"packed") });
        packed.seal();
        assert_eq!(packed.root, root);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let check = |change: fn(&mut Certificate), expected: &str| {
            let mut certificate = sealed();
            change(&mut certificate);
            certificate.seal();
            let error = Certificate::read(&bytes(&certificate)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(|c| c.entries[4].path = "runs/bbbbbbbb/../x".to_owned(), "leads elsewhere");
        check(|c| c.entries[4].path = "runs/zzzzzzzz/x".to_owned(), "not in its list");
        check(|c| c.entries[4].path = "x".to_owned(), "no such place");
        check(|c| c.entries.swap(0, 1), "in order");
        check(|c| c.entries[3].path = "runs/aaaaaaaa/events.log".to_owned(), "in order");
        check(|c| c.entries[3].path = "runs/aaaaaaaa/eventS.log".to_owned(), "in order");
        check(|c| c.entries[2].path = "runs/aaaaaaaa/Spec.toml".to_owned(), "side by side");
        check(|c| c.entries[3].bytes = u64::MAX, "no size");
        check(|c| c.page.root_at = 37, "no place");
        check(|c| c.format.push('0'), "format");
    }
}
