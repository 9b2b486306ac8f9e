//! The files of a run: its artifacts, folder by folder and each with a look at what is in it, and its checkpoints.
//!
//! A look is safe whatever a client put there: text is shown as text, a picture in an `img` element, which runs nothing, and its
//! own answer is sandboxed like every file's. What a file is follows from its first bytes; only of SVG, which is text, from its name.

use std::fs::File;
use std::io::{self, Read};

use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::super::{View, encoded, typed};
use crate::report::format;
use crate::server::App;
use crate::server::artifacts::{self, ArtifactPath, Entry};
use crate::server::fault::Fault;
use crate::server::http::{Reply, Request};
use crate::store::StoredRun;
use crate::types::RunId;

/// Bytes of a text that are shown, and of a picture.
const LOOK_BYTES: u64 = 64 << 10;
const PICTURE_BYTES: u64 = 16 << 20;

/// Entries of a folder that are shown.
const MOST: usize = 1_000;

/// The artifacts and checkpoints, on the page of their run.
pub fn files(app: &App, run: &StoredRun) -> Markup {
    let top = ArtifactPath::parse("").and_then(|path| artifacts::list(run.dir.path(), &path)).unwrap_or_default();
    html! {
        @if !top.is_empty() {
            section { h2 { "Artifacts" } (entries(app, &run.id, "", &top)) }
        }
        (checkpoints(run))
    }
}

/// A folder of artifacts, or a look at one.
pub fn page(app: &App, request: Request) -> Result<Reply, Fault> {
    let (id, path) = asked(app, &request)?;
    let run = app.store().run(&id)?;
    let text = path.text();
    let found = match artifacts::list(run.path(), &path)? {
        folder if !folder.is_empty() || text.is_empty() => entries(app, &id, &format!("{text}/"), &folder),
        _ => look(app, &id, &path, artifacts::open(run.path(), &path)?)?,
    };
    let above: Vec<(&str, &str)> =
        text.match_indices('/').map(|(at, _)| &text[..at]).map(|it| (it, last(it))).collect();
    let body = html! {
        p.kind {
            "Run " a.id href={ (app.root_path) "/runs/" (id) } { (id) }
            " / " a href=(address(app, &id, "artifacts", "")) { "artifacts" }
            @for (path, name) in above { " / " a href=(address(app, &id, "artifacts", path)) { (typed(name)) } }
        }
        h1 { (typed(path.name().unwrap_or("Artifacts"))) }
        (found)
    };
    Ok(View { title: path.name().unwrap_or("Artifacts"), place: "Runs", body }.reply(app))
}

/// A picture among the artifacts, to be shown in an `img` element.
pub fn picture(app: &App, request: Request) -> Result<Reply, Fault> {
    let (id, path) = asked(app, &request)?;
    let (file, bytes) = artifacts::open(app.store().run(&id)?.path(), &path)?;
    let content = start(file, PICTURE_BYTES)?;
    match kind(path.name().unwrap_or_default(), &content) {
        Kind::Picture(content_type) if bytes <= PICTURE_BYTES => Ok(Reply::new(StatusCode::OK, content_type, content)),
        _ => Err(Fault::invalid("this artifact is no picture that can be shown")),
    }
}

fn asked(app: &App, request: &Request) -> Result<(RunId, ArtifactPath), Fault> {
    let path = request.names[1].trim_end_matches('/');
    Ok((app.run_id(&request.names[0])?, ArtifactPath::parse(path)?))
}

