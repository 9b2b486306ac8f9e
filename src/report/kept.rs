//! Reports are kept: each in a folder of its own below the name of its experiment, the newest as `latest`, all in a list; and
//! a list of all experiments stands above them.
//!
//! The folder is named by the day and by a hash of what the report says, so that the same runs compared again are the same
//! report. Nothing here deletes or overwrites what is not the program's own.

use std::fs;
use std::path::{Path, PathBuf};

use maud::{DOCTYPE, Markup, html};
use serde::{Deserialize, Serialize};

use super::ReportError;
use super::page::encoded;
use super::spelling::minute;
use crate::store::write_atomic;
use crate::types::{ContentHash, Timestamp};

/// The version of [`Entry`] as a file.
const FORMAT: &str = "ablate-report-1";
const ENTRY: &str = "report.json";
const PAGE: &str = "report.html";
const LATEST: &str = "latest";
/// Digits of the hash in the name of a folder.
const DIGITS: usize = 8;

/// What the list says of a report; it lies beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub format: String,
    pub experiment: String,
    pub drawn_at: Timestamp,
    /// The answer in a sentence.
    pub answer: String,
    pub finished: usize,
    pub runs: usize,
}

impl Entry {
    /// An entry of the newest format.
    pub fn new(experiment: &str, drawn_at: Timestamp, answer: &str, [finished, runs]: [usize; 2]) -> Self {
        let (experiment, answer) = (experiment.to_owned(), answer.to_owned());
        Self { format: FORMAT.to_owned(), experiment, drawn_at, answer, finished, runs }
    }
}

/// The folder for a report that says what `content` hashes to: one that is there already, or one of this day.
pub fn folder_of(shelf: &Path, content: ContentHash, now: Timestamp) -> PathBuf {
    let hash = content.to_string()[..DIGITS].to_owned();
    let same = folders(shelf).into_iter().find(|folder| hash_of(folder) == Some(&hash));
    let name = same.unwrap_or_else(|| format!("{}-{hash}", &now.to_string()[..10]));
    shelf.join(name)
}

/// Puts a report that was drawn into `folder` on the shelf: its entry, `latest`, and the list of all of them.
///
/// # Errors
/// When a file cannot be written.
pub fn keep(shelf: &Path, folder: &Path, entry: &Entry) -> Result<(), ReportError> {
    let text = serde_json::to_string_pretty(entry).expect("invariant: an entry is plain data");
    write(&folder.join(ENTRY), &text)?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    point_to(shelf, &name)?;
    write(&shelf.join("index.html"), &list(shelf, &entry.experiment))?;
    // Where the only report of a name was before reports were kept.
    write(&shelf.join(PAGE), &leading_to(&format!("{LATEST}/{PAGE}")))
}

/// Makes the newest report on the shelf `name` below `root` the one that is found first, after some came from elsewhere.
///
/// # Errors
/// When a file cannot be written.
pub fn list_newest(root: &Path, name: &str) -> Result<(), ReportError> {
    let shelf = root.join(name);
    if let Some((folder, entry)) = entries(&shelf).into_iter().next() {
        keep(&shelf, &shelf.join(folder), &entry)?;
    }
    list_experiments(root)
}

/// Writes the list of all experiments with reports below `root`, each with its newest.
///
/// # Errors
/// When the file cannot be written.
pub fn list_experiments(root: &Path) -> Result<(), ReportError> {
    write(&root.join("index.html"), &all(root))
}

fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    Ok(write_atomic(path, |file| file.write_all(text.as_bytes()))?)
}

/// Makes `latest` lead to the folder `name`: as a link, or where there are none as a folder with a page that leads on.
fn point_to(shelf: &Path, name: &str) -> Result<(), ReportError> {
    let latest = shelf.join(LATEST);
    let is_folder = fs::symlink_metadata(&latest).is_ok_and(|there| there.is_dir());
    if !is_folder && link(&latest, name).is_ok() {
        return Ok(());
    }
    fs::create_dir_all(&latest).map_err(|source| ReportError::Folder { folder: latest.clone(), source })?;
    write(&latest.join(PAGE), &leading_to(&format!("../{}/{PAGE}", encoded(name))))
}

