//! The server behind real sockets: what hyper and the timeouts do with clients that are slow, broken or many.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::options;
use crate::server::Options;
use crate::server::connection::{Patience, run_with};
use crate::store::Store;

/// Starts a server that lives as long as the test program.
fn start(patience: Patience) -> (tempfile::TempDir, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("runs")).unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let options = Options { address: "127.0.0.1:0".parse().unwrap(), ..options() };
        run_with(store, &options, patience, |address| sender.send(address).unwrap())
    });
    (folder, receiver.recv().unwrap())
}

/// What comes back until the server hangs up.
fn talk(address: SocketAddr, said: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(said); // It may hang up before the end.
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard);
    String::from_utf8_lossy(&heard).into_owned()
}

const SHORT: Patience = Patience { head: Duration::from_millis(150), body: Duration::from_millis(150) };

/// 32: who is slow is not waited for, be it in the head or in the body.
#[test]
fn slow_clients_are_left() {
    let (_folder, address) = start(SHORT);
    assert_eq!(talk(address, b"GET /health HTTP/1.1\r\nHo"), "", "half a head is no request");
    let host = format!("Host: {address}\r\n");
    let half = format!(
        "POST /api/2.0/mlflow/runs/search HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    );
    let answer = talk(address, half.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("too slowly"), "{answer}");
    let alive = talk(address, format!("GET /health HTTP/1.1\r\n{host}\r\n").as_bytes());
    assert!(alive.ends_with("\r\nOK"), "{alive}");
}

/// 32: heads have a size, and what is no HTTP ends its connection alone.
#[test]
fn broken_clients_end_alone() {
    let (_folder, address) = start(SHORT);
    let long = format!("GET / HTTP/1.1\r\nHost: {address}\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    assert!(talk(address, long.as_bytes()).starts_with("HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nHost: {address}\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    assert!(talk(address, many.as_bytes()).starts_with("HTTP/1.1 431 "));
    for noise in [
        &b"\x16\x03\x01\x00\xa5"[..],
        b"\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
    ] {
        let answer = talk(address, noise);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    // Two lengths, or a length and chunks, are how one request is made two.
    for smuggled in [
        format!("POST /x HTTP/1.1\r\nHost: {address}\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"),
        format!("POST /x HTTP/1.1\r\nHost: {address}\r\nTransfer-Encoding: x\r\n\r\n{{}}"),
    ] {
        assert!(talk(address, smuggled.as_bytes()).starts_with("HTTP/1.1 400 "), "{smuggled}");
    }
    let host = format!("Host: {address}\r\n");
    assert!(talk(address, format!("GET /health HTTP/1.1\r\n{host}\r\n").as_bytes()).ends_with("\r\nOK"));
}

/// Connections that say nothing keep nobody from being answered.
#[test]
fn idle_connections_are_no_matter() {
    let patience = Patience { head: Duration::from_secs(60), ..SHORT };
    let (_folder, address) = start(patience);
    let idle: Vec<TcpStream> = (0..300).map_while(|_| TcpStream::connect(address).ok()).collect();
    assert_eq!(idle.len(), 300);
    let asked = format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    assert!(talk(address, asked.as_bytes()).ends_with("\r\nOK"));
}
