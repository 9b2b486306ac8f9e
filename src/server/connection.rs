//! Sockets: connections are accepted, requests read within their limits, handlers asked on threads that may wait.
//!
//! One thread does all that waits for the network and nothing else, so a connection costs a few kilobytes, and ten
//! thousand idle ones are no matter. This is hyper itself, without a framework: routing is a table of our own anyway, and
//! the timeouts against slow clients are hyper's.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as HttpBody, Bytes};
use hyper::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, USER_AGENT,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request as HttpRequest, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::fault::{Code, Fault};
use super::guard::{self, LARGEST_BODY};
use super::http::{Pieces, Reply, ReplyBody, Request, RequestBody};
use super::route::{Handler, Route, Takes};
use super::routes;
use super::{App, Options, ServeError, page, wire, writer};
use crate::store::Store;

/// How long slow clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a request, the silence before it included.
    pub head: Duration,
    /// For the whole of a body that is read into memory, and for each piece of another.
    pub body: Duration,
}

impl Patience {
    /// That of every server: a client that keeps its connection says something within a minute, or connects again.
    pub const USUAL: Self = Self { head: Duration::from_secs(60), body: Duration::from_secs(60) };
}

/// Bytes of the head of a request at most.
const LARGEST_HEAD: usize = 32 << 10;
const MOST_HEADERS: usize = 100;
/// Handlers at once; each waits on a thread of its own.
const MOST_HANDLERS: usize = 64;
/// Seconds between looks for what other programs changed.
const FOLLOW: Duration = Duration::from_millis(500);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const PART: HeaderName = HeaderName::from_static("x-ablate-part");

/// Serves until the process ends.
pub fn run(store: Store, options: &Options, ready: impl FnOnce(SocketAddr)) -> Result<(), ServeError> {
    run_with(store, options, Patience::USUAL, ready)
}

/// [`run`] with another patience.
pub fn run_with(
    store: Store,
    options: &Options,
    patience: Patience,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), ServeError> {
    allow_many_files();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(MOST_HANDLERS).build()?;
    runtime.block_on(async {
        let bind = |source| ServeError::Bind { address: options.address, source };
        let listener = TcpListener::bind(options.address).await.map_err(bind)?;
        let address = listener.local_addr()?;
        let app = Arc::new(App::new(store, options, address)?);
        tokio::spawn(follow(app.clone()));
        ready(address);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => drop(tokio::spawn(converse(app.clone(), patience, stream, peer))),
                // Too many connections: some of them end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    })
}

/// Each connection and each run that is being logged to takes descriptors: as many as there may be.
fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Looks now and then for what other programs do in the store.
async fn follow(app: Arc<App>) {
    loop {
        tokio::time::sleep(FOLLOW).await;
        let app = app.clone();
        let look = move || {
            // What cannot be read now is tried again.
            for run in app.reader.look_if_due(app.changes.has_listeners()).unwrap_or_default() {
                app.changes.publish(&run);
            }
            app.models.rest();
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

/// Answers the requests of one connection.
async fn converse(app: Arc<App>, patience: Patience, stream: TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(answer(app, patience, request, peer).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS);
    // A client that went away, or says what is no HTTP, has nobody to be told.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// The answer to a request; whatever goes wrong is one.
pub async fn answer<B>(
    app: Arc<App>,
    patience: Patience,
    request: HttpRequest<B>,
    peer: SocketAddr,
) -> Response<ReplyBody>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display + Send,
{
    let (head, body) = request.into_parts();
    let accept = head.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_opened = head.method == Method::GET && accept.contains("text/html");
    let reply = handled(app.clone(), patience, &head, body, peer).await;
    let reply = reply.unwrap_or_else(|fault| if is_opened { page::fault(&app, &fault) } else { Reply::from(fault) });
    dressed(reply)
}

async fn handled<B>(app: Arc<App>, patience: Patience, head: &Parts, body: B, peer: SocketAddr) -> Result<Reply, Fault>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display + Send,
{
    if !guard::is_spoken(head.version) {
        return Err(Fault::new(Code::BadRequest, "this server speaks HTTP/1.1"));
    }
    let path = head.uri.path();
    let path = path.strip_prefix(&app.root_path).filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let (route, names) = app.guard.admit(head, routes::find(&head.method, path))?;
    let text = |name: HeaderName| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
    let request = Request {
        names,
        query: wire::query(head.uri.query().unwrap_or_default())?,
        body: body_of(route, patience, body).await?,
        user_agent: text(USER_AGENT).unwrap_or_default(),
        last_event_id: text(LAST_EVENT_ID),
        is_refresh: head.headers.contains_key(PART),
        is_local: peer.ip().is_loopback(),
    };
    match route.handler {
        Handler::Waits(handler) => {
            let done = tokio::task::spawn_blocking(move || handler(&app, request)).await;
            done.unwrap_or_else(|_| {
                Err(Fault::new(Code::InternalError, "the server made a mistake; its log says which"))
            })
        }
        Handler::Logs(handler) => {
            let (run, entries) = handler(&request)?;
            app.writer.write_soon(run, entries)?.await.unwrap_or_else(|_| Err(writer::stopped()))?;
            Ok(Reply::empty())
        }
    }
}

/// What the route takes of the body.
async fn body_of<B>(route: &Route, patience: Patience, mut body: B) -> Result<RequestBody, Fault>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display + Send,
{
    match route.takes {
        Takes::Nothing => Ok(RequestBody::Whole(Bytes::new())),
        Takes::Json => {
            let whole = timeout(patience.body, whole(&mut body)).await;
            let late = |_| Fault::new(Code::BadRequest, "the body of the request came too slowly");
            whole.map_err(late)?.map(RequestBody::Whole)
        }
        Takes::Pieces => {
            let (sender, receiver) = mpsc::channel(8);
            tokio::spawn(async move {
                loop {
                    let piece = match timeout(patience.body, next_piece(&mut body)).await {
                        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the body came too slowly")),
                        Ok(None) => return,
                        Ok(Some(piece)) => piece.map_err(io::Error::other),
                    };
                    let is_last = piece.is_err();
                    if sender.send(piece).await.is_err() || is_last {
                        return;
                    }
                }
            });
            Ok(RequestBody::Pieces(Pieces { receiver, rest: Bytes::new() }))
        }
    }
}

async fn whole<B>(body: &mut B) -> Result<Bytes, Fault>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let mut bytes = Vec::new();
    while let Some(piece) = next_piece(body).await {
        let piece = piece.map_err(|_| Fault::new(Code::BadRequest, "the body of the request ended too early"))?;
        if bytes.len() as u64 + piece.len() as u64 > LARGEST_BODY {
            return Err(guard::too_large());
        }
        if bytes.is_empty() && body.is_end_stream() {
            return Ok(piece);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// The next bytes of a body.
async fn next_piece<B>(body: &mut B) -> Option<Result<Bytes, String>>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(bytes)) => return Some(Ok(bytes)),
            Ok(Err(_)) => {} // Trailers.
            Err(error) => return Some(Err(error.to_string())),
        }
    }
}

/// The answer with the headers that every answer has, unless it says otherwise itself.
fn dressed(reply: Reply) -> Response<ReplyBody> {
    let mut response = Response::new(reply.body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.extend(reply.headers);
    let policy = "default-src 'none'; frame-ancestors 'none'; sandbox";
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if reply.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"ablate\", charset=\"UTF-8\""));
    }
    response
}