/// Replaces `latest` in one step, so that nobody finds it missing.
#[cfg(unix)]
fn link(latest: &Path, name: &str) -> std::io::Result<()> {
    let new = latest.with_file_name(format!(".{LATEST}-{}", std::process::id()));
    let _ = fs::remove_file(&new);
    std::os::unix::fs::symlink(name, &new)?;
    fs::rename(&new, latest).inspect_err(|_| drop(fs::remove_file(&new)))
}

#[cfg(not(unix))]
fn link(_: &Path, _: &str) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// A page that leads to another one.
fn leading_to(target: &str) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "ablate report" }
                meta http-equiv="refresh" content={ "0; url=" (target) };
            }
            body { p { a href=(target) { "The newest report" } } }
        }
    };
    page.into_string()
}

/// The names of the folders on a shelf that a report may be in.
fn folders(shelf: &Path) -> Vec<String> {
    let entries = fs::read_dir(shelf).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| hash_of(name).is_some()).collect()
}

/// The hash in the name of a report's folder, `2026-01-31-0123abcd`.
fn hash_of(folder: &str) -> Option<&str> {
    let (day, hash) = folder.rsplit_once('-')?;
    let is_day = day.len() == 10 && day.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let is_hash = hash.len() == DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit());
    (is_day && is_hash).then_some(hash)
}

/// The reports on a shelf with their folders, the newest first.
fn entries(shelf: &Path) -> Vec<(String, Entry)> {
    let read = |name: String| {
        let text = fs::read_to_string(shelf.join(&name).join(ENTRY)).ok()?;
        Some((name, serde_json::from_str::<Entry>(&text).ok()?))
    };
    let mut entries = folders(shelf).into_iter().filter_map(read).collect::<Vec<_>>();
    entries.sort_by(|a, b| (b.1.drawn_at, &b.0).cmp(&(a.1.drawn_at, &a.0)));
    entries
}

/// The page that lists all reports on a shelf, the newest first.
fn list(shelf: &Path, experiment: &str) -> String {
    let body = html! {
        h1 { "Reports of " (experiment) }
        p { a href={ (LATEST) "/" (PAGE) } { "The newest" } }
        @for (name, entry) in entries(shelf) {
            article {
                h2 { a href={ (encoded(&name)) "/" (PAGE) } { (name) } }
                (told(&entry))
            }
        }
    };
    page_of(&format!("Reports of {experiment}"), &body)
}

/// The page that lists all experiments, the one with the newest report first.
fn all(root: &Path) -> String {
    let found = shelves(root).into_iter().filter_map(|(path, folder)| {
        let entries = entries(&folder);
        let newest = entries.first()?.1.clone();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // A query and a part of an experiment have folders of their own.
        let title = if name == newest.experiment { name } else { format!("{}: {name}", newest.experiment) };
        Some((path, title, newest, entries.len()))
    });
    let mut found = found.collect::<Vec<_>>();
    found.sort_by(|a, b| (b.2.drawn_at, &a.0).cmp(&(a.2.drawn_at, &b.0)));
    let body = html! {
        h1 { "Reports" }
        @for (path, title, newest, count) in found {
            article {
                h2 { a href={ (path) "/" (LATEST) "/" (PAGE) } { (title) } }
                (told(&newest))
                @if count > 1 { p { a href={ (path) "/index.html" } { "All " (count) " reports" } } }
            }
        }
    };
    page_of("Reports", &body)
}

/// The folders in which reports are kept, with their paths below `root`: one for each name, and below it one for each part of
/// an experiment that is shown in parts.
fn shelves(root: &Path) -> Vec<(String, PathBuf)> {
    let below = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| hash_of(name).is_none() && name != LATEST).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for name in below(root) {
        let (path, folder) = (encoded(&name), root.join(&name));
        let parts = below(&folder).into_iter().map(|part| (format!("{path}/{}", encoded(&part)), folder.join(part)));
        found.extend(parts);
        found.push((path, folder));
    }
    found
}

/// What an entry says.
fn told(entry: &Entry) -> Markup {
    html! {
        p { (entry.answer) }
        p.when { "drawn " (minute(entry.drawn_at)) ", " (entry.finished) " of " (entry.runs) " runs finished" }
    }
}

fn page_of(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (maud::PreEscaped(LIST_STYLE)) }
            }
            body { main { (body) } }
        }
    };
    page.into_string()
}

