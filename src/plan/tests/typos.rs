//! Every single-character typo of every key in the shipped experiments is refused, and the right key suggested.

use std::collections::BTreeSet;

use super::{PETITIONS, QUICKSTART, alone};
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

/// A line of a shipped file that gives a key, the key's text in it, and its whole name.
struct KeyLine<'t> {
    number: usize,
    text: &'t str,
    written: &'t str,
    name: String,
}

fn key_lines(text: &str) -> Vec<KeyLine<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.split(']').next().unwrap_or(header);
        } else if let Some((written, _)) = line.split_once(" = ")
            && !line.starts_with('#')
        {
            let written = written.trim_matches('"');
            let name = if written.contains('.') { written.to_owned() } else { format!("{section}.{written}") };
            found.push(KeyLine { number: i + 1, text: line, written, name });
        }
    }
    found
}

#[test]
fn the_right_key_is_suggested_for_every_typo() {
    let mut done = BTreeSet::new();
    let mut tried = 0;
    for file in [QUICKSTART, PETITIONS] {
        for line in key_lines(file) {
            assert!(keys::find(&line.name).is_some(), "{} is no key", line.name);
            if !done.insert((line.name.clone(), line.written.contains('.'))) {
                continue;
            }
            for typo in typos(line.written) {
                // The header that the line stands under is enough of the file: the walk is by key.
                let header = file.lines().take(line.number - 1).filter(|line| line.starts_with('[')).last();
                let mistaken = line.text.replacen(line.written, &typo, 1);
                let draft = experiment::read(&format!("{}\n{mistaken}", header.unwrap_or("")), "x", &[], &mut alone)
                    .expect("TOML");
                let lines: Vec<String> =
                    draft.diagnostics.iter().map(|problem| problem.line(&draft.experiment.source)).collect();
                let expected = format!("(did you mean `{}`?)", line.name);
                assert!(
                    lines.iter().any(|line| line.starts_with("x:2:1:") && line.ends_with(&expected)),
                    "{typo}: {lines:?}"
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 10_000, "only {tried} typos were tried");
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
