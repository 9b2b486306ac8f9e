//! Artifacts, as clients address them: `EXPERIMENT/RUN/artifacts/PATH` of the server that they log to.

use std::io::Read;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use serde_json::{Value, json};

use super::App;
use super::run_json::artifact_uri;
use super::runs::{active, asked_run};
use crate::server::artifacts::{self, ArtifactPath, Entry};
use crate::server::fault::Fault;
use crate::server::http::{Reply, ReplyBody, Request, RequestBody};
use crate::server::pieces::pieces;
use crate::server::wire::{required, shown};
use crate::store::{ExperimentEntry, StoreError, Subject};
use crate::types::RunId;

/// Bytes of a file that are read at once.
const CHUNK: usize = 256 << 10;

/// The artifacts of a run, by paths below its folder.
pub fn list_of_run(app: &App, request: Request) -> Result<Reply, Fault> {
    let run = asked_run(app, &request)?;
    let path = ArtifactPath::parse(request.asked("path").unwrap_or_default())?;
    let entries = artifacts::list(app.store().run(&run)?.path(), &path)?;
    let below = |name: &str| if path.text().is_empty() { name.to_owned() } else { format!("{}/{name}", path.text()) };
    let files: Vec<Value> = entries.iter().map(|entry| spelled(entry, &below(&entry.name))).collect();
    let root_uri = artifact_uri(&experiment_of(app, &run)?, &run);
    Ok(Reply::json(&json!({ "root_uri": root_uri, "files": files })))
}

/// A folder of artifacts, by names.
pub fn list(app: &App, request: Request) -> Result<Reply, Fault> {
    let (run, path) = place(app, required("path", request.asked("path"))?)?;
    let entries = artifacts::list(app.store().run(&run)?.path(), &path)?;
    let files: Vec<Value> = entries.iter().map(|entry| spelled(entry, &entry.name)).collect();
    Ok(if files.is_empty() { Reply::empty() } else { Reply::json(&json!({ "files": files })) })
}

/// An artifact, as a file to keep: whatever a browser makes of it is not run.
pub fn download(app: &App, request: Request) -> Result<Reply, Fault> {
    let (run, path) = place(app, &request.names[0])?;
    file(app, &run, &path)
}

/// The same by the run's id.
pub fn get_artifact(app: &App, request: Request) -> Result<Reply, Fault> {
    let run = asked_run(app, &request)?;
    let path = ArtifactPath::parse(required("path", request.asked("path"))?)?;
    file(app, &run, &path)
}

/// Puts an artifact in its place.
pub fn upload(app: &App, request: Request) -> Result<Reply, Fault> {
    let (run, path) = place(app, &request.names[0])?;
    writable(app, &run)?;
    let RequestBody::Pieces(mut pieces) = request.body else {
        return Err(Fault::invalid("an artifact is the body of the request"));
    };
    artifacts::put(app.store().run(&run)?.path(), &path, &mut pieces)?;
    app.changed(&run);
    Ok(Reply::empty())
}

/// Removes an artifact.
pub fn delete(app: &App, request: Request) -> Result<Reply, Fault> {
    let (run, path) = place(app, &request.names[0])?;
    writable(app, &run)?;
    artifacts::remove(app.store().run(&run)?.path(), &path)?;
    app.changed(&run);
    Ok(Reply::empty())
}

/// Where an address leads: it must name the run's own experiment.
fn place(app: &App, address: &str) -> Result<(RunId, ArtifactPath), Fault> {
    let missing = || Fault::missing(format!("'{}' is no run's artifact", shown(address)));
    let mut parts = address.splitn(4, '/');
    let (Some(experiment), Some(run), Some("artifacts")) = (parts.next(), parts.next(), parts.next()) else {
        ArtifactPath::parse(address)?;
        return Err(missing());
    };
    let path = ArtifactPath::parse(parts.next().unwrap_or_default())?;
    let run = app.run_id(run)?;
    if experiment_of(app, &run)? == experiment { Ok((run, path)) } else { Err(missing()) }
}

/// The id of a run's experiment.
fn experiment_of(app: &App, run: &RunId) -> Result<String, Fault> {
    let facts = app.reader.ask(|index| match index.version(run)? {
        Some(version) => index.facts_of(run, &version),
        None => Err(StoreError::UnknownRun { asked: run.to_string(), nearest: Vec::new() }),
    })?;
    let name = facts.as_ref().and_then(|facts| facts.row.experiment()).unwrap_or(ExperimentEntry::DEFAULT_NAME);
    Ok(app.store().experiment_book()?.of_name(name).id)
}

/// Whether clients may change the files of a run: those of runs that ablate trained are what their record says.
fn writable(app: &App, run: &RunId) -> Result<(), Fault> {
    active(app, run)?;
    match app.store().run(run)?.read_subject()? {
        Subject::Logged(_) => Ok(()),
        Subject::Planned(_) => Err(StoreError::NotLogged { run: run.clone() }.into()),
    }
}

fn spelled(entry: &Entry, path: &str) -> Value {
    match entry.bytes {
        Some(bytes) => json!({ "path": path, "is_dir": false, "file_size": bytes }),
        None => json!({ "path": path, "is_dir": true }),
    }
}

fn file(app: &App, run: &RunId, path: &ArtifactPath) -> Result<Reply, Fault> {
    let (file, bytes) = artifacts::open(app.store().run(run)?.path(), path)?;
    let reply = Reply::new(StatusCode::OK, "application/octet-stream", Bytes::new());
    let reply = reply.with(CONTENT_DISPOSITION, attachment(path.name().unwrap_or("artifact")));
    let receiver = pieces((file, bytes), |(mut file, rest)| {
        let mut chunk = vec![0; usize::try_from(rest).unwrap_or(CHUNK).min(CHUNK)];
        file.read_exact(&mut chunk)?;
        let left = rest - chunk.len() as u64;
        Ok((rest > 0).then(|| ((file, left), Bytes::from(chunk))))
    });
    Ok(Reply { body: ReplyBody::Pieces { receiver, length: Some(bytes) }, ..reply })
}

/// The header that makes a browser keep a file: letters that it cannot hold are percent-encoded.
fn attachment(name: &str) -> HeaderValue {
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let text = format!("attachment; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}