const LIST_STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:15px/1.55 'DejaVu Sans','Noto Sans KR',Helvetica,Arial,sans-serif;max-width:50rem;margin:2.5rem auto;padding:0 1rem;\
background:light-dark(#fff,#16181c);color:light-dark(#1a1a1a,#e8e9eb);overflow-wrap:anywhere}\
h1{font-size:1.6rem}h2{font-size:1rem;margin:1.6rem 0 .2rem}p{margin:.2rem 0}\
a{color:light-dark(#00619a,#4aa8e0)}.when{color:light-dark(#565960,#a6abb4);font-size:.85rem}";

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn draw(shelf: &Path, content: &str, now: &str) -> String {
        let now = at(now);
        let folder = folder_of(shelf, ContentHash::of(content.as_bytes()), now);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(PAGE), content).unwrap();
        keep(shelf, &folder, &Entry::new("한 <b>", now, content, [1, 2])).unwrap();
        folder.file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn reports_are_kept_and_the_newest_is_latest() {
        let shelf = tempfile::tempdir().unwrap();
        let shelf = shelf.path();
        let foreign = shelf.join("logo.svg");
        fs::write(&foreign, "mine").unwrap();
        let first = draw(shelf, "first", "2026-01-31T09:00:00Z");
        let second = draw(shelf, "second", "2026-02-01T09:00:00Z");
        let latest = || fs::read_to_string(shelf.join("latest/report.html")).unwrap();
        assert_eq!(latest(), "second");
        assert!(first.starts_with("2026-01-31-") && shelf.join(&first).join(PAGE).exists());
        let index = || fs::read_to_string(shelf.join("index.html")).unwrap();
        let place = |name: &str| index().find(&format!("href=\"{name}/")).unwrap();
        assert!(place(&second) < place(&first) && index().contains("&lt;b&gt;"));

        // The same again is the same report, and the newest.
        assert_eq!(draw(shelf, "first", "2026-02-02T09:00:00Z"), first);
        assert_eq!((latest().as_str(), place(&first) < place(&second)), ("first", true));
        assert_eq!(fs::read_to_string(&foreign).unwrap(), "mine");
        assert!(fs::read_to_string(shelf.join(PAGE)).unwrap().contains("url=latest/report.html"));
    }

    #[test]
    fn every_experiment_is_listed_with_its_newest_report() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        draw(&root.join("한글 name"), "old", "2026-01-31T09:00:00Z");
        draw(&root.join("한글 name"), "new <answer>", "2026-02-02T09:00:00Z");
        draw(&root.join("parts/vocab_size=4000"), "a part", "2026-02-01T09:00:00Z");
        fs::create_dir(root.join("empty")).unwrap();
        list_experiments(root).unwrap();
        let page = fs::read_to_string(root.join("index.html")).unwrap();
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
        assert!(place("new &lt;answer&gt;") < place("a part") && page.matches("<article>").count() == 2);
        place(&format!("href=\"{}/latest/report.html\"", encoded("한글 name")));
        place(&format!("href=\"parts/{}/latest/report.html\"", encoded("vocab_size=4000")));
        place("All 2 reports");
    }

    /// A folder that somebody called `latest` is not replaced, and leads on.
    #[test]
    fn where_no_link_can_be_a_page_leads_on() {
        let shelf = tempfile::tempdir().unwrap();
        fs::create_dir(shelf.path().join(LATEST)).unwrap();
        fs::write(shelf.path().join("latest/notes.txt"), "mine").unwrap();
        let name = draw(shelf.path(), "x", "2026-01-31T09:00:00Z");
        let page = fs::read_to_string(shelf.path().join("latest/report.html")).unwrap();
        assert!(page.contains(&format!("url=../{name}/report.html")), "{page}");
        assert!(shelf.path().join("latest/notes.txt").exists());
    }

    #[test]
    fn only_folders_of_reports_are_taken_for_reports() {
        assert_eq!(hash_of("2026-01-31-0123abcd"), Some("0123abcd"));
        for other in ["latest", "2026-01-31", "notes-0123abcd", "2026-01-31-0123abcx"] {
            assert_eq!(hash_of(other), None, "{other}");
        }
    }
}