/// The address of a path below a run, part by part.
fn address(app: &App, run: &RunId, what: &str, path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(encoded).collect();
    format!("{}/runs/{run}/{what}/{}", app.root_path, parts.join("/"))
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Files and folders, with links to both.
fn entries(app: &App, run: &RunId, folder: &str, all: &[Entry]) -> Markup {
    let folder = folder.trim_start_matches('/');
    html! {
        @if all.is_empty() { p.empty { "No artifacts." } }
        ul.files {
            @for entry in all.iter().take(MOST) {
                li {
                    a href=(address(app, run, "artifacts", &format!("{folder}{}", entry.name))) {
                        (typed(&entry.name)) @if entry.bytes.is_none() { "/" }
                    }
                    @if let Some(bytes) = entry.bytes { " " span.quiet { (size(bytes)) } }
                }
            }
        }
        @if all.len() > MOST { p.quiet { (format::thousands((all.len() - MOST) as u64)) " more are not shown." } }
    }
}

fn size(bytes: u64) -> String {
    format!("{}B", format::si(bytes as f64))
}

/// What is in a file, and the file to keep.
fn look(app: &App, run: &RunId, path: &ArtifactPath, (file, bytes): (File, u64)) -> Result<Markup, Fault> {
    let text = path.text();
    let keep = format!("{}/get-artifact?run_id={run}&path={}", app.root_path, encoded(&text));
    let content = start(file, LOOK_BYTES)?;
    Ok(html! {
        p { a href=(keep) download { "Download" } " " span.quiet { (size(bytes)) } }
        @match kind(path.name().unwrap_or_default(), &content) {
            Kind::Picture(_) if bytes <= PICTURE_BYTES => {
                img.look src=(address(app, run, "picture", &text)) alt={ "The picture " (path.name().unwrap_or_default()) };
            },
            Kind::Picture(_) => p.quiet { "This picture is too large to be shown here." },
            Kind::Text(text) => {
                @if bytes > LOOK_BYTES { p.quiet { "The first 64 KiB:" } }
                pre tabindex="0" dir="auto" { (text) }
            },
            Kind::Other => p.quiet { "Nothing to be shown of this kind of file." },
        }
    })
}

/// The first bytes of a file.
fn start(file: File, most: u64) -> Result<Vec<u8>, Fault> {
    let mut content = Vec::new();
    let read: io::Result<usize> = file.take(most).read_to_end(&mut content);
    read.map_err(|error| Fault::missing(format!("the artifact cannot be read: {error}")))?;
    Ok(content)
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Picture(&'static str),
    Text(String),
    Other,
}

/// What a file is, by how it begins.
fn kind(name: &str, content: &[u8]) -> Kind {
    match content {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => return Kind::Picture("image/png"),
        [0xff, 0xd8, 0xff, ..] => return Kind::Picture("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => return Kind::Picture("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return Kind::Picture("image/webp"),
        _ => {}
    }
    // The end of what was read may be in the middle of a letter.
    let text = match std::str::from_utf8(content) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&content[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Kind::Other,
    };
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}' | '\u{1b}');
    match text {
        _ if !text.chars().all(is_plain) => Kind::Other,
        _ if name.to_ascii_lowercase().ends_with(".svg") && text.contains("<svg") => Kind::Picture("image/svg+xml"),
        _ => Kind::Text(text.to_owned()),
    }
}

/// The checkpoints that are there, and the weights that the run ended with.
fn checkpoints(run: &StoredRun) -> Markup {
    let folder = std::fs::read_dir(run.dir.checkpoints_path()).into_iter().flatten().filter_map(Result::ok);
    let mut all: Vec<(String, u64)> = folder
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.metadata().ok()?)))
        .filter(|(name, metadata)| metadata.is_file() && !name.starts_with('.'))
        .map(|(name, metadata)| (name, metadata.len()))
        .collect();
    all.sort();
    let weights = run.history.facts.get("final_weights").and_then(Value::as_str);
    let records = &run.history.checkpoints;
    html! {
        @if !all.is_empty() || weights.is_some() {
            section {
                h2 { "Checkpoints" }
                @if let Some(weights) = weights { p.quiet { "final weights " code { (weights) } } }
                @if all.is_empty() { p.empty { "None is kept." } } @else {
                    div.scroll tabindex="0" role="region" aria-label="Checkpoints" {
                        table {
                            thead { tr { th scope="col" { "file" } th.number scope="col" { "bytes" } th.number scope="col" { "step" } th scope="col" { "weights" } } }
                            tbody {
                                @for (name, bytes) in &all {
                                    @let record = records.iter().rev().find(|record| record.file == *name);
                                    tr {
                                        th scope="row" { (typed(name)) }
                                        td.number { (size(*bytes)) }
                                        td.number { @match record { Some(record) => { (record.step) }, None => "\u{2013}" } }
                                        td { @match record { Some(record) => { code { (record.weights.short()) } }, None => "\u{2013}" } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_it_begins_with() {
        let text = |text: &str| Kind::Text(text.to_owned());
        for (name, content, expected) in [
            ("a.html", &b"\x89PNG\r\n\x1a\nrest"[..], Kind::Picture("image/png")),
            ("a.txt", &b"\xff\xd8\xff\xe0"[..], Kind::Picture("image/jpeg")),
            ("a", &b"GIF89a"[..], Kind::Picture("image/gif")),
            ("a", &b"RIFF\x00\x00\x00\x00WEBPVP8 "[..], Kind::Picture("image/webp")),
            ("a.SVG", &b"<?xml?><svg onload='x'/>"[..], Kind::Picture("image/svg+xml")),
            ("a.png", &b"<html><svg>"[..], text("<html><svg>")),
            ("a.json", "{\"한\": 1}\n".as_bytes(), text("{\"한\": 1}\n")),
            ("cut", &"한국".as_bytes()[..5], text("한")),
            ("a.bin", &b"\x00\x01"[..], Kind::Other),
            ("latin", &b"caf\xe9 au lait"[..], Kind::Other),
            ("a.svg", &b"\x00<svg"[..], Kind::Other),
        ] {
            assert_eq!(kind(name, content), expected, "{name}");
        }
    }
}
