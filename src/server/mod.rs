//! The server: MLflow's own clients log to it, programs read from it, and in time people look at its page.
//!
//! One small process on the store. A request passes the [`guard`], finds its line in the table of [`routes`], and its
//! handler answers: a function of the request and the [`App`], on a thread that may wait for the disk. What clients log goes
//! through the one [`writer`], what they ask of all runs through the [`reader`]. Guests' runs are runs of the store, so that
//! everything else sees them. [`mlflow`] is the protocol of others, [`api`] our own. `docs/server.md` says where MLflow's
//! server answers differently, and why.

mod api;
mod artifacts;
mod connection;
mod execution;
mod fault;
mod guard;
mod http;
mod lent;
mod mlflow;
mod page;
mod pieces;
mod reader;
mod route;
mod routes;
#[cfg(test)]
mod tests;
mod turns;
mod wire;
mod writer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub use execution::{AtWork, Executor};

use api::Changes;
use fault::Fault;
use guard::Guard;
use lent::Models;
pub use lent::{Lent, Model, Unanswered};
use reader::Reader;
use writer::Writer;

use crate::store::Store;
use crate::types::RunId;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 is any that is free.
    pub address: SocketAddr,
    /// What everybody must know who asks; required beyond this machine.
    pub token: Option<String>,
    /// Whether nothing can be changed.
    pub is_read_only: bool,
    /// What stands before every path, behind a proxy: `/ablate`.
    pub root_path: String,
    /// Names by which clients reach it, beside those of this machine.
    pub hosts: Vec<String>,
    /// Seconds without a word from its client after which a run is lost.
    pub lost_after_secs: f64,
    /// What sets sweeps going that are asked for in a page; none where nothing may be executed.
    pub executor: Option<Arc<dyn Executor>>,
    /// What the program around it can do; without it no model can be asked.
    pub lent: Option<Arc<dyn Lent>>,
}

impl Options {
    /// Whether a server may be started so.
    ///
    /// # Errors
    /// When it would listen beyond this machine without a token, or with one that is easily guessed; or would execute where nothing
    /// may be changed.
    pub fn check(&self) -> Result<(), ServeError> {
        match &self.token {
            None if !self.address.ip().is_loopback() => Err(ServeError::NoToken),
            Some(token) if token.len() < 8 || token.contains(char::is_whitespace) => Err(ServeError::WeakToken),
            _ if self.is_read_only && self.executor.is_some() => Err(ServeError::ReadOnlyExecutes),
            _ => Ok(()),
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(
        "beyond this machine everybody could write: give a token with --token or ABLATE_TOKEN, or listen on 127.0.0.1"
    )]
    NoToken,

    #[error("a token has 8 characters at least, without spaces")]
    WeakToken,

    #[error("--read-only and --execute exclude each other: who executes changes runs")]
    ReadOnlyExecutes,

    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: io::Error },

    #[error("the server failed: {0}")]
    Io(#[from] io::Error),
}

/// Everything that handlers work with.
pub struct App {
    guard: Guard,
    root_path: String,
    reader: Arc<Reader>,
    writer: Writer,
    changes: Arc<Changes>,
    execution: Option<execution::Execution>,
    answers: page::Answers,
    /// Comparisons, one after another.
    comparisons: turns::Turns,
    /// Curves in rows of the table of runs, as they were drawn.
    sparks: page::Sparks,
    models: Models,
}

impl App {
    fn new(store: Store, options: &Options, address: SocketAddr) -> io::Result<Self> {
        let reader = Arc::new(Reader::new(store.clone()));
        let changes = Arc::new(Changes::new());
        let (for_writer, to_listeners) = (reader.clone(), changes.clone());
        let written = move |run: &RunId| {
            for_writer.note(run);
            to_listeners.publish(run);
        };
        Ok(Self {
            guard: Guard {
                address,
                hosts: options.hosts.clone(),
                token: options.token.clone(),
                is_read_only: options.is_read_only,
                executes: options.executor.is_some(),
            },
            root_path: options.root_path.trim_end_matches('/').to_owned(),
            writer: Writer::start(store, options.lost_after_secs, written)?,
            reader,
            changes,
            execution: options.executor.clone().map(execution::Execution::new),
            answers: page::Answers::default(),
            comparisons: turns::Turns::default(),
            sparks: page::Sparks::default(),
            models: Models::new(options.lent.clone()),
        })
    }

    fn store(&self) -> &Store {
        self.reader.store()
    }

    /// The history of a run.
    fn history(&self, run: &RunId) -> Result<Arc<crate::store::History>, Fault> {
        self.reader.history(run)
    }

    /// Notes that a run changed in another way than by the writer.
    fn changed(&self, run: &RunId) {
        self.reader.note(run);
        self.changes.publish(run);
    }

    /// The run of an id that a client sent.
    fn run_id(&self, id: &str) -> Result<RunId, Fault> {
        let id = wire::run_id(id)?;
        self.store().run(&id)?;
        Ok(id)
    }
}

/// Serves a store until the process ends. `ready` is told the address once clients can connect.
///
/// # Errors
/// When it would listen beyond this machine without a token, or cannot listen.
pub fn serve(store: Store, options: &Options, ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    options.check()?;
    connection::run(store, options, ready)
}
