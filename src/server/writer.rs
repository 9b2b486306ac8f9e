//! The one thread that writes the logs of guests: it gathers what has arrived, appends it, waits for the disk once for
//! each log, and only then answers.
//!
//! An answer therefore means that what was sent survives a power cut, and clients that log at the same time share the wait
//! (group commit). The thread holds the lease of every run that clients are logging to. A run that nobody says anything of
//! for a while is given back, and is lost until somebody does: the protocol has no heartbeat.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::fault::Fault;
use crate::clock;
use crate::store::{GuestRun, INPUTS_FACT, LoggedPoint, RunState, Store, StoreError, Subject};
use crate::types::{RunId, Timestamp};

/// Requests that share one wait for the disk, at most.
const AT_A_TIME: usize = 512;

/// Seconds after its last word for which a run that has ended stays open, because clients log a little more.
const AFTER_THE_END_SECS: f64 = 10.0;

/// Logs that are waited for at once.
const SYNCERS: usize = 8;

/// Runs that are open at once, at most: each takes two descriptors. The one that was silent for longest goes first.
const MOST_OPEN: usize = 2_000;

/// What a client logs to a run in one request: all of it is recorded, or none.
#[derive(Debug, Default)]
pub struct Entries {
    pub points: Vec<LoggedPoint>,
    /// Each is written once; the same value again is no change.
    pub parameters: BTreeMap<String, String>,
    /// Data sets, as the client says them.
    pub inputs: Vec<Value>,
    pub state: Option<(RunState, Timestamp)>,
}

/// The way to the thread.
#[derive(Debug)]
pub struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    /// A run that was just made.
    Adopt(Box<GuestRun>),
    Write {
        run: RunId,
        entries: Entries,
        answer: oneshot::Sender<Result<(), Fault>>,
    },
    /// To be given back, because it is in the trash.
    Close {
        run: RunId,
        answer: oneshot::Sender<Result<(), Fault>>,
    },
}

impl Writer {
    /// Starts the thread. A run without a word for `lost_after_secs` is given back; `written` hears of every run that changed,
    /// before its client does.
    pub fn start(
        store: Store,
        lost_after_secs: f64,
        written: impl Fn(&RunId) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let desk = Desk {
            store,
            lost_after_secs,
            open: BTreeMap::new(),
            uncertain: BTreeMap::new(),
            syncers: Syncers::start()?,
            written: Box::new(written),
        };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || desk.work(&inbox))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Goes on with a run that was just made.
    pub fn adopt(&self, run: GuestRun) -> Result<(), Fault> {
        self.send(Job::Adopt(Box::new(run)))
    }

    /// Records; on the disk when this returns.
    ///
    /// # Errors
    /// When the run is no guest's, is in the trash, or a parameter has another value: then nothing is recorded.
    pub fn write(&self, run: &RunId, entries: Entries) -> Result<(), Fault> {
        self.ask(|answer| Job::Write { run: run.clone(), entries, answer })
    }

    /// Records; on the disk when the answer comes.
    pub fn write_soon(&self, run: RunId, entries: Entries) -> Result<oneshot::Receiver<Result<(), Fault>>, Fault> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Write { run, entries, answer })?;
        Ok(answered)
    }

    /// Gives a run back.
    pub fn close(&self, run: &RunId) -> Result<(), Fault> {
        self.ask(|answer| Job::Close { run: run.clone(), answer })
    }

    fn ask(&self, job: impl FnOnce(oneshot::Sender<Result<(), Fault>>) -> Job) -> Result<(), Fault> {
        let (answer, answered) = oneshot::channel();
        self.send(job(answer))?;
        answered.blocking_recv().unwrap_or_else(|_| Err(stopped()))
    }

    fn send(&self, job: Job) -> Result<(), Fault> {
        self.jobs.as_ref().and_then(|jobs| jobs.send(job).ok()).ok_or_else(stopped)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It ends when nobody can send it anything more.
        }
    }
}

/// Nobody writes any more.
pub fn stopped() -> Fault {
    Fault::new(super::fault::Code::TemporarilyUnavailable, "the server is being stopped")
}

/// What the thread has before it.
struct Desk {
    store: Store,
    lost_after_secs: f64,
    open: BTreeMap<RunId, OpenRun>,
    syncers: Syncers,
    /// Runs that were given back in this round, of which it is not certain what is on the disk.
    uncertain: BTreeMap<RunId, Fault>,
    written: Box<dyn Fn(&RunId) + Send>,
}

