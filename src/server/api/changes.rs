//! Which runs changed, in order, for who listens: each run once, at its last change, so that whoever was away catches up
//! with what is different now and not with everything that happened.
//!
//! The stream is one of server-sent events. `run` is a run as the list has it, `gone` the id of one that is not there any
//! more; `behind` says that more happened than is remembered, or that the server was started again: what the client has is
//! to be asked for anew. Every event's id is where to go on after it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::{Notify, mpsc};

use super::super::App;
use super::super::fault::{Code, Fault};
use super::super::http::{Reply, ReplyBody, Request};
use super::super::reader::Reader;
use super::runs::facts_of;
use crate::clock;
use crate::report::json::value;
use crate::report::listing::Listing;
use crate::store::RunQuery;
use crate::types::RunId;

/// Changes that come close together are told together.
const GATHER: Duration = Duration::from_millis(200);

/// How often a stream says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Streams at once, at most.
const MOST_LISTENERS: usize = 1_000;

/// Runs that are told of at once.
const AT_A_TIME: usize = 256;

/// Runs that are remembered; who is further behind begins anew.
const MOST: usize = 20_000;

/// The changes since the server was started.
#[derive(Debug, Default)]
pub struct Changes {
    /// Which server it was: numbers of another one mean nothing.
    epoch: i64,
    known: Mutex<Known>,
    notify: Notify,
    listeners: AtomicUsize,
}

#[derive(Debug, Default)]
struct Known {
    next: u64,
    /// What is older than this is not remembered.
    floor: u64,
    by_number: BTreeMap<u64, RunId>,
    by_run: BTreeMap<RunId, u64>,
}

impl Changes {
    /// None yet.
    pub fn new() -> Self {
        Self { epoch: clock::now().unix_millis(), ..Self::default() }
    }

    /// Notes that a run changed, and tells who listens.
    pub fn publish(&self, run: &RunId) {
        let mut known = self.locked();
        known.next += 1;
        let number = known.next;
        if let Some(old) = known.by_run.insert(run.clone(), number) {
            known.by_number.remove(&old);
        }
        known.by_number.insert(number, run.clone());
        while known.by_number.len() > MOST {
            if let Some((number, run)) = known.by_number.pop_first() {
                known.by_run.remove(&run);
                known.floor = number;
            }
        }
        drop(known);
        self.notify.notify_waiters();
    }

    /// Whether anybody listens.
    pub fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::Relaxed) > 0
    }

    /// The number of the last change.
    pub fn last(&self) -> u64 {
        self.locked().next
    }

    /// The runs that changed after a number, and the number of the last of them; `None` when that is not remembered.
    pub fn since(&self, number: u64) -> Option<Vec<(u64, RunId)>> {
        let known = self.locked();
        let changed = known.by_number.range(number + 1..).map(|(number, run)| (*number, run.clone()));
        (number >= known.floor && number <= known.next).then(|| changed.collect())
    }

    /// The id of an event, by which a client goes on after it.
    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.epoch)
    }

    /// The number that an id stands for; `None` where it is another server's, or none.
    fn number(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        if epoch.parse() == Ok(self.epoch) { number.parse().ok() } else { None }
    }

    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who listens, until dropped.
struct Listener(Arc<Changes>);

