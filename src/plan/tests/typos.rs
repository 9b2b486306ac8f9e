//! Every single-character typo of every key in the shipped experiments is refused, and the right key suggested.

use std::collections::BTreeSet;
use std::path::Path;

use super::alone;
use crate::experiment::{self, keys};

/// Every text that is one deletion, insertion, replacement or exchange of neighbours away from `word`.
fn typos(word: &str) -> BTreeSet<String> {
    let letters = || ('a'..='z').chain(['_', '0']);
    let mut all = BTreeSet::new();
    for i in 0..=word.len() {
        let (head, tail) = word.split_at(i);
        all.extend(letters().map(|letter| format!("{head}{letter}{tail}")));
        let Some(first) = tail.chars().next() else { continue };
        let rest = &tail[1..];
        all.insert(format!("{head}{rest}"));
        all.extend(letters().map(|letter| format!("{head}{letter}{rest}")));
        if let Some(second) = rest.chars().next() {
            all.insert(format!("{head}{second}{first}{}", &rest[1..]));
        }
    }
    all.remove(word);
    all.remove("");
    all
}

/// The texts of all experiments that are shipped.
fn shipped() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.expect("a folder"));
    let is_experiment = |path: &Path| path.extension().is_some_and(|extension| extension == "toml");
    let files = files.map(walkdir::DirEntry::into_path).filter(|path| is_experiment(path));
    files.map(|path| std::fs::read_to_string(path).expect("text")).collect()
}

/// A table of a file: its header, if any, and the lines below.
struct Table<'t> {
    header: &'t str,
    lines: Vec<&'t str>,
}

fn tables(text: &str) -> Vec<Table<'_>> {
    let mut tables = vec![Table { header: "", lines: Vec::new() }];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('[') {
            Some(rest) => tables.push(Table {
                header: rest.trim_start_matches('[').split(']').next().unwrap_or(rest),
                lines: vec![line],
            }),
            None => tables.last_mut().expect("one at least").lines.push(line),
        }
    }
    tables
}

/// The keys that a line gives, as written, with where they begin: the first word, and what stands in quotes before `=`.
fn keys_of(line: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    if let Some((first, _)) = line.split_once(" = ").filter(|(first, _)| !first.contains([' ', '"'])) {
        found.push((0, first));
    }
    for (start, _) in line.match_indices('"') {
        let rest = &line[start + 1..];
        if let Some((word, after)) = rest.split_once('"')
            && after.starts_with(" = ")
        {
            found.push((start + 1, word));
        }
    }
    found
}

/// What is suggested for a mistake in a key: its whole name, or the word itself where it is no key.
fn whole_name(header: &str, written: &str) -> String {
    let within = format!("{header}.{written}");
    if !written.contains('.') && keys::find(&within).is_some() { within } else { written.to_owned() }
}

#[test]
fn the_right_key_is_suggested_for_every_typo() {
    let mut done = BTreeSet::new();
    let mut tried = 0;
    for file in shipped() {
        for table in tables(&file) {
            for (i, line) in table.lines.iter().enumerate() {
                for (start, written) in keys_of(line) {
                    let name = whole_name(table.header, written);
                    let is_word = ["base", "if", "grid", "match", "because"].contains(&written);
                    assert!(is_word || keys::find(&name).is_some(), "{name} is no key");
                    if !done.insert((table.header.to_owned(), name.clone())) {
                        continue;
                    }
                    for typo in typos(written) {
                        let mistaken = format!("{}{typo}{}", &line[..start], &line[start + written.len()..]);
                        let mut lines = table.lines.clone();
                        lines[i] = &mistaken;
                        check(&lines.join("\n"), i + 1, &name);
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 20_000, "only {tried} typos were tried");
}

/// A file that is mistaken in this line is refused there, with this suggestion.
fn check(text: &str, line: usize, expected: &str) {
    let draft = experiment::read(text, "x", &[], &mut alone).expect("TOML");
    let shown: Vec<String> = draft.diagnostics.iter().map(|problem| problem.line(&draft.experiment.source)).collect();
    let (start, end) = (format!("x:{line}:"), format!("(did you mean `{expected}`?)"));
    assert!(
        shown.iter().any(|shown| shown.starts_with(&start) && shown.ends_with(&end)),
        "{expected}\n{text}\n{shown:#?}"
    );
}

#[test]
fn the_right_table_is_suggested_for_every_typo() {
    for section in ["experiment", "data", "tokenizer", "objective", "optimizer", "schedule", "train", "sweep", "report"]
    {
        for typo in typos(section) {
            let draft = experiment::read(&format!("[{typo}]\nx = 1\n"), "x", &[], &mut alone).expect("TOML");
            let lines: Vec<String> =
                draft.diagnostics.iter().map(|problem| problem.line(&draft.experiment.source)).collect();
            let expected = format!("x:1:2: error: unknown table `[{typo}]` (did you mean `[{section}]`?)");
            assert!(lines.contains(&expected), "{typo}: {lines:?}");
        }
    }
}