/// Threads that wait for the disk beside one another: where it is busy, waiting for logs in turn takes as many times as long.
struct Syncers {
    jobs: Sender<(RunId, OpenRun)>,
    done: Receiver<Synced>,
}

/// A run whose log was waited for.
struct Synced {
    id: RunId,
    run: OpenRun,
    result: Result<(), StoreError>,
}

impl Syncers {
    fn start() -> std::io::Result<Self> {
        let (jobs, inbox) = mpsc::channel();
        let (outbox, done) = mpsc::channel();
        let inbox: Arc<Mutex<Receiver<(RunId, OpenRun)>>> = Arc::new(Mutex::new(inbox));
        for _ in 0..SYNCERS {
            let (inbox, outbox) = (inbox.clone(), outbox.clone());
            let work = move || loop {
                let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((id, run)) = next else { return };
                if outbox.send(Synced::new(id, run)).is_err() {
                    return;
                }
            };
            std::thread::Builder::new().name("sync".to_owned()).stack_size(256 << 10).spawn(work)?;
        }
        Ok(Self { jobs, done })
    }
}

impl Synced {
    /// Waits for a log.
    fn new(id: RunId, mut run: OpenRun) -> Self {
        let result = run.guest.sync();
        Self { id, run, result }
    }
}

/// A run whose lease is held.
struct OpenRun {
    guest: GuestRun,
    parameters: BTreeMap<String, String>,
    inputs: Vec<Value>,
    state: RunState,
    heard_at_secs: f64,
    /// Whether something waits for the disk.
    is_unsynced: bool,
}

impl Desk {
    fn work(mut self, inbox: &Receiver<Job>) {
        loop {
            let first = match inbox.recv_timeout(Duration::from_secs(1)) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let jobs: Vec<Job> = first.into_iter().chain(inbox.try_iter().take(AT_A_TIME)).collect();
            self.commit(jobs);
            self.give_back();
        }
    }

    /// Does all of these, waits for the disk, and answers.
    fn commit(&mut self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            match job {
                Job::Adopt(guest) => {
                    let id = guest.dir().id().clone();
                    self.open.insert(id, OpenRun::new(*guest));
                }
                Job::Write { run, entries, answer } => {
                    let result = self.record(&run, entries);
                    answers.push((run, answer, result));
                }
                Job::Close { run, answer } => {
                    self.leave(&run);
                    answers.push((run, answer, Ok(())));
                }
            }
        }
        let mut failed = self.sync();
        failed.append(&mut self.uncertain);
        for (run, answer, result) in answers {
            let result = match failed.get(&run) {
                Some(fault) => result.and_then(|()| Err(fault.clone())),
                None => result,
            };
            if result.is_ok() {
                (self.written)(&run);
            }
            let _ = answer.send(result); // A client that went away needs no answer.
        }
    }

    /// Waits until everything that was appended is on the disk, all logs at once; the runs of which it is not certain. What is on
    /// the disk of these is found out when they are opened again.
    fn sync(&mut self) -> BTreeMap<RunId, Fault> {
        let unsynced = self.open.iter().filter(|(_, run)| run.is_unsynced).map(|(id, _)| id.clone());
        let unsynced: Vec<RunId> = unsynced.collect();
        let mut failed = BTreeMap::new();
        let mut settle = |open: &mut BTreeMap<RunId, OpenRun>, synced: Synced| match synced.result {
            Ok(()) => drop(open.insert(synced.id, OpenRun { is_unsynced: false, ..synced.run })),
            Err(error) => drop(failed.insert(synced.id, error.into())),
        };
        let (mut sent, is_one) = (0, unsynced.len() == 1);
        for id in unsynced {
            let Some(run) = self.open.remove(&id) else { continue };
            if is_one {
                settle(&mut self.open, Synced::new(id, run));
                continue;
            }
            match self.syncers.jobs.send((id, run)) {
                Ok(()) => sent += 1,
                Err(mpsc::SendError((id, run))) => settle(&mut self.open, Synced::new(id, run)),
            }
        }
        for synced in self.syncers.done.iter().take(sent) {
            settle(&mut self.open, synced);
        }
        failed
    }

    fn record(&mut self, id: &RunId, entries: Entries) -> Result<(), Fault> {
        let run = match self.open.entry(id.clone()) {
            std::collections::btree_map::Entry::Occupied(run) => run.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => place.insert(OpenRun::again(&self.store, id)?),
        };
        run.heard_at_secs = clock::monotonic_secs();
        let parameters = run.new_parameters(entries.parameters)?;
        match run.append(entries.points, parameters, entries.inputs, entries.state) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.leave(id);
                Err(error.into())
            }
        }
    }

    /// Gives back a run in the middle of a round; what others had recorded of it in this round is waited for first.
    fn leave(&mut self, id: &RunId) {
        let Some(mut run) = self.open.remove(id).filter(|run| run.is_unsynced) else { return };
        if let Err(error) = run.guest.sync() {
            self.uncertain.insert(id.clone(), error.into());
        }
    }

    /// Gives back the runs that nobody speaks of any more.
    fn give_back(&mut self) {
        let now = clock::monotonic_secs();
        let longest = self.lost_after_secs;
        let mut silent: Vec<(RunId, f64)> = Vec::new();
        for (id, run) in &self.open {
            let is_over = run.state != RunState::Running;
            if now - run.heard_at_secs > if is_over { AFTER_THE_END_SECS } else { longest } {
                silent.push((id.clone(), run.heard_at_secs));
            }
        }
        if self.open.len() - silent.len() > MOST_OPEN {
            let mut all: Vec<(RunId, f64)> =
                self.open.iter().map(|(id, run)| (id.clone(), run.heard_at_secs)).collect();
            all.sort_by(|a, b| a.1.total_cmp(&b.1));
            silent = all.into_iter().take(self.open.len() - MOST_OPEN).collect();
        }
        for (id, _) in silent {
            self.open.remove(&id);
            (self.written)(&id);
        }
    }
}

