//! The server in process: a store in a temporary folder, and requests that take the way of every request without a socket.

mod api;
mod clients;
mod deviations;
mod execution;
mod noise;
mod pages;
mod run_page;
mod security;
mod sockets;
mod tables;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::{Body, Bytes};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::connection::{Patience, answer};
use super::http::ReplyBody;
use super::{App, Options};
use crate::store::Store;

/// A server and what it works on.
pub struct Bench {
    pub folder: TempDir,
    pub app: Arc<App>,
    runtime: tokio::runtime::Runtime,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub bytes: Vec<u8>,
}

pub fn options() -> Options {
    Options {
        address: "127.0.0.1:5000".parse().unwrap(),
        token: None,
        is_read_only: false,
        root_path: String::new(),
        hosts: Vec::new(),
        lost_after_secs: 3600.0,
        executor: None,
        lent: None,
    }
}

impl Bench {
    pub fn new() -> Self {
        Self::with(&options())
    }

    pub fn with(options: &Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::on(folder, options)
    }

    /// A server on a store that may hold something.
    pub fn on(folder: TempDir, options: &Options) -> Self {
        let store = Store::open(folder.path().join("runs")).unwrap();
        let app = Arc::new(App::new(store, options, options.address).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder, app, runtime }
    }

    /// Ends the server and starts another on the same store.
    pub fn again(self, options: &Options) -> Self {
        let Self { folder, app, runtime } = self;
        drop(runtime);
        drop(Arc::into_inner(app).expect("nobody else has it"));
        Self::on(folder, options)
    }

    pub fn store(&self) -> &Store {
        self.app.store()
    }

    /// Sends a request as it is.
    pub fn send(&self, method: &Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(ReplyBody::Whole(body.into())).unwrap();
        let peer: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        self.runtime.block_on(async {
            let response = answer(self.app.clone(), Patience::USUAL, request, peer).await;
            let (head, mut body) = response.into_parts();
            let mut bytes = Vec::new();
            // A stream of events has no end: what it begins with is its answer here.
            let is_endless = head.headers["content-type"] == "text/event-stream";
            while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
                if is_endless {
                    break;
                }
            }
            Answer { status: head.status, headers: head.headers, bytes }
        })
    }

    /// Sends what a client would: to this host, JSON where there is a body.
    pub fn ask(&self, method: &Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let headers = [("host", "127.0.0.1:5000"), ("content-type", "application/json")];
        self.send(method, path, &headers[..if *method == Method::POST { 2 } else { 1 }], body)
    }

    /// Calls an endpoint of MLflow by POST.
    pub fn call(&self, endpoint: &str, body: &Value) -> Answer {
        self.ask(&Method::POST, &format!("/api/2.0/mlflow/{endpoint}"), body.to_string())
    }

    /// Calls what must succeed.
    pub fn post(&self, endpoint: &str, body: &Value) -> Value {
        let answer = self.call(endpoint, body);
        assert_eq!(answer.status, StatusCode::OK, "{endpoint} {body}: {}", answer.text());
        answer.json()
    }

    /// Asks by GET what must succeed.
    pub fn get(&self, address: &str) -> Value {
        let answer = self.ask(&Method::GET, &format!("/api/2.0/mlflow/{address}"), "");
        assert_eq!(answer.status, StatusCode::OK, "{address}: {}", answer.text());
        answer.json()
    }

    /// Begins a run in the default experiment.
    pub fn run(&self) -> String {
        let run = self.post("runs/create", &json!({ "experiment_id": "0", "start_time": 1_700_000_000_000_i64 }));
        run["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The status and the error's name.
    pub fn fault(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["error_code"].as_str().unwrap_or_default().to_owned())
    }
}