impl Listener {
    fn new(changes: &Arc<Changes>) -> Result<Self, Fault> {
        let listener = Self(changes.clone());
        match changes.listeners.fetch_add(1, Ordering::Relaxed) {
            before if before < MOST_LISTENERS => Ok(listener),
            _ => Err(Fault::new(Code::TemporarilyUnavailable, "too many listen already")),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The stream: from now on, or after the event that the client saw last.
pub fn stream(app: &App, request: Request) -> Result<Reply, Fault> {
    let listener = Listener::new(&app.changes)?;
    let seen = request.last_event_id.as_deref().or(request.asked("since")).filter(|id| !id.is_empty());
    let start = match seen {
        None => Some(app.changes.last()),
        Some(id) => app.changes.number(id),
    };
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(tell(listener, app.reader.clone(), start, sender));
    let reply = Reply::new(hyper::StatusCode::OK, "text/event-stream", Bytes::new());
    Ok(Reply { body: ReplyBody::Pieces { receiver, length: None }, ..reply })
}

async fn tell(listener: Listener, reader: Arc<Reader>, start: Option<u64>, sender: mpsc::Sender<io::Result<Bytes>>) {
    let changes = &listener.0;
    let mut seen = start;
    // Something at once, so that the client knows that it is connected.
    let mut said = match seen {
        Some(number) => format!("retry: 2000\nid: {}\n: listening\n\n", changes.id(number)),
        None => String::new(),
    };
    loop {
        // It hears from here on, so that nothing falls between looking and waiting.
        let next = changes.notify.notified();
        let number = seen.unwrap_or_else(|| changes.last());
        let changed = seen.and_then(|number| changes.since(number));
        match changed {
            None => {
                let last = changes.last();
                said = format!("retry: 2000\nevent: behind\nid: {}\ndata: {{}}\n\n", changes.id(last));
                seen = Some(last);
            }
            Some(mut changed) if !changed.is_empty() => {
                changed.truncate(AT_A_TIME);
                let last = changed.last().map_or(number, |(number, _)| *number);
                let (reader, id) = (reader.clone(), changes.id(last));
                let told = tokio::task::spawn_blocking(move || events(&reader, &changed, &id)).await;
                // What cannot be read now changes again, or is found by who looks.
                said.push_str(&told.ok().and_then(Result::ok).unwrap_or_default());
                seen = Some(last);
            }
            Some(_) if said.is_empty() => {
                match tokio::time::timeout(HEARTBEAT, next).await {
                    Ok(()) => tokio::time::sleep(GATHER).await,
                    Err(_) => ": still here\n\n".clone_into(&mut said),
                }
                if sender.is_closed() {
                    return;
                }
            }
            Some(_) => {}
        }
        if !said.is_empty() && sender.send(Ok(std::mem::take(&mut said).into())).await.is_err() {
            return;
        }
    }
}

/// The events of some runs that changed.
fn events(reader: &Reader, changed: &[(u64, RunId)], id: &str) -> Result<String, Fault> {
    let (facts, gone) = reader.ask(|index| {
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        for (_, run) in changed {
            match index.version(run)? {
                Some(version) => found.push((run.clone(), version)),
                None => gone.push(run.clone()),
            }
        }
        Ok((facts_of(index, &found)?, gone))
    })?;
    let listing = value(&Listing::of(facts, &RunQuery::default()));
    let runs = listing["runs"].as_array().into_iter().flatten().map(|run| format!("event: run\ndata: {run}\n\n"));
    let gone = gone.iter().map(|run| format!("event: gone\ndata: {{\"id\":\"{run}\"}}\n\n"));
    let mut events: Vec<String> = runs.chain(gone).collect();
    // The id is that of the last: who loses the connection before it is told all of them again.
    if let Some(last) = events.last_mut() {
        last.insert_str(0, &format!("id: {id}\n"));
    }
    Ok(events.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: usize) -> RunId {
        format!("aaaa{:04}", number % 10_000).parse().unwrap()
    }

    #[test]
    fn each_run_is_told_once_at_its_last_change() {
        let changes = Changes::new();
        for number in [1, 2, 1, 3, 1] {
            changes.publish(&run(number));
        }
        let told = changes.since(0).unwrap();
        assert_eq!(told, [(2, run(2)), (4, run(3)), (5, run(1))]);
        assert_eq!(changes.since(4).unwrap(), [(5, run(1))]);
        assert_eq!(changes.since(5).unwrap(), []);
        assert_eq!(changes.since(6), None, "of another server");
        assert_eq!(changes.number(&changes.id(4)), Some(4));
        for other in ["", "4", "1-4", "x-y"] {
            assert_eq!(changes.number(other), None, "{other}");
        }
    }
}