impl OpenRun {
    fn new(guest: GuestRun) -> Self {
        let heard_at_secs = clock::monotonic_secs();
        let (parameters, inputs) = (BTreeMap::new(), Vec::new());
        Self { guest, parameters, inputs, state: RunState::Running, heard_at_secs, is_unsynced: false }
    }

    /// A run that was open before: by this server, or by one that was killed.
    fn again(store: &Store, id: &RunId) -> Result<Self, Fault> {
        if store.run(id)?.labels()?.is_trashed() {
            return Err(Fault::invalid(format!("the run {id} must be in the 'active' state: it is in the trash")));
        }
        let guest = store.reopen_logged(id)?;
        let stored = store.overview(id)?.run;
        let mut run = Self::new(guest);
        run.state = stored.history.recorded_state();
        if let Subject::Logged(logged) = &stored.subject {
            run.parameters = logged.parameters.iter().map(|(key, value)| (key.clone(), text_of(value))).collect();
        }
        if let Some(Value::Array(inputs)) = stored.history.facts.get(INPUTS_FACT) {
            run.inputs.clone_from(inputs);
        }
        Ok(run)
    }

    /// Those of these that the run does not have yet.
    fn new_parameters(&self, asked: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Fault> {
        let mut new = BTreeMap::new();
        for (key, value) in asked {
            match self.parameters.get(&key) {
                None => drop(new.insert(key, value)),
                Some(known) if *known == value => {}
                Some(known) => {
                    let (known, value) = (super::wire::shown(known), super::wire::shown(&value));
                    return Err(Fault::invalid(format!(
                        "a parameter is written once: '{key}' is '{known}' and is not changed to '{value}'"
                    )));
                }
            }
        }
        Ok(new)
    }

    fn append(
        &mut self,
        points: Vec<LoggedPoint>,
        parameters: BTreeMap<String, String>,
        inputs: Vec<Value>,
        state: Option<(RunState, Timestamp)>,
    ) -> Result<(), StoreError> {
        self.is_unsynced = true;
        self.guest.points(points)?;
        let as_json = parameters.iter().map(|(key, value)| (key.clone(), Value::String(value.clone())));
        self.guest.parameters(as_json.collect())?;
        self.parameters.extend(parameters);
        let known = self.inputs.len();
        for input in inputs {
            let is_same = |known: &Value| known.get("dataset") == input.get("dataset");
            if !self.inputs.iter().any(is_same) {
                self.inputs.push(input);
            }
        }
        if self.inputs.len() > known {
            self.guest.fact(INPUTS_FACT, Value::Array(self.inputs.clone()))?;
        }
        if let Some((state, at)) = state {
            self.guest.state(state, None, at)?;
            self.state = state;
        }
        Ok(())
    }
}

/// A parameter as clients see it: text as it is.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
