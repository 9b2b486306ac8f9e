//! Where `.wandb` files are, and which of them are of one run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufReader, Read};

use super::log::Records;
use super::record::Record;
use crate::exchange::copying::DEEPEST;
use crate::exchange::findings::Findings;
use crate::exchange::folder::{Folder, Kind, reason};
use crate::exchange::records::Next;

/// The folder of a run's files.
pub const FILES: &str = "files";

/// The folders that W&B makes beside a run's log.
const OWN: [&str; 3] = [FILES, "logs", "tmp"];

/// Entity, project and id of a run, empty where they are not said.
pub type Identity = (String, String, String);

/// Finds the runs in a folder and below it, or in one file of it.
pub fn find(root: &Folder, only: Option<OsString>) -> (BTreeMap<Identity, Vec<Piece>>, Findings) {
    let mut search = Search { root, only, runs: BTreeMap::new(), findings: Findings::default() };
    search.below(&mut Vec::new());
    // Those without a date come first, and those of one date in the order in which they were found.
    search.runs.values_mut().for_each(|pieces| pieces.sort_by_key(Piece::date));
    (search.runs, search.findings)
}

/// The search for `.wandb` files.
struct Search<'a> {
    root: &'a Folder,
    /// The one file that was asked for.
    only: Option<OsString>,
    runs: BTreeMap<Identity, Vec<Piece>>,
    findings: Findings,
}

/// A `.wandb` file and the folder that it is in.
#[derive(Clone, Debug)]
pub struct Piece {
    pub parts: Vec<String>,
    file: String,
    pub bytes: u64,
    /// Whether the run's files are beside it.
    pub has_files: bool,
}

impl Piece {
    /// What it is called where people hear of it.
    pub fn place(&self) -> String {
        self.parts.iter().chain([&self.file]).map(String::as_str).collect::<Vec<_>>().join("/")
    }

    /// When its run began, as the nearest folder says that is called `offline-run-20240101_235959-ID` or `run-20240101_235959-ID`.
    fn date(&self) -> Option<String> {
        /// `20240101_235959`.
        const LENGTH: usize = 15;

        let of = |part: &String| {
            let date = part.strip_prefix("offline-run-").or(part.strip_prefix("run-"))?.get(..LENGTH)?;
            let is_date =
                date.bytes().enumerate().all(|(at, byte)| if at == 8 { byte == b'_' } else { byte.is_ascii_digit() });
            is_date.then(|| date.to_owned())
        };
        self.parts.iter().rev().find_map(of)
    }

    /// The folder that it is in.
    pub fn folder(&self, root: &Folder) -> Result<Folder, String> {
        root.below(self.parts.iter().map(String::as_str)).ok_or_else(|| "its folder is gone".to_owned())
    }

    /// Its records, as far as it went when it was found.
    pub fn records(&self, root: &Folder) -> Result<Records<impl Read + use<>>, String> {
        let file = self.folder(root)?.file(OsStr::new(&self.file)).map_err(|error| reason(&error))?;
        // What is logged meanwhile comes in the next time, as a change.
        Ok(Records::new(BufReader::with_capacity(1 << 18, file.take(self.bytes))))
    }

    /// Entity, project and id, as the run's own record says them: it is one of the first. The id is in the file's name, too.
    fn identity(&self, root: &Folder) -> Identity {
        /// Records that may stand before that of the run.
        const BEFORE: usize = 16;

        let name = self.file.trim_end_matches(".wandb");
        let by_name = (String::new(), String::new(), name.strip_prefix("run-").unwrap_or(name).to_owned());
        let Ok(mut records) = self.records(root) else { return by_name };
        for _ in 0..BEFORE {
            match records.next() {
                Ok(Next::Record(data)) => match Record::read(data) {
                    Ok(Record::Run(run)) if !run.id.is_empty() => {
                        return (run.entity.to_owned(), run.project.to_owned(), run.id.to_owned());
                    }
                    _ => {}
                },
                _ => break,
            }
        }
        by_name
    }
}

impl Search<'_> {
    fn below(&mut self, parts: &mut Vec<String>) {
        let at = if parts.is_empty() { ".".to_owned() } else { parts.join("/") };
        let opened = self.root.below(parts.iter().map(String::as_str)).ok_or("it cannot be opened".to_owned());
        let read = opened.and_then(|folder| Ok((folder.entries().map_err(|error| reason(&error))?, folder)));
        let (entries, folder) = match read {
            Ok(read) => read,
            Err(why) => return self.findings.set_aside(at, why),
        };
        let is_log = |name: &OsStr| name.to_string_lossy().ends_with(".wandb");
        let is_run = entries.iter().any(|(name, kind)| is_log(name) && *kind == Kind::File);
        let has_files = entries.iter().any(|(name, kind)| name == FILES && *kind == Kind::Folder);
        for (name, kind) in entries {
            if self.only.as_ref().is_some_and(|only| *only != name) {
                continue;
            }
            let place = format!("{at}/{}", name.display());
            let Some(text) = name.to_str() else {
                self.findings.not_taken(place, "its name is not UTF-8");
                continue;
            };
            match kind {
                Kind::File if is_log(&name) => match folder.file(&name).and_then(|file| file.metadata()) {
                    Ok(metadata) => {
                        let bytes = metadata.len();
                        let piece = Piece { parts: parts.clone(), file: text.to_owned(), bytes, has_files };
                        self.runs.entry(piece.identity(self.root)).or_default().push(piece);
                    }
                    Err(error) => self.findings.set_aside(place, reason(&error)),
                },
                Kind::Other(what) if is_log(&name) => {
                    self.findings.not_taken(place, format!("{what}, which is not followed"));
                }
                // A run's own folders have no other run's log.
                Kind::Folder if is_run && OWN.contains(&text) => {}
                Kind::Folder if parts.len() >= DEEPEST => {
                    self.findings.not_taken(place, format!("more than {DEEPEST} folders deep"));
                }
                Kind::Folder => {
                    parts.push(text.to_owned());
                    self.below(parts);
                    parts.pop();
                }
                Kind::File | Kind::Other(_) => {}
            }
        }
    }
}
