//! What a colleague needs to repeat the comparison: files, command, data, machines and programs.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use maud::{Markup, html};
use serde_json::Value;

use crate::analysis::Comparison;
use crate::experiment::Source;
use crate::store::Store;
use crate::types::{ContentHash, Timestamp};

/// Where a comparison comes from.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The experiment file and those that it builds on; none for a query.
    pub files: Vec<Source>,
    /// What the command line put over the file.
    pub sets: Vec<String>,
    /// What was typed to draw the report.
    pub command: Vec<String>,
    /// The program that drew it.
    pub program: String,
    pub drawn_at: Option<Timestamp>,
    /// Names and values of what the runs say of themselves, with how many of them say so.
    pub origins: Vec<(&'static str, Vec<(String, usize)>)>,
    /// The folder of the runs, as seen from the page; absent where it cannot be said.
    pub runs_at: Option<String>,
}

impl Record {
    /// Adds what the runs of `comparison` say: corpus, tokenizer, machine, program, command.
    pub fn ask_runs(&mut self, comparison: &Comparison, store: &Store) {
        let mut said = BTreeMap::<usize, BTreeMap<String, usize>>::new();
        for run in &comparison.runs {
            let of_run = |id| store.run(id).ok()?.read_provenance().ok();
            let provenance = run.id.as_ref().and_then(of_run).unwrap_or(Value::Null);
            let execution = run.facts.get("execution").unwrap_or(&provenance);
            for (i, (_, read)) in ORIGINS.iter().enumerate() {
                if let Some(text) = read(&provenance, execution, &run.facts) {
                    *said.entry(i).or_default().entry(text).or_default() += 1;
                }
            }
        }
        self.origins = said.into_iter().map(|(i, texts)| (ORIGINS[i].0, texts.into_iter().collect())).collect();
    }

    /// Sets the way from the page's folder to that of the runs.
    pub fn lead_to(&mut self, runs: &Path, folder: &Path) {
        self.runs_at = way(folder, runs);
    }

    /// What tells this record from another of the same runs: files, overrides and program; not when it was drawn.
    pub fn hash_into(&self, text: &mut String) {
        self.files.iter().for_each(|file| text.push_str(&file.text));
        text.push_str(&self.sets.join("\n"));
        text.push_str(&self.program);
    }

    pub(super) fn section(&self) -> Markup {
        let command = self.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        html! {
            dl.record {
                @if let Some(drawn) = self.drawn_at { dt { "drawn" } dd { time { (drawn) } } }
                @if !self.program.is_empty() { dt { "drawn by" } dd { (self.program) } }
                @if !command.is_empty() { dt { "command" } dd { code { (command) } } }
                @for set in &self.sets { dt { "overridden" } dd { code { (set) } } }
                @for (name, values) in &self.origins {
                    dt { (name) }
                    @for (value, runs) in values {
                        dd { (value) span.open { " \u{2013} " (runs) @if *runs == 1 { " run" } @else { " runs" } } }
                    }
                }
            }
            @for file in &self.files {
                details {
                    summary { code { (file.name) } " " span.open { (ContentHash::of(file.text.as_bytes()).short()) } }
                    pre tabindex="0" aria-label=(file.name) { (file.text) }
                }
            }
        }
    }
}

type Facts = BTreeMap<String, Value>;
/// Reads something of a run from its provenance, its newest execution and its facts.
type Origin = fn(&Value, &Value, &Facts) -> Option<String>;

const ORIGINS: [(&str, Origin); 5] = [
    ("corpus", |provenance, _, _| text(provenance, "/corpus/hash")),
    ("tokenizer", |_, _, facts| facts.get("tokenizer_hash")?.as_str().map(str::to_owned)),
    ("machine", |_, execution, _| {
        let part = |name: &str| text(execution, &format!("/machine/{name}"));
        let threads = execution.pointer("/machine/threads")?.as_u64()?;
        let threads = if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        Some(format!("{}, {}, {threads}, {}, {}", part("cpu")?, part("os")?, part("device")?, part("isa")?))
    }),
    ("trained by", |_, execution, _| {
        let part = |name: &str| text(execution, &format!("/program/{name}"));
        let changes = if execution.pointer("/program/dirty")?.as_bool()? { " with changes" } else { "" };
        let commit = part("commit")?;
        let commit = commit.get(..12).unwrap_or(&commit);
        Some(format!("ablate {} ({commit}{changes}), {}", part("version")?, part("rustc")?))
    }),
    ("trained with", |provenance, _, _| {
        let words = provenance.pointer("/command")?.as_array()?;
        Some(words.iter().filter_map(Value::as_str).map(quoted).collect::<Vec<_>>().join(" "))
    }),
];

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

/// A word as a shell would read it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_=./,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The way from one folder to another, `../../..`; absent where there is none, as between drives.
fn way(from: &Path, to: &Path) -> Option<String> {
    let parts = |path: &Path| {
        let mut parts = Vec::new();
        for part in std::path::absolute(path).ok()?.components() {
            match part {
                Component::ParentDir => drop(parts.pop()),
                other => parts.push(PathBuf::from(other.as_os_str())),
            }
        }
        Some(parts)
    };
    let (from, to) = (parts(from)?, parts(to)?);
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - shared);
    let down = to[shared..].iter().map(|part| encoded(&part.to_string_lossy()));
    (shared > 0).then(|| up.chain(down).collect::<Vec<_>>().join("/"))
}

/// A name as part of a link.
pub fn encoded(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02X}")),
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn record() -> Record {
        Record {
            files: vec![Source { name: "a.toml".to_owned(), text: "experiment.name = \"<a>\"".to_owned() }],
            sets: vec!["train.steps=3".to_owned()],
            command: ["ablate", "compare", "a b.toml"].map(str::to_owned).to_vec(),
            program: "ablate 0.1.0".to_owned(),
            drawn_at: None,
            origins: vec![("corpus", vec![("0123abc".to_owned(), 24)])],
            runs_at: Some("../../..".to_owned()),
        }
    }

    #[test]
    fn the_record_has_the_file_and_the_command() {
        let html = record().section().into_string();
        for part in ["&lt;a&gt;", "ablate compare 'a b.toml'", "train.steps=3", "0123abc", "24 runs"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn the_way_to_the_runs_is_relative() {
        let check =
            |from: &str, to: &str, expected: &str| assert_eq!(way(Path::new(from), Path::new(to)).unwrap(), expected);
        check("/s/runs/reports/a/2026-01-01-ab", "/s/runs", "../../..");
        check("/s/here", "/s/my runs", "../my%20runs");
        check("/s/x/../here", "/s/here/runs", "runs");
        check("runs/reports", "runs", "..");
    }
}
