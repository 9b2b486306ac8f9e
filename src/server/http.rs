//! A request as handlers see it, and what they answer with: no sockets, no futures.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::StatusCode;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use super::fault::Fault;
use crate::report::json::Exact;

/// A request that passed the guard and found its route.
#[derive(Debug)]
pub struct Request {
    /// What the names in the route's pattern stand for, percent signs decoded once, in their order.
    pub names: Vec<String>,
    /// The query, decoded, in its order.
    pub query: Vec<(String, String)>,
    pub body: RequestBody,
    pub user_agent: String,
    /// The last event that a client of the stream of changes saw.
    pub last_event_id: Option<String>,
    /// Whether a view asks for what changed of it, and has the rest.
    pub is_refresh: bool,
    /// Whether who asks is on this machine, so that it can open files of the store itself.
    pub is_local: bool,
}

/// What came with a request.
#[derive(Debug)]
pub enum RequestBody {
    /// All of it, where the route takes no more than fits in memory.
    Whole(Bytes),
    /// Piece by piece, as it arrives.
    Pieces(Pieces),
}

/// A body that is read while it arrives.
#[derive(Debug)]
pub struct Pieces {
    pub receiver: Receiver<io::Result<Bytes>>,
    pub rest: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.rest = piece?,
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

impl Request {
    /// The last value of a key of the query.
    pub fn asked(&self, key: &str) -> Option<&str> {
        self.query.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Every value of a key of the query.
    pub fn asked_all(&self, key: &str) -> Vec<String> {
        self.query.iter().filter(|(name, _)| name == key).map(|(_, value)| value.clone()).collect()
    }

    /// The body, where it was read whole.
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            RequestBody::Whole(bytes) => bytes,
            RequestBody::Pieces(_) => &[],
        }
    }
}

/// What is answered.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    Whole(Bytes),
    /// Piece by piece; `length` where it is known.
    Pieces {
        receiver: Receiver<io::Result<Bytes>>,
        length: Option<u64>,
    },
}

impl Reply {
    /// An answer in JSON; numbers that are not finite are spelled as strings.
    pub fn json(value: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(&Exact(value)).expect("invariant: answers have string keys");
        Self::of_json(bytes)
    }

    /// An answer that is JSON already.
    pub fn of_json(bytes: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, "application/json", bytes)
    }

    /// Done, and nothing to say.
    pub fn empty() -> Self {
        Self::of_json("{}")
    }

    /// An answer of some content type.
    pub fn new(status: StatusCode, content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        let headers = vec![(hyper::header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { status, headers, body: ReplyBody::Whole(bytes.into()) }
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        let value = serde_json::json!({ "error_code": fault.code.name(), "message": fault.message });
        Self { status: fault.code.status(), ..Self::json(&value) }
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Pieces { receiver, .. } => {
                receiver.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Pieces { length: Some(length), .. } => SizeHint::with_exact(*length),
            Self::Pieces { length: None, .. } => SizeHint::default(),
        }
    }
}
